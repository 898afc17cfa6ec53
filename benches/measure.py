"""What a command costs: CPU, time and private memory of one process."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SAMPLE_SECONDS = 0.02


class Cost(NamedTuple):
    """What one run of a command took."""

    cpu_seconds: float
    """User and system time, from its start to its end, the interpreter included."""
    wall_seconds: float
    private_bytes: int
    """Peak of its anonymous memory (`RssAnon`), sampled; mapped files are page cache."""


def run(command: Sequence[str | Path], env: Mapping[str, str]) -> Cost:
    """Run a command to its end; its output is shown only if it fails."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        watch = _Watch(process)
        watch.start()
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
    if process.returncode:
        shown = " ".join(map(str, command))
        sys.exit(f"`{shown}` ended with {process.returncode}\n{output.decode(errors='replace')}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, watch.peak)


class _Watch(threading.Thread):
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self.process = process
        self.peak = 0

    def run(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status")
        while self.process.returncode is None:
            try:
                fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except (FileNotFoundError, ProcessLookupError):
                return
            # A process that has ended, but is not yet waited for, has no memory.
            self.peak = max(self.peak, int(fields.get("RssAnon", "0 kB").split()[0]) * 1024)
            time.sleep(SAMPLE_SECONDS)

"""What a command costs: CPU, time and private memory of a process and those that it starts."""

import compileall
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import curatekit

T = TypeVar("T")

SAMPLE_SECONDS = 0.02
TOUCHED = 3 << 30
"""Bytes of memory that are touched before each run."""


class Cost(NamedTuple):
    """What one run of a command took."""

    cpu_seconds: float
    """User and system time, from its start to its end, the interpreter included, in seconds."""
    wall_seconds: float
    private_bytes: int
    """Peak of anonymous memory of all its processes, sampled; mapped files are page cache."""


def run(command: Sequence[str | Path], env: Mapping[str, str]) -> Cost:
    """Run a command to its end; its output is shown only if it fails."""
    _compile()
    settle(*(Path(part) for part in command if Path(part).is_file()))
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


def in_turn(measured: Iterable[T], turn: int) -> list[T]:
    """Put what is measured in order, first to last, and every second turn last to first.

    Nothing always runs after the same other one, which may leave something behind, however well
    they are kept apart.
    """
    forth = list(measured)
    return forth[::-1] if turn % 2 else forth


@cache
def _compile() -> None:
    """Compile what is measured, as pip does when it installs."""
    compileall.compile_dir(Path(curatekit.__file__).parent, quiet=1)


def settle(*inputs: Path) -> None:
    """See that nobody pays for what was left by another.

    What is still to be written goes to the disk. And memory is taken and given back, for a virtual
    machine hands what is free to its host, and taking it again takes several times as long as it
    does on a machine by itself. The host may let go of the inputs for it, so these are read last.
    """
    os.sync()
    piece = bytes(1 << 24)
    with mmap.mmap(-1, TOUCHED) as memory:
        for start in range(0, TOUCHED, len(piece)):
            memory[start : start + len(piece)] = piece
    for path in inputs:
        with path.open("rb", buffering=0) as file:
            while file.read(len(piece)):
                pass


class _Watch(threading.Thread):
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self.process = process
        self.peak = 0

    def run(self) -> None:
        while self.process.returncode is None:
            self.peak = max(self.peak, private_bytes(self.process.pid))
            time.sleep(SAMPLE_SECONDS)


def private_bytes(pid: int) -> int:
    """Anonymous memory of a process and of all below it; none if it has ended.

    Pages that processes share after a fork are counted once, by their `Pss`, which takes longer to
    find out than the `Rss` of a process alone.
    """
    processes = list(_tree(pid))
    if len(processes) == 1:
        return _field(pid, "status", "RssAnon")
    return sum(_field(process, "smaps_rollup", "Pss_Anon") for process in processes)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _tree(int(child))


def _field(pid: int, file: str, name: str) -> int:
    """A size that the system tells of a process, in bytes; none if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0

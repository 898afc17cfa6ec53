"""Measures a run as it goes: time by stage, and memory."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from curatekit import _native
from curatekit.report import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from curatekit._native import Progress


class Gauge:
    """Measures a run as it goes: time by stage, and memory whenever the core reports progress."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._began = time.perf_counter()
        self._cpu_began = time.process_time()
        self._seconds: dict[str, float] = {}
        self._private = _memory().private

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take how far a stage is."""
        self._private = max(self._private, _memory().private)
        if self._progress is not None:
            self._progress(stage, done, total)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; one of several with a name adds to it."""
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        self._seconds[name] = self._seconds.get(name, 0.0) + took

    def figures(
        self,
        *,
        threads: int,
        memory_budget: int,
        io: str,
        bytes_read: int,
        pairs_compared: int,
        attempts: int = 1,
        seconds: Iterable[tuple[str, float]] = (),
    ) -> Figures:
        """Tell what it took; `seconds` are stages that were timed elsewhere."""
        wall = time.perf_counter() - self._began
        memory, host = _memory(), os.uname()  # `platform` starts a process to ask
        return Figures(
            curatekit=_native.__version__,
            python=platform.python_version(),
            host={
                "system": f"{host.sysname} {host.release}",
                "machine": host.machine,
                "cores": cores(),
            },
            threads=threads or cores(),
            memory=memory_budget,
            io=io,
            seconds={stage: round(took, 4) for stage, took in (*seconds, *self._seconds.items())},
            wall_seconds=round(wall, 4),
            cpu_seconds=round(time.process_time() - self._cpu_began, 4),
            megabytes_per_second=round(bytes_read / 1e6 / wall, 2),
            peak_memory_bytes=memory.peak,
            peak_private_bytes=max(self._private, memory.private) or None,
            pairs_compared=pairs_compared,
            attempts=attempts,
        )


class _Memory(NamedTuple):
    peak: int
    private: int
    """0 where the system does not say."""


def _memory() -> _Memory:
    """Tell the largest resident set so far, and what part of it is now no file's."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return _Memory(peak if sys.platform == "darwin" else peak * 1024, 0)
    kibibytes = dict(re.findall(r"^(VmHWM|RssAnon):\s+(\d+) kB$", status, re.MULTILINE))
    return _Memory(*(int(kibibytes.get(field, 0)) * 1024 for field in ("VmHWM", "RssAnon")))


def cores() -> int:
    """Count the cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1

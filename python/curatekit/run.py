"""A deduplication from inputs to a published folder, measured and checked."""

from __future__ import annotations

import errno
import os
import platform
import re
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from curatekit import _native, brakes
from curatekit.dedup import decide
from curatekit.inputs import Inputs, expand
from curatekit.output import FIGURES, KEPT, QUARANTINE, REMOVED, REPORT, named, places, staged, sync
from curatekit.report import Figures, Report, build, to_json
from curatekit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from curatekit._native import Decided, Progress, Summary

_BLOCK = 2**22


class Outcome(Struct, frozen=True):
    """What a run decided, and what it took; the two documents of `--json`."""

    report: Report
    run: Figures


def deduplicate(
    inputs: Inputs,
    out: Path,
    settings: Settings | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Write the deduplicated dataset into a new folder, with the reason for each row not in it.

    The folder holds `kept.jsonl`, `removed.jsonl`, `quarantine.jsonl`, `decisions.jsonl`,
    `report.json` and `run.json`. It appears whole, or not at all.

    Args:
        inputs: As `curatekit.dedup.near` takes them.
        out: The output folder.
        settings: What to compare, and how.
        force: Replace an `out` that is empty or a former run.
        progress: Called about ten times a second.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input cannot be read or changed meanwhile, or a row is bad and `on_error` is
            "stop".
        CurateError: The inputs name a file twice or none, or `out` cannot be replaced.
        BrakeError: Near-deduplication removed more than `settings.max_drop_millis` allows.
        OSError: The disk is full or fails.
    """
    settings = settings or Settings()
    files = expand(inputs, outside=places(out))
    gauge = _Gauge(progress)
    with staged(out, force=force) as work:
        decided = decide(files, settings, spool=work, progress=gauge)
        with gauge.stage("write"):
            decided.write(work, progress=gauge)
        summary = decided.summary
        with gauge.stage("check"):
            _check_counts(work, summary)
        report = build(settings, decided)
        _write(work / REPORT, to_json(report))
        brakes.check(settings, summary, report, work)
        outcome = Outcome(report, gauge.figures(settings, decided, report.bytes_read))
        _write(work / FIGURES, to_json(outcome.run))
    return outcome


def _check_counts(folder: Path, summary: Summary) -> None:
    """Count the rows that were written, and hold them against the rows that were read."""
    expected = {
        KEPT: summary["kept"],
        REMOVED: summary["exact_duplicates"] + summary["near_duplicates"],
        QUARANTINE: sum(summary["quarantined"].values()),
    }
    written = {name: _count_lines(folder / name) for name in expected}
    if written != expected or sum(written.values()) != summary["rows"]:
        raise OSError(
            errno.EIO,
            f"{summary['rows']:,} rows were read, but {sum(written.values()):,} written",
            str(folder),
        )


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


def _write(path: Path, content: bytes) -> None:
    with named(path):
        path.write_bytes(content)
    sync(path)


class _Gauge:
    """Measures a run as it goes: time by stage, and memory whenever the core reports progress."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._began = time.perf_counter()
        self._cpu_began = time.process_time()
        self._seconds: dict[str, float] = {}
        self._private = _memory().private

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._private = max(self._private, _memory().private)
        if self._progress is not None:
            self._progress(stage, done, total)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._seconds[name] = time.perf_counter() - began

    def figures(self, settings: Settings, decided: Decided, bytes_read: int) -> Figures:
        wall = time.perf_counter() - self._began
        memory = _memory()
        return Figures(
            curatekit=_native.__version__,
            python=platform.python_version(),
            host={"system": platform.platform(), "machine": platform.machine(), "cores": _cores()},
            threads=settings.threads or _cores(),
            memory=settings.memory,
            io=settings.io,
            seconds={
                stage: round(took, 4) for stage, took in (*decided.seconds, *self._seconds.items())
            },
            wall_seconds=round(wall, 4),
            cpu_seconds=round(time.process_time() - self._cpu_began, 4),
            megabytes_per_second=round(bytes_read / 1e6 / wall, 2),
            peak_memory_bytes=memory.peak,
            peak_private_bytes=max(self._private, memory.private) or None,
            pairs_compared=decided.pairs_compared,
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


def _cores() -> int:
    """Count the cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1

"""A full disk, at every file that a run writes: one clear message, and nothing left.

Each case is a run of which one file just does not fit: on a small disk of its own, where the system
lets us mount one, and under a limit on the size of a file, which every system has.
"""

import gzip
import re
import tempfile
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from running import DEDUP, beside, complaint, dedup, run

PAGE = 4096
BLOCK = 512
"""What `ulimit -f` counts in."""
ROW, KEY = 5, 4
"""Bytes that the reading pass notes of a row, of not too many: its number, and a key a band."""
ROW_FILES = ("kept.jsonl", "removed.jsonl", "quarantine.jsonl")
LIMIT = """
ulimit -f "$1"; shift
exec "$@"
"""
# Lists what is left, which can be seen by nobody else.
MOUNT = """
size=$1 folder=$2; shift 2
mount -t tmpfs -o size="$size" none "$folder" && cd "$folder" && "$@"
code=$?; ls -A; exit $code
"""


def text(first: int, words: int = 30) -> bytes:
    return b'{"text": "%b"}' % b" ".join(b"word%d" % (first * words + at) for at in range(words))


@dataclass(frozen=True)
class Case:
    """Rows of which a run writes most into one file, and how much of that fits."""

    file: str
    rows: list[bytes]
    options: tuple[str, ...] = ("--method", "exact")
    share: float = 1
    """1 leaves room for all but a block."""


ROWS = [text(number) for number in range(6000)]
LONG = [text(number, 20_000) for number in range(120)]
"""More than goes through the page cache."""
CASES = {
    f"{case.file}, {case.share:g} of {len(case.rows)} rows": case
    for case in (
        Case("unpacked input", ROWS),
        Case("unpacked input", ROWS, share=0.3),
        Case("band keys", [text(number, 6) for number in range(2000)], ("--recall", "bands")),
        Case("kept.jsonl", ROWS),
        Case("kept.jsonl", ROWS, share=0.3),
        Case("kept.jsonl", LONG, share=0.9),
        Case("removed.jsonl", [text(0, 600)] * 40),
        Case("quarantine.jsonl", [row[1:] for row in ROWS[:300]]),
        Case("decisions.jsonl", [text(0, 3)] * 300),
        Case("report.json", ROWS[:1]),
        Case("run.json", ROWS[:1]),
    )
}


def private_mounts() -> tuple[str, ...] | None:
    """The command under which a process may mount a disk that it alone sees, if there is one."""
    for options in ((), ("--map-root-user",)):
        prefix = ("unshare", "--mount", *options)
        try:
            tried = run(*prefix, "sh", "-c", MOUNT, "sh", "4k", tempfile.gettempdir(), "true")
        except FileNotFoundError:
            return None
        if tried.returncode == 0:
            return prefix
    return None


PRIVATE_MOUNTS = private_mounts()
# The report is larger than `run.json`.
WAYS = [("limit", name) for name, case in CASES.items() if case.file != "run.json"]
if PRIVATE_MOUNTS:
    WAYS += [("disk", name) for name in CASES]


@pytest.mark.parametrize(("way", "name"), WAYS)
def test_what_does_not_fit_leaves_nothing(tmp_path: Path, way: str, name: str) -> None:
    case = CASES[name]
    file = case.file
    data = b"".join(row + b"\n" for row in case.rows)
    path = tmp_path / "data.jsonl"
    path.write_bytes(gzip.compress(data) if file == "unpacked input" else data)
    report = dedup(tmp_path / "good", path, *case.options).report
    good = [path for path in (tmp_path / "good").rglob("*") if path.is_file()]
    good.sort(key=lambda path: path.stat().st_mtime_ns)  # as they were written
    written = {str(path.relative_to(tmp_path / "good")): path.stat().st_size for path in good}
    keys = len(case.rows) * (ROW + report["settings"].get("bands", 0) * KEY)
    unnamed = {"unpacked input": len(data), "band keys": keys}
    size = int((unnamed | written)[file] * case.share)

    command: list[str | Path] = [*DEDUP, path, *case.options, "-o", "out"]
    if way == "limit":
        ended = run("sh", "-c", LIMIT, "sh", str((size - 1) // BLOCK), *command, cwd=tmp_path)
        assert beside(tmp_path / "out") == []
        problem = "file too large"
    else:
        assert PRIVATE_MOUNTS
        before = [] if file in unnamed else list(takewhile(lambda name: name != file, written))
        room = sum(pages(written[name]) for name in before) + pages(size) - 1
        disk = tmp_path / "disk"
        disk.mkdir()
        ended = run(*PRIVATE_MOUNTS, "sh", "-c", MOUNT, "sh", str(room * PAGE), disk, *command)
        problem = "no space left on device"
    place = "out.partial" if file in unnamed else f"out.partial/out/{file}"
    found = rf"{place}: {problem}"
    if way == "disk" and file in ROW_FILES:  # there may be no room for the rows from the start
        found = rf"({found}|out.partial/out: needs .+ for the rows alone, and .+ are free)"
    assert re.fullmatch(rf"error: /.+/{found}\n", complaint(4, ended))


def pages(size: int) -> int:
    return -(-size // PAGE)

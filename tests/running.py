"""Runs the real command, and reads its inputs and its output by other means than the core's."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from conftest import COMMAND
from curatekit.verify import verify

DATA = Path(os.environ.get("CURATEKIT_DATA", "CURATEKIT_DATA is not set"))
needs_data = pytest.mark.skipif(
    "CURATEKIT_DATA" not in os.environ, reason="CURATEKIT_DATA is not set"
)
BOM = b"\xef\xbb\xbf"
DEDUP = (*COMMAND, "dedup", "--quiet")

Layout = Literal["lines", "array", "object"]
Argument = str | Path


class Place(NamedTuple):
    """A row as it should be written, and where it begins in its file."""

    row: bytes
    line: int
    byte: int


@dataclass(frozen=True)
class Output:
    """A run folder, read."""

    kept: list[bytes]
    removed: list[bytes]
    quarantined: list[bytes]
    decisions: list[dict[str, Any]]
    report: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Output":
        """Read what a run has written to a folder, once all in it is recounted and rehashed."""
        assert list(map(str, verify(folder).problems)) == []
        return cls(
            kept=lines(folder / "kept.jsonl"),
            removed=lines(folder / "removed.jsonl"),
            quarantined=lines(folder / "quarantine.jsonl"),
            decisions=[json.loads(line) for line in lines(folder / "decisions.jsonl")],
            report=json.loads((folder / "report.json").read_bytes()),
        )

    def rows(self) -> list[bytes]:
        """The three files, interleaved by row number."""
        state = {decision["row"]: decision["state"] for decision in self.decisions}
        files = {
            "kept": iter(self.kept),
            "removed": iter(self.removed),
            "quarantined": iter(self.quarantined),
        }
        total = len(self.kept) + len(self.removed) + len(self.quarantined)
        return [next(files[state.get(row, "kept")]) for row in range(total)]

    def fates(self) -> list[str]:
        """Of each row: `kept`, or the reason why it is not."""
        reasons = {one["row"]: one.get("reason", "kept") for one in self.decisions}
        return [reasons.get(row, "kept") for row in range(len(self.rows()))]


def lines(path: Path) -> list[bytes]:
    """The lines of a file that ends in a line feed, if it is not empty."""
    *whole, rest = path.read_bytes().split(b"\n")
    assert rest == b""
    return whole


def run(*command: Argument, **options: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: ANN401 (those of subprocess)
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, check=False, **options)


def dedup(out: Path, *arguments: Argument, **options: Any) -> Output:  # noqa: ANN401 (those of subprocess)
    """Run `curatekit dedup`, which succeeds in silence."""
    ended = run(*DEDUP, *arguments, "-o", out, **options)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert beside(out) == [out.name]
    return Output.read(out)


def refused(code: int, out: Path, *arguments: Argument, **options: Any) -> str:  # noqa: ANN401 (those of subprocess)
    """Run `curatekit dedup`, which fails and leaves nothing; its message."""
    ended = run(*DEDUP, *arguments, "-o", out, **options)
    assert beside(out) == []
    return complaint(code, ended)


def complaint(code: int, ended: subprocess.CompletedProcess[bytes]) -> str:
    """The message of a command that failed as it should: one line, and perhaps one hint."""
    message = ended.stderr.decode()
    assert (ended.returncode, ended.stdout) == (code, b""), message
    assert re.fullmatch(r"error: [^\n]+\n(  hint: [^\n]+\n)?", message), message
    assert message.replace("\n", "").isprintable()
    return message


def contents(folder: Path) -> dict[str, bytes]:
    """All that a run wrote, but for what it took."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def beside(out: Path) -> list[str]:
    """Names in the folder of `out` that begin like it: what a run has made or left behind."""
    if not out.parent.exists():
        return []
    return sorted(entry.name for entry in out.parent.iterdir() if entry.name.startswith(out.name))


def places(data: bytes, layout: Layout) -> list[Place]:
    """The rows of a decompressed file."""
    start = len(BOM) if data.startswith(BOM) else 0
    if layout == "lines":
        return list(_lines(data, start))
    text = data.decode("latin-1")  # so that a character is a byte
    after_space = re.compile(r"[ \t\r\n]*")

    def skip(at: int) -> int:
        found = after_space.match(text, at)
        assert found
        return found.end()

    found = []
    at = skip(start)
    if layout == "array":
        assert text[at] == "["
        at = skip(at + 1)
    while at < len(text) and text[at] != "]":
        _, end = json.JSONDecoder().raw_decode(text, at)
        row = re.sub(rb"[\r\n]", b" ", data[at:end])
        found.append(Place(row, 1 + data.count(b"\n", 0, at), at))
        at = skip(end)
        if at < len(text) and text[at] == ",":
            at = skip(at + 1)
    return found


def _lines(data: bytes, start: int) -> Iterator[Place]:
    for number, line in enumerate(data[start:].split(b"\n"), 1):
        if line.strip(b" \t\r"):
            yield Place(line, number, start)
        start += len(line) + 1

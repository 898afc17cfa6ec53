"""A run folder, read back: why a row is not kept, and the texts on both sides.

Only the folder is read, never the inputs. Files are streamed: a folder may be larger than memory.
"""

import json
from array import array
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from itertools import accumulate, islice
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from curatekit import _native
from curatekit.errors import CurateError, DataError
from curatekit.formats import FORMATS, TEXT, Format
from curatekit.output import DECISIONS, REPORT

_FORMATS = {known.name: known for known in FORMATS}
_STRIDE = 256
"""Lines from one known offset to the next."""


class Place(Struct, frozen=True):
    """Where a row stands."""

    row: int
    file: str
    line: int


class Decision(Struct, frozen=True, kw_only=True):
    """Why a row is not kept: a line of `decisions.jsonl`."""

    row: int
    file: str
    line: int
    byte: int
    state: Literal["removed", "quarantined"]
    reason: str
    message: str = ""
    witness: Place | None = None
    shared: int = 0
    united: int = 0
    roles: Mapping[str, tuple[int, int]] = {}

    @property
    def kind(self) -> str:
        """The reason of a removal, or `quarantined`, whatever for."""
        return self.reason if self.state == "removed" else self.state


class Case(Struct, frozen=True):
    """A row that is not kept, with its bytes and, where it was removed, those of its witness."""

    decision: Decision
    row: bytes
    witness: bytes = b""


class _File(Struct, frozen=True):
    name: str
    rows: int
    format: str


class _Settings(Struct, frozen=True):
    on: tuple[str, ...]
    also: tuple[str, ...]
    field: str | None


class _Report(Struct, frozen=True):
    rows: int
    settings: _Settings
    files: tuple[_File, ...]


class RunFolder:
    """What a run left behind.

    Raises:
        CurateError: The folder is none that a run left.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._report = msgspec.json.decode((path / REPORT).read_bytes(), type=_Report)
        except (FileNotFoundError, NotADirectoryError):
            raise CurateError(
                f"`{path}` is not the output of a run: it has no `{REPORT}`",
                "`curatekit dedup INPUT... -o OUT` makes one",
            ) from None
        except msgspec.DecodeError as error:
            raise CurateError(f"{path / REPORT}: {error}") from None
        self._formats = {file.name: file.format for file in self._report.files}
        self.counts: Counter[str] = Counter()
        """Rows that are not kept, by reason; `quarantined` stands for all that were quarantined."""
        self._listed = {"removed": array("Q"), "quarantined": array("Q")}
        for decision in self.decisions():
            self.counts[decision.kind] += 1
            self._listed[decision.state].append(decision.row)
        self._kept = _Lines(path / "kept.jsonl")
        self._set_aside = {
            "removed": _Lines(path / "removed.jsonl"),
            "quarantined": _Lines(path / "quarantine.jsonl"),
        }

    @property
    def rows(self) -> int:
        """Rows that the run read."""
        return self._report.rows

    def decisions(self) -> Iterator[Decision]:
        """Read why each row that is not kept is not, in row order."""
        decoder = msgspec.json.Decoder(Decision)
        path = self._path / DECISIONS
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise DataError(str(path), number, str(error)) from None

    def case(self, decision: Decision) -> Case:
        """Find the texts that a decision is about."""
        row = self._set_aside[decision.state][
            bisect_left(self._listed[decision.state], decision.row)
        ]
        witness = decision.witness
        return Case(decision, row, self.kept_row(witness.row) if witness else b"")

    def kept_row(self, row: int) -> bytes:
        """Find the bytes of a kept row; its line is its number less the rows before it not kept."""
        return self._kept[row - sum(bisect_left(rows, row) for rows in self._listed.values())]

    def file_of(self, row: int) -> str:
        """Tell which file a row came from."""
        ends = accumulate(file.rows for file in self._report.files)
        return next(
            file.name for file, end in zip(self._report.files, ends, strict=True) if row < end
        )

    def is_compared(self, role: str) -> bool:
        """Tell whether parts of a role took part in the comparison."""
        on = self._report.settings.on
        return not on or role in on or role.startswith("also:")

    def parts(self, row: bytes, file: str) -> list[tuple[str, str]]:
        """Split a row of `file` into (role, text) parts, in order; fields of `--also` come last."""
        settings = self._report.settings
        parts = _native.parts(row.rstrip(b"\r\n"), self._format(file), field=settings.field)
        if settings.also:
            value = _fields(row)
            parts += [
                (f"also:{name}", _text(value[name])) for name in settings.also if name in value
            ]
        return parts

    def elsewhere(self, case: Case) -> list[tuple[str, str, str]]:
        """List the fields not compared in which row and witness differ: name, value, value."""
        file = case.decision.file
        compared = {
            rule.path.partition(".")[0].removesuffix("[*]") for rule in self._format(file).parts
        }
        compared |= {*self._report.settings.also, self._report.settings.field or ""}
        mine, its = _fields(case.row), _fields(case.witness)
        return [
            (
                name,
                _text(mine[name]) if name in mine else "",
                _text(its[name]) if name in its else "",
            )
            for name in dict.fromkeys((*mine, *its))
            if name not in compared and mine.get(name) != its.get(name)
            if "**" not in compared or not isinstance(mine.get(name), str | list | dict)
        ]

    def _format(self, file: str) -> Format:
        if self._report.settings.field is not None:
            return TEXT
        return _FORMATS[self._formats[file]]


class _Lines:
    """The lines of a file by number, without holding more of it than a few offsets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = array("Q", [0])

    def __getitem__(self, number: int) -> bytes:
        with self._path.open("rb") as file:
            while len(self._offsets) <= number // _STRIDE:
                file.seek(self._offsets[-1])
                deque(islice(file, _STRIDE), maxlen=0)
                self._offsets.append(file.tell())
            file.seek(self._offsets[number // _STRIDE])
            line = next(islice(file, number % _STRIDE, None), b"")
        if not line:
            raise DataError(str(self._path), number + 1, "this line is missing")
        return line


def _fields(row: bytes) -> dict[str, object]:
    """Read the fields of a row for a person to see."""
    try:
        value = json.loads(row, parse_float=str)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

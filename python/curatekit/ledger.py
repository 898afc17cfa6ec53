"""The ledger of a run: what became of each row, as columns over rows, and what it was before.

`ledger/manifest.json` names every file of the folder with its hashes, and what the numbers in the
columns mean. Only the folder is read here, and of it no more than is asked for: a row, a decision
and a place are found by bisection and by offsets, so that a question about one of a billion rows is
answered at once. With `--removed refer`, removed rows are looked up in the inputs.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from io import BytesIO
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np

from curatekit import _native
from curatekit.columns import count_each
from curatekit.errors import CurateError, DataError
from curatekit.evidence import Decision
from curatekit.manifest import (
    KEPT,
    MANIFEST,
    ORIGINALS,
    PACKED,
    QUARANTINED,
    REMOVED,
    REWRITTEN,
    STATES,
    Input,
    Manifest,
    Rows,
)
from curatekit.output import DECISIONS, LEDGER, ORDER, REPORT

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIGITS = 18
"""Most digits of a number of a row or line; more of them would not fit into 64 bits."""


class Ledger:
    """What a run left behind, row by row.

    Raises:
        CurateError: The folder is none that a run left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            content = (folder / MANIFEST).read_bytes()
            self.manifest = msgspec.json.decode(content, type=Manifest)
        except (FileNotFoundError, NotADirectoryError):
            if (folder / DECISIONS).exists() and (folder / REPORT).exists():
                hint = "run it again with this version, or look at it with that one"
                raise CurateError(
                    f"`{folder}` has no `{MANIFEST}`: an older version made it", hint
                ) from None
            raise CurateError(
                f"`{folder}` is not the output of a run: it has no `{MANIFEST}`",
                "`curatekit dedup INPUT... -o OUT` makes one, or `curatekit run RECIPE`",
            ) from None
        except msgspec.DecodeError as error:
            raise CurateError(f"{folder / MANIFEST}: {error}") from None
        self._files = {
            name: [_RowFile(folder, one) for one in files]
            for name, files in self.manifest.of_rows.items()
        }

    @property
    def rows(self) -> int:
        """Rows that were read, and rows that were made."""
        return self.manifest.rows + self.manifest.generated

    @property
    def is_prediction(self) -> bool:
        """Whether it is that of a dry run, which wrote no rows."""
        return not self.manifest.of_rows

    @cached_property
    def state(self) -> NDArray[np.uint8]:
        """What became of each row, as in `STATES`; `(rows,)`."""
        return self._column("state")

    @cached_property
    def step(self) -> NDArray[np.uint16]:
        """The step that ended its way, 0 for reading and where none did; `(rows,)`."""
        return self._column("step")

    @cached_property
    def reason(self) -> NDArray[np.uint16]:
        """Why, as in the manifest's `reasons`; `(rows,)`."""
        return self._column("reason")

    @cached_property
    def witness(self) -> NDArray[np.uint64] | None:
        """The row that stands for it, itself where none does; None without a deduplication."""
        return self._column("witness") if self._has("witness") else None

    def column(self, name: str) -> NDArray[Any]:
        """Give a column of `ledger/` by its name; an empty one if the run left none."""
        return self._column(name) if self._has(name) else np.empty(0, np.uint64)

    def columns(self) -> Iterator[tuple[str, str, NDArray[Any]]]:
        """List what steps said of rows: `scores` or `flags`, the name, and the column."""
        for kind in ("scores", "flags"):
            for path in sorted((self.folder / LEDGER / kind).glob("*.npy")):
                yield kind, path.stem, np.load(path, mmap_mode="r")

    def reasons_of(self, state: str) -> list[tuple[str, int]]:
        """Count the rows in a state by their reasons."""
        rows = self.reason[self.state == STATES.index(state)]
        counts = count_each(rows, len(self.manifest.reasons))
        named = zip(self.manifest.reasons, counts, strict=True)
        return [(reason, count) for reason, count in named if count]

    def place(self, row: int) -> tuple[str, int] | None:
        """Tell the path of a row's file as given, and its line; None for one that was made."""
        if row >= self.manifest.rows:
            return None
        return self.input_of(row).name, int(self._column("line")[row])

    def input_of(self, row: int) -> Input:
        """Tell which input a row came from, or the row that it was made of descends from."""
        while row >= self.manifest.rows:
            row = self._parent(row)
        # Inputs without rows share their first row with the next one; the last of them holds it.
        at = bisect_right([one.first_row for one in self.manifest.inputs], row)
        return self.manifest.inputs[at - 1]

    def find(self, given: str) -> int:
        """Find a row by its number, or by file and line, `a.jsonl:17`.

        Raises:
            CurateError: There is no such row.
        """
        if given.isascii() and given.isdigit():
            if len(given) <= _DIGITS and int(given) < self.rows:
                return int(given)
            raise CurateError(
                f"there is no row {given}: the run has {self.rows:,} rows, counted from 0"
            )
        name, colon, line = given.rpartition(":")
        if not colon or not (line.isascii() and line.isdigit()):
            raise CurateError(f"`{given}` is no row", "a row is like `17` or `data/a.jsonl:18`")
        meant = [one for one in self.manifest.inputs if one.name == name]
        meant = meant or [one for one in self.manifest.inputs if Path(one.name).name == name]
        if len(meant) != 1:
            told = "several inputs are" if meant else "no input is"
            names = [one.name for one in meant or self.manifest.inputs]
            more = ", …" if len(names) > 3 else ""  # noqa: PLR2004 (so many are told)
            raise CurateError(f"{told} called `{name}`", f"there is {', '.join(names[:3])}{more}")
        rows = self._column("line")[meant[0].first_row : meant[0].first_row + meant[0].rows]
        wanted = np.uint64(int(line[: _DIGITS + 1]))
        at = int(np.searchsorted(rows, wanted))
        if at == len(rows) or rows[at] != wanted:
            row = meant[0].first_row + at - 1
            hint = f"row {row} before it begins on line {rows[at - 1]}" if at else None
            raise CurateError(f"{given}: no row begins on this line", hint)
        return meant[0].first_row + at

    def decision(self, row: int) -> Decision | None:
        """Find the line of `decisions.jsonl` about a row, by bisection; None if there is none."""
        line = self.decision_line(row)
        return None if line is None else _decision(line, self.folder)

    def decision_line(self, row: int) -> bytes | None:
        """The same, as it stands there."""
        with (self.folder / DECISIONS).open("rb") as file:
            low, high = 0, file.seek(0, os.SEEK_END)
            while low < high:
                middle = (low + high) // 2
                start, line = _line_after(file, middle)
                if not line or _row_of(line, self.folder) > row:
                    high = middle
                elif (found := _row_of(line, self.folder)) < row:
                    low = start + len(line)
                elif found == row:
                    return line
        return None

    def now(self, row: int) -> bytes:
        """Give a row as it was when it left the run, without the line feed."""
        if self.state[row] == KEPT:
            return self._at("kept", self._kept_line(row))
        at = self._among(REWRITTEN, row)
        return self.original(row) if at is None else self._at(REWRITTEN, at)

    def original(self, row: int) -> bytes:
        """Give a row as it was read, or, if it was made, as it was when it left the run."""
        state = int(self.state[row])
        if state == KEPT:
            at = self._among(ORIGINALS, row)
            return self.now(row) if at is None else self._at(ORIGINALS, at)
        first = 0
        if state == REMOVED and self.manifest.removed == "refer":
            first = self.manifest.rows  # rows that were made stand nowhere else, so they are copied
            if row < first:
                return self._referred(row)
        name = {REMOVED: "removed", QUARANTINED: "quarantine"}[state]
        return self._at(name, int(np.count_nonzero(self.state[first:row] == state)))

    def lines_of(self, row: int) -> int:
        """Tell how many lines of the kept rows are this one."""
        if self.state[row] != KEPT or not (self.folder / ORDER).exists():
            return int(self.state[row] == KEPT)
        return int(np.count_nonzero(np.load(self.folder / ORDER, mmap_mode="r") == row))

    def is_rewritten(self, row: int) -> bool:
        """Tell whether it left the run as another than it was read."""
        return any(self._among(name, row) is not None for name in (ORIGINALS, REWRITTEN))

    def lines(self, name: str) -> Iterator[bytes]:
        """Read all rows of a kind from front to end, without their line feeds."""
        for file in self._files.get(name, []):
            yield from file

    def _at(self, name: str, line: int) -> bytes:
        files = self._files[name]
        ends = list(accumulate(file.rows for file in files))
        at = bisect_right(ends, line)
        if at == len(files):
            path = self.folder / DECISIONS
            raise DataError(str(path.with_name(name)), line + 1, "this row is missing")
        return files[at][line - (ends[at - 1] if at else 0)]

    def _kept_line(self, row: int) -> int:
        if not (self.folder / ORDER).exists():
            return int(np.count_nonzero(self.state[:row] == KEPT))
        order = np.load(self.folder / ORDER, mmap_mode="r")
        return int(np.argmax(order == row))

    def _among(self, name: str, row: int) -> int | None:
        """Tell the place of a row among those of which another version is kept."""
        rows = self._column(name) if self._has(name) else ()
        at = int(np.searchsorted(rows, np.uint64(row)))  # an `int` would have all of them cast
        return at if at < len(rows) and rows[at] == row else None

    def _referred(self, row: int) -> bytes:
        """Read a removed row that was not copied from its input."""
        decision = self.decision(row)
        assert decision is not None  # noqa: S101 (it was removed)
        return self.read_input(decision)

    def read_input(self, decision: Decision) -> bytes:
        """Read a row, which something was said of, from its input.

        Raises:
            CurateError: The input is packed.
            DataError: The input cannot be read, or is another now.
        """
        row, place = decision.row, self.input_of(decision.row)
        if place.compression != "none" or place.name == "-":
            hint = "with `--removed copy`, removed rows stand in the output"
            raise CurateError(f"row {row} was removed, and stands only in `{place.name}`", hint)
        try:
            with Path(place.name).open("rb") as file:
                file.seek(decision.byte)
                found = first_row(file, place)
        except OSError as error:
            raise DataError(place.name, None, f"cannot be read: {error.strerror}") from None
        if found is None:
            raise DataError(place.name, decision.line, "is not the row that was read there")
        return found

    def _parent(self, row: int) -> int:
        line = self.decision_line(row)
        events = json.loads(line)["events"] if line is not None else []
        parents = [event["parent"] for event in events if event["action"] == "generated"]
        if not parents:
            raise DataError(str(self.folder / DECISIONS), None, f"does not say what made row {row}")
        return int(parents[0])

    def _has(self, name: str) -> bool:
        return f"{LEDGER}/{name}.npy" in self.manifest.files

    def _column(self, name: str) -> NDArray[Any]:
        found = self._loaded.get(name)
        if found is None:
            path = self.folder / LEDGER / f"{name}.npy"
            try:
                found = self._loaded[name] = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise DataError(str(path), None, f"cannot be read: {error}") from None
        return found

    @cached_property
    def _loaded(self) -> dict[str, NDArray[Any]]:
        return {}


class _RowFile:
    """A file of rows, in which each is found by its number."""

    def __init__(self, folder: Path, file: Rows) -> None:
        self._path = folder / file.name
        self._index = folder / LEDGER / "index" / f"{Path(file.name).name}.npy"
        self.rows = file.rows

    def __getitem__(self, number: int) -> bytes:
        piece, at = divmod(number, _native.STRIDE)
        line = next(islice(self._piece(piece), at, None), b"")
        if not line.endswith(b"\n"):
            raise DataError(str(self._path), number + 1, "this line is missing")
        return line[:-1]

    def __iter__(self) -> Iterator[bytes]:
        if self._path.suffix != PACKED:
            with self._path.open("rb") as file:
                yield from (line.removesuffix(b"\n") for line in file)
            return
        for piece in range(len(self._offsets)):
            yield from (line.removesuffix(b"\n") for line in self._piece(piece))

    @cached_property
    def _offsets(self) -> NDArray[np.uint64]:
        offsets: NDArray[np.uint64] = np.load(self._index)
        return offsets

    def _piece(self, piece: int) -> Sequence[bytes]:
        """Give the lines from one known offset to the next."""
        if piece >= len(self._offsets):
            return ()
        with self._path.open("rb") as file:
            start = file.seek(int(self._offsets[piece]))
            if self._path.suffix != PACKED:
                return list(islice(file, _native.STRIDE))
            is_last = piece + 1 == len(self._offsets)
            frame = file.read(-1 if is_last else int(self._offsets[piece + 1]) - start)
        try:
            return list(BytesIO(_native.unpack(frame)))
        except ValueError as error:
            raise DataError(str(self._path), None, f"cannot be unpacked: {error}") from None


def _line_after(file: BinaryIO, at: int) -> tuple[int, bytes]:
    """Find the first line that begins at `at` or later."""
    file.seek(max(0, at - 1))
    if at > 0:
        file.readline()
    return file.tell(), file.readline()


def _row_of(line: bytes, folder: Path) -> int:
    digits, _, _ = line.removeprefix(b'{"row":').partition(b",")
    if not digits.isdigit():
        raise DataError(str(folder / DECISIONS), None, "holds a line that is no decision")
    return int(digits)


def _decision(line: bytes, folder: Path) -> Decision:
    try:
        return msgspec.json.decode(line, type=Decision)
    except msgspec.DecodeError as error:
        raise DataError(str(folder / DECISIONS), None, str(error)) from None


def first_row(file: BinaryIO, of: Input) -> bytes | None:
    """Read the row that begins here, as it is written; None if none does."""
    if of.framing == "lines":
        return file.readline().removesuffix(b"\n")
    decoder = json.JSONDecoder(parse_int=str)  # an `int` has a limit
    text, size = "", 1 << 16
    while piece := file.read(size):
        text += piece.decode("latin-1")  # so that a character is a byte
        try:
            _, end = decoder.raw_decode(text)
        except ValueError:
            size = len(text)  # it goes on, and what was read twice is no more than what is new
        else:
            return text[:end].replace("\n", " ").replace("\r", " ").encode("latin-1")
    return None

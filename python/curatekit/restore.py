"""The inputs of a run, rebuilt from its folder.

Every row stands there as it was read, and so does what stood between rows. Files are read from
front to end and written so; only where the kept rows are written in another order, or more than
once, are they first sorted out into a temporary file. A file of lines comes back byte for byte,
which its hash proves; in an array, line breaks inside elements come back as spaces.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np
from msgspec import Struct
from xxhash import xxh3_128

from curatekit.errors import CurateError, DataError
from curatekit.ledger import Ledger, first_row
from curatekit.manifest import ABSENT, KEPT, ORIGINALS, QUARANTINED, REMOVED, Input
from curatekit.output import (
    DECISIONS,
    JOURNAL,
    LEDGER,
    check_space,
    named,
    places,
    staged,
    unfinished,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curatekit._native import Progress

STDIN = "stdin.jsonl"
"""What standard input is called."""
_ENDINGS = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_PIECE = 1 << 16
"""Rows that are looked at together."""
_READ = 1 << 20
_TOLD = 1 << 22
"""Bytes from one report of how far it is to the next."""


class _Found(Struct, frozen=True):
    """Where a decision says that its row stands."""

    row: int
    state: str
    byte: int = 0


def restore(folder: Path, to: Path, *, progress: Progress | None = None) -> list[Path]:
    """Write the inputs of a run, decompressed, into a new folder.

    They stand there by their paths relative to the folder that they have in common. The new folder
    appears whole, or not at all.

    Args:
        folder: What the run left.
        to: The new folder: one that does not exist yet, or an empty one.
        progress: Called as the files are written, in bytes.

    Returns:
        The file of each input, in their order.

    Raises:
        CurateError: The folder is not the output of a run that looked at all rows, or `to` exists.
        DataError: The folder is damaged; or removed rows stand only in an input that has changed.
        OSError: The disk is full or fails.
    """
    ledger = Ledger(folder)
    _check_whole(ledger)
    inputs = ledger.manifest.inputs
    names = file_names(inputs)
    is_empty = _is_empty(to, folder)
    with staged(to, force=is_empty) as work:
        check_space(work.folder, sum(one.bytes for one in inputs))
        meter = _Meter(progress, sum(one.bytes for one in inputs))
        rows, gaps = _rows(ledger, work.place), _Gaps(ledger)
        for at, (one, name) in enumerate(zip(inputs, names, strict=True)):
            path = work.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, one, gaps.between(one, at, rows), meter)
        meter.end()
    return [to / name for name in names]


def file_names(inputs: Sequence[Input]) -> list[str]:
    """Name the files of inputs: relative paths that lead into a folder, and none of them twice."""
    spelled = [_parts(one) for one in inputs]
    folders = [parts[:-1] for one, parts in zip(inputs, spelled, strict=True) if one.name != "-"]
    shared = sum(1 for _ in takewhile(_are_equal, zip(*folders, strict=False)))
    taken: set[tuple[str, ...]] = set()
    folders_taken: set[tuple[str, ...]] = set()
    names = []
    for one, parts in zip(inputs, spelled, strict=True):
        inner = () if one.name == "-" else parts[:-1][shared:]
        path = _free((*(name for name in inner if name != ".."), parts[-1]), taken, folders_taken)
        taken.add(path)
        folders_taken.update(path[:length] for length in range(1, len(path)))
        names.append("/".join(path))
    return names


def _are_equal(names: Sequence[str]) -> bool:
    return len(set(names)) == 1


def _parts(one: Input) -> tuple[str, ...]:
    """Split the path of an input, and take the ending of a packed one off."""
    if one.name == "-":
        return (STDIN,)
    parts = posixpath.normpath(one.name.replace("\0", "\N{REPLACEMENT CHARACTER}")).split("/")
    *folders, name = [part for part in parts if part not in ("", ".")] or ["input"]
    ending = _ENDINGS[one.compression]
    if ending and name.lower().endswith(ending) and len(name) > len(ending):
        name = name[: -len(ending)]
    return (*folders, "input" if name == ".." else name)


def _free(
    path: tuple[str, ...], taken: set[tuple[str, ...]], folders: set[tuple[str, ...]]
) -> tuple[str, ...]:
    """Change a path, if need be, into one that is neither a file nor a folder of another one."""
    fixed = list(path)
    for at, name in enumerate(path):
        is_file = at == len(path) - 1
        stem, ending = posixpath.splitext(name)
        names = (name if number == 1 else f"{stem}-{number}{ending}" for number in count(1))
        tried = ((*fixed[:at], one) for one in names)
        free = (one for one in tried if one not in taken and not (is_file and one in folders))
        fixed[at] = next(free)[-1]
    return tuple(fixed)


def _check_whole(ledger: Ledger) -> None:
    """See that all rows of the inputs are in a folder."""
    if ledger.is_prediction:
        raise CurateError(
            f"`{ledger.folder}` is only a prediction, and holds no rows",
            "without `--dry-run` the recipe leaves a folder that can be restored",
        )
    if absent := int(np.count_nonzero(ledger.state == ABSENT)):
        looked_at = ledger.manifest.rows - absent
        raise CurateError(
            f"`{ledger.folder}` cannot be restored: the run looked only at the first "
            f"{looked_at:,} of {ledger.manifest.rows:,} rows",
            "run it without `--rows`",
        )


def _is_empty(to: Path, folder: Path) -> bool:
    """Tell whether the new folder exists, and is empty; it may not be anything else that exists."""
    if Path(os.path.realpath(to)).is_relative_to(os.path.realpath(folder)):
        raise CurateError(f"`{to}` lies in the output of the run", "name another folder")
    work = places(to)[1]
    if (work / JOURNAL).exists():
        raise unfinished(work, "nothing else can go there")
    if not os.path.lexists(to):
        return False
    if to.is_symlink() or not to.is_dir() or any(to.iterdir()):
        raise CurateError(f"`{to}` exists already", "name a folder that is empty, or not there yet")
    return True


class _Meter:
    """Tells how many bytes are written."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._told = 0

    def __call__(self, size: int) -> None:
        self._done += size
        if self._progress is not None and self._done - self._told >= _TOLD:
            self._told = self._done
            self._progress("write", self._done, self._total)

    def end(self) -> None:
        if self._progress is not None:
            self._progress("write", self._total, self._total)


def _write(path: Path, one: Input, pieces: Iterator[bytes], meter: _Meter) -> None:
    """Write an input, and see that it is what was read."""
    found, size = xxh3_128(), 0
    with named(path), path.open("xb", buffering=_READ) as file:
        for piece in pieces:
            file.write(piece)
            found.update(piece)
            size += len(piece)
            meter(len(piece))
        file.flush()
        os.fsync(file.fileno())
    is_same = found.hexdigest() == one.xxh3_128 or one.framing != "lines"
    if size != one.bytes or not is_same:
        raise DataError(
            one.name,
            None,
            "cannot be restored: what the folder holds of it is not what was read",
            "`curatekit verify` tells what is damaged",
        )


class _Gaps:
    """What stands between rows."""

    def __init__(self, ledger: Ledger) -> None:
        self._path = ledger.folder / LEDGER / "gaps.bin"
        self._noted = _values(ledger.column("gaps"))
        self._start = 0
        self._number, self._end = -1, 0
        self._next()

    def between(self, one: Input, at: int, rows: Iterator[bytes]) -> Iterator[bytes]:
        """Give the bytes of an input, the one at this place: its rows, and what is between them."""
        usual = one.gap.encode("latin-1")
        first, last = one.first_row + at, one.first_row + at + one.rows
        with self._path.open("rb") as file:
            for number in range(first, last + 1):
                if number == self._number:
                    yield from self._take(file)
                elif first < number < last:
                    yield usual
                elif number == last and one.framing == "lines" and one.rows:
                    yield b"\n"
                if number < last:
                    yield next(rows)

    def _take(self, file: BinaryIO) -> Iterator[bytes]:
        """Give a gap that is not the usual one."""
        left = self._end - file.seek(self._start)
        while left > 0 and (piece := file.read(min(left, _READ))):
            left -= len(piece)
            yield piece
        self._start = self._end
        self._next()

    def _next(self) -> None:
        self._number, self._end = next(self._noted, (-1, 0))


def _rows(ledger: Ledger, scratch: Path) -> Iterator[bytes]:
    """Give the rows of the inputs in their order, as they were read."""
    is_ordered = len(ledger.column("order")) > 0
    referred = ledger.manifest.removed == "refer"
    sources = {
        KEPT: _in_row_order(ledger, scratch) if is_ordered else ledger.lines("kept"),
        REMOVED: _referred(ledger) if referred else ledger.lines("removed"),
        QUARANTINED: ledger.lines("quarantine"),
    }
    changed, originals = _values(ledger.column(ORIGINALS)), ledger.lines(ORIGINALS)
    next_changed = next(changed, None)
    for row, state in enumerate(_values(ledger.state[: ledger.manifest.rows])):
        line = next(sources[state], None) if state in sources else None
        if row == next_changed:
            line = next(originals, None)
            next_changed = next(changed, None)
        if line is None:
            raise DataError(str(ledger.folder), None, f"row {row} is missing")
        yield line


def _in_row_order(ledger: Ledger, scratch: Path) -> Iterator[bytes]:
    """Give the kept rows in their own order, each once."""
    _, first = np.unique(ledger.column("order"), return_index=True)
    by_line = np.argsort(first)
    starts = np.zeros(len(first), np.uint64)
    with tempfile.TemporaryFile(dir=scratch) as file:
        lines = enumerate(ledger.lines("kept"))
        at = 0
        for place in _values(by_line):
            wanted = int(first[place])
            line = next((line for number, line in lines if number == wanted), b"")
            starts[place] = at
            at += file.write(line + b"\n")
        for at in _values(starts):
            file.seek(at)
            yield file.readline()[:-1]


def _values(column: NDArray[Any]) -> Iterator[Any]:
    """Go through a column without all of it as Python numbers."""
    for start in range(0, len(column), _PIECE):
        yield from column[start : start + _PIECE].tolist()


def _referred(ledger: Ledger) -> Iterator[bytes]:
    """Give the removed rows, which stand in the inputs only."""
    decoder, path = msgspec.json.Decoder(_Found), ledger.folder / DECISIONS
    place: Input | None = None
    file: BinaryIO | None = None
    try:
        with path.open("rb") as decisions:
            for number, line in enumerate(decisions, 1):
                try:
                    found = decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise DataError(str(path), number, str(error)) from None
                if found.state != "removed" or found.row >= ledger.manifest.rows:
                    continue
                now = ledger.input_of(found.row)
                if file is None or now is not place:
                    if file is not None:
                        file.close()
                    place, file = now, _open_unchanged(now)
                file.seek(found.byte)
                yield first_row(file, now) or b""
    finally:
        if file is not None:
            file.close()


def _open_unchanged(one: Input) -> BinaryIO:
    """Open an input that is still what the run read."""
    if one.compression != "none" or one.name == "-":
        raise CurateError(
            f"the removed rows of `{one.name}` stand only there",
            "with `--removed copy`, removed rows stand in the output",
        )
    try:
        file = Path(one.name).open("rb")  # noqa: SIM115 (the caller closes it)
        found = xxh3_128()
        while block := file.read(_READ):
            found.update(block)
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        raise DataError(one.name, None, f"cannot be read: {told}") from None
    if found.hexdigest() != one.xxh3_128:
        file.close()
        raise DataError(
            one.name, None, "is not what the run read, and removed rows stand only there"
        )
    return file

"""The files of rows: lines that are one row each, and an index of where they begin."""

from __future__ import annotations

import json
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO
from itertools import accumulate, repeat, zip_longest
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from curatekit._native import unpack
from curatekit.verify.columns import Columns
from curatekit.verify.findings import Findings
from curatekit.verify.form import KEPT, PIECE, STRIDE, Manifest, Rows, values

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOWHERE = 2**64 - 1
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RowFiles:
    """The rows of a folder by their kinds. What is wrong with a file is told as it is read."""

    def __init__(self, folder: Path, manifest: Manifest, columns: Columns, found: Findings) -> None:
        self._folder, self._manifest = folder, manifest
        self._columns, self._found = columns, found

    def lines(self, kind: str) -> Iterator[bytes | None]:
        """Read all rows of a kind; None stands for one that cannot be read."""
        for file in self._manifest.of_rows.get(kind, ()):
            if not (self._folder / file.name).is_file():
                continue  # told already
            found = 0
            for line in self._lines_of(file):
                found += 1
                if line is not None and kind != "quarantine" and not _is_object(line):
                    self._found.add(file.name, "is no JSON object", f"line {found}")
                yield line
            if found != file.rows:
                told = f"has {found:,} lines, but the manifest says {file.rows:,}"
                self._found.add(file.name, told)

    def kept(self) -> Iterator[bytes | None]:
        """Read the kept rows in their own order, each once; its copies must be equal to it."""
        order = self._columns.order
        if order is None or not self._manifest.of_rows:
            yield from self.lines("kept")
            return
        rows = np.flatnonzero(self._columns.state == KEPT).astype(np.uint64)
        starts = np.full(len(rows), _NOWHERE, np.uint64)
        sizes, hashes = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint64)
        with _Shelf(self._folder, self._manifest.of_rows["kept"]) as shelf:
            places = zip_longest(_places(order, rows), self.lines("kept"), fillvalue=None)
            for number, (place, line) in enumerate(places, 1):
                if line is None:
                    continue
                start, content = shelf.put(line), xxh3_64_intdigest(line)
                if place is None or place < 0:
                    continue
                if starts[place] == _NOWHERE:
                    starts[place], sizes[place], hashes[place] = start, len(line), content
                elif int(hashes[place]) != content:
                    told = f"line {number} of the kept rows is no copy of row {rows[place]}"
                    self._found.add("ledger/order.npy", told, f"value {number - 1}")
            for start, size in zip(values(starts), values(sizes), strict=True):
                yield None if start == _NOWHERE else shelf.get(start, size)

    def _lines_of(self, file: Rows) -> Iterator[bytes | None]:
        """Read the rows of a file, and see that the index tells where they begin."""
        index = self._columns.index[file.name]
        offsets = None if index is None else index.tolist()
        path = f"ledger/index/{PurePosixPath(file.name).name}.npy"
        with (self._folder / file.name).open("rb") as opened:
            if file.name.endswith(".zst"):
                yield from self._unpacked(file, opened, offsets, path)
                return
            at = 0
            for number, line in enumerate(opened):
                piece, inner = divmod(number, STRIDE)
                if inner == 0 and offsets is not None and offsets[piece : piece + 1] != [at]:
                    self._found.add(path, f"line {number + 1} begins at {at}", f"value {piece}")
                if not line.endswith(b"\n"):
                    self._found.add(file.name, "does not end", f"line {number + 1}")
                at += len(line)
                yield line.removesuffix(b"\n")

    def _unpacked(
        self, file: Rows, opened: BinaryIO, offsets: list[int] | None, path: str
    ) -> Iterator[bytes | None]:
        """Unpack a file, frame by frame as the index says."""
        size = opened.seek(0, os.SEEK_END)
        if offsets is None:
            return  # told already
        if offsets != sorted({*offsets, *([0] if offsets else [])}):
            self._found.add(path, "is not ascending from 0 on")
            return
        starts = offsets or [0]
        for at, (start, end) in enumerate(zip(starts, [*starts[1:], size], strict=True)):
            expected = min(STRIDE, file.rows - at * STRIDE)
            opened.seek(start)
            try:
                lines = list(BytesIO(unpack(opened.read(max(0, end - start)))))
            except ValueError as error:
                self._found.add(file.name, f"cannot be unpacked: {error}", f"byte {start}")
                yield from repeat(None, expected)
                continue
            if len(lines) != expected or not all(line.endswith(b"\n") for line in lines[-1:]):
                told = f"holds {len(lines):,} lines, not {expected:,}"
                self._found.add(file.name, told, f"frame {at}")
            yield from (line.removesuffix(b"\n") for line in lines)


class _Shelf:
    """Kept rows by where they begin, in their files or, if these are packed, in a temporary one."""

    def __init__(self, folder: Path, files: Sequence[Rows]) -> None:
        self._paths = [folder / file.name for file in files if (folder / file.name).is_file()]
        self._stack = ExitStack()
        self._is_packed = any(path.suffix == ".zst" for path in self._paths)
        self._at = 0

    def __enter__(self) -> Self:
        if self._is_packed:
            self._files: list[BinaryIO] = [self._stack.enter_context(tempfile.TemporaryFile())]
            self._starts = [0]
        else:
            self._files = [self._stack.enter_context(path.open("rb")) for path in self._paths]
            self._starts = [0, *accumulate(path.stat().st_size for path in self._paths)]
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def put(self, line: bytes) -> int:
        """Take the next row, and tell where it begins."""
        start = self._at
        self._at += len(line) + 1
        if self._is_packed:
            self._files[0].write(line + b"\n")
        return start

    def get(self, start: int, size: int) -> bytes:
        """Give the row that begins there."""
        at = min(bisect_right(self._starts, start), len(self._files)) - 1
        self._files[at].seek(start - self._starts[at])
        return self._files[at].read(size)


def _places(order: NDArray[Any], rows: NDArray[Any]) -> Iterator[int]:
    """Tell the place of each value among some rows, -1 where it is none of them."""
    for start in range(0, len(order), PIECE):
        piece = order[start : start + PIECE]
        places = np.searchsorted(rows, piece)
        found = np.minimum(places, max(0, len(rows) - 1))
        is_there = rows[found] == piece if len(rows) else np.zeros(len(piece), np.bool_)
        yield from np.where(is_there, found, -1).tolist()


def _is_object(line: bytes) -> bool:
    """Tell whether a line is a JSON object; halves of surrogate pairs may stand in its strings."""
    try:
        line.decode()
        _OBJECT.decode(line)
    except UnicodeDecodeError:
        return False
    except msgspec.DecodeError:
        try:
            return isinstance(json.loads(line, parse_int=str, parse_constant=_refuse), dict)
        except (ValueError, RecursionError):
            return False
    return True


def _refuse(word: str) -> None:
    raise ValueError(f"`{word}` is no JSON")

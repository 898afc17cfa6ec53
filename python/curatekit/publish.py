"""What a run leaves: files of rows, the ledger, and last the manifest that names all of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
from xxhash import xxh3_128

from curatekit import _native
from curatekit.manifest import (
    ABSENT,
    BLOCK,
    KEPT,
    MANIFEST,
    ORIGINALS,
    QUARANTINED,
    REMOVED,
    REWRITTEN,
    STATES,
    Columns,
    File,
    Input,
    Manifest,
    Rows,
    Written,
)
from curatekit.output import DECISIONS, LEDGER, ORDER, Packing, check_space, named
from curatekit.report import to_json

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from curatekit._native import Progress, WrittenFile

_PIECE = 1 << 16
"""Values of a column that are put together at a time."""


class Publisher:
    """Writes a folder, and keeps account of what it wrote.

    Args:
        folder: Where to write.
        dataset: The rows as they now are.
        columns: What became of them.
        packing: How to write them.
        threads: 0 is one a core; with more than one, large files are written while the next rows
            are gathered.
    """

    def __init__(
        self,
        folder: Path,
        dataset: _native.Dataset,
        columns: Columns,
        packing: Packing,
        threads: int,
    ) -> None:
        self._folder = folder
        self._dataset = dataset
        self._columns = columns
        self._packing = packing
        self._threads = threads
        self._files: dict[str, File] = {}
        self._of_rows: dict[str, tuple[Rows, ...]] = {}
        self.written: dict[str, Written] = {}
        (folder / LEDGER).mkdir()
        inputs = dataset.inputs()
        self._read = sum(one["rows"] for one in inputs)

    def write_rows(self, progress: Progress | None) -> None:
        """Write every row to the file of its fate, and what it was before, where that differs.

        Raises:
            DataError: An input changed since it was read.
            OSError: The disk is full or fails.
        """
        columns, packing = self._columns, self._packing
        if packing.removed == "copy" and packing.compress == "none":
            # Every row is written once as it was read; a packed one may be shorter.
            check_space(self._folder, self._dataset.bytes_of(columns.state != ABSENT))
        # One list of rows at a time: of many rows each is large.
        kept = columns.rows(KEPT) if columns.order is None else columns.order
        self._copy("kept", kept, progress)
        del kept
        removed = columns.rows(REMOVED)
        if packing.removed == "refer":
            removed = removed[removed >= self._read]
        self._copy("removed", removed, None, original=True)
        del removed
        self._copy("quarantine", columns.rows(QUARANTINED), None, original=True)
        self._copy_changed(ORIGINALS, (KEPT,), original=True)
        self._copy_changed(REWRITTEN, (REMOVED, QUARANTINED), original=False)

    def write_ledger(self) -> None:
        """Write what is known of every row."""
        columns = self._columns
        for name in ("state", "step", "reason"):
            self._column(name, getattr(columns, name))
        for name, column in columns.witnesses.items():
            self._column(name, column(), "<u8" if name == "witness" else "<u4")
        for name, said in sorted(columns.said.items()):
            self._column(name, said)
        if columns.order is not None:
            self._column(ORDER.removeprefix(f"{LEDGER}/").removesuffix(".npy"), columns.order)
        self._lines()

    def check_counts(self) -> None:
        """Count the rows that were written, by other means than they were written by.

        Raises:
            OSError: A row is missing, or there is one too many.
        """
        counts = self._columns.counts()
        copies = 0 if self._columns.order is None else len(self._columns.order) - counts[KEPT]
        total = sum(counts) - counts[ABSENT] + copies
        expected = [counts[KEPT] + copies, counts[REMOVED], counts[QUARANTINED]]
        stems = ("kept", "removed", "quarantine")
        found = [count_rows(self._folder, stem, self._threads) for stem in stems]
        if self._packing.removed == "refer":
            with (self._folder / DECISIONS).open("rb") as file:
                found[1] = sum(b',"state":"removed",' in line for line in file)
        if found != expected or sum(found) != total:
            words = f"{total:,} rows were read, but {sum(found):,} written"
            raise OSError(errno.EIO, words, str(self._folder))

    def note(self, written: WrittenFile) -> None:
        """Take account of a file that the core wrote."""
        self._files[written["name"]] = File(bytes=written["bytes"], blocks=tuple(written["blocks"]))

    def document(self, name: str, content: bytes) -> None:
        """Write a small file."""
        with _Hashed(self._folder / name) as file:
            file.write(content)
        self._files[name] = file.entry

    def write_manifest(self) -> Manifest:
        """Write what there is, last of all."""
        gaps, numbers, ends, between = self._dataset.gaps()
        self._column("gaps", np.stack([numbers, ends], axis=1))
        self.document(f"{LEDGER}/gaps.bin", between)
        columns = self._columns
        inputs = zip(self._dataset.inputs(), gaps, strict=True)
        manifest = Manifest(
            curatekit=_native.__version__,
            unicode=_native.UNICODE_VERSION,
            rows=self._read,
            generated=len(columns.state) - self._read,
            counts=dict(zip(STATES, columns.counts(), strict=True)),
            steps=tuple(columns.steps),
            reasons=tuple(columns.reasons),
            removed=self._packing.removed,
            compress=self._packing.compress,
            inputs=tuple(Input(**one, gap=gap.decode("latin-1")) for one, gap in inputs),
            of_rows=self._of_rows,
            files=dict(sorted(self._files.items())),
        )
        with _Hashed(self._folder / MANIFEST) as file:
            file.write(to_json(manifest))
        return manifest

    def _copy(
        self,
        stem: str,
        rows: NDArray[np.uint64],
        progress: Progress | None,
        *,
        original: bool = False,
        folder: str = "",
    ) -> None:
        packing = self._packing
        files = self._dataset.copy(
            rows,
            self._folder / folder,
            stem,
            original=original,
            shard_bytes=None if folder else packing.shard_bytes,
            zstd=packing.compress == "zst",
            threads=self._threads,
            progress=progress,
        )
        prefix = f"{folder}/" if folder else ""
        for file in files:
            path = f"{prefix}{file['name']}"
            self._files[path] = File(bytes=file["bytes"], blocks=tuple(file["blocks"]))
            self._column(f"index/{file['name']}", np.array(file["index"], np.uint64))
            if not folder:
                told = Written(rows=file["rows"], bytes=file["bytes"], xxh3_128=file["xxh3_128"])
                self.written[path] = told
        named_rows = (Rows(name=f"{prefix}{file['name']}", rows=file["rows"]) for file in files)
        self._of_rows[stem] = tuple(named_rows)

    def _copy_changed(self, stem: str, states: tuple[int, ...], *, original: bool) -> None:
        rows = self._dataset.rewritten()
        state = self._columns.state[rows]
        rows = rows[np.logical_or.reduce([state == one for one in states])]
        del state
        if len(rows):
            self._copy(stem, rows, None, original=original, folder=LEDGER)
            self._column(stem, rows)

    def _lines(self) -> None:
        """Write on which line of its file each row begins."""
        starts = range(0, self._read, _PIECE)
        rows = (np.arange(at, min(self._read, at + _PIECE), dtype=np.uint64) for at in starts)
        pieces = (self._dataset.lines(some) for some in rows)
        self._write("line", pieces, np.dtype("<u8"), (self._read,))

    def _column(self, name: str, column: NDArray[Any], dtype: str | None = None) -> None:
        kind = np.dtype(dtype or column.dtype)
        starts = range(0, len(column), _PIECE)
        pieces = (column[at : at + _PIECE].astype(kind, copy=False) for at in starts)
        self._write(name, pieces, kind, column.shape)

    def _write(
        self,
        name: str,
        pieces: Iterable[NDArray[Any]],
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
    ) -> None:
        """Write a column in pieces, so that memory never holds it twice."""
        path = self._folder / LEDGER / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        with _Hashed(path) as file:
            head = {"descr": dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            for piece in pieces:
                file.write(np.ascontiguousarray(piece).data.cast("B") if piece.size else b"")
        self._files[f"{LEDGER}/{name}.npy"] = file.entry


class _Hashed:
    """A file that is hashed as it is written, and down to the disk when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = 0
        self._hash = xxh3_128()
        self._blocks: list[str] = []

    def __enter__(self) -> Self:
        with named(self._path):
            self._file: BinaryIO = self._path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with named(self._path):
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            with suppress(OSError):  # what could not be flushed is told already
                self._file.close()

    def write(self, data: bytes | memoryview) -> None:
        """Write bytes."""
        with named(self._path):
            self._file.write(data)
        left = memoryview(data)
        while left:
            now = left[: BLOCK - self._bytes % BLOCK]
            self._hash.update(now)
            self._bytes += len(now)
            if self._bytes % BLOCK == 0:
                self._blocks.append(self._hash.hexdigest())
                self._hash = xxh3_128()
            left = left[len(now) :]

    @property
    def entry(self) -> File:
        """What stands in the manifest of it."""
        rest = [self._hash.hexdigest()] if self._bytes % BLOCK else []
        return File(bytes=self._bytes, blocks=(*self._blocks, *rest))


def count_rows(folder: Path, stem: str, threads: int) -> int:
    """Count the lines of the files of a kind, by their names and what stands in them."""
    name = re.compile(rf"{stem}(-\d+)?\.jsonl(\.zst)?")
    files = (path for path in folder.iterdir() if name.fullmatch(path.name))
    return sum(_count_lines(path, threads) for path in files)


def _count_lines(path: Path, threads: int) -> int:
    if path.suffix == ".zst":
        return sum(piece.count(b"\n") for piece in _unpacked(path))
    return _native.count_lines(path, threads)


def _unpacked(path: Path) -> Iterator[bytes]:
    """Unpack a file frame by frame; each begins with the magic number of Zstandard."""
    index = np.load(path.parent / LEDGER / "index" / f"{path.name}.npy").tolist()
    with path.open("rb") as file:
        for start, end in pairwise((*index, None)):  # of an empty file there is nothing
            yield _native.unpack(file.read(-1 if end is None else end - start))

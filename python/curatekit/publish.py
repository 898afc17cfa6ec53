"""What a run leaves: files of rows, the ledger, and last the manifest that names all of it."""

from __future__ import annotations

import errno
import os
from array import array
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

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
    Column,
    Columns,
    File,
    Input,
    Manifest,
    Rows,
    Written,
)
from curatekit.output import DECISIONS, LEDGER, STEMS, Packing, check_space, named
from curatekit.report import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from curatekit._native import Progress, WrittenFile

_PIECE = 1 << 16
"""Rows whose lines are told at a time."""


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
            check_space(self._folder, columns.bytes_in(self._dataset))
        # One list of rows at a time: of many rows each is large.
        kept, removed, quarantine = STEMS
        self._copy(kept, columns.rows(KEPT), progress)
        start = self._read if packing.removed == "refer" else 0
        self._copy(removed, columns.rows(REMOVED, start), None, original=True)
        self._copy(quarantine, columns.rows(QUARANTINED), None, original=True)
        if rewritten := self._dataset.rewritten():
            self._copy_changed(ORIGINALS, rewritten, (KEPT,), original=True)
            self._copy_changed(REWRITTEN, rewritten, (REMOVED, QUARANTINED), original=False)

    def note_rows(self, fates: Iterable[Sequence[WrittenFile]]) -> None:
        """Take account of files of rows that were written ahead, in the order of `STEMS`."""
        for stem, files in zip(STEMS, fates, strict=True):
            self._note_rows(stem, files)

    def write_ledger(self) -> None:
        """Write what is known of every row."""
        for column in self._columns.columns():
            self._column(column)
        self._lines()

    def check_counts(self) -> None:
        """Compare the line feeds that went to the files with the rows that there are.

        Raises:
            OSError: A row is missing, or there is one too many, or a file has another length.
        """
        counts, ordered = self._columns.counts(), self._columns.lines()
        copies = 0 if ordered is None else ordered - counts[KEPT]
        total = sum(counts) - counts[ABSENT] + copies
        expected = [counts[KEPT] + copies, counts[REMOVED], counts[QUARANTINED]]
        found = [sum(file.rows for file in self._of_rows[stem]) for stem in STEMS]
        if self._packing.removed == "refer":
            with (self._folder / DECISIONS).open("rb") as lines:
                found[1] = sum(b',"state":"removed",' in line for line in lines)
        if found != expected or sum(found) != total:
            words = f"{total:,} rows were read, but {sum(found):,} written"
            raise OSError(errno.EIO, words, str(self._folder))
        for name, file in self._files.items():
            path = self._folder / name
            there = path.stat().st_size if path.exists() else 0
            if there != file.bytes:
                words = f"{file.bytes:,} bytes were written, but {there:,} are there"
                raise OSError(errno.EIO, words, str(path))

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
        gaps, others, between = self._dataset.gaps()
        self._column(Column("gaps", "<u8", (len(others) // 16, 2), [others]))
        self.document(f"{LEDGER}/gaps.bin", between)
        columns, counts = self._columns, self._columns.counts()
        inputs = zip(self._dataset.inputs(), gaps, strict=True)
        manifest = Manifest(
            curatekit=_native.__version__,
            unicode=_native.UNICODE_VERSION,
            rows=self._read,
            generated=sum(counts) - self._read,
            counts=dict(zip(STATES, counts, strict=True)),
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
        rows: memoryview,
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
        self._note_rows(stem, files, folder)

    def _note_rows(self, stem: str, files: Sequence[WrittenFile], folder: str = "") -> None:
        """Take account of files of rows that the core wrote."""
        prefix = f"{folder}/" if folder else ""
        for file in files:
            path = f"{prefix}{file['name']}"
            self._files[path] = File(bytes=file["bytes"], blocks=tuple(file["blocks"]))
            index = memoryview(array("Q", file["index"]))
            self._column(Column(f"index/{file['name']}", "<u8", (len(index),), [index.cast("B")]))
            if not folder:
                told = Written(rows=file["rows"], bytes=file["bytes"], xxh3_128=file["xxh3_128"])
                self.written[path] = told
        named_rows = (Rows(name=f"{prefix}{file['name']}", rows=file["rows"]) for file in files)
        self._of_rows[stem] = tuple(named_rows)

    def _copy_changed(
        self, stem: str, rewritten: bytes, states: tuple[int, ...], *, original: bool
    ) -> None:
        rows = self._columns.rows_among(rewritten, states)
        if rows:
            self._copy(stem, rows, None, original=original, folder=LEDGER)
            self._column(Column(stem, "<u8", (len(rows),), [rows.cast("B")]))

    def _lines(self) -> None:
        """Write on which line of its file each row begins."""
        starts = range(0, self._read, _PIECE)
        lines = (self._dataset.lines(at, min(self._read, at + _PIECE)) for at in starts)
        self._column(Column("line", "<u8", (self._read,), lines))

    def _column(self, column: Column) -> None:
        path = self._folder / LEDGER / f"{column.name}.npy"
        path.parent.mkdir(exist_ok=True)
        with _Hashed(path) as file:
            file.write(npy_head(column.dtype, column.shape))
            for piece in column.pieces:
                file.write(piece)
        self._files[f"{LEDGER}/{column.name}.npy"] = file.entry


def npy_head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Give what an `.npy` file begins with: format 1.0, as NumPy itself writes it.

    Source:
        numpy.lib.format.
    """
    magic, length_bytes, alignment, digits = b"\x93NUMPY\x01\x00", 2, 64, 21
    told = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    told += " " * (digits - len(str(shape[0])))  # so that the file may grow
    taken = len(magic) + length_bytes + len(told) + 1
    head = told.encode() + b" " * (-taken % alignment) + b"\n"
    return magic + len(head).to_bytes(length_bytes, "little") + head


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

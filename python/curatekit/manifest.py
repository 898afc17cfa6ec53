"""What a folder holds: the manifest, which names every file with its hashes, and the columns.

The manifest also says what the numbers in the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct

from curatekit.output import LEDGER

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = "curatekit-ledger/1"
MANIFEST = f"{LEDGER}/manifest.json"
BLOCK = 16 * 2**20
"""Bytes of a file that have a hash of their own."""
STATES = ("kept", "removed", "quarantined", "undecided", "absent")
"""What the numbers in `state.npy` mean; the last is a row that the run did not look at."""
KEPT, REMOVED, QUARANTINED, UNDECIDED, ABSENT = range(5)
_PIECE = 1 << 16
"""Values that are counted at a time."""
ORIGINALS, REWRITTEN = "originals", "rewritten"
"""Kept rows as they were before, and rows that are not kept as they were at last."""
PACKED = ".zst"


class Input(Struct, frozen=True, kw_only=True):
    """An input, as it was read."""

    name: str
    format: str
    framing: Literal["lines", "array", "object"]
    compression: Literal["none", "gzip", "zstd"]
    bytes: int
    """After decompression, as the hash."""
    xxh3_128: str
    first_row: int
    rows: int
    gap: str
    """What stands between two of its rows, unless `gaps.npy` says otherwise; as Latin-1."""


class File(Struct, frozen=True, kw_only=True):
    """A file of the folder."""

    bytes: int
    blocks: tuple[str, ...]
    """xxh3-128 of each `BLOCK` bytes."""


class Written(Struct, frozen=True):
    """A file of rows that a run wrote."""

    rows: int
    """Lines."""
    bytes: int
    xxh3_128: str
    """Hash of all its bytes (xxh3-128/1)."""


class Rows(Struct, frozen=True, kw_only=True):
    """A file of rows; the offset of every `_native.STRIDE`th line stands in `index`."""

    name: str
    rows: int


class Manifest(Struct, frozen=True, kw_only=True):
    """What there is in a folder, and what the numbers in its columns mean."""

    schema: str = SCHEMA
    curatekit: str
    unicode: str
    rows: int
    """Rows of the inputs, also those that the run did not look at."""
    generated: int
    counts: Mapping[str, int]
    """Rows by their state."""
    steps: tuple[str, ...]
    """What the numbers in `step.npy` mean; the first is reading."""
    reasons: tuple[str, ...]
    """What the numbers in `reason.npy` mean; 0 is none."""
    removed: Literal["copy", "refer"]
    compress: Literal["none", "zst"]
    inputs: tuple[Input, ...]
    of_rows: Mapping[str, tuple[Rows, ...]]
    """The files of rows: `kept`, `removed`, `quarantine`, and `originals` and `rewritten`."""
    files: Mapping[str, File]
    """Every file but this one and `run.json`, by its path in the folder."""


class Columns(Struct, kw_only=True):
    """What became of rows: one value for each, of those that were read and those that were made.

    Attributes:
        state: As in `STATES`; uint8.
        step: The step that ended its way, by its place in `steps`; uint16.
        reason: Why, by its place in `reasons`, of which the first is none; uint16.
        witnesses: What is known of duplicates, each called for when it is written: `witness`, the
            row that stands for another, itself where none does; `shared` and `united`, shingles
            that a row and its witness share, and that either has. Empty without a deduplication.
        said: What steps said of rows, by `scores/NAME` or `flags/NAME`.
        order: Row of each line that is written, where that is not the order of the kept rows.
    """

    steps: Sequence[str]
    reasons: Sequence[str]
    state: NDArray[np.uint8]
    step: NDArray[np.uint16]
    reason: NDArray[np.uint16]
    witnesses: Mapping[str, Callable[[], NDArray[Any]]] = {}
    said: Mapping[str, NDArray[Any]] = {}
    order: NDArray[np.uint64] | None = None

    def rows(self, state: int) -> NDArray[np.uint64]:
        """List the rows in a state, ascending."""
        return rows_where(self.state == state)

    def counts(self) -> list[int]:
        """Count the rows in each state."""
        return count_each(self.state, len(STATES))


def rows_where(mask: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """List the rows of which something holds, ascending."""
    return np.flatnonzero(mask).view(np.uint64)


def each(rows: NDArray[Any]) -> Iterator[int]:
    """List numbers as Python has them, which take five times as much memory, a few at a time."""
    for at in range(0, len(rows), _PIECE):
        yield from rows[at : at + _PIECE].tolist()


def count_each(values: NDArray[Any], kinds: int) -> list[int]:
    """Count how often each small number occurs; NumPy would first make all of them large ones."""
    pieces = (values[at : at + _PIECE] for at in range(0, len(values), _PIECE))
    counts = (np.bincount(piece, minlength=kinds) for piece in pieces)
    total: list[int] = sum(counts, np.zeros(kinds, np.intp)).tolist()
    return total

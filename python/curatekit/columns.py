"""Columns over rows as NumPy has them: what became of rows, listed and counted piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from curatekit.manifest import ABSENT, KEPT, ORDER_COLUMN, STATES, Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curatekit._native import Dataset

_PIECE = 1 << 16
"""Values that are put together, or counted, at a time."""


class Arrays(Struct, kw_only=True):
    """What became of rows, in arrays: the `manifest.Columns` of a run that has them.

    Attributes:
        steps: What the numbers in `step` mean.
        reasons: What the numbers in `reason` mean; the first is none.
        state: As in `STATES`; uint8.
        step: The step that ended its way, by its place in `steps`; uint16.
        reason: Why, by its place in `reasons`; uint16.
        witnesses: What is known of duplicates: `witness`, the row that stands for another, itself
            where none does; `shared` and `united`, shingles that a row and its witness share, and
            that either has. Empty without a deduplication.
        said: What steps said of rows, by `scores/NAME` or `flags/NAME`.
        order: Row of each line that is written, where that is not the order of the kept rows.
    """

    steps: Sequence[str]
    reasons: Sequence[str]
    state: NDArray[np.uint8]
    step: NDArray[np.uint16]
    reason: NDArray[np.uint16]
    witnesses: Mapping[str, NDArray[np.uint32]] = {}
    said: Mapping[str, NDArray[Any]] = {}
    order: NDArray[np.uint64] | None = None

    def counts(self) -> list[int]:
        """Count the rows in each state."""
        return count_each(self.state, len(STATES))

    def lines(self) -> int | None:
        """Count the lines of kept rows, where they are not the kept rows in their order."""
        return None if self.order is None else len(self.order)

    def rows(self, state: int, start: int = 0) -> memoryview:
        """List the rows in a state from a row on, ascending; those that are kept in their order."""
        if state == KEPT and self.order is not None:
            return self.order.data
        rows = rows_where(self.state == state)
        return rows[rows >= start].data if start else rows.data

    def rows_among(self, rows: bytes, states: Sequence[int]) -> memoryview:
        """List those of some rows, uint64, that are in one of these states."""
        numbers = np.frombuffer(rows, np.uint64)
        state = self.state[numbers]
        return numbers[np.logical_or.reduce([state == one for one in states])].data

    def bytes_in(self, dataset: Dataset) -> int:
        """Give the bytes of the rows that the run looked at, as they stand in the inputs."""
        return dataset.bytes_of(self.state != ABSENT)

    def columns(self) -> Iterator[Column]:
        """Give all that is written of them."""
        for name in ("state", "step", "reason"):
            yield _column(name, getattr(self, name))
        for name, column in self.witnesses.items():
            yield _column(name, column, "<u8" if name == "witness" else "<u4")
        for name, said in sorted(self.said.items()):
            yield _column(name, said)
        if self.order is not None:
            yield _column(ORDER_COLUMN, self.order)


def _column(name: str, array: NDArray[Any], dtype: str | None = None) -> Column:
    kind = np.dtype(dtype or array.dtype)
    pieces = (array[at : at + _PIECE] for at in range(0, len(array), _PIECE))
    # In pieces, so that memory never holds it twice.
    return Column(
        name,
        kind.str,
        array.shape,
        (np.ascontiguousarray(piece, kind).data.cast("B") for piece in pieces),
    )


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

"""What a deduplication decided, as columns of a folder; without NumPy, which imports slowly."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from curatekit import _native
from curatekit.evidence import EXACT, NEAR
from curatekit.manifest import ABSENT, KEPT, QUARANTINED, REMOVED, STATES, Column

if TYPE_CHECKING:
    from curatekit._native import Dataset, Decided
    from curatekit.settings import Method

_QUARANTINED = 3
"""What the core calls it."""
_PIECE = 1 << 16
"""Rows whose columns are put together at a time."""


class Columns:
    """The `manifest.Columns` of a deduplication."""

    def __init__(self, decided: Decided, method: Method) -> None:
        self._decided = decided
        self._codes = decided.codes()
        self._problems = [one["reason"] for one in decided.problems(len(self._codes))]
        self._state = self._codes.translate(_table(KEPT, REMOVED, REMOVED, QUARANTINED, ABSENT))
        near = ("near-dedup",) if method == "near" else ()
        self.steps: Sequence[str] = ("read", "exact-dedup", *near)
        self.reasons: Sequence[str] = sorted({"", EXACT, NEAR, *self._problems})

    def counts(self) -> list[int]:
        """Count the rows in each state."""
        return [self._state.count(state) for state in range(len(STATES))]

    def lines(self) -> None:
        """Tell that the kept rows stand in their order, each once."""

    def rows(self, state: int, start: int = 0) -> memoryview:
        """List the rows in a state from a row on, ascending; uint64."""
        return memoryview(_native.rows_of_code(self._state, state, start)).cast("Q")

    def rows_among(self, rows: bytes, states: Sequence[int]) -> memoryview:
        """List those of some rows, uint64, that are in one of these states."""
        chosen = (row for row in memoryview(rows).cast("Q") if self._state[row] in states)
        return memoryview(array("Q", chosen))

    def bytes_in(self, dataset: Dataset) -> int:
        """Give the bytes of all rows, as they stand in the inputs."""
        return dataset.bytes_of(None)

    def columns(self) -> Iterator[Column]:
        """Give all that is written of them."""
        shape = (len(self._codes),)
        starts = range(0, shape[0], _PIECE)
        yield Column("state", "|u1", shape, [self._state])
        yield Column("step", "<u2", shape, (self._steps(at) for at in starts))
        yield Column("reason", "<u2", shape, self._reasons(starts))
        for name, dtype in (("witness", "<u8"), ("shared", "<u4"), ("united", "<u4")):
            yield Column(name, dtype, shape, self._pieces(name, starts))

    def _pieces(self, name: str, starts: range) -> Iterator[bytes]:
        for at in starts:
            yield self._decided.piece(name, at, min(len(self._codes), at + _PIECE))

    def _steps(self, at: int) -> bytes:
        return _wide(self._codes[at : at + _PIECE].translate(_table(0, 1, 2, 0)))

    def _reasons(self, starts: range) -> Iterator[bytes]:
        """Give the reason of each row, by its number; of those set apart there is one for each."""
        usual = _table(*(self.reasons.index(one) for one in ("", EXACT, NEAR, "")))
        problems = iter(self._problems)
        for at in starts:
            codes = self._codes[at : at + _PIECE]
            piece = bytearray(codes.translate(usual))
            row = -1
            while (row := codes.find(_QUARANTINED, row + 1)) >= 0:
                piece[row] = self.reasons.index(next(problems))
            yield _wide(piece)


def _table(*numbers: int) -> bytes:
    """Give a table for `bytes.translate`, from what the core calls a state to a number."""
    return bytes(numbers).ljust(256, b"\0")


def _wide(numbers: bytes | bytearray) -> bytes:
    """Give as uint16 what stands there as uint8."""
    wide = bytearray(2 * len(numbers))
    wide[::2] = numbers
    return bytes(wide)

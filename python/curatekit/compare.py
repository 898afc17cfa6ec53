"""Two runs beside each other, row by row, as columns.

Rows that were read have the same number in both, for both must have read the same. Rows that steps
made have other numbers in each run; there, the step and the row that one was made of tell which is
which.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct
from rich.filesize import decimal

from curatekit.errors import CurateError
from curatekit.ledger import Ledger
from curatekit.manifest import ABSENT, KEPT, STATES, UNDECIDED, Input
from curatekit.output import DECISIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_MADE = "not-made"
"""The state of a row that only the other run made."""
_PIECE = 1 << 20
"""Rows that are compared at a time."""
_ROW = slice(len(b'{"row":'), None)
_CHANGED = b'"action":"changed"'
"""Not to be found in a string of JSON, where quotes are escaped; as the next one."""
_GENERATED = re.compile(rb'\{"step":"([^"]+)","action":"generated","parent":(\d+)\}')


class Fate(Struct, frozen=True, order=True):
    """What a run decided of a row; a row that is kept has no step and no reason."""

    state: str
    step: str = ""
    reason: str = ""


class Counts(Struct, frozen=True, kw_only=True):
    """How many rows two runs decide alike, and how many are kept; of rows that are in one of them.

    Rows of which one of the two is undecided count as such only, whether alike or not.
    """

    rows: int
    same: int
    different: int
    kept_by_both: int
    kept_by_a_only: int
    kept_by_b_only: int
    kept_by_neither: int
    undecided: int


class Compared(Struct, frozen=True, kw_only=True):
    """Two runs beside each other.

    Attributes:
        counts: How many rows are alike.
        rows: The numbers of a row in A and B, for each that is decided differently, -1 where it was
            not made; int64 `(different, 2)`, in the order of A.
        kind: For each of those which of `kinds`; int64 `(different,)`.
        kinds: What A decided, and B.
        changed_by_a_only: As `rows`, of those that both keep and only A changed.
        changed_by_b_only: The same, of those that only B changed.
    """

    counts: Counts
    rows: NDArray[np.int64]
    kind: NDArray[np.int64]
    kinds: Sequence[tuple[Fate, Fate]]
    changed_by_a_only: NDArray[np.int64]
    changed_by_b_only: NDArray[np.int64]


def compare(a: Ledger, b: Ledger) -> tuple[Compared, Compared]:
    """Tell which rows two runs decide differently: of those that were read, and that were made.

    Raises:
        CurateError: They did not read the same inputs.
    """
    _check_inputs(a.manifest.inputs, b.manifest.inputs)
    sides = _Side(a), _Side(b)
    names = _Names(sides)
    total = a.manifest.rows
    pieces = (
        np.arange(start, min(total, start + _PIECE), dtype=np.int64)
        for start in range(0, total, _PIECE)
    )
    made = _aligned(sides)
    starts = range(0, len(made), _PIECE)
    return (
        names.compared(np.stack([rows, rows], axis=1) for rows in pieces),
        names.compared(made[start : start + _PIECE] for start in starts),
    )


class _Made(NamedTuple):
    """A row that a step made."""

    row: int
    step: str
    parent: int


class _Side:
    """A run, and what its decisions say of rows that were changed or made."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        changed = array("Q")
        self.made: list[_Made] = []
        first = ledger.manifest.rows
        with (ledger.folder / DECISIONS).open("rb") as file:
            for line in file:
                if _CHANGED in line:
                    changed.append(_row_of(line))
                if (row := _row_of(line) if first < ledger.rows else 0) >= first:
                    found = _GENERATED.search(line)
                    assert found is not None  # noqa: S101 (something made it)
                    self.made.append(_Made(row, found[1].decode(), int(found[2])))
        self.is_changed = np.zeros(ledger.rows, np.bool_)
        self.is_changed[np.array(changed, np.int64)] = True


class _Names:
    """The states, steps and reasons of two runs, numbered alike in both."""

    def __init__(self, sides: tuple[_Side, _Side]) -> None:
        self._sides = sides
        manifests = [side.ledger.manifest for side in sides]
        self._states = (*STATES, NOT_MADE)
        self._steps = list(dict.fromkeys(("", *(s for one in manifests for s in one.steps))))
        self._reasons = list(dict.fromkeys(("", *(r for one in manifests for r in one.reasons))))
        self._maps = [
            (
                np.array([self._steps.index(step) for step in one.steps], np.int64),
                np.array([self._reasons.index(reason) for reason in one.reasons], np.int64),
            )
            for one in manifests
        ]

    def compared(self, pieces: Iterable[NDArray[np.int64]]) -> Compared:
        """Lay rows beside each other, given as their numbers in A and B."""
        counts = Counter[str]()
        none = np.empty((0, 2), np.int64)
        rows, codes, changed = [none], [none], ([none], [none])
        for piece in pieces:
            both = np.stack([self._codes(at, piece[:, at]) for at in (0, 1)], axis=1)
            is_different = both[:, 0] != both[:, 1]
            rows.append(piece[is_different])
            codes.append(both[is_different])
            states = both // (len(self._steps) * len(self._reasons))
            counts += Counter(_counted(states, is_different))
            kept = piece[(states == KEPT).all(axis=1)]
            was = [side.is_changed[kept[:, at]] for at, side in enumerate(self._sides)]
            changed[0].append(kept[was[0] & ~was[1]])
            changed[1].append(kept[was[1] & ~was[0]])
        kind, kinds = self._kinds(np.concatenate(codes))
        return Compared(
            counts=Counts(**{name: counts[name] for name in Counts.__struct_fields__}),
            rows=np.concatenate(rows),
            kind=kind,
            kinds=kinds,
            changed_by_a_only=np.concatenate(changed[0]),
            changed_by_b_only=np.concatenate(changed[1]),
        )

    def _codes(self, at: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Write what one of the two decided of rows as a number each."""
        ledger, (steps, reasons) = self._sides[at].ledger, self._maps[at]
        is_made = rows >= 0
        there = rows[is_made]
        state = np.full(len(rows), self._states.index(NOT_MADE), np.int64)
        step, reason = np.zeros_like(state), np.zeros_like(state)
        state[is_made] = ledger.state[there]
        step[is_made] = steps[ledger.step[there]]
        reason[is_made] = reasons[ledger.reason[there]]
        step[(state == KEPT) | (state == ABSENT)] = 0  # nothing ended their way
        return (state * len(self._steps) + step) * len(self._reasons) + reason

    def _kinds(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[tuple[Fate, Fate]]]:
        """Number what differs by what the two decided, the most frequent first."""
        of_a, at_a = np.unique(codes[:, 0], return_inverse=True)
        of_b, at_b = np.unique(codes[:, 1], return_inverse=True)
        pairs, kind, counts = np.unique(
            at_a * max(1, len(of_b)) + at_b, return_inverse=True, return_counts=True
        )
        fates = [
            (self._fate(int(of_a[one // len(of_b)])), self._fate(int(of_b[one % len(of_b)])))
            for one in pairs.tolist()
        ]
        order = sorted(range(len(fates)), key=lambda at: (-int(counts[at]), fates[at]))
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        return places[kind], [fates[at] for at in order]

    def _fate(self, code: int) -> Fate:
        rest, reason = divmod(code, len(self._reasons))
        state, step = divmod(rest, len(self._steps))
        return Fate(self._states[state], self._steps[step], self._reasons[reason])


def _counted(states: NDArray[np.int64], is_different: NDArray[np.bool_]) -> dict[str, int]:
    """Count rows as `Counts` has them."""
    is_open = (states == UNDECIDED).any(axis=1)
    a, b = ((states == KEPT) & ~is_open[:, np.newaxis]).T
    different = int(is_different.sum())
    both, a_only, b_only = (int(one.sum()) for one in (a & b, a & ~b, b & ~a))
    undecided = int(is_open.sum())
    return {
        "rows": len(states),
        "same": len(states) - different,
        "different": different,
        "kept_by_both": both,
        "kept_by_a_only": a_only,
        "kept_by_b_only": b_only,
        "kept_by_neither": len(states) - both - a_only - b_only - undecided,
        "undecided": undecided,
    }


def _check_inputs(a: Sequence[Input], b: Sequence[Input]) -> None:
    """See that two runs read the same, whatever the files were called."""
    hint = "only runs over the same inputs, in the same order, can be compared"
    if len(a) != len(b):
        raise CurateError(
            f"A read {_count(len(a), 'input')}, and B {_count(len(b), 'input')}", hint
        )
    for number, (one, other) in enumerate(zip(a, b, strict=True), 1):
        if (one.bytes, one.xxh3_128, one.rows) == (other.bytes, other.xxh3_128, other.rows):
            continue
        told = [f"{_count(each.rows, 'row')}, {decimal(each.bytes)}" for each in (one, other)]
        if told[0] == told[1]:
            told = [f"hash {each.xxh3_128}" for each in (one, other)]
        sides = f"`{one.name}` of A ({told[0]}) is not `{other.name}` of B ({told[1]})"
        raise CurateError(f"input {number} differs: {sides}", hint)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _aligned(sides: tuple[_Side, _Side]) -> NDArray[np.int64]:
    """Find the rows of two runs that the same step made of the same row, one after the other."""
    places: dict[tuple[str, int, int], int] = {}
    rows: list[list[int]] = []
    for at, side in enumerate(sides):
        first = side.ledger.manifest.rows
        own: list[int] = []
        seen = Counter[tuple[str, int]]()
        for made in side.made:
            # A row that was made has another number in each run, but one place among these.
            parent = made.parent if made.parent < first else first + own[made.parent - first]
            of = (made.step, parent)
            place = places.setdefault((*of, seen[of]), len(places))
            seen[of] += 1
            own.append(place)
            if place == len(rows):
                rows.append([-1, -1])
            rows[place][at] = made.row
    return np.array(rows, np.int64).reshape(-1, 2)


def _row_of(line: bytes) -> int:
    return int(line[_ROW].partition(b",")[0])

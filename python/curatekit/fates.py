"""What has become of every row so far: columns over rows, and in files the life of each.

A step notes what it did to a row as an event, in a file of its own and in row order; the core
merges these files into `decisions.jsonl`. Memory holds some twenty bytes a row, and no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Self

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType, field

from curatekit.columns import Arrays, count_each, rows_where
from curatekit.evidence import Place
from curatekit.manifest import (
    ABSENT,
    KEPT,
    QUARANTINED,
    REMOVED,
    UNDECIDED,
)
from curatekit.output import named
from curatekit.steps import READ

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

LIVE = KEPT
"""The state of a row that nothing has ended the way of."""
Action = Literal["changed", "flagged", "scored", "generated", "removed", "quarantined", "undecided"]
_PIECE = 1 << 20
"""Bytes of events, or rows, that are looked at at a time."""
_ENDS: dict[str, int] = {
    "removed": REMOVED,
    "quarantined": QUARANTINED,
    "undecided": UNDECIDED,
}


class Event(Struct, omit_defaults=True, frozen=True):
    """What a step did to a row; the core reads the first three."""

    row: int
    action: Action
    reason: str | None = None
    message: str | None = None
    evidence: str | None = None
    scores: dict[str, float | None] | UnsetType = UNSET
    parent: int | None = None


class _Removal(Struct, frozen=True):
    row: int
    reason: str
    witness: Place
    shared: int = 0
    united: int = 0


_REMOVAL = msgspec.json.Decoder(_Removal)


class Tally(Struct, kw_only=True):
    """What a step did, in numbers of rows."""

    entered: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    flagged: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    generated: int = 0
    undecided: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    """How scores came about."""
    without_score: int = 0
    """Rows of which a scorer had no opinion."""

    def count(self, action: Action, reason: str | None, rows: int = 1) -> None:
        """Add rows to which the same was done."""
        match action:
            case "removed" | "flagged" | "quarantined":
                counts: dict[str, int] = getattr(self, action)
                counts[reason or ""] = counts.get(reason or "", 0) + rows
            case "changed" | "generated" | "undecided":
                setattr(self, action, getattr(self, action) + rows)
            case "scored":
                pass


class Witnesses(NamedTuple):
    """The row that stands for each, and how alike the two are; there are less than 2³² rows."""

    witness: NDArray[np.uint32]
    shared: NDArray[np.uint32]
    united: NDArray[np.uint32]

    @classmethod
    def none(cls, rows: int) -> Witnesses:
        """Let every row stand for itself."""
        nothing = np.zeros(rows, np.uint32)
        return cls(np.arange(rows, dtype=np.uint32), nothing, nothing.copy())

    def and_(self, rows: int) -> Witnesses:
        """Let some more rows stand for themselves."""
        more = self.none(len(self.witness) + rows)
        for new, old in zip(more, self, strict=True):
            new[: len(old)] = old
        return more


class Fates:
    """The rows of a run, by number.

    Attributes:
        read: How many rows the inputs have.
        state: For each row its state; uint8 `(rows,)`.
        step: For each row that is not live the step that ended its way, counted from 1, 0 for
            reading; uint16 `(rows,)`.
        reason: For each of those why, by its place among the reasons so far; uint16 `(rows,)`.
        tallies: What each step did, that of reading first.
        columns: What steps said of rows, by name; one value for each row.
    """

    def __init__(self, rows: int, ids: Sequence[str], folder: Path) -> None:
        self.read = rows
        self.state = np.zeros(rows, np.uint8)
        self.step = np.zeros(rows, np.uint16)
        self.reason = np.zeros(rows, np.uint16)
        self._reasons: dict[str, int] = {"": 0}
        self._witnesses: Witnesses | None = None
        self._names = (READ, *ids)
        self.tallies = [Tally() for _ in range(len(ids) + 1)]
        self.columns: dict[str, NDArray[Any]] = {}
        self._lives = [(name, folder / f"{at}.jsonl") for at, name in enumerate((READ, *ids))]
        self._files: dict[int, BinaryIO] = {}
        self._noted: set[int] = set()
        self._stack = ExitStack()
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        self._lives[0][1].parent.mkdir(exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stack.close()
        except OSError:
            if error is None:
                raise

    def leave_out(self, first: int) -> None:
        """Do not look at the rows from this one on."""
        self.state[first:] = ABSENT

    @property
    def live(self) -> NDArray[np.uint64]:
        """The numbers of the rows that are left, ascending."""
        return rows_where(self.state == LIVE)

    def note(self, step: int, event: Event) -> None:
        """Note what a step did to a row; the rows of a step come in order."""
        self.tallies[step].count(event.action, event.reason)
        self._write(step, self._encode(event))
        if (state := _ENDS.get(event.action)) is not None:
            self.state[event.row], self.step[event.row] = state, step
            self.reason[event.row] = self._code(event.reason or "")

    def note_file(self, step: int) -> Path:
        """Name the file of a step's events, for the core to write."""
        self._noted.add(step)
        return self._lives[step][1]

    def note_removed(
        self, step: int, rows: NDArray[np.uint64], reason: str, witnesses: Witnesses
    ) -> None:
        """Note that rows are removed, whose events stand in the file already, and what for."""
        if self._witnesses is None:
            self._witnesses = Witnesses.none(len(self.state))
        if len(rows):
            self.tallies[step].count("removed", reason, len(rows))
        self.state[rows], self.step[rows] = REMOVED, step
        self.reason[rows] = self._code(reason)
        for mine, new in zip(self._witnesses, witnesses, strict=True):
            mine[rows] = new

    def note_removals(self, step: int) -> None:
        """Note what the file of a deduplication says that it removed, and for which rows."""
        with self.note_file(step).open("rb") as file:
            while lines := file.readlines(_PIECE):
                found: dict[str, list[_Removal]] = {}
                for removal in map(_REMOVAL.decode, lines):
                    found.setdefault(removal.reason, []).append(removal)
                for reason, removals in found.items():
                    rows = np.array([one.row for one in removals], np.uint64)
                    witnesses = [(one.witness.row, one.shared, one.united) for one in removals]
                    columns = np.array(witnesses, np.uint32).T
                    self.note_removed(step, rows, reason, Witnesses(*columns))

    def columns_with(
        self, said: Mapping[str, NDArray[Any]], order: NDArray[np.uint64] | None
    ) -> Arrays:
        """Give all of it as what is published; `said` are the columns of steps, by their paths.

        Reasons are numbered anew, in their order, and without those that no row has.
        """
        used = count_each(self.reason, len(self._reasons))
        given = [reason for reason, rows in zip(self._reasons, used, strict=True) if rows]
        reasons = sorted({"", *given})
        codes = [reasons.index(one) if one in reasons else 0 for one in self._reasons]
        places = np.array(codes, np.uint16)
        for at in range(0, len(self.reason), _PIECE):
            piece = self.reason[at : at + _PIECE]
            piece[:] = places[piece]
        self._reasons = {reason: code for code, reason in enumerate(reasons)}
        return Arrays(
            steps=self._names,
            reasons=reasons,
            state=self.state,
            step=self.step,
            reason=self.reason,
            witnesses=self._witnesses._asdict() if self._witnesses else {},
            said=said,
            order=order,
        )

    def add(self, rows: int) -> None:
        """Make room for rows that were made."""
        if rows == 0:
            return
        self.state = np.concatenate([self.state, np.zeros(rows, np.uint8)])
        self.step = np.concatenate([self.step, np.zeros(rows, np.uint16)])
        self.reason = np.concatenate([self.reason, np.zeros(rows, np.uint16)])
        if self._witnesses is not None:
            self._witnesses = self._witnesses.and_(rows)
        for name, column in self.columns.items():
            empty = np.nan if column.dtype.kind == "f" else 0
            self.columns[name] = np.concatenate([column, np.full(rows, empty, column.dtype)])

    def column(self, name: str, dtype: str) -> NDArray[Any]:
        """Give a column, made where it is new: NaN, or 0, for every row."""
        if name not in self.columns:
            empty = np.nan if np.dtype(dtype).kind == "f" else 0
            self.columns[name] = np.full(len(self.state), empty, dtype)
        return self.columns[name]

    def lives(self) -> list[tuple[str, Path]]:
        """Close the files, and tell those that there are: the step and its events."""
        for step, file in self._files.items():
            with named(self._lives[step][1]):
                file.flush()
        # A dead run may have left others.
        return [life for step, life in enumerate(self._lives) if step in self._noted]

    def _code(self, reason: str) -> int:
        return self._reasons.setdefault(reason, len(self._reasons))

    def _write(self, step: int, line: bytes) -> None:
        path = self._lives[step][1]
        if step not in self._files:
            self._files[step] = self._stack.enter_context(path.open("wb"))
            self._noted.add(step)
        with named(path):
            self._files[step].write(line + b"\n")

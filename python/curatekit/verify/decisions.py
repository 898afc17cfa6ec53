"""The decisions, compared with the columns, and their events counted."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from curatekit.verify.columns import Columns
from curatekit.verify.findings import Findings, short
from curatekit.verify.form import (
    ABSENT,
    DECISIONS,
    KEPT,
    QUARANTINED,
    REMOVED,
    STATES,
    UNDECIDED,
    Decision,
    Manifest,
    Place,
)

_ENDS = ("removed", "quarantined", "undecided")
_DECISION = msgspec.json.Decoder(Decision)


class Fate(Struct, frozen=True):
    """What the columns say of a row."""

    row: int
    state: int
    step: int
    reason: int
    witness: int
    shared: int
    united: int


class Decisions:
    """The decisions about rows, which are asked for in their order.

    Attributes:
        born: For each row that was made, the step that made it.
    """

    def __init__(self, folder: Path, manifest: Manifest, columns: Columns, found: Findings) -> None:
        self._path, self._manifest = folder / DECISIONS, manifest
        self._columns, self._found = columns, found
        self._steps = {name: at for at, name in enumerate(manifest.steps)}
        self._first_rows = [one.first_row for one in manifest.inputs]
        self._events: Counter[tuple[int, str, str]] = Counter()
        self.born = np.zeros(manifest.generated, np.uint16)
        self._decisions = self._read()
        self._next = next(self._decisions, None)

    def take(self, fate: Fate, name: str | None, *, is_changed: bool) -> Decision | None:
        """Give the decision about the next row, compared with what else is said of it.

        Args:
            fate: What the columns say.
            name: The input of the row; None where it was made.
            is_changed: Whether another version of it is there.
        """
        decision = self._next
        if decision is None or decision.row != fate.row:
            decision = None
        else:
            self._next = next(self._decisions, None)
        for what in self._wrong(fate, decision, name, is_changed=is_changed):
            self._found.add(DECISIONS, what, f"row {fate.row}")
        return decision

    def events_of(self, step: str, action: str) -> Counter[str]:
        """Count what a step did, by reason."""
        wanted = self._steps.get(step), action
        counts = self._events.items()
        return Counter({why: rows for (at, did, why), rows in counts if (at, did) == wanted})

    def _read(self) -> Iterator[Decision]:
        """Read the decisions, in ascending order."""
        last, rows = -1, self._manifest.rows + self._manifest.generated
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                place = f"line {number}"
                try:
                    decision = _DECISION.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    self._found.add(DECISIONS, f"is no decision: {error}", place)
                    continue
                if not line.endswith(b"\n"):
                    self._found.add(DECISIONS, "does not end", place)
                if not last < decision.row < rows:
                    told = f"is about row {decision.row}, after row {last}, of {rows} rows"
                    self._found.add(DECISIONS, told, place)
                    continue
                last = decision.row
                yield decision

    def _wrong(
        self, fate: Fate, decision: Decision | None, name: str | None, *, is_changed: bool
    ) -> Iterator[str]:
        """Tell what is wrong with a decision, or that there is none."""
        if decision is not None:
            yield from self._differences(fate, decision, name)
            yield from self._check_events(fate.row, decision, is_changed=is_changed)
        elif fate.state not in (KEPT, ABSENT):
            yield f"is {STATES[min(fate.state, ABSENT)]}, but has no decision"
        elif is_changed or name is None:
            yield f"was {'changed' if is_changed else 'made'}, but has no decision"

    def _differences(self, fate: Fate, decision: Decision, name: str | None) -> Iterator[str]:
        manifest, row = self._manifest, fate.row
        line = 0 if name is None else int(self._columns.line[row])
        counted: dict[str, object] = {"state": STATES[min(fate.state, ABSENT)]}
        counted |= {"file": name or "", "line": line, "shared": fate.shared, "united": fate.united}
        is_out = fate.state in (REMOVED, QUARANTINED, UNDECIDED)
        if max(fate.step - len(manifest.steps), fate.reason - len(manifest.reasons)) < 0:
            counted["step"] = manifest.steps[fate.step] if is_out else ""
            counted["reason"] = manifest.reasons[fate.reason]
        counted["witness"] = self._place(fate.witness) if fate.witness != row else None
        for key, value in counted.items():
            if (told := getattr(decision, key)) != value:
                yield f"`{key}` is {short(told)}, but the ledger says {short(value)}"
        if name is None and decision.byte != 0:
            yield "was made, but has a place"

    def _place(self, row: int) -> Place:
        if row >= self._manifest.rows:
            return Place(row)
        at = bisect_right(self._first_rows, row) - 1
        return Place(row, self._manifest.inputs[at].name, int(self._columns.line[row]))

    def _check_events(self, row: int, decision: Decision, *, is_changed: bool) -> Iterator[str]:
        """Count the events of a row, and compare them with what became of it."""
        steps = [self._steps.get(event.step, -1) for event in decision.events]
        if -1 in steps or steps != sorted(steps) or not steps:
            yield "its events are not in the order of the steps"
        for step, event in zip(steps, decision.events, strict=True):
            self._events[step, event.action, event.reason] += 1
        ends = [event for event in decision.events if event.action in _ENDS]
        told = [(end.action, end.step, end.reason) for end in ends[-1:]]
        said = (decision.state, decision.step, decision.reason)
        if told != ([] if decision.state == "kept" else [said]):
            yield f"is {decision.state}, but its events say something else"
        changed = any(event.action == "changed" for event in decision.events)
        if is_changed and not changed:
            yield "was changed, but no event says so"
        is_lost = (
            changed and decision.state == "kept" and row < self._manifest.rows and not is_changed
        )
        if is_lost and self._manifest.of_rows:
            yield "was changed, but what it was before is not there"
        yield from self._check_birth(row, decision)

    def _check_birth(self, row: int, decision: Decision) -> Iterator[str]:
        """See that a row that was made has a parent, and no other one has."""
        made = row - self._manifest.rows
        parents = [event for event in decision.events if event.action == "generated"]
        if len(parents) != int(made >= 0):
            yield "was made of no row" if made >= 0 else "was read, but an event says it was made"
        elif parents:
            parent = parents[0].parent
            self.born[made] = max(0, self._steps.get(parents[0].step, 0))
            if parent is None or not 0 <= parent < row:
                yield f"cannot be made of row {parent}"

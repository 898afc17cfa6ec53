"""The life of one row: what each step of a run did to it, and what it was before and after.

Nothing is worked out again. What happened to a row stands in `decisions.jsonl`, scores and flags
stand in the columns, and a step that neither tells of let the row pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any, Literal

import msgspec
from msgspec import Struct

from curatekit.errors import CurateError, DataError
from curatekit.evidence import Decision, Place
from curatekit.folder import RunFolder
from curatekit.ledger import Ledger
from curatekit.manifest import ABSENT, KEPT, REMOVED, STATES
from curatekit.output import DECISIONS

Action = Literal[
    "passed",
    "changed",
    "flagged",
    "scored",
    "generated",
    "removed",
    "quarantined",
    "undecided",
]
ENDS = ("removed", "quarantined", "undecided")
"""What ends the way of a row."""
NAMED = 20
"""Most rows that are named of those that a row stands for."""


class Event(Struct, frozen=True, kw_only=True):
    """What happened to a row, as `decisions.jsonl` has it; of its end only the reason."""

    step: str
    action: Action
    reason: str = ""
    message: str = ""
    evidence: str = ""
    parent: int | None = None


class Account(Decision, frozen=True, kw_only=True):
    """A whole line of `decisions.jsonl`."""

    scores: Mapping[str, float | None] = {}
    events: tuple[Event, ...] = ()


class Deed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step did to a row, and why; what does not apply is left out."""

    step: str
    action: Action
    reason: str = ""
    message: str = ""
    evidence: str = ""
    scores: Mapping[str, float | None] = {}
    """By the names of their columns; None is no score."""
    parent: Place | None = None
    """The row that this one was made of."""
    witness: Place | None = None
    shared: int = 0
    united: int = 0
    roles: Mapping[str, tuple[int, int]] = {}


class Life(Struct, frozen=True, kw_only=True):
    """What became of a row, step by step."""

    row: int
    file: str | None
    """None for a row that was made, as the next one."""
    line: int | None
    byte: int | None
    """Where in the decompressed file it begins; None also where nothing happened to the row."""
    state: str
    """As in `STATES`."""
    steps: tuple[Deed, ...]
    """What was done to it, in the order of the run; a step may do two things to a row."""
    not_reached: tuple[str, ...]
    """The steps after the one that ended its way."""
    witness: Place | None
    """The row that stands for it."""
    witness_ended_by: str | None
    """The step that ended the way of the witness after all."""
    stands_for: tuple[int, ...]
    """Rows that were removed for this one, the first ones."""
    stands_for_rows: int
    lines: int
    """How often it is written among the kept rows."""
    columns: Mapping[str, float | None]
    """What steps said of it, by `scores/NAME` or `flags/NAME`."""
    original: str | None
    """The row as it was read, or made; None where the folder does not have it."""
    now: str | None
    """The row as it left the run; the same as `original` where nothing rewrote it."""
    without_text: str | None
    """Why it is not there."""


def account(ledger: Ledger, row: int) -> Account | None:
    """Find all that `decisions.jsonl` says of a row; None if nothing happened to it."""
    line = ledger.decision_line(row)
    if line is None:
        return None
    try:
        return msgspec.json.decode(line, type=Account)
    except msgspec.DecodeError as error:
        raise DataError(str(ledger.folder / DECISIONS), None, str(error)) from None


def explain(folder: RunFolder, row: int) -> Life:
    """Put together all that a folder knows of a row.

    Raises:
        DataError: The folder is broken.
    """
    ledger = folder.ledger
    said = account(ledger, row)
    state = int(ledger.state[row])
    place = ledger.place(row)
    columns = {f"{kind}/{name}": _value(column[row]) for kind, name, column in ledger.columns()}
    steps = list(folder.steps)
    ended = len(steps) - 1
    if state == ABSENT:
        ended = -1
    elif state != KEPT:
        ended = int(ledger.step[row])
    stands_for = folder.stands_for(row)
    original, now, without = _texts(ledger, row, state)
    witness = said.witness if said is not None else None
    return Life(
        row=row,
        file=place and place[0],
        line=place and place[1],
        byte=said.byte if said is not None and place else None,
        state=STATES[state],
        steps=tuple(_deeds(ledger, steps[: ended + 1], said, columns)),
        not_reached=tuple(steps[ended + 1 :]),
        witness=witness,
        witness_ended_by=_ended_by(ledger, witness),
        stands_for=tuple(stands_for[:NAMED]),
        stands_for_rows=len(stands_for),
        lines=ledger.lines_of(row),
        columns=columns,
        original=original,
        now=now,
        without_text=without,
    )


def _deeds(
    ledger: Ledger,
    steps: list[str],
    said: Account | None,
    columns: Mapping[str, float | None],
) -> Iterator[Deed]:
    """Tell what each of the steps that a row reached did to it."""
    events = () if said is None else said.events
    made_by = next((one.step for one in events if one.action == "generated"), None)
    for step in steps if made_by is None else steps[steps.index(made_by) :]:
        scores = dict(_scores(step, columns))
        found = [event for event in events if event.step == step]
        for event in found:
            yield _deed(ledger, event, said, scores)
        if not any(event.action in {"scored", *ENDS} for event in found) and scores:
            yield Deed(step=step, action="scored", scores=scores)
        elif not found:
            yield Deed(step=step, action="passed")


def _deed(
    ledger: Ledger, event: Event, said: Account | None, scores: Mapping[str, float | None]
) -> Deed:
    parent = None
    if event.parent is not None:
        parent = Place(event.parent, *(ledger.place(event.parent) or ()))
    if said is None or event.action not in ENDS:
        return Deed(
            step=event.step,
            action=event.action,
            reason=event.reason,
            message=event.message,
            evidence=event.evidence,
            scores=scores if event.action == "scored" else {},
            parent=parent,
        )
    return Deed(
        step=event.step,
        action=event.action,
        reason=said.reason,
        message=said.message,
        evidence=said.evidence,
        scores=scores if event.action == "removed" else {},
        witness=said.witness,
        shared=said.shared,
        united=said.united,
        roles=said.roles,
    )


def _scores(step: str, columns: Mapping[str, float | None]) -> Iterator[tuple[str, float | None]]:
    """Pick the scores that a step gave."""
    for path, value in columns.items():
        kind, _, name = path.partition("/")
        if kind == "scores" and name.partition(".")[0] == step:  # no id has a dot in it
            yield name, value


def _value(value: Any) -> float | None:  # noqa: ANN401 (of whatever a column holds)
    """Take a value of a column for what it means: a float32 has six digits, and NaN is none."""
    number = value.item()
    if isinstance(number, float):
        return None if isnan(number) else float(f"{number:.6g}")
    return int(number)


def _ended_by(ledger: Ledger, witness: Place | None) -> str | None:
    """Tell which step ended the way of a row that stood for another one."""
    if witness is None or ledger.state[witness.row] == KEPT:
        return None
    return ledger.manifest.steps[int(ledger.step[witness.row])]


def _texts(ledger: Ledger, row: int, state: int) -> tuple[str | None, str | None, str | None]:
    """Give a row as it was and as it is now; or why that cannot be."""
    if state == ABSENT:
        return None, None, "the run did not look at it"
    if ledger.is_prediction:
        return None, None, "a dry run writes no rows"
    without = None
    try:
        original = ledger.original(row).decode(errors="replace")
    except CurateError as error:
        if state != REMOVED or ledger.manifest.removed != "refer":
            raise
        original, without = None, error.message
    is_rewritten = ledger.is_rewritten(row)
    return original, ledger.now(row).decode(errors="replace") if is_rewritten else original, without

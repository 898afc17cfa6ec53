"""A stage of steps that work on batches.

Rows go out to child processes, and what is said of them is noted in the order of the rows.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct, structs, to_builtins

from curatekit import _native
from curatekit.crew import Crew, Piece
from curatekit.errors import CurateError, StepError
from curatekit.fates import Action, Event, Fates
from curatekit.frames import (
    SCORE_REASONS,
    Begin,
    Column,
    Failure,
    Fit,
    Fitted,
    Said,
    Task,
    Work,
)
from curatekit.interrupt import drained
from curatekit.journal import Answered, Journal, Mark, Spool
from curatekit.output import named
from curatekit.recipe import Entry, OfFilter, OfScorer, Recipe
from curatekit.records import COUNTS
from curatekit.steps import FAILED, Filter, Scorer, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from curatekit.plugins import Watchers

STEP_FAILED = "step-failed"
"""Why a row is in quarantine of which a step could not say anything."""
_ONE_ROWS = 256
"""Most rows that a step gets at a time which may wait for others: a server, or a GPU."""
_TOLD_SECONDS = 0.1
"""Least time between two reports of how far a stage is."""
_PIECE = 1 << 16
"""Rows of which the whereabouts are written at a time."""


class Numbered(Struct, frozen=True):
    """An entry of a recipe, and its place, counted from 1."""

    at: int
    entry: Entry


def is_fitted(entry: Entry) -> bool:
    """Tell whether a step wants to see all rows before the first batch."""
    return entry.step is not None and entry.step.fit is not Step.fit


class Hands(Struct, frozen=True, kw_only=True):
    """With how much a stage works, which changes no result; and whether it only predicts."""

    workers: int
    batch_rows: int
    is_dry: bool


class Stage:
    """Steps that follow one another, with nothing between them that needs all rows."""

    def __init__(
        self,
        recipe: Recipe,
        entries: Sequence[Numbered],
        *,
        dataset: _native.Dataset,
        fates: Fates,
        spool: Spool,
        journal: Journal,
        hands: Hands,
        watchers: Watchers,
    ) -> None:
        self._recipe = recipe
        self._entries = entries
        self._dataset = dataset
        self._fates = fates
        self._spool = spool
        self._journal = journal
        self._hands = hands
        self._watchers = watchers
        self._rows = fates.live
        self._failures: dict[int, int] = {}
        # Zeros take no memory before something is written there.
        self._spans = np.zeros((len(dataset), 2), np.uint64)
        self._is_rewritten = False
        self._made = array("Q")

    @property
    def name(self) -> str:
        """What a person sees of it."""
        return ", ".join(one.entry.id for one in self._entries)

    def carry_out(self, progress: Callable[[str, int, int], None]) -> _native.Dataset:
        """Do all of it, and give the dataset as it then is.

        What the journal knows is taken from there. A request to stop is heeded once what was given
        out is answered, and in the journal.

        Raises:
            StepError: A step failed that may not, or too often.
            ContractError: The same, for what it returned.
            DataError: An input changed.
        """
        timeouts = [one.entry.rules.timeout_seconds for one in self._entries]
        is_one = any(one.entry.placement == "one" for one in self._entries)
        size = 1 if is_one else self._hands.workers
        begin = begin_of(self._recipe, self._entries, self._dataset, self._hands)
        if is_fitted(self._entries[0].entry):
            fitted = self._journal.take(Fitted)
            if fitted is None:
                with Crew(begin, timeouts, 1, is_one=is_one) as crew:
                    fitted = Fitted(crew.fit(self._fit_request()))
                self._journal.add(fitted)
                self._journal.commit()
            begin = structs.replace(begin, fitted={0: fitted.step})
        done = 0
        while done < len(self._rows) and (answered := self._journal.take(Answered)):
            done = self._take(answered, done)
        progress(self.name, done, len(self._rows))
        if done < len(self._rows):
            with drained() as requests:

                def is_stopping() -> bool:
                    if requests:
                        progress("stopping", 0, 0)
                    return bool(requests)

                try:
                    with Crew(
                        begin, timeouts, size, is_one=is_one, is_stopping=is_stopping
                    ) as crew:
                        done = self._ask(crew, done, progress)
                except CurateError:
                    self._journal.commit()
                    raise
                self._journal.commit()
        progress(self.name, done, len(self._rows))
        del self._rows  # all are done, and what follows takes memory
        return self._later()

    def _ask(self, crew: Crew, done: int, progress: Callable[[str, int, int], None]) -> int:
        """Have the rest of the rows looked at, and tell how many then are done."""
        told = time.monotonic()
        failed: Mark | None = None
        for piece in crew.map(self._works(done)):
            mark = self._journal.mark()
            answered = self._stow(piece)
            if failed is None and _has_failed(answered):
                failed = mark
            try:
                done = self._take(answered, done, is_new=True)
            except StepError:
                # Whoever goes on has mended something: rows that failed are asked for again.
                self._journal.rewind(failed or mark)
                raise
            self._journal.add(answered)
            self._journal.commit_if_due()
            if time.monotonic() - told >= _TOLD_SECONDS:
                progress(self.name, done, len(self._rows))
                told = time.monotonic()
        return done

    def _works(self, done: int) -> Iterator[Work]:
        size = self._hands.batch_rows
        if self._entries[0].entry.placement == "one":
            size = min(size, _ONE_ROWS)
        needed = {name for one in self._entries for name in one.entry.needs} - set(COUNTS)
        for start in range(done, len(self._rows), size):
            rows = self._rows[start : start + size]
            columns = {
                name: Column.of(column[rows])
                for name, column in self._fates.columns.items()
                if name in needed
            }
            where = self._dataset.whereabouts(rows)
            yield Work(number=start, rows=rows.tobytes(), whereabouts=where, columns=columns)

    def _fit_request(self) -> Fit:
        folder = self._spool.path.parent
        rows, where = folder / "fit.rows", folder / "fit.whereabouts"
        with named(rows):
            rows.write_bytes(self._rows.tobytes())
        with named(where), where.open("wb") as file:
            for start in range(0, len(self._rows), _PIECE):
                file.write(self._dataset.whereabouts(self._rows[start : start + _PIECE]))
        return Fit(0, str(rows), str(where))

    def _stow(self, piece: Piece) -> Answered:
        """Put the new rows of an answer into the spool."""
        rows, outcome = len(piece.rows), piece.outcome
        if isinstance(outcome, Failure):
            return Answered(rows=rows, failure=outcome)
        for said in outcome.said:
            said.stowed = self._spool.add(said.made)
            said.made = []
        lines = self._spool.add(outcome.lines)
        return Answered(rows=rows, said=outcome.said, lines=lines)

    def _take(self, answered: Answered, done: int, *, is_new: bool = False) -> int:
        """Note what was said of the rows behind those that are done; tell how many then are."""
        rows = self._rows[done : done + answered.rows]
        if answered.failure is not None:
            self._fail(int(rows[0]), answered.failure)
            return done + 1
        places = np.arange(len(rows))
        for one, said in zip(self._entries, answered.said, strict=True):
            self._fates.tallies[one.at].entered += len(places)
            entered = rows[places]
            places = self._heed(one, said, rows, places)
            if len(entered) and is_new:
                self._watchers.call(
                    "on_batch_done",
                    step=one.entry.id,
                    rows=entered,
                    kept=len(places),
                    seconds=said.seconds,
                )
        lines = answered.lines.array()
        if len(lines):
            self._spans[rows[lines[:, 0]]] = lines[:, 1:]
            self._is_rewritten = True
        return done + len(rows)

    def _heed(
        self, one: Numbered, said: Said, rows: NDArray[np.uint64], places: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Note what a step said of the rows at some places of a batch; give those that are left."""
        too_long = set(said.too_long)
        for at in said.changed:
            self._fates.note(one.at, Event(int(rows[at]), "changed"))
            if at in too_long:
                message = f"is longer than {self._recipe.max_line:,} bytes since it was rewritten"
                event = Event(int(rows[at]), "quarantined", "too-long", message)
                self._fates.note(one.at, event)
        if too_long:
            places = places[~np.isin(places, said.too_long)]
        for at, start, length in said.stowed.array().tolist():
            self._made.extend((int(rows[at]), start, length))
        step = one.entry.step
        if step is not None and issubclass(step, Filter):
            return self._filtered(one, said, step.reasons, rows, places)
        if step is not None and issubclass(step, Scorer):
            return self._scored(one, said, rows, places)
        return places

    def _filtered(
        self,
        one: Numbered,
        said: Said,
        reasons: Sequence[str],
        rows: NDArray[np.uint64],
        places: NDArray[np.intp],
    ) -> NDArray[np.intp]:
        codes = np.frombuffer(said.codes, np.uint8)
        is_flag = isinstance(one.entry.rules, OfFilter) and one.entry.rules.mode == "flag"
        action: Action = "flagged" if is_flag else "removed"
        for at in np.flatnonzero(codes):
            place, reason = int(places[at]), reasons[codes[at] - 1]
            evidence = said.evidence.get(place)
            self._fates.note(one.at, Event(int(rows[place]), action, reason, evidence=evidence))
        if is_flag:
            self._fates.column(one.entry.id, "u1")[rows[places]] = codes
            return places
        return places[codes == 0] if len(codes) else places

    def _scored(
        self, one: Numbered, said: Said, rows: NDArray[np.uint64], places: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        codes = np.frombuffer(said.codes, np.uint8)
        tally = self._fates.tallies[one.at]
        scores = {name: np.frombuffer(data, np.float32) for name, data in said.scores.items()}
        is_missing = np.zeros(len(places), np.bool_)
        for name, column in scores.items():
            self._fates.column(name, "f4")[rows[places]] = column
            is_missing |= np.isnan(column)
        tally.without_score += int(is_missing.sum()) - len(said.undecided)
        for outcome, count in said.outcomes.items():
            tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + count
        if failed := said.outcomes.get(FAILED):
            self._count_failed(one, failed, said.failure)
        undecided = set(said.undecided)
        left = np.ones(len(places), np.bool_)
        codes = codes if len(codes) else np.zeros(len(places), np.uint8)
        for at, place in enumerate(places.tolist()):
            code, note = int(codes[at]), said.evidence.get(place)
            if place in undecided:
                self._fates.note(one.at, Event(int(rows[place]), "undecided"))
                left[at] = False
            elif code or note:
                values = {name: _rounded(float(column[at])) for name, column in scores.items()}
                reason = SCORE_REASONS[code - 1] if code else None
                action: Action = "removed" if code else "scored"
                event = Event(int(rows[place]), action, reason, evidence=note, scores=values)
                self._fates.note(one.at, event)
                left[at] = code == 0
        return places[left]

    def _fail(self, row: int, failure: Failure) -> None:
        """Set a row aside of which a step could not say anything, or end the run."""
        task = max(0, failure.task)
        one = self._entries[task]
        rules, author = one.entry.rules, one.entry.author
        rows, places = np.array([row], np.uint64), np.arange(1)
        for reached in self._entries[: task + 1]:
            self._fates.tallies[reached.at].entered += 1
        # Of a process that died nobody knows what its steps before that said.
        for before, said in zip(self._entries[:task], failure.said, strict=False):
            self._heed(before, said, rows, places)
        path, line = self._dataset.place(row)
        error = failure.error(author, f"{path}:{line}")
        if rules.on_error == "stop":
            raise error
        self._fates.note(one.at, Event(row, "quarantined", STEP_FAILED, failure.message))
        self._count_failed(one, 1, failure.message)

    def _count_failed(self, one: Numbered, rows: int, last: str) -> None:
        """Count rows of which a step, or the model that it asked, could not say anything."""
        self._failures[one.at] = self._failures.get(one.at, 0) + rows
        failed, most = self._failures[one.at], one.entry.rules.max_failures
        if failed > most * len(self._rows):
            author = one.entry.author
            share = f"{failed:,} of {len(self._rows):,} rows failed, and `max_failures` is {most:g}"
            raise StepError(author.step, author.plugin, f"{share}; the last: {last}")

    def _later(self) -> _native.Dataset:
        """Give the dataset with the rows that were rewritten or made, these checked and counted."""
        if not self._is_rewritten and not self._made:
            return self._dataset
        self._spool.flush()
        made = np.array(self._made, np.uint64).reshape(-1, 3)
        first = len(self._dataset)
        dataset = self._dataset.later(self._spool.path, self._spans, made)
        self._fates.add(len(made))
        new = np.arange(first, first + len(made), dtype=np.uint64)
        found = dataset.problems(new, self._hands.workers, None)
        problems = {row: (reason, message) for row, reason, message in found}
        at = self._entries[-1].at
        for row, parent in zip(new.tolist(), made[:, 0].tolist(), strict=True):
            self._fates.note(at, Event(row, "generated", parent=parent))
            if row in problems:
                self._fates.note(at, Event(row, "quarantined", *problems[row]))
        return dataset


def _has_failed(answered: Answered) -> bool:
    """Tell whether of some rows nobody could be asked."""
    return answered.failure is not None or any(FAILED in said.outcomes for said in answered.said)


def begin_of(
    recipe: Recipe, entries: Sequence[Numbered], dataset: _native.Dataset, hands: Hands
) -> Begin:
    """Tell children which steps there are, and where the data is."""
    return Begin(
        files=tuple(dataset.descriptors()),
        spool=dataset.spool_descriptor(),
        formats=recipe.loaded.formats,
        field=recipe.field,
        plugins=tuple(str(Path(file).resolve()) for file in recipe.plugins),
        tasks=tuple(_task(one.entry) for one in entries),
        is_dry=hands.is_dry,
        max_line=recipe.max_line,
    )


def _task(entry: Entry) -> Task:
    rules = entry.rules
    task = Task(use=entry.use, id=entry.id, author=entry.author, options=to_builtins(entry.options))
    if isinstance(rules, OfFilter):
        return structs.replace(task, is_flag=rules.mode == "flag")
    if isinstance(rules, OfScorer):
        return structs.replace(
            task,
            keep_at_least=rules.keep_at_least,
            keep_at_most=rules.keep_at_most,
            drops_nan=rules.nan == "drop",
        )
    return task


def _rounded(score: float) -> float | None:
    """Take a float32 for what it means; JSON has no word for NaN."""
    return None if isnan(score) else float(f"{score:.6g}")

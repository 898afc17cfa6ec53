"""Stages that need all rows that are left: a deduplication, a choice, an order.

What they decide goes to the journal, and to the fates of the rows; here stands in which order rows
are to be written, and how often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs, to_builtins
from xxhash import xxh3_128

from curatekit import _native
from curatekit.built_in import DEDUP, STEPS, ExactDedup, NearDedup, SortBy
from curatekit.columns import each, rows_where
from curatekit.crew import Crew
from curatekit.dedup import decide_among
from curatekit.errors import CurateError
from curatekit.evidence import EXACT, NEAR
from curatekit.fates import LIVE, Event, Fates, Witnesses
from curatekit.frames import Choose, Chosen, Column
from curatekit.gauge import Gauge
from curatekit.journal import Decided, Journal
from curatekit.output import sync, unfinished
from curatekit.recipe import Recipe
from curatekit.records import COUNTS
from curatekit.report import build
from curatekit.settings import Settings, parse_names, parse_threshold
from curatekit.stages import Hands, Numbered, begin_of
from curatekit.steps import Selector, copies

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_COPIES = 2**31
_PIECE = 1 << 14
"""Rows whose texts are counted at a time."""


class Barriers:
    """What a run does with all rows at once.

    Attributes:
        reports: Of each deduplication its report, by the place of the step.
        pairs_compared: Pairs of rows that they compared.
    """

    def __init__(
        self,
        recipe: Recipe,
        place: Path,
        *,
        fates: Fates,
        journal: Journal,
        hands: Hands,
        gauge: Gauge,
        memory: int,
    ) -> None:
        self._recipe = recipe
        self._place = place
        self._fates = fates
        self._journal = journal
        self._hands = hands
        self._gauge = gauge
        self._memory = memory
        self._order: NDArray[np.uint64] | None = None
        self._copies: NDArray[np.int64] | None = None
        self.reports: dict[int, Mapping[str, Any]] = {}
        self.pairs_compared = 0

    def carry_out(self, one: Numbered, dataset: _native.Dataset) -> bool:
        """Do what an entry says, if that needs all rows; tell whether it does.

        Raises:
            CurateError: It cannot be done.
            DataError: An input changed.
        """
        step = one.entry.step
        if one.entry.use in DEDUP:
            self._deduplicate(one, dataset)
        elif step is not None and issubclass(step, SortBy):
            self._sort(one, dataset)
        elif step is not None and issubclass(step, Selector):
            self._select(one, dataset)
        else:
            return False
        return True

    def grow(self, made: NDArray[np.uint64]) -> None:
        """Take in rows that were made, each of them once and behind the others."""
        if self._order is not None:
            self._order = np.concatenate([self._order, made])
        if self._copies is not None:
            self._copies = np.concatenate([self._copies, np.ones(len(made), np.int64)])

    def lines(self) -> NDArray[np.uint64] | None:
        """Give the row of each line that is to be written; None is all that are left, in order."""
        if self._order is None and self._copies is None:
            return None
        rows = self.in_order()
        return rows if self._copies is None else np.repeat(rows, self._copies[rows])

    @contextmanager
    def _timed(self, name: str, rows: int) -> Iterator[None]:
        self._gauge(name, 0, rows)
        with self._gauge.stage(name):
            yield
        self._gauge(name, rows, rows)

    def _deduplicate(self, one: Numbered, dataset: _native.Dataset) -> None:
        """Remove the rows that repeat another one, among those that are left, as they now are."""
        found, fates = self._journal.take(Decided), self._fates
        if found is not None and not _is_whole(fates.note_file(one.at), found.events):
            raise unfinished(self._place, f"what `{one.entry.id}` removed is not there")
        decided = None
        if found is None:
            decided, found = self._decide(one, dataset)
            self._journal.add(found)
            self._journal.commit()
        for row, reason, message in found.problems:
            fates.note(0, Event(row, "quarantined", reason, message))
        fates.tallies[one.at].entered = int((fates.state == LIVE).sum())
        if decided is None:
            fates.note_removals(one.at)
        else:
            state = decided.state()
            columns = (decided.witness(), decided.shared(), decided.united())
            for code, reason in enumerate((EXACT, NEAR), 1):
                rows = rows_where(state == code)
                witnesses = Witnesses(*(column[rows].astype(np.uint32) for column in columns))
                fates.note_removed(one.at, rows, reason, witnesses)
        self.pairs_compared += found.pairs_compared
        self.reports[one.at] = found.report

    def _decide(self, one: Numbered, dataset: _native.Dataset) -> tuple[_native.Decided, Decided]:
        """Compare rows, and say what came of it as the journal does."""
        settings = _settings(one, self._recipe, self._hands.workers, self._memory)
        present = self._fates.state == LIVE
        with self._gauge.stage(one.entry.id):
            decided = decide_among(
                dataset, present, settings, spool=self._place, progress=self._gauge
            )
            path = self._fates.note_file(one.at)
            events = decided.write_removals(path)
            sync(path.parent)
            sync(path.parent.parent)
        problems = decided.problems(len(present))
        return decided, Decided(
            events=(events["bytes"], events["xxh3_128"]),
            problems=[(each["row"], each["reason"], each["message"]) for each in problems],
            report=to_builtins(build(settings, decided)),
            pairs_compared=decided.pairs_compared,
        )

    def _select(self, one: Numbered, dataset: _native.Dataset) -> None:
        """Ask a step that chooses among all rows that are left."""
        entry, rows = one.entry, self.in_order()
        self._fates.tallies[one.at].entered = len(rows)
        columns = {"row": rows} | {name: self._column(name, rows, dataset) for name in entry.needs}
        assert entry.step is not None  # noqa: S101 (it is a selector)
        with self._timed(entry.id, len(rows)):
            if entry.use in STEPS:
                step = entry.step(entry.options)
                assert isinstance(step, Selector)  # noqa: S101
                chosen = copies(step, columns, entry.author)
            else:
                begin = begin_of(self._recipe, [one], dataset, self._hands)
                is_one = entry.placement == "one"
                said = self._journal.take(Chosen)
                if said is None:
                    request = Choose({name: Column.of(column) for name, column in columns.items()})
                    with Crew(begin, [entry.rules.timeout_seconds], 1, is_one=is_one) as crew:
                        said = Chosen(crew.choose(request).tobytes())
                    self._journal.add(said)
                    self._journal.commit()
                chosen = np.frombuffer(said.copies, np.uint16)
            reasons: tuple[str, ...] = getattr(entry.step, "reasons", ())
            dropped = rows[chosen == 0]
            dropped.sort()
            for row in each(dropped):
                self._fates.note(one.at, Event(row, "removed", reasons[0]))
        if (chosen > 1).any():
            if self._copies is None:
                self._copies = np.ones(len(dataset), np.int64)
            self._copies[rows] *= np.maximum(chosen, 1)
            if int(self._copies.max()) > _MOST_COPIES:
                raise CurateError(
                    f"step `{entry.id}` asks for a row more than {_MOST_COPIES:,} times"
                )

    def _sort(self, one: Numbered, dataset: _native.Dataset) -> None:
        rows = self.in_order()
        self._fates.tallies[one.at].entered = len(rows)
        assert one.entry.step is not None  # noqa: S101 (it is the one that sorts)
        step = one.entry.step(one.entry.options)
        assert isinstance(step, SortBy)  # noqa: S101
        with self._timed(one.entry.id, len(rows)):
            self._order = rows[step.order(self._column(step.options.column, rows, dataset))]

    def in_order(self) -> NDArray[np.uint64]:
        """Give the rows that are left, in the order in which they will be written."""
        if self._order is None:
            return self._fates.live
        left: NDArray[np.uint64] = self._order[self._fates.state[self._order] == LIVE]
        return left

    def _column(
        self, name: str, rows: NDArray[np.uint64], dataset: _native.Dataset
    ) -> NDArray[Any]:
        """Give what is known of rows under a name."""
        if name not in COUNTS:
            known = self._fates.columns
            if name not in known:  # no row reached the step that would have said something
                return np.full(len(rows), np.nan, np.float32)
            return known[name][rows]
        counts = [
            dict(dataset.block(rows[start : start + _PIECE]).statistics())[name]
            for start in range(0, len(rows), _PIECE)
        ]
        return np.concatenate(counts) if counts else np.empty(0, np.uint32)


def _is_whole(path: Path, told: tuple[int, str]) -> bool:
    """Tell whether a file is there, with so many bytes and this hash."""
    found = xxh3_128()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    except FileNotFoundError:
        return False
    return (path.stat().st_size, found.hexdigest()) == told


def _settings(one: Numbered, recipe: Recipe, threads: int, memory: int) -> Settings:
    """Say what a deduplication compares, and how."""
    options = one.entry.options
    assert isinstance(options, ExactDedup)  # noqa: S101 (both have these options)
    settings = Settings(
        method="exact",
        on=parse_names(options.on),
        also=parse_names(options.also),
        keep=options.keep,
        field=recipe.field,
        threads=threads,
        memory=memory,
    )
    if isinstance(options, NearDedup):
        return structs.replace(
            settings,
            method="near",
            threshold_millis=parse_threshold(options.threshold),
            ngram=options.ngram,
            alike=options.alike,
            numbers=options.numbers,
            recall=options.recall,
            seed=options.seed,
        )
    return settings

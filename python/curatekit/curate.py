"""A recipe carried out: from inputs to a published folder.

The entries of a recipe fall into stages. A stage is one deduplication, one choice among all rows,
or a run of steps that work on batches, in child processes; what a stage leaves is what the next one
sees. Rows keep their numbers throughout: a rewritten row stands in a spool, a generated one is
numbered after all others, and no row is decided twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from msgspec import structs, to_builtins

from curatekit import _native
from curatekit.brakes import BrakeError, check_step
from curatekit.built_in import DEDUP, STEPS, ExactDedup, NearDedup, SortBy
from curatekit.crew import Crew
from curatekit.dedup import decide_among
from curatekit.errors import CurateError
from curatekit.fates import LIVE, REMOVED, UNDECIDED, Event, Fates
from curatekit.frames import Choose, Column
from curatekit.gauge import Gauge, cores
from curatekit.inputs import expand
from curatekit.output import FIGURES, KEPT, places, staged, write
from curatekit.publish import publish
from curatekit.recipe import Recipe
from curatekit.recipe_report import RecipeReport
from curatekit.records import COUNTS
from curatekit.report import Outcome, build, to_json
from curatekit.settings import Settings, parse_names, parse_threshold
from curatekit.stages import Hands, Numbered, Spool, Stage, begin_of, is_fitted
from curatekit.steps import Generator, Selector, copies

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from curatekit._native import Progress
    from curatekit.plugins import Watchers

DRY = ".dry-run"
"""What the folder of a prediction has after the name of the output."""
_SCRATCH = ".scratch"
_MOST_COPIES = 2**31
_PIECE = 1 << 14
"""Rows whose texts are counted at a time."""


def curate(
    recipe: Recipe,
    out: Path | None = None,
    *,
    force: bool = False,
    is_dry: bool = False,
    rows: int | None = None,
    workers: int = 0,
    batch_rows: int = 1024,
    memory: int = 4 * 2**30,
    progress: Progress | None = None,
) -> Outcome[RecipeReport]:
    """Carry out a recipe, and write what is left, and why the rest is not, into a new folder.

    The folder holds `kept.jsonl`, `removed.jsonl`, `quarantine.jsonl`, `decisions.jsonl`,
    `report.json`, `run.json`, and in `ledger/` what steps said of rows as columns. It appears
    whole, or not at all.

    Args:
        recipe: What to do, as `curatekit.recipe.read` gives it.
        out: The output folder, if not that of the recipe.
        force: Replace an `out` that is empty or a former run.
        is_dry: Only predict: no rows are written, and no step may do what costs money. Decisions
            and report stand in the folder `OUT.dry-run`.
        rows: Look at so many rows only, the first.
        workers: Processes, and threads; 0 means one a core. Does not change the result.
        batch_rows: Rows that a step gets at a time. Does not change the result.
        memory: Budget for private memory of a deduplication, in bytes.
        progress: Called about ten times a second, and when a batch is done.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input cannot be read, or changed meanwhile.
        ValueError: A number is out of its range.
        CurateError: The inputs name a file twice or none, or `out` cannot be replaced.
        StepError: A step failed, or failed too often.
        ContractError: A step returned what its kind does not allow.
        BrakeError: A step dropped more than the recipe allows.
        OSError: The disk is full or fails.
    """
    limits = {"rows": (rows, 0), "workers": (workers, 0), "batch_rows": (batch_rows, 1)}
    for name, (given, least) in limits.items():
        if given is not None and given < least:
            raise ValueError(f"`{name}` is at least {least}, not {given}")
    out = Path(recipe.output) if out is None else out
    files = expand(recipe.input, outside=(*places(out), *places(_dry(out))))
    if is_dry:
        _check_prediction(_dry(out))
    gauge = Gauge(progress)
    hands = Hands(workers=workers or cores(), batch_rows=batch_rows, is_dry=is_dry)
    with staged(_dry(out) if is_dry else out, force=force or is_dry) as work:
        with _Run(recipe, files, work, hands=hands, gauge=gauge, memory=memory, rows=rows) as run:
            report = run.carry_out()
            figures = gauge.figures(
                threads=hands.workers,
                memory_budget=memory,
                io="map",
                bytes_read=report.bytes_read,
                pairs_compared=run.pairs_compared,
            )
        write(work / FIGURES, to_json(figures))
    run.watchers.call("on_run_end", report=to_builtins(report))
    return Outcome(report, figures)


def _dry(out: Path) -> Path:
    """Name the folder of a prediction."""
    whole, *_ = places(out)
    return whole.with_name(f"{whole.name}{DRY}")


def _check_prediction(folder: Path) -> None:
    """See that a prediction would replace nothing but another one."""
    if (folder / KEPT).exists():
        hint = "rename it, or name another output"
        raise CurateError(f"`{folder}` is the output of a run, so no prediction goes there", hint)


class _Run:
    """What the stages of a run share."""

    def __init__(
        self,
        recipe: Recipe,
        files: list[str],
        work: Path,
        *,
        hands: Hands,
        gauge: Gauge,
        memory: int,
        rows: int | None,
    ) -> None:
        self._recipe = recipe
        self._work = work
        self._scratch = work / _SCRATCH
        self._scratch.mkdir()
        self._hands = hands
        self._gauge = gauge
        self._memory = memory
        self.watchers: Watchers = recipe.loaded.watchers()
        self.pairs_compared = 0
        with gauge.stage("find"):
            self._dataset = _native.Dataset(
                files,
                recipe.loaded.formats,
                format=recipe.format,
                field=recipe.field,
                max_line=recipe.max_line,
                io="map",
                spool=self._scratch,
                progress=gauge,
            )
        self._read = len(self._dataset)
        self._spool = Spool(self._scratch / "rows")
        ids = [entry.id for entry in recipe.entries]
        self._fates = Fates(self._read, ids, self._scratch / "lives")
        if rows is not None:
            self._fates.leave_out(rows)
        self._order: NDArray[np.uint64] | None = None
        self._copies: NDArray[np.int64] | None = None
        self._brakes: list[str] = []
        self._dedups: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        self._fates.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spool.close()
        self._fates.__exit__(kind, error, trace)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def carry_out(self) -> RecipeReport:
        files = [path for path, _ in self._dataset.formats()]
        self.watchers.call("on_run_start", recipe=self._recipe.plain(), inputs=files)
        entries = [Numbered(at, entry) for at, entry in enumerate(self._recipe.entries, 1)]
        if not entries or entries[0].entry.use not in DEDUP:
            self._validate()
        for stage in _stages(entries):
            if self._is_open(stage[0]):
                continue
            first, entered = stage[0].entry, len(self._dataset)
            if first.use in DEDUP:
                self._deduplicate(stage[0])
            elif first.step is not None and issubclass(first.step, SortBy):
                self._sort(stage[0])
            elif first.step is not None and issubclass(first.step, Selector):
                self._select(stage[0])
            else:
                self._work_through(stage)
            for one in stage:
                self._brake(one, entered)
        return self._publish()

    def _validate(self) -> None:
        """Set aside the rows that cannot be judged."""
        with self._gauge.stage("read"):
            found = self._dataset.problems(self._fates.live, self._hands.workers, self._gauge)
        for row, reason, message in found:
            self._fates.note(0, Event(row, "quarantined", reason, message))

    def _is_open(self, one: Numbered) -> bool:
        """Tell whether a stage cannot be predicted: it needs all rows, and some are undecided."""
        looks_at_all = one.entry.use in DEDUP or is_fitted(one.entry)
        looks_at_all |= one.entry.step is not None and issubclass(one.entry.step, Selector)
        if not looks_at_all or not (self._fates.state == UNDECIDED).any():
            return False
        left = self._fates.live.tolist()
        self._fates.tallies[one.at].entered = len(left)
        for row in left:
            self._fates.note(one.at, Event(row, "undecided"))
        return True

    @contextmanager
    def _timed(self, name: str, rows: int) -> Iterator[None]:
        self._gauge(name, 0, rows)
        with self._gauge.stage(name):
            yield
        self._gauge(name, rows, rows)

    def _work_through(self, entries: list[Numbered]) -> None:
        stage = Stage(
            self._recipe,
            entries,
            dataset=self._dataset,
            fates=self._fates,
            spool=self._spool,
            hands=self._hands,
            watchers=self.watchers,
        )
        before = len(self._dataset)
        with self._gauge.stage(stage.name):
            self._dataset = stage.carry_out(self._gauge)
        made = np.arange(before, len(self._dataset), dtype=np.uint64)
        if self._order is not None:
            self._order = np.concatenate([self._order, made])
        if self._copies is not None:
            self._copies = np.concatenate([self._copies, np.ones(len(made), np.int64)])

    def _deduplicate(self, one: Numbered) -> None:
        """Remove the rows that repeat another one, among those that are left, as they now are."""
        settings = _settings(one, self._recipe, self._hands.workers, self._memory)
        present = self._fates.state == LIVE
        tally = self._fates.tallies[one.at]
        with self._gauge.stage(one.entry.id):
            decided = decide_among(
                self._dataset, present, settings, spool=self._scratch, progress=self._gauge
            )
            decided.write_removals(self._fates.note_file(one.at))
        for problem in decided.problems(len(present)):
            event = Event(problem["row"], "quarantined", problem["reason"], problem["message"])
            self._fates.note(0, event)
        tally.entered = int((self._fates.state == LIVE).sum())
        state = decided.state()
        for code, reason in enumerate(("exact-duplicate", "near-duplicate"), 1):
            self._fates.note_removed(one.at, np.flatnonzero(state == code).astype("u8"), reason)
        self.pairs_compared += decided.pairs_compared
        self._dedups[one.at] = to_builtins(build(settings, decided))

    def _select(self, one: Numbered) -> None:
        """Ask a step that chooses among all rows that are left."""
        entry, rows = one.entry, self._in_order()
        self._fates.tallies[one.at].entered = len(rows)
        columns = {"row": rows} | {name: self._column(name, rows) for name in entry.needs}
        assert entry.step is not None  # noqa: S101 (it is a selector)
        with self._timed(entry.id, len(rows)):
            if entry.use in STEPS:
                step = entry.step(entry.options)
                assert isinstance(step, Selector)  # noqa: S101
                chosen = copies(step, columns, entry.author)
            else:
                begin = begin_of(self._recipe, [one], self._dataset, self._hands)
                is_one = entry.placement == "one"
                with Crew(begin, [entry.rules.timeout_seconds], 1, is_one=is_one) as crew:
                    request = Choose({name: Column.of(column) for name, column in columns.items()})
                    chosen = crew.choose(request)
            reasons: tuple[str, ...] = getattr(entry.step, "reasons", ())
            for row in np.sort(rows[chosen == 0]).tolist():
                self._fates.note(one.at, Event(row, "removed", reasons[0]))
        if (chosen > 1).any():
            if self._copies is None:
                self._copies = np.ones(len(self._dataset), np.int64)
            self._copies[rows] *= np.maximum(chosen, 1)
            if int(self._copies.max()) > _MOST_COPIES:
                raise CurateError(
                    f"step `{entry.id}` asks for a row more than {_MOST_COPIES:,} times"
                )

    def _sort(self, one: Numbered) -> None:
        rows = self._in_order()
        self._fates.tallies[one.at].entered = len(rows)
        assert one.entry.step is not None  # noqa: S101 (it is the one that sorts)
        step = one.entry.step(one.entry.options)
        assert isinstance(step, SortBy)  # noqa: S101
        with self._timed(one.entry.id, len(rows)):
            self._order = rows[step.order(self._column(step.options.column, rows))]

    def _in_order(self) -> NDArray[np.uint64]:
        """Give the rows that are left, in the order in which they will be written."""
        if self._order is None:
            return self._fates.live
        left: NDArray[np.uint64] = self._order[self._fates.state[self._order] == LIVE]
        return left

    def _column(self, name: str, rows: NDArray[np.uint64]) -> NDArray[Any]:
        """Give what is known of rows under a name."""
        if name not in COUNTS:
            known = self._fates.columns
            if name not in known:  # no row reached the step that would have said something
                return np.full(len(rows), np.nan, np.float32)
            return known[name][rows]
        counts = [
            dict(self._dataset.block(rows[start : start + _PIECE]).statistics())[name]
            for start in range(0, len(rows), _PIECE)
        ]
        return np.concatenate(counts) if counts else np.empty(0, np.uint32)

    def _brake(self, one: Numbered, rows: int) -> None:
        """Look at what a step dropped; those that the recipe itself tells what to keep may.

        Of its stage so many rows were there, and others may have been made since. Where rows are
        undecided, nobody knows what share of them that will be.
        """
        if (self._fates.state == UNDECIDED).any():
            return
        step = one.entry.step
        chooses = step is not None and issubclass(step, Selector)
        if one.entry.use == "near-dedup" or ("." in one.entry.use and not chooses):
            state, ended = self._fates.state[:rows], self._fates.step[:rows]
            removed = np.flatnonzero((state == REMOVED) & (ended == one.at)).astype(np.uint64)
            kept = np.flatnonzero((state == LIVE) | (ended > one.at)).astype(np.uint64)
            try:
                check_step(self._recipe.brakes, one.entry.id, kept, removed, self._dataset)
            except BrakeError as brake:
                if not self._hands.is_dry:
                    raise
                self._brakes.append(brake.message)

    def _publish(self) -> RecipeReport:
        kept = self._in_order()
        if self._copies is not None:
            kept = np.repeat(kept, self._copies[kept])
        return publish(
            self._work,
            recipe=self._recipe,
            dataset=self._dataset,
            fates=self._fates,
            kept=kept,
            is_in_order=self._order is None and self._copies is None,
            dedups=self._dedups,
            brakes=self._brakes,
            is_dry=self._hands.is_dry,
            gauge=self._gauge,
        )


def _stages(entries: list[Numbered]) -> Iterator[list[Numbered]]:
    """Put entries together that can work on the same batches."""
    stage: list[Numbered] = []
    for one in entries:
        entry = one.entry
        step = entry.step
        is_alone = step is None or issubclass(step, Selector | SortBy)
        if stage and (is_alone or is_fitted(entry) or entry.placement != stage[0].entry.placement):
            yield stage
            stage = []
        stage.append(one)
        if is_alone or (step is not None and issubclass(step, Generator)):
            yield stage
            stage = []
    if stage:
        yield stage


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

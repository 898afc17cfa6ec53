"""A recipe carried out: from inputs to a published folder.

The entries of a recipe fall into stages. A stage is one deduplication, one choice among all rows,
or a run of steps that work on batches, in child processes; what a stage leaves is what the next one
sees. Rows keep their numbers throughout: a rewritten row stands in a spool, a generated one is
numbered after all others, and no row is decided twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from msgspec import to_builtins

from curatekit import _native
from curatekit.barriers import Barriers
from curatekit.brakes import BrakeError, check_step
from curatekit.built_in import DEDUP, SortBy
from curatekit.columns import each
from curatekit.errors import CurateError, DataError
from curatekit.fates import LIVE, Event, Fates
from curatekit.gauge import Gauge, cores
from curatekit.inputs import expand
from curatekit.journal import Checked, Journal, Plan, Spool
from curatekit.manifest import REMOVED, UNDECIDED
from curatekit.output import (
    DECISIONS,
    FIGURES,
    PLAIN,
    REPORT,
    Packing,
    Work,
    check_space,
    holds_rows,
    is_run,
    places,
    staged,
    write,
)
from curatekit.publish import Publisher
from curatekit.recipe import Recipe
from curatekit.recipe_report import RecipeReport
from curatekit.recipe_report import build as build_report
from curatekit.report import Outcome, to_json
from curatekit.stages import Hands, Numbered, Stage, is_fitted
from curatekit.steps import Generator, Selector

if TYPE_CHECKING:
    from types import TracebackType

    from curatekit._native import Progress
    from curatekit.plugins import Watchers

DRY = ".dry-run"
"""What the folder of a prediction has after the name of the output."""


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
    packing: Packing = PLAIN,
    journal_seconds: float = 5.0,
    progress: Progress | None = None,
) -> Outcome[RecipeReport]:
    """Carry out a recipe, and write what is left, and why the rest is not, into a new folder.

    The folder holds `kept.jsonl`, `removed.jsonl`, `quarantine.jsonl`, `decisions.jsonl`,
    `report.json`, `run.json`, and in `ledger/` what became of rows as columns. It appears whole, or
    not at all. A run that does not come to its end leaves what it has done in `OUT.partial`, and
    the same call goes on from there.

    Args:
        recipe: What to do, as `curatekit.recipe.read` gives it.
        out: The output folder, if not that of the recipe.
        force: Replace an `out` that is empty or a former run, and begin anew where another recipe,
            or other inputs, were not finished.
        is_dry: Only predict: no rows are written, and no step may do what costs money. Decisions
            and report stand in the folder `OUT.dry-run`.
        rows: Look at so many rows only, the first.
        workers: Processes, and threads; 0 means one a core. Does not change the result.
        batch_rows: Rows that a step gets at a time. Does not change the result.
        memory: Budget for private memory of a deduplication, in bytes.
        packing: How the files of rows are written.
        journal_seconds: How often what is done goes down to the disk, so that the same call goes
            on from there after whatever ends this one. Does not change the result.
        progress: Called about ten times a second, and when a batch is done.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input cannot be read, or changed meanwhile.
        ValueError: A number is out of its range.
        CurateError: The inputs name a file twice or none, `out` cannot be replaced, or another run
            into it was not finished.
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
    place = _dry(out) if is_dry else out
    with staged(place, force=force or is_dry, resumes=not is_dry) as work:
        run = _Run(
            recipe,
            files,
            work,
            hands=hands,
            packing=packing,
            gauge=gauge,
            memory=memory,
            rows=rows,
            journal_seconds=journal_seconds,
        )
        with run:
            run.resume(anew=force)
            report = run.carry_out()
            figures = gauge.figures(
                threads=hands.workers,
                memory_budget=memory,
                io="map",
                bytes_read=report.bytes_read,
                pairs_compared=run.pairs_compared,
                attempts=run.attempts,
            )
        write(work.folder / FIGURES, to_json(figures))
    run.watchers.call("on_run_end", report=to_builtins(report))
    return Outcome(report, figures)


def _dry(out: Path) -> Path:
    """Name the folder of a prediction."""
    whole, *_ = places(out)
    return whole.with_name(f"{whole.name}{DRY}")


def _check_prediction(folder: Path) -> None:
    """See that a prediction would replace nothing but another one."""
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if is_run(names) and holds_rows(names):
        hint = "rename it, or name another output"
        raise CurateError(f"`{folder}` is the output of a run, so no prediction goes there", hint)


class _Run:
    """What the stages of a run share."""

    def __init__(
        self,
        recipe: Recipe,
        files: list[str],
        work: Work,
        *,
        hands: Hands,
        packing: Packing,
        gauge: Gauge,
        memory: int,
        rows: int | None,
        journal_seconds: float,
    ) -> None:
        self._recipe = recipe
        self._work = work
        self._scratch = work.place
        self._hands = hands
        self._packing = packing
        self._gauge = gauge
        self.watchers: Watchers = recipe.loaded.watchers()
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
        if packing == PLAIN and not hands.is_dry:
            present = np.arange(self._read) < (self._read if rows is None else rows)
            check_space(work.folder, self._dataset.bytes_of(present))
        self._looked_at = rows
        self._is_strange = True
        self._spool = Spool(self._scratch / "rows")
        self._journal = Journal(None if hands.is_dry else work.place, self._spool, journal_seconds)
        ids = [entry.id for entry in recipe.entries]
        self._fates = Fates(self._read, ids, self._scratch / "lives")
        if rows is not None:
            self._fates.leave_out(rows)
        self._brakes: list[str] = []
        self._barriers = Barriers(
            recipe,
            work.place,
            fates=self._fates,
            journal=self._journal,
            hands=hands,
            gauge=gauge,
            memory=memory,
        )

    def __enter__(self) -> Self:
        self._fates.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._journal.close()
        self._spool.close()
        self._fates.__exit__(kind, error, trace)
        if self._is_strange:
            return  # what is there belongs to another run
        # What is wrong with the data, or with what it was told, would be so again.
        self._work.is_kept &= not isinstance(error, BrakeError | DataError)

    @property
    def pairs_compared(self) -> int:
        """Pairs of rows that deduplications compared."""
        return self._barriers.pairs_compared

    @property
    def attempts(self) -> int:
        """How often it was begun."""
        return self._journal.attempts

    def resume(self, *, anew: bool) -> None:
        """Go on with what another run left, or begin.

        Raises:
            CurateError: It was another recipe, and `anew` does not say that that does not matter.
            DataError: The same for an input.
        """
        inputs = self._dataset.inputs()
        plan = Plan(
            curatekit=_native.__version__,
            unicode=_native.UNICODE_VERSION,
            recipe=self._recipe.plain(),
            rows=self._looked_at,
            plugins=self._recipe.loaded.digests({one.use for one in self._recipe.entries}),
            inputs=tuple((one["name"], one["bytes"], one["xxh3_128"]) for one in inputs),
        )
        self._journal.open(plan, anew=anew)
        self._is_strange = False
        self._work.is_kept = not self._hands.is_dry

    def carry_out(self) -> RecipeReport:
        files = [path for path, _ in self._dataset.formats()]
        self.watchers.call("on_run_start", recipe=self._recipe.plain(), inputs=files)
        entries = [Numbered(at, entry) for at, entry in enumerate(self._recipe.entries, 1)]
        if not entries or entries[0].entry.use not in DEDUP:
            self._validate()
        for stage in _stages(entries):
            if self._is_open(stage[0]):
                continue
            entered = len(self._dataset)
            if not self._barriers.carry_out(stage[0], self._dataset):
                self._work_through(stage)
            for one in stage:
                self._brake(one, entered)
        return self._publish()

    def _validate(self) -> None:
        """Set aside the rows that cannot be judged."""
        checked = self._journal.take(Checked)
        if checked is None:
            with self._gauge.stage("read"):
                live = self._fates.live
                checked = Checked(self._dataset.problems(live, self._hands.workers, self._gauge))
            self._journal.add(checked)
            self._journal.commit()
        for row, reason, message in checked.found:
            self._fates.note(0, Event(row, "quarantined", reason, message))

    def _is_open(self, one: Numbered) -> bool:
        """Tell whether a stage cannot be predicted: it needs all rows, and some are undecided."""
        looks_at_all = one.entry.use in DEDUP or is_fitted(one.entry)
        looks_at_all |= one.entry.step is not None and issubclass(one.entry.step, Selector)
        if not looks_at_all or not (self._fates.state == UNDECIDED).any():
            return False
        left = self._fates.live
        self._fates.tallies[one.at].entered = len(left)
        for row in each(left):
            self._fates.note(one.at, Event(row, "undecided"))
        return True

    def _work_through(self, entries: list[Numbered]) -> None:
        stage = Stage(
            self._recipe,
            entries,
            dataset=self._dataset,
            fates=self._fates,
            spool=self._spool,
            journal=self._journal,
            hands=self._hands,
            watchers=self.watchers,
        )
        before = len(self._dataset)
        with self._gauge.stage(stage.name):
            self._dataset = stage.carry_out(self._gauge)
        self._barriers.grow(np.arange(before, len(self._dataset), dtype=np.uint64))

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
            removed = (state == REMOVED) & (ended == one.at)
            kept = (state == LIVE) | (ended > one.at)
            try:
                check_step(self._recipe.brakes, one.entry.id, kept, removed, self._dataset)
            except BrakeError as brake:
                if not self._hands.is_dry:
                    raise
                self._brakes.append(brake.message)

    def _publish(self) -> RecipeReport:
        """Write what became of all rows; of a prediction no rows."""
        flags = {one.id for one in self._recipe.entries if getattr(one.rules, "mode", "") == "flag"}
        said = {
            f"{'flags' if name in flags else 'scores'}/{name}": column
            for name, column in self._fates.columns.items()
        }
        columns = self._fates.columns_with(said, self._barriers.lines())
        publisher = Publisher(
            self._work.folder, self._dataset, columns, self._packing, self._hands.workers
        )
        if not self._hands.is_dry:
            with self._gauge.stage("write"):
                publisher.write_rows(self._gauge)
        with self._gauge.stage("explain"):
            path = self._work.folder / DECISIONS
            publisher.note(self._dataset.write_decisions(self._fates.lives(), path))
            publisher.write_ledger()
        if not self._hands.is_dry:
            with self._gauge.stage("check"):
                publisher.check_counts()
        report = build_report(
            self._recipe,
            self._dataset,
            self._fates,
            publisher.written,
            dedups=self._barriers.reports,
            brakes=self._brakes,
        )
        publisher.document(REPORT, to_json(report))
        publisher.write_manifest()
        return report


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

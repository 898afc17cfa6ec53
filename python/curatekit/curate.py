"""A recipe carried out: from inputs to a published folder.

The entries of a recipe fall into stages. A stage is one deduplication, one choice among all rows,
or a run of steps that work on batches, in child processes; what a stage leaves is what the next one
sees. Rows keep their numbers throughout: a rewritten row stands in a spool, a generated one is
numbered after all others, and no row is decided twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from msgspec import structs, to_builtins
from xxhash import xxh3_128

from curatekit import _native
from curatekit.brakes import BrakeError, check_step
from curatekit.built_in import DEDUP, STEPS, ExactDedup, NearDedup, SortBy
from curatekit.crew import Crew
from curatekit.dedup import decide_among
from curatekit.errors import CurateError, DataError
from curatekit.evidence import EXACT, NEAR
from curatekit.fates import LIVE, Event, Fates, Witnesses
from curatekit.frames import Choose, Chosen, Column
from curatekit.gauge import Gauge, cores
from curatekit.inputs import expand
from curatekit.journal import Checked, Decided, Journal, Plan, Spool
from curatekit.ledger import REMOVED, UNDECIDED
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
    sync,
    unfinished,
    write,
)
from curatekit.publish import Publisher
from curatekit.recipe import Recipe
from curatekit.recipe_report import RecipeReport
from curatekit.recipe_report import build as build_report
from curatekit.records import COUNTS
from curatekit.report import Outcome, build, to_json
from curatekit.settings import Settings, parse_names, parse_threshold
from curatekit.stages import Hands, Numbered, Stage, begin_of, is_fitted
from curatekit.steps import Generator, Selector, copies

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from curatekit._native import Progress
    from curatekit.plugins import Watchers

DRY = ".dry-run"
"""What the folder of a prediction has after the name of the output."""
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
        self._order: NDArray[np.uint64] | None = None
        self._copies: NDArray[np.int64] | None = None
        self._brakes: list[str] = []
        self._dedups: dict[int, Mapping[str, Any]] = {}

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
            journal=self._journal,
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
        found, fates = self._journal.take(Decided), self._fates
        if found is not None and not _is_whole(fates.note_file(one.at), found.events):
            raise unfinished(self._work.place, f"what `{one.entry.id}` removed is not there")
        decided = None
        if found is None:
            decided, found = self._decide(one)
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
            witnesses = Witnesses(*(column.astype(np.uint32, copy=False) for column in columns))
            for code, reason in enumerate((EXACT, NEAR), 1):
                rows = np.flatnonzero(state == code).astype(np.uint64)
                fates.note_removed(one.at, rows, reason, witnesses)
        self.pairs_compared += found.pairs_compared
        self._dedups[one.at] = found.report

    def _decide(self, one: Numbered) -> tuple[_native.Decided, Decided]:
        """Compare rows, and say what came of it as the journal does."""
        settings = _settings(one, self._recipe, self._hands.workers, self._memory)
        present = self._fates.state == LIVE
        with self._gauge.stage(one.entry.id):
            decided = decide_among(
                self._dataset, present, settings, spool=self._scratch, progress=self._gauge
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
                said = self._journal.take(Chosen)
                if said is None:
                    request = Choose({name: Column.of(column) for name, column in columns.items()})
                    with Crew(begin, [entry.rules.timeout_seconds], 1, is_one=is_one) as crew:
                        said = Chosen(crew.choose(request).tobytes())
                    self._journal.add(said)
                    self._journal.commit()
                chosen = np.frombuffer(said.copies, np.uint16)
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
        """Write what became of all rows; of a prediction no rows."""
        order = self._in_order() if self._order is not None or self._copies is not None else None
        if self._copies is not None and order is not None:
            order = np.repeat(order, self._copies[order])
        flags = {one.id for one in self._recipe.entries if getattr(one.rules, "mode", "") == "flag"}
        said = {
            f"{'flags' if name in flags else 'scores'}/{name}": column
            for name, column in self._fates.columns.items()
        }
        columns = self._fates.columns_with(said, order)
        publisher = Publisher(self._work.folder, self._dataset, columns, self._packing)
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
            dedups=self._dedups,
            brakes=self._brakes,
        )
        publisher.document(REPORT, to_json(report))
        publisher.write_manifest()
        return report


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

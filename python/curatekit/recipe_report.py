"""What happened when a recipe was carried out: counts, reasons, and what each step did.

As every report, it is equal for equal runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins
from rich.filesize import decimal

from curatekit import _native
from curatekit.columns import count_each
from curatekit.manifest import ABSENT, KEPT, QUARANTINED, REMOVED, UNDECIDED, Written
from curatekit.output import RECIPE_SCHEMA
from curatekit.report import Figures, measured, share

if TYPE_CHECKING:
    from curatekit.fates import Fates
    from curatekit.recipe import Recipe


class StepReport(Struct, frozen=True, kw_only=True):
    """What one step of a recipe did, in numbers of rows."""

    id: str
    use: str
    plugin: str
    rows: int
    """Rows that reached it."""
    removed: Mapping[str, int]
    """By reason, as the next two."""
    flagged: Mapping[str, int]
    quarantined: Mapping[str, int]
    changed: int
    generated: int
    undecided: int
    outcomes: Mapping[str, int]
    """How scores came about."""
    without_score: int
    dedup: Mapping[str, object] | None
    """Of a deduplication, its own report; rows that did not reach it do not count there."""


class RecipeReport(Struct, frozen=True, kw_only=True):
    """The outcome of a recipe: what went in, what came out, and what each step did.

    `rows` and `generated` together are `kept`, `removed`, `quarantined` and `undecided`.
    """

    schema: str = RECIPE_SCHEMA
    curatekit: str
    unicode: str
    recipe: Mapping[str, object]
    """Inputs, and every option that can change the result."""
    rows: int
    generated: int
    kept: int
    removed: int
    quarantined: int
    undecided: int
    """Rows of which a dry run cannot tell whether they are kept."""
    brakes: Sequence[str]
    """Why the run would stop before it writes anything, where this is a dry run's."""
    unreadable: Mapping[str, int]
    """Rows that are in quarantine because no step could read them, by reason."""
    bytes_read: int
    steps: Sequence[StepReport]
    files: Sequence[Mapping[str, object]]
    written: Mapping[str, Written]
    """The files of rows, by name."""


def build(
    recipe: Recipe,
    dataset: _native.Dataset,
    fates: Fates,
    written: Mapping[str, Written],
    *,
    dedups: Mapping[int, Mapping[str, Any]],
    brakes: Sequence[str],
) -> RecipeReport:
    """Put the report together from what was asked and what became of the rows.

    Args:
        recipe: What was carried out.
        dataset: The rows as they now are.
        fates: What became of each.
        written: The files of rows that were written.
        dedups: Reports of deduplications, by the place of the step.
        brakes: Why the run would stop, if this is a prediction.
    """
    counts = count_each(fates.state, ABSENT + 1)
    return RecipeReport(
        curatekit=_native.__version__,
        unicode=_native.UNICODE_VERSION,
        recipe=recipe.plain(),
        rows=fates.read - counts[ABSENT],
        generated=len(fates.state) - fates.read,
        kept=counts[KEPT],
        removed=counts[REMOVED],
        quarantined=counts[QUARANTINED],
        undecided=counts[UNDECIDED],
        brakes=brakes,
        unreadable=fates.tallies[0].quarantined,
        bytes_read=dataset.bytes_read(),
        steps=list(_steps(recipe, fates, dedups)),
        files=list(_files(dataset, fates)),
        written=written,
    )


def _steps(
    recipe: Recipe, fates: Fates, dedups: Mapping[int, Mapping[str, Any]]
) -> Iterator[StepReport]:
    for at, entry in enumerate(recipe.entries, 1):
        did = to_builtins(fates.tallies[at])
        yield StepReport(
            id=entry.id,
            use=entry.use,
            plugin=entry.author.plugin,
            rows=did.pop("entered"),
            **did,
            dedup=dedups.get(at),
        )


def _files(dataset: _native.Dataset, fates: Fates) -> Iterator[dict[str, Any]]:
    """Tell of each file what became of its rows."""
    for one in dataset.inputs():
        rows = slice(one["first_row"], one["first_row"] + one["rows"])
        counts = count_each(fates.state[rows], ABSENT + 1)
        yield {
            "name": one["name"],
            "format": one["format"],
            "rows": sum(counts[:ABSENT]),
            "kept": counts[KEPT],
            "removed": counts[REMOVED],
            "quarantined": counts[QUARANTINED],
        }


def table(report: RecipeReport, figures: Figures) -> list[tuple[str, str, str]]:
    """Tell a run in a few lines for a terminal: what, how much, and a remark."""
    formats = sorted({str(file["format"]) for file in report.files})
    files = f"{len(report.files):,} file{'s' * (len(report.files) != 1)}"
    lines = [
        (
            "rows in",
            f"{report.rows:,}",
            f"{files}, {decimal(report.bytes_read)}, {', '.join(formats)}",
        ),
        *((f"  {step.id}", *_deed(step)) for step in report.steps),
    ]
    fates = {
        "generated": report.generated,
        "kept": report.kept,
        "removed": report.removed,
        "quarantined": report.quarantined,
        "undecided": report.undecided,
    }
    rows = report.rows + report.generated
    for name, count in fates.items():
        if count or name in ("kept", "removed", "quarantined"):
            told = "" if name == "generated" else share(count, rows)
            if name == "kept" and report.written and (written := _kept_lines(report)) != count:
                told += f", {written:,} lines"
            lines.append((name, f"{count:,}", told))
    lines += [(f"  {name}", f"{count:,}", "") for name, count in report.unreadable.items()]
    return [*lines, *measured(figures)]


def _kept_lines(report: RecipeReport) -> int:
    files = report.written.items()
    return sum(file.rows for name, file in files if PurePath(name).name.startswith("kept"))


def _deed(step: StepReport) -> tuple[str, str]:
    """Tell what a step did, first what matters most."""
    if step.use == "sort-by":
        return f"{step.rows:,}", "sorted"
    deeds = list(_deeds(step))
    if not deeds:
        return "0", "rows removed or changed" if step.rows else "rows reached it"
    count, first = deeds[0]
    return f"{count:,}", "; ".join([first, *(f"{more:,} {words}" for more, words in deeds[1:])])


def _deeds(step: StepReport) -> Iterator[tuple[int, str]]:
    for action in ("removed", "flagged", "quarantined"):
        reasons: Mapping[str, int] = getattr(step, action)
        if sum(reasons.values()):
            each = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
            only = next(iter(reasons)) if len(reasons) == 1 else each
            yield sum(reasons.values()), f"{action}: {only}"
    for action in ("changed", "generated", "undecided"):
        if count := getattr(step, action):
            yield count, action
    if step.outcomes:
        yield from ((count, outcome) for outcome, count in sorted(step.outcomes.items()))
    if step.without_score:
        yield step.without_score, "without a score"

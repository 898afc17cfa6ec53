"""What a run of a recipe leaves: rows, decisions, columns over rows, and the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import to_builtins

from curatekit import _native
from curatekit.fates import ABSENT, LIVE, QUARANTINED, REMOVED, UNDECIDED, Fates
from curatekit.output import (
    DECISIONS,
    KEPT,
    LEDGER,
    ORDER,
    QUARANTINE,
    REPORT,
    check_counts,
    named,
    sync,
    write,
)
from curatekit.output import REMOVED as REMOVED_ROWS
from curatekit.recipe_report import RecipeReport, StepReport, Written
from curatekit.report import to_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curatekit.gauge import Gauge
    from curatekit.recipe import Recipe


def publish(
    folder: Path,
    *,
    recipe: Recipe,
    dataset: _native.Dataset,
    fates: Fates,
    kept: NDArray[np.uint64],
    is_in_order: bool,
    dedups: Mapping[int, Mapping[str, Any]],
    brakes: Sequence[str],
    is_dry: bool,
    gauge: Gauge,
) -> RecipeReport:
    """Write what became of all rows into a folder; of a prediction, decisions and report only.

    Args:
        folder: Where to write.
        recipe: What was carried out.
        dataset: The rows as they now are.
        fates: What became of each.
        kept: The rows that are kept, in the order in which they are written.
        is_in_order: Whether that is the order of the rows, each of them once.
        dedups: Reports of deduplications, by the place of the step.
        brakes: Why the run would stop, if this is a prediction.
        is_dry: Whether all this is only a prediction.
        gauge: Measures what it takes.

    Raises:
        DataError: An input changed since it was read.
        OSError: The disk is full or fails, or the rows that were written are not as many as those
            that were read.
    """
    state = fates.state
    removed, quarantined = (
        np.flatnonzero(state == one).astype(np.uint64) for one in (REMOVED, QUARANTINED)
    )
    written: dict[str, Written] = {}
    if not is_dry:
        files = {KEPT: kept, REMOVED_ROWS: removed, QUARANTINE: quarantined}
        with gauge.stage("write"):
            for name, rows in files.items():
                meter = gauge if name == KEPT else None
                told = dataset.copy(rows, folder / name, original=name != KEPT, progress=meter)
                written[name] = Written(*told)
            _write_columns(folder, recipe, fates)
            if not is_in_order:
                _write_column(folder / ORDER, kept)
        with gauge.stage("check"):
            copies = len(kept) - int((state == LIVE).sum())
            total = int((state != ABSENT).sum()) + copies
            check_counts(folder, total, {name: len(rows) for name, rows in files.items()})
    with gauge.stage("explain"):
        dataset.write_decisions(fates.lives(), folder / DECISIONS)
    report = _report(recipe, dataset, fates, written, dedups=dedups, brakes=brakes)
    write(folder / REPORT, to_json(report))
    return report


def _write_columns(folder: Path, recipe: Recipe, fates: Fates) -> None:
    """Write what steps said of rows, one array for each."""
    flags = {one.id for one in recipe.entries if getattr(one.rules, "mode", "") == "flag"}
    for name, column in sorted(fates.columns.items()):
        kind = "flags" if name in flags else "scores"
        _write_column(folder / LEDGER / kind / f"{name}.npy", column)


def _write_column(path: Path, column: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with named(path), path.open("wb") as file:
        np.save(file, column)
    sync(path)


def _report(
    recipe: Recipe,
    dataset: _native.Dataset,
    fates: Fates,
    written: Mapping[str, Written],
    *,
    dedups: Mapping[int, Mapping[str, Any]],
    brakes: Sequence[str],
) -> RecipeReport:
    counts = np.bincount(fates.state, minlength=ABSENT + 1).tolist()
    return RecipeReport(
        curatekit=_native.__version__,
        unicode=_native.UNICODE_VERSION,
        recipe=recipe.plain(),
        rows=fates.read - counts[ABSENT],
        generated=len(fates.state) - fates.read,
        kept=counts[LIVE],
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
    for path, format, first, rows in dataset.shards():
        counts = np.bincount(fates.state[first : first + rows], minlength=ABSENT + 1).tolist()
        yield {
            "name": path,
            "format": format,
            "rows": sum(counts[:ABSENT]),
            "kept": counts[LIVE],
            "removed": counts[REMOVED],
            "quarantined": counts[QUARANTINED],
        }

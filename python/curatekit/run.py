"""A deduplication from inputs to a published folder, measured and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curatekit import brakes
from curatekit.dedup import decide
from curatekit.gauge import Gauge
from curatekit.inputs import Inputs, expand
from curatekit.output import (
    FIGURES,
    KEPT,
    QUARANTINE,
    REMOVED,
    REPORT,
    check_counts,
    places,
    staged,
    write,
)
from curatekit.report import Outcome, Report, build, to_json
from curatekit.settings import Settings

if TYPE_CHECKING:
    from curatekit._native import Progress, Summary


def deduplicate(
    inputs: Inputs,
    out: Path,
    settings: Settings | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Outcome[Report]:
    """Write the deduplicated dataset into a new folder, with the reason for each row not in it.

    The folder holds `kept.jsonl`, `removed.jsonl`, `quarantine.jsonl`, `decisions.jsonl`,
    `report.json` and `run.json`. It appears whole, or not at all.

    Args:
        inputs: As `curatekit.dedup.near` takes them.
        out: The output folder.
        settings: What to compare, and how.
        force: Replace an `out` that is empty or a former run.
        progress: Called about ten times a second.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input cannot be read or changed meanwhile, or a row is bad and `on_error` is
            "stop".
        CurateError: The inputs name a file twice or none, or `out` cannot be replaced.
        BrakeError: Near-deduplication removed more than `settings.max_drop_millis` allows.
        OSError: The disk is full or fails.
    """
    settings = settings or Settings()
    files = expand(inputs, outside=places(out))
    gauge = Gauge(progress)
    with staged(out, force=force) as work:
        decided = decide(files, settings, spool=work, progress=gauge)
        with gauge.stage("write"):
            decided.write(work, progress=gauge)
        summary = decided.summary
        with gauge.stage("check"):
            check_counts(work, summary["rows"], _counts(summary))
        report = build(settings, decided)
        write(work / REPORT, to_json(report))
        brakes.check(settings, summary, report, work)
        figures = gauge.figures(
            threads=settings.threads,
            memory_budget=settings.memory,
            io=settings.io,
            bytes_read=report.bytes_read,
            pairs_compared=decided.pairs_compared,
            seconds=decided.seconds,
        )
        outcome = Outcome(report, figures)
        write(work / FIGURES, to_json(outcome.run))
    return outcome


def _counts(summary: Summary) -> dict[str, int]:
    """Tell how many rows should stand in each file."""
    return {
        KEPT: summary["kept"],
        REMOVED: summary["exact_duplicates"] + summary["near_duplicates"],
        QUARANTINE: sum(summary["quarantined"].values()),
    }

"""A deduplication from inputs to a published folder, measured and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curatekit import brakes
from curatekit.dedup import ahead_of, decide, publisher_of
from curatekit.gauge import Gauge
from curatekit.inputs import Inputs, expand
from curatekit.output import (
    DECISIONS,
    FIGURES,
    PLAIN,
    REPORT,
    Packing,
    check_space,
    places,
    staged,
    write,
)
from curatekit.report import Outcome, Report, build, to_json
from curatekit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curatekit._native import Progress


def deduplicate(
    inputs: Inputs,
    out: Path,
    settings: Settings | None = None,
    *,
    force: bool = False,
    packing: Packing = PLAIN,
    progress: Progress | None = None,
) -> Outcome[Report]:
    """Write the deduplicated dataset into a new folder, with the reason for each row not in it.

    The folder holds `kept.jsonl`, `removed.jsonl`, `quarantine.jsonl`, `decisions.jsonl`,
    `ledger/`, `report.json` and `run.json`. It appears whole, or not at all.

    Args:
        inputs: As `curatekit.dedup.near` takes them.
        out: The output folder.
        settings: What to compare, and how.
        force: Replace an `out` that is empty or a former run.
        packing: How the files of rows are written.
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
        if packing == PLAIN:
            _check_space(work.folder, files)
        with ahead_of(work.folder, packing) as ahead:
            decided = decide(files, settings, spool=work.place, ahead=ahead, progress=gauge)
            publisher = publisher_of(decided, work.folder, packing, settings.method)
            with gauge.stage("write"):
                if (fates := ahead.finish(gauge)) is None:
                    publisher.write_rows(gauge)
                else:
                    publisher.note_rows(fates)
        with gauge.stage("explain"):
            publisher.note(decided.write_decisions(work.folder / DECISIONS))
            publisher.write_ledger()
        with gauge.stage("check"):
            publisher.check_counts()
        report = build(settings, decided)
        publisher.document(REPORT, to_json(report))
        publisher.write_manifest()
        brakes.check(settings, decided.summary, report, work.folder)
        figures = gauge.figures(
            threads=settings.threads,
            memory_budget=settings.memory,
            io=settings.io,
            bytes_read=report.bytes_read,
            pairs_compared=decided.pairs_compared,
            seconds=decided.seconds,
        )
        outcome = Outcome(report, figures)
        write(work.folder / FIGURES, to_json(outcome.run))
    return outcome


def _check_space(folder: Path, files: Sequence[str]) -> None:
    """See that there is room for what is sure to be written.

    Rows may be shorter than the files that they stand in, but hardly by half; how long those are
    that are packed, nobody knows yet.
    """
    plain = [path for path in map(Path, files) if not path.name.endswith((".gz", ".zst"))]
    sizes = (path.stat().st_size for path in plain if path.is_file())
    check_space(folder, sum(sizes) // 2)

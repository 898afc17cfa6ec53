"""What happened in a run: counts, reasons, settings and what deserves a second look.

The report is equal for equal runs, whatever the threads, the memory and the machine; what may
differ stands in `Figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from rich.filesize import decimal

from curatekit import _native
from curatekit.notices import Notice, notices
from curatekit.settings import Settings

if TYPE_CHECKING:
    from curatekit._native import FileSummary, Problem, Summary


class Report(Struct, frozen=True, kw_only=True):
    """The outcome of a run: what went in, what came out, and by which rules.

    `removed` and `quarantined` count rows by reason.
    """

    schema: str = "curatekit-report/1"
    curatekit: str
    unicode: str
    settings: Mapping[str, object]
    rows: int
    kept: int
    removed: Mapping[str, int]
    quarantined: Mapping[str, int]
    first_quarantined: Problem | None
    median_shingles: int
    rows_without_text: int
    rows_without_tokens: int
    duplicate_keys: int
    lone_surrogates: int
    differ_elsewhere: int
    files: Sequence[FileSummary]
    notices: Sequence[Notice]

    @property
    def bytes_read(self) -> int:
        """Bytes of all inputs, decompressed."""
        return sum(file["bytes"] for file in self.files)


class Figures(Struct, frozen=True, kw_only=True):
    """What a run took, and where it ran: all that may differ between equal runs."""

    schema: str = "curatekit-run/1"
    curatekit: str
    python: str
    host: Mapping[str, object]
    threads: int
    memory: int
    io: str
    seconds: Mapping[str, float]
    wall_seconds: float
    cpu_seconds: float
    megabytes_per_second: float
    peak_memory_bytes: int
    """Largest resident set, mapped files included."""
    peak_private_bytes: int | None
    """Largest part of it that is the process's own; None where the system does not tell."""
    pairs_compared: int


def build(settings: Settings, summary: Summary, first_quarantined: Problem | None) -> Report:
    """Put the report of a run together from what was asked and what the core found."""
    return Report(
        curatekit=_native.__version__,
        unicode=_native.UNICODE_VERSION,
        settings=_effective(settings, summary),
        rows=summary["rows"],
        kept=summary["kept"],
        removed={
            "exact-duplicate": summary["exact_duplicates"],
            "near-duplicate": summary["near_duplicates"],
        },
        quarantined=dict(sorted(summary["quarantined"].items())),
        first_quarantined=first_quarantined,
        median_shingles=summary["median_shingles"],
        rows_without_text=summary["rows_without_text"],
        rows_without_tokens=summary["rows_without_tokens"],
        duplicate_keys=summary["duplicate_keys"],
        lone_surrogates=summary["lone_surrogates"],
        differ_elsewhere=summary["differ_elsewhere"],
        files=summary["files"],
        notices=list(notices(settings, summary)),
    )


def to_json(document: object) -> bytes:
    """Write a report, figures or both as indented JSON that ends in a line break."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def table(report: Report, figures: Figures) -> list[tuple[str, str, str]]:
    """Tell a run in a few lines for a terminal: what, how much, and a remark."""
    formats = sorted({file["format"] for file in report.files})
    files = f"{len(report.files):,} file{'s' * (len(report.files) != 1)}"
    removed = sum(report.removed.values())
    quarantined = sum(report.quarantined.values())
    lines = [
        (
            "rows in",
            f"{report.rows:,}",
            f"{files}, {decimal(report.bytes_read)}, {', '.join(formats)}",
        ),
        ("kept", f"{report.kept:,}", _share(report.kept, report)),
        ("removed", f"{removed:,}", _share(removed, report)),
        *(
            (f"  {reason}", f"{rows:,}", _share(rows, report))
            for reason, rows in report.removed.items()
            if rows
        ),
        ("quarantined", f"{quarantined:,}", _share(quarantined, report)),
        *(
            (f"  {reason}", f"{rows:,}", _share(rows, report))
            for reason, rows in report.quarantined.items()
        ),
    ]
    private = figures.peak_private_bytes
    mapped = f"{decimal(figures.peak_memory_bytes)} with mapped files"
    return [
        *lines,
        ("time", f"{figures.wall_seconds:,.2f} s", f"{figures.megabytes_per_second:,.1f} MB/s"),
        (
            "peak memory",
            decimal(figures.peak_memory_bytes if private is None else private),
            mapped * (private is not None),
        ),
    ]


def quarantine_example(report: Report) -> str | None:
    """Say where the first quarantined row stands and what is wrong with it."""
    first = report.first_quarantined
    return first and f"{first['file']}:{first['line']}: {first['message']}"


def _effective(settings: Settings, summary: Summary) -> dict[str, object]:
    """Every setting that can change the result, as it was resolved."""
    effective: dict[str, object] = {
        "method": settings.method,
        "on": settings.on,
        "also": settings.also,
        "field": settings.field,
        "format": settings.format,
        "max_line": settings.max_line,
        "on_error": settings.on_error,
    }
    if settings.method == "near":
        effective |= {
            "threshold": settings.threshold_millis / 1000,
            "ngram": summary["ngram"],
            "alike": summary["alike"],
            "recall": summary["recall"],
            "bands": summary["bands"],
            "band_slots": summary["band_slots"],
            "seed": settings.seed,
        }
    return effective


def _share(rows: int, report: Report) -> str:
    return f"{100 * rows / report.rows:.1f} %" if report.rows else ""

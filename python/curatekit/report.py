"""What happened in a run: counts, reasons, settings and what deserves a second look.

The report is equal for equal runs, whatever the threads, the memory and the machine; what may
differ stands in `Figures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec
from msgspec import Struct
from rich.filesize import decimal

from curatekit import _native
from curatekit.evidence import EXACT, NEAR, SLOT, Family, Pair, Place
from curatekit.notices import Notice, notices
from curatekit.settings import Settings

if TYPE_CHECKING:
    from curatekit._native import Decided, FileSummary, Label, Problem, Summary

_LABELS = 1000
"""Labels that are listed."""
_CUT = " [...]"
_ROOM = 46
"""Cells that the table has for a template, on a terminal of 80."""


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
    rows_without_score: int
    files: Sequence[FileSummary]
    labels: Sequence[Label]
    """Those with the most rows."""
    apart: Mapping[str, int]
    """Pairs of rows that a rule kept apart, by rule."""
    families: Sequence[Family]
    """The largest templates."""
    pairs: Sequence[Pair]
    """Some pairs of each verdict: close to the threshold on both sides, or kept apart by a rule."""
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
    attempts: int
    """How often the run was begun; the other figures are those of the last time."""


R = TypeVar("R")


class Outcome(Struct, Generic[R], frozen=True):
    """What a run decided, and what it took; the two documents of `--json`."""

    report: R
    run: Figures


def build(settings: Settings, decided: Decided) -> Report:
    """Put the report of a run together from what was asked and what the core found."""
    summary = decided.summary

    def where(row: int) -> Place:
        return Place(row, *decided.place(row))

    return Report(
        curatekit=_native.__version__,
        unicode=_native.UNICODE_VERSION,
        settings=_effective(settings, summary),
        rows=summary["rows"],
        kept=summary["kept"],
        removed={EXACT: summary["exact_duplicates"], NEAR: summary["near_duplicates"]},
        quarantined=dict(sorted(summary["quarantined"].items())),
        first_quarantined=next(iter(decided.problems(1)), None),
        median_shingles=summary["median_shingles"],
        rows_without_text=summary["rows_without_text"],
        rows_without_tokens=summary["rows_without_tokens"],
        duplicate_keys=summary["duplicate_keys"],
        lone_surrogates=summary["lone_surrogates"],
        differ_elsewhere=summary["differ_elsewhere"],
        rows_without_score=summary["rows_without_score"],
        files=summary["files"],
        labels=sorted(summary["labels"], key=_rows_of, reverse=True)[:_LABELS],
        apart={
            "roles": summary["apart_by_roles"],
            "numbers": summary["apart_by_numbers"],
            "content": summary["apart_by_content"],
        },
        families=[
            Family(
                number=number,
                role=family["role"],
                rows=family["rows"],
                texts=family["texts"],
                template=family["template"],
                pairs_apart=family["pairs_apart"],
                edits=family["edits"],
                members=tuple(where(row) for row in family["members"]),
            )
            for number, family in enumerate(decided.families(), 1)
        ],
        pairs=[
            Pair(
                verdict=pair["verdict"],
                role=pair["role"],
                row=where(pair["row"]),
                kept=where(pair["kept"]),
                shared=pair["shared"],
                united=pair["united"],
            )
            for pair in decided.pairs()
        ],
        notices=list(notices(settings, summary)),
    )


def _rows_of(label: Label) -> int:
    return label["kept"] + label["exact_duplicates"] + label["near_duplicates"]


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
        ("kept", f"{report.kept:,}", share(report.kept, report.rows)),
        ("removed", f"{removed:,}", share(removed, report.rows)),
        *(
            (f"  {reason}", f"{rows:,}", share(rows, report.rows))
            for reason, rows in report.removed.items()
            if rows
        ),
        ("quarantined", f"{quarantined:,}", share(quarantined, report.rows)),
        *(
            (f"  {reason}", f"{rows:,}", share(rows, report.rows))
            for reason, rows in report.quarantined.items()
        ),
        *_apart(report),
    ]
    return [*lines, *measured(figures)]


def measured(figures: Figures) -> list[tuple[str, str, str]]:
    """Tell what a run took."""
    private = figures.peak_private_bytes
    mapped = f"{decimal(figures.peak_memory_bytes)} with mapped files"
    return [
        ("time", f"{figures.wall_seconds:,.2f} s", f"{figures.megabytes_per_second:,.1f} MB/s"),
        (
            "peak memory",
            decimal(figures.peak_memory_bytes if private is None else private),
            mapped * (private is not None),
        ),
    ]


def _apart(report: Report) -> Iterator[tuple[str, str, str]]:
    """Tell how many pairs the rules kept apart, and the largest template."""
    rules = [rule for rule in ("content", "numbers", "roles") if report.apart[rule]]
    if rules:
        total = sum(report.apart.values())
        each = [f"{report.apart[rule]:,} by {rule}" for rule in rules]
        by = ", ".join(each) if len(rules) > 1 else f"by {rules[0]}"
        yield "kept apart", f"{total:,}", f"pair{'s' * (total != 1)}, {by}"
    if report.apart["content"] and report.families:
        largest = report.families[0]
        yield "largest template", f"{largest.rows:,}", f"rows: {outline(largest.template, _ROOM)}"


def outline(template: str, cells: int = 72) -> str:
    """Shorten a template to one line that shows how it begins, and what stands at its first slot.

    A cell is the width of a Latin letter; that of other scripts is met on average.
    """
    from rich.cells import cell_len  # noqa: PLC0415 (slow, and few runs have templates)

    line = " ".join(template.split())
    width = cells * len(line) // max(1, cell_len(line))
    if len(line) <= width:
        return line
    slot = max(0, line.find(SLOT))
    end = min(len(line), slot + width // 4)
    if end + len(_CUT) <= width:
        return _first_words(line, width)
    begin = _first_words(line, width // 3) if width >= _ROOM else _CUT.lstrip()
    room = width - len(begin) - 1
    start = max(0, min(slot, end - room + len(_CUT) * (end < len(line))))
    start = line.find(" ", start, min(start + room // 2, slot)) + 1 or start
    rest = line[start:]
    return f"{begin} {rest if len(rest) <= room else _first_words(rest, room)}"


def _first_words(text: str, width: int) -> str:
    """Take the first words of a text that is longer than `width`."""
    words = text[: max(0, width - len(_CUT))]
    space = words.rfind(" ", width // 2)
    return f"{words if space < 0 else words[:space]}{_CUT}".lstrip()


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
        "keep": settings.keep,
        "label": settings.label,
    }
    if settings.method == "near":
        effective |= {
            "threshold": settings.threshold_millis / 1000,
            "ngram": summary["ngram"],
            "alike": summary["alike"],
            "numbers": summary["numbers"],
            "recall": summary["recall"],
            "bands": summary["bands"],
            "band_slots": summary["band_slots"],
            "seed": settings.seed,
            "max_drop": settings.max_drop_millis / 1000,
        }
    return effective


def share(rows: int, of: int) -> str:
    """Say which share of rows some are, if there are any."""
    return f"{100 * rows / of:.1f} %" if of else ""

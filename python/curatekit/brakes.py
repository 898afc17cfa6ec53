"""Brakes: a run that removes too much stops before anything is published.

Near-deduplication can take for repetition what a person would keep. So a run ends where it removes
more than a share of the rows that enter it, every one of those of a file, or every one of those of
a label. Exact copies never count: they do not enter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from curatekit.errors import CurateError
from curatekit.evidence import NEAR, Case, Decision
from curatekit.report import Report
from curatekit.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curatekit._native import Dataset, Summary
    from curatekit.recipe import Brakes

LEAST = 20
"""With fewer rows that enter, neither the run nor a file brakes: so few prove nothing."""
ALL = 1000
"""The share that means no brake at all, in thousandths."""
_LONGEST = 60
"""Characters of a label that a message shows: it may be a whole text."""
_AT_A_TIME = 1 << 16
"""Rows whose labels are read at a time."""
_SHOWN = 3
"""Rows of a sample, and files or labels that a message names."""


class Brake(Struct, frozen=True):
    """What lost too many rows: the run, a file or a label, and how many of those that entered."""

    of: Literal["run", "file", "label", "step"]
    name: str
    removed: int
    entered: int


class BrakeError(CurateError):
    """Near-deduplication, or a step of a recipe, removed too much, so nothing was published.

    Attributes:
        brakes: What lost too many rows: the run before files, and files before labels.
        sample: Some of the rows that the first brake is about, with their witnesses; of a step of
            a recipe none.
        report: What the run would have reported; of a step of a recipe None.
    """

    def __init__(
        self,
        message: str,
        hint: str,
        brakes: Sequence[Brake],
        sample: Sequence[Case] = (),
        report: Report | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, brakes, sample, report)
        self.brakes = brakes
        self.sample = sample
        self.report = report

    @property
    def document(self) -> dict[str, object]:
        """The error for a program, as `--json` prints it."""
        decisions = [case.decision for case in self.sample]
        return {"brakes": self.brakes, "sample": decisions, "report": self.report}


def check(settings: Settings, summary: Summary, report: Report, folder: Path) -> None:
    """Look at what a run would publish from `folder`.

    Raises:
        BrakeError: Near-deduplication removed more than it may unasked.
    """
    if found := list(_found(settings, summary)):
        sample = _sample(folder, found[0], settings.label)
        remedy = _remedy(found[0], settings, summary)
        hint = f"if that is right, `--max-drop 1` goes on; if not, {remedy}"
        raise BrakeError(_message(found, settings), hint, found, sample, report)


def check_step(
    allowed: Brakes, step: str, kept: NDArray[np.bool_], removed: NDArray[np.bool_], of: Dataset
) -> None:
    """Look at what a step of a recipe dropped of the rows that reached it.

    Args:
        allowed: What it may drop.
        step: Its id.
        kept: Which rows are left.
        removed: Which it dropped.
        of: Where they stand.

    Raises:
        BrakeError: It is more than the recipe allows, or every row with a label.
    """
    from curatekit.columns import rows_where  # noqa: PLC0415 (NumPy is slow to import)

    dropped = int(removed.sum())
    entered = int(kept.sum()) + dropped
    most = allowed.max_drop_share
    if entered >= LEAST and dropped > most * entered:
        some = rows_where(removed)[:: max(1, dropped // _SHOWN)]
        places = [of.place(int(row)) for row in some[:_SHOWN]]
        rows = ", ".join(f"{path}:{line}" for path, line in places)
        share = f"{100 * dropped / entered:.1f} %, at most {100 * most:g} % may go"
        least = _above(dropped, entered)
        told = f"{dropped:,} of {entered:,} rows ({share})"
        raise BrakeError(
            f"nothing is written: step `{step}` drops {told}, such as {rows}",
            f"if that is right, set `max_drop_share` of `[brakes]` to {least}",
            [Brake("step", step, dropped, entered)],
        )
    if allowed.label is not None and dropped:
        masks = (removed, kept)
        gone, left = (_by_label(of, allowed.label, rows_where(mask)) for mask in masks)
        all_gone = [name for name in sorted(gone) if name not in left]
        lost = [Brake("label", name, gone[name], gone[name]) for name in all_gone]
        if lost:
            raise BrakeError(
                f"nothing is written: step `{step}` drops {_listed(lost)}",
                "if that is right, take `label` out of `[brakes]`",
                lost,
            )


def _by_label(dataset: Dataset, field: str, rows: NDArray[np.uint64]) -> Counter[str]:
    counts = Counter[str]()
    for start in range(0, len(rows), _AT_A_TIME):
        found = dataset.labels(field, rows[start : start + _AT_A_TIME])
        counts.update(label for label in found if label is not None)
    return counts


def _above(removed: int, entered: int) -> float:
    """Give the least share, in hundredths, that lets this pass."""
    return -(-removed * 100 // entered) / 100


def _found(settings: Settings, summary: Summary) -> Iterator[Brake]:
    if settings.max_drop_millis == ALL:
        return
    removed = summary["near_duplicates"]
    entered = summary["kept"] + removed
    if entered >= LEAST and removed * 1000 > settings.max_drop_millis * entered:
        yield Brake("run", "", removed, entered)
    for file in summary["files"]:
        removed = file["near_duplicates"]
        if not file["kept"] and removed >= LEAST:
            yield Brake("file", file["name"], removed, removed)
    for label in summary["labels"]:
        removed = label["near_duplicates"]
        if not label["kept"] and removed:
            yield Brake("label", label["label"], removed, removed)


def _sample(path: Path, brake: Brake, label: str | None) -> list[Case]:
    """Choose rows that a brake is about, the same distance apart; the first ones of a label."""
    from curatekit.folder import RunFolder, as_text, spread  # noqa: PLC0415 (brings NumPy)

    folder = RunFolder(path)
    chosen: Iterator[Decision]
    if brake.of == "label" and label is not None:
        of_label = (
            decision
            for decision, fields in folder.removed()
            if decision.kind == NEAR and as_text(fields.get(label)) == brake.name
        )
        chosen = islice(of_label, _SHOWN)
    else:
        concerned = (
            decision
            for decision in folder.decisions()
            if decision.kind == NEAR and (brake.of == "run" or decision.file == brake.name)
        )
        shown = min(_SHOWN, brake.removed)
        chosen = spread(concerned, {NEAR: brake.removed}, {NEAR: shown})
    return [folder.case(decision) for decision in chosen]


def _message(brakes: Sequence[Brake], settings: Settings) -> str:
    losses = []
    for brake in brakes:
        if brake.of == "run":
            share = f"{brake.removed * 1000 // brake.entered / 10} %"
            allowed = f"{settings.max_drop_millis / 10:g} %"
            rows = f"{brake.removed:,} of {brake.entered:,} rows"
            losses.append(f"{rows} ({share}; at most {allowed} may go)")
    return f"nothing is written: exact copies aside, near-dedup removes {_listed(brakes, losses)}"


def _listed(brakes: Sequence[Brake], losses: Sequence[str] = ()) -> str:
    """List files and labels that lost all their rows, after other losses."""
    losses = list(losses)
    for kind, of in (("file", "of"), ("label", "with label")):
        names = [brake for brake in brakes if brake.of == kind]
        for one in names[:_SHOWN]:
            rows = f"all {one.removed:,} rows" if one.removed > 1 else "the only row"
            is_long = kind == "label" and len(one.name) > _LONGEST
            name = f"{one.name[:_LONGEST]} …" if is_long else one.name
            losses.append(f"{rows} {of} `{name}`")
        if more := names[_SHOWN:]:
            losses.append(f"all rows of {len(more):,} more {kind}s")
    *others, last = losses
    return f"{', '.join(others)} and {last}" if others else last


def _remedy(brake: Brake, settings: Settings, summary: Summary) -> str:
    if brake.of == "label" and settings.label not in settings.also:
        whole = "--alike each-role " if summary["alike"] == "whole" else ""
        return f"`{whole}--also {settings.label}` keeps rows apart that differ in it"
    if summary["alike"] != "consensus":
        return "`--alike consensus` keeps rows apart that only share a template"
    if summary["numbers"] == "alike":
        return "`--numbers distinct` keeps rows apart that differ in a number"
    return "a higher `--threshold` removes less"

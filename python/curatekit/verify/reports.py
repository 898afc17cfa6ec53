"""The counts of a report, counted again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from curatekit.verify.columns import Columns
from curatekit.verify.decisions import Decisions
from curatekit.verify.findings import Findings, short
from curatekit.verify.form import (
    ABSENT,
    EXACT,
    KEPT,
    NEAR,
    QUARANTINED,
    RECIPE_SCHEMA,
    REMOVED,
    REPORT,
    STATES,
    UNDECIDED,
    Input,
    Manifest,
    Rows,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_report(
    manifest: Manifest,
    columns: Columns,
    decisions: Decisions,
    report: Mapping[str, Any],
    *,
    hashes: Mapping[str, str],
    found: Findings,
) -> None:
    """Compare the counts of a report with what was counted; `hashes` are those of whole files."""
    counts = np.bincount(columns.state, minlength=len(STATES)).tolist()
    out = {state: _by_reason(manifest, columns, state) for state in (REMOVED, QUARANTINED)}
    is_recipe = report["schema"] == RECIPE_SCHEMA
    kinds = ("kept", "removed", "quarantine") if is_recipe else ()
    files = [file for kind in kinds for file in manifest.of_rows.get(kind, ())]
    counted: dict[str, object] = {
        "unicode": manifest.unicode,
        "rows": manifest.rows - counts[ABSENT],
        "kept": counts[KEPT],
        "removed": counts[REMOVED] if is_recipe else out[REMOVED],
        "quarantined": counts[QUARANTINED] if is_recipe else out[QUARANTINED],
        "files": [_file(one, columns, manifest, is_recipe=is_recipe) for one in manifest.inputs],
    }
    if is_recipe:
        is_unreadable = (columns.state == QUARANTINED) & (columns.step == 0)
        whys = np.bincount(columns.reason[is_unreadable], minlength=len(manifest.reasons))
        counted |= {
            "generated": manifest.generated,
            "undecided": counts[UNDECIDED],
            "unreadable": Counter(_named(manifest, whys)),
            "bytes_read": sum(one.bytes for one in manifest.inputs),
            "steps": list(_steps(manifest, columns, decisions)),
            "written": {file.name: _written(file, manifest, hashes) for file in files},
        }
    else:
        rows = np.flatnonzero(columns.state == QUARANTINED)[:1].tolist()
        counted["first_quarantined"] = {"row": rows[0]} if rows else None
    found.compare(REPORT, "", dict(report), counted)
    told, names = report.get("written", {}), {file.name for file in files}
    if set(told) != names:
        found.add(REPORT, f"`written` tells of {short(sorted(told))}")


def _named(manifest: Manifest, counts: NDArray[Any]) -> dict[str, int]:
    named = zip(manifest.reasons, counts.tolist(), strict=False)
    return {reason: rows for reason, rows in named if rows}


def _by_reason(manifest: Manifest, columns: Columns, state: int) -> Counter[str]:
    reasons = columns.reason[columns.state == state]
    return Counter(_named(manifest, np.bincount(reasons, minlength=len(manifest.reasons))))


def _file(
    one: Input, columns: Columns, manifest: Manifest, *, is_recipe: bool
) -> dict[str, object]:
    """Count what a report says of an input."""
    rows = slice(one.first_row, one.first_row + one.rows)
    counts = np.bincount(columns.state[rows], minlength=len(STATES)).tolist()
    told: dict[str, object] = {
        "name": one.name,
        "format": one.format,
        "rows": one.rows - counts[ABSENT],
        "kept": counts[KEPT],
        "quarantined": counts[QUARANTINED],
    }
    if is_recipe:
        return told | {"removed": counts[REMOVED]}
    reasons = columns.reason[rows][columns.state[rows] == REMOVED]
    why = _named(manifest, np.bincount(reasons, minlength=len(manifest.reasons)))
    told |= {"exact_duplicates": why.get(EXACT, 0), "near_duplicates": why.get(NEAR, 0)}
    return told | {"framing": one.framing, "compression": one.compression, "bytes": one.bytes}


def _steps(
    manifest: Manifest, columns: Columns, decisions: Decisions
) -> Iterator[dict[str, object]]:
    """Count what each step did, by the events of the decisions."""
    born = np.concatenate([np.zeros(manifest.rows, np.uint16), decisions.born])
    is_kept = columns.state == KEPT
    for at, name in enumerate(manifest.steps[1:], 1):
        did = {action: decisions.events_of(name, action) for action in ("changed", "generated")}
        reached = (born < at) & (is_kept | (columns.step >= at))
        yield {
            "id": name,
            "rows": int(np.count_nonzero(reached)),
            "removed": decisions.events_of(name, "removed"),
            "flagged": decisions.events_of(name, "flagged"),
            "quarantined": decisions.events_of(name, "quarantined"),
            "undecided": decisions.events_of(name, "undecided").total(),
            **{action: counts.total() for action, counts in did.items()},
        }


def _written(file: Rows, manifest: Manifest, hashes: Mapping[str, str]) -> dict[str, object]:
    known = manifest.files.get(file.name)
    size = None if known is None else known.bytes
    return {"rows": file.rows, "bytes": size, "xxh3_128": hashes.get(file.name)}

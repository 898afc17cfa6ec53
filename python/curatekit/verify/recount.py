"""All rows, one after the other: what columns, files and decisions say of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curatekit.verify.columns import Columns
from curatekit.verify.decisions import Decisions, Fate
from curatekit.verify.findings import Findings, Progress
from curatekit.verify.form import (
    KEPT,
    MANIFEST,
    PIECE,
    QUARANTINED,
    REMOVED,
    STATES,
    Input,
    Manifest,
    values,
)
from curatekit.verify.rebuilt import Gaps, Rebuilt
from curatekit.verify.rows import RowFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Recount:
    """All rows in their order.

    Attributes:
        decisions: What was said of them, counted.
    """

    def __init__(self, folder: Path, manifest: Manifest, columns: Columns, found: Findings) -> None:
        self._folder, self._manifest = folder, manifest
        self._columns, self._found = columns, found
        self._files = RowFiles(folder, manifest, columns, found)
        self.decisions = Decisions(folder, manifest, columns, found)
        self._fates = self._all_fates()
        self._lines = values(columns.line)
        self._sources: Mapping[int, Iterator[bytes | None]] = {
            KEPT: self._files.kept(),
            REMOVED: self._files.lines("removed"),
            QUARANTINED: self._files.lines("quarantine"),
        }
        self._originals = self._files.lines("originals")
        self._changed = _Pointer(columns.changed["originals"])
        self._rewritten = _Pointer(columns.changed["rewritten"])

    def walk(self, progress: Progress | None) -> None:
        """Go through all rows."""
        self._check_numbers()
        total = self._manifest.rows + self._manifest.generated
        with Gaps(self._folder, self._columns, self._found) as gaps:
            for at, one in enumerate(self._manifest.inputs):
                rebuilt = Rebuilt(one, self._found)
                for row in range(one.first_row, one.first_row + one.rows):
                    gaps.add(row + at, rebuilt)
                    self._add_row(one, rebuilt)
                    if progress is not None and row % PIECE == 0:
                        progress("recount", row, total)
                gaps.add(one.first_row + one.rows + at, rebuilt)
                rebuilt.end()
            gaps.end()
        for fate in self._fates:
            self.decisions.take(fate, None, is_changed=False)
        rest = self._files.lines("rewritten")
        for source in (*self._sources.values(), self._originals, rest):
            for _ in source:
                pass
        for name, column in self._columns.flags.items():
            said = self.decisions.events_of(name, "flagged").total()
            path = f"ledger/flags/{name}.npy"
            self._found.compare(path, "rows with a flag", int(np.count_nonzero(column)), said)
        if progress is not None:
            progress("recount", total, total)

    def _add_row(self, one: Input, rebuilt: Rebuilt) -> None:
        """Compare what is said of the next row of an input, and add it."""
        fate = next(self._fates)
        is_changed, is_rewritten = (
            rows.take(fate.row) for rows in (self._changed, self._rewritten)
        )
        decision = self.decisions.take(fate, one.name, is_changed=is_changed or is_rewritten)
        rebuilt.begin(fate.row, next(self._lines), decision)
        line = None
        if fate.state in self._sources and not self._is_referred(fate):
            line = next(self._sources[fate.state], None)
        rebuilt.add_row(next(self._originals, None) if is_changed else line)

    def _is_referred(self, fate: Fate) -> bool:
        return fate.state == REMOVED and self._manifest.removed == "refer"

    def _all_fates(self) -> Iterator[Fate]:
        columns = self._columns
        of_witness = (columns.witness, columns.shared, columns.united)
        rest = (count(), repeat(0), repeat(0))
        told = zip(
            count(),
            *map(values, (columns.state, columns.step, columns.reason)),
            *(
                other if one is None else values(one)
                for one, other in zip(of_witness, rest, strict=True)
            ),
        )
        return (Fate(*one) for one in told)

    def _check_numbers(self) -> None:
        """See that each file of rows is said to have as many lines as the columns say."""
        columns, manifest = self._columns, self._manifest
        if not manifest.of_rows:
            return
        counts = np.bincount(columns.state, minlength=len(STATES)).tolist()
        expected = {name: counts[at] for at, name in enumerate(("kept", "removed", "quarantine"))}
        if columns.order is not None:
            expected["kept"] = len(columns.order)
        if manifest.removed == "refer":
            made = columns.state[manifest.rows :]
            expected["removed"] = int(np.count_nonzero(made == REMOVED))
        for name, rows in expected.items():
            told = sum(file.rows for file in manifest.of_rows.get(name, ()))
            self._found.compare(MANIFEST, f"of_rows.{name}", told, rows)


class _Pointer:
    """Rows in ascending order, of which each is asked for in its turn."""

    def __init__(self, rows: NDArray[Any] | None) -> None:
        self._rows = iter(()) if rows is None else values(rows)
        self._next = next(self._rows, None)

    def take(self, row: int) -> bool:
        """Tell whether a row is the next of them, which then is past."""
        if self._next != row:
            return False
        self._next = next(self._rows, None)
        return True

"""The columns of a run folder: that they fit the manifest, and one another."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from curatekit.verify.findings import Findings, listed
from curatekit.verify.form import (
    ABSENT,
    DECISIONS,
    EXACT,
    GAPS,
    KEPT,
    KINDS,
    MANIFEST,
    NEAR,
    QUARANTINED,
    RECIPE_SCHEMA,
    REMOVED,
    REPORT,
    STATES,
    STRIDE,
    UNDECIDED,
    Manifest,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][uf][1248])', 'fortran_order': False, "
    rb"'shape': \((\d{1,18},(?: \d{1,18})?)\), \} *\n",
    re.DOTALL,
)
_MOST_HEAD = 1 << 10


class Columns:
    """The columns of `ledger/`, mapped."""

    def __init__(self, folder: Path, manifest: Manifest, found: Findings) -> None:
        self._folder, self._manifest, self._found = folder, manifest, found
        self.known = {DECISIONS, REPORT, GAPS} & set(manifest.files)
        self.are_whole = True
        for name in (DECISIONS, GAPS):
            if name not in manifest.files or not (folder / name).is_file():
                self.are_whole = False
                if name not in manifest.files:
                    found.add(MANIFEST, f"does not name `{name}`")
        rows = manifest.rows + manifest.generated
        self.state = self._needed("state", "|u1", rows)
        self.step = self._needed("step", "<u2", rows)
        self.reason = self._needed("reason", "<u2", rows)
        self.line = self._needed("line", "<u8", manifest.rows)
        self.gaps = self._needed("gaps", "<u8", None, 2)
        kinds = (("witness", "<u8"), ("shared", "<u4"), ("united", "<u4"))
        has_witness = any(f"ledger/{name}.npy" in manifest.files for name, _ in kinds)
        several = [
            self._needed(name, dtype, rows) if has_witness else None for name, dtype in kinds
        ]
        self.witness, self.shared, self.united = several
        kept = sum(file.rows for file in manifest.of_rows.get("kept", ()))
        self.order = self._load("order", "<u8", kept if manifest.of_rows else None)
        self.changed = {
            name: self._load(name, "<u8", sum(file.rows for file in manifest.of_rows.get(name, ())))
            for name in ("originals", "rewritten")
        }
        self.flags: dict[str, NDArray[Any]] = {}
        for path in manifest.files:
            kind, _, name = path.removeprefix("ledger/").removesuffix(".npy").partition("/")
            if path == f"ledger/{kind}/{name}.npy" and kind in ("flags", "scores"):
                column = self._load(f"{kind}/{name}", "|u1" if kind == "flags" else "<f4", rows)
                if kind == "flags" and column is not None:
                    self.flags[name] = column
        self.index: dict[str, NDArray[Any] | None] = {}
        for file in chain.from_iterable(manifest.of_rows.values()):
            self.known |= {file.name} & set(manifest.files)
            if file.name not in manifest.files:
                found.add(MANIFEST, f"does not name `{file.name}` among the files")
            name = f"index/{PurePosixPath(file.name).name}"
            self.index[file.name] = self._load(name, "<u8", -(-file.rows // STRIDE))
            if f"ledger/{name}.npy" not in manifest.files:
                found.add(MANIFEST, f"does not name `ledger/{name}.npy`")

    def _needed(
        self, name: str, dtype: str, rows: int | None, width: int | None = None
    ) -> NDArray[Any]:
        column = self._load(name, dtype, rows, width)
        if column is None:
            self.are_whole = False
            if f"ledger/{name}.npy" not in self._manifest.files:
                self._found.add(MANIFEST, f"does not name `ledger/{name}.npy`")
            return np.empty(0, dtype)
        return column

    def _load(
        self, name: str, dtype: str, rows: int | None, width: int | None = None
    ) -> NDArray[Any] | None:
        path = f"ledger/{name}.npy"
        if path not in self._manifest.files:
            return None
        self.known.add(path)
        try:
            with (self._folder / path).open("rb") as file:
                head = _HEAD.match(file.read(_MOST_HEAD))
                size = file.seek(0, os.SEEK_END)
        except (FileNotFoundError, IsADirectoryError):
            return None  # told already
        if head is None:
            self._found.add(path, "cannot be read: it is no column")
            return None
        told = tuple(int(length) for length in head[2].split(b",") if length)
        shape = (rows if rows is not None or not told else told[0], *([width] if width else []))
        if head[1].decode() != dtype or told != shape:
            what = f"is {head[1].decode()} of shape {told}, not {dtype} of shape {shape}"
            self._found.add(path, what)
            return None
        if size != head.end() + math.prod(told) * np.dtype(dtype).itemsize:
            self._found.add(path, "is cut short, or goes on where it should end")
            return None
        return np.memmap(self._folder / path, dtype, "r", head.end(), told)


def fit_together(manifest: Manifest, found: Findings) -> bool:
    """Tell whether the inputs are numbered so that rows can be told apart."""
    first = 0
    for one in manifest.inputs:
        if one.first_row != first or one.rows < 0:
            found.add(MANIFEST, f"`{one.name}` begins with row {one.first_row}, not {first}")
            return False
        if one.gap.strip("\t\r\n ,") or (one.framing == "lines" and one.gap != "\n"):
            found.add(MANIFEST, f"`{one.name}` cannot have {one.gap!r} between its rows")
        first += one.rows
    found.compare(MANIFEST, "rows", manifest.rows, first)
    if set(manifest.counts) != set(STATES):
        found.add(MANIFEST, f"`counts` tells of {', '.join(manifest.counts)}")
    kinds = set(manifest.of_rows)
    if kinds and not {"kept", "removed", "quarantine"} <= kinds <= KINDS:
        found.add(MANIFEST, f"`of_rows` tells of {', '.join(manifest.of_rows)}")
    return first == manifest.rows


def check_columns(
    manifest: Manifest, columns: Columns, report: Mapping[str, Any], found: Findings
) -> None:
    """See that the columns agree with one another, and with the counts of the manifest."""
    state, step, reason = columns.state, columns.step, columns.reason

    def check(name: str, is_wrong: NDArray[np.bool_], what: str) -> None:
        rows = np.flatnonzero(is_wrong)
        if len(rows):
            more = f", and {len(rows) - 1:,} more" if len(rows) > 1 else ""
            found.add(f"ledger/{name}.npy", what, f"row {rows[0]}{more}")

    check("state", state >= len(STATES), "is no state")
    counts = np.bincount(state, minlength=len(STATES)).tolist()
    counted = dict(zip(STATES, counts, strict=False))
    found.compare(MANIFEST, "counts", dict(manifest.counts), counted)
    check("step", step >= len(manifest.steps), "is no step")
    check("reason", reason >= len(manifest.reasons), "is no reason")
    is_out = (state == REMOVED) | (state == QUARANTINED)
    check("reason", is_out == (reason == 0), "has a reason and is not out, or is out without one")
    is_in = (state == KEPT) | (state == ABSENT)
    check("step", is_in & (step != 0), "was ended by a step, but is not out")
    check("step", (state == REMOVED) & (step == 0), "was removed by no step")
    if manifest.of_rows:
        check("state", state == UNDECIDED, "is undecided, but this is no prediction")
    absent = counts[ABSENT]
    looked_at = np.arange(len(state)) < manifest.rows - absent
    is_read = np.arange(len(state)) < manifest.rows
    check("state", (state == ABSENT) != (is_read & ~looked_at), "is not looked at, but others are")
    _check_witnesses(columns, report, manifest, check)
    _check_order(columns, manifest, found)


def _check_order(columns: Columns, manifest: Manifest, found: Findings) -> None:
    """See that the columns that are no columns over rows are in order."""
    state = columns.state
    if columns.order is not None:
        kept = np.flatnonzero(state == KEPT).astype(np.uint64)
        if not np.array_equal(np.unique(columns.order), kept):
            found.add("ledger/order.npy", "does not hold each kept row, and no other")
    for name, states in (("originals", (KEPT,)), ("rewritten", (REMOVED, QUARANTINED))):
        rows = columns.changed[name]
        if rows is None:
            if manifest.of_rows.get(name, ()):
                found.add(MANIFEST, f"does not name `ledger/{name}.npy`")
        elif (rows[1:] <= rows[:-1]).any() or (rows >= manifest.rows).any():
            found.add(f"ledger/{name}.npy", "is not ascending, or names a row that is none")
        elif not np.isin(state[rows], states).all():
            told = " or ".join(STATES[one] for one in states)
            found.add(f"ledger/{name}.npy", f"names a row that is not {told}")
    numbers, ends = columns.gaps[:, 0], columns.gaps[:, 1]
    if (numbers[1:] <= numbers[:-1]).any() or (ends[1:] < ends[:-1]).any():
        found.add("ledger/gaps.npy", "is not ascending")
    elif len(numbers) and numbers[-1] >= manifest.rows + len(manifest.inputs):
        found.add("ledger/gaps.npy", f"there is no gap {numbers[-1]}")
    size = manifest.files[GAPS].bytes
    found.compare("ledger/gaps.npy", "last end", int(ends[-1]) if len(ends) else 0, size)


def _check_witnesses(
    columns: Columns,
    report: Mapping[str, Any],
    manifest: Manifest,
    check: Callable[[str, NDArray[np.bool_], str], None],
) -> None:
    """See that a row stands for another one only if the deduplication that says so kept it."""
    witness, shared, united = columns.witness, columns.shared, columns.united
    if not report and REPORT in manifest.files:
        return  # told already; nobody knows which steps are deduplications
    if report.get("schema") == RECIPE_SCHEMA:
        steps = listed(report.get("steps"))
        dedups = [
            at for at, one in enumerate(steps, 1) if isinstance(one, dict) and one.get("dedup")
        ]
    else:
        dedups = list(range(1, len(manifest.steps)))
    is_duplicate = (columns.state == REMOVED) & np.isin(columns.step, dedups)
    if witness is None or shared is None or united is None:
        check("witness", is_duplicate, "repeats another row, but no column says which")
        return
    if len(witness) != len(columns.state):
        return  # told already
    names = [at for at, name in enumerate(manifest.reasons) if name in (EXACT, NEAR)]
    stands_for_other = witness != np.arange(len(witness), dtype=np.uint64)
    check("witness", witness >= len(witness), "is no row")
    check("witness", stands_for_other != is_duplicate, "has a witness, or should have one")
    check("reason", is_duplicate & ~np.isin(columns.reason, names), "is no reason for a duplicate")
    within = np.minimum(witness, max(0, len(witness) - 1))
    is_kept = (columns.state[within] == KEPT) | (columns.step[within] > columns.step)
    check("witness", stands_for_other & ~is_kept, "is a row that was not kept itself")
    check("shared", shared > united, "is more than either row has")
    near = np.isin(columns.reason, [at for at in names if manifest.reasons[at] == NEAR])
    check("united", (united > 0) != (is_duplicate & near), "is about a near-duplicate, or is none")

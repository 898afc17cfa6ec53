"""What two runs, or two recipes, decide differently about the same rows.

A recipe is carried out as a prediction first, of which nothing stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from curatekit.compare import Compared, Counts, Fate, compare
from curatekit.curate import DRY, curate
from curatekit.errors import CurateError
from curatekit.evidence import Place
from curatekit.explain import Account, account
from curatekit.folder import RunFolder
from curatekit.manifest import ABSENT, Input
from curatekit.recipe import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curatekit._native import Progress

_MOST = 600
"""Most characters of a text that are told of an example."""


class Grounds(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why; what does not apply is left out."""

    evidence: str = ""
    message: str = ""
    witness: Place | None = None
    shared: int = 0
    united: int = 0
    scores: Mapping[str, float | None] = {}


class Example(Struct, frozen=True, kw_only=True):
    """A row of which two runs decide differently."""

    row: int | None
    """Its number in A; None where A did not make it."""
    row_in_b: int | None
    file: str | None
    line: int | None
    a: Grounds
    b: Grounds
    texts: Mapping[str, str]
    """How it begins, by role; empty where neither a folder nor an input has it."""


class Kind(Struct, frozen=True, kw_only=True):
    """Rows of which A decided the one and B the other."""

    a: Fate
    b: Fate
    rows: int
    examples: tuple[Example, ...]


class Rewritten(Struct, frozen=True, kw_only=True):
    """Rows that both keep and that one of them changed."""

    rows: int
    examples: tuple[Example, ...]


class Part(Struct, frozen=True, kw_only=True):
    """What is told of the rows that were read, or of those that were made."""

    counts: Counts
    different: tuple[Kind, ...]
    """Most rows first."""
    changed_by_a_only: Rewritten
    changed_by_b_only: Rewritten


class Told(Struct, frozen=True, kw_only=True):
    """A run or a recipe, and what is to be known of it."""

    name: str
    is_prediction: bool
    brakes: tuple[str, ...]
    """Why it would stop before it writes anything."""


class Difference(Struct, frozen=True, kw_only=True):
    """All that is told of what two runs decide differently."""

    a: Told
    b: Told
    read: Part
    generated: Part


@contextmanager
def opened(given: Path, progress: Progress | None = None) -> Iterator[RunFolder]:
    """Open a folder, or that of a prediction, which is gone when the block ends.

    Args:
        given: The folder of a run or of a dry run, or a recipe.
        progress: Called as a prediction goes on.

    Raises:
        FileNotFoundError: There is no such recipe, or an input of it is missing.
        RecipeError: Something is wrong with it.
        CurateError: The folder is none that a run left; or what `curate` raises.
    """
    if not given.is_file() and given.suffix != ".toml":
        yield RunFolder(given, needs_rows=False)
        return
    recipe = read(given)
    with TemporaryDirectory(prefix="curatekit-") as made:
        out = Path(made) / "out"
        curate(recipe, out, is_dry=True, progress=progress)
        yield RunFolder(out.with_name(f"{out.name}{DRY}"), needs_rows=False)


def difference(
    a: RunFolder, b: RunFolder, names: tuple[str, str] = ("A", "B"), *, limit: int = 3
) -> Difference:
    """Tell what two runs decide differently, with some examples of each kind.

    Args:
        a: A run, or a prediction.
        b: Another one.
        names: What they are called.
        limit: Most examples of each kind; they are spread evenly over the rows.

    Raises:
        CurateError: They did not read the same inputs.
    """
    found = compare(a.ledger, b.ledger)
    parts = [_part(one, (a, b), limit) for one in found]
    told = (
        Told(name=name, is_prediction=folder.ledger.is_prediction, brakes=folder.brakes)
        for name, folder in zip(names, (a, b), strict=True)
    )
    return Difference(a=next(told), b=next(told), read=parts[0], generated=parts[1])


_Folders = tuple[RunFolder, RunFolder]


def _part(found: Compared, folders: _Folders, limit: int) -> Part:
    by_kind = np.argsort(found.kind, kind="stable")
    sizes = np.bincount(found.kind, minlength=len(found.kinds))
    kinds, start = [], 0
    for (a, b), size in zip(found.kinds, sizes.tolist(), strict=True):
        rows = found.rows[by_kind[start : start + size]]
        kinds.append(Kind(a=a, b=b, rows=size, examples=_examples(rows, folders, limit)))
        start += size
    by_a, by_b = (
        Rewritten(rows=len(rows), examples=_examples(rows, folders, limit))
        for rows in (found.changed_by_a_only, found.changed_by_b_only)
    )
    return Part(
        counts=found.counts,
        different=tuple(kinds),
        changed_by_a_only=by_a,
        changed_by_b_only=by_b,
    )


def _examples(rows: NDArray[np.int64], folders: _Folders, limit: int) -> tuple[Example, ...]:
    shown = min(limit, len(rows))
    return tuple(_example(rows[at * len(rows) // shown].tolist(), folders) for at in range(shown))


def _example(rows: Sequence[int], folders: _Folders) -> Example:
    both = list(zip(rows, folders, strict=True))
    said = [account(folder.ledger, row) if row >= 0 else None for row, folder in both]
    place = next(folder.ledger.place(row) for row, folder in both if row >= 0)
    a, b = (row if row >= 0 else None for row in rows)
    texts: Mapping[str, str] = {}
    for (row, folder), one in zip(both, said, strict=True):
        texts = texts or (_texts(folder, row, one) if row >= 0 else {})
    return Example(
        row=a,
        row_in_b=b,
        file=place and place[0],
        line=place and place[1],
        a=_grounds(said[0]),
        b=_grounds(said[1]),
        texts=texts,
    )


def _grounds(said: Account | None) -> Grounds:
    if said is None:
        return Grounds()
    return Grounds(
        evidence=said.evidence,
        message=said.message,
        witness=said.witness,
        shared=said.shared,
        united=said.united,
        scores=said.scores,
    )


def _texts(folder: RunFolder, row: int, said: Account | None) -> dict[str, str]:
    """Give how a row began before steps rewrote it, if that is to be had."""
    ledger = folder.ledger
    try:
        if not ledger.is_prediction and ledger.state[row] != ABSENT:
            content = ledger.original(row)
        elif said is not None and row < ledger.manifest.rows and _is_as_read(ledger.input_of(row)):
            content = ledger.read_input(said)
        else:
            return {}
    except CurateError:
        return {}
    return {role: text[:_MOST] for role, text in folder.texts_of(row, content).items()}


def _is_as_read(one: Input) -> bool:
    """Tell whether an input seems to be what it was."""
    try:
        return one.compression == "none" and Path(one.name).stat().st_size == one.bytes
    except OSError:
        return False

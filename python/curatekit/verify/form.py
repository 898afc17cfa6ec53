"""What a run folder looks like, written down a second time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST, FIGURES = "ledger/manifest.json", "run.json"
"""The files that the manifest does not name."""
DECISIONS, REPORT = "decisions.jsonl", "report.json"
GAPS = "ledger/gaps.bin"
FIGURES_SCHEMA = "curatekit-run/1"
REPORT_SCHEMA, RECIPE_SCHEMA = "curatekit-report/1", "curatekit-recipe-report/1"
BLOCK = 16 * 2**20
"""Bytes of a file that have a hash of their own."""
STRIDE = 1024
"""Lines of a file of rows from one known offset to the next."""
Count = Annotated[int, Meta(ge=0)]
STATES = ("kept", "removed", "quarantined", "undecided", "absent")
KEPT, REMOVED, QUARANTINED, UNDECIDED, ABSENT = range(5)
KINDS = {"kept", "removed", "quarantine", "originals", "rewritten"}
"""What there are files of rows of."""
EXACT, NEAR = "exact-duplicate", "near-duplicate"
PIECE = 1 << 16
"""Values of a column that are looked at together."""
READ = 1 << 20
"""Bytes that are read at a time."""


class Input(Struct, frozen=True, forbid_unknown_fields=True):
    """An input, as it was read."""

    name: str
    format: str
    framing: Literal["lines", "array", "object"]
    compression: Literal["none", "gzip", "zstd"]
    bytes: Count
    xxh3_128: str
    first_row: Count
    rows: Count
    gap: str


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A file: its bytes, and the xxh3-128 of each `BLOCK` of them."""

    bytes: Count
    blocks: tuple[str, ...]


class Rows(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of rows, and its lines."""

    name: str
    rows: Count


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What there is in a folder, and what the numbers in its columns mean."""

    schema: Literal["curatekit-ledger/1"]
    curatekit: str
    unicode: str
    rows: Count
    generated: Count
    counts: Mapping[str, Count]
    steps: tuple[str, ...]
    reasons: tuple[str, ...]
    removed: Literal["copy", "refer"]
    compress: Literal["none", "zst"]
    inputs: tuple[Input, ...]
    of_rows: Mapping[str, tuple[Rows, ...]]
    files: Mapping[str, File]


class Place(Struct, frozen=True):
    """Where a row stands."""

    row: int
    file: str = ""
    line: int = 0


class Event(Struct, frozen=True):
    """What a step did to a row."""

    step: str
    action: Literal[
        "changed", "flagged", "scored", "generated", "removed", "quarantined", "undecided"
    ]
    reason: str = ""
    parent: int | None = None


class Decision(Struct, frozen=True):
    """A line of `decisions.jsonl`, as far as it is looked at."""

    row: int
    state: Literal["kept", "removed", "quarantined", "undecided"]
    events: tuple[Event, ...]
    file: str = ""
    line: int = 0
    byte: int = 0
    step: str = ""
    reason: str = ""
    witness: Place | None = None
    shared: int = 0
    united: int = 0


def values(column: NDArray[Any]) -> Iterator[Any]:
    """Go through a column without all of it as Python numbers."""
    for start in range(0, len(column), PIECE):
        yield from column[start : start + PIECE].tolist()

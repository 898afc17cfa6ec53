"""What a folder holds: the manifest, which names every file with its hashes, and columns.

The manifest also says what the numbers in the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from msgspec import Struct

from curatekit.output import LEDGER, ORDER

if TYPE_CHECKING:
    from curatekit._native import Dataset

SCHEMA = "curatekit-ledger/1"
MANIFEST = f"{LEDGER}/manifest.json"
BLOCK = 16 * 2**20
"""Bytes of a file that have a hash of their own."""
STATES = ("kept", "removed", "quarantined", "undecided", "absent")
"""What the numbers in `state.npy` mean; the last is a row that the run did not look at."""
KEPT, REMOVED, QUARANTINED, UNDECIDED, ABSENT = range(5)
ORIGINALS, REWRITTEN = "originals", "rewritten"
"""Kept rows as they were before, and rows that are not kept as they were at last."""
ORDER_COLUMN = ORDER.removeprefix(f"{LEDGER}/").removesuffix(".npy")
PACKED = ".zst"


class Input(Struct, frozen=True, kw_only=True):
    """An input, as it was read."""

    name: str
    format: str
    framing: Literal["lines", "array", "object"]
    compression: Literal["none", "gzip", "zstd"]
    bytes: int
    """After decompression, as the hash."""
    xxh3_128: str
    first_row: int
    rows: int
    gap: str
    """What stands between two of its rows, unless `gaps.npy` says otherwise; as Latin-1."""


class File(Struct, frozen=True, kw_only=True):
    """A file of the folder."""

    bytes: int
    blocks: tuple[str, ...]
    """xxh3-128 of each `BLOCK` bytes."""


class Written(Struct, frozen=True):
    """A file of rows that a run wrote."""

    rows: int
    """Lines."""
    bytes: int
    xxh3_128: str
    """Hash of all its bytes (xxh3-128/1)."""


class Rows(Struct, frozen=True, kw_only=True):
    """A file of rows; the offset of every `_native.STRIDE`th line stands in `index`."""

    name: str
    rows: int


class Manifest(Struct, frozen=True, kw_only=True):
    """What there is in a folder, and what the numbers in its columns mean."""

    schema: str = SCHEMA
    curatekit: str
    unicode: str
    rows: int
    """Rows of the inputs, also those that the run did not look at."""
    generated: int
    counts: Mapping[str, int]
    """Rows by their state."""
    steps: tuple[str, ...]
    """What the numbers in `step.npy` mean; the first is reading."""
    reasons: tuple[str, ...]
    """What the numbers in `reason.npy` mean; 0 is none."""
    removed: Literal["copy", "refer"]
    compress: Literal["none", "zst"]
    inputs: tuple[Input, ...]
    of_rows: Mapping[str, tuple[Rows, ...]]
    """The files of rows: `kept`, `removed`, `quarantine`, and `originals` and `rewritten`."""
    files: Mapping[str, File]
    """Every file but this one and `run.json`, by its path in the folder."""


class Column(NamedTuple):
    """A column of the ledger, in pieces: numbers of one kind, as they stand in memory."""

    name: str
    """Its path below `ledger/`, without an ending."""
    dtype: str
    """As NumPy writes it: `<u2`."""
    shape: tuple[int, ...]
    pieces: Iterable[bytes | memoryview]
    """Of bytes; what stands in memory at a time is one of them."""


class Columns(Protocol):
    """What became of rows: one value for each, of those that were read and those that were made."""

    steps: Sequence[str]
    """What the numbers in `step` mean."""
    reasons: Sequence[str]
    """What the numbers in `reason` mean; the first is none."""

    def counts(self) -> list[int]:
        """Count the rows in each state, as in `STATES`."""

    def lines(self) -> int | None:
        """Count the lines of kept rows, where they are not the kept rows in their order."""

    def rows(self, state: int, start: int = 0) -> memoryview:
        """List the rows in a state, in the order in which they are written; uint64.

        With `start`, which is not for kept rows, only those from that row on.
        """

    def rows_among(self, rows: bytes, states: Sequence[int]) -> memoryview:
        """List those of some rows, uint64, that are in one of these states."""

    def bytes_in(self, dataset: Dataset) -> int:
        """Give the bytes of the rows that the run looked at, as they stand in the inputs."""

    def columns(self) -> Iterator[Column]:
        """Give all that is written of them."""

"""What a run says of single rows: why they are not kept, and which pairs are worth a look."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

NEAR = "near-duplicate"
EXACT = "exact-duplicate"
QUARANTINED = "quarantined"
SLOT = "…"
"""Stands in a template for what every text has of its own."""

Verdict = Literal["removed", "roles", "numbers", "content", "threshold"]


class Place(Struct, frozen=True):
    """Where a row stands; one that was made has a number only."""

    row: int
    file: str = ""
    line: int = 0


class Decision(Struct, frozen=True, kw_only=True):
    """What became of a row: a line of `decisions.jsonl`."""

    row: int
    file: str = ""
    """Of a generated row nothing, as the next two."""
    line: int = 0
    byte: int = 0
    state: Literal["kept", "removed", "quarantined", "undecided"]
    step: str = ""
    reason: str = ""
    message: str = ""
    evidence: str = ""
    witness: Place | None = None
    shared: int = 0
    united: int = 0
    roles: Mapping[str, tuple[int, int]] = {}

    @property
    def kind(self) -> str:
        """The reason of a removal, or `quarantined`, whatever for."""
        return self.reason if self.state == "removed" else self.state

    @property
    def place(self) -> Place:
        """Where the row stands."""
        return Place(self.row, self.file, self.line)


class Text(Struct, frozen=True):
    """What two rows say in a role, or in a field that was not compared; `""` is nothing."""

    role: str
    row: str
    other: str
    is_compared: bool


class Case(Struct, frozen=True):
    """A row that is not kept, with its bytes and, where it has one, those of its witness."""

    decision: Decision
    row: bytes
    witness: bytes = b""
    texts: tuple[Text, ...] = ()


class Pair(Struct, frozen=True, kw_only=True):
    """A row and a kept row that are worth a look.

    `verdict` is `removed`, or the rule that keeps the two apart; `shared` and `united` count their
    shingles in `role`, or, where that is None, in their least similar role.
    """

    verdict: Verdict
    role: str | None
    row: Place
    kept: Place
    shared: int
    united: int


class Family(Struct, frozen=True, kw_only=True):
    """A template that texts of one role share, with some rows that do; numbers count from 1."""

    number: int
    role: str | None
    rows: int
    texts: int
    template: str
    pairs_apart: int
    edits: int
    members: tuple[Place, ...]

"""What a run and the child processes of its steps say to each other.

A frame is its length, eight bytes, and then itself as MessagePack.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct, field

from curatekit.errors import ContractError, StepError
from curatekit.formats import Format
from curatekit.steps import Author

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORE_REASONS = ("score-too-low", "score-too-high", "no-score")
"""Why the run drops rows for what a scorer says of them."""


class Task(Struct, frozen=True, kw_only=True):
    """A step of a recipe, as a child builds it."""

    use: str
    id: str
    author: Author
    options: Mapping[str, Any]
    is_flag: bool = False
    keep_at_least: float | None = None
    keep_at_most: float | None = None
    drops_nan: bool = False


class Column(Struct, frozen=True):
    """An array, in bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, array: NDArray[Any]) -> Column:
        """Pack an array."""
        return cls(array.dtype.str, array.shape, array.tobytes())

    def array(self) -> NDArray[Any]:
        """Unpack it."""
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)


NO_PLACES = Column("<u8", (0, 3), b"")
"""Where rows stand in the spool: of each its number, where it begins, and its bytes."""


class Begin(Struct, frozen=True, kw_only=True, tag="begin"):
    """What a child needs to know before the first batch."""

    files: tuple[tuple[str, int, str, str], ...]
    spool: int | None
    page: int = -1
    """Descriptor of the `Page` that the child notes its place in."""
    formats: tuple[Format, ...]
    field: str | None
    plugins: tuple[str, ...]
    tasks: tuple[Task, ...]
    is_dry: bool
    max_line: int
    fitted: Mapping[int, bytes] = {}
    """Steps that were fitted, by their place, pickled."""


class Work(Struct, frozen=True, kw_only=True, tag="work"):
    """A batch: row numbers and whereabouts, and what earlier steps said of the rows."""

    number: int = 0
    """Comes back with the answer."""
    rows: bytes
    whereabouts: bytes
    columns: Mapping[str, Column] = {}


class Fit(Struct, frozen=True, tag="fit"):
    """Fit a step to rows; the two files hold their numbers and whereabouts."""

    task: int
    rows: str
    whereabouts: str


class Choose(Struct, frozen=True, tag="choose"):
    """Ask the selector."""

    columns: Mapping[str, Column]


class Stop(Struct, frozen=True, tag="stop"):
    """There is no more to do."""


class Ready(Struct, frozen=True, tag="ready"):
    """The steps are built."""


class Said(Struct, tag="said", kw_only=True):
    """What one step said of the rows that reached it. Places count within the batch."""

    seconds: float = 0.0
    codes: bytes = b""
    """For each row that reached it 0, or why it is dropped or flagged; nothing if it drops none."""
    evidence: dict[int, str] = field(default_factory=dict)
    too_long: list[int] = field(default_factory=list)
    """Rows that became longer than `Begin.max_line` when they were rewritten."""
    changed: list[int] = field(default_factory=list)
    scores: dict[str, bytes] = field(default_factory=dict)
    """By column, float32."""
    outcomes: dict[str, int] = field(default_factory=dict)
    failure: str = ""
    """Of the last row of which there is no score because nobody could be asked, why."""
    undecided: list[int] = field(default_factory=list)
    made: list[tuple[int, bytes]] = field(default_factory=list)
    """Places of the parents, and the new rows."""
    stowed: Column = NO_PLACES
    """The same, once these stand in the spool."""


class Raised(Struct, frozen=True, tag="raised", kw_only=True):
    """A step failed."""

    number: int = 0
    task: int
    message: str
    trace: str = ""
    said: list[Said] = []
    """What the steps before it said of the batch."""
    hint: str | None = None
    contract: tuple[str, str, str, str] | None = None
    """Arguments of the `ContractError`, where it returned what its kind does not allow."""
    data: tuple[Any, ...] | None = None
    """Arguments of the `DataError`, where no step failed, but an input."""


class Failure(Struct, frozen=True):
    """Why a step could not say anything of a row."""

    task: int
    message: str
    trace: str = ""
    hint: str | None = None
    contract: tuple[str, str, str, str] | None = None
    said: Sequence[Said] = ()
    """What the steps before it said."""

    def error(self, author: Author, place: str | None = None) -> ContractError | StepError:
        """Make the error that ends a run for it."""
        if self.contract is not None:
            return ContractError(*self.contract)
        hint = self.hint
        if hint is None and place is not None:
            hint = 'with `on_error = "quarantine"` such rows are set aside, and the run goes on'
        return StepError(
            author.step, author.plugin, self.message, place=place, hint=hint, trace=self.trace
        )


class Done(Struct, frozen=True, tag="done", kw_only=True):
    """A batch is through."""

    number: int
    said: list[Said]
    lines: list[tuple[int, bytes]]
    """Rows that are no longer what they were, also those that are not left."""


class Fitted(Struct, frozen=True, tag="fitted"):
    """A step, pickled."""

    step: bytes


class Chosen(Struct, frozen=True, tag="chosen"):
    """How often each row shall stand in the result; uint16."""

    copies: bytes


Request = Begin | Work | Fit | Choose | Stop
Response = Ready | Raised | Done | Fitted | Chosen

_HEADER = 8
_MOST_BYTES = 2**40


def packed(frame: Request | Response) -> bytes:
    """Give the bytes of a frame: its length, and then itself."""
    body = msgspec.msgpack.encode(frame)
    return len(body).to_bytes(_HEADER, "little") + body


class Page:
    """Where a child is: a few bytes that it and its parent have both mapped.

    So the parent knows which step a child works at, and since when, though the child is busy, and
    though it dies; and telling it costs the child nothing.
    """

    _FORMAT = struct.Struct("<qd")

    def __init__(self, descriptor: int) -> None:
        self._bytes = mmap.mmap(descriptor, self._FORMAT.size)

    @classmethod
    def make(cls) -> tuple[Page, int]:
        """Make one, with a descriptor for the child."""
        with tempfile.TemporaryFile() as file:
            file.write(bytes(cls._FORMAT.size))
            file.flush()
            page = cls(file.fileno())
            page.note(-1)
            return page, os.dup(file.fileno())

    def note(self, task: int) -> None:
        """Note that a step begins now; -1 is none."""
        self._FORMAT.pack_into(self._bytes, 0, task, time.monotonic())

    def read(self) -> tuple[int, float]:
        """Tell the step, and since when."""
        task, since = self._FORMAT.unpack_from(self._bytes)
        return int(task), float(since)


def frame_in(buffer: bytearray) -> bytes | None:
    """Take the first frame out of what has come in, if it is whole.

    Raises:
        msgspec.DecodeError: It begins as no frame does.
    """
    if len(buffer) < _HEADER:
        return None
    end = _HEADER + int.from_bytes(buffer[:_HEADER], "little")
    if end > _MOST_BYTES:
        raise msgspec.DecodeError("what came in is no frame")
    if len(buffer) < end:
        return None
    body = bytes(buffer[_HEADER:end])
    del buffer[:end]
    return body

"""What a run has done so far, so that another can go on from there.

The journal is one file, to which frames are added: what the run is to do, and then all that was
said of its rows, in order. Nothing else has to outlive a crash: a run that goes on takes what was
said from the journal instead of asking again, and comes to the same state by the same code.
Rewritten and made rows stand beside it, in the spool, and what a deduplication removed in a file of
its own.

Every frame has its length and its hash before it. Now and then the spool goes down to the disk,
then a frame that says how long it is and what its hash, and then the journal. Up to the last such
frame all is known to be there; what stands behind it is cut off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from xxhash import xxh3_64_digest, xxh3_128

from curatekit.errors import CurateError, DataError
from curatekit.frames import NO_PLACES, Chosen, Column, Failure, Fitted, Said
from curatekit.output import JOURNAL, named, sync, unfinished

SCHEMA = "curatekit-journal/1"
_HEAD = 16
"""Bytes of a frame's length and hash."""
_BYTES = 64 * 2**20
"""Bytes that are added before all goes down to the disk."""
_READ = 1 << 20
_EARLY = ("on_error", "max_failures", "timeout_seconds")
_TOLD = 5
"""Changes that a message names."""


class Plan(Struct, frozen=True, kw_only=True, tag="plan"):
    """All that decides what a run does, and on what."""

    schema: str = SCHEMA
    curatekit: str
    unicode: str
    recipe: Mapping[str, Any]
    rows: int | None
    """How many rows are looked at."""
    plugins: Mapping[str, str]
    """Hashes of their files, by plugin and version."""
    inputs: tuple[tuple[str, int, str], ...]
    """Of each input the name, and bytes and hash after decompression."""


class Checked(Struct, frozen=True, tag="checked"):
    """Rows that cannot be judged: number, reason and message."""

    found: list[tuple[int, str, str]]


class Answered(Struct, frozen=True, kw_only=True, tag="answered"):
    """What the steps of a stage said of some rows, or why one could not."""

    rows: int
    said: list[Said] = []
    failure: Failure | None = None
    lines: Column = NO_PLACES
    """Rows that are no longer what they were."""


class Decided(Struct, frozen=True, kw_only=True, tag="decided"):
    """What a deduplication decided; which rows it removed stands in a file of events."""

    events: tuple[int, str]
    """Bytes and hash of that file."""
    problems: list[tuple[int, str, str]]
    report: Mapping[str, Any]
    pairs_compared: int


class Resumed(Struct, frozen=True, tag="resumed"):
    """A run went on from here."""


class Commit(Struct, frozen=True, tag="commit"):
    """All before this is on the disk: so many bytes of the spool, and the hash of the latest."""

    bytes: int
    hash: str


Frame = Plan | Checked | Fitted | Answered | Decided | Chosen | Resumed | Commit
F = TypeVar("F", Checked, Fitted, Answered, Decided, Chosen)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


class Mark(NamedTuple):
    """A place to go back to: bytes of the journal, of the spool, and of what of it is committed."""

    journal: int
    spool: int
    committed: int


class Spool:
    """Where rows stand that were rewritten or made, one a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self.end = 0
        self._sure = 0
        self._hash = xxh3_128()
        self._is_new = False

    def cut(self, end: int, committed: int) -> None:
        """Go on behind so many bytes, of which some are committed."""
        with named(self.path):
            if self._file is None and end:
                self._file = self.path.open("r+b")
            if self._file is not None:
                self._file.truncate(end)
                self._file.seek(committed)
                self._hash = xxh3_128(self._file.read(end - committed))
        self.end, self._sure = end, committed

    def add(self, rows: Sequence[tuple[int, bytes]]) -> Column:
        """Write numbered rows, and tell of each its number, where it begins, and its bytes."""
        if not rows:
            return NO_PLACES
        lines = b"".join(part for _, row in rows for part in (row, b"\n"))
        with named(self.path):
            if self._file is None:
                self._file, self._is_new = self.path.open("w+b"), True
            self._file.write(lines)
        self._hash.update(lines)
        places = np.array([(number, 0, len(row)) for number, row in rows], "<u8")
        behind = (places[:, 2] + np.uint64(1)).cumsum()  # a line feed each
        places[1:, 1] = behind[:-1]
        places[:, 1] += np.uint64(self.end)
        self.end += len(lines)
        return Column.of(places)

    def flush(self) -> None:
        """Let others read what was written."""
        if self._file is not None:
            with named(self.path):
                self._file.flush()

    def commit(self) -> Commit:
        """Bring what was written down to the disk."""
        self.flush()
        if self._file is not None and self.end > self._sure:
            with named(self.path):
                os.fsync(self._file.fileno())
            if self._is_new:
                sync(self.path.parent)
                self._is_new = False
        self._sure = self.end
        told, self._hash = Commit(self.end, self._hash.hexdigest()), xxh3_128()
        return told

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            with suppress(OSError):  # what could not be written was told
                self._file.close()


class Journal:
    """The journal of a run, from which it goes on if there is one already.

    Args:
        place: The folder that it stands in; None for a run that nobody goes on with.
        spool: What is committed with it.
        seconds: Longest time between two commits.
    """

    def __init__(self, place: Path | None, spool: Spool, seconds: float) -> None:
        self._path = None if place is None else place / JOURNAL
        self._spool = spool
        self._seconds = seconds
        self._file: BinaryIO | None = None
        self._replay: Iterator[Frame] = iter(())
        self._next: Frame | None = None
        self._end = self._committed = self._added = 0
        self._since = time.monotonic()
        self.attempts = 1

    def open(self, plan: Plan, *, anew: bool = False) -> None:
        """Go on from what is there, or begin.

        Args:
            plan: What the run is to do.
            anew: Begin, if what is there belongs to another plan.

        Raises:
            CurateError: It belongs to another plan.
            DataError: The same, for an input is not what it was.
        """
        if self._path is None:
            return
        found = standing(self._path, self._spool.path)
        try:
            if found.plan is not None:
                _compare(found.plan, plan, self._path.parent)
        except CurateError:
            if not anew:
                raise
            found = Standing()
        with named(self._path):
            self._file = self._path.open("r+b" if found.end else "wb")
            self._file.truncate(found.end)
            self._file.seek(found.end)
        self._spool.cut(found.spooled, found.spooled)
        self._end, self._committed = found.end, found.spooled
        if found.plan is None:
            self.add(plan)
            self.commit()
            sync(self._path.parent)
            sync(self._path.parent.parent)
            return
        self._replay = (frame for frame, _ in _frames(self._path, found.end))
        self._advance()
        self.add(Resumed())
        self.commit()
        self.attempts += 1

    def take(self, kind: type[F]) -> F | None:
        """Take the next frame, if it is of a kind; None if there is none left.

        Raises:
            CurateError: There is one, and it is of another kind.
        """
        frame = self._next
        if frame is None:
            return None
        if not isinstance(frame, kind):
            assert self._path is not None  # noqa: S101 (it has frames)
            raise unfinished(self._path.parent, "it cannot be followed")
        self._advance()
        return frame

    @property
    def is_replayed(self) -> bool:
        """Whether all that was said before has been taken."""
        return self._next is None

    def add(self, frame: Frame) -> None:
        """Add a frame."""
        if self._file is None:
            return
        body = _ENCODER.encode(frame)
        assert self._path is not None  # noqa: S101 (it is open)
        with named(self._path):
            self._file.write(len(body).to_bytes(8, "little") + xxh3_64_digest(body))
            self._file.write(body)
        self._added += _HEAD + len(body)
        self._end += _HEAD + len(body)

    def mark(self) -> Mark:
        """Remember this place."""
        return Mark(self._end, self._spool.end, self._committed)

    def rewind(self, mark: Mark) -> None:
        """Take back what was added since."""
        if self._file is None:
            return
        assert self._path is not None  # noqa: S101 (it is open)
        with named(self._path):
            self._file.truncate(mark.journal)
            self._file.seek(mark.journal)
        self._spool.cut(mark.spool, mark.committed)
        self._end = mark.journal
        self.commit()

    def commit_if_due(self) -> None:
        """Commit if the last time is long ago, or much was added since."""
        written = self._added + self._spool.end - self._committed
        if written >= _BYTES or time.monotonic() - self._since >= self._seconds:
            self.commit()

    def commit(self) -> None:
        """Bring all that was added down to the disk, the spool first."""
        if self._file is None:
            return
        assert self._path is not None  # noqa: S101 (it is open)
        self.add(self._spool.commit())
        with named(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._committed, self._added, self._since = self._spool.end, 0, time.monotonic()

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            with suppress(OSError):  # what could not be written was told
                self._file.close()

    def _advance(self) -> None:
        self._next = next(self._replay, None)
        while isinstance(self._next, Plan | Commit | Resumed):
            self.attempts += isinstance(self._next, Resumed)
            self._next = next(self._replay, None)


class Standing(Struct, frozen=True, kw_only=True):
    """How far a run came that did not end."""

    plan: Plan | None = None
    """What it was to do; None if nothing of it can be gone on with."""
    commits: int = 0
    end: int = 0
    """Bytes of the journal that can be trusted."""
    spooled: int = 0
    """Bytes of the spool that can."""


def standing(journal: Path, spool: Path) -> Standing:
    """Look how far a run came: up to the last commit of which all is there."""
    found = Standing()
    if not journal.exists():
        return found
    plan = None
    rows = spool.open("rb") if spool.exists() else None
    for frame, behind in _frames(journal):
        if isinstance(frame, Plan) and plan is None:
            plan = frame
        elif isinstance(frame, Commit):
            if _hash_of(rows, frame.bytes - found.spooled) != frame.hash:
                break
            found = Standing(plan=plan, commits=found.commits + 1, end=behind, spooled=frame.bytes)
    if rows is not None:
        rows.close()
    return found


def _hash_of(file: BinaryIO | None, length: int) -> str | None:
    """Hash the next bytes of a file; None if there are not so many."""
    found = xxh3_128()
    while length > 0:
        block = file.read(min(_READ, length)) if file is not None else b""
        if not block:
            return None
        found.update(block)
        length -= len(block)
    return found.hexdigest()


def _frames(path: Path, end: int | None = None) -> Iterator[tuple[Frame, int]]:
    """Read frames, and where each ends, up to one that is not whole."""
    with path.open("rb") as file:
        at = 0
        while end is None or at < end:
            head = file.read(_HEAD)
            length = int.from_bytes(head[:8], "little")
            if len(head) < _HEAD or length > os.fstat(file.fileno()).st_size - at:
                return
            body = file.read(length)
            if len(body) < length or xxh3_64_digest(body) != head[8:]:
                return
            try:
                frame = _DECODER.decode(body)
            except msgspec.DecodeError:
                return
            at += _HEAD + length
            yield frame, at


def _compare(before: Plan, now: Plan, place: Path) -> None:
    """See that a run may go on with another's work."""
    for one, other in zip(before.inputs, now.inputs, strict=False):
        if one[0] == other[0] and one != other:
            hint = f"`--force` begins anew, without what is done in `{place}`"
            raise DataError(other[0], None, "changed since the unfinished run read it", hint)
    whole = (_decisive(msgspec.json.decode(msgspec.json.encode(one))) for one in (before, now))
    if changes := list(_changes("", *whole)):
        more = f" and {len(changes) - _TOLD} more" if len(changes) > _TOLD else ""
        raise unfinished(place, f"{', '.join(changes[:_TOLD])}{more}")


def _decisive(plan: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says only when a run ends early: who meets that may want to change it."""
    steps = ({k: v for k, v in step.items() if k not in _EARLY} for step in plan["recipe"]["step"])
    recipe = {k: v for k, v in plan["recipe"].items() if k != "brakes"} | {"step": list(steps)}
    return plan | {"recipe": recipe}


def _changes(name: str, before: Any, now: Any) -> Iterator[str]:  # noqa: ANN401 (plain values)
    """Say where two plain values differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in (*before, *(key for key in now if key not in before)):
            inner = f"{name}.{key}" if name else key
            if name == "plugins" and key in before and key in now and before[key] != now[key]:
                yield f"`{key}` has other files"
            elif name == "plugins" and (key in before) != (key in now):
                yield f"`{key}` was {'' if key in before else 'not '}there"
            else:
                yield from _changes(inner.removeprefix("recipe."), before.get(key), now.get(key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for at, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _changes(f"{name}[{at}]", one, other)
    elif before != now:
        yield f"`{name}` was {_told(before)} and is {_told(now)}"


def _told(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{len(value)} of them"
    return msgspec.json.encode(value).decode()

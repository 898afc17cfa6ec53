"""The child processes of a run, and what they are given to do.

A crew hands out batches, takes the answers back in order, and survives its members: one that dies,
hangs or raises costs no row. Its batch is given out again, row by row, so that what fails is known
to the row, and every row is answered exactly once.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from msgspec import Struct, structs

from curatekit.errors import CurateError, DataError
from curatekit.frames import (
    Begin,
    Choose,
    Chosen,
    Done,
    Failure,
    Fit,
    Fitted,
    Page,
    Raised,
    Ready,
    Response,
    Stop,
    Work,
    frame_in,
    packed,
)

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray


_CALL = "import sys; sys.path[:] = {path!r}; from curatekit.worker import main; main()"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""What keeps numerical libraries from threads of their own: there are other children to do the
work, and sums may depend on how many threads add them up."""
_SAME = {"PYTHONHASHSEED": "0"}
"""What makes a step that goes through a set do so in the same order each time."""
_AHEAD = 4
"""Batches a child that may be answered before the first that is not."""
_BEGIN_SECONDS = 300.0
"""Longest time for a child to build its steps."""
_TRIES = 3
"""Children of a crew that die while they build their steps before the run ends for it."""
_GRACE_SECONDS = 1.0
"""Longest time for a child that says nothing more to end by itself."""
_LOOK_SECONDS = 0.25
"""Longest time until the parent looks again which steps its children are at."""
_PATIENCE_SECONDS = 10.0
"""Longest time for a child to close its steps."""


class Piece(Struct, frozen=True):
    """Some rows, and what came of them."""

    rows: NDArray[np.uint64]
    outcome: Done | Failure


class _Batch:
    """Rows that were handed out together; their pieces come back in any order."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.pieces: list[Piece | None] = [None]

    def split(self) -> list[tuple[_Batch, int, Work]]:
        """Give its rows out again, one by one."""
        rows = len(self.work.rows) // 8
        self.pieces = [None] * rows
        return [(self, at, _row_of(self.work, at, rows)) for at in range(rows)]


_Job = tuple[_Batch, int, Work]
"""A batch, the piece of it that is meant, and that piece."""


def _row_of(work: Work, at: int, rows: int) -> Work:
    width = len(work.whereabouts) // rows
    columns = {
        name: type(column).of(column.array()[at : at + 1]) for name, column in work.columns.items()
    }
    return Work(
        number=work.number + at,
        rows=work.rows[at * 8 : at * 8 + 8],
        whereabouts=work.whereabouts[at * width : (at + 1) * width],
        columns=columns,
    )


class _Member:
    """One child."""

    def __init__(self, begin: Begin, *, is_one: bool) -> None:
        environment = os.environ | _SAME | ({} if is_one else _ONE_THREAD)
        inherited = [descriptor for _, descriptor, *_ in begin.files]
        inherited += [] if begin.spool is None else [begin.spool]
        self._steps = len(begin.tasks)
        self._page, descriptor = Page.make()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CALL.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=[*inherited, descriptor],
            env=environment,
            process_group=0,  # so that what a step starts can be ended with it
        )
        os.close(descriptor)
        self.job: _Job | None = None
        self.is_ready = False
        self._buffer = bytearray()
        self.send(structs.replace(begin, page=descriptor))

    @property
    def task(self) -> int:
        """The step that it is at; -1 for none, or where a step wrote over it."""
        task, _ = self._page.read()
        return task if 0 <= task < self._steps else -1

    def silent_seconds(self, limits: Sequence[float]) -> tuple[float, float]:
        """Tell for how long it has been where it is, and for how long it may be there."""
        task, since = self._page.read()
        limit = limits[task] if 0 <= task < len(limits) else _BEGIN_SECONDS
        now = time.monotonic()
        since = max(since, self._sent) if since <= now else self._sent  # a step may write over it
        return now - since, limit

    def send(self, frame: Begin | Work | Fit | Choose | Stop) -> None:
        self._sent = time.monotonic()
        assert self.process.stdin is not None  # noqa: S101 (it was asked for)
        with suppress(BrokenPipeError):  # it is dead, which its silence will tell
            left = memoryview(packed(frame))
            while left:  # a pipe takes a part at a time
                left = left[os.write(self.process.stdin.fileno(), left) :]

    def fileno(self) -> int:
        assert self.process.stdout is not None  # noqa: S101 (it was asked for)
        return self.process.stdout.fileno()

    def receive(self) -> list[Response] | None:
        """Take in what it says; None if it will say no more."""
        block = os.read(self.fileno(), 1 << 20)
        if not block:
            return None
        self._buffer += block
        found: list[Response] = []
        while (body := frame_in(self._buffer)) is not None:
            found.append(_DECODER.decode(body))
        return found

    def end(self, *, kill: bool = False) -> str:
        """Wait for it, and tell how it ended."""
        try:
            code = self.process.wait(0 if kill else _GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # it has closed its pipe and goes on
            self.process.kill()
            code = self.process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return _told(code)


def _told(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    names = {one.value: one.name for one in signal.Signals}
    return f"its process was killed by {names.get(-code, f'signal {-code}')}"


_DECODER: msgspec.msgpack.Decoder[Response] = msgspec.msgpack.Decoder(Response)


class Crew:
    """Children that all have the same steps.

    Args:
        begin: What the steps are, and where the data.
        timeouts: Seconds that each step may take for a batch.
        size: How many children there may be.
        is_stopping: Whether no more is to be given out.
        is_one: Whether the steps want the machine for themselves; else each has one thread.

    Raises:
        StepError: A step cannot be built, or `fit` or `select` failed.
        DataError: An input changed.
    """

    def __init__(
        self,
        begin: Begin,
        timeouts: Sequence[float],
        size: int,
        *,
        is_one: bool = True,
        is_stopping: Callable[[], bool] = bool,
    ) -> None:
        self._begin = begin
        self._is_stopping = is_stopping
        self._is_one = is_one
        self._timeouts = timeouts
        self._size = size
        self._members: list[_Member] = []
        self._selector = selectors.DefaultSelector()
        self._unborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self._members:
            if error is None:
                member.send(Stop())
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for member in self._members:
            try:
                if error is None:
                    member.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            member.end(kill=member.process.poll() is None)
        self._selector.close()

    def map(self, works: Iterable[Work]) -> Iterator[Piece]:
        """Give out batches, and give back what came of their rows, in order.

        Once it is to stop, it waits for what was given out, and ends early.
        """
        source = iter(works)
        again: deque[_Job] = deque()
        order: deque[_Batch] = deque()
        is_more = True
        while True:
            is_stopping = self._is_stopping()
            while is_more and not again and len(order) < _AHEAD * self._size and not is_stopping:
                work = next(source, None)
                if work is None:
                    is_more = False
                    break
                order.append(_Batch(work))
                again.append((order[-1], 0, work))
                self._give(again)
            if not is_stopping:
                self._give(again)
            if not order:
                return
            if all(piece is not None for piece in order[0].pieces):
                yield from (piece for piece in order.popleft().pieces if piece is not None)
            elif is_stopping and not any(member.job for member in self._members):
                return
            else:
                self._wait(again)

    def fit(self, request: Fit) -> bytes:
        """Fit a step, and give it back pickled."""
        answer = self._ask(request, request.task)
        assert isinstance(answer, Fitted)  # noqa: S101 (what a child answers to this)
        return answer.step

    def choose(self, request: Choose) -> NDArray[np.uint16]:
        """Ask the selector."""
        answer = self._ask(request, 0)
        assert isinstance(answer, Chosen)  # noqa: S101
        return np.frombuffer(answer.copies, np.uint16)

    def _ask(self, request: Fit | Choose, task: int) -> Response:
        """Ask one child one thing, of the whole dataset: if that fails, so does the run."""
        member = self._new_member()
        while not member.is_ready:
            self._await_one(member)
        member.send(request)
        while True:
            for frame in self._await_one(member, task):
                if isinstance(frame, Raised):
                    raise self._error(_failure(frame))
                return frame

    def _await_one(self, member: _Member, task: int = -1) -> list[Response]:
        """Wait for a child of which nothing but an answer is expected."""
        while not self._selector.select(min(self._left(member), _LOOK_SECONDS)):
            if self._left(member) == 0:
                failure = Failure(max(task, member.task), self._too_long(member))
                member.end(kill=True)
                raise self._error(failure)
        frames = member.receive()
        if frames is None:
            raise self._error(Failure(max(task, member.task), member.end()))
        for frame in frames:
            self._note(member, frame)
        return frames

    def _left(self, member: _Member) -> float:
        """Tell for how many seconds a child may still be silent."""
        silent, limit = member.silent_seconds(self._timeouts)
        return max(0.0, limit - silent)

    def _too_long(self, member: _Member) -> str:
        return f"took longer than {member.silent_seconds(self._timeouts)[1]:g} seconds"

    def _new_member(self) -> _Member:
        try:
            member = _Member(self._begin, is_one=self._is_one)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "a process for steps") from None
        self._members.append(member)
        self._selector.register(member, selectors.EVENT_READ)
        return member

    def _give(self, jobs: deque[_Job]) -> None:
        """Give out what there is to do, as far as there are hands."""
        idle = [member for member in self._members if member.job is None]
        while jobs and (idle or len(self._members) < self._size):
            member = idle.pop() if idle else self._new_member()
            member.job = jobs.popleft()
            if member.is_ready:
                member.send(member.job[2])

    def _wait(self, again: deque[_Job]) -> None:
        """Wait until a child has something to say, or for too long."""
        first = min(self._left(one) for one in self._members if one.job)
        for key, _ in self._selector.select(min(first, _LOOK_SECONDS)):
            member = key.fileobj
            assert isinstance(member, _Member)  # noqa: S101 (nothing else is registered)
            try:
                frames = member.receive()
            except msgspec.DecodeError:
                self._bury(member, "wrote where only its answers go", again)
                continue
            if frames is None:
                self._bury(member, None, again)
            for frame in frames or ():
                self._take(member, frame, again)
        for member in [one for one in self._members if one.job]:
            if self._left(member) == 0:
                self._bury(member, self._too_long(member), again)

    def _note(self, member: _Member, frame: Response) -> None:
        match frame:
            case Ready():
                member.is_ready = True
            case Raised(data=data) if data is not None:
                raise DataError(*data)
            case Raised() if not member.is_ready or frame.task < 0:
                raise self._error(_failure(frame))

    def _take(self, member: _Member, frame: Response, again: deque[_Job]) -> None:
        self._note(member, frame)
        match frame:
            case Ready() if member.job is not None:
                member.send(member.job[2])
            case Done(number=number) | Raised(number=number):
                if member.job is None or member.job[2].number != number:
                    self._bury(member, "answered what it was not asked", again)
                    return
                job, member.job = member.job, None
                _settle(job, frame if isinstance(frame, Done) else _failure(frame), again)

    def _bury(self, member: _Member, why: str | None, again: deque[_Job]) -> None:
        """Do without a child that is dead, or that has to die."""
        self._selector.unregister(member)
        self._members.remove(member)
        task, end = member.task, member.end(kill=why is not None)
        failure = Failure(task, why or end)
        if not member.is_ready and member.job is not None:
            self._unborn += 1
            if self._unborn == _TRIES:
                raise self._error(failure)
            again.appendleft(member.job)
        elif member.job is not None:
            _settle(member.job, failure, again)

    def _error(self, failure: Failure) -> CurateError:
        """Make the error that ends a run where no row is to blame."""
        if failure.task < 0:
            hint = "standard error tells more"
            return CurateError(f"a process for steps cannot do its work: {failure.message}", hint)
        return failure.error(self._begin.tasks[failure.task].author)


def _failure(frame: Raised) -> Failure:
    return Failure(frame.task, frame.message, frame.trace, frame.hint, frame.contract, frame.said)


def _settle(job: _Job, outcome: Done | Failure, again: deque[_Job]) -> None:
    """Note what came of a piece, or give out its rows one by one."""
    batch, at, work = job
    if isinstance(outcome, Failure) and len(work.rows) > 8:  # noqa: PLR2004 (bytes of one row's number)
        again.extend(batch.split())
    else:
        batch.pieces[at] = Piece(np.frombuffer(work.rows, np.uint64), outcome)

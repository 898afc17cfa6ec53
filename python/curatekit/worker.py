"""The process that plugins' steps run in.

A child is told which steps there are, maps the files that its parent left open, and then gets the
whereabouts of one batch after the other: no text crosses the border, but that of rows which a step
rewrote or made. It speaks with its parent over descriptors of its own, so a step may print and read
what it likes; and it ends when its parent does, whatever a step is doing.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import msgspec
import numpy as np

from curatekit import _native, built_in
from curatekit.errors import ContractError, CurateError, DataError
from curatekit.frames import (
    Begin,
    Choose,
    Chosen,
    Done,
    Fit,
    Fitted,
    Page,
    Raised,
    Ready,
    Request,
    Response,
    Said,
    Stop,
    Task,
    Work,
    frame_in,
    packed,
)
from curatekit.plugins import Plugins, load
from curatekit.records import Batch, Rows, as_line
from curatekit.steps import (
    FAILED,
    UNDECIDED,
    Context,
    Filter,
    Generator,
    Normalizer,
    Scorer,
    Selector,
    Step,
    copies,
    offspring,
    rewrites,
    scores,
    verdicts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LONGEST = 500
"""Characters of an exception's message that are told."""


class Survivors(Rows):
    """The rows that are left when a step is fitted, by their places among them."""

    def __init__(self, files: _native.Files, rows: str, whereabouts: str) -> None:
        self._files = files
        is_empty = not Path(rows).stat().st_size
        none = np.empty(0, np.uint64)
        self._numbers: NDArray[np.uint64] = none if is_empty else np.memmap(rows, np.uint64, "r")
        shape = (len(self._numbers), _native.WHEREABOUTS)
        empty = np.empty(shape, np.uint8)
        self._where = np.memmap(whereabouts, np.uint8, "r", shape=shape) if shape[0] else empty

    def _batch(self, rows: NDArray[np.uint64]) -> Batch:
        at = rows.astype(np.intp)
        block = self._files.block(self._where[at].tobytes())
        return Batch(block, np.asarray(self._numbers[at]))

    def __len__(self) -> int:
        return len(self._numbers)


class _Parent:
    """The other side."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._process = os.getpid()
        self.page: Page | None = None
        self._task = -1

    def say(self, frame: Response) -> None:
        """Send a frame; a process that a step forked off has nothing to say, and ends."""
        if os.getpid() != self._process:
            os._exit(0)
        self._to.write(packed(frame))
        self._to.flush()

    def at(self, task: int) -> None:
        """Note that a step begins; -1 is none."""
        self._task = task
        if self.page is not None:
            self.page.note(task)

    def tell(self, error: BaseException, request: Request, said: list[Said]) -> None:
        """Say that a step raised."""
        number = request.number if isinstance(request, Work) else 0
        raised = _raised(error, self._task)
        self.say(msgspec.structs.replace(raised, number=number, said=said))


class _Child:
    def __init__(self, parent: _Parent, begin: Begin) -> None:
        parent.page = Page(begin.page)
        self._at = parent.at
        self._files = _native.Files(begin.files, begin.spool, begin.formats, begin.field)
        self._begin = begin
        self._tasks = begin.tasks
        self.said: list[Said] = []
        plugins = load([Path(file) for file in begin.plugins])
        context = Context(is_dry=begin.is_dry, backends=plugins.backends)
        self._steps: list[Step] = []
        for at, task in enumerate(begin.tasks):
            self._at(at)
            step = _built(task, plugins, begin.fitted.get(at))
            step.open(context)
            self._steps.append(step)
        self._at(-1)
        parent.say(Ready())

    def answer(self, request: Work | Fit | Choose) -> Response:
        """Do what is asked; `said` holds what steps said of the batch so far."""
        self._at(-1)
        self.said = []
        match request:
            case Work():
                return self._work(request)
            case Fit(task=task):
                self._at(task)
                survivors = Survivors(self._files, request.rows, request.whereabouts)
                self._steps[task].fit(survivors)
                return Fitted(pickle.dumps(self._steps[task]))
            case Choose(columns=columns):
                self._at(0)
                given = {name: column.array() for name, column in columns.items()}
                step = self._steps[0]
                assert isinstance(step, Selector)  # noqa: S101 (the parent asks no other)
                return Chosen(copies(step, given, self._tasks[0].author).tobytes())

    def _work(self, work: Work) -> Done:
        rows = np.frombuffer(work.rows, np.uint64)
        columns = {name: column.array() for name, column in work.columns.items()}
        batch = Batch(self._files.block(work.whereabouts), rows, columns)
        if batch.problems:  # the parent saw that there are none
            raise DataError("an input", None, "changed while it was read")
        pass_ = _Pass(batch, self._begin)
        self.said = pass_.said
        for at, (task, step) in enumerate(zip(self._tasks, self._steps, strict=True)):
            if not len(pass_.batch):
                pass_.said.append(Said())
                continue
            self._at(at)
            began = time.perf_counter()
            said = pass_.through(step, task)
            said.seconds = time.perf_counter() - began
            pass_.said.append(said)
        return pass_.done(work.number)

    def close(self) -> None:
        for step in self._steps:
            step.close()


class _Pass:
    """The way of one batch through the steps."""

    def __init__(self, batch: Batch, begin: Begin) -> None:
        self._is_dry, self._max_line = begin.is_dry, begin.max_line
        self.said: list[Said] = []
        self._changed: set[int] = set()
        self._lines: list[tuple[int, bytes]] = []
        self._places = np.arange(len(batch))
        self.batch = batch

    def through(self, step: Step, task: Task) -> Said:
        match step:
            case Normalizer():
                return self._rewrite(step, task)
            case Filter():
                return self._check(step, task)
            case Scorer():
                return self._score(step, task)
            case Generator():
                return self._generate(step, task)
        raise TypeError(f"{task.use} is of no kind that works on batches")

    def done(self, number: int) -> Done:
        self._note_lines(range(len(self._places)))
        return Done(number=number, said=self.said, lines=self._lines)

    def _note_lines(self, rows: Iterable[int]) -> None:
        """Note what rows are now, if that is no longer what they were."""
        for at in rows if self._changed else ():
            if (place := int(self._places[at])) in self._changed:
                self._lines.append((place, self.batch[at].line))

    def _keep(self, kept: NDArray[np.bool_], *, is_noted: bool = True) -> None:
        at = np.flatnonzero(kept)
        if len(at) < len(kept):
            if is_noted:
                self._note_lines(np.flatnonzero(~kept).tolist())
            self._places = self._places[at]
            self.batch = self.batch.take(at)

    def _at(self, words: Any, among: NDArray[np.bool_] | None = None) -> dict[int, str]:  # noqa: ANN401 (checked before)
        """Give what is said of rows by their places, where something is."""
        if words is None:
            return {}
        asked = [True] * len(self._places) if among is None else among.tolist()
        said = zip(self._places.tolist(), words, asked, strict=True)
        return {place: str(one) for place, one, is_asked in said if one and is_asked}

    def _rewrite(self, step: Normalizer, task: Task) -> Said:
        self.batch, changed = self.batch.respelled(rewrites(step, self.batch, task.author))
        at = [int(place) for place, is_new in zip(self._places, changed, strict=True) if is_new]
        self._changed.update(at)
        fits = [
            not is_new or len(self.batch[one].line) <= self._max_line
            for one, is_new in enumerate(changed)
        ]
        kept = np.array(fits, np.bool_)
        too_long = self._places[~kept].tolist()
        self._keep(kept, is_noted=False)
        return Said(changed=at, too_long=too_long)

    def _check(self, step: Filter, task: Task) -> Said:
        said = verdicts(step, self.batch, task.author)
        bad = said.codes != 0
        found = Said(codes=said.codes.tobytes(), evidence=self._at(said.evidence, bad))
        if task.is_flag:
            self.batch = self.batch.with_column(task.id, said.codes)
        else:
            self._keep(~bad)
        return found

    def _score(self, step: Scorer, task: Task) -> Said:
        said = scores(step, self.batch, task.author)
        outcome = list(said.outcome or ())
        found = Said(evidence=self._at(said.notes))
        codes = np.zeros(len(self.batch), np.uint8)
        for name, column in said.columns.items():
            full = f"{task.id}.{name}" if name else task.id
            found.scores[full] = column.tobytes()
            self.batch = self.batch.with_column(full, column)
            if task.drops_nan:
                codes[(codes == 0) & np.isnan(column)] = 3
            if task.keep_at_most is not None:
                codes[(codes == 0) & (column > task.keep_at_most)] = 2
            if task.keep_at_least is not None:
                codes[(codes == 0) & (column < task.keep_at_least)] = 1
        if UNDECIDED in outcome and not self._is_dry:
            expected = f"no outcome `{UNDECIDED}` in a run that may ask"
            raise task.author.expected(expected, UNDECIDED)
        for one in map(str, outcome):
            found.outcomes[one] = found.outcomes.get(one, 0) + 1
        if FAILED in outcome:
            last = len(outcome) - 1 - outcome[::-1].index(FAILED)
            found.failure = (said.notes[last] if said.notes else None) or "there is no answer"
        open_ = np.zeros(len(codes), np.bool_)
        if UNDECIDED in outcome:
            open_[:] = [one == UNDECIDED for one in outcome]
        codes[open_] = 0
        found.undecided = self._places[open_].tolist()
        found.codes = codes.tobytes() if codes.any() else b""
        self._keep((codes == 0) & ~open_)
        return found

    def _generate(self, step: Generator, task: Task) -> Said:
        made = offspring(step, self.batch, task.author)
        made.sort(key=lambda one: one.parent)
        return Said(made=[(int(self._places[one.parent]), as_line(one.object)) for one in made])


def _built(task: Task, plugins: Plugins, fitted: bytes | None) -> Step:
    if fitted is not None:
        step: Step = pickle.loads(fitted)  # noqa: S301 (a process of ours made it)
        return step
    kind = built_in.STEPS.get(task.use)
    if kind is None:
        kind, _ = plugins.step(task.use)
    return kind(task.options)


def _raised(error: BaseException, at: int) -> Raised:
    if isinstance(error, ContractError):
        return Raised(task=at, message=error.message, contract=error.args)
    if isinstance(error, DataError) and at < 0:
        return Raised(task=at, message=error.message, data=error.args)
    if isinstance(error, CurateError):  # it is said in words for whoever runs it
        return Raised(task=at, message=error.message, hint=error.hint)
    try:
        words = str(error)
        message = f"{type(error).__name__}: {words}" if words else type(error).__name__
        trace = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 (it cannot even say what it is)
        message, trace = type(error).__name__, ""
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]} …"
    encodable = (text.encode(errors="backslashreplace").decode() for text in (message, trace))
    message, trace = encodable
    return Raised(task=at, message=message, trace=trace)


def _listen(source: BinaryIO, requests: queue.SimpleQueue[Request]) -> NoReturn:
    """Take in what the parent asks; when it is gone, so is this process."""
    decoder = msgspec.msgpack.Decoder(Request)
    buffer = bytearray()
    while block := source.read(1 << 20):
        buffer += block
        while (body := frame_in(buffer)) is not None:
            requests.put(decoder.decode(body))
    os._exit(1)


def main() -> NoReturn:
    """Serve a parent until it says that there is no more to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and tells us
    _native.end_with_parent()
    source, to = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    for descriptor in (source.fileno(), to.fileno()):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 (its own signature)
    logging.getLogger("curatekit").addHandler(logging.NullHandler())  # the parent told it already
    _native.guard_maps()
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, requests), daemon=True).start()
    parent = _Parent(to)
    child: _Child | None = None
    while not isinstance(request := requests.get(), Stop):
        try:
            if isinstance(request, Begin):
                child = _Child(parent, request)
            elif child is not None:
                parent.say(child.answer(request))
        except BaseException as error:  # noqa: BLE001 (a stranger's step may raise anything)
            parent.tell(error, request, child.said if child is not None else [])
    try:
        if child is not None:
            child.close()
    except BaseException:  # noqa: BLE001
        traceback.print_exc()  # all rows are decided, so nothing else comes of it
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # whatever threads a step has left

"""How the commands speak: clean text, one shape for errors, and a progress bar.

Data and paths can carry escape sequences and markup. So every text is cleaned before it is shown,
and none is read as markup.
"""

import os
import re
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STAGES = {"exact": "exact duplicates", "near": "near-duplicates"}
_COUNTED_IN_BYTES = ("read", "write")
_STOPPING = "stopping"
"""The stage of a run that was asked to stop, and ends what it began."""
_REPORTED = 0.1
"""Seconds between two reports of the core: a shorter stage was not seen as it went by."""


def clean(text: str) -> str:
    """Take out what could steer a terminal: control characters, and marks that reverse text."""
    return _UNSAFE.sub(_harmless, text)


def _harmless(found: re.Match[str]) -> str:
    if found[0] == "\t":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if "\ud800" <= found[0] <= "\udfff" else ""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 (rich calls this while it handles the error; `main` ends the command)


def console(file: IO[str] | None = None) -> Console:
    """Make a console that shows text as it is, on standard output unless told otherwise."""
    return _Console(file=file, markup=False, emoji=False, highlight=False, soft_wrap=True)


def say(to: Console, text: Text, indent: int = 0) -> None:
    """Print a clean text, wrapped within its indent on a terminal, and unwrapped anywhere else."""
    lines = text.wrap(to, max(20, to.width - indent)) if to.is_terminal else text.split("\n")
    for line in lines:
        line.rstrip()
        to.print(Text(" " * indent).append_text(line) if line else line)


def print_table(to: Console, lines: Sequence[tuple[str, str, str]]) -> None:
    """Print lines of a name, a number and a remark."""
    widest_label, widest_value = (max(len(line[at]) for line in lines) for at in (0, 1))
    for label, value, remark in lines:
        line = Text(f"{clean(label):<{widest_label}}  ")
        line.append(f"{value:>{widest_value}}", "bold").append(f"  {clean(remark)}", "dim")
        say(to, line)


def complain(message: str, hint: str | None = None) -> None:
    """Print an error on standard error: one line, and one for the hint."""
    to = console(sys.stderr)
    say(to, Text.assemble(("error: ", "bold red"), clean(message).replace("\n", " ")))
    if hint:
        say(to, Text.assemble(("hint: ", "cyan"), clean(hint).replace("\n", " ")), indent=2)


class Meter:
    """Shows how far a run is: a bar on a terminal, elsewhere a line for each stage that is done."""

    def __init__(self, *, quiet: bool) -> None:
        self._silent = quiet
        self._bar = _bar() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else None
        self._stage = ""
        self._began = time.perf_counter()
        self._total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._show("", 0, 0)
        if self._bar:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take the news from the core: `done` of `total` bytes or rows of a stage."""
        self._show(stage, done, total)

    def _show(self, stage: str, done: int, total: int) -> None:
        if self._silent:
            return
        try:
            if stage != self._stage:
                self._finish()
                self._begin(stage)
            self._total = total
            if self._bar and stage:
                self._bar.update(
                    self._bar.task_ids[-1], completed=done, total=total or None, refresh=True
                )
        except OSError:
            self._silent = True  # nobody listens any more, which must not cost anybody their data

    def _begin(self, stage: str) -> None:
        self._stage = stage
        if self._bar and stage:
            self._bar.start()
            name = _STAGES.get(stage, stage)
            self._bar.add_task(name, total=None, rows=stage not in _COUNTED_IN_BYTES)

    def _finish(self) -> None:
        if self._stage and self._bar:
            self._bar.update(self._bar.task_ids[-1], completed=self._total, total=self._total)
        elif self._stage:
            amount = _amount(self._total, rows=self._stage not in _COUNTED_IN_BYTES)
            took = time.perf_counter() - self._began
            took_long = f" in {took:.1f} s" if took >= _REPORTED else ""
            name = _STAGES.get(self._stage, self._stage)
            amount = "" if self._stage == _STOPPING else f": {amount}"
            print(f"{name}{amount}{took_long}", file=sys.stderr, flush=True)
        self._began = time.perf_counter()


def _bar() -> Progress:
    whole = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description:<16}", markup=False, table_column=whole),
        BarColumn(bar_width=None),
        _Done(table_column=whole),
        _Rate(table_column=whole),
        TimeRemainingColumn(compact=True, table_column=whole),
        console=Console(file=sys.stderr, markup=False, emoji=False, highlight=False),
        auto_refresh=False,  # the core reports ten times a second
        transient=True,
        expand=True,
    )


class _Done(ProgressColumn):
    def render(self, task: Task) -> Text:
        rows: bool = task.fields["rows"]
        if not task.total:
            return Text(_amount(task.completed, rows=rows) if task.completed else "")
        done, whole = (_amount(number, rows=rows) for number in (task.completed, task.total))
        return Text(f"{done.removesuffix(' rows')} of {whole}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{_amount(speed, rows=task.fields['rows'])}/s" if speed else "", style="dim")


def _amount(number: float, *, rows: bool) -> str:
    return f"{number:,.0f} rows" if rows else decimal(round(number))

"""Inputs that change, signals and crashes in the middle of a run.

A named pipe as the second input holds a run where it can be met: it has opened the first one, and
waits until the pipe is closed.
"""

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from conftest import chat, write_rows
from curatekit import dedup as library
from running import DEDUP, Output, beside, complaint, dedup, run

ROWS = [f'{{"text": "row {number} of many"}}\n'.encode() for number in range(3000)]
CHANGED = (
    "error: data.jsonl: changed while it was read\n"
    "  hint: run again when nothing else writes to it\n"
)

Running = subprocess.Popen[bytes]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the commands run, with an input and a named pipe in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.jsonl").write_bytes(b"".join(ROWS))
    os.mkfifo("pipe.jsonl")
    return tmp_path


def start(*arguments: str) -> Running:
    """Start a run that writes to `out`."""
    pipe = subprocess.PIPE
    return subprocess.Popen([*DEDUP, *arguments, "-o", "out"], stdin=pipe, stdout=pipe, stderr=pipe)


@contextmanager
def held(*arguments: str) -> Iterator[Running]:
    """A run of some inputs and the pipe, for as long as it waits for the pipe."""
    running = start(*arguments, "pipe.jsonl")
    with Path("pipe.jsonl").open("wb"):
        yield running


def end(running: Running) -> subprocess.CompletedProcess[bytes]:
    """Wait for the end of a run."""
    stdout, stderr = running.communicate(timeout=60)
    return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(ROWS[0])


def cut(path: Path) -> None:
    os.truncate(path, 5000)


def rewrite(path: Path) -> None:
    path.write_bytes(b"".join(reversed(ROWS)))


@pytest.mark.parametrize("change", [append, cut, rewrite])
def test_an_input_that_changes_is_refused(here: Path, change: Callable[[Path], None]) -> None:
    with held("data.jsonl") as running:
        change(here / "data.jsonl")
    assert complaint(3, end(running)) == CHANGED
    assert beside(here / "out") == []


def test_an_input_that_is_replaced_whole_is_read_as_it_was(here: Path) -> None:
    (here / "new.jsonl").write_bytes(ROWS[0])
    with held("data.jsonl") as running:
        (here / "new.jsonl").replace(here / "data.jsonl")
    assert end(running).returncode == 0
    assert Output.read(here / "out").rows() == [row.rstrip(b"\n") for row in ROWS]


def test_an_input_cut_short_under_its_map_is_refused(here: Path) -> None:
    """Where the map reaches beyond the file, a read is a SIGBUS, which ends a process by default.

    Much evidence makes the last stage long, and the rows are read once more in it.
    """
    words = [f"{number:x}" for number in range(9000)]
    rows = [chat(" ".join(words), " ".join([*words, str(number)])) for number in range(100)]
    write_rows(here / "data.jsonl", rows)
    running = start("data.jsonl", "--threads", "1", "--alike", "each-role", "--max-drop", "1")
    while not (here / "out.partial/out/decisions.jsonl").exists():
        assert running.poll() is None
    os.truncate("data.jsonl", 0)
    assert complaint(3, end(running)) == CHANGED
    assert beside(here / "out") == []


def test_a_map_that_was_cut_short_is_noticed_by_the_library(here: Path) -> None:
    program = (
        "import os; from curatekit import _native, dedup; _native.guard_maps()\n"
        "decisions = dedup.near('data.jsonl'); os.truncate('data.jsonl', 0)\n"
        "try: decisions.write('out')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    ended = run(sys.executable, "-c", program)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.decode() == "DataError " + CHANGED.replace("error: ", "").replace("  ", "")
    assert beside(here / "out") == []


def test_an_input_that_was_copied_may_change(here: Path) -> None:
    decisions = library.near("data.jsonl", io="read")
    os.truncate("data.jsonl", 0)
    decisions.write("out")
    assert (here / "out/kept.jsonl").read_bytes() == b"".join(ROWS)


def test_a_run_that_was_killed_is_no_hindrance(here: Path) -> None:
    with held("data.jsonl") as running:
        running.kill()
        assert end(running).returncode == -signal.SIGKILL
    assert beside(here / "out") == ["out.partial"]
    assert dedup(here / "out", "data.jsonl").rows() == [row.rstrip(b"\n") for row in ROWS]


@pytest.mark.parametrize(
    ("name", "code", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]
)
def test_a_run_that_waits_for_a_pipe_can_be_stopped(
    here: Path, *, name: str, code: int, word: str
) -> None:
    with held() as running:
        running.send_signal(signal.Signals[name])
        ended = end(running)
    assert complaint(code, ended) == f"error: {word}\n"
    assert beside(here / "out") == []


@pytest.mark.parametrize("begun", [b"{", b"".join(ROWS)], ids=["at once", "later"])
def test_a_run_that_waits_for_standard_input_can_be_stopped(here: Path, begun: bytes) -> None:
    running = start("-")
    assert running.stdin
    running.stdin.write(begun)
    running.stdin.flush()
    while unread(running.stdin):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    running.wait(timeout=60)
    assert complaint(130, end(running)) == "error: interrupted\n"
    assert beside(here / "out") == []


def unread(pipe: IO[bytes]) -> int:
    """Bytes in a pipe that its reader has not taken yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)

"""What the tests share: rows in files, and the command as a person runs it."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = (sys.executable, "-m", "curatekit")

# A shell that runs the tests in the background has Ctrl-C ignored, and so would every command.
signal.signal(signal.SIGINT, signal.default_int_handler)


def write_rows(path: Path, rows: Iterable[object]) -> Path:
    """Write one JSON row a line; bytes stand as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for row in rows:
            file.write(row if isinstance(row, bytes) else json.dumps(row).encode())
            file.write(b"\n")
    return path


def read_rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def chat(user: str, assistant: str) -> dict[str, object]:
    turns = (("user", user), ("assistant", assistant))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `curatekit` in an empty folder, with its output in pipes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(
        "PYTHONUNBUFFERED", raising=False
    )  # else nothing is left to flush at the end

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *map(str, arguments)]
        settings = {"capture_output": True, "text": True} | options
        return subprocess.run(command, check=False, **settings)  # type: ignore[call-overload, no-any-return]

    return run


def in_terminal(
    *arguments: str | Path,
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = COMMAND,
) -> tuple[int, str]:
    """Run `curatekit` on a terminal of its own, and return the exit code and all that it wrote."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    variables = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
    command = [*program, *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables) as it:
        os.close(theirs)
        written = b""
        try:
            while block := os.read(ours, 65536):
                written += block
        except OSError:
            pass  # how Linux says that nobody has the terminal open any more
        finally:
            os.close(ours)
    return it.returncode, written.decode()


@pytest.fixture
def data() -> Path:
    """The folder of real data sets, which need not be there."""
    if "CURATEKIT_DATA" not in os.environ:
        pytest.skip("CURATEKIT_DATA does not name the folder of real data sets")
    return Path(os.environ["CURATEKIT_DATA"])

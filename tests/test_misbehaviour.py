"""Whatever a step does, no row is lost or decided twice, and the message says whose step it is."""

import json
import os
import signal
import subprocess
from pathlib import Path
from select import select

import pytest

from conftest import COMMAND, chat, write_rows
from odd_plugin import TRIGGER
from recipes import ODD, carried_out, curated, stopped, write_recipe
from running import complaint, run

ROWS = 200
BAD = 137
"""The row that brings misbehaviour about."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [chat(f"What is {row}?", f"It is {row}, as everybody knows.") for row in range(ROWS)]
    rows[BAD] = chat(f"What is {BAD}?", TRIGGER)
    write_rows(tmp_path / "rows.jsonl", rows)
    return tmp_path


def recipe(folder: Path, how: str, **rules: object) -> Path:
    step = {"use": "odd_plugin.odd", "how": how, **rules}
    return write_recipe(folder, [{"use": "odd_plugin.shout"}, step, {"use": "odd_plugin.short"}])


STOPS = {
    "wrong-dtype": "must return uint8 of shape (1,), but returned float64 of shape (1,)",
    "too-few": "must return uint8 of shape (1,), but returned uint8 of shape (0,)",
    "out-of-range": "must return codes up to 1, one for each of its reasons, but returned 9",
    "raise": "LookupError: there is no such word",
    "raise-odd": r"BaseException: half of \ud800",
    "sys-exit": "SystemExit: 3",
    "interrupt": "KeyboardInterrupt",
    "os-exit": "its process ended with exit code 7",
    "signal": "its process was killed by ",
    "close-everything": "its process was killed by SIGKILL",
    "hang": "took longer than 2 seconds",
}


@pytest.mark.parametrize("how", STOPS)
def test_a_step_that_misbehaves_stops_the_run_by_name(folder: Path, how: str) -> None:
    path = recipe(folder, how, timeout_seconds=2)
    message = stopped(5, path)
    assert STOPS[how] in message
    assert "`odd_plugin.odd`" in message
    assert str(ODD) in message
    if how not in ("wrong-dtype", "too-few", "out-of-range"):
        assert f"error: {folder / 'rows.jsonl'}:{BAD + 1}: step" in message


@pytest.mark.parametrize("how", STOPS)
def test_a_row_at_which_a_step_misbehaves_can_be_set_aside(folder: Path, how: str) -> None:
    path = recipe(folder, how, timeout_seconds=2, on_error="quarantine")
    report, out = curated(path)
    assert (report.rows, report.kept + report.removed, report.quarantined) == (ROWS, ROWS - 1, 1)
    assert out.fates()[BAD] == "step-failed"
    assert len(out.rows()) == ROWS
    assert json.loads(out.quarantined[0])["messages"][1]["content"] == TRIGGER  # as it was read
    (decision,) = (one for one in out.decisions if one["row"] == BAD)
    assert STOPS[how].rpartition(": ")[2].strip() in decision["message"]
    assert (decision["step"], decision["state"]) == ("odd", "quarantined")
    assert [one["row"] for one in out.decisions] == sorted({one["row"] for one in out.decisions})
    odd = report.steps[1]
    assert (odd.rows, odd.quarantined) == (ROWS, {"step-failed": 1})


def test_too_many_failures_stop_the_run(folder: Path) -> None:
    good, bad = chat("What?", "It is, as everybody knows."), chat("What?", TRIGGER)
    write_rows(folder / "rows.jsonl", [bad] * 11 + [good] * 189)
    message = stopped(5, recipe(folder, "raise", on_error="quarantine"))
    assert "11 of 200 rows failed, and `max_failures` is 0.05" in message
    assert "LookupError" in message
    curated(recipe(folder, "raise", on_error="quarantine", max_failures=0.055))


def test_what_a_row_went_through_before_it_failed_is_kept(folder: Path) -> None:
    _, out = curated(recipe(folder, "raise", on_error="quarantine"))
    (decision,) = (one for one in out.decisions if one["row"] == BAD)
    events = [(one["step"], one["action"]) for one in decision["events"]]
    assert events == [("shout", "changed"), ("odd", "quarantined")]


def test_rows_that_failed_can_be_shown(folder: Path) -> None:
    curated(recipe(folder, "raise", on_error="quarantine"))
    shown = run(*COMMAND, "show", folder / "out", "--reason", "step-failed")
    assert b"1 of 200 rows quarantined as step-failed" in shown.stdout
    assert b"step-failed, LookupError: there is no such word" in shown.stdout
    message = complaint(2, run(*COMMAND, "show", folder / "out", "--reason", "step-filed"))
    assert "did you mean `step-failed`?" in message


def test_a_process_that_a_step_forks_off_says_nothing(folder: Path) -> None:
    """Its verdict would be that of a batch, and drop rows."""
    report, out = curated(recipe(folder, "fork"), workers=1, batch_rows=10)
    assert (report.kept, report.removed) == (ROWS - 1, 1)
    assert out.fates()[BAD] == "too-short"


def test_what_a_step_writes_into_the_parents_pipe_is_no_answer(folder: Path) -> None:
    """Which step it was is not certain, since it wrote over that too."""
    rules = {"on_error": "quarantine", "timeout_seconds": 5}
    odd = {"use": "odd_plugin.odd", "how": "write-everywhere"}
    others = [{"use": f"odd_plugin.{name}"} | rules for name in ("shout", "short")]
    report, out = curated(write_recipe(folder, [others[0], odd | rules, others[1]]))
    assert (report.kept, report.quarantined) == (ROWS - 1, 1)
    assert out.fates()[BAD] == "step-failed"


def test_noise_where_standard_streams_are_closed_goes_nowhere(folder: Path) -> None:
    command = " ".join([*COMMAND, "run", "--quiet", str(recipe(folder, "noise"))])
    ended = run("sh", "-c", f"{command} <&- >&- 2>&-")
    assert ended.returncode == 0
    assert json.loads((folder / "out" / "report.json").read_bytes())["rows"] == ROWS


def test_noise_on_standard_output_is_no_answer(folder: Path) -> None:
    path = recipe(folder, "noise")
    ended = run(*COMMAND, "run", "--json", path)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["report"]["rows"] == ROWS
    assert b"noise on standard output" in ended.stderr
    assert b"\x00\xff noise past Python" in ended.stderr


def test_a_child_that_dies_once_costs_nothing(folder: Path) -> None:
    path = recipe(folder, "killed-once", marker=str(folder / "marker"))
    report, out = curated(path)
    assert (folder / "marker").exists()
    assert (report.quarantined, out.fates()[BAD]) == (0, "too-short")
    _, expected = curated(recipe(folder, "calm"), force=True)
    assert out.kept == expected.kept
    assert out.removed == expected.removed


def hanging(folder: Path, path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a run, and wait until its only child hangs; the run, and the child."""
    argv = [*COMMAND, "run", "--quiet", "--workers", "1", str(path)]
    running = subprocess.Popen(argv, stderr=subprocess.PIPE)
    while not (folder / "marker").exists():
        assert running.poll() is None
    listed = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    (child,) = map(int, listed)
    return running, child


def ends_with(running: subprocess.Popen[bytes], child: int) -> bool:
    """Kill a run, and tell whether its child ends."""
    watched = os.pidfd_open(child)
    running.kill()
    running.communicate()
    ended, _, _ = select([watched], [], [], 30)
    os.close(watched)
    return bool(ended)


def test_a_child_that_is_killed_from_outside_costs_nothing(folder: Path) -> None:
    path = recipe(folder, "hang-once", marker=str(folder / "marker"))
    running, child = hanging(folder, path)
    os.kill(child, signal.SIGKILL)
    _, errors = running.communicate()
    assert (running.returncode, errors) == (0, b"")
    report = json.loads((folder / "out" / "report.json").read_bytes())
    assert (report["rows"], report["kept"], report["removed"]) == (ROWS, ROWS - 1, 1)


def test_children_end_when_their_parent_is_killed(folder: Path) -> None:
    path = recipe(folder, "hang-once", marker=str(folder / "marker"))
    running, child = hanging(folder, path)
    assert ends_with(running, child)


def test_a_child_that_holds_the_lock_of_python_ends_with_its_parent(folder: Path) -> None:
    path = recipe(folder, "hold-the-lock", marker=str(folder / "marker"))
    running, child = hanging(folder, path)
    assert ends_with(running, child)


def test_a_step_that_cannot_be_built_stops_the_run(folder: Path) -> None:
    plugin = folder / "unbuilt.py"
    plugin.write_text(
        ODD.read_text().replace(
            "class Short(Filter):",
            "class Short(Filter):\n"
            "    def open(self, context):\n        raise ConnectionError('nobody is there')\n",
        )
    )
    path = write_recipe(folder, [{"use": "unbuilt.short"}], plugins=[str(plugin)])
    message = stopped(5, path)
    assert f"step `unbuilt.short` of {plugin}: ConnectionError: nobody is there" in message


def test_what_a_step_says_besides_is_shown(folder: Path) -> None:
    """A traceback helps who wrote the step; it stands before the message."""
    ended = run(*COMMAND, "run", recipe(folder, "raise"))
    assert ended.returncode == 5
    assert b'raise LookupError("there is no such word")' in ended.stderr
    assert carried_out(recipe(folder, "calm"), "--force").report["rows"] == ROWS

"""Going on with what another run began: when that is possible, what it says, and what it costs."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from conftest import COMMAND, chat, write_rows
from curatekit.curate import curate
from curatekit.errors import CurateError, DataError, StepError
from curatekit.journal import standing
from curatekit.recipe import read
from odd_plugin import TRIGGER
from recipes import ODD, write_recipe
from running import beside, complaint, contents, run

ROWS = 3000
QUICK = ("--journal-seconds", "0", "--batch-rows", "50", "--workers", "1")
STEPS: list[Mapping[str, object]] = [
    {"use": "odd_plugin.shout"},
    {"use": "odd_plugin.length"},
    {"use": "near-dedup"},
]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    rows = [chat(f"What is {row}?", f"It is {row}, as everybody knows.") for row in range(ROWS)]
    write_rows(tmp_path / "rows.jsonl", rows)
    shutil.copy(ODD, tmp_path / "odd_plugin.py")
    return written(tmp_path, STEPS)


def written(folder: Path, steps: Sequence[Mapping[str, object]]) -> Path:
    plugin = str(folder / "odd_plugin.py")
    return write_recipe(folder, steps, plugins=[plugin], brakes={"max_drop_share": 1.0})


def interrupted(recipe: Path, *signals: signal.Signals) -> subprocess.CompletedProcess[bytes]:
    """Run a recipe, and ask it to stop once some of it is in the journal."""
    journal = recipe.with_name("out.partial") / "journal"
    command = (*COMMAND, "run", "--quiet", recipe, *QUICK)
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while not journal.exists() or standing(journal, journal.with_name("rows")).commits < 6:
        assert running.poll() is None
        time.sleep(0.001)  # the journal is all there is to see of it
    for one in signals:
        running.send_signal(one)
    stdout, stderr = running.communicate(timeout=60)
    return subprocess.CompletedProcess(command, running.returncode, stdout, stderr)


@pytest.mark.parametrize(
    ("request_", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_request_to_stop_says_how_to_go_on(
    recipe: Path, request_: signal.Signals, code: int, word: str
) -> None:
    message = complaint(code, interrupted(recipe, request_))
    place = recipe.with_name("out.partial")
    hint = f"the same command goes on from what is done in `{place}`"
    assert message == f"error: {word}\n  hint: {hint}\n"
    assert beside(recipe.with_name("out")) == ["out.partial"]
    assert curate(read(recipe), workers=2, batch_rows=333).run.attempts == 2
    found = contents(recipe.with_name("out"))
    assert beside(recipe.with_name("out")) == ["out"]
    curate(read(recipe), recipe.with_name("whole"))
    assert contents(recipe.with_name("whole")) == found


def test_what_was_given_out_is_answered_before_a_run_stops(recipe: Path) -> None:
    """So the journal ends with what the children were at, and nothing of it is asked for again."""
    complaint(130, interrupted(recipe, signal.SIGINT))
    place = recipe.with_name("out.partial")
    found = standing(place / "journal", place / "rows")
    assert found.end == (place / "journal").stat().st_size
    assert found.spooled == (place / "rows").stat().st_size


def test_another_option_is_another_run(recipe: Path) -> None:
    interrupted(recipe, signal.SIGKILL)
    ended = run(*COMMAND, "run", "--quiet", recipe, "--set", "near-dedup.threshold=0.7")
    place = recipe.with_name("out.partial")
    assert complaint(2, ended) == (
        f"error: `{place}` holds the work of an unfinished run: "
        "`step[2].threshold` was 0.8 and is 0.7\n"
        "  hint: finish that run, or begin anew with `--force`\n"
    )
    ended = run(*COMMAND, "run", "--quiet", recipe, "--rows", "9")
    assert "`rows` was null and is 9" in complaint(2, ended)
    outcome = curate(read(recipe, ["near-dedup.threshold=0.7"]), force=True)
    assert (outcome.run.attempts, beside(recipe.with_name("out"))) == (1, ["out"])


def test_a_plugin_that_changed_is_another_run(recipe: Path) -> None:
    interrupted(recipe, signal.SIGKILL)
    plugin = recipe.with_name("odd_plugin.py")
    plugin.write_text(plugin.read_text() + "# mended\n")
    with pytest.raises(CurateError, match=r"odd_plugin\.py` has other files\nhint: .*--force"):
        curate(read(recipe))
    assert curate(read(recipe), force=True).run.attempts == 1


def test_an_input_that_changed_is_another_run(recipe: Path) -> None:
    interrupted(recipe, signal.SIGKILL)
    rows = recipe.with_name("rows.jsonl")
    content = rows.read_bytes()
    rows.write_bytes(content.replace(b"everybody", b"anybodyyy", 1))
    with pytest.raises(DataError, match=r"rows.jsonl: changed since the unfinished run read it"):
        curate(read(recipe))
    rows.write_bytes(content)  # the same again, though written later
    assert curate(read(recipe)).run.attempts == 2


def test_what_no_decision_hangs_on_may_change(recipe: Path) -> None:
    interrupted(recipe, signal.SIGKILL)
    overrides = ["shout.on_error='quarantine'", "length.max_failures=0.5"]
    plan = read(recipe, [*overrides, "length.timeout_seconds=9"])
    assert curate(plan, workers=3, batch_rows=7, memory=2**26).run.attempts == 2


def test_other_commands_do_not_touch_unfinished_work(recipe: Path) -> None:
    interrupted(recipe, signal.SIGKILL)
    out = recipe.with_name("out")
    ended = run(*COMMAND, "dedup", recipe.with_name("rows.jsonl"), "-o", out)
    assert "holds the work of an unfinished run" in complaint(2, ended)
    out.mkdir()
    assert f"`{out}` exists already" in complaint(2, run(*COMMAND, "run", "--quiet", recipe))
    out.rmdir()
    assert curate(read(recipe)).run.attempts == 2


def test_a_row_at_which_a_run_stopped_is_asked_about_again(recipe: Path) -> None:
    """Whoever goes on has mended what failed: here a marker of the step says that it was."""
    rows = [chat(f"What is {row}?", f"It is {row}, as everybody knows.") for row in range(400)]
    rows[300] = chat("What is it?", f"It is the {TRIGGER}, as everybody knows.")
    write_rows(recipe.with_name("rows.jsonl"), rows)
    marker = recipe.with_name("marker")
    step = {"use": "odd_plugin.odd", "how": "killed-once", "marker": str(marker)}
    path = written(recipe.parent, [{"use": "odd_plugin.shout"}, step | {"timeout_seconds": 9}])
    curate(read(path), recipe.with_name("whole"))
    marker.unlink()
    bad = written(recipe.parent, [{"use": "odd_plugin.shout"}, step | {"how": "raise"}])
    with pytest.raises(StepError, match=r"rows.jsonl:301: .*no such word"):
        curate(read(bad), batch_rows=50, journal_seconds=0)
    with pytest.raises(StepError, match=r"rows.jsonl:301: .*no such word"):
        curate(read(bad), batch_rows=50)
    journal = recipe.with_name("out.partial") / "journal"
    assert standing(journal, journal.with_name("rows")).commits > 5


def test_rows_that_failed_are_asked_about_again_if_they_were_too_many(recipe: Path) -> None:
    """They are no part of what is done: a server that was down is up again when a run goes on."""
    rows = [chat(f"What is {row}?", f"It is {row}, as everybody knows.") for row in range(400)]
    for bad in range(100, 121):
        rows[bad] = chat(f"What is {bad}?", f"It is {TRIGGER} {bad}, as everybody knows.")
    write_rows(recipe.with_name("rows.jsonl"), rows)
    step = {"use": "odd_plugin.odd", "how": "raise", "on_error": "quarantine"}
    path = written(recipe.parent, [{"use": "odd_plugin.shout"}, step])
    with pytest.raises(StepError, match="21 of 400 rows failed"):
        curate(read(path), batch_rows=20, journal_seconds=0)
    place = recipe.with_name("out.partial")
    journal = standing(place / "journal", place / "rows")
    assert journal.end == (place / "journal").stat().st_size
    assert journal.spooled == (place / "rows").stat().st_size
    outcome = curate(read(path, ["odd.max_failures=0.06"]))
    assert outcome.run.attempts == 2
    assert outcome.report.quarantined == 21
    curate(read(path, ["odd.max_failures=0.06"]), recipe.with_name("whole"))
    assert contents(recipe.with_name("whole")) == contents(recipe.with_name("out"))


def test_a_fitted_step_and_a_choice_are_not_asked_for_again(recipe: Path) -> None:
    log = recipe.with_name("log")
    steps: list[dict[str, object]] = [
        {"use": "odd_plugin.typical", "log": str(log)},
        {"use": "odd_plugin.twice"},
        {"use": "odd_plugin.echo"},
        {"use": "odd_plugin.odd", "how": "raise"},
    ]
    rows = [chat(f"What is {row}?", f"It is {row * 'x'}") for row in range(100)]
    rows[7] = chat(f"What is the {TRIGGER}?", "")
    write_rows(recipe.with_name("rows.jsonl"), rows)
    path = written(recipe.parent, steps)
    with pytest.raises(StepError):
        curate(read(path))
    assert log.read_text().count("fit 100") == 1
    with pytest.raises(StepError):
        curate(read(path))
    assert log.read_text().count("fit 100") == 1


def test_an_unfinished_run_can_be_looked_at(recipe: Path) -> None:
    interrupted(recipe, signal.SIGKILL)
    place = recipe.with_name("out.partial")
    found = standing(place / "journal", place / "rows")
    assert found.plan is not None
    assert found.plan.inputs[0][0] == str(recipe.with_name("rows.jsonl"))
    assert json.loads(json.dumps(found.plan.recipe))["step"][0]["use"] == "odd_plugin.shout"
    assert standing(place / "nothing", place / "rows").plan is None

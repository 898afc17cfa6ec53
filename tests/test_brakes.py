"""A run that would remove too much stops, publishes nothing, and shows what it was about to do."""

import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Run, chat, read_rows, write_rows
from curatekit.brakes import Brake, BrakeError
from curatekit.run import deduplicate
from curatekit.settings import Settings

WORDS = ("walk", "river", "stone", "bridge", "boat", "willow", "heron", "reed", "mill", "meadow")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(number: int) -> str:
    """A text that is like no other, and has no number in it."""
    name = "".join(chr(ord("a") + int(digit)) for digit in f"{number:04}")
    return " ".join(f"{word}{name}" for word in WORDS)


def near(number: int) -> str:
    """A near-duplicate of a text, and of no other."""
    return f"{text(number).upper()}!"


def rows(*texts: str, **fields: object) -> Iterator[dict[str, object]]:
    return ({"text": one, **fields} for one in texts)


def stopped(*files: Path, **options: object) -> BrakeError:
    with pytest.raises(BrakeError) as error:
        deduplicate(files, Path("out"), Settings(**options))  # type: ignore[arg-type]
    return error.value


@pytest.mark.parametrize(
    ("kept", "near_duplicates", "max_drop", "stops"),
    [
        (10, 10, 500, False),
        (10, 11, 500, True),
        (9, 10, 500, False),
        (1, 18, 0, False),
        (19, 1, 0, True),
        (20, 0, 0, False),
        (700, 300, 300, False),
        (699, 301, 300, True),
        (1, 40, 999, False),
        (1, 40, 975, True),
        (1, 40, 1000, False),
    ],
)
def test_a_run_stops_above_the_share_and_not_at_it(
    here: Path, kept: int, near_duplicates: int, max_drop: int, *, stops: bool
) -> None:
    """Every copy has its own mark, so that none is exact; 19 rows or less never stop a run."""
    fresh = [text(number) for number in range(kept)]
    copies = [near(n % kept).replace(" ", " " * (2 + n // kept), 1) for n in range(near_duplicates)]
    path = write_rows(here / "rows.jsonl", rows(*fresh, *copies))
    settings = Settings(max_drop_millis=max_drop)
    if stops:
        error = stopped(path, max_drop_millis=max_drop)
        assert error.brakes == [Brake("run", "", near_duplicates, kept + near_duplicates)]
    else:
        report = deduplicate(path, here / "out", settings).report
        assert report.removed == {"exact-duplicate": 0, "near-duplicate": near_duplicates}


def test_exact_copies_never_count(here: Path) -> None:
    """They neither stop a run, nor make the share of the others look smaller."""
    one = write_rows(here / "one.jsonl", rows(*[text(0)] * 1000))
    copies = write_rows(here / "copies.jsonl", rows(*[text(0)] * 50, source="copies"))
    report = deduplicate([one, copies], here / "one", Settings(label="source")).report
    assert report.removed == {"exact-duplicate": 1049, "near-duplicate": 0}
    fresh, nearly = [text(n) for n in range(10)], [near(n) for n in range(10)]
    half = write_rows(here / "half.jsonl", rows(*fresh, *nearly, *fresh * 100))
    more = write_rows(here / "more.jsonl", rows(*fresh, *nearly, f"{text(0)}?", *fresh * 100))
    assert deduplicate(half, here / "half").report.removed["near-duplicate"] == 10
    assert stopped(more).brakes == [Brake("run", "", 11, 21)]


@pytest.mark.parametrize(("lost", "own", "stops"), [(20, 0, True), (19, 0, False), (20, 1, False)])
def test_a_file_may_not_lose_all_its_rows(here: Path, lost: int, own: int, *, stops: bool) -> None:
    of_first = [*(text(number) for number in range(60)), *(near(n) for n in range(40, 50))]
    first = write_rows(here / "first.jsonl", rows(*of_first))
    second = write_rows(
        here / "second.jsonl",
        rows(text(0), *(near(n) for n in range(lost)), *(text(100 + n) for n in range(own))),
    )
    if stops:
        error = stopped(first, second)
        assert error.brakes == [Brake("file", str(second), lost, lost)]
        assert {case.decision.file for case in error.sample} == {str(second)}
        assert f"near-dedup removes all {lost} rows of `{second}`" in error.message
    else:
        deduplicate([first, second], here / "out")


def test_a_label_may_not_lose_all_its_rows(here: Path) -> None:
    """Not even a single one; a label whose rows are all exact copies loses nothing by that."""
    path = write_rows(
        here / "rows.jsonl",
        [
            *rows(*(text(n) for n in range(30)), label="walks"),
            *rows(near(3), near(7), text(2), label="boats"),
            *rows(text(4), near(9), label=1.5),
            *rows(text(1), label="copies"),
            *rows(near(8), label=None),
            *rows(near(11)),
        ],
    )
    report = deduplicate(path, here / "unasked").report
    assert report.labels == []
    error = stopped(path, label="label")
    assert error.brakes == [Brake("label", "1.5", 1, 1), Brake("label", "boats", 2, 2)]
    assert [case.decision.row for case in error.sample] == [34]
    assert "the only row with label `1.5` and all 2 rows with label `boats`" in error.message
    assert error.hint is not None
    assert "`--alike each-role --also label` keeps rows apart" in error.hint
    settings = Settings(label="label", alike="each-role", also=("label",))
    report = deduplicate(path, here / "apart", settings).report
    assert [label["label"] for label in report.labels] == ["walks", "boats", "1.5", "copies"]
    report = deduplicate(
        path, here / "anyway", Settings(label="label", max_drop_millis=1000)
    ).report
    assert report.labels[0] == {
        "label": "walks",
        "kept": 30,
        "exact_duplicates": 0,
        "near_duplicates": 0,
    }


def test_nothing_is_published_and_a_former_run_stays(here: Path) -> None:
    path = write_rows(here / "rows.jsonl", rows(*(f"{text(0)}{'!' * n}" for n in range(30))))
    stopped(path)
    assert [entry.name for entry in here.iterdir()] == ["rows.jsonl"]
    deduplicate(path, here / "out", Settings(method="exact"))
    before = (here / "out/run.json").read_bytes()
    with pytest.raises(BrakeError):
        deduplicate(path, here / "out", force=True)
    assert (here / "out/run.json").read_bytes() == before
    assert {entry.name for entry in here.iterdir()} == {"rows.jsonl", "out"}


def test_the_sample_is_of_removed_rows_with_their_witnesses(here: Path) -> None:
    texts = [*(text(n) for n in range(20)), *(near(n) for n in range(20)), f"{text(0)}!"]
    path = write_rows(here / "rows.jsonl", rows(*texts))
    lines = path.read_bytes().splitlines()
    error = stopped(path)
    found = [case.decision.row for case in error.sample]
    assert found == [23, 30, 37]
    for case in error.sample:
        assert case.decision.witness
        assert case.row == lines[case.decision.row]
        assert case.witness == lines[case.decision.witness.row]
        assert [(one.row, one.other) for one in case.texts] == [
            (texts[case.decision.row], texts[case.decision.witness.row])
        ]
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (as a process pool would)
    assert (str(again), again.brakes, again.sample) == (str(error), error.brakes, error.sample)


def test_many_files_and_labels_are_named_in_part(here: Path) -> None:
    files = [write_rows(here / "0.jsonl", rows(*(text(n) for n in range(300))))]
    for number in range(1, 6):
        texts = [near(n) for n in range(20 * number, 20 * (number + 1))]
        files.append(write_rows(here / f"{number}.jsonl", rows(*texts, part=number)))
    error = stopped(*files, label="part", max_drop_millis=100)
    assert [brake.of for brake in error.brakes] == ["run", *["file"] * 5, *["label"] * 5]
    removed = error.message.partition("near-dedup removes ")[2].replace(f"{here}/", "")
    assert removed == (
        "100 of 400 rows (25.0 %; at most 10 % may go), all 20 rows of `1.jsonl`, all 20 rows of "
        "`2.jsonl`, all 20 rows of `3.jsonl`, all rows of 2 more files, all 20 rows with label "
        "`1`, all 20 rows with label `2`, all 20 rows with label `3` and all rows of 2 more labels"
    )


def test_a_long_label_is_named_in_part(here: Path) -> None:
    path = write_rows(here / "rows.jsonl", [*rows(text(0)), *rows(near(0), label="x" * 1000)])
    assert f"with label `{'x' * 60} …`" in stopped(path, label="label").message


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"alike": "whole"}, "`--alike consensus` keeps rows apart that only share a template"),
        ({"numbers": "alike"}, "`--numbers distinct` keeps rows apart that differ in a number"),
        ({}, "a higher `--threshold` removes less"),
    ],
)
def test_the_hint_names_what_may_help(here: Path, options: dict[str, str], remedy: str) -> None:
    texts = [f"{text(n)} {'tea ' * 20}" for n in (1, 2)]
    said = [f"{one}{'!' * n}" for one in texts for n in range(15)]
    path = write_rows(here / "chats.jsonl", (chat(one, one) for one in said))
    error = stopped(path, **options)
    assert error.hint == f"if that is right, `--max-drop 1` goes on; if not, {remedy}"


def test_the_command_shows_a_sample_and_how_to_go_on(run: Run, here: Path) -> None:
    texts = [*(text(n) for n in range(10)), *(near(n) for n in range(10)), f"{text(0)}?"]
    write_rows(here / "rows.jsonl", rows(*texts))
    result = run("dedup", "rows.jsonl", "-o", "out", "--max-drop", "0.4")
    assert (result.returncode, result.stdout) == (6, "")
    *_, error, hint = result.stderr.splitlines()
    assert error == (
        "error: nothing is written: exact copies aside, near-dedup removes 11 of 21 rows "
        "(52.3 %; at most 40 % may go)"
    )
    assert hint.startswith("  hint: if that is right, `--max-drop 1` goes on; if not, ")
    row = "row 15 (rows.jsonl:16): near-duplicate of row 5 (rows.jsonl:6), 6 of 6 shingles = 1.000"
    assert row in result.stderr.splitlines()
    assert "[-WALKAAAF RIVERAAAF" in result.stderr
    quiet = run("dedup", "rows.jsonl", "-o", "out", "--max-drop", "0.4", "--quiet")
    assert (quiet.returncode, quiet.stdout) == (6, "")
    assert quiet.stderr.splitlines() == [error, hint]
    assert not Path("out").exists()
    assert run("dedup", "rows.jsonl", "-o", "out", "--max-drop", "1").returncode == 0
    assert len(read_rows(Path("out/kept.jsonl"))) == 10


def test_json_tells_a_program_why_a_run_stopped(run: Run, here: Path) -> None:
    write_rows(here / "rows.jsonl", rows(*(f"{text(0)}{'!' * n}" for n in range(30))))
    result = run("dedup", "rows.jsonl", "-o", "out", "--json", "--quiet")
    assert result.returncode == 6
    told = json.loads(result.stdout)
    assert told.keys() == {"brakes", "sample", "report"}
    assert told["brakes"] == [{"of": "run", "name": "", "removed": 29, "entered": 30}]
    assert [decision["row"] for decision in told["sample"]] == [5, 15, 25]
    assert told["report"]["removed"]["near-duplicate"] == 29
    assert re.match("error: nothing is written", result.stderr)

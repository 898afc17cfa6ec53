"""What a recipe does to rows: each kind of step, in the order of the recipe."""

import json
import random
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import COMMAND, chat, write_rows
from curatekit.built_in import Sample, SampleOptions
from curatekit.curate import curate
from curatekit.formats import TEXT
from curatekit.recipe import read
from curatekit.records import COUNTS, Batch
from recipes import carried_out, curated, stopped, write_recipe
from running import complaint, run

FREE = {"max_drop_share": 1.0}
"""No brakes: the rows of a test are few."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def said(user: str, assistant: str = "So it is, and so it was before.") -> dict[str, Any]:
    return chat(user, assistant)


def users(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["messages"][0]["content"] for line in lines]


def events(decision: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["step"], event["action"]) for event in decision["events"]]


def test_a_recipe_without_steps_copies_what_is_good(folder: Path) -> None:
    rows = [b' {"messages": [] , "n":1.0}\r', b"{", b"[]", b'{"messages": 3}', b'{"messages":[]}']
    write_rows(folder / "rows.jsonl", rows)
    report, out = curated(write_recipe(folder, []))
    assert out.kept == [rows[0], rows[4]]
    assert out.fates() == ["kept", "invalid-json", "not-an-object", "wrong-type", "kept"]
    assert out.quarantined == rows[1:4]
    assert out.rows() == rows
    assert report.unreadable == {"invalid-json": 1, "not-an-object": 1, "wrong-type": 1}
    size = (folder / "out/kept.jsonl").stat().st_size
    assert out.report["written"]["kept.jsonl"]["bytes"] == size


def test_rewrite(folder: Path) -> None:
    """A normalizer changes texts and no other byte; what is removed stays as it was read."""
    row = b'{"id": 12345678901234567890, "messages" : [ {"role":"user","content":"a\\u0041"}]}'
    short = json.dumps(said("bc", "")).encode()
    write_rows(folder / "rows.jsonl", [row, short])
    steps: list[dict[str, Any]] = [
        {"use": "odd_plugin.shout"},
        {"use": "keep-if", "column": "chars", "at_least": 2},
    ]
    _, out = curated(write_recipe(folder, steps))
    assert out.kept == [row.replace(b'"a\\u0041"', b'"AA"'), json.dumps(said("BC", "")).encode()]
    assert [events(one) for one in out.decisions] == [[("shout", "changed")]] * 2
    steps[1]["at_least"] = 4
    _, out = curated(write_recipe(folder, steps, brakes=FREE), force=True)
    assert (out.kept, out.removed) == ([], [row, short])


def test_check(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [said("one"), said("two", ""), said("three")])
    report, out = curated(write_recipe(folder, [{"use": "odd_plugin.short"}]))
    assert users(out.kept) == ["one", "three"]
    (decision,) = out.decisions
    assert (decision["step"], decision["reason"], decision["evidence"]) == (
        "short",
        "too-short",
        "3 characters",
    )
    assert report.steps[0].removed == {"too-short": 1}


def test_a_filter_can_flag_instead(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [said("one"), said("two", ""), said("three")])
    steps: list[dict[str, Any]] = [
        {"use": "odd_plugin.short", "mode": "flag", "id": "terse"},
        {"use": "keep-if", "column": "terse", "at_most": 0},
    ]
    report, out = curated(write_recipe(folder, steps))
    assert out.fates() == ["kept", "too-high", "kept"]
    assert events(out.decisions[0]) == [("terse", "flagged"), ("keep-if", "removed")]
    assert report.steps[0].flagged == {"too-short": 1}
    assert np.load(folder / "out/ledger/flags/terse.npy").tolist() == [0, 1, 0]


def test_score(folder: Path) -> None:
    texts = ["", "x" * 200, "x" * 600, "x" * 2000]
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts])
    score = {"use": "odd_plugin.length", "keep_at_least": 1.5, "keep_at_most": 4.0}
    report, out = curated(write_recipe(folder, [score]))
    assert out.fates() == ["score-too-low", "score-too-low", "score-too-high", "kept"]
    first = out.decisions[0]
    assert first["evidence"] == "nothing"
    assert first["scores"] == {"length.hundreds": 0, "length.half": 0}
    step = report.steps[0]
    assert (step.outcomes, step.without_score) == ({"scored": 4}, 1)
    half = np.load(folder / "out/ledger/scores/length.half.npy")
    assert half.dtype == np.float32
    assert half[:3].tolist() == [0, 1, 3]
    assert np.isnan(half[3])


def test_a_model_that_cannot_be_asked_too_often_ends_the_run(folder: Path) -> None:
    texts = ["unheard", *(f"heard {row}" for row in range(19))]
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts])
    report, out = curated(write_recipe(folder, [{"use": "odd_plugin.length"}]))
    assert report.steps[0].outcomes == {"failed": 1, "scored": 19}
    assert out.fates() == ["kept"] * 20  # no score is no reason to drop a row
    path = write_recipe(folder, [{"use": "odd_plugin.length", "max_failures": 0.04}])
    message = complaint(5, run(*COMMAND, "run", "--quiet", "--force", path))
    assert (
        "1 of 20 rows failed, and `max_failures` is 0.04; the last: there is no answer" in message
    )


@pytest.mark.parametrize(
    ("rules", "fates"),
    [
        ({}, ["kept", "kept", "kept", "kept"]),
        ({"keep_at_least": 0.5}, ["score-too-low", "kept", "kept", "kept"]),
        ({"keep_at_most": 2.0}, ["kept", "kept", "score-too-high", "kept"]),
        ({"nan": "drop"}, ["kept", "kept", "kept", "no-score"]),
    ],
)
def test_what_scores_decide_is_up_to_the_recipe(
    folder: Path, rules: dict[str, Any], fates: list[str]
) -> None:
    texts = ["", "x" * 200, "x" * 600, "x" * 2000]
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts])
    _, out = curated(write_recipe(folder, [{"use": "odd_plugin.length", **rules}]))
    assert out.fates() == fates


def test_a_step_gets_the_columns_that_it_needs(folder: Path) -> None:
    """In the same stage, and in another one, where rows in between are gone."""
    texts = [f"{'x ' * size} is what row {size} says" for size in (0, 100, 10, 300, 200)]
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts])
    length, needy = {"use": "odd_plugin.length"}, {"use": "odd_plugin.needy", "least": 0.8}
    for between in ([], [{"use": "exact-dedup"}], [{"use": "limit", "rows": 4}]):
        path = write_recipe(folder, [length, *between, needy], brakes=FREE)
        _, out = curated(path, force=True)
        assert out.fates()[:4] == ["low", "kept", "low", "kept"]


def test_generate(folder: Path) -> None:
    rows = [said("Why?"), said("Because."), said("misfit?"), said("Who?"), said("Why?", "y" * 40)]
    write_rows(folder / "rows.jsonl", rows)
    steps: list[dict[str, Any]] = [
        {"use": "odd_plugin.echo"},
        {"use": "odd_plugin.short"},
        {"use": "exact-dedup"},
    ]
    report, out = curated(write_recipe(folder, steps, brakes=FREE))
    assert (report.rows, report.generated) == (5, 5)
    assert report.kept + report.removed + report.quarantined == 10
    made = [one for one in out.decisions if "parent" in one["events"][0]]
    assert [one["row"] for one in made] == [5, 6, 7, 8, 9]
    assert [one["events"][0]["parent"] for one in made] == [0, 2, 2, 3, 4]
    assert [one.get("reason") for one in made] == [
        "too-short",
        "too-short",
        "missing-field",
        *["too-short"] * 2,
    ]
    assert "file" not in made[0]
    assert out.quarantined == [b'{"no": "messages"}']
    assert json.loads(out.removed[0])["messages"][0]["content"] == "Again: Why?"


def test_generated_rows_are_deduplicated_and_rewritten(folder: Path) -> None:
    rows = [said("Shall we go to the river today, or to the hills?"), said("No.")]
    write_rows(
        folder / "rows.jsonl",
        [*rows, said("Shall we go to the river today, or to the hills?", "no")],
    )
    steps: list[dict[str, Any]] = [
        {"use": "odd_plugin.echo"},
        {"use": "odd_plugin.shout"},
        {"use": "near-dedup"},
    ]
    report, out = curated(write_recipe(folder, steps))
    assert users(out.kept)[-1] == "AGAIN: SHALL WE GO TO THE RIVER TODAY, OR TO THE HILLS?"
    last = out.decisions[-1]
    assert (last["row"], last["reason"], last["witness"]["row"]) == (4, "exact-duplicate", 3)
    assert events(last) == [("echo", "generated"), ("shout", "changed"), ("near-dedup", "removed")]
    assert (report.generated, report.steps[2].removed["exact-duplicate"]) == (2, 1)


def test_select(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [said(f"row {row}") for row in range(12)])
    report, out = curated(write_recipe(folder, [{"use": "odd_plugin.twice"}]))
    assert (report.kept, report.removed) == (10, 2)
    assert out.kept.count(out.kept[1]) == 2
    assert len(out.kept) == 10 + 5
    removed = [one for one in out.decisions if one["state"] == "removed"]
    assert [(one["row"], one["reason"]) for one in removed] == [(4, "fifth"), (9, "fifth")]


def test_fit(folder: Path) -> None:
    """Called once, whatever the workers, with the rows that reach the step."""
    rows = [said("gone", ""), *(said("x" * size) for size in range(100, 400))]
    write_rows(folder / "rows.jsonl", rows)
    for workers in (1, 2):
        log = folder / f"log-{workers}"
        typical = {"use": "odd_plugin.typical", "log": str(log)}
        path = write_recipe(folder, [{"use": "odd_plugin.short"}, typical], brakes=FREE)
        report, out = curated(path, workers=workers, batch_rows=10, force=True)
        assert log.read_text().splitlines().count("fit 300 1") == 1
        assert report.steps[1].removed == {"too-long": 150}
        assert out.fates()[:2] == ["too-short", "kept"]


def test_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(folder / "rows.jsonl", [said("one")])
    log = folder / "log"
    path = write_recipe(folder, [{"use": "odd_plugin.typical", "log": str(log)}])
    monkeypatch.setenv("CURATEKIT_PLUGINS", "text")
    curated(path)
    assert log.read_text().splitlines()[0] == "open False [] 1"
    log.unlink()
    monkeypatch.setenv("CURATEKIT_PLUGINS", "llm")
    curate(read(path), is_dry=True)
    assert log.read_text().splitlines()[0] == "open True ['openai'] 1"


def test_close(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [said(f"row {row}") for row in range(50)])
    log = folder / "log"
    path = write_recipe(folder, [{"use": "odd_plugin.typical", "log": str(log)}], brakes=FREE)
    curated(path, workers=2, batch_rows=1)
    said_so = log.read_text().splitlines()
    assert said_so.count("close") == sum(line.startswith("open") for line in said_so)


def test_dedup_sees_rows_as_they_now_are(folder: Path) -> None:
    rows = [said("one two three four"), said("ONE TWO THREE FOUR"), said("another thing to say")]
    write_rows(folder / "rows.jsonl", rows)
    exact = {"use": "exact-dedup"}
    _, out = curated(write_recipe(folder, [exact]))
    assert out.fates() == ["kept", "kept", "kept"]
    _, out = curated(write_recipe(folder, [{"use": "odd_plugin.shout"}, exact]), force=True)
    assert out.fates() == ["kept", "exact-duplicate", "kept"]
    assert out.removed == [json.dumps(rows[1]).encode()]
    decision = out.decisions[1]
    assert decision["witness"] == {"row": 0, "file": str(folder / "rows.jsonl"), "line": 1}


def test_dedup_sees_only_rows_that_are_left(folder: Path) -> None:
    rows = [
        said("one", "x"),
        said("one", "x"),
        said("a longer text, two"),
        said("a longer text, two"),
    ]
    write_rows(folder / "rows.jsonl", rows)
    path = write_recipe(folder, [{"use": "odd_plugin.short"}, {"use": "exact-dedup"}], brakes=FREE)
    report, out = curated(path)
    assert out.fates() == ["too-short", "too-short", "kept", "exact-duplicate"]
    assert report.steps[1].rows == 2


def test_rows_that_are_read_by_a_deduplication_first_are_set_aside_too(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [said("a"), b"{", said("a")])
    report, out = curated(write_recipe(folder, [{"use": "near-dedup"}]))
    assert out.fates() == ["kept", "invalid-json", "exact-duplicate"]
    assert (report.unreadable, report.steps[0].rows) == ({"invalid-json": 1}, 2)


def test_keep_if(folder: Path) -> None:
    rows = [
        {"text": "a", "lang": "en", "n": 3},
        {"text": "b", "lang": "de", "n": 1.5},
        {"text": "c", "lang": None, "n": True},
        {"text": "d", "n": "3"},
        {"text": "e", "lang": "fr", "n": 9},
    ]
    write_rows(folder / "rows.jsonl", rows)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        (
            {"field": "lang", "one_of": ["en", "de"]},
            ["kept", "kept", "missing", "missing", "other-value"],
        ),
        (
            {"field": "lang", "one_of": ["en"], "missing": True},
            ["kept", "other-value", "kept", "kept", "other-value"],
        ),
        ({"field": "n", "at_least": 2}, ["kept", "too-low", "other-value", "other-value", "kept"]),
        (
            {"field": "n", "at_least": 2, "at_most": 3.5},
            ["kept", "too-low", "other-value", "other-value", "too-high"],
        ),
        (
            {"field": "n", "one_of": [3, True]},
            ["kept", "other-value", "kept", "other-value", "other-value"],
        ),
    ]
    for options, fates in cases:
        path = write_recipe(folder, [{"use": "keep-if", **options}])
        assert curated(path, force=True)[1].fates() == fates, options


def test_sample(folder: Path) -> None:
    """The same rows each time; a smaller sample is part of a larger one; each row as often."""
    write_rows(folder / "rows.jsonl", [{"text": str(row)} for row in range(1000)])

    def sample(**options: object) -> set[bytes]:
        path = write_recipe(folder, [{"use": "sample", **options}])
        return set(curated(path, force=True)[1].kept)

    whole = sample(count=400)
    assert len(whole) == 400
    assert sample(share=0.1) < whole
    assert len(sample(share=0.1)) == 100
    assert sample(count=2000) == sample(share=1.0)
    other = sample(count=400, seed=1)
    assert 100 < len(whole & other) < 220  # 160 by chance


def test_a_sample_is_that_of_the_least_hashes() -> None:
    """By splitmix64 in plain Python; over more rows than are hashed at a time, in any order."""
    chance = random.Random(1)
    rows = chance.sample(range(10**6), 300_000)
    mask = 2**64 - 1

    def hashed(row: int, seed: int) -> int:
        golden = 0x9E3779B97F4A7C15
        mixed = (row + 1) * golden & mask ^ seed * golden & mask
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & mask
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & mask
        return mixed ^ mixed >> 31

    for seed in (0, 7):
        ranked = sorted(rows, key=lambda row: hashed(row, seed))
        for count in (0, 1, 30_000, 299_999, 300_000):
            step = Sample(SampleOptions(count=count, seed=seed))
            chosen = step.select({"row": np.array(rows, np.uint64)})
            assert set(compress(rows, chosen)) == set(ranked[:count])


def test_a_sample_is_rounded_down_from_what_is_written(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [{"text": str(row)} for row in range(100)])
    _, out = curated(write_recipe(folder, [{"use": "sample", "share": 0.29}]))
    assert len(out.kept) == 29


def test_two_selectors_multiply_copies(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [said(f"row {row}") for row in range(4)])
    steps = [{"use": "odd_plugin.often", "id": name} for name in ("one", "two")]
    report, out = curated(write_recipe(folder, steps))
    assert (report.kept, len(out.kept)) == (4, 4 * 256 * 256)


def test_keep_if_takes_a_score_for_what_is_meant(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [{"text": "x" * size} for size in (10, 100)])
    for options, fates in (
        ({"at_most": 0.1}, ["kept", "too-high"]),
        ({"one_of": [1]}, ["other-value", "kept"]),
        ({"at_least": 0.1}, ["kept", "kept"]),
    ):
        keep = {"use": "keep-if", "column": "length.hundreds", **options}
        path = write_recipe(folder, [{"use": "odd_plugin.length"}, keep])
        assert curated(path, force=True)[1].fates() == fates


def test_keep_if_reads_numbers_of_any_length(folder: Path) -> None:
    rows = [b'{"text": "", "n": %s}' % (b"1" * 6000), b'{"text": "", "n": 1}']
    write_rows(folder / "rows.jsonl", rows)
    _, out = curated(write_recipe(folder, [{"use": "keep-if", "field": "n", "at_most": 5}]))
    assert out.fates() == ["too-high", "kept"]


def test_rows_that_grow_too_long_are_set_aside_by_what_made_them_so(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [{"text": "xxxx"}, {"text": "x"}])
    steps = [{"use": "odd_plugin.double", "id": f"double-{at}"} for at in range(3)]
    path = write_recipe(folder, steps, max_line=len('{"text": "xxxxxxxx"}'))
    report, out = curated(path)
    assert (report.quarantined, out.fates()) == (1, ["too-long", "kept"])
    assert out.quarantined == [b'{"text": "xxxx"}']
    assert out.kept == [b'{"text": "xxxxxxxx"}']
    assert out.decisions[0]["step"] == "double-1"
    assert events(out.decisions[0])[1:] == [("double-1", "changed"), ("double-1", "quarantined")]


def test_a_duplicate_that_was_generated_can_be_shown(folder: Path) -> None:
    long = "Shall we go to the river today, or rather to the hills?"
    write_rows(folder / "rows.jsonl", [said(long, "a"), said(long, "b")])
    path = write_recipe(folder, [{"use": "odd_plugin.echo"}, {"use": "exact-dedup"}])
    _, out = curated(path)
    assert out.decisions[-1]["witness"] == {"row": 2}
    ended = run(*COMMAND, "show", folder / "out")
    assert b"row 3: exact-duplicate of row 2" in ended.stdout


def test_a_scorer_leaves_nothing_undecided_that_may_be_asked(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [{"text": "undecided"}])
    message = stopped(5, write_recipe(folder, [{"use": "odd_plugin.length"}]))
    assert "must return no outcome `undecided` in a run that may ask" in message


def test_a_prediction_replaces_no_result_and_no_brake_stops_it(folder: Path) -> None:
    rows = [said(f"row {row}", "" if row % 3 else "y" * 40) for row in range(30)]
    write_rows(folder / "rows.jsonl", rows)
    path = write_recipe(folder, [{"use": "odd_plugin.short"}])
    ended = run(*COMMAND, "run", "--dry-run", path)
    assert ended.returncode == 0
    assert b"note: the run would stop: nothing is written: step `short` drops 20" in ended.stdout
    report = curate(read(path), is_dry=True).report
    assert (report.removed, len(report.brakes)) == (20, 1)
    (folder / "out.dry-run" / "kept.jsonl").touch()
    message = complaint(2, run(*COMMAND, "run", "--quiet", "--dry-run", path))
    assert "out.dry-run` is the output of a run, so no prediction goes there" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[step]\nuse = "limit"\nrows = 1', "each step is a table of its own, under `[[step]]`"),
        ('[[step]]\nuse = "odd_plugin.length"\nid = "chars"', "makes a column `chars`, as what"),
        ('[[step]]\nuse = "limit"\nid = "read"\nrows = 1', "`read` is what reads the rows"),
        (f'[[step]]\nuse = "limit"\nrows = {"1" * 5000}', "recipe.toml: "),
        (f"x = {'[' * 3000}", "recipe.toml: "),
        ("max_line = 1000000000000000000000000000000", "`max_line`: "),
        ('[[step]]\nuse = "near-dedup"\nthreshold = 0.0004', "a threshold is above 0"),
        ('[[step]]\nuse = "keep-if"\nfield = "a"\nat_least = nan', "a limit is a number"),
        ('[[step]]\nuse = "odd_plugin.length"\nkeep_at_least = nan', "a limit of scores is a"),
    ],
)
def test_slips_in_a_recipe_are_told(folder: Path, text: str, problem: str) -> None:
    head = write_recipe(folder, []).read_text()
    path = folder / "recipe.toml"
    path.write_bytes(b"\xef\xbb\xbf" + f"{head}{text}\n".encode())
    ended = run(*COMMAND, "recipe", "check", path)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert problem in ended.stderr.decode()


def test_limit_and_sort_by(folder: Path) -> None:
    texts = ["ccc", "a", "bb", "eeeee", "dd"]
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts])
    path = write_recipe(folder, [{"use": "limit", "rows": 2}])
    assert [json.loads(line)["text"] for line in curated(path)[1].kept] == texts[:2]
    steps: list[dict[str, Any]] = [
        {"use": "sort-by", "column": "chars"},
        {"use": "limit", "rows": 4},
    ]
    path = write_recipe(folder, steps)
    _, out = curated(path, force=True)
    assert [json.loads(line)["text"] for line in out.kept] == ["a", "bb", "dd", "ccc"]
    steps[0]["descending"] = True
    _, out = curated(write_recipe(folder, steps), force=True)
    assert [json.loads(line)["text"] for line in out.kept] == ["eeeee", "ccc", "bb", "dd"]
    assert json.loads(out.removed[0])["text"] == "a"


def test_sorting_by_a_score_puts_rows_without_one_last(folder: Path) -> None:
    texts = ["x" * size for size in (200, 2000, 100)]
    write_rows(folder / "rows.jsonl", [{"text": text} for text in texts])
    for descending, order in ((False, [100, 200, 2000]), (True, [200, 100, 2000])):
        by = {"use": "sort-by", "column": "length.hundreds", "descending": descending}
        steps: list[dict[str, Any]] = [{"use": "odd_plugin.length"}, by]
        _, out = curated(write_recipe(folder, steps), force=True)
        assert [len(json.loads(line)["text"]) for line in out.kept] == order


def test_a_brake_stops_a_step_that_drops_too_much(folder: Path) -> None:
    rows = [said(f"row {row}", "" if row % 3 else "y" * 40) for row in range(30)]
    write_rows(folder / "rows.jsonl", rows)
    message = stopped(6, write_recipe(folder, [{"use": "odd_plugin.short"}]))
    assert "step `short` drops 20 of 30 rows (66.7 %, at most 50 % may go)" in message
    assert "set `max_drop_share` of `[brakes]` to 0.67" in message
    path = write_recipe(folder, [{"use": "odd_plugin.short"}], brakes={"max_drop_share": 0.67})
    assert carried_out(path).report["removed"] == 20


def test_a_brake_stops_a_step_that_drops_all_rows_with_a_label(folder: Path) -> None:
    rows = [said(f"row {row}") | {"lang": "en"} for row in range(30)]
    rows += [said("row", "") | {"lang": lang} for lang in ("de", "en", "de", "fr")]
    write_rows(folder / "rows.jsonl", rows)
    steps = [{"use": "odd_plugin.short"}]
    message = stopped(6, write_recipe(folder, steps, brakes={"label": "lang"}))
    assert (
        "step `short` drops all 2 rows with label `de` and the only row with label `fr`" in message
    )
    assert carried_out(write_recipe(folder, steps)).report["removed"] == 4


def test_rows_that_were_made_since_do_not_hide_what_a_step_dropped(folder: Path) -> None:
    rows = [said("Why, and what for?", "" if row % 3 else "y" * 40) for row in range(30)]
    write_rows(folder / "rows.jsonl", rows)
    steps = [{"use": "odd_plugin.short"}, {"use": "odd_plugin.echo"}]
    assert "drops 20 of 30 rows" in stopped(6, write_recipe(folder, steps))


def test_only_the_first_rows(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [said(f"row {row}") for row in range(9)])
    out = carried_out(write_recipe(folder, [{"use": "odd_plugin.shout"}]), "--rows", "4")
    assert users(out.kept) == ["ROW 0", "ROW 1", "ROW 2", "ROW 3"]
    assert (out.report["rows"], out.report["files"][0]["rows"]) == (4, 4)


def test_options_can_be_set_on_the_command_line(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [{"text": text} for text in ("a", "bb", "ccc")])
    path = write_recipe(folder, [{"use": "limit", "rows": 1}])
    assert len(carried_out(path, "--set", "limit.rows=2").kept) == 2


def test_a_recipe_that_is_wrong_is_refused_with_all_its_mistakes(folder: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"use": "keep-if", "field": "a"},
        {"use": "sort-by", "column": "length"},
        {"use": "near-dedup"},
        {"use": "sample", "count": 1, "share": 0.5},
        {"use": "odd_plugin.needy"},
    ]
    path = write_recipe(folder, steps, format="chat", field="x")
    ended = run(*COMMAND, "run", path)
    told = ended.stderr.decode()
    assert ended.returncode == 2
    assert "step[0] `keep-if`: nothing is asked" in told
    assert "step[3] `sample`: one of `count` and `share`" in told
    assert "`field` reads every row as text, so `format` cannot be `chat`" in told
    path = write_recipe(folder, [steps[1], steps[2], steps[4]])
    ended = run(*COMMAND, "run", path)
    told = ended.stderr.decode()
    assert "step[0] `sort-by`: asks for the column `length`, which is not there" in told
    assert "step[1] `near-dedup`: comes after `sort-by`" in told
    assert "step[2] `odd_plugin.needy`: asks for the column `length.half`" in told
    assert told.count("error: ") == 3


def test_the_counts_are_those_of_the_core() -> None:
    batch = Batch.of([{"text": "one two"}], TEXT)
    assert [int(batch.column(name)[0]) for name in COUNTS] == [7, 2, 1, 6, 0, 1, 0]
    with pytest.raises(KeyError):
        batch.column("nothing")


STEPS = st.sampled_from(
    [
        {"use": "odd_plugin.shout"},
        {"use": "odd_plugin.short"},
        {"use": "odd_plugin.short", "mode": "flag"},
        {"use": "odd_plugin.length", "keep_at_least": 0.1},
        {"use": "odd_plugin.echo"},
        {"use": "odd_plugin.twice"},
        {"use": "exact-dedup"},
        {"use": "near-dedup"},
        {"use": "sample", "share": 0.7},
        {"use": "limit", "rows": 9},
        {"use": "keep-if", "column": "chars", "at_least": 12},
    ]
)
LONG = "one two three four five"
TEXTS = st.sampled_from(["", "Why?", "misfit?", LONG, LONG.upper()])
ROWS = st.builds(chat, TEXTS, TEXTS) | st.sampled_from([b"{", b'{"messages": 3}'])


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(ROWS, max_size=14), steps=st.lists(STEPS, max_size=4))
def test_every_row_has_one_fate(
    tmp_path_factory: pytest.TempPathFactory, rows: list[object], steps: list[dict[str, Any]]
) -> None:
    """Whatever the recipe: rows in and rows generated are kept, removed or quarantined, once."""
    folder = tmp_path_factory.mktemp("run")
    write_rows(folder / "rows.jsonl", rows)
    named = [step | {"id": f"step-{at}"} for at, step in enumerate(steps)]
    report, out = curated(write_recipe(folder, named, brakes=FREE), workers=1)
    assert report.rows == len(rows)
    assert report.rows + report.generated == report.kept + report.removed + report.quarantined
    states = [one["state"] for one in out.decisions]
    assert states.count("removed") == report.removed == len(out.removed)
    assert states.count("quarantined") == report.quarantined == len(out.quarantined)
    assert len(set(out.kept)) <= report.kept <= len(out.kept)
    numbers = [one["row"] for one in out.decisions]
    assert numbers == sorted(set(numbers))
    for step in report.steps:
        gone = sum(step.removed.values()) + sum(step.quarantined.values())
        assert gone <= step.rows + step.generated

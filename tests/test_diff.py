"""What two runs decide differently, worked out again from their decisions, by plain Python."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import Struct, to_builtins

from conftest import COMMAND, Run, chat, write_rows
from curatekit.compare import NOT_MADE, Compared, Fate, compare
from curatekit.curate import DRY, curate
from curatekit.diff import difference, opened
from curatekit.errors import CurateError
from curatekit.folder import RunFolder
from curatekit.ledger import Ledger
from curatekit.output import Packing
from curatekit.recipe import read
from curatekit.run import deduplicate
from curatekit.settings import Settings
from recipes import write_recipe
from running import run as ended
from test_explain import rows
from test_same_recipe import STEPS

AGAIN: dict[str, object] = {"use": "odd_plugin.echo", "id": "again"}
RECIPES: dict[str, Sequence[dict[str, object]]] = {
    "rich": STEPS,
    "same": STEPS,
    "nothing": [],
    "renamed": [STEPS[0], {"use": "near-dedup", "id": "dedup", "threshold": 0.7}, *STEPS[3:]],
    "stricter": [*STEPS[:4], {"use": "odd_plugin.length", "keep_at_least": 0.3}, *STEPS[5:]],
    "twice-made": [STEPS[1], AGAIN, {"use": "sample", "share": 0.5}],
    "late-made": [STEPS[2], STEPS[1], {"use": "odd_plugin.shout"}, AGAIN],
    "dropped-between": [STEPS[1], {"use": "sample", "share": 0.5}, AGAIN],
}
PAIRS = list(combinations(RECIPES, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every recipe, carried out over the same rows, and predicted."""
    folder = tmp_path_factory.mktemp("diff")
    write_rows(folder / "rows.jsonl", rows())
    for name, steps in RECIPES.items():
        (folder / name).mkdir()
        head: dict[str, Any] = {"input": [str(folder / "rows.jsonl")]}
        recipe = write_recipe(folder / name, steps, brakes={"max_drop_share": 1.0}, **head)
        packing = Packing(removed="refer", compress="zst") if name == "stricter" else Packing()
        curate(read(recipe), folder / name / "run", workers=1, packing=packing)
        curate(read(recipe), folder / name / "run", workers=1, is_dry=True)
    return folder


class Decided(Struct):
    """What a run decided, by what its rows are: their number, or how they were made."""

    fates: dict[object, Fate]
    changed: set[object]
    rows: dict[object, int]

    @classmethod
    def read(cls, folder: Path, count: int) -> "Decided":
        """Read a run over so many rows."""
        lines = (folder / "decisions.jsonl").read_bytes().splitlines()
        found = {one["row"]: one for one in map(json.loads, lines)}
        names: dict[int, object] = {row: row for row in range(count)}
        made = Counter[object]()
        for row in sorted(row for row in found if row >= count):
            event = found[row]["events"][0]
            assert event["action"] == "generated"
            of = (event["step"], names[event["parent"]])
            names[row] = (*of, made[of])
            made[of] += 1
        fates, changed = {}, set()
        for row, name in names.items():
            one = found.get(row, {"state": "kept", "events": []})
            fates[name] = Fate(one["state"], one.get("step", ""), one.get("reason", ""))
            if any(event["action"] == "changed" for event in one["events"]):
                changed.add(name)
        return cls(fates, changed, {name: row for row, name in names.items()})


def expected(a: Decided, b: Decided, *, made: bool) -> dict[str, Any]:
    """Say what two runs decided differently."""
    names = [name for name in {**a.fates, **b.fates} if isinstance(name, tuple) == made]
    missing = Fate(NOT_MADE)
    both = {name: (a.fates.get(name, missing), b.fates.get(name, missing)) for name in names}
    decided = {
        name: pair for name, pair in both.items() if "undecided" not in {one.state for one in pair}
    }
    kept = Counter(tuple(one.state == "kept" for one in pair) for pair in decided.values())
    is_kept = {name for name, pair in both.items() if {one.state for one in pair} == {"kept"}}
    different = {name: pair for name, pair in both.items() if pair[0] != pair[1]}
    return {
        "different": {numbers(a, b, name): pair for name, pair in different.items()},
        "kinds": Counter(different.values()),
        "counts": {
            "rows": len(names),
            "same": len(names) - len(different),
            "different": len(different),
            "kept_by_both": kept[True, True],
            "kept_by_a_only": kept[True, False],
            "kept_by_b_only": kept[False, True],
            "kept_by_neither": kept[False, False],
            "undecided": len(both) - len(decided),
        },
        "changed": [
            {numbers(a, b, name) for name in some & is_kept}
            for some in (a.changed - b.changed, b.changed - a.changed)
        ],
    }


def numbers(a: Decided, b: Decided, name: object) -> tuple[int, int]:
    return a.rows.get(name, -1), b.rows.get(name, -1)


def told(found: Compared) -> dict[str, Any]:
    """Say the same of what was found."""
    pairs = [found.kinds[kind] for kind in found.kind.tolist()]
    different = dict(zip(map(tuple, found.rows.tolist()), pairs, strict=True))
    counts = [found.kind.tolist().count(kind) for kind in range(len(found.kinds))]
    assert counts == sorted(counts, reverse=True)
    return {
        "different": different,
        "kinds": Counter(dict(zip(found.kinds, counts, strict=True))),
        "counts": to_builtins(found.counts),
        "changed": [
            set(map(tuple, some.tolist()))
            for some in (found.changed_by_a_only, found.changed_by_b_only)
        ],
    }


def count(folder: Path) -> int:
    return Ledger(folder).manifest.rows


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_it_is_the_difference_of_the_decisions(folder: Path, pair: tuple[str, str]) -> None:
    runs = [folder / name / "run" for name in pair]
    a, b = (Decided.read(run, count(run)) for run in runs)
    parts = [expected(a, b, made=made) for made in (False, True)]
    for kinds in (("", ""), (DRY, ""), ("", DRY)):
        sides = (
            Ledger(run.with_name(f"{run.name}{kind}"))
            for run, kind in zip(runs, kinds, strict=True)
        )
        assert [told(one) for one in compare(next(sides), next(sides))] == parts


@pytest.mark.parametrize("pair", PAIRS[::3], ids=" ".join)
def test_what_recipes_would_decide_is_what_their_runs_decide(
    folder: Path, pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = sorted(folder.rglob("*"))
    runs = [folder / name / "run" for name in pair]
    a, b = (Decided.read(run, count(run)) for run in runs)
    one, other = (folder / name / "recipe.toml" for name in pair)
    with opened(one) as first, opened(other) as second:
        found = compare(first.ledger, second.ledger)
        assert len(list(tmp_path.iterdir())) == 2
    assert [told(part) for part in found] == [expected(a, b, made=made) for made in (False, True)]
    assert list(tmp_path.iterdir()) == []
    assert sorted(folder.rglob("*")) == before


def test_the_pairs_differ_in_every_way(folder: Path) -> None:
    total = count(folder / "rich" / "run")
    runs = {name: Decided.read(folder / name / "run", total) for name in RECIPES}
    parts = [expected(runs[a], runs[b], made=made) for a, b in PAIRS for made in (False, True)]
    assert not expected(runs["rich"], runs["same"], made=False)["different"]
    assert all(any(part["changed"][at] for part in parts) for at in (0, 1))
    states = {pair.state for part in parts for pairs in part["kinds"] for pair in pairs}
    assert states == {"kept", "removed", "quarantined", NOT_MADE}
    names = [name for one in runs.values() for name in one.fates if isinstance(name, tuple)]
    assert any(isinstance(name[1], tuple) for name in names)
    assert any(name[2] for name in names)


def test_a_run_is_like_itself(folder: Path) -> None:
    for name in ("rich", "twice-made"):
        one = RunFolder(folder / name / "run")
        found = difference(one, one)
        for part in (found.read, found.generated):
            assert part.different == ()
            assert part.counts.same == part.counts.rows > 0
            assert (part.changed_by_a_only.rows, part.changed_by_b_only.rows) == (0, 0)


@pytest.mark.parametrize("limit", [0, 1, 4])
@pytest.mark.parametrize("kinds", [("", ""), (DRY, DRY)])
def test_examples_are_what_the_folders_tell(
    folder: Path, limit: int, kinds: tuple[str, str]
) -> None:
    runs = [folder / name / "run" for name in ("rich", "stricter")]
    total = count(runs[0])
    a, b = (Decided.read(run, total) for run in runs)
    written = (folder / "rows.jsonl").read_bytes().splitlines()
    sides = [
        RunFolder(run.with_name(f"{run.name}{kind}"), needs_rows=False)
        for run, kind in zip(runs, kinds, strict=True)
    ]
    found = difference(sides[0], sides[1], limit=limit)
    assert found.read.different
    for part, made in ((found.read, False), (found.generated, True)):
        is_like = expected(a, b, made=made)["different"]
        for kind in part.different:
            assert len(kind.examples) == min(limit, kind.rows)
            assert len({(one.row, one.row_in_b) for one in kind.examples}) == len(kind.examples)
            for one in kind.examples:
                pair = tuple(-1 if row is None else row for row in (one.row, one.row_in_b))
                assert is_like[pair] == (kind.a, kind.b)
                if one.line is None:
                    assert made
                    assert one.texts or kinds[0]
                    continue
                said = json.loads(written[one.line - 1]).get("messages")
                assert list(one.texts.values()) == [turn["content"][:600] for turn in said]
    lengths = [kind for kind in found.read.different if kind.b.step == "length"]
    assert lengths or not limit
    for kind in lengths:
        assert all(_least(one.b.scores) < 0.3 for one in kind.examples)


def _least(scores: Mapping[str, float | None]) -> float:
    return min(score for score in scores.values() if score is not None)


def test_rows_that_one_of_them_did_not_look_at(folder: Path, tmp_path: Path) -> None:
    curate(read(folder / "nothing" / "recipe.toml"), tmp_path / "some", workers=1, rows=40)
    whole = folder / "nothing" / "run"
    read_, _ = compare(Ledger(whole), Ledger(tmp_path / "some"))
    assert read_.rows.tolist() == [[row, row] for row in range(40, count(whole))]
    assert {b for _, b in read_.kinds} == {Fate("absent")}


def test_what_is_undecided_is_told_so(tmp_path: Path) -> None:
    texts = [{"text": f"{'known' if row % 2 else 'new'} {'x' * row}"} for row in range(20)]
    write_rows(tmp_path / "rows.jsonl", texts)
    priced: dict[str, object] = {"use": "odd_plugin.priced", "keep_at_least": 1.0}
    path = write_recipe(tmp_path, [priced], brakes={"max_drop_share": 1.0})
    curate(read(path))
    with opened(path) as would:
        found, _ = compare(would.ledger, Ledger(tmp_path / "out"))
    assert {a for a, _ in found.kinds} == {Fate("undecided", "priced")}
    assert found.rows[:, 0].tolist() == list(range(0, 20, 2))
    counts = found.counts
    assert (counts.undecided, counts.same, counts.different) == (10, 10, 10)
    assert (counts.kept_by_a_only, counts.kept_by_b_only) == (0, 0)
    assert counts.kept_by_both + counts.kept_by_neither == 10


def test_many_rows_are_compared_piece_by_piece(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledgers = [Ledger(folder / name / "run") for name in ("rich", "twice-made")]
    whole = [told(one) for one in compare(*ledgers)]
    monkeypatch.setattr("curatekit.compare._PIECE", 7)
    assert [told(one) for one in compare(*ledgers)] == whole


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["one", "two"], "A read 1 input, and B 2 inputs"),
        (
            ["one!"],
            (
                "input 1 differs: `a.jsonl` of A (1 row, 16 bytes) is not `b0.jsonl` of B "
                "(1 row, 17 bytes)"
            ),
        ),
        (["two"], "input 1 differs: `a.jsonl` of A (hash "),
    ],
)
def test_runs_over_other_inputs_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(Path("a.jsonl"), [{"text": "one"}])
    others = [
        str(write_rows(Path(f"b{at}.jsonl"), [{"text": text}])) for at, text in enumerate(texts)
    ]
    deduplicate("a.jsonl", Path("a"), Settings())
    deduplicate(others, Path("b"), Settings())
    with pytest.raises(CurateError) as raised:
        compare(Ledger(Path("a")), Ledger(Path("b")))
    assert raised.value.message.startswith(message)
    assert raised.value.hint == (
        "only runs over the same inputs, in the same order, can be compared"
    )


def test_the_names_of_inputs_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        write_rows(Path(name), [{"text": "one"}, {"text": "one"}])
        deduplicate(name, Path(name[0]), Settings())
    found, made = compare(Ledger(Path("a")), Ledger(Path("b")))
    assert (len(found.rows), found.counts.same, made.counts.rows) == (0, 2, 0)
    assert found.rows.dtype == np.int64


def test_it_prints_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    said = [chat("why?", "because the \x1b[31mriver is long"), chat("why?", "so"), chat("x ", "y")]
    write_rows(tmp_path / "rows.jsonl", said)
    steps: list[dict[str, object]] = [{"use": "odd_plugin.echo"}, {"use": "odd_plugin.short"}]
    head = {"input": ["rows.jsonl"], "output": "out"}
    write_recipe(tmp_path, steps, **head).rename(tmp_path / "a.toml")
    white: dict[str, object] = {"use": "text.whitespace"}
    write_recipe(tmp_path, [white], **head).rename(tmp_path / "b.toml")
    made = tmp_path / "made"
    made.mkdir()
    environment = {"TMPDIR": str(made)}
    done = ended(*COMMAND, "diff", "a.toml", "b.toml", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(made.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.toml",
        "b.toml",
        "made",
        "rows.jsonl",
    ]
    told = done.stdout.decode().splitlines()
    assert told == [
        "A is a.toml, a prediction",
        "B is b.toml, a prediction",
        "3 rows: 1 decided alike, 2 differently",
        "kept by both 1, by A only 0, by B only 2, by neither 0",
        "",
        "2: removed by short, too-short → kept",
        "  row 1 (rows.jsonl:2); A: 6 characters",
        "    user  why?",
        "    assistant  so",
        "  row 2 (rows.jsonl:3); A: 3 characters",
        "    user  x",
        "    assistant  y",
        "",
        "2 rows that steps made: 0 decided alike, 2 differently",
        "kept by both 0, by A only 0, by B only 0, by neither 2",
        "",
        "2: removed by short, too-short → not made",
        "  row 3 of A; A: 11 characters",
        "  row 4 of A; A: 11 characters",
    ]
    assert run("run", "a.toml", "--quiet", "--dry-run").returncode == 0
    whole = json.loads(run("diff", "out.dry-run", "b.toml", "--json", "--limit", "0").stdout)
    assert (whole["a"]["name"], whole["a"]["is_prediction"]) == ("out.dry-run", True)
    assert whole["a"]["brakes"] == []
    assert whole["read"]["counts"]["different"] == 2
    assert whole["read"]["different"][0]["examples"] == []


def test_a_recipe_that_would_stop_says_so(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": f"row {row}"} for row in range(30)])
    write_recipe(tmp_path, [{"use": "odd_plugin.short"}], input=["rows.jsonl"])
    told = run("diff", "recipe.toml", "recipe.toml").stdout.splitlines()
    assert told[0] == "A is recipe.toml, a prediction"
    assert told[1].startswith("  the run would stop: nothing is written: step `short` drops 30")
    assert told[4:] == [
        "30 rows: 30 decided alike, 0 differently",
        "kept by both 0, by A only 0, by B only 0, by neither 30",
    ]


@pytest.mark.parametrize(
    ("side", "code", "message"),
    [
        ("nowhere", 2, "error: `nowhere` is not the output of a run"),
        ("nowhere.toml", 3, "error: nowhere.toml: no such file or directory"),
        ("bad.toml", 2, "error: bad.toml"),
    ],
)
def test_what_cannot_be_compared_is_told(
    run: Run, tmp_path: Path, side: str, code: int, message: str
) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": "one"}])
    (tmp_path / "bad.toml").write_text("inputs = []")
    assert run("dedup", "rows.jsonl", "-o", "out", "--quiet").returncode == 0
    for sides in ((side, "out"), ("out", side)):
        done = run("diff", *sides)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(message)

"""The same recipe over the same rows gives the same bytes, however it is carried out."""

import json
import os
import random
from pathlib import Path

import pytest

from conftest import COMMAND, chat, write_rows
from curatekit.curate import DRY, curate
from curatekit.recipe import read
from recipes import write_recipe
from running import contents, run

WORDS = ("walk", "river", "stone", "bridge", "Ähre", "willow", "heron", "reed", "mill", "草地", "é")
STEPS: list[dict[str, object]] = [
    {"use": "text.whitespace"},
    {"use": "odd_plugin.echo"},
    {"use": "near-dedup"},
    {"use": "odd_plugin.short", "mode": "flag"},
    {"use": "odd_plugin.length", "keep_at_least": 0.2},
    {"use": "quality.repetition"},
    {"use": "text.unicode", "form": "NFKC"},
    {"use": "odd_plugin.twice"},
    {"use": "odd_plugin.odd", "how": "raise", "on_error": "quarantine"},
    {"use": "sort-by", "column": "length.half", "descending": True},
    {"use": "sample", "share": 0.9},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same")
    chance = random.Random(7)

    def text(most: int) -> str:
        return "  ".join(chance.choices(WORDS, k=chance.randint(0, most)))

    rows: list[object] = [chat(text(6) + chance.choice("?."), text(60) + "  ") for _ in range(300)]
    trigger = chat("what", "a trigger of misbehaviour, at some length")
    rows += [*rows[50:80], b"{", b"[]", trigger]
    chance.shuffle(rows)
    write_rows(folder / "rows.jsonl", rows)
    write_recipe(folder, STEPS, brakes={"max_drop_share": 1.0})
    return folder


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, bytes]:
    curate(read(folder / "recipe.toml"), folder / "expected", workers=1, batch_rows=64)
    found = contents(folder / "expected")
    report = json.loads(found["report.json"])
    assert report["generated"] > 50
    assert report["quarantined"] == 3
    assert len(found) == 28
    did = {step["id"]: step for step in report["steps"]}
    assert all(did[name]["removed"] for name in ("near-dedup", "length", "twice", "sample"))
    assert did["whitespace"]["changed"] > 100
    return found


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("batch_rows", [1, 7, 1024, 65536])
def test_workers_and_batches_change_nothing(
    folder: Path, expected: dict[str, bytes], workers: int, batch_rows: int
) -> None:
    out = folder / f"out-{workers}-{batch_rows}"
    curate(read(folder / "recipe.toml"), out, workers=workers, batch_rows=batch_rows)
    assert contents(out) == expected


@pytest.mark.parametrize("seed", ["0", "1", "4294967295"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_seeds_of_hashes_and_locales_change_nothing(
    folder: Path, expected: dict[str, bytes], seed: str, locale: str
) -> None:
    out = folder / f"out-{seed}-{locale}"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))
    }
    environment |= {"PYTHONHASHSEED": seed, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0"}
    environment |= {"PYTHONUTF8": "0"}
    command = (*COMMAND, "run", "--quiet", folder / "recipe.toml", "--out", out)
    ended = run(*command, env=environment)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert contents(out) == expected


def test_a_dry_run_tells_bounds_where_it_may_not_ask(tmp_path: Path) -> None:
    rows = [{"text": f"{'known' if row % 4 else 'new'} {'x' * row}"} for row in range(40)]
    write_rows(tmp_path / "rows.jsonl", rows)
    steps: list[dict[str, object]] = [
        {"use": "odd_plugin.priced", "keep_at_least": 1.0},
        {"use": "odd_plugin.short"},
    ]
    path = write_recipe(tmp_path, steps, brakes={"max_drop_share": 1.0})
    real = curate(read(path)).report
    decided = decisions(tmp_path / "out")
    dry = curate(read(path), is_dry=True).report
    predicted = decisions(tmp_path / f"out{DRY}")
    assert (dry.undecided, dry.steps[0].outcomes) == (10, {"undecided": 10, "scored": 30})
    assert dry.steps[0].without_score == 0
    assert dry.kept <= real.kept <= dry.kept + dry.undecided
    for row in range(40):
        if row % 4:
            assert predicted.get(row) == decided.get(row)
        else:
            assert (predicted[row]["state"], predicted[row]["step"]) == ("undecided", "priced")
    path = write_recipe(tmp_path, [*steps, {"use": "sample", "share": 0.5}], brakes={})
    report = curate(read(path), is_dry=True).report
    assert (report.kept, report.undecided) == (0, 40 - report.removed)
    assert {one["step"] for one in decisions(tmp_path / f"out{DRY}").values()} == {
        "priced",
        "short",
        "sample",
    }


def decisions(folder: Path) -> dict[int, dict[str, object]]:
    lines = (folder / "decisions.jsonl").read_text().splitlines()
    return {one["row"]: one for one in map(json.loads, lines)}


def test_a_dry_run_predicts_every_decision(folder: Path, expected: dict[str, bytes]) -> None:
    out = folder / "dry"
    report = curate(read(folder / "recipe.toml"), out, is_dry=True).report
    assert not out.exists()
    found = contents(folder / f"dry{DRY}")
    manifest = found.pop("ledger/manifest.json")
    assert b'"of_rows": {}' in manifest
    assert report.undecided == 0
    real = json.loads(expected["report.json"])
    dry = json.loads(found.pop("report.json"))
    assert dry | {"written": {}} == real | {"written": {}}
    assert found == {name: expected[name] for name in found}
    columns = {"state", "step", "reason", "witness", "scores/length.half", "flags/short", "order"}
    assert {"decisions.jsonl", *(f"ledger/{name}.npy" for name in columns)} <= set(found)

"""All three plugins with near-deduplication, on real conversations, judged by a real model."""

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import COMMAND
from recipes import toml
from running import DATA, Output, needs_data, run

SERVER = Path(__file__).parent.parent / "plugins/curatekit-llm/tests/model_server.py"
JUDGED = 10
"""Rows that the judge reads: a small model on two cores reads about two a second."""


@pytest.fixture(scope="module")
def server() -> Any:  # noqa: ANN401 (a module)
    spec = importlib.util.spec_from_file_location("model_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(server: Any) -> Iterator[str]:  # noqa: ANN401
    with server.running() as url:
        yield url


def recipe(folder: Path, model: str) -> Path:
    files = sorted((DATA / "instruct").glob("sharegpt_*.json"))
    judge = {
        "use": "llm.rubric",
        "model": "smollm2",
        "base_url": model,
        "cache": str(folder / "llm.sqlite"),
        "max_tokens": 120,
        "max_chars": 1500,
        "concurrency": 2,
        "keep_at_least": 2,
    }
    steps: list[dict[str, object]] = [
        {"use": "text.unicode"},
        {"use": "text.whitespace"},
        {"use": "near-dedup"},
        {"use": "quality.length", "min_chars": 200},
        {"use": "quality.symbols", "mode": "flag", "id": "odd-signs"},
        {"use": "quality.repetition", "max_ngram_share": 0.3},
        {"use": "sample", "count": JUDGED},
        judge,
    ]
    lines = [f"input = {toml([str(file) for file in files])}", 'output = "unused"']
    for step in steps:
        lines += ["[[step]]", *(f"{name} = {toml(value)}" for name, value in step.items())]
    lines += ["[brakes]", "max_drop_share = 1.0"]
    path = folder / "recipe.toml"
    path.write_text("\n".join(lines))
    return path


def carried_out(path: Path, out: Path, *arguments: str) -> dict[str, bytes]:
    """Carry the recipe out; all that it wrote, but for what it took."""
    command = [*COMMAND, "run", "--quiet", str(path), "--out", str(out), *arguments]
    ended = run(*command, env=os.environ | {"OPENAI_API_KEY": ""})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    folder = out if out.exists() else out.with_name(f"{out.name}.dry-run")
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@needs_data
@pytest.mark.timeout(300)
def test_three_plugins_judge_real_conversations(server: Any, model: str, tmp_path: Path) -> None:  # noqa: ANN401
    path = recipe(tmp_path, model)
    before = carried_out(path, tmp_path / "predicted", "--dry-run")
    predicted = json.loads(before["report.json"])
    assert predicted["undecided"] == JUDGED
    assert server.tokens_made(model) == 0

    first = carried_out(path, tmp_path / "first")
    report = json.loads(first["report.json"])
    steps = {step["id"]: step for step in report["steps"]}
    assert report["rows"] > 300
    assert report["rows"] == report["kept"] + report["removed"] + report["quarantined"]
    assert predicted["kept"] <= report["kept"] <= predicted["kept"] + predicted["undecided"]
    assert steps["near-dedup"]["removed"]
    assert steps["unicode"]["changed"] + steps["whitespace"]["changed"]
    assert steps["rubric"]["rows"] == JUDGED
    outcomes = steps["rubric"]["outcomes"]
    assert set(outcomes) <= {"scored", "unparsed", "failed"}
    assert outcomes["scored"] >= JUDGED // 2
    out = Output.read(tmp_path / "first")
    judged = [one for one in out.decisions if any(e["step"] == "rubric" for e in one["events"])]
    assert len(judged) == JUDGED
    made = server.tokens_made(model)
    assert made > 0

    again = carried_out(path, tmp_path / "again", "--workers", "1")
    assert server.tokens_made(model) == made  # nothing was asked
    assert again == first
    after = carried_out(path, tmp_path / "known", "--dry-run")
    assert after["decisions.jsonl"] == first["decisions.jsonl"]

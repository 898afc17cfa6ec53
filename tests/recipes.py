"""Runs recipes in the tests: as a person does, and from Python."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conftest import COMMAND
from curatekit.curate import curate
from curatekit.recipe import read
from curatekit.recipe_report import RecipeReport
from running import Output, beside, complaint, run

ODD = Path(__file__).with_name("odd_plugin.py")
"""A plugin with steps of every kind."""
GOES_ON = (4, 5, 130)
"""Exit codes after which the same command goes on from what was done."""
RUN = (*COMMAND, "run", "--quiet")


def write_recipe(folder: Path, steps: Sequence[Mapping[str, Any]], **head: Any) -> Path:  # noqa: ANN401 (TOML)
    """Write a recipe over `rows.jsonl`, both in a folder."""
    whole: dict[str, Any] = {"input": [str(folder / "rows.jsonl")], "output": str(folder / "out")}
    whole |= {"plugins": [str(ODD)]} | head
    lines = [f"{name} = {toml(value)}" for name, value in whole.items() if name != "brakes"]
    for step in steps:
        lines += ["[[step]]", *(f"{name} = {toml(value)}" for name, value in step.items())]
    if "brakes" in whole:
        lines += ["[brakes]", *(f"{key} = {toml(one)}" for key, one in whole["brakes"].items())]
    path = folder / "recipe.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def toml(value: object) -> str:
    """Write a value as TOML has it; what JSON and TOML share is all that is needed."""
    return json.dumps(value)


def carried_out(recipe: Path, *arguments: str | Path, **options: Any) -> Output:  # noqa: ANN401 (those of subprocess)
    """Run `curatekit run`, which succeeds in silence."""
    ended = run(*RUN, recipe, *arguments, **options)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    return Output.read(recipe.with_name("out"))


def stopped(code: int, recipe: Path, *arguments: str | Path, **options: Any) -> str:  # noqa: ANN401
    """Run `curatekit run`, which fails; its message.

    It leaves nothing, or, where the same command may go on, its work, which then is removed.
    """
    ended = run(*RUN, recipe, *arguments, **options)
    work = recipe.with_name("out.partial")
    assert beside(recipe.with_name("out")) == ([work.name] if code in GOES_ON else [])
    shutil.rmtree(work, ignore_errors=True)
    return complaint(code, ended)


def curated(recipe: Path, **options: Any) -> tuple[RecipeReport, Output]:  # noqa: ANN401 (those of `curate`)
    """Carry a recipe out in this process."""
    outcome = curate(read(recipe), **({"workers": 2} | options))
    return outcome.report, Output.read(recipe.with_name("out"))

"""A new plugin builds, passes its tests, and is listed once it is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Run, read_rows, write_rows


def python(*arguments: str | Path, folder: Path, path: Path) -> str:
    """Run Python in a folder, with another one on its path; it must succeed."""
    environment = os.environ | {"PYTHONPATH": str(path), "CURATEKIT_PLUGINS": "acme-demo"}
    ran = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_new_plugin_builds_and_passes_its_tests(run: Run) -> None:
    made = run("new-plugin", "acme-demo")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines() == [
        "made curatekit-acme-demo: one filter, and its tests",
        "  cd curatekit-acme-demo",
        "  pip install -e .",
        "  curatekit plugins show acme-demo.loud",
    ]
    folder, site = Path("curatekit-acme-demo").absolute(), Path("site").absolute()
    written = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert [str(path.relative_to(folder)) for path in written] == [
        "README.md",
        "pyproject.toml",
        "src/curatekit_acme_demo/__init__.py",
        "src/curatekit_acme_demo/py.typed",
        "tests/test_acme_demo.py",
    ]
    everything = "".join(path.read_text() for path in written)
    assert "topic" not in everything
    install = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
    offline = (*install, "--no-build-isolation", "--disable-pip-version-check")
    python(*offline, "--target", site, folder, folder=folder, path=site)
    listed = python("-m", "curatekit", "plugins", folder=folder, path=site)
    assert listed == (
        "acme-demo  curatekit-acme-demo 0.1.0\n"
        "  acme-demo.loud  filter: Drop records that are written in capitals.\n"
        "built in  exact-dedup, keep-if, limit, near-dedup, sample, sort-by\n"
    )
    tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=folder, path=site)
    assert "3 passed" in tested
    write_rows(
        folder / "rows.jsonl", [{"text": text} for text in ("Quiet.", "LOUD!", "Quiet too.")]
    )
    recipe = 'input = ["rows.jsonl"]\noutput = "out"\n[[step]]\nuse = "acme-demo.loud"\n'
    (folder / "recipe.toml").write_text(recipe)
    python("-m", "curatekit", "run", "recipe.toml", folder=folder, path=site)
    (decision,) = read_rows(folder / "out" / "decisions.jsonl")
    assert (decision["row"], decision["step"], decision["reason"]) == (1, "loud", "too-loud")
    shutil.rmtree(site)
    again = run("run", folder / "recipe.toml")
    assert again.returncode == 2
    place = f"{folder / 'recipe.toml'}: step[0] `acme-demo.loud`"
    assert again.stderr == (
        f"error: {place}: no plugin is called `acme-demo`\n"
        "  hint: `pip install curatekit-acme-demo` would install it, by the rule for names\n"
    )


def test_a_plugin_is_made_elsewhere_and_only_once(run: Run) -> None:
    assert run("new-plugin", "curatekit-demo", "--in", "a/b").returncode == 0
    assert Path("a/b/curatekit-demo/src/curatekit_demo/__init__.py").is_file()
    again = run("new-plugin", "demo", "--in", "a/b")
    assert again.returncode == 2
    assert again.stderr == (
        "error: a/b/curatekit-demo exists already\n  hint: nothing of it was changed\n"
    )


@pytest.mark.parametrize("name", ["A b", "../x", "", "curatekit-", "x_y", "1a"])
def test_a_plugin_has_a_name_that_recipes_can_use(name: str, run: Run) -> None:
    ran = run("new-plugin", name)
    assert ran.returncode == 2
    assert ran.stderr.endswith("hint: names are like `acme-demo`\n")
    assert list(Path().iterdir()) == []

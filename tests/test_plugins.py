"""Plugins are found, loaded and told apart, and a broken one costs nobody else anything.

The plugins of these tests are installed as an installer leaves them: a module, and beside it the
metadata of its distribution.
"""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Run
from curatekit.errors import PluginError
from curatekit.plugins import CHOICE, load
from curatekit.steps import Filter

LENGTH = '''
"""A plugin."""
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from curatekit.hookspecs import hookimpl
from curatekit.steps import Filter, Options

CURATEKIT_API = 1


class LengthOptions(Options):
    min_chars: Annotated[int, Meta(ge=0, description="Fewest characters.")] = 1
    unit: Literal["words", "chars"] = "chars"
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    scripts: tuple[str, ...] = ()


class Length(Filter):
    """Drop short texts.

    They are counted in scalars.
    """

    name = "length"
    reasons = ("too-short",)
    Options = LengthOptions

    def check(self, batch):
        return np.array([len(text) < self.options.min_chars for text in batch.texts()], np.uint8)


@hookimpl
def register_steps():
    return [Length]
'''


class Site:
    """A folder in which distributions are installed, as the only place of plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def install(
        self, name: str, source: str, *, distribution: str = "", version: str = "1.0"
    ) -> None:
        """Leave a plugin of one module as an installer does."""
        distribution = distribution or f"curatekit-{name}"
        module = f"{distribution.replace('-', '_')}_{self.folder.parent.name.replace('-', '_')}"
        (self.folder / f"{module}.py").write_text(source)
        metadata = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        header = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (metadata / "METADATA").write_text(header)
        (metadata / "entry_points.txt").write_text(f"[curatekit]\n{name} = {module}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(site.folder)
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    yield site
    for name in [name for name, module in sys.modules.items() if _is_of(module, site.folder)]:
        del sys.modules[name]


def _is_of(module: object, folder: Path) -> bool:
    return str(getattr(module, "__file__", None)).startswith(str(folder))


def test_register_steps(site: Site) -> None:
    site.install("quality", LENGTH, version="0.3.1")
    plugin = load().found["quality"]
    assert (plugin.title, plugin.hooks) == ("curatekit-quality 0.3.1", ["register_steps"])
    step, author = load().step("quality.length")
    assert issubclass(step, Filter)
    assert (author.step, author.plugin) == ("quality.length", "curatekit-quality 0.3.1")


def test_what_is_not_there_is_named_with_a_hint(site: Site) -> None:
    site.install("quality", LENGTH)
    plugins = load()
    cases = {
        "acme-demo.x": "`pip install curatekit-acme-demo` would install it, by the rule for names",
        "qualty.length": "did you mean `quality`?",
        "quality.lenght": "did you mean `length`?",
        "quality.x": "it has `length`",
        "length": "a step is `plugin.step`",
    }
    for name, hint in cases.items():
        with pytest.raises(PluginError) as caught:
            plugins.step(name)
        assert caught.value.hint == hint


BROKEN = {
    "import nothing_of_that_name": "cannot be loaded: ModuleNotFoundError: No module named "
    "'nothing_of_that_name'",
    "raise SystemExit(3)": "cannot be loaded: SystemExit: 3",
    "x = (": "cannot be loaded: SyntaxError: '(' was never closed",
    "x = 1": "does not say for which version of the hooks it is made",
    "CURATEKIT_API = 2": "is made for version 2 of the hooks, and this curatekit has 1",
    LENGTH.replace('"length"', '"Too long"'): "registers `Length`, whose name is 'Too long'",
    LENGTH.replace('reasons = ("too-short",)', "reasons = ()"): "registers `Length`, whose reasons "
    "are ()",
    LENGTH.replace("def check", "def chek"): "registers `Length`, which has no method `check`",
    LENGTH.replace("[Length]", "[Length, Length]"): "registers two steps with the name `length`",
    LENGTH.replace("[Length]", "[LengthOptions]"): "registers `LengthOptions`, which is not one of "
    "Normalizer, Filter, Scorer, Generator, Selector",
    "CURATEKIT_API = '1'": "is made for version '1' of the hooks, and this curatekit has 1",
    LENGTH.replace(
        "register_steps", "register_step"
    ): "implements `register_step`, which is no hook",
    LENGTH.replace('reasons = ("too-short",)', 'reasons = ("too-short")'): "registers `Length`, "
    "whose reasons are 'too-short'",
    LENGTH.replace('name = "length"', 'name = "length"; needs = "chars"'): "registers `Length`, "
    "whose needs are 'chars'",
    LENGTH.replace('name = "length"', 'name = "length"; placement = "gpu"'): "registers `Length`, "
    "whose placement is 'gpu'",
    LENGTH.replace("Options = LengthOptions", "Options = 3"): "registers `Length`, whose `Options` "
    "derive from no Options",
    LENGTH.replace(
        "tuple[str, ...] = ()", "object = 1"
    ): "registers `Length`, whose options cannot stand in a recipe: TypeError: ",
    "class Odd(BaseException):\n    def __str__(self):\n        1 / 0\n\nraise Odd": "cannot be "
    "loaded: Odd",
    LENGTH.replace("[Length]", "1 / 0"): "cannot be loaded: ZeroDivisionError: division by zero",
    LENGTH.replace("register_steps()", "register_steps(into)"): "cannot be loaded: "
    "PluginValidationError: ",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_broken_plugin_costs_no_other_anything(
    source: str, site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOICE, "broken,quality")
    site.install("broken", source, version="2.1")
    site.install("quality", LENGTH)
    with caplog.at_level(logging.WARNING, "curatekit"):
        plugins = load()
    plugins.step("quality.length")
    assert plugins.found["broken"].steps == {}
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"curatekit-broken 2.1: {BROKEN[source]}")
    with pytest.raises(PluginError, match=r"^curatekit-broken 2\.1: "):
        plugins.step("broken.length")
    assert [name for name, _ in plugins.manager.list_name_plugin()] == ["quality"]


def test_two_plugins_with_one_name_are_both_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("quality", LENGTH, version="0.3.1")
    site.install("quality", LENGTH, distribution="acme-curation", version="2.0")
    with pytest.raises(PluginError) as caught:
        load()
    assert caught.value.message == (
        "two installed plugins are both called `quality`: acme-curation 2.0 and "
        "curatekit-quality 0.3.1"
    )
    monkeypatch.setenv(CHOICE, "acme-curation")
    assert load().found["quality"].title == "acme-curation 2.0"


def test_a_plugin_that_prints_does_not_print_into_a_result(site: Site, run: Run) -> None:
    site.install("noisy", f"print('hello')\n{LENGTH}")
    ran = run("plugins")
    assert "hello" not in ran.stdout
    assert ran.stderr == "hello\n"


def test_a_marked_object_that_is_no_function_is_no_hook(site: Site) -> None:
    site.install("mocked", f"from unittest.mock import call\n{LENGTH}")
    assert load().found["mocked"].problem is None


def test_a_name_that_no_recipe_could_name_is_refused(site: Site) -> None:
    site.install("A b", LENGTH, distribution="acme")
    assert load().found["A b"].problem == "has the name 'A b'"


def test_exactly_the_plugins_that_are_asked_for_are_loaded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        site.install(name, LENGTH)
    assert {"a", "b", "c"} <= load().found.keys()
    monkeypatch.setenv(CHOICE, "c, Curatekit_A")
    plugins = load()
    assert list(plugins.found) == ["a", "c"]
    with pytest.raises(PluginError) as caught:
        plugins.step("b.length")
    assert caught.value.hint == "CURATEKIT_PLUGINS names the plugins to load: `c, Curatekit_A`"
    monkeypatch.setenv(CHOICE, "c,d")
    with pytest.raises(PluginError, match="names `d`, and no such plugin is installed"):
        load()
    monkeypatch.setenv(CHOICE, "")
    assert load().found == {}


def test_a_file_is_a_plugin_only_if_it_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = site.folder.parent
    monkeypatch.chdir(here)
    (here / "my_filter.py").write_text(LENGTH)
    assert "my_filter" not in load().found
    plugins = load([Path("my_filter.py")])
    assert plugins.step("my_filter.length")[1].plugin == "my_filter.py"
    site.install("my_filter", LENGTH, distribution="acme")
    with pytest.raises(PluginError, match=r"called `my_filter`: acme 1\.0 and my_filter\.py"):
        load([Path("my_filter.py")])


def test_options_of_every_kind_can_be_told(site: Site, run: Run) -> None:
    fields = """
    e: "Inner"
    a: tuple[int, str] = (1, "x")
    b: float = float("inf")
    c: dict[str, int] = {}
    d: list[list[int]] = []
    f: Annotated[str, Meta(pattern="^x", max_length=3)] = "x"
"""
    inner = "class Inner(Options):\n    x: int = 1\n\n\nclass LengthOptions"
    before, _, after = LENGTH.partition("class LengthOptions(Options):\n")
    _, _, after = after.partition("scripts: tuple[str, ...] = ()\n")
    site.install("kinds", f"{before}{inner}(Options):{fields}{after}")
    ran = run("plugins", "show", "kinds.length")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[6:] == [
        "  e  object; required",
        '  a  array of integer, string; default [1,"x"]',
        "  b  number; default inf",
        "  c  object; default {}",
        "  d  array of array of integer; default []",
        '  f  string, of length at most 3, like ^x; default "x"',
    ]


def test_the_command_lists_what_is_installed_and_what_is_broken(site: Site, run: Run) -> None:
    site.install("quality", LENGTH, version="0.3.1")
    site.install("broken", "CURATEKIT_API = 2")
    site.install("idle", "CURATEKIT_API = 1")
    ran = run("plugins")
    assert (ran.returncode, ran.stderr) == (0, "")
    listed = ran.stdout
    for lines in (
        "quality  curatekit-quality 0.3.1\n  quality.length  filter: Drop short texts.\n",
        (
            "broken  curatekit-broken 1.0\n"
            "  cannot be used: is made for version 2 of the hooks, and this curatekit has 1\n"
            "  hint: install the version of one of the two that fits the other\n"
        ),
        "idle  curatekit-idle 1.0\n  adds no steps\n",
    ):
        assert lines in listed


def test_the_command_shows_a_step_and_its_options(site: Site, run: Run) -> None:
    site.install("quality", LENGTH, version="0.3.1")
    ran = run("plugins", "show", "quality.length")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "quality.length  filter of curatekit-quality 0.3.1",
        "  Drop short texts.",
        "",
        "  They are counted in scalars.",
        "reasons  too-short",
        "options",
        "  min_chars  integer, at least 0; default 1",
        "    Fewest characters.",
        '  unit  "chars" or "words"; default "chars"',
        "  share  number, above 0, at most 1 or null; default null",
        "  scripts  array of string; default []",
    ]
    ran = run("plugins", "show", "quality.lenght")
    assert ran.returncode == 2
    assert ran.stderr == (
        "error: curatekit-quality 0.3.1 has no step `lenght`\n  hint: did you mean `length`?\n"
    )


def test_a_step_in_a_file_and_one_built_in_can_be_shown(run: Run) -> None:
    odd = Path(__file__).with_name("odd_plugin.py")
    shown = run("plugins", "show", "odd_plugin.short", "--plugin", odd)
    assert shown.stdout.startswith(f"odd_plugin.short  filter of {odd}\n  Drop texts of less")
    shown = run("plugins", "show", "near-dedup")
    assert shown.stdout.startswith("near-dedup  built in\n  Remove the rows that say nearly")
    assert "  threshold  number, above 0, at most 1; default 0.8\n" in shown.stdout
    shown = run("plugins", "show", "keep-if")
    assert "reasons  missing, too-low, too-high, other-value\n" in shown.stdout


def test_without_plugins_the_command_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "")
    built_in = "exact-dedup, keep-if, limit, near-dedup, sample, sort-by"
    assert run("plugins").stdout == f"no plugins are installed\nbuilt in  {built_in}\n"

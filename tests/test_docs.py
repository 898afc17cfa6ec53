"""The documentation is true: every command and option stands in it, and its examples run.

The examples of a page run from top to bottom in one empty folder:

- `console`: a line after `$ ` is a command, and what follows is all that it prints, with its
  messages if it fails. `$ cat NAME` of a file that is not there yet makes it. Times, speeds and
  sizes of memory may differ.
- `python`: a doctest.
- Any other block is not run.

`...` stands for anything.
"""

import doctest
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from inspect import isfunction, signature
from pathlib import Path

import click
import pytest
from msgspec import Struct

from curatekit import brakes, cli, hookspecs, report
from curatekit.manifest import Written
from curatekit.recipe_report import RecipeReport, StepReport
from curatekit.steps import KINDS, Step

ROOT = Path(__file__).parent.parent
MANUAL = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *MANUAL]

BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MEASURED = re.compile(r"\d[\d,.]*\s?(s|ms|MB/s|[kMG]i?B)\b")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def commands(name: str, command: click.Command) -> dict[str, click.Command]:
    """Give a command and all below it, by what a person types."""
    found = {name: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            one = command.get_command(context, below)
            assert one is not None
            found |= commands(f"{name} {below}", one)
    return found


COMMANDS = commands("curatekit", cli.curatekit)


def flags(command: click.Command) -> set[str]:
    """Give every way to write an option of a command."""
    parameters = command.get_params(click.Context(command))
    options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
    return {flag for option in options for flag in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_stand_in_the_manual(name: str) -> None:
    manual = "".join(page.read_text() for page in MANUAL)
    assert f"`{name}" in manual
    missing = [flag for flag in flags(COMMANDS[name]) if not re.search(rf"[` ]{flag}[` ]", manual)]
    assert missing == []


def test_the_manual_names_no_option_that_is_not_there() -> None:
    known = set().union(*(flags(command) for command in COMMANDS.values()))
    named = {flag for page in MANUAL for flag in re.findall(r"`(--[a-z-]+)", page.read_text())}
    assert named - known == set()


@pytest.mark.parametrize(
    "document", [report.Report, report.Figures, RecipeReport, StepReport, Written]
)
def test_every_field_of_a_report_stands_in_the_manual(document: type[Struct]) -> None:
    manual = (ROOT / "docs/output.md").read_text()
    assert [field for field in document.__struct_fields__ if f"`{field}`" not in manual] == []


def test_every_exit_code_stands_in_the_manual() -> None:
    codes = {
        cli.USAGE,
        cli.INPUT,
        cli.OUTPUT,
        cli.STEP,
        cli.BRAKE,
        cli.BUG,
        cli.INTERRUPTED,
        cli.TERMINATED,
    }
    table = (ROOT / "docs/output.md").read_text().partition("## Exit codes")[2]
    cells = re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)
    assert {int(code) for cell in cells for code in cell.split(",")} == codes | {0, 1}


def test_the_manual_tells_from_how_many_rows_on_brakes_work() -> None:
    assert f"at least {brakes.LEAST} such rows" in (ROOT / "docs/dedup.md").read_text()
    (limit,) = (one for one in COMMANDS["curatekit dedup"].params if one.name == "max_drop")
    assert isinstance(limit, click.Option)
    assert f"less than {brakes.LEAST} other rows" in (limit.help or "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCK.finditer(page.read_text()):
        line = page.read_text().count("\n", 0, block.start()) + 1
        if block[1] == "console":
            run_console(block[2], place=f"{page.name}:{line}")
        else:
            run_python(block[2], names, page, line)


def run_console(text: str, *, place: str) -> None:
    """Run the commands of a block, and compare what they print."""
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        if command.startswith("cat ") and not Path(command[4:]).exists():
            Path(command[4:]).write_text(expected)
        binaries = Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "COLUMNS": "100"}
        done = subprocess.run(
            ["sh", "-c", f"{command}\n"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr * (done.returncode != 0)
        want, got = MEASURED.sub("#", expected), MEASURED.sub("#", printed)
        same = doctest.OutputChecker().check_output(want, got, FLAGS)
        assert same, f"{place}: `{command}` printed\n{printed}\nand the page says\n{expected}"


def run_python(text: str, names: dict[str, object], page: Path, line: int) -> None:
    """Run the examples of a block; names live on to the page's next block."""
    examples = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line)
    assert examples.examples
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    assert not runner.run(examples, out=said.append, clear_globs=False).failed, "".join(said)
    names |= examples.globs


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_changelog_tells_of_this_version() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    this = cargo["workspace"]["package"]["version"]
    assert version("curatekit") == this
    assert re.search(rf"^## {re.escape(this)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def told(function: object) -> str:
    """Write the signature of a hook or of a method as the manual has it."""
    assert callable(function)
    spelled = str(signature(function)).replace("'", "")
    return re.sub(r"\b(?:collections\.abc|curatekit\.\w+|typing)\.", "", spelled)


HOOKS = [name for name in vars(hookspecs) if name.startswith(("register_", "on_"))]
METHODS = {
    name: method
    for kind in (Step, *KINDS)
    for name, method in vars(kind).items()
    if isfunction(method) and not name.startswith("_")
}


def test_there_are_hooks_and_methods() -> None:
    assert len(HOOKS) == 6
    assert set(METHODS) >= {"open", "fit", "rewrite", "check", "score", "generate", "select"}


@pytest.mark.parametrize("name", [*HOOKS, *METHODS])
def test_every_hook_and_method_stands_in_the_manual_and_has_a_test(name: str) -> None:
    function = METHODS.get(name) or getattr(hookspecs, name)
    assert f"### `{name}{told(function)}`" in (ROOT / "docs" / "hooks.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert f"def test_{name}(" in tests

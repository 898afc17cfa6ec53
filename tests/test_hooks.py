"""Each hook does what its page says. `register_steps` is tested with the loading of plugins."""

import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import chat, write_rows
from curatekit import hookspecs
from curatekit.backends import Backend, BackendError, Question, Reply
from curatekit.formats import CHAT, FORMATS, Format, PartRule
from curatekit.plugins import Plugins
from curatekit.testing import isolated
from recipes import curated, write_recipe

WATCHER = '''
"""Writes down what it sees."""

import json
from pathlib import Path

from curatekit.hookspecs import hookimpl

CURATEKIT_API = 1


def log(*words):
    with Path("{log}").open("a") as file:
        file.write(json.dumps(words) + "\\n")


@hookimpl
def on_run_start(recipe, inputs):
    log("start", [step["id"] for step in recipe["step"]], inputs)
    print("noise")


@hookimpl
def on_batch_done(step, rows, kept, seconds):
    log("batch", step, rows.tolist(), kept, seconds >= 0)
    {then}


@hookimpl
def on_run_end(report):
    log("end", report["kept"])
'''


def plugin(**members: Any) -> ModuleType:  # noqa: ANN401 (whatever a module holds)
    module = ModuleType("acme")
    module.__dict__.update(CURATEKIT_API=hookspecs.API, **members)
    return module


def hook(name: str, returned: object) -> Any:  # noqa: ANN401 (what pluggy makes of it)
    def implementation() -> object:
        return returned

    implementation.__name__ = name
    return hookspecs.hookimpl(implementation)


class Oracle(Backend):
    """Answers yes."""

    name = "oracle"

    def __init__(self, *, base_url: str | None, api_key: str | None, timeout: float) -> None:
        self.about = (base_url, api_key, timeout)

    def ask(self, question: Question) -> Reply:
        """Say yes."""
        if not question.messages:
            raise BackendError("there is no question", is_passing=False)
        return Reply(text="yes")


def loaded(name: str, returned: object) -> Plugins:
    return isolated(acme=plugin(**{name: hook(name, returned)}))


def test_register_backends() -> None:
    plugins = loaded("register_backends", [Oracle])
    assert plugins.found["acme"].problem is None
    assert plugins.backends == {"oracle": Oracle}
    other = plugin(register_backends=hook("register_backends", [Oracle]))
    both = isolated(acme=plugin(register_backends=hook("register_backends", [Oracle])), other=other)
    assert both.found["acme"].problem is None
    assert both.found["other"].problem == "registers a second backend with the name `oracle`"


class Nameless(Oracle):
    """Has no name that a recipe could say."""

    name = "No Name"


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ([int], "registers `int`, which is no Backend"),
        ([Backend], "registers `Backend`, which is no Backend"),
        ([Nameless], "registers `Nameless`, whose name is 'No Name'"),
        ([Oracle, Oracle], "registers a second backend with the name `oracle`"),
    ],
)
def test_what_is_no_backend_is_refused(returned: object, problem: str) -> None:
    plugins = loaded("register_backends", returned)
    assert plugins.found["acme"].problem == problem
    assert plugins.backends == {}


DIALOG = Format("dialog", (("turns",),), (PartRule("turns[*]", "user"),))


def test_register_formats() -> None:
    plugins = loaded("register_formats", [DIALOG])
    assert plugins.formats == (*FORMATS[:-1], DIALOG, FORMATS[-1])


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ([CHAT], "registers a second format with the name `chat`"),
        (["chat"], "registers 'chat', which is no Format"),
        ([Format("auto", (), ())], "registers a second format with the name `auto`"),
        ([Format("A b", (), ())], "registers a format whose name is 'A b'"),
        (
            [Format("odd", (), (PartRule("a[x]", "user"),))],
            "registers a format that cannot be followed: format `odd`: cannot follow `a[x]`",
        ),
    ],
)
def test_what_is_no_format_is_refused(returned: object, problem: str) -> None:
    plugins = loaded("register_formats", returned)
    assert (plugins.found["acme"].problem or "").replace("the path ", "") == problem
    assert plugins.formats == FORMATS


def test_a_format_of_a_plugin_is_detected_and_can_be_named(tmp_path: Path) -> None:
    source = """
from curatekit.formats import Format, PartRule
from curatekit.hookspecs import hookimpl

CURATEKIT_API = 1


@hookimpl
def register_formats():
    return [Format("dialog", (("turns",),), (PartRule("turns[*]", "user"),))]
"""
    (tmp_path / "dialogs.py").write_text(source)
    write_rows(tmp_path / "rows.jsonl", [{"turns": ["a", "b"]}, {"turns": 3}, {"turns": ["c"]}])
    for head in ({}, {"format": "dialog"}):
        step = {"use": "keep-if", "column": "lines", "at_least": 2}
        plugins = [str(tmp_path / "dialogs.py")]
        path = write_recipe(tmp_path, [step], plugins=plugins, **head)
        report, out = curated(path, force=True)
        assert report.files[0]["format"] == "dialog"
        assert out.fates() == ["kept", "wrong-type", "too-low"]


def watched(folder: Path, then: str = "pass") -> list[list[Any]]:
    """Carry out a recipe before the eyes of a plugin, and tell what it wrote down."""
    log = folder / "log"
    (folder / "watcher.py").write_text(WATCHER.replace("{log}", str(log)).replace("{then}", then))
    texts = ["short", "long enough for a filter of texts", "also long enough for it"]
    write_rows(folder / "rows.jsonl", [chat(text, text) for text in texts])
    odd = Path(__file__).with_name("odd_plugin.py")
    steps = [{"use": "odd_plugin.short"}, {"use": "odd_plugin.shout"}]
    path = write_recipe(folder, steps, plugins=[str(odd), str(folder / "watcher.py")])
    curated(path, batch_rows=2)
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_on_run_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = watched(tmp_path)
    assert told[0] == ["start", ["short", "shout"], [str(tmp_path / "rows.jsonl")]]
    assert "noise" in capfd.readouterr().err  # standard output is the run's


def test_on_batch_done(tmp_path: Path) -> None:
    told = watched(tmp_path)
    assert told[1:-1] == [
        ["batch", "short", [0, 1], 1, True],
        ["batch", "shout", [1], 1, True],
        ["batch", "short", [2], 1, True],
        ["batch", "shout", [2], 1, True],
    ]


def test_on_run_end(tmp_path: Path) -> None:
    assert watched(tmp_path)[-1] == ["end", 2]


@pytest.mark.parametrize("error", ["LookupError: gone", "SystemExit: gone"])
def test_who_watches_cannot_end_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    with caplog.at_level(logging.WARNING, "curatekit"):
        told = watched(tmp_path, f"raise {error.partition(':')[0]}('gone')")
    assert [one[0] for one in told] == ["start", "batch", "end"]
    (message,) = caplog.messages
    assert message == (
        f"plugin `watcher`: `on_batch_done` failed, and is not called again in this run: {error}"
    )

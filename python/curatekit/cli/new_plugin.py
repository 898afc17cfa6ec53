"""`curatekit new-plugin`: a distribution to begin with, that builds and passes its tests."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

_EPILOG = """\b
Examples:
  curatekit new-plugin acme-demo    make the folder curatekit-acme-demo
"""
_TOPIC = re.compile(r"(curatekit[-_])?topic\b")


@click.command("new-plugin", epilog=_EPILOG)
@click.argument("name")
@click.option(
    "--in",
    "parent",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Folder in which the new one is made.  [default: the working directory]",
)
def new_plugin(name: str, parent: Path) -> None:
    """Make a plugin to begin with: the distribution curatekit-NAME.

    It has one filter, its tests, and all that it takes to build it and to ship it.
    """
    from rich.text import Text  # noqa: PLC0415 (help does without the rest of this)

    from curatekit.cli.terminal import console, say  # noqa: PLC0415
    from curatekit.errors import CurateError  # noqa: PLC0415
    from curatekit.steps import NAME  # noqa: PLC0415

    topic = name.removeprefix("curatekit-")
    if not NAME.fullmatch(topic):
        raise CurateError(f"a plugin cannot be called {topic!r}", "names are like `acme-demo`")
    folder = parent / f"curatekit-{topic}"
    if folder.exists():
        raise CurateError(f"{folder} exists already", "nothing of it was changed")
    _copy(files("curatekit") / "scaffold", folder, topic)
    to = console()
    say(to, Text.assemble(("made ", "bold"), f"{folder}: one filter, and its tests"))
    for command in (f"cd {folder}", "pip install -e .", f"curatekit plugins show {topic}.loud"):
        say(to, Text(command), indent=2)


def _copy(source: Traversable, to: Path, topic: str) -> None:
    """Copy a folder of templates, with the topic's name in place of `topic`."""
    to.mkdir(parents=True)
    for one in source.iterdir():
        name = _renamed(one.name, topic)
        if one.is_dir():
            if one.name != "__pycache__":
                _copy(one, to / name, topic)
        else:
            (to / name).write_text(_renamed(one.read_text("utf-8"), topic), "utf-8")


def _renamed(text: str, topic: str) -> str:
    """Put a name in place of `topic`, in the spelling that modules or distributions have."""

    def name(found: re.Match[str]) -> str:
        before = found[1] or ""
        is_module = before.endswith("_") or text[found.start() - 1 : found.start()] == "_"
        return before + (topic.replace("-", "_") if is_module else topic)

    return _TOPIC.sub(name, text)

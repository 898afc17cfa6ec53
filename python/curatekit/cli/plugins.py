"""`curatekit plugins`: what is installed beside curatekit, and what can be set of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from curatekit.steps import Options, Step

_EPILOG = """\b
Examples:
  curatekit plugins                       what is installed, and its steps
  curatekit plugins show quality.length   one step, and its options
  curatekit plugins show near-dedup       one that needs no plugin
  curatekit plugins show mine.short --plugin mine.py

CURATEKIT_PLUGINS=a,b loads exactly those.
"""


@click.group(invoke_without_command=True, epilog=_EPILOG)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List the plugins that are installed, and the steps that they add.

    A plugin that cannot be used is listed with the reason.
    """
    if context.invoked_subcommand is not None:
        return
    from rich.text import Text  # noqa: PLC0415 (help does without the rest of this)

    from curatekit.built_in import DEDUP, STEPS  # noqa: PLC0415
    from curatekit.cli.terminal import clean, console, say  # noqa: PLC0415

    found = _load().found
    to = console()
    if not found:
        to.print("no plugins are installed")
    for plugin in found.values():
        say(to, Text.assemble((clean(plugin.name), "bold"), f"  {clean(plugin.title)}"))
        for name, step in plugin.steps.items():
            say(to, Text(clean(f"{name}  {_kind(step)}: {_first_line(step)}")), indent=2)
        if plugin.steps == {} and plugin.problem is None:
            say(to, Text("adds no steps"), indent=2)
        if plugin.problem is not None:
            say(
                to, Text.assemble(("cannot be used: ", "bold red"), clean(plugin.problem)), indent=2
            )
            if plugin.hint is not None:
                say(to, Text.assemble(("hint: ", "cyan"), clean(plugin.hint)), indent=2)
    say(to, Text.assemble(("built in", "bold"), f"  {', '.join(sorted({*DEDUP, *STEPS}))}"))


@plugins.command("show")
@click.argument("step")
@click.option(
    "--plugin",
    "files",
    metavar="FILE",
    multiple=True,
    type=click.Path(readable=False),
    help="A Python file that is a plugin. Repeatable.",
)
def show_step(step: str, files: tuple[str, ...]) -> None:
    """Show what STEP does, such as `quality.length`, and its options."""
    from rich.text import Text  # noqa: PLC0415

    from curatekit.cli.terminal import clean, console, say  # noqa: PLC0415
    from curatekit.options import described  # noqa: PLC0415

    title, documentation, options, facts = _about(step, files)
    to = console()
    say(to, Text.assemble((clean(step), "bold"), f"  {clean(title)}"))
    say(to, Text(clean(documentation)), indent=2)
    for name, values in facts.items():
        if values:
            say(to, Text.assemble((name, "bold"), "  " + clean(", ".join(values))))
    found = described(options)
    say(to, Text("options" if found else "no options", "bold"))
    for one in found:
        default = "required" if one.default is None else f"default {one.default}"
        words = f"  {one.type}; {default}"
        say(to, Text.assemble((clean(one.name), "cyan"), clean(words)), indent=2)
        if one.words:
            say(to, Text(clean(one.words)), indent=4)


def _about(
    step: str, files: tuple[str, ...]
) -> tuple[str, str, type[Options], dict[str, tuple[str, ...]]]:
    """Give of a step what it is, what it does, its options, and its reasons and needs."""
    from pathlib import Path  # noqa: PLC0415

    from curatekit.built_in import DEDUP, STEPS  # noqa: PLC0415

    if step in DEDUP:
        return "built in", _documentation(DEDUP[step]), DEDUP[step], {}
    kind = STEPS.get(step)
    title = "built in"
    if kind is None:
        kind, author = _load([Path(file) for file in files]).step(step)
        title = f"{_kind(kind)} of {author.plugin}"
    reasons: tuple[str, ...] = getattr(kind, "reasons", ())
    return title, _documentation(kind), kind.Options, {"reasons": reasons, "needs": kind.needs}


def _load(files: Sequence[Path] = ()) -> Any:  # noqa: ANN401 (its type is loaded with it)
    import logging  # noqa: PLC0415

    from curatekit.plugins import load  # noqa: PLC0415

    logging.getLogger("curatekit").addHandler(logging.NullHandler())  # the list says it all
    return load(files)


def _kind(step: type[Step]) -> str:
    from curatekit.steps import KINDS  # noqa: PLC0415

    return next(kind.__name__ for kind in KINDS if issubclass(step, kind)).lower()


def _documentation(step: type[Step | Options]) -> str:
    from inspect import cleandoc  # noqa: PLC0415

    words: object = step.__doc__
    return cleandoc(words) if isinstance(words, str) else "not documented"


def _first_line(step: type[Step]) -> str:
    return _documentation(step).partition("\n")[0]

"""`curatekit recipe`: look at a recipe without carrying it out."""

from __future__ import annotations

import click


@click.group()
def recipe() -> None:
    """Check recipes, and describe what may stand in one."""


@recipe.command("check")
@click.argument("recipe", type=click.Path(readable=False))
@click.option(
    "--set",
    "overrides",
    metavar="ID.option=value",
    multiple=True,
    help="Set an option of a step, in place of that in the recipe. Repeatable.",
)
def check(recipe: str, overrides: tuple[str, ...]) -> None:
    """Read RECIPE, and tell all that is wrong with it, or what it does.

    The inputs are not looked at.
    """
    from rich.text import Text  # noqa: PLC0415 (help does without the rest of this)

    from curatekit.cli.terminal import clean, console, say  # noqa: PLC0415
    from curatekit.recipe import read  # noqa: PLC0415

    plan = read(recipe, overrides)
    to = console()
    say(to, Text(clean(f"{recipe}: {', '.join(plan.input)} to {plan.output}")))
    for at, entry in enumerate(plan.entries, 1):
        name = "" if entry.id == entry.use.rpartition(".")[2] else f" as `{entry.id}`"
        words = f"{at}. {entry.use}{name}  ({entry.author.plugin})"
        say(to, Text(clean(words)), indent=2)
    if not plan.entries:
        say(to, Text("no steps: every row is copied"), indent=2)


@recipe.command("schema")
def schema() -> None:
    """Print the JSON schema of recipes, with the steps of all installed plugins.

    Editors that know JSON schemas complete and check recipes by it.
    """
    import logging  # noqa: PLC0415

    from curatekit.plugins import load  # noqa: PLC0415
    from curatekit.recipe_schema import schema_of  # noqa: PLC0415
    from curatekit.report import to_json  # noqa: PLC0415

    logging.getLogger("curatekit").addHandler(logging.NullHandler())  # `curatekit plugins` tells
    click.echo(to_json(schema_of(load())).decode(), nl=False)

"""`curatekit show`: what a run did, and why: rows beside rows, and the templates it found."""

from functools import partial
from pathlib import Path

import click

from curatekit.cli.options import Grouped, Option

_PAIRS = ("content", "numbers", "roles", "close")
_EPILOG = """\b
Examples:
  curatekit show out                           ten of the removed rows
  curatekit show out --reason near-duplicate   ten that are not exact copies
  curatekit show out --row 1711                one row, in full
  curatekit show out --all | less              all, marked without colours
  curatekit show out --pairs close             pairs around the threshold
  curatekit show out --pairs content           pairs a template kept apart
  curatekit show out --families                the templates
  curatekit show out --family 1                one, and how rows fill it
"""

_show = partial(click.option, cls=Option, heading="What is shown")
_many = partial(click.option, cls=Option, heading="How much of it")


@click.command(cls=Grouped, epilog=_EPILOG)
@click.argument("out", type=click.Path(readable=False))
@_show(
    "--reason",
    metavar="REASON",
    help="Only rows that are out for this reason, as exact-duplicate, near-duplicate or "
    "quarantined; after a recipe, also those of its steps.  [default: all that were removed]",
)
@_show("--row", type=int, metavar="N", help="Row N, in full. Rows count from 0.")
@_show(
    "--pairs",
    type=click.Choice(_PAIRS),
    help="Pairs that are alike and kept apart all the same: by `content` of slots, by `numbers`, "
    "or by a single role (`roles`). Or those `close` to the threshold, on both sides.",
)
@_show("--families", is_flag=True, help="The largest templates, by the rows that share them.")
@_show("--family", type=int, metavar="N", help="Template N, and how rows fill its slots.")
@_many(
    "--limit",
    type=int,
    default=10,
    show_default=True,
    metavar="N",
    help="Show N rows or pairs; of rows that are not kept, spread evenly over the dataset.",
)
@_many("--all", "show_all", is_flag=True, help="Show every row, or all pairs that the report has.")
def show(
    out: str,
    *,
    reason: str | None,
    row: int | None,
    pairs: str | None,
    families: bool,
    family: int | None,
    limit: int,
    show_all: bool,
) -> None:
    """Show removed rows beside the rows that stand for them.

    Words that only the removed row has are red, those that only the row in its place has are green;
    where there are no colours, they are marked [-so-] and {+so+}. What both have is shortened, and
    a role in which they are equal shows how it begins. What fills a slot of a template is yellow,
    or marked [=so=].
    """
    from curatekit.cli.page import Page  # noqa: PLC0415 (help does without the rest of this)
    from curatekit.cli.terminal import console  # noqa: PLC0415
    from curatekit.folder import RunFolder  # noqa: PLC0415

    asked = {
        "--reason": reason,
        "--row": row,
        "--pairs": pairs,
        "--families": families or None,
        "--family": family,
    }
    given = [f"`{option}`" for option, value in asked.items() if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} cannot go together")
    folder = RunFolder(Path(out))
    page = Page(console(), folder, full=row is not None)
    most = None if show_all else max(0, limit)
    if row is not None:
        page.print_row(row)
    elif pairs is not None:
        page.print_pairs(pairs, most)
    elif families:
        page.print_families()
    elif family is not None:
        page.print_family(family, most)
    else:
        page.print_sample(reason, most)

"""`curatekit show`: removed rows beside the rows that stand for them."""

from functools import partial
from pathlib import Path

import click

from curatekit.cli.options import Grouped, Option

_REASONS = ("exact-duplicate", "near-duplicate", "quarantined")
_EPILOG = """\b
Examples:
  curatekit show out                           ten of the removed rows
  curatekit show out --reason near-duplicate   ten that are not exact copies
  curatekit show out --row 1711                one row, in full
  curatekit show out --all | less              all, marked without colours
"""

_choose = partial(click.option, cls=Option, heading="Which rows")


@click.command(cls=Grouped, epilog=_EPILOG)
@click.argument("out", type=click.Path(readable=False))
@_choose(
    "--reason",
    type=click.Choice(_REASONS),
    help="Only rows with this fate.  [default: all that were removed]",
)
@_choose(
    "--limit",
    type=int,
    default=10,
    show_default=True,
    metavar="N",
    help="Show N rows, spread evenly over the dataset.",
)
@_choose("--all", "show_all", is_flag=True, help="Show every row.")
@_choose("--row", type=int, metavar="N", help="Show row N in full. Rows count from 0.")
def show(out: str, *, limit: int, show_all: bool, reason: str | None, row: int | None) -> None:
    """Show removed rows beside the rows that stand for them.

    Words that only the removed row has are red, those that only the row in its place has are green;
    where there are no colours, they are marked [-so-] and {+so+}. What both have is shortened, and
    a role in which they are equal shows how it begins.
    """
    from curatekit.cli.page import Page  # noqa: PLC0415 (help does without the rest of this)
    from curatekit.cli.terminal import console  # noqa: PLC0415
    from curatekit.folder import RunFolder  # noqa: PLC0415

    folder = RunFolder(Path(out))
    page = Page(console(), folder, full=row is not None)
    if row is not None:
        page.print_row(row)
    else:
        page.print_sample(reason, None if show_all else limit)

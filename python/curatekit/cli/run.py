"""`curatekit run`: carry out a recipe."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curatekit.cli.options import Grouped, Option, Parsed, packing_of, packing_options
from curatekit.errors import CurateError, StepError
from curatekit.settings import parse_size

if TYPE_CHECKING:
    from curatekit.recipe_report import RecipeReport
    from curatekit.report import Outcome

_EPILOG = """\b
Examples:
  curatekit run recipe.toml
      all of it
  curatekit run recipe.toml --dry-run
      what it would do, without doing it
  curatekit run recipe.toml --rows 1000 --out trial --force
      a trial with the first thousand rows
  curatekit run recipe.toml --set length.min_chars=20
      with another option for the step `length`

\b
Exit codes:
  0    done
  1    done, and --strict found quarantined rows
  2    the recipe or the usage is wrong
  3    an input is unreadable, broken, or changed meanwhile
  4    no space left, or an I/O error
  5    a step failed
  6    a brake stopped the run: a step drops too much
  130  interrupted

After 4, 5 and 130 the same command goes on from what was done.
"""

_what = partial(click.option, cls=Option, heading="What is done")
_write = partial(click.option, cls=Option, heading="Writing")
_machine = partial(click.option, cls=Option, heading="Machine (does not change the result)")


@click.command(cls=Grouped, epilog=_EPILOG)
@click.argument("recipe", type=click.Path(readable=False))
@_what("--dry-run", is_flag=True, help="Write only what would be decided, to OUT.dry-run.")
@_what(
    "--set",
    "overrides",
    metavar="ID.option=value",
    multiple=True,
    help="Set an option of a step, in place of that in the recipe. Repeatable.",
)
@_what("--rows", type=click.IntRange(min=0), metavar="N", help="Only the first N rows.")
@_write(
    "--out",
    "-o",
    metavar="OUT",
    type=click.Path(readable=False),
    help="Folder to make.  [default: `output` of the recipe]",
)
@_write(
    "--force",
    is_flag=True,
    help="Replace OUT, if it is a former run; begin anew where another run was not finished.",
)
@packing_options(_write)
@_write("--json", "as_json", is_flag=True, help="Print report.json and run.json as one document.")
@_write("--quiet", "-q", is_flag=True, help="Print nothing but errors and what --json asks for.")
@_write("--strict", is_flag=True, help="Exit 1 if rows were quarantined.")
@_machine(
    "--workers",
    type=click.IntRange(min=0, max=1024),
    default=0,
    metavar="N",
    help="Processes that steps run in, and threads.  [default: one per core]",
)
@_machine(
    "--batch-rows",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    metavar="N",
    help="Rows that a step gets at a time.",
)
@_machine(
    "--memory",
    type=Parsed("size", parse_size),
    default="4GiB",
    show_default=True,
    help="Private memory that a deduplication aims at.",
)
@_machine(
    "--journal-seconds",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="N",
    help="How often what is done goes down to the disk. The same command goes on from there.",
)
def run(
    recipe: str,
    *,
    dry_run: bool,
    overrides: tuple[str, ...],
    rows: int | None,
    out: str | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    strict: bool,
    workers: int,
    batch_rows: int,
    memory: int,
    journal_seconds: float,
    **packing: Any,  # noqa: ANN401 (options of click, by name)
) -> int:
    """Carry out RECIPE, a TOML file: deduplicate, filter, rewrite, score and select rows.

    Every row that is not kept has a reason in OUT/decisions.jsonl. OUT appears whole, or not at
    all; the inputs are only read. Whatever ends a run early, the same command goes on with it.
    """
    from curatekit import _native  # noqa: PLC0415 (help does without the rest of this)
    from curatekit.cli.terminal import Meter, clean  # noqa: PLC0415
    from curatekit.curate import DRY, curate  # noqa: PLC0415
    from curatekit.recipe import read  # noqa: PLC0415

    plan = read(recipe, overrides)
    folder = Path(out or plan.output)
    _native.guard_maps()
    _native.give_back_memory()
    try:
        with Meter(quiet=quiet) as meter:
            outcome = curate(
                plan,
                folder,
                force=force,
                is_dry=dry_run,
                rows=rows,
                workers=workers,
                batch_rows=batch_rows,
                memory=memory,
                packing=packing_of(packing),
                journal_seconds=journal_seconds,
                progress=meter,
            )
    except ValueError as error:
        raise CurateError(str(error)) from error
    except StepError as error:
        if not quiet:
            sys.stderr.write(clean(error.trace))
        raise
    if as_json:
        from curatekit.report import to_json  # noqa: PLC0415

        sys.stdout.write(to_json(outcome).decode())
    elif not quiet:
        _print_table(outcome, f"{folder}{DRY}" if dry_run else str(folder), is_dry=dry_run)
    return int(strict and bool(outcome.report.quarantined))


def _print_table(outcome: Outcome[RecipeReport], out: str, *, is_dry: bool) -> None:
    from rich.text import Text  # noqa: PLC0415

    from curatekit.cli.terminal import clean, console, print_table, say  # noqa: PLC0415
    from curatekit.recipe_report import table  # noqa: PLC0415

    to = console()
    print_table(to, table(outcome.report, outcome.run))
    to.print()
    least, open_ = outcome.report.kept, outcome.report.undecided
    if is_dry and open_:
        said = (
            f"between {least:,} and {least + open_:,} rows will be kept: {open_:,} would be asked"
        )
        say(to, Text(f"{said} about"))
    for brake in outcome.report.brakes:
        say(to, Text.assemble(("note: ", "yellow"), clean(f"the run would stop: {brake}")))
    if is_dry:
        say(to, Text(clean(f"nothing is written but decisions and report, in {out}")))
    else:
        show = f"`curatekit show {out}` shows the removed ones"
        say(to, Text(clean(f"kept rows are in {out}/kept.jsonl; {show}")))

"""`curatekit dedup`: write a dataset without its duplicates."""

import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curatekit.cli.options import Grouped, Option, Parsed, packing_of, packing_options
from curatekit.errors import CurateError
from curatekit.settings import (
    WORDS,
    Settings,
    parse_names,
    parse_share,
    parse_size,
    parse_threshold,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from curatekit.brakes import BrakeError
    from curatekit.cli.terminal import Meter
    from curatekit.report import Outcome, Report

_NEAR_ONLY = ("threshold", "ngram", "alike", "numbers", "recall", "seed", "max_drop")
_EPILOG = """\b
Examples:
  curatekit dedup data/ -o out
      every .jsonl, .ndjson and .json in data/, also .gz and .zst
  curatekit dedup chats.jsonl -o out --on user --on assistant
      system prompts and tool results may differ
  curatekit dedup rated.jsonl -o out --keep best:score --label topic
      of duplicates the one with the greatest score stays, and no topic
      may lose all its rows
  curatekit dedup pages.jsonl.zst -o out --field body --threshold 0.7
      plain documents, with their text in the field `body`
  zcat a.gz | grep en | curatekit dedup - -o out --method exact
      rows from standard input, exact copies only

\b
What it writes:
  out/kept.jsonl        the dataset: the bytes of the rows that stay
  out/removed.jsonl     the removed rows
  out/quarantine.jsonl  the rows that are broken
  out/decisions.jsonl   why a row is not kept, and which row stands for it
  out/ledger/           what became of every row, as columns
  out/report.json       counts and settings; equal for equal runs
  out/run.json          time, memory and machine

\b
Exit codes:
  0    done
  1    done, and --strict found quarantined rows
  2    wrong usage
  3    an input is unreadable, broken, or changed meanwhile
  4    no space left, or an I/O error
  6    a brake stopped the run: too many rows are near-duplicates
  130  interrupted
"""

_write = partial(click.option, cls=Option, heading="Writing")
_compare = partial(click.option, cls=Option, heading="What is compared")
_near = partial(click.option, cls=Option, heading="What is nearly the same")
_choose = partial(click.option, cls=Option, heading="What stays")
_read = partial(click.option, cls=Option, heading="Broken rows")
_machine = partial(click.option, cls=Option, heading="Machine (does not change the result)")
_size = Parsed("size", parse_size)


@click.command(cls=Grouped, epilog=_EPILOG)
@click.argument(
    "inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(readable=False)
)
@_write(
    "--out",
    "-o",
    metavar="OUT",
    required=True,
    type=click.Path(readable=False),
    help="Folder to make. It appears whole, or not at all.",
)
@_write("--force", is_flag=True, help="Replace OUT, if it is a former run.")
@packing_options(_write)
@_write("--json", "as_json", is_flag=True, help="Print report.json and run.json as one document.")
@_write("--quiet", "-q", is_flag=True, help="Print nothing but errors and what --json asks for.")
@_compare(
    "--method",
    type=click.Choice(WORDS["method"]),
    default="near",
    show_default=True,
    help="`exact` removes rows whose compared text is equal, `near` also those that nearly are.",
)
@_compare(
    "--on",
    metavar="ROLE",
    multiple=True,
    help="Compare this role only: system, user, assistant, tool, chosen, rejected or text. "
    "Repeatable.  [default: all]",
)
@_compare(
    "--also",
    metavar="FIELD",
    multiple=True,
    help="Compare this top-level field too, for example a label. Repeatable.",
)
@_compare(
    "--field",
    metavar="NAME",
    help="Rows are documents, with their text in this top-level field.",
)
@_compare(
    "--format",
    type=click.Choice(WORDS["format"]),
    default="auto",
    metavar="NAME",
    help=f"Layout of the rows: {', '.join(WORDS['format'][1:])}.  "
    "[default: told from each file's first 100 rows]",
)
@_near(
    "--threshold",
    type=Parsed("number", parse_threshold),
    default="0.8",
    show_default=True,
    help="Least similarity: the share of word n-grams in common, of all that either has. "
    "Above 0 and at most 1, to three decimals.",
)
@_near(
    "--ngram",
    type=int,
    metavar="N",
    help="Words per n-gram. With fewer, an edited word costs a short row less of its similarity.  "
    "[default: 3 for conversations, 5 for documents]",
)
@_near(
    "--alike",
    type=click.Choice(WORDS["alike"]),
    help="Where the threshold must be reached: in the `whole` text, or in `each-role`, so that a "
    "long system prompt in common makes no duplicates. `consensus` is the same, and keeps rows "
    "apart that fill a slot of their template differently.  "
    "[default: whole for documents, else consensus]",
)
@_near(
    "--numbers",
    type=click.Choice(WORDS["numbers"]),
    help="Whether rows with different numbers are `distinct`, or a number is a word like others.  "
    "[default: distinct with consensus, else alike]",
)
@_near(
    "--recall",
    type=click.Choice(WORDS["recall"]),
    help="How many are found: `bands` finds at least 0.999 of the pairs at the threshold, `exact` "
    "all of them, and takes longer. Both verify each pair.  "
    "[default: exact under 5,000 rows or a threshold under 0.06, else bands]",
)
@_near("--seed", type=int, default=0, show_default=True, help="Seed of the hashes behind `bands`.")
@_choose(
    "--keep",
    metavar="WHICH",
    default="first",
    show_default=True,
    help="Which of two duplicates stays: `first`, `longest`, or `best:FIELD`, by the number in a "
    "top-level field, greatest first. Of equals the first stays.",
)
@_choose(
    "--max-drop",
    type=Parsed("share", parse_share),
    default="0.5",
    show_default=True,
    help="Stop with exit code 6, and write nothing, if more than this share of the rows are "
    "near-duplicates, or all rows of a file. Exact copies do not count, nor do runs and files of "
    "less than 20 other rows. With 1, nothing stops.",
)
@_choose(
    "--label",
    metavar="FIELD",
    help="Count rows by the values of this top-level field, and stop in the same way if all rows "
    "of a value, be they few, are near-duplicates.",
)
@_read(
    "--on-error",
    type=click.Choice(WORDS["on_error"]),
    default="quarantine",
    show_default=True,
    help="Set a broken row apart in quarantine.jsonl, or stop at the first.",
)
@_read("--strict", is_flag=True, help="Exit 1 if rows were quarantined.")
@_read(
    "--max-line",
    type=_size,
    default="64MiB",
    show_default=True,
    help="Longest row. A longer one counts as broken.",
)
@_machine("--threads", type=int, default=0, metavar="N", help="Threads.  [default: one per core]")
@_machine(
    "--memory",
    type=_size,
    default="4GiB",
    show_default=True,
    help="Private memory to aim at. Columns over rows come on top: some 60 bytes each, "
    "and up to 400 for one that is nearly the same as others.",
)
@click.pass_context
def dedup(
    context: click.Context,
    /,
    inputs: tuple[str, ...],
    *,
    out: str,
    force: bool,
    as_json: bool,
    quiet: bool,
    strict: bool,
    **options: Any,  # noqa: ANN401 (click hands them over as they are named; `Settings` checks them)
) -> int:
    """Remove the rows that repeat another one, exactly or nearly.

    INPUT is a JSONL or JSON file, plain, .gz or .zst, a folder of them, a glob, or `-` for standard
    input. Rows keep their order, and of several alike the first stays. No row is removed before it
    was compared, in full, with the row that stands for it; the inputs are only read. A template
    that rows share makes none of them a duplicate.
    """
    # NumPy, where a brake needs it, would start a thread a core for linear algebra, of which there
    # is none here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from curatekit import _native  # noqa: PLC0415 (help does without the rest of this)
    from curatekit.brakes import BrakeError  # noqa: PLC0415
    from curatekit.run import deduplicate  # noqa: PLC0415

    try:
        packing = packing_of(options)
        settings = _settings(context, options)
        _native.guard_maps()
        _native.give_back_memory()
        with _meter(quiet=quiet) as meter:
            outcome = deduplicate(
                inputs, Path(out), settings, force=force, packing=packing, progress=meter
            )
    except ValueError as error:
        raise CurateError(str(error)) from error
    except BrakeError as error:
        if as_json:
            _print_json(error.document)
        if not quiet:
            _print_sample(error)
        raise
    if as_json:
        _print_json(outcome)
    elif not quiet:
        _print_table(outcome, out)
    return int(strict and bool(outcome.report.quarantined))


def _meter(*, quiet: bool) -> "AbstractContextManager[Meter | None]":
    if quiet:
        return nullcontext()
    from curatekit.cli.terminal import Meter  # noqa: PLC0415 (rich is slow to import)

    return Meter(quiet=False)


def _settings(context: click.Context, options: dict[str, Any]) -> Settings:
    if options["method"] == "exact":
        for name in _NEAR_ONLY:
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                option = name.replace("_", "-")
                raise ValueError(f"`--{option}` means nothing with `--method exact`")
    on, also = parse_names(options.pop("on")), parse_names(options.pop("also"))
    millis = {f"{name}_millis": options.pop(name) for name in ("threshold", "max_drop")}
    return Settings(on=on, also=also, **millis, **options)


def _print_json(document: object) -> None:
    from curatekit.report import to_json  # noqa: PLC0415

    sys.stdout.write(to_json(document).decode())


def _print_sample(error: "BrakeError") -> None:
    from curatekit.cli.beside import Beside  # noqa: PLC0415
    from curatekit.cli.terminal import console  # noqa: PLC0415

    beside = Beside(console(sys.stderr), full=False)
    beside.print_legend("only in the removed row", "only in the row that stands for it")
    for case in error.sample:
        beside.print_case(case)
    sys.stderr.write("\n")


def _print_table(outcome: "Outcome[Report]", out: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    from curatekit.cli.terminal import clean, console, print_table, say  # noqa: PLC0415
    from curatekit.report import quarantine_example, table  # noqa: PLC0415

    to = console()
    print_table(to, table(outcome.report, outcome.run))
    to.print()
    if example := quarantine_example(outcome.report):
        say(to, Text.assemble(("first quarantined: ", "red"), clean(example)))
    for notice in outcome.report.notices:
        say(to, Text.assemble(("note: ", "yellow"), clean(notice.message)))
        if notice.hint:
            say(to, Text.assemble(("  hint: ", "cyan"), clean(notice.hint)))
    kept, show = f"{out}/kept.jsonl", f"curatekit show {out}"
    templates = ", and with `--families` the templates" if outcome.report.families else ""
    say(to, Text(clean(f"kept rows are in {kept}; `{show}` shows the removed ones{templates}")))

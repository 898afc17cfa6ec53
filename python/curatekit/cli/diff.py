"""`curatekit diff`: what two runs, or two recipes, decide differently."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curatekit.cli.options import Grouped, Option
from curatekit.errors import CurateError, StepError

if TYPE_CHECKING:
    from rich.console import Console

    from curatekit.compare import Counts, Fate
    from curatekit.diff import Difference, Example, Grounds, Part, Rewritten, Told

_EPILOG = """\b
Examples:
  curatekit diff old new                two runs
  curatekit diff out recipe.toml        what a recipe would decide otherwise
  curatekit diff a.toml b.toml --json   two recipes, before either is run
"""

_show = partial(click.option, cls=Option, heading="What is shown")


@click.command(cls=Grouped, epilog=_EPILOG)
@click.argument("a", type=click.Path(readable=False))
@click.argument("b", type=click.Path(readable=False))
@_show(
    "--limit",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Show N rows of each kind of difference, spread evenly over the dataset.",
)
@_show("--json", "as_json", is_flag=True, help="Print counts and examples as one document.")
def diff(a: str, b: str, *, limit: int, as_json: bool) -> None:
    """Tell of which rows A and B decide differently.

    Each of them is the folder of a run, or of a dry run, or a recipe. What a recipe would decide is
    found out by a dry run that leaves nothing behind. Both must have read the same inputs.
    """
    from curatekit import _native  # noqa: PLC0415 (help does without the rest of this)
    from curatekit.cli.terminal import Meter, clean, console  # noqa: PLC0415
    from curatekit.diff import difference, opened  # noqa: PLC0415

    _native.guard_maps()
    try:
        with ExitStack() as stack:
            with Meter(quiet=not sys.stderr.isatty()) as meter:
                one, other = (stack.enter_context(opened(Path(side), meter)) for side in (a, b))
            found = difference(one, other, (a, b), limit=limit)
    except ValueError as error:
        raise CurateError(str(error)) from error
    except StepError as error:
        sys.stderr.write(clean(error.trace))
        raise
    if as_json:
        from curatekit.report import to_json  # noqa: PLC0415

        sys.stdout.write(to_json(found).decode())
    else:
        _Printer(console()).print(found)


class _Printer:
    """Prints a difference."""

    def __init__(self, to: Console) -> None:
        from curatekit.cli.beside import Beside  # noqa: PLC0415

        self._to = to
        self._beside = Beside(to, full=False)

    def print(self, found: Difference) -> None:
        """Print counts, and kind by kind some examples."""
        self._print_told("A", found.a)
        self._print_told("B", found.b)
        self._print_part(found.read, "rows")
        if found.generated.counts.rows:
            self._to.print()
            self._print_part(found.generated, "rows that steps made")

    def _print_told(self, letter: str, told: Told) -> None:
        kind = ", a prediction" if told.is_prediction else ""
        self._beside.say(f"{letter} is {told.name}{kind}", "dim")
        for brake in told.brakes:
            self._beside.say(f"  the run would stop: {brake}", "yellow")

    def _print_part(self, part: Part, what: str) -> None:
        counts = part.counts
        same, different = f"{counts.same:,} decided alike", f"{counts.different:,} differently"
        self._beside.say(f"{counts.rows:,} {what}: {same}, {different}", "bold")
        self._beside.say(_kept(counts))
        for kind in part.different:
            self._to.print()
            self._beside.say(f"{kind.rows:,}: {_fate(kind.a)} → {_fate(kind.b)}", "bold")
            for example in kind.examples:
                self._print_example(example)
        self._print_rewritten(part.changed_by_a_only, "A")
        self._print_rewritten(part.changed_by_b_only, "B")

    def _print_rewritten(self, rewritten: Rewritten, letter: str) -> None:
        if rewritten.rows:
            self._to.print()
            told = f"{rewritten.rows:,}: kept by both, changed by {letter} only"
            self._beside.say(told, "bold")
            for example in rewritten.examples:
                self._print_example(example)

    def _print_example(self, example: Example) -> None:
        from rich.text import Text  # noqa: PLC0415

        from curatekit.cli.beside import named  # noqa: PLC0415
        from curatekit.cli.terminal import clean, say  # noqa: PLC0415
        from curatekit.evidence import Place  # noqa: PLC0415

        if example.file is not None:
            place = named(Place(example.row or 0, example.file, example.line or 0))
        else:
            sides = (("A", example.row), ("B", example.row_in_b))
            place = ", ".join(f"row {row} of {letter}" for letter, row in sides if row is not None)
        line = Text(clean(place))
        for letter, grounds in (("A", example.a), ("B", example.b)):
            if told := self._grounds(grounds):
                line.append(f"; {letter}: {told}")
        say(self._to, line, indent=2)
        for role, text in example.texts.items():
            line = Text.assemble((clean(role), "cyan"), f"  {self._beside.shortened(text)}")
            say(self._to, line, indent=4)

    def _grounds(self, grounds: Grounds) -> str:
        from curatekit.cli.beside import named, similarity  # noqa: PLC0415

        told = [grounds.message, grounds.evidence]
        if grounds.witness is not None:
            told += [f"of {named(grounds.witness)}", similarity(grounds.shared, grounds.united)]
        told += [
            f"{name} {'none' if score is None else f'{score:g}'}"
            for name, score in grounds.scores.items()
        ]
        return ", ".join(self._beside.shortened(one) for one in told if one)


def _kept(counts: Counts) -> str:
    told = [
        f"kept by both {counts.kept_by_both:,}",
        f"by A only {counts.kept_by_a_only:,}",
        f"by B only {counts.kept_by_b_only:,}",
        f"by neither {counts.kept_by_neither:,}",
    ]
    told += [f"undecided {counts.undecided:,}"] * bool(counts.undecided)
    return ", ".join(told)


def _fate(fate: Fate) -> str:
    """Name what was decided: `removed by length, too-short`."""
    told = fate.state.replace("-", " ") if fate.state != "absent" else "not looked at"
    told += f" by {fate.step}" * bool(fate.step)
    return told + f", {fate.reason}" * bool(fate.reason)

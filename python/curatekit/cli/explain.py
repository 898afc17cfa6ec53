"""`curatekit explain`: the life of one row."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from curatekit.cli.options import Grouped, Option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from curatekit.evidence import Place
    from curatekit.explain import Deed, Life
    from curatekit.folder import RunFolder

_EPILOG = """\b
Examples:
  curatekit explain out 1711              by the number of the row, from 0
  curatekit explain out data/a.jsonl:18   by its file and line
  curatekit explain out 1711 --json       for a program
"""
_STYLES = {
    "passed": "dim",
    "changed": "yellow",
    "flagged": "yellow",
    "generated": "yellow",
    "removed": "bold red",
    "quarantined": "bold red",
    "undecided": "bold red",
}

_show = partial(click.option, cls=Option, heading="What is shown")


@click.command(cls=Grouped, epilog=_EPILOG)
@click.argument("out", type=click.Path(readable=False))
@click.argument("row", metavar="ROW|FILE:LINE")
@_show("--full", is_flag=True, help="Show texts in full, and not only how they begin.")
@_show("--json", "as_json", is_flag=True, help="Print all of it as one document.")
def explain(out: str, row: str, *, full: bool, as_json: bool) -> None:
    """Tell what became of a row, step by step, and why.

    OUT is the folder of a run, or of a dry run. Where steps rewrote the row, words that are gone
    are red, and new ones are green; where there are no colours, they are marked [-so-] and {+so+}.
    A duplicate is shown beside the row that stands for it.
    """
    from curatekit.explain import explain as explained  # noqa: PLC0415 (help does without)
    from curatekit.folder import RunFolder  # noqa: PLC0415

    folder = RunFolder(Path(out), needs_rows=False)
    life = explained(folder, folder.ledger.find(row))
    if as_json:
        from curatekit.report import to_json  # noqa: PLC0415

        sys.stdout.write(to_json(life).decode())
        return
    from curatekit.cli.terminal import console  # noqa: PLC0415

    _Printer(console(), folder, life, full=full).print()


class _Printer:
    """Prints a life."""

    def __init__(self, to: Console, folder: RunFolder, life: Life, *, full: bool) -> None:
        from curatekit.cli.beside import Beside  # noqa: PLC0415

        self._to = to
        self._folder = folder
        self._life = life
        self._beside = Beside(to, full=full)

    def print(self) -> None:
        """Print the steps, and then the texts."""
        from curatekit.cli.beside import named  # noqa: PLC0415
        from curatekit.evidence import Place  # noqa: PLC0415

        life = self._life
        place = named(Place(life.row, life.file or "", life.line or 0))
        byte = "" if life.byte is None else f", byte {life.byte}"
        self._beside.say(f"{place}{byte}: {self._fate()}", "bold")
        width = max((len(one.step) for one in life.steps), default=0)
        for deed in life.steps:
            self._print_deed(deed, width)
        if life.not_reached:
            self._print_dim(f"not reached: {', '.join(life.not_reached)}")
        if life.witness is not None and life.witness_ended_by is not None:
            witness = named(life.witness)
            self._print_dim(f"{witness} itself was ended by {life.witness_ended_by}")
        if life.without_text is not None:
            self._print_dim(f"no text: {life.without_text}")
        self._print_texts()

    def _fate(self) -> str:
        life = self._life
        if life.state == "absent":
            return "not looked at"
        told: list[str] = [life.state]
        if life.lines > 1:
            told.append(f"written {life.lines:,} times")
        if life.stands_for:
            more = life.stands_for_rows - len(life.stands_for)
            rows = ", ".join(map(str, life.stands_for)) + (f" and {more:,} more" if more else "")
            told.append(f"stands for {rows}")
        return ", ".join(told)

    def _print_deed(self, deed: Deed, width: int) -> None:
        from rich.text import Text  # noqa: PLC0415

        from curatekit.cli.terminal import clean, say  # noqa: PLC0415

        line = Text.assemble((f"{clean(deed.step):<{width}}", "cyan"), "  ")
        line.append(deed.action, _STYLES.get(deed.action, ""))
        if grounds := self._grounds(deed):
            line.append(f": {grounds}")
        say(self._to, line, indent=2)

    def _grounds(self, deed: Deed) -> str:
        """Say why a step did what it did."""
        from curatekit.cli.beside import named, similarity  # noqa: PLC0415

        reason = f"{deed.reason} of {named(deed.witness)}" if deed.witness else deed.reason
        told = [reason, similarity(deed.shared, deed.united), deed.message, deed.evidence]
        if deed.parent is not None:
            told.append(f"of {named(deed.parent)}")
        told += [f"{name} {_number(score)}" for name, score in deed.scores.items()]
        return ", ".join(self._beside.shortened(one) for one in told if one)

    def _print_texts(self) -> None:
        life = self._life
        if life.original is not None and life.now is not None and life.original != life.now:
            before = self._folder.texts_of(life.row, self._folder.ledger.original(life.row))
            self._print_rewritten(before, self._folder.texts_of(life.row))
        elif life.now is not None and life.witness is None:
            self._to.print()
            for role, text in self._folder.texts_of(life.row).items():
                self._print_text(role, text)
        if life.witness is not None and not self._folder.ledger.is_prediction:
            self._print_witness(life.witness)

    def _print_rewritten(self, before: Mapping[str, str], now: Mapping[str, str]) -> None:
        """Print role by role what a text was and what it is."""
        from curatekit.cli.words import compare  # noqa: PLC0415

        self._to.print()
        self._beside.print_legend("as it was read", "as it left")
        for role in dict.fromkeys((*before, *now)):
            one, other = before.get(role, ""), now.get(role, "")
            if one == other:
                self._print_text(role, f"equal: {one}", "dim")
                continue
            is_space = one.split() == other.split()
            self._print_text(role, "differs in white space only" if is_space else "", "dim")
            self._beside.print_pieces(compare(one, other))

    def _print_text(self, role: str, text: str, style: str = "") -> None:
        from rich.text import Text  # noqa: PLC0415

        from curatekit.cli.terminal import clean, say  # noqa: PLC0415

        line = Text.assemble((clean(role), "cyan"), "  ", (self._beside.shortened(text), style))
        say(self._to, line, indent=2)

    def _print_witness(self, witness: Place) -> None:
        """Print a removed row beside the row that stands for it."""
        from curatekit.cli.beside import named  # noqa: PLC0415
        from curatekit.errors import CurateError  # noqa: PLC0415

        decision = self._folder.ledger.decision(self._life.row)
        assert decision is not None  # noqa: S101 (it names the witness)
        try:
            case = self._folder.case(decision)
        except CurateError as error:  # with `--removed refer`, of one of the two
            if self._folder.ledger.manifest.removed != "refer":
                raise
            if self._life.without_text != error.message:
                self._print_dim(f"no text of {named(witness)}: {error.message}")
            return
        self._to.print()
        self._beside.print_legend("only in this row", f"only in row {witness.row}")
        self._beside.print_texts(case.texts, decision.roles)

    def _print_dim(self, text: str) -> None:
        from rich.text import Text  # noqa: PLC0415

        from curatekit.cli.terminal import clean, say  # noqa: PLC0415

        say(self._to, Text(clean(text), "dim"), indent=2)


def _number(score: float | None) -> str:
    return "none" if score is None else f"{score:g}"

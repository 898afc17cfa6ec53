"""Two rows beside each other: what both say, and what only one of them says."""

import re
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from curatekit.cli.terminal import clean, say
from curatekit.cli.words import Piece, beginning, compare, elide, fillings
from curatekit.evidence import Case, Place
from curatekit.evidence import Text as TwoTexts

_STYLES = {
    "both": "",
    "removed": "bold red",
    "witness": "bold green",
    "slot": "bold yellow",
    "gap": "dim",
}
_MARKS = {"removed": ("[-", "-]"), "witness": ("{+", "+}"), "slot": ("[=", "=]")}
_MOST = 600
"""Characters of a text that are looked at for how it begins."""


class Beside:
    """Prints texts, alone or beside one another; in full, or shortened to what matters."""

    def __init__(self, to: Console, *, full: bool) -> None:
        self._to = to
        self._full = full
        self._coloured = to.color_system is not None and not to.no_color

    def print_case(self, case: Case) -> None:
        """Print a row that is not kept, and where it was removed, what its witness has instead."""
        decision = case.decision
        row = named(decision.place)
        self._to.print()
        if decision.state == "quarantined":
            byte = f", byte {decision.byte}" if decision.file else ""
            self.say(f"{row}{byte}: {decision.reason}, {decision.message}", "bold")
            self.say(case.row.decode(errors="replace"), indent=4)
            return
        if decision.witness is None:
            evidence = f", {self.shortened(decision.evidence)}" if decision.evidence else ""
            self.say(f"{row}: {decision.reason} by {decision.step}{evidence}", "bold")
            for text in case.texts:
                line = Text.assemble((clean(text.role), "cyan"), f"  {self.shortened(text.row)}")
                say(self._to, line, indent=2)
            return
        alike = f", {similarity(decision.shared, decision.united)}" if decision.united else ""
        self.say(f"{row}: {decision.reason} of {named(decision.witness)}{alike}", "bold")
        self.print_texts(case.texts, decision.roles)

    def print_texts(
        self, texts: Sequence[TwoTexts], shingles: Mapping[str, tuple[int, int]]
    ) -> None:
        """Print role by role what two rows say, with the shingles that they have in common."""
        for text in texts:
            line = Text.assemble((clean(text.role), "cyan"), "  ")
            if text.row == text.other:
                line.append(f"equal: {self.shortened(text.row)}", "dim")
                say(self._to, line, indent=2)
                continue
            alike = similarity(*shingles.get(text.role, (0, 0)))
            line.append(alike if text.is_compared else "not compared", "dim")
            say(self._to, line, indent=2)
            self.print_pieces(compare(text.row, text.other))

    def print_template(self, template: str) -> None:
        """Print a template in full, and the legend of its members."""
        say(self._to, Text("template", "cyan"), indent=2)
        say(self._to, Text(re.sub(r"\s*\n\s*", " ↵ ", clean(template))), indent=4)
        self._to.print()
        legend = [Piece("slot", "fills a slot"), Piece("both", "  ")]
        legend += [Piece("removed", "only in this row"), Piece("both", "  ")]
        self.print_pieces([*legend, Piece("witness", "only in the template")], indent=0)

    def print_member(self, heading: str, text: str, template: str) -> None:
        """Print a row of a family, with what it has of its own marked."""
        self._to.print()
        self.say(heading, "bold")
        self.print_pieces(fillings(text, template))

    def print_pieces(self, pieces: list[Piece], indent: int = 4) -> None:
        """Print what was aligned, with the sides marked."""
        line, last = Text(), ""
        for piece in pieces if self._full else elide(pieces):
            if not (text := self._flat(piece.text)):
                continue
            if not self._coloured:
                text = text.join(_MARKS.get(piece.side, ("", "")))
            elif piece.side == "witness" and last == "removed":
                line.append(" ")
            line.append(text, _STYLES[piece.side])
            last = piece.side
        say(self._to, line, indent)

    def print_legend(self, row: str, other: str) -> None:
        """Explain the marks of the two sides."""
        pieces = [Piece("removed", row), Piece("both", "  "), Piece("witness", other)]
        self.print_pieces(pieces, indent=0)

    def say(self, text: str, style: str = "", indent: int = 0) -> None:
        """Print a text; an indented one belongs to a row, and is shortened."""
        say(self._to, Text(self.shortened(text) if indent else clean(text), style), indent)

    def shortened(self, text: str) -> str:
        """Clean a text, and give how it begins unless it is wanted in full."""
        return self._flat(text if self._full else beginning(text[:_MOST]))

    def _flat(self, text: str) -> str:
        """Clean a text, and put its lines into one unless it is wanted in full."""
        return clean(text) if self._full else re.sub(r"\s*\n\s*", " ↵ ", clean(text))


def named(place: Place) -> str:
    """Name a row by its number and by where it stands."""
    return f"row {place.row} ({place.file}:{place.line})" if place.file else f"row {place.row}"


def similarity(shared: int, united: int) -> str:
    """Write a similarity, rounded down: none may look as if it reached a threshold above it."""
    if not united:
        return ""
    return f"{shared:,} of {united:,} shingles = {shared * 1000 // united / 1000:.3f}"

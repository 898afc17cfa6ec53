"""Rows of a run folder, laid out so that a person can judge them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from curatekit.cli.terminal import clean, say
from curatekit.cli.words import Piece, beginning, compare, elide
from curatekit.errors import CurateError
from curatekit.folder import Case, Decision, RunFolder

_STYLES = {"both": "", "removed": "bold red", "witness": "bold green", "gap": "dim"}
_MARKS = {"removed": ("[-", "-]"), "witness": ("{+", "+}")}
_FATES = {
    None: "removed",
    "exact-duplicate": "removed as exact duplicates",
    "near-duplicate": "removed as near-duplicates",
    "quarantined": "quarantined",
}
_MOST = 600
"""Characters of a text that are looked at for how it begins."""
_NAMED = 20
"""Rows that are named one by one."""


class Page:
    """Prints rows one below the other; in full, or shortened to what matters."""

    def __init__(self, to: Console, folder: RunFolder, *, full: bool) -> None:
        self._to = to
        self._folder = folder
        self._full = full
        self._coloured = to.color_system is not None and not to.no_color

    def print_sample(self, reason: str | None, limit: int | None) -> None:
        """Print `limit` rows that are not kept for a reason, or that were removed."""
        counts = self._folder.counts
        kinds = (reason,) if reason else ("near-duplicate", "exact-duplicate")
        total = sum(counts[kind] for kind in kinds)
        quotas = _share_out(kinds, counts, total if limit is None else max(0, limit))
        shown = sum(quotas.values())
        remark = f", {shown:,} shown" if shown < total else ""
        self._say(f"{total:,} of {self._folder.rows:,} rows {_FATES[reason]}{remark}", "dim")
        if reason != "quarantined" and total:
            self._print_legend()
        for decision in _spread(self._folder.decisions(), counts, quotas):
            self._print_case(decision)

    def print_row(self, row: int) -> None:
        """Print what became of one row.

        Raises:
            CurateError: The run read no such row.
        """
        rows = self._folder.rows
        if not 0 <= row < rows:
            raise CurateError(f"there is no row {row}: the run read {rows:,} rows, counted from 0")
        stands_for = []
        for decision in self._folder.decisions():
            if decision.row == row:
                if decision.state == "removed":
                    self._print_legend()
                self._print_case(decision)
                return
            if decision.witness and decision.witness.row == row:
                stands_for.append(f"{decision.row}")
        more = f" and {len(stands_for) - _NAMED:,} more" if len(stands_for) > _NAMED else ""
        reason = f", and stands for {', '.join(stands_for[:_NAMED])}{more}" if stands_for else ""
        self._say(f"row {row} is kept{reason}", "bold")
        texts = self._texts(self._folder.kept_row(row), self._folder.file_of(row))
        for role, text in texts.items():
            self._say(role, "cyan", indent=2)
            self._say(text, indent=4)

    def _print_case(self, decision: Decision) -> None:
        place = f"row {decision.row} ({decision.file}:{decision.line})"
        case = self._folder.case(decision)
        self._to.print()
        if decision.witness is None:
            reason = f"{decision.reason}, {decision.message}"
            self._say(f"{place}, byte {decision.byte}: {reason}", "bold")
            self._say(case.row.decode(errors="replace"), indent=4)
            return
        witness = f"row {decision.witness.row} ({decision.witness.file}:{decision.witness.line})"
        alike = f", {_similarity(decision.shared, decision.united)}" if decision.united else ""
        self._say(f"{place}: {decision.reason} of {witness}{alike}", "bold")
        self._print_difference(case)

    def _print_difference(self, case: Case) -> None:
        decision = case.decision
        mine = self._texts(case.row, decision.file)
        witness = decision.witness or decision
        its = self._texts(case.witness, witness.file)
        for role in dict.fromkeys((*mine, *its)):
            text, other = mine.get(role, ""), its.get(role, "")
            line = Text.assemble((clean(role), "cyan"), "  ")
            if text == other:
                line.append(f"equal: {self._shortened(text)}", "dim")
                say(self._to, line, indent=2)
                continue
            alike = _similarity(*decision.roles.get(role, (0, 0)))
            line.append(alike if self._folder.is_compared(role) else "not compared", "dim")
            say(self._to, line, indent=2)
            self._print_pieces(compare(text, other))
        for name, value, other in self._folder.elsewhere(case):
            say(self._to, Text.assemble((clean(name), "cyan"), ("  not compared", "dim")), indent=2)
            self._print_pieces([Piece("removed", value), Piece("witness", other)])

    def _print_pieces(self, pieces: list[Piece], indent: int = 4) -> None:
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

    def _print_legend(self) -> None:
        removed = Piece("removed", "only in the removed row")
        witness = Piece("witness", "only in the row that stands for it")
        self._print_pieces([removed, Piece("both", "  "), witness], indent=0)

    def _say(self, text: str, style: str = "", indent: int = 0) -> None:
        say(self._to, Text(self._shortened(text) if indent else clean(text), style), indent)

    def _shortened(self, text: str) -> str:
        return self._flat(text if self._full else beginning(text[:_MOST]))

    def _flat(self, text: str) -> str:
        """Clean a text, and put its lines into one unless it is wanted in full."""
        return clean(text) if self._full else re.sub(r"\s*\n\s*", " ↵ ", clean(text))

    def _texts(self, row: bytes, file: str) -> dict[str, str]:
        """Join the parts of a row by role; a row without the parts of its layout stays as it is."""
        try:
            parts = self._folder.parts(row, file)
        except ValueError:
            return {"row": row.decode(errors="replace")}
        texts: dict[str, str] = {}
        for role, text in parts:
            texts[role] = f"{texts[role]}\n\n{text}" if role in texts else text
        return texts


def _share_out(kinds: Sequence[str], counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Share `limit` rows out: three quarters to the first kind, if it has so many.

    That is near-duplicates, since an exact copy needs no judgement.
    """
    first, *others = kinds
    later = sum(counts[kind] for kind in others)
    quotas = {first: min(counts[first], limit - min(later, limit // 4))}
    return quotas | {kind: min(counts[kind], limit - quotas[first]) for kind in others}


def _spread(
    decisions: Iterable[Decision], counts: Mapping[str, int], quotas: Mapping[str, int]
) -> Iterator[Decision]:
    """Choose as many decisions of each kind as its quota says, the same distance apart."""
    seen = Counter[str]()
    for decision in decisions:
        kind, total = decision.kind, counts[decision.kind]
        before = (seen[kind] * quotas.get(kind, 0) + total // 2) // total
        seen[kind] += 1
        if before < (seen[kind] * quotas.get(kind, 0) + total // 2) // total:
            yield decision


def _similarity(shared: int, united: int) -> str:
    """Write a similarity, rounded down: none may look as if it reached a threshold above it."""
    if not united:
        return ""
    return f"{shared:,} of {united:,} shingles = {shared * 1000 // united / 1000:.3f}"

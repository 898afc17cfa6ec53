"""What `curatekit show` prints of a run folder: rows, pairs and families."""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import islice

from rich.console import Console

from curatekit.cli.beside import Beside, named, similarity
from curatekit.errors import CurateError, did_you_mean
from curatekit.evidence import EXACT, NEAR, QUARANTINED, Decision, Pair
from curatekit.folder import RunFolder, spread
from curatekit.report import outline

_FATES = {
    None: "removed",
    EXACT: "removed as exact duplicates",
    NEAR: "removed as near-duplicates",
    QUARANTINED: "quarantined",
}
_RULES = {
    "content": "alike in each role, but with a slot of their template filled differently",
    "numbers": "alike in each role, but with different numbers",
    "roles": "alike as a whole, but not in each role",
}
CLOSE = "close"
_NAMED = 20
"""Rows that are named one by one."""


class Page:
    """Prints what a run left; rows in full, or shortened to what matters."""

    def __init__(self, to: Console, folder: RunFolder, *, full: bool) -> None:
        self._to = to
        self._folder = folder
        self._beside = Beside(to, full=full)

    def print_sample(self, reason: str | None, limit: int | None) -> None:
        """Print `limit` rows that are not kept for a reason, or that were removed."""
        counts = self._folder.counts
        removed = sorted(set(counts) - {NEAR, EXACT, QUARANTINED})
        kinds = (reason,) if reason else (NEAR, *removed, EXACT)
        if reason and reason not in _FATES and not counts[reason]:
            if self._folder.reasons[reason]:
                self._print_quarantined(reason, limit)
                return
            known = sorted({*counts, *self._folder.reasons})
            hint = did_you_mean(reason, known) or f"there are `{'`, `'.join(known)}`"
            raise CurateError(f"no row has the reason `{reason}`", hint if known else None)
        total = sum(counts[kind] for kind in kinds)
        quotas = _share_out(kinds, counts, total if limit is None else max(0, limit))
        shown = sum(quotas.values())
        remark = f", {shown:,} shown" if shown < total else ""
        fate = _FATES.get(reason, f"removed as {reason}")
        self._beside.say(f"{total:,} of {self._folder.rows:,} rows {fate}{remark}", "dim")
        if any(quotas.get(kind) for kind in (NEAR, EXACT)):
            self._print_legend()
        for decision in spread(self._folder.decisions(), counts, quotas):
            self._beside.print_case(self._folder.case(decision))

    def _print_quarantined(self, reason: str, limit: int | None) -> None:
        """Print rows that are in quarantine for one reason, the first ones."""
        total = self._folder.reasons[reason]
        shown = total if limit is None else min(total, limit)
        remark = f", {shown:,} shown" if shown < total else ""
        of = f"{total:,} of {self._folder.rows:,} rows"
        self._beside.say(f"{of} quarantined as {reason}{remark}", "dim")
        chosen = (one for one in self._folder.decisions() if one.reason == reason)
        for decision in islice(chosen, shown):
            self._beside.print_case(self._folder.case(decision))

    def print_row(self, row: int) -> None:
        """Print what became of one row.

        Raises:
            CurateError: The run read no such row.
        """
        total = self._folder.rows
        if not 0 <= row < total:
            raise CurateError(f"there is no row {row}: the run read {total:,} rows, counted from 0")
        if (decision := self._folder.ledger.decision(row)) and decision.state != "kept":
            if decision.witness is not None:
                self._print_legend()
            self._beside.print_case(self._folder.case(decision))
            return
        rows = self._folder.stands_for(row)
        more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
        reason = f", and stands for {', '.join(map(str, rows[:_NAMED]))}{more}" if rows else ""
        self._beside.say(f"row {row} is kept{reason}", "bold")
        for role, text in self._folder.texts_of(row).items():
            self._beside.say(role, "cyan", indent=2)
            self._beside.say(text, indent=4)

    def print_pairs(self, which: str, limit: int | None) -> None:
        """Print pairs that a rule kept apart, or those closest to the threshold on both sides."""
        if which == CLOSE:
            above, below = self._pairs("removed")[::-1], self._pairs("threshold")
            total = len(above) + len(below)
            rows, apart = _count(len(above), "removed row"), _count(len(below), "pair")
            told = f"around the threshold: {rows}, and {apart} kept apart"
            if limit is not None:
                half = max(limit // 2, limit - len(below))
                above, below = above[:half], below[: limit - min(half, len(above))]
            pairs = [*reversed(above), *below]
        else:
            total = self._folder.apart.get(which, 0)
            told = f"{_count(total, 'pair')} {_RULES[which]}"
            pairs = self._pairs(which)[:limit]
        remark = f", {len(pairs):,} shown" if len(pairs) < total else ""
        self._beside.say(f"{told}{remark}", "dim")
        if pairs:
            self._beside.print_legend("only in the first row", "only in the second")
        fates = self._fates({pair.row.row for pair in pairs})
        for pair in pairs:
            self._print_pair(pair, fates.get(pair.row.row))

    def _pairs(self, verdict: str) -> list[Pair]:
        """Give the pairs of a verdict, those that are most alike first."""
        pairs = (pair for pair in self._folder.pairs if pair.verdict == verdict)
        return sorted(pairs, key=_alike, reverse=True)

    def _print_pair(self, pair: Pair, fate: Decision | None) -> None:
        if pair.verdict == "removed" and fate:
            self._beside.print_case(self._folder.case(fate))
            return
        rule = {"roles": f"the role {pair.role}", "threshold": "the threshold"}.get(
            pair.verdict, pair.verdict
        )
        alike = similarity(pair.shared, pair.united)
        self._to.print()
        self._beside.say(
            f"{named(pair.row)}: kept apart from {named(pair.kept)} by {rule}, {alike}", "bold"
        )
        if fate and fate.witness:
            self._beside.say(f"but {fate.reason} of {named(fate.witness)}", "dim")
        shingles = {pair.role: (pair.shared, pair.united)} if pair.role else {}
        self._beside.print_texts(self._folder.texts(pair), shingles)

    def print_families(self) -> None:
        """Print a line for each of the largest templates."""
        families = self._folder.families
        if not families:
            self._beside.say("no template: no two rows that are alike asked for one", "dim")
            return
        lines = [("family", "role", "rows", "texts", "apart", "edits", "template")]
        lines += [
            (
                f"{one.number}",
                one.role or "all",
                f"{one.rows:,}",
                f"{one.texts:,}",
                f"{one.pairs_apart:,}",
                f"{one.edits:,}",
                one.template,
            )
            for one in families
        ]
        widths = [max(len(line[at]) for line in lines) for at in range(6)]
        room = (
            max(32, self._to.width - sum(widths) - 2 * len(widths)) if self._to.is_terminal else 72
        )
        for line in lines:
            cells = (
                cell.ljust(width) if at == 1 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=False))
            )
            style = "dim" if line is lines[0] else ""
            self._beside.say(f"{'  '.join(cells)}  {outline(line[6], room)}", style)

    def print_family(self, number: int, limit: int | None) -> None:
        """Print a template, and how some rows fill it.

        Raises:
            CurateError: The run found no such family.
        """
        families = self._folder.families
        if not 1 <= number <= len(families):
            raise CurateError(
                f"there is no family {number}: the run found {len(families):,}, counted from 1"
            )
        family = families[number - 1]
        role = f"role {family.role}" if family.role else "all text"
        pairs, edits = _count(family.pairs_apart, "pair"), _count(family.edits, "edit")
        self._beside.say(
            f"family {number}, {role}: {_count(family.rows, 'row')} with "
            f"{_count(family.texts, 'text')}; its slots kept {pairs} apart, and removed rows hold "
            f"{edits} of it",
            "dim",
        )
        self._beside.print_template(family.template)
        members = family.members[:limit]
        fates = self._fates({place.row for place in members})
        for place in members:
            fate = fates.get(place.row)
            told = f"{fate.reason} of {named(fate.witness)}" if fate and fate.witness else "kept"
            texts = self._folder.texts_of(place.row)
            text = texts.get(family.role, "") if family.role else "\n\n".join(texts.values())
            self._beside.print_member(f"{named(place)}: {told}", text, family.template)

    def _fates(self, rows: Collection[int]) -> dict[int, Decision]:
        """Find those of some rows that are not kept."""
        found = ((row, self._folder.ledger.decision(row)) for row in rows)
        return {row: one for row, one in found if one is not None and one.state != "kept"}

    def _print_legend(self) -> None:
        self._beside.print_legend("only in the removed row", "only in the row that stands for it")


def _alike(pair: Pair) -> Fraction:
    return Fraction(pair.shared, max(1, pair.united))


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _share_out(kinds: Sequence[str], counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Share `limit` rows out evenly, but for exact copies, which need no judgement.

    Those get a quarter at most, unless there are too few others.
    """
    copies = min(counts[EXACT], limit // 4) if EXACT in kinds and len(kinds) > 1 else 0
    left = limit - copies
    quotas = dict.fromkeys(kinds, 0)
    others = [kind for kind in kinds if kind != EXACT or len(kinds) == 1]
    others.sort(key=lambda kind: counts[kind])
    for at, kind in enumerate(others):  # the rarest first: what they leave goes to the others
        quotas[kind] = min(counts[kind], -(-left // (len(others) - at)))
        left -= quotas[kind]
    if EXACT in kinds and len(kinds) > 1:
        quotas[EXACT] = min(counts[EXACT], copies + left)
    return quotas

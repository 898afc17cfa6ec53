"""Two texts side by side: the words that both have, and those that only one has.

A template is a text too, in which `…` stands for what every text has of its own.
"""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import groupby
from operator import attrgetter
from typing import Literal, NamedTuple

from curatekit.evidence import SLOT

Side = Literal["both", "removed", "witness", "slot", "gap"]

_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"\s*(?:[^\W{_UNSPACED}]+|\S)|\s+", re.DOTALL)
_MOST = 20_000
"""Words beyond which two texts are not aligned, which would take longer than a person waits."""


class Piece(NamedTuple):
    """A stretch of text, and whose it is."""

    side: Side
    text: str


def compare(removed: str, witness: str) -> list[Piece]:
    """Align two texts word by word.

    But for white space, a side's own pieces and those of both make up its text.
    """
    mine, its = _WORD.findall(removed), _WORD.findall(witness)
    start = _common(mine, its)
    end = _common(mine[start:][::-1], its[start:][::-1])
    mine_between, its_between = mine[start : len(mine) - end], its[start : len(its) - end]
    pieces = [Piece("both", "".join(mine[:start]))]
    if max(len(mine_between), len(its_between)) > _MOST:
        pieces += _hunk(mine_between, its_between)
    else:
        matcher = SequenceMatcher(None, mine_between, its_between)
        for tag, i, j, k, m in matcher.get_opcodes():
            if tag == "equal":
                pieces.append(Piece("both", "".join(mine_between[i:j])))
            else:
                pieces += _hunk(mine_between[i:j], its_between[k:m])
    pieces.append(Piece("both", "".join(mine[len(mine) - end :])))
    return [
        Piece(side, "".join(piece.text for piece in run))
        for side, run in groupby((piece for piece in pieces if piece.text), key=attrgetter("side"))
    ]


def fillings(text: str, template: str) -> list[Piece]:
    """Align a text with its template: what fills a slot, and where the two differ otherwise."""
    pieces: list[Piece] = []
    is_slot = False
    for piece in compare(text, template):
        is_empty_slot, is_slot = is_slot, piece.side == "witness" and SLOT in piece.text
        if not is_slot:
            # The spaces before and after a slot that nothing fills stand beside each other.
            words = piece.text.lstrip() if is_empty_slot else piece.text
            pieces.append(Piece(piece.side, words))
        elif pieces and pieces[-1].side == "removed":
            pieces[-1], is_slot = Piece("slot", pieces[-1].text), False
    return pieces


def elide(pieces: list[Piece], around: int = 8, most: int = 60) -> Iterator[Piece]:
    """Keep `around` words of what both have beside a difference, and `most` of a difference."""
    for number, piece in enumerate(pieces):
        words = _WORD.findall(piece.text)
        if piece.side == "both":
            head = around if number > 0 else 0
            tail = around if number < len(pieces) - 1 else 0
        else:
            head = tail = most // 2
        if len(words) <= head + tail + 4:  # a gap would not be shorter
            yield piece
            continue
        yield Piece(piece.side, "".join(words[:head]))
        left_out = f"… {len(words) - head - tail:,} words …"
        yield Piece("gap", " " * (head > 0) + left_out + " " * (tail > 0))
        yield Piece(piece.side, "".join(words[len(words) - tail :]).lstrip())


def beginning(text: str, words: int = 24) -> str:
    """Take the first words of a text."""
    found = _WORD.findall(text)
    return text.strip() if len(found) <= words else "".join(found[:words]).strip() + " …"


def _common(mine: list[str], its: list[str]) -> int:
    pairs = zip(mine, its, strict=False)
    return next(
        (at for at, (one, other) in enumerate(pairs) if one != other), min(len(mine), len(its))
    )


def _hunk(mine: list[str], its: list[str]) -> Iterator[Piece]:
    """Mark what differs, with the space before it left outside the marks."""
    removed, witness = "".join(mine), "".join(its)
    spaces = {text[: len(text) - len(text.lstrip())] for text in (removed, witness) if text.strip()}
    if len(spaces) == 1:
        space = spaces.pop()
        yield Piece("both", space)
        removed, witness = removed.removeprefix(space), witness.removeprefix(space)
    yield Piece("removed", removed)
    yield Piece("witness", witness)

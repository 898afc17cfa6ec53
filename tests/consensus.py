"""Is a difference between two texts content, or an edit? The rule of consensus, slow and obvious.

A *hunk* is a run of tokens in which two texts of a role differ. A *family* is the texts of a role
that hang together at five eighths of the threshold. What nearly all of a family say at a place is
its consensus: a side that goes another way there was edited. Where there is no consensus, every
text fills the place in its own way, and what it says there is content.
"""

import difflib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

Words = tuple[str | None, ...]
"""The tokens of a text; None stands between two parts."""
Shingles = frozenset[tuple[object, ...]]

START, END = "<start>", "<end>"  # no tokens, since a symbol is a token by itself
ORDERS = (3, 2, 1)
"""Tokens before a hunk that are asked how the family goes on; the longest first."""


class Hunk(NamedTuple):
    """Where one text says something else than the other; one of the two may be empty."""

    start: int
    end: int
    other_start: int
    other_end: int


def hunks(words: Words, other: Words) -> list[Hunk]:
    """Where two texts differ, between their common beginning and their common end."""
    shorter = min(len(words), len(other))
    head = 0
    while head < shorter and words[head] == other[head]:
        head += 1
    tail = 0
    while tail < shorter - head and words[-1 - tail] == other[-1 - tail]:
        tail += 1
    mine, yours = words[head : len(words) - tail], other[head : len(other) - tail]
    matcher = difflib.SequenceMatcher(None, mine, yours, autojunk=False)
    return [
        Hunk(*(head + at for at in places))
        for tag, *places in matcher.get_opcodes()
        if tag != "equal"
    ]


def overlap(mine: Shingles, yours: Shingles) -> tuple[int, int]:
    """Shared and united shingles."""
    shared = len(mine & yours)
    return shared, len(mine) + len(yours) - shared


def is_alike(mine: Shingles, yours: Shingles, threshold_millis: int) -> bool:
    """Are two sets at least as similar as the threshold? Two empty ones are."""
    few, many = sorted((len(mine), len(yours)))
    if few * 1000 < threshold_millis * many:
        return False
    shared, united = overlap(mine, yours)
    return shared * 1000 >= threshold_millis * united


def shingles(words: Words, ngram: int) -> Shingles:
    """The n-grams of a text; of one with fewer than n tokens, all of them."""
    return frozenset(words[at : at + ngram] for at in range(max(1, len(words) - ngram + 1)))


def framed(words: Words, ngram: int) -> Shingles:
    """With those that reach over its borders: its first word stands in as many as others do."""
    around = (START,) * (ngram - 1) + words + (END,) * (ngram - 1)
    return shingles(words, ngram) | shingles(around, ngram)


class Family:
    """Three or more texts of a role that hang together, and how they go on after each context."""

    def __init__(self, members: Sequence[Words], ngram: int) -> None:
        self.ngram = ngram
        self.size = len(members)
        self.evidence = max(3, min(10, self.size // 2))
        after: dict[Words, dict[str | None, list[Words]]] = defaultdict(lambda: defaultdict(list))
        holders: Counter[tuple[object, ...]] = Counter()
        for words in members:
            said = (START, START, START, *words, END)
            for at in range(3, len(said)):
                for order in ORDERS:
                    after[said[at - order : at]][said[at]].append(words)
            holders.update(framed(words, ngram))
        self.after = after
        """Of each context: the texts that go on with a word, as often as they do."""
        self.shared = frozenset(
            shingle for shingle, count in holders.items() if count >= self.evidence
        )
        """What so many say that the others know about it."""

    def is_content(self, words: Words, other: Words, hunk: Hunk) -> bool:
        """Does neither text go on as nearly all of the family do?"""
        said = (START, START, START, *words[: hunk.start])
        mine, yours = (*words, END)[hunk.start], (*other, END)[hunk.other_start]
        for order in ORDERS:
            context = said[len(said) - order :]
            goes_on = self.after.get(context, {})
            total = len(set().union(*goes_on.values()))
            if total >= self.evidence:
                nearly_all = {
                    word
                    for word, texts in goes_on.items()
                    if is_few(total - len(set(texts)), total)
                }
                # Texts that have the context again and again may have a slot among its places.
                others = sum(
                    len(texts) for word, texts in goes_on.items() if word not in nearly_all
                )
                return not is_few(others, total) or nearly_all.isdisjoint((mine, yours))
        return True

    def is_rest_alike(self, words: Words, other: Words, threshold_millis: int) -> bool:
        """Are two texts alike, but for what they share with enough others?"""
        mine, yours = framed(words, self.ngram), framed(other, self.ngram)
        rest = len((mine & yours) - self.shared)
        return rest * 1000 >= threshold_millis * (rest + len(mine ^ yours))


def is_few(count: int, total: int) -> bool:
    """One, or less than a fifth."""
    return count <= 1 or 5 * count < total


def families(texts: Mapping[Words, Shingles], link_millis: int, ngram: int) -> dict[Words, Family]:
    """The family of each text of a role that has one: those that links connect."""
    of: dict[Words, list[Words]] = {words: [words] for words in texts}
    for words, other in combinations(texts, 2):
        if of[words] is not of[other] and is_alike(texts[words], texts[other], link_millis):
            of[words] += of[other]
            for member in of[other]:
                of[member] = of[words]
    made = {id(members): members for members in of.values() if len(members) >= 3}
    known = {key: Family(members, ngram) for key, members in made.items()}
    return {words: known[id(members)] for words, members in of.items() if id(members) in known}


def differ_in_content(
    words: Words, other: Words, family: Family | None, threshold_millis: int
) -> bool:
    """Is a hunk content, and are the two texts unlike apart from what they share with others?"""
    if family is None:
        return False
    if not any(family.is_content(words, other, hunk) for hunk in hunks(words, other)):
        return False
    return not family.is_rest_alike(words, other, threshold_millis)

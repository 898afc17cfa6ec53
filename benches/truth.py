"""The exact truth of the comparison: all pairs of near-duplicate rows, and what keep-first removes.

Written from the documented rules alone, so that it can judge: it shares no code with curatekit or
any peer. Nothing in it is estimated or hashed; tokens and n-grams are numbered. Pairs are found by
a prefix-filter join (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007): with the
n-grams of every row sorted rarest first, two rows of similarity t or more share one of their first
`size - ceil(t * size) + 1`.
"""

import argparse
import json
import random
import re
import sys
import unicodedata
from array import array
from collections.abc import Hashable
from itertools import chain, combinations, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus import DEFAULT_FOLDER, Corpus, build

NGRAM = 5
THRESHOLD_MILLIS = 800

Ints = NDArray[np.int64]


class Truth(NamedTuple):
    """What is so, whoever asks."""

    pairs: Ints
    """Every pair of rows at or above the threshold, the earlier one first, `(pairs, 2)`."""
    removed: NDArray[np.bool_]
    """Rows that keep-first removes, `(rows,)`."""

    @property
    def has_neighbour(self) -> NDArray[np.bool_]:
        """Rows that stand in any pair, `(rows,)`."""
        found = np.zeros(len(self.removed), bool)
        found[self.pairs.ravel()] = True
        return found


def load(corpus: Corpus) -> Truth:
    """The truth about a corpus; kept in a file beside it, for the same rows and rules."""
    path = corpus.path.with_name("truth.npz")
    made_for = f"{corpus.sha256} {NGRAM} {THRESHOLD_MILLIS}"
    if path.exists():
        with np.load(path) as stored:
            if str(stored["made_for"]) == made_for:
                return Truth(stored["pairs"], stored["removed"])
    truth = find(read_texts(corpus.path))
    np.savez(path, made_for=made_for, **truth._asdict())
    return truth


def read_texts(path: Path) -> list[str]:
    """The text of every row."""
    with path.open("rb") as lines:
        return [json.loads(line)["text"] for line in lines]


def find(texts: list[str]) -> Truth:
    """Find all pairs, then walk the rows: one goes if an earlier kept row is its neighbour."""
    pairs = _all_pairs(*_number_shingles(texts))
    return Truth(pairs, keep_first(pairs, len(texts)))


def keep_first(pairs: Ints, rows: int) -> NDArray[np.bool_]:
    """Which rows go, `(rows,)`: those with an earlier kept one in a pair."""
    removed = np.zeros(rows, bool)
    for earlier, later in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].tolist():
        if not removed[earlier]:
            removed[later] = True
    return removed


def tokens(text: str) -> list[str]:
    """Words, single symbols, windows of three in scripts without spaces; lower case, decomposed."""
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    # `str.lower` has another small sigma for the end of a word; the rule folds one by one.
    folded = unicodedata.normalize("NFD", text).replace("Σ", "σ").lower().replace("_", " ")
    runs = _TOKEN.findall(folded)
    if not _UNSPACED.search(folded):
        return runs
    pieces = [piece for run in runs for piece in _PIECE.findall(run)]
    return [token for piece in pieces for token in _windows(piece)]


def _windows(piece: str) -> list[str]:
    if not _UNSPACED.match(piece):
        return [piece]
    return [piece[at : at + 3] for at in range(max(1, len(piece) - 2))]


def _class(*categories: str, names: str = "") -> str:
    """The inside of a character class: first plane only, `re` is slow with wider classes."""
    return "".join(
        re.escape(chr(code))
        for code in range(0x10000)
        if unicodedata.category(chr(code)).startswith(categories)
        and re.match(names, unicodedata.name(chr(code), ""))
    )


_SYMBOLS = r"+\-*/=<>^%" + _class("Sm", "Sc")
_MARKS = _class("M")
_LONG = _class("L", "M", names="(CJK|HIRAGANA|KATAKANA|THAI|LAO|KHMER|MYANMAR|TIBETAN) ")
_UNSPACED = re.compile(f"[{_LONG}]")
_PIECE = re.compile(f"[{_LONG}]+|[^{_LONG}]+")
_TOKEN = re.compile(f"[{_SYMBOLS}][{_MARKS}]*|[\\w{_MARKS}]+")
_ASCII_TOKEN = re.compile(r"[a-z0-9]+|[+\-*/=<>^%$|~]")


def _number_shingles(texts: list[str]) -> tuple[Ints, Ints]:
    """Number the n-grams, equal ones alike; give every (row, n-gram) once, sorted."""
    words: dict[str, int] = {}
    flat, lengths = array("q"), []
    wholes: dict[Hashable, int] = {}
    short_rows, short_ids = [], []
    for row, text in enumerate(texts):
        row_tokens = tokens(text)
        lengths.append(len(row_tokens))
        flat.extend(words.setdefault(word, len(words)) for word in row_tokens)
        if len(row_tokens) < NGRAM:
            short_rows.append(row)
            # A row without a token is compared by its text alone.
            short_ids.append(wholes.setdefault(tuple(row_tokens) or text, len(wholes)))
    word_at = np.frombuffer(flat, np.int64)
    ids = word_at
    for size in range(1, NGRAM):
        # The numbers of the distinct pairs (n-gram, next word) are those of n-grams one longer.
        ids = np.unique(ids[:-1] * len(words) + word_at[size:], return_inverse=True)[1]
    row_of = np.repeat(np.arange(len(texts)), lengths)[: len(ids)]
    inside = row_of == np.repeat(np.arange(len(texts)), lengths)[NGRAM - 1 :]
    rows = np.concatenate([row_of[inside], np.array(short_rows, np.int64)])
    shingles = np.concatenate(
        [ids[inside], np.array(short_ids, np.int64) + ids.max(initial=-1) + 1]
    )
    width = shingles.max() + 1
    return np.divmod(np.unique(rows * width + shingles), width)


def _all_pairs(rows: Ints, shingles: Ints) -> Ints:
    frequency = np.bincount(shingles)
    rank = np.empty(len(frequency), np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(frequency))
    width = len(frequency)
    members = np.sort(rows * width + rank[shingles])  # row by row, rarest first
    sizes = np.bincount(rows)
    starts = np.cumsum(sizes) - sizes

    prefixes = sizes - -(-sizes * THRESHOLD_MILLIS // 1000) + 1
    place = np.arange(len(members)) - np.repeat(starts, sizes)
    in_prefix = members[place < np.repeat(prefixes, sizes)]
    row_of, shingle_of = np.divmod(in_prefix, width)
    order = np.lexsort((row_of, shingle_of))
    row_of, shingle_of = row_of[order], shingle_of[order]

    candidates = _candidates(row_of, shingle_of, sizes)
    parts = [
        _verified(part, members, width, starts, sizes)
        for part in np.array_split(candidates, len(candidates) // 20_000 + 1)
    ]
    return np.concatenate(parts)


def _candidates(row_of: Ints, shingle_of: Ints, sizes: Ints) -> Ints:
    """Pairs of rows that meet in a posting list and whose sizes allow the threshold, each once."""
    found = np.empty(0, np.int64)
    waiting: list[Ints] = []
    at, distance = np.arange(len(row_of)), 0
    while len(at):
        distance += 1
        at = at[at + distance < len(row_of)]
        at = at[shingle_of[at + distance] == shingle_of[at]]
        left, right = row_of[at], row_of[at + distance]
        small, large = np.minimum(sizes[left], sizes[right]), np.maximum(sizes[left], sizes[right])
        possible = small * 1000 >= THRESHOLD_MILLIS * large
        waiting.append(left[possible] * len(sizes) + right[possible])
        if not len(at) or sum(map(len, waiting)) > 50_000_000:
            found = np.unique(np.concatenate([found, *waiting]))
            waiting = []
    return np.stack(np.divmod(found, len(sizes)), axis=1)


def _verified(pairs: Ints, members: Ints, width: int, starts: Ints, sizes: Ints) -> Ints:
    """Those that reach the threshold, by looking up every n-gram of one row in the other."""
    left, right = pairs.T
    counts = sizes[left]
    of_pair = np.repeat(np.arange(len(pairs)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    wanted = right[of_pair] * width + members[starts[left][of_pair] + place] % width
    at = np.minimum(np.searchsorted(members, wanted), len(members) - 1)
    shared = np.bincount(of_pair[members[at] == wanted], minlength=len(pairs))
    united = sizes[left] + sizes[right] - shared
    reached: Ints = pairs[shared * 1000 >= THRESHOLD_MILLIS * united]
    return reached


def check(texts: list[str], truth: Truth, rows: int) -> int:
    """Compare with brute force on a sample of rows; give the pairs in it.

    Rows that share their least n-gram are drawn together, so that many pairs are in the sample,
    whatever the truth says of them.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(min(_shingle_set(text)), []).append(row)
    related = [group[:20] for group in groups.values() if len(group) > 1]
    random.Random(0).shuffle(related)
    sample = set(islice(chain.from_iterable(related), rows))
    sets = {row: _shingle_set(texts[row]) for row in sorted(sample)}
    expected = {
        (a, b)
        for (a, first), (b, second) in combinations(sets.items(), 2)
        if (shared := len(first & second)) * 1000
        >= THRESHOLD_MILLIS * (len(first) + len(second) - shared)
    }
    found = {(a, b) for a, b in truth.pairs.tolist() if a in sample and b in sample}
    if found != expected:
        sys.exit(f"{len(found - expected)} pairs too many, {len(expected - found)} missing")
    return len(expected)


def _shingle_set(text: str) -> frozenset[tuple[str, ...]]:
    words = tokens(text)
    if len(words) < NGRAM:
        return frozenset([tuple(words) or (text,)])
    return frozenset(tuple(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1))


def main() -> None:
    """Compute the truth, and check it against brute force."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where the corpus is")
    parser.add_argument("--check", type=int, default=2_000, help="rows to check by brute force")
    options = parser.parse_args()
    corpus = build(options.folder)
    truth = load(corpus)
    print(f"{corpus.rows:,} rows, of which {truth.has_neighbour.sum():,} stand in pairs")
    print(f"{len(truth.pairs):,} pairs, {truth.removed.sum():,} rows removed")
    checked = check(read_texts(corpus.path), truth, options.check)
    print(f"brute force over {options.check:,} rows agrees: {checked:,} pairs")


if __name__ == "__main__":
    main()

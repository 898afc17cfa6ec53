"""Deduplicate a JSONL file with rensa, from the file on disk to the kept lines on disk.

Three ways, all over the 5-grams of the words and symbols that curatekit compares, in lower case:

- `pairs` is the way of rensa's introduction: strings, into `RMinHashDeduplicator.add_pairs`.
- `matrix` is the fastest that we found: words split and hashed in bulk, n-grams made by numpy,
  signatures from `digest_matrix_from_flat_token_hashes`. The matrix interface tells which rows
  share a band with any other; for those the rule of `RMinHashDeduplicator` is followed on their
  signatures: a row goes if it shares a band with an earlier kept row, and the estimate of their
  similarity reaches the threshold.
- `rho` is the same with the sketch that rensa's own speed figures use, which samples positions.
"""

import argparse
import json
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashDeduplicator, RMinHashLSH

NGRAM = 5
THRESHOLD = 0.8
SLOTS = 128
BANDS = 8
"""What `RMinHashDeduplicator` chooses by itself at this threshold."""
SEED = 42
BATCH_ROWS = 1_024

Hashes = NDArray[np.uint64]

_TOKEN = re.compile(r"[^\W_]+|[-+*/=<>^%$|~¬±×÷←↑→↓↔≤≥≠∞−‖¢£¥€⇒]")


def by_pairs(path: Path) -> list[bool]:
    """Decide every row; True is kept."""
    dedup = RMinHashDeduplicator(THRESHOLD, SLOTS, use_lsh=True, seed=SEED)
    with path.open("rb") as lines:
        texts = (json.loads(line)["text"] for line in lines)
        kept: list[bool] = dedup.add_pairs(
            (str(row), _ngrams(text)) for row, text in enumerate(texts)
        )
    return kept


def _ngrams(text: str) -> list[str]:
    words = _TOKEN.findall(text.lower())
    if len(words) < NGRAM:
        return [" ".join(words)]
    return [" ".join(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1)]


class Row(msgspec.Struct):
    """A line of the corpus."""

    text: str


def by_matrix(path: Path, *, rho: bool) -> list[bool]:
    """Decide every row; True is kept."""
    batches = _hashed_batches(path)
    if rho:  # This sketch judges only a matrix of all rows.
        batches = iter([_joined(list(batches))])
    lsh = RMinHashLSH(THRESHOLD, SLOTS, BANDS)
    matrices = []
    rows = 0
    for ngrams, starts in batches:
        if rho:
            matrix = RMinHash.digest_matrix_from_flat_token_hashes_rho(ngrams, starts, SLOTS, SEED)
        else:
            matrix = RMinHash.digest_matrix_from_flat_token_hashes(ngrams, starts, SLOTS, SEED)
            lsh.insert_matrix(matrix, rows)
        rows += len(starts) - 1
        matrices.append(matrix)
    ask = lsh.query_duplicate_flags_matrix_one_shot if rho else lsh.query_duplicate_flags_matrix
    kept: list[bool] = []
    buckets: dict[tuple[int, ...], list[list[int]]] = {}
    for matrix in matrices:
        for suspect, slots in zip(ask(matrix), matrix.to_rows(), strict=True):
            kept.append(not suspect or _keep(slots, buckets))
    return kept


def _keep(slots: list[int], buckets: dict[tuple[int, ...], list[list[int]]]) -> bool:
    """Whether no kept row in the same buckets is as similar; if so, file the row."""
    width = SLOTS // BANDS
    keys = [(at, *slots[at : at + width]) for at in range(0, SLOTS, width)]
    for key in keys:
        for other in buckets.get(key, ()):
            if sum(map(int.__eq__, slots, other)) >= THRESHOLD * SLOTS:
                return False
    for key in keys:
        buckets.setdefault(key, []).append(slots)
    return True


def _hashed_batches(path: Path) -> Iterator[tuple[Hashes, Hashes]]:
    """The n-grams of some rows at a time, one after the other, and where each row begins."""
    decode = msgspec.json.Decoder(Row).decode
    with path.open("rb") as lines:
        while batch := list(islice(lines, BATCH_ROWS)):
            words: list[bytes | str] = []
            ends = [0]
            for line in batch:
                row_words = _fast_words(decode(line).text)
                words += row_words
                words += [""] * (NGRAM - len(row_words))
                ends.append(len(words))
            yield _hash_ngrams(np.fromiter(map(hash, words), np.int64, len(words)), np.array(ends))


def _hash_ngrams(words: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[Hashes, Hashes]:
    hashes = words.view(np.uint64)
    count = len(words) - NGRAM + 1
    mixed = _mix(hashes[:count])
    for at in range(1, NGRAM):
        mixed = _mix(mixed + hashes[at : count + at])
    across_rows = ends[1:-1, None] - np.arange(1, NGRAM)
    starts = ends - (NGRAM - 1) * np.arange(len(ends))
    return np.delete(mixed, across_rows.ravel()), starts.astype(np.uint64)


def _joined(batches: list[tuple[Hashes, Hashes]]) -> tuple[Hashes, Hashes]:
    sizes = np.concatenate([[0], *(np.diff(starts) for _, starts in batches)])
    return np.concatenate([ngrams for ngrams, _ in batches]), np.cumsum(sizes, dtype=np.uint64)


def _mix(values: Hashes) -> Hashes:
    values = values * np.uint64(0x9E3779B97F4A7C15)
    return values ^ (values >> np.uint64(32))


def _fast_words(text: str) -> list[bytes] | list[str]:
    """The words of `_TOKEN`, marks kept in them. `bytes` and `str` of ASCII hash alike."""
    if not text.isascii():
        text = _PUNCTUATION.sub(" ", text)
        if not text.isascii():
            return text.translate(_SPACED).split()
    line = text.encode().translate(_LOWER)
    for symbol, spaced in _SYMBOLS:
        if symbol in line:
            line = line.replace(symbol, spaced)
    return line.split()


_PUNCTUATION = re.compile(
    "[\u00a0\u00a7\u00a9\u00ab\u00ae\u00b6\u00b7\u00bb\u2010-\u2027\u2500-\u257f]+"
)
"""The commonest that are beyond ASCII and in no word; without them most texts are ASCII."""


class _Spaced(dict[int, str]):
    """Lower case, a space for what is in no word, spaces around symbols; filled as asked."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = char.lower()
        if _TOKEN.fullmatch(char) is None and unicodedata.category(char)[0] != "M":
            self[code] = " "
        elif not char.isalnum():
            self[code] = f" {char} "
        return self[code]


_SPACED = _Spaced()
_SYMBOLS = [(bytes([code]), b" %c " % code) for code in b"+-*/=<>^%$|~"]
_LOWER = bytes(ord(_SPACED[code].strip() or " ") if code < 128 else 32 for code in range(256))


def main() -> None:
    """Decide all rows of a file and write the kept lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("way", choices=["pairs", "matrix", "rho"])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.way == "pairs":
        kept = by_pairs(options.corpus)
    else:
        kept = by_matrix(options.corpus, rho=options.way == "rho")
    with options.corpus.open("rb") as lines, options.out.open("wb") as out:
        out.writelines(line for line, keep in zip(lines, kept, strict=True) if keep)


if __name__ == "__main__":
    main()

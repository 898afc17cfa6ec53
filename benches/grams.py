"""What peers that bring no reader and no tokenizer are given: 5-grams of the words of each row.

The words are those that curatekit and the truth compare, but for rare symbols.
`strings` is the plain way: `json` and `re`. `hashes` is the fastest that we found: words split and
hashed in bulk, n-grams made by numpy.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

NGRAM = 5
BATCH_ROWS = 1_024

Hashes = NDArray[np.uint64]

_TOKEN = re.compile(r"[^\W_]+|[-+*/=<>^%$|~¬±×÷←↑→↓↔≤≥≠∞−‖¢£¥€⇒]")


def strings(path: Path) -> Iterator[list[str]]:
    """The n-grams of every row, or all its words if it has fewer."""
    with path.open("rb") as lines:
        for line in lines:
            words = _TOKEN.findall(json.loads(line)["text"].lower())
            last = max(1, len(words) - NGRAM + 1)
            yield [" ".join(words[at : at + NGRAM]) for at in range(last)]


class Row(msgspec.Struct):
    """A line of the corpus."""

    text: str


def hashes(path: Path) -> Iterator[tuple[Hashes, Hashes]]:
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


def joined(batches: list[tuple[Hashes, Hashes]]) -> tuple[Hashes, Hashes]:
    """Batches of `hashes` as one."""
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

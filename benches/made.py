"""Datasets that benches make: large ones of documents, and chats. Each depends on its seed alone.

A *renaming* is a permutation of the letters, which makes other words of all words, always the same
of the same, as long as before. Texts under one renaming are as alike as they were; texts under
two of them share next to nothing. So a corpus and its renamings are a larger corpus of the same
structure, without a word repeated that was not.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

import numpy as np
import orjson

from corpus import Corpus

VOCABULARY = 50_000
OPENINGS = 200
CHUNK_ROWS = 10_000


class Made(NamedTuple):
    """A file of rows."""

    path: Path
    rows: int
    bytes: int
    sha256: str

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows of {self.bytes / self.rows:,.0f} bytes on average, "
            f"{self.bytes / 1e6:,.1f} MB, SHA-256 `{self.sha256}`"
        )


def write(path: Path, lines: Iterable[bytes]) -> Made:
    """Write lines to a file."""
    rows = size = 0
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for line in lines:
            digest.update(line)
            file.write(line)
            rows += 1
            size += len(line)
    return Made(path, rows, size, digest.hexdigest())


def stored(path: Path, made_for: str, lines: Iterable[bytes]) -> Made:
    """Write lines to a file that stays, or take the one that this code made for the same."""
    made_for = f"{made_for} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"
    manifest = path.with_suffix(".json")
    if manifest.exists():
        facts = json.loads(manifest.read_text())
        if facts.pop("made_for") == made_for:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == facts["sha256"]:
                    return Made(path=path, **facts)
    print(f"making {path.name}", flush=True)
    made = write(path, lines)
    facts = {"rows": made.rows, "bytes": made.bytes, "sha256": made.sha256, "made_for": made_for}
    manifest.write_text(json.dumps(facts, indent=2) + "\n")
    return made


def renaming(number: int) -> dict[int, int]:
    """The letters and digits of a renaming, for `str.translate`; 0 changes nothing."""
    if number == 0:
        return {}
    rng = Random(number)
    letters = "".join(rng.sample(ascii_lowercase, 26))
    figures = "".join(rng.sample(digits, 10))
    return str.maketrans(
        ascii_lowercase + ascii_uppercase + digits, letters + letters.upper() + figures
    )


def documents(corpus: Corpus, copies: int, joined: int = 1) -> Iterator[bytes]:
    """The rows of a corpus under some renamings, several at a time `joined` to a longer row."""
    for number in range(copies):
        letters = renaming(number)
        with corpus.path.open("rb") as lines:
            texts = (orjson.loads(line)["text"] for line in lines)
            while taken := list(islice(texts, joined)):
                text = "\n\n".join(taken).translate(letters)
                yield orjson.dumps({"text": text}) + b"\n"


def copied(lines: Iterable[bytes], share: float) -> Iterator[bytes]:
    """Lines, of which a share is replaced by exact copies of earlier ones."""
    rng = Random(0)
    earlier: list[bytes] = []
    for line in lines:
        if earlier and rng.random() < share:
            yield rng.choice(earlier)
        else:
            yield line
            # A sample of bounded size, so that the lines need not stand in memory.
            if len(earlier) < CHUNK_ROWS:
                earlier.append(line)
            else:
                earlier[rng.randrange(CHUNK_ROWS)] = line


def chats(rows: int, *, copies: float = 0.02) -> Iterator[bytes]:
    """Instructions and answers of 300 bytes on average, in messages.

    Words are drawn as in a language, the second half as often as the first and so on (Zipf); every
    third instruction begins with one of 200 openings. A share are copies of rows shortly before,
    half of them in capitals.
    """
    rng = np.random.default_rng(0)
    words = _vocabulary()
    cumulative = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    cumulative /= cumulative[-1]
    openings = [
        " ".join(words[at] for at in np.searchsorted(cumulative, rng.random(length)).tolist())
        for length in rng.integers(2, 6, OPENINGS)
    ]
    recent: deque[list[str]] = deque(maxlen=100)
    for begin in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - begin)
        asked, told = rng.poisson(11, count) + 3, rng.poisson(22, count) + 4
        drawn = np.searchsorted(cumulative, rng.random(int((asked + told).sum())))
        said = iter([words[at] for at in drawn.tolist()])
        columns = asked, told, rng.integers(0, 3 * OPENINGS, count), rng.random(count)
        for ask, tell, opening, chance in zip(*(each.tolist() for each in columns), strict=True):
            asking, answer = (" ".join(islice(said, length)) for length in (ask, tell))
            if chance < copies and recent:
                texts = recent[0]
                if chance < copies / 2:
                    texts = [text.upper() for text in texts]
            else:
                if opening < OPENINGS:
                    asking = f"{openings[opening]} {asking}"
                texts = [f"{asking.capitalize()}?", f"{answer.capitalize()}."]
                recent.append(texts)
            turns = [
                {"role": role, "content": text}
                for role, text in zip(("user", "assistant"), texts, strict=True)
            ]
            yield orjson.dumps({"messages": turns}) + b"\n"


def _vocabulary() -> list[str]:
    """Words of two to ten letters, no two alike; the first, which are the commonest, are short."""
    rng = Random(0)
    syllables = [first + second for first in "bcdfghklmnprstvwz" for second in "aeiou"]
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        length = min(5, 1 + len(found).bit_length() // 4)
        found.setdefault("".join(rng.choices(syllables, k=rng.randint(1, length))))
    return list(found)

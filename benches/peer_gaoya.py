"""Deduplicate with gaoya, whose index splits texts by itself and chooses the bands."""

import json
from pathlib import Path

from gaoya.minhash import MinHashStringIndex

from peer import PERMUTATIONS, THRESHOLD, Kept, run

NGRAM = 5


def by_gaoya(path: Path) -> Kept:
    """Keep a row if the index finds no kept one; True is kept."""
    index = MinHashStringIndex(
        jaccard_threshold=THRESHOLD,
        num_bands=None,
        band_size=None,
        num_hashes=PERMUTATIONS,
        analyzer="word",
        lowercase=True,
        ngram_range=(NGRAM, NGRAM),
    )
    kept: Kept = []
    with path.open("rb") as lines:
        for row, line in enumerate(lines):
            text = json.loads(line)["text"]
            kept.append(not index.query(text))
            if kept[-1]:
                index.insert_document(row, text)
    return kept


if __name__ == "__main__":
    run(__doc__, {"gaoya": by_gaoya})

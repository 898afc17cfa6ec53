"""Deduplicate with datasketch, given the n-grams of `grams.py`; its index chooses the bands."""

from pathlib import Path

from datasketch import MinHash, MinHashLSH

from grams import strings
from peer import PERMUTATIONS, THRESHOLD, Kept, run


def by_datasketch(path: Path) -> Kept:
    """Keep a row if the index finds no kept one; True is kept."""
    lsh = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    kept: Kept = []
    for row, ngrams in enumerate(strings(path)):
        signature = MinHash(num_perm=PERMUTATIONS)
        signature.update_batch([ngram.encode() for ngram in ngrams])
        kept.append(not lsh.query(signature))
        if kept[-1]:
            lsh.insert(row, signature)
    return kept


if __name__ == "__main__":
    run(__doc__, {"datasketch": by_datasketch})

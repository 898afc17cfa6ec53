"""Deduplicate with FastSketchLSH, given the hashes of `grams.py` in the way that it calls fastest.

It compares no similarities: rows that share a band are duplicates, as in its introduction.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from FastSketchLSH import LSH, FastSimilaritySketch

from grams import hashes
from peer import PERMUTATIONS, SEED, Kept, run

BANDS = 16
"""As in its introduction: it knows no threshold and chooses none by itself."""


def by_fastsketch(path: Path) -> Kept:
    """Keep a row if no earlier kept one is among its candidates; True is kept."""
    sketch = FastSimilaritySketch(size=PERMUTATIONS, seed=SEED)
    parts = [
        sketch.batch_csr(ngrams, starts, prehashed=True, num_threads=1)
        for ngrams, starts in hashes(path)
    ]
    lsh = LSH(num_perm=PERMUTATIONS, num_bands=BANDS, num_threads=1)
    sketches = np.concatenate(parts)
    lsh.insert(sketches)
    found, starts = lsh.query(sketches, format="csr")
    candidates, ends = found.tolist(), starts.tolist()
    kept: Kept = []
    for row, (begin, end) in enumerate(pairwise(ends)):
        kept.append(not any(kept[other] for other in candidates[begin:end] if other < row))
    return kept


if __name__ == "__main__":
    run(__doc__, {"fastsketch": by_fastsketch})

"""Deduplicate with rensa, given the n-grams of `grams.py`.

Three ways:

- `pairs` is the way of rensa's introduction: strings, into `RMinHashDeduplicator.add_pairs`.
- `matrix` is the fastest that we found: hashes in bulk, and signatures from
  `digest_matrix_from_flat_token_hashes`. The matrix interface tells which rows share a band with
  any other; for those the rule of `RMinHashDeduplicator` is followed on their signatures: a row
  goes if it shares a band with an earlier kept row, and the estimate of their similarity reaches
  the threshold.
- `rho` is the same with the sketch that rensa's own speed figures use, which samples positions.
"""

from pathlib import Path

from rensa import RMinHash, RMinHashDeduplicator, RMinHashLSH

from grams import hashes, joined, strings
from peer import PERMUTATIONS, SEED, THRESHOLD, Kept, run

BANDS = 8
"""What `RMinHashDeduplicator` chooses by itself at this threshold."""


def by_pairs(path: Path) -> Kept:
    """Decide every row; True is kept."""
    dedup = RMinHashDeduplicator(THRESHOLD, PERMUTATIONS, use_lsh=True, seed=SEED)
    kept: Kept = dedup.add_pairs((str(row), ngrams) for row, ngrams in enumerate(strings(path)))
    return kept


def by_matrix(path: Path, *, rho: bool = False) -> Kept:
    """Decide every row; True is kept."""
    batches = hashes(path)
    if rho:  # This sketch judges only a matrix of all rows.
        batches = iter([joined(list(batches))])
    lsh = RMinHashLSH(THRESHOLD, PERMUTATIONS, BANDS)
    matrices = []
    rows = 0
    for ngrams, starts in batches:
        given = ngrams, starts, PERMUTATIONS, SEED
        if rho:
            matrix = RMinHash.digest_matrix_from_flat_token_hashes_rho(*given)
        else:
            matrix = RMinHash.digest_matrix_from_flat_token_hashes(*given)
            lsh.insert_matrix(matrix, rows)
        rows += len(starts) - 1
        matrices.append(matrix)
    ask = lsh.query_duplicate_flags_matrix_one_shot if rho else lsh.query_duplicate_flags_matrix
    kept: Kept = []
    buckets: dict[tuple[int, ...], list[list[int]]] = {}
    for matrix in matrices:
        for suspect, slots in zip(ask(matrix), matrix.to_rows(), strict=True):
            kept.append(not suspect or _keep(slots, buckets))
    return kept


def by_rho(path: Path) -> Kept:
    """Decide every row; True is kept."""
    return by_matrix(path, rho=True)


def _keep(slots: list[int], buckets: dict[tuple[int, ...], list[list[int]]]) -> bool:
    """Whether no kept row in the same buckets is as similar; if so, file the row."""
    width = PERMUTATIONS // BANDS
    keys = [(at, *slots[at : at + width]) for at in range(0, PERMUTATIONS, width)]
    for key in keys:
        for other in buckets.get(key, ()):
            if sum(map(int.__eq__, slots, other)) >= THRESHOLD * PERMUTATIONS:
                return False
    for key in keys:
        buckets.setdefault(key, []).append(slots)
    return True


if __name__ == "__main__":
    run(__doc__, {"pairs": by_pairs, "matrix": by_matrix, "rho": by_rho})

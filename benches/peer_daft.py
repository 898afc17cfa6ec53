"""Deduplicate with daft as its page on MinHash deduplication shows it, on one thread.

Only the clusters are joined otherwise: by a union of sets in Python, in one pass. The page does it
in passes of joins over the edges, until nothing changes.
"""

from collections.abc import Iterable
from pathlib import Path

import daft
from daft import functions

from peer import SEED, Kept, run

NGRAM = 5
BANDS, WIDTH = 9, 13
"""What `optimal_param` of the page gives at 0.8 and 128. Its bands must fill the signature: 117."""


def by_daft(path: Path) -> Kept:
    """Keep the first row of every cluster; True is kept."""
    daft.set_runner_native(num_threads=1)
    numbers = daft.func(_numbers)
    text = daft.col("text").normalize(
        remove_punct=True, lowercase=True, nfd_unicode=True, white_space=True
    )
    signature = text.minhash(
        num_hashes=BANDS * WIDTH,
        ngram_size=NGRAM,
        seed=SEED,
        hash_function="xxhash",
    )
    clusters = (
        daft.read_json(str(path))
        .with_column("node", functions.monotonically_increasing_id())
        .with_column("bands", signature.chunk(WIDTH))
        .select("node", "bands", numbers(daft.col("bands")).alias("band"))
        .explode("bands", "band")
        .groupby("band", "bands")
        .agg(daft.col("node").list_agg().alias("nodes"))
        .where(daft.col("nodes").list_count() > daft.lit(1))
        .select("nodes")
        .to_pydict()["nodes"]
    )
    with path.open("rb") as lines:
        rows = sum(1 for _ in lines)
    return _firsts(clusters, rows)


def _numbers(bands: list[list[int]]) -> list[int]:
    """Give each band of a row its number."""
    return list(range(len(bands)))


def _firsts(clusters: Iterable[list[int]], rows: int) -> Kept:
    """Which rows are the first of all that they are joined with, by one step or several."""
    parents = list(range(rows))

    def first(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for cluster in clusters:
        roots = {first(row) for row in cluster}
        least = min(roots)
        for root in roots:
            parents[root] = least
    return [row == parent for row, parent in enumerate(parents)]


if __name__ == "__main__":
    run(__doc__, {"daft": by_daft})

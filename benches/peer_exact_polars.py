"""Exact deduplication with polars, on the one thread that POLARS_MAX_THREADS allows; in any order.

python peer_exact_polars.py CORPUS OUT
"""

import sys

import polars as pl


def main(corpus: str, out: str) -> None:
    """Keep one row of each text."""
    pl.scan_ndjson(corpus, schema={"text": pl.String}).unique().sink_ndjson(out)


if __name__ == "__main__":
    main(*sys.argv[1:])

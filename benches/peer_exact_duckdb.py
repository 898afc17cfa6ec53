"""Exact deduplication with duckdb on one thread; rows come out in any order.

python peer_exact_duckdb.py CORPUS OUT
"""

import sys

import duckdb


def main(corpus: str, out: str) -> None:
    """Keep one row of each text."""
    connection = duckdb.connect(config={"threads": 1})
    rows = connection.read_json(corpus, format="newline_delimited", columns={"text": "VARCHAR"})
    rows.create_view("rows")
    connection.execute("COPY (SELECT DISTINCT text FROM rows) TO ? (FORMAT json)", [out])


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Exact deduplication as many write it: orjson, xxh3 and a set; kept lines as they were.

python peer_exact_orjson.py CORPUS OUT
"""

import sys
from pathlib import Path

import orjson
from xxhash import xxh3_128_digest


def main(corpus: Path, out: Path) -> None:
    """Keep the first row of each text."""
    seen = set()
    with corpus.open("rb") as lines, out.open("wb") as kept:
        for line in lines:
            digest = xxh3_128_digest(orjson.loads(line)["text"].encode())
            if digest not in seen:
                seen.add(digest)
                kept.write(line)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

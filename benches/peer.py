"""What every peer's script does beside deciding: take its arguments, and write the kept lines."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

THRESHOLD = 0.8
PERMUTATIONS = 128
SEED = 42

Kept = list[bool]
"""One for each row, in their order."""


def run(documentation: str | None, ways: Mapping[str, Callable[[Path], Kept]]) -> None:
    """Decide all rows of a file in one of some ways, and write those that are kept."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("way", choices=ways)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    kept = ways[options.way](options.corpus)
    with options.corpus.open("rb") as lines, options.out.open("wb") as out:
        out.writelines(line for line, keep in zip(lines, kept, strict=True) if keep)

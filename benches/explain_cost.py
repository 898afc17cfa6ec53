"""How long a question about one of a million rows takes: `curatekit explain`, without its start.

    python benches/explain_cost.py [--rows N] [--questions N] [--compress zst] [--removed refer]

The rows are short chats of random words, some of them copies; a filter, a normalizer and a
near-deduplication decide about them. Each question opens the folder anew, as a command does, and is
asked by the number of the row and by its file and line; both must tell the same life.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from curatekit.cli import curatekit

MOST_MILLISECONDS = 100
STEPS = """
[[step]]
use = "text.whitespace"
[[step]]
use = "near-dedup"
[[step]]
use = "quality.length"
min_chars = 40
[brakes]
max_drop_share = 1.0
"""
SYLLABLES = [one + other for one in "bdfgklmnprst" for other in "aeiou"]


def main() -> None:
    """Make the rows, carry out the recipe, and ask."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--compress", default="none")
    parser.add_argument("--removed", default="copy")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        file = folder / "rows.jsonl"
        write(file, given.rows)
        out = folder / "out"
        recipe = folder / "recipe.toml"
        recipe.write_text(f"input = ['{file}']\noutput = '{out}'\n{STEPS}")
        command = [sys.executable, "-m", "curatekit", "run", "--quiet", str(recipe)]
        command += ["--compress", given.compress, "--removed", given.removed]
        subprocess.run(command, check=True)
        chance = random.Random(2)
        rows = [chance.randrange(given.rows) for _ in range(given.questions)]
        by_number, lives = asked(out, map(str, rows))
        by_line, same = asked(out, (f"{file}:{row + 1}" for row in rows))
    if lives != same or [life["row"] for life in lives] != rows:
        sys.exit("a row by its number and by its line are not the same")
    states = {state: sum(life["state"] == state for life in lives) for state in ("kept", "removed")}
    print(
        f"{given.rows:,} rows; of those asked for, {states['kept']} kept, {states['removed']} not"
    )
    for name, times in (("number", by_number), ("line", by_line)):
        median, most = statistics.median(times), max(times)
        print(f"by {name}: median {median:.1f} ms, at most {most:.1f} ms")
        if most > MOST_MILLISECONDS:
            sys.exit(f"this took longer than {MOST_MILLISECONDS} ms")


def write(file: Path, count: int) -> None:
    """Write rows of some hundred bytes, of which every tenth repeats another one."""
    chance = random.Random(1)
    words = ["".join(chance.choices(SYLLABLES, k=3)) for _ in range(20_000)]
    lines: list[str] = []
    for number in range(count):
        if number % 10 == 9:
            lines.append(chance.choice(lines[-1000:]))
            continue
        text = " ".join(chance.choices(words, k=chance.randint(4, 12)))
        space = " " * (number % 7 == 0)
        lines.append(json.dumps({"instruction": text[:20], "output": text[20:] + space}))
    file.write_text("".join(f"{line}\n" for line in lines))


def asked(out: Path, given: Iterable[str]) -> tuple[list[float], list[dict[str, Any]]]:
    """Ask for rows; give the milliseconds that each took, and what was told."""
    times, lives = [], []
    told(out, "0")
    for one in given:
        began = time.perf_counter()
        told(out, one)
        times.append((time.perf_counter() - began) * 1000)
        lives.append(json.loads(told(out, one, "--json")))
    return times, lives


def told(out: Path, *arguments: str) -> str:
    """Carry the command out in this process, and give what it prints."""
    with redirect_stdout(StringIO()) as printed:
        curatekit.main(["explain", str(out), *arguments], standalone_mode=False)
    return printed.getvalue()


if __name__ == "__main__":
    main()

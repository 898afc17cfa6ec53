"""How many chat rows of 300 bytes a core deduplicates in a second.

    python benches/chat_rate.py [--rows N] [--runs N] [--dry]

The CPU of a run over one row is taken off: that is the start of the interpreter. All planted copies
must be found.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from corpus import DEFAULT_FOLDER
from made import chats, write
from ours import dedup, start
from page import machine, publish, today

WAYS = ("each-role", "consensus")


def main() -> None:
    """Make the rows, measure, and rewrite the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="for the rows")
    parser.add_argument("--dry", action="store_true", help="publish nothing")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "| | rows a second a core | CPU s | private MB | removed |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        print(f"making {given.rows:,} rows", flush=True)
        made = write(Path(folder) / "chats.jsonl", chats(given.rows))
        with made.path.open("rb") as file:
            exact = made.rows - len({hash(line) for line in file})
            file.seek(0)
            copies = made.rows - len({hash(line.lower()) for line in file})
        for way in WAYS:
            options = ["--alike", way]
            first = start(made.path, Path(folder), options)
            taken, memory, removed = [], 0, 0
            for turn in range(given.runs):
                done = dedup(made.path, Path(folder) / "out", options)
                removed = sum(done.report["removed"].values())
                if removed < copies:
                    sys.exit(f"{way} removed {removed:,} rows, and {copies:,} are copies")
                taken.append(done.cost.cpu_seconds - first.cpu_seconds)
                memory = max(memory, done.cost.private_bytes)
                print(f"{way}, run {turn + 1}: {made.rows / taken[-1]:,.0f} rows/s", flush=True)
            rates = [made.rows / seconds for seconds in taken]
            lines.append(
                f"| `--alike {way}` | {median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) "
                f"| {median(taken):.2f} | {memory / 1e6:.0f} | {removed:,} |"
            )
    planted = f"{exact:,} of them exact copies and {copies - exact:,} copies in other case"
    runs = f"Median of {given.runs} runs, least and most in brackets; {today()}, {machine()}."
    lines += ["", runs, "", f"{made}; {planted}."]
    text = "\n".join(lines)
    if given.dry:
        print(text)
    else:
        publish("chats", text)


if __name__ == "__main__":
    main()

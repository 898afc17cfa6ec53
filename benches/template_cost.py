"""What templates cost: the same 200,000 rows with and without their templates, and the CPU of each.

    python benches/template_cost.py [--rows N] [--runs N]

With a template, rows are compared by consensus, as the command does by default; without it, in each
role, which is all that there is to do then. Rows are drawn from a seed, 2 % of them planted copies:
half exact or in capitals, half with one word edited in the system text or in the answer's template.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

from measure import Cost, run

ROOT = Path(__file__).parent.parent
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- templates -->", "<!-- end of templates -->"
COMMAND = (sys.executable, "-m", "curatekit", "dedup", "--threads", "1", "--quiet", "--force")
SYLLABLES = [first + second for first in "bcdfgklmnprstvz" for second in "aeiou"]


class Shape(NamedTuple):
    """Words in the parts of a row: of its template, and its own."""

    name: str
    system: int
    ask: int
    question: int
    opening: int
    answer: int


SHAPES = (
    Shape("questions and answers of their own", 75, 6, 45, 9, 30),
    Shape("short questions, boilerplate answers", 75, 4, 6, 50, 10),
)


class Row(NamedTuple):
    """What a row says, apart from its template."""

    system: str
    ask: str
    question: str
    opening: str
    answer: str

    def written(self, *, bare: bool) -> str:
        """One line of JSON."""
        said = {
            "system": self.system,
            "user": f"{self.ask} {self.question}",
            "assistant": f"{self.opening} {self.answer}",
        }
        if bare:
            said = {"user": self.question, "assistant": self.answer}
        turns = [{"role": role, "content": text} for role, text in said.items()]
        return json.dumps({"messages": turns}) + "\n"


def rows(shape: Shape, count: int, templates: int) -> Iterator[Row]:
    """Draw `count` rows under `templates` templates."""
    rng = Random(count + templates)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))) for _ in range(5000)]

    def say(length: int) -> str:
        return " ".join(rng.choices(words, k=length))

    def edited(text: str) -> str:
        said = text.split(" ")
        said[rng.randrange(1, len(said))] = rng.choice(words)
        return " ".join(said)

    known = [(say(shape.system), say(shape.ask), say(shape.opening)) for _ in range(templates)]
    drawn = 0
    while drawn < count:
        system, ask, opening = rng.choice(known)
        row = Row(system, ask, say(shape.question), opening, say(shape.answer))
        yield row
        drawn += 1
        if drawn < count and rng.random() < 0.02:
            copies = (
                row,
                row._replace(question=row.question.upper()),
                row._replace(system=edited(system)),
                row._replace(opening=edited(opening)),
            )
            yield rng.choice(copies)
            drawn += 1


def measured(file: Path, out: Path, alike: str, runs: int) -> list[Cost]:
    """Deduplicate a file, once to warm the page cache."""
    command = [*COMMAND, str(file), "-o", str(out), "--alike", alike]
    return [run(command, os.environ) for _ in range(runs + 1)][1:]


def main() -> None:
    """Write the rows, measure, and rewrite the table in README.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "| rows | templates | times the bytes | CPU s without | CPU s with | ratio | private MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for shape in SHAPES:
        for templates in (1, 200):
            files = folder / "bare.jsonl", folder / "templated.jsonl"
            with files[0].open("w") as bare, files[1].open("w") as templated:
                for row in rows(shape, options.rows, templates):
                    bare.write(row.written(bare=True))
                    templated.write(row.written(bare=False))
            before = measured(files[0], folder / "out", "each-role", options.runs)
            after = measured(files[1], folder / "out", "consensus", options.runs)
            cost = [median(cost.cpu_seconds for cost in costs) for costs in (before, after)]
            sizes = [file.stat().st_size for file in files]
            memory = max(cost.private_bytes for cost in after) / 1e6
            lines.append(
                f"| {shape.name} | {templates} | {sizes[1] / sizes[0]:.1f} "
                f"| {cost[0]:.2f} | {cost[1]:.2f} | {cost[1] / cost[0]:.2f} | {memory:.0f} |"
            )
            print(lines[-1], flush=True)
    text = (
        "\n\n" + "\n".join(lines) + f"\n\n{options.rows:,} rows, median of {options.runs} runs.\n\n"
    )
    before_table, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(before_table + BEGIN + text + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()

"""What it costs that a run can be gone on with, and what the ledger takes of memory.

    python benches/journal_cost.py [--runs N] [--rows N]

Each recipe is carried out with its journal and without, in turn, on the disk that temporary files
are on; a run without one cannot be gone on with. Memory is the private memory of runs over some
rows and over four times as many, of which the slope is what a row takes. What a deduplication needs
while it decides is not counted: that is the core's, and measured elsewhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import run

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- journal -->", "<!-- end of journal -->"
WITHOUT = """
import sys
from pathlib import Path
from curatekit import curate, journal
from curatekit.recipe import read
if sys.argv[2] == "without":
    curate.Journal = lambda place, spool, seconds: journal.Journal(None, spool, seconds)
curate.curate(read(sys.argv[1]), force=True)
"""
PEAK = """
import sys, threading, time
from curatekit import _native, barriers, curate, gauge
from curatekit.recipe import read

def deduplicate(*given):
    global counts
    counts = False
    decide(*given)
    counts = True

def watch():
    global most
    while True:
        now = gauge._memory().private
        most = max(most, now * counts)
        time.sleep(0.002)  # between samples, many of which fall on each column that is made

def resume(run, **given):
    global index
    index = gauge._memory().private
    begin(run, **given)
    threading.Thread(target=watch, daemon=True).start()

_native.give_back_memory()
most, index, counts = 0, 0, True
decide, barriers.Barriers._deduplicate = barriers.Barriers._deduplicate, deduplicate
begin, curate._Run.resume = curate._Run.resume, resume
curate.curate(read(sys.argv[1]), force=True, workers=1)
print(index, most)
"""
RECIPES = {
    "a filter that reads texts": ["quality.repetition"],
    "a normalizer that rewrites every row": ["text.unicode"],
    "both, and near-dedup": ["text.unicode", "quality.repetition", "near-dedup"],
}
OPTIONS = {"text.unicode": "form = 'NFKD'\n", "quality.repetition": "mode = 'flag'\n"}


def main() -> None:
    """Measure, and write the figures to benches/README.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=400_000)
    given = parser.parse_args()
    lines = ["| recipe | wall s without | with | ratio | CPU ratio |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data = rows(folder / "rows.jsonl", given.rows)
        for name, steps in RECIPES.items():
            path = recipe(folder, data, steps)
            walls: dict[str, list[float]] = {"without": [], "with": []}
            cpus: dict[str, list[float]] = {"without": [], "with": []}
            for _ in range(given.runs):
                for kind, times in walls.items():
                    cost = run([sys.executable, "-c", WITHOUT, str(path), kind], os.environ)
                    times.append(cost.wall_seconds)
                    cpus[kind].append(cost.cpu_seconds)
            pairs = zip(walls["with"], walls["without"], strict=True)
            wall = median(one / other for one, other in pairs)
            cpu = median(cpus["with"]) / median(cpus["without"])
            told = f"{median(walls['without']):.2f} | {median(walls['with']):.2f}"
            lines.append(f"| {name} | {told} | {wall:.3f} | {cpu:.3f} |")
            print(lines[-1], flush=True)
        lines += ["", f"{given.rows:,} rows, median of {given.runs} pairs of runs.", ""]
        lines.append(memory(folder, given.rows))
    table = "\n".join(lines)
    print(table)
    text = README.read_text()
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    README.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}")


def rows(path: Path, count: int) -> Path:
    """Write rows of some 330 bytes, each with something for a normalizer."""
    with path.open("w") as file:
        for row in range(count):
            said = " ".join(f"{row * 7919 % 104_729 + word:x}" for word in range(40))
            turns = [("user", f"What of № {row}?"), ("assistant", f"It is {said}.")]
            messages = [{"role": role, "content": text} for role, text in turns]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    return path


def recipe(folder: Path, data: Path, steps: list[str]) -> Path:
    """Write a recipe."""
    path = folder / "recipe.toml"
    uses = [f"[[step]]\nuse = '{step}'\n{OPTIONS.get(step, '')}" for step in steps]
    head = [f"input = ['{data}']", f"output = '{folder / 'out'}'"]
    path.write_text("\n".join([*head, *uses, "[brakes]", "max_drop_share = 1.0"]))
    return path


def memory(folder: Path, count: int) -> str:
    """Tell how many bytes a row takes, beside those that say where it stands."""
    recipes = {
        "a filter and a sample": ["quality.length", "sample"],
        "exact-dedup and a sample": ["exact-dedup", "sample"],
        "a normalizer that rewrites every row": ["text.unicode"],
    }
    data = {times: folder / f"rows-{times}.jsonl" for times in (1, 4)}
    once = rows(folder / "once.jsonl", count).read_bytes()
    for times, path in data.items():
        with path.open("wb") as file:
            for _ in range(times):
                file.write(once)
    lines = [
        "| private memory, bytes a row | in all | without the index of rows |",
        "|---|---|---|",
    ]
    for name, steps in recipes.items():
        found: dict[int, list[int]] = {}
        for times, path in data.items():
            made = recipe(folder, path, steps)
            made.write_text(made.read_text().replace("'sample'", "'sample'\nshare = 0.5"))
            command = [sys.executable, "-c", PEAK, str(made)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[times] = [int(number) for number in said.split()]
        pairs = zip(found[1], found[4], strict=True)
        index, whole = ((four - one) / (3 * count) for one, four in pairs)
        lines.append(f"| {name} | {whole:.1f} | {whole - index:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Measure exact deduplication: curatekit beside a loop over orjson and xxh3, duckdb and polars.

    python benches/exact_cost.py [--runs N] [--copies N] [--dry]

Two files of a gigabyte of documents: the corpus of `compare.py` under five renamings (see
`made.py`), and the same with half of the rows replaced by copies of earlier ones. Each tool reads
the file and writes the rows it keeps on one thread, as a process of its own, in turn, there and
back; all must keep as many rows.
"""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median

from corpus import DEFAULT_FOLDER, build
from environments import release
from made import Made, copied, documents, stored
from measure import Cost, in_turn, run
from ours import COMMAND
from page import machine, publish, today

ENV = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
PEERS = {
    "orjson, xxh3 and a set": "peer_exact_orjson.py",
    "duckdb": "peer_exact_duckdb.py",
    "polars": "peer_exact_polars.py",
}
COPIES = 0.5


def main() -> None:
    """Make the files, measure, and rewrite the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--copies", type=int, default=5, help="renamings of the corpus (default: 5)"
    )
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="for corpus and files")
    parser.add_argument("--dry", action="store_true", help="publish nothing")
    given = parser.parse_args()
    corpus = build(given.folder)
    whole = f"{corpus.sha256} {given.copies}"
    files = {
        "documents": stored(
            given.folder / f"documents-{given.copies}.jsonl",
            whole,
            documents(corpus, given.copies),
        ),
        "documents, half of them copies": stored(
            given.folder / f"copied-{given.copies}.jsonl",
            f"{whole} {COPIES}",
            copied(documents(corpus, given.copies), COPIES),
        ),
    }
    lines = [
        "| | | CPU s | times ours | wall s | private MB | kept |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        for name, file in files.items():
            lines += measured(name, file, Path(scratch), given.runs)
    told = "\n".join(f"- {name.capitalize()}: {file}." for name, file in files.items())
    software = ", ".join(
        f"{name} {release(name)}" for name in ("curatekit", "orjson", "xxhash", "duckdb", "polars")
    )
    text = "\n".join(
        [
            *lines,
            "",
            f"Median of {given.runs} runs, least and most in brackets; {today()}.",
            "",
            told,
            f"- Machine: {machine()}.",
            f"- Software: {software}, Python {platform.python_version()}.",
        ]
    )
    if given.dry:
        print(text)
    else:
        publish("exact", text)


def measured(name: str, file: Made, scratch: Path, runs: int) -> list[str]:
    """Run all tools over a file, in alternation; give the lines of the table."""
    out = scratch / "out"
    exact = [*COMMAND, "--threads", "1", "--method", "exact", str(file.path), "-o", str(out)]
    tools = {
        "curatekit": (exact, out / "kept.jsonl"),
        "curatekit, `--removed refer`": ([*exact, "--removed", "refer"], out / "kept.jsonl"),
    }
    for peer, script in PEERS.items():
        target = scratch / f"{script}.jsonl"
        program = str(Path(__file__).with_name(script))
        tools[peer] = [sys.executable, program, str(file.path), str(target)], target
    costs: dict[str, list[Cost]] = {tool: [] for tool in tools}
    rows: dict[str, int] = {}
    for turn in range(runs):
        for tool, (command, target) in in_turn(tools.items(), turn):
            costs[tool].append(run(command, ENV))
            rows[tool] = _count_lines(target)
            target.unlink()
            last = costs[tool][-1].cpu_seconds
            print(f"{name}, run {turn + 1} of {runs}: {tool}: {last:.2f} CPU s", flush=True)
    if len(set(rows.values())) != 1:
        sys.exit(f"not all tools keep as many rows of {name}: {rows}")
    ours = median(cost.cpu_seconds for cost in costs["curatekit"])
    lines = []
    for tool, taken in costs.items():
        seconds = [cost.cpu_seconds for cost in taken]
        walls = median(cost.wall_seconds for cost in taken)
        memory = max(cost.private_bytes for cost in taken) / 1e6
        lines.append(
            f"| {name} | {tool} | {median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f}) "
            f"| {median(seconds) / ours:.2f} | {walls:.2f} | {memory:,.0f} | {rows[tool]:,} |"
        )
    return lines


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


if __name__ == "__main__":
    main()

"""Measure curatekit beside rensa: cost, recall and false removals, on one file in one sitting.

Every tool reads the corpus from disk and writes the rows it keeps, as a process of its own, in
turn. What it removed is read off the bytes that it wrote, and judged by `truth.py`. The results go
into README.md beside this file.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus import DEFAULT_FOLDER, Corpus, build
from measure import Cost, run
from truth import NGRAM, THRESHOLD_MILLIS, Truth, load

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
MB = 1e6

# One thread each. Python's hashes are part of one way of rensa's, and decide its result.
ENV = os.environ | {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


class Tool(NamedTuple):
    """A command over the corpus, and the file of kept rows that it leaves in its folder."""

    name: str
    command: Sequence[str | Path]
    kept: Path


class Result(NamedTuple):
    """All runs of one tool."""

    name: str
    costs: list[Cost]
    removed: int
    found: int
    """Rows removed that the truth removes too."""
    false: int
    """Rows removed that have no neighbour at the threshold, kept or not."""


def tools(corpus: Path, folder: Path) -> list[Tool]:
    """The commands to compare, curatekit first."""
    ours, curatekit = folder / "curatekit", Path(sys.executable).with_name("curatekit")
    rules = ["--alike", "whole", "--ngram", str(NGRAM), "--threshold", str(THRESHOLD_MILLIS / 1000)]
    command: list[str | Path] = [curatekit, "dedup", corpus, "-o", ours, "--threads", "1", *rules]
    found = [Tool("curatekit", command, ours / "kept.jsonl")]
    for way in ("pairs", "matrix", "rho"):
        kept = folder / f"{way}.jsonl"
        script = Path(__file__).with_name("rensa_dedup.py")
        found.append(Tool(f"rensa, {way}", [sys.executable, script, way, corpus, kept], kept))
    return found


def measure(corpus: Corpus, truth: Truth, runs: int) -> list[Result]:
    """Run every tool `runs` times, in alternation."""
    with tempfile.TemporaryDirectory(dir=corpus.path.parent) as folder:
        contest = tools(corpus.path, Path(folder))
        costs: dict[str, list[Cost]] = {tool.name: [] for tool in contest}
        removed: dict[str, NDArray[np.bool_]] = {}
        for turn in range(runs):
            for tool in contest:
                costs[tool.name].append(run(tool.command, ENV))
                result = removed_rows(corpus, tool.kept)
                if not np.array_equal(removed.setdefault(tool.name, result), result):
                    sys.exit(f"{tool.name} removed other rows in run {turn + 1} than before")
                _empty(Path(folder))
                seconds = costs[tool.name][-1].cpu_seconds
                print(f"run {turn + 1} of {runs}: {tool.name}: {seconds:.2f} CPU s", flush=True)
    return [
        Result(
            tool.name,
            costs[tool.name],
            removed=int(removed[tool.name].sum()),
            found=int((removed[tool.name] & truth.removed).sum()),
            false=int((removed[tool.name] & ~truth.has_neighbour).sum()),
        )
        for tool in contest
    ]


def removed_rows(corpus: Corpus, kept: Path) -> NDArray[np.bool_]:
    """Which rows of the corpus are not in `kept`: some of its lines, in their order, byte for byte.

    Of equal lines the first counts as the kept one, as keep-first has it.
    """
    removed = np.ones(corpus.rows, bool)
    with corpus.path.open("rb") as rows, kept.open("rb") as kept_rows:
        wanted = next(kept_rows, None)
        for row, line in enumerate(rows):
            if line == wanted:
                removed[row] = False
                wanted = next(kept_rows, None)
    if wanted is not None:
        sys.exit(f"`{kept.name}` has a line that is not of the corpus, or out of order: {wanted!r}")
    return removed


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def table(corpus: Corpus, truth: Truth, results: list[Result]) -> str:
    """The results as Markdown."""

    def cell(result: Result, figure: Callable[[Cost], float], form: str) -> str:
        values = [figure(cost) for cost in result.costs]
        return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"

    lines = [
        "| | CPU s | times ours | wall s | MB/s | private MB | removed | recall | false removals |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ours = median(cost.cpu_seconds for cost in results[0].costs)
    for result in results:
        ratio = median(cost.cpu_seconds for cost in result.costs) / ours
        cells = [
            result.name,
            cell(result, lambda cost: cost.cpu_seconds, ".2f"),
            f"{ratio:.2f}",
            cell(result, lambda cost: cost.wall_seconds, ".2f"),
            cell(result, lambda cost: corpus.bytes / cost.cpu_seconds / MB, ".1f"),
            cell(result, lambda cost: cost.private_bytes / MB, ".0f"),
            f"{result.removed:,}",
            f"{result.found / truth.removed.sum():.4f}",
            f"{result.false:,} ({result.false / max(1, result.removed):.2%})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(corpus: Corpus, truth: Truth, results: list[Result]) -> str:
    """Everything about this sitting, as Markdown."""
    size = f"{corpus.bytes / MB:.1f} MB as JSONL, {corpus.text_bytes / MB:.1f} MB of text"
    packages = ", ".join(f"{name} {release}" for name, release in corpus.packages.items())
    paired = f"{len(truth.pairs):,} pairs at {THRESHOLD_MILLIS / 1000} or above"
    software = ", ".join(f"{name} {version(name)}" for name in ("curatekit", "rensa", "numpy"))
    return f"""
{table(corpus, truth, results)}

Median of {len(results[0].costs)} runs, least and most in brackets; {datetime.now(UTC):%Y-%m-%d}.

- Corpus: {corpus.rows:,} rows, {size}, SHA-256 `{corpus.sha256}`.
- Packages: {packages}.
- Truth: {paired}, {truth.has_neighbour.sum():,} rows in pairs, {truth.removed.sum():,} removed.
- Machine: {_machine()}.
- Software: {software}, Python {platform.python_version()}.

"""


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def main() -> None:
    """Build what is missing, measure, and rewrite the results in README.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="for corpus and truth")
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool (default: 3)")
    options = parser.parse_args()
    print("corpus and truth (some minutes if they are not there yet)", flush=True)
    corpus = build(options.folder)
    truth = load(corpus)
    if os.getloadavg()[0] > 0.5:
        print(f"the machine is busy: load average {os.getloadavg()[0]:.1f}")
    results = measure(corpus, truth, options.runs)
    text = report(corpus, truth, results)
    print(text)
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(before + BEGIN + text + END + rest.partition(END)[2], encoding="utf-8")
    if results[0].false or results[0].found < 0.999 * truth.removed.sum():
        sys.exit("curatekit is wrong on this corpus: see recall and false removals")


if __name__ == "__main__":
    main()

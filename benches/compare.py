"""Measure curatekit beside its peers: cost, recall and false removals, on one file in one sitting.

    python benches/compare.py [--runs N] [--only PEER ...] [--rows N] [--dry]

Every tool reads the corpus from disk and writes the rows it keeps, as a process of its own, in
turn. What it removed is read off the rows that it wrote, and judged by `truth.py`. The results go
into docs/benchmarks.md, unless only some rows or peers were asked for.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import DEFAULT_FOLDER, Corpus, build
from environments import CannotInstallError, python, release
from measure import Cost, in_turn, run
from page import machine, publish, today
from peer import PERMUTATIONS, THRESHOLD
from truth import NGRAM, THRESHOLD_MILLIS, Truth, find, keep_first, load, read_texts

MB = 1e6

# One thread each. Python's hashes are part of one way of rensa's, and decide its result.
ENV = os.environ | {
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "RAYON_NUM_THREADS": "1",
}
IN_OUR_ENVIRONMENT = {
    "rensa, pairs": "peer_rensa.py pairs",
    "rensa, matrix": "peer_rensa.py matrix",
    "rensa, rho": "peer_rensa.py rho",
    "daft": "peer_daft.py daft",
    "FastSketchLSH": "peer_fastsketch.py fastsketch",
    "gaoya": "peer_gaoya.py gaoya",
    "datasketch": "peer_datasketch.py datasketch",
}
SLOW = ("datasketch", "text-dedup", "datatrove")
"""Measured once: they take a minute or more."""


class Tool(NamedTuple):
    """A command over the corpus, and where it leaves the rows that it keeps."""

    name: str
    command: Sequence[str | Path]
    kept: Path


class Result(NamedTuple):
    """All runs of one tool."""

    name: str
    costs: list[Cost]
    removed: int
    left: int
    """Rows kept that keep-first removes from what is kept."""
    false: int
    """Rows removed that have no neighbour at the threshold, kept or not."""


def tools(corpus: Path, scratch: Path, environments: Path) -> tuple[list[Tool], dict[str, str]]:
    """The commands to compare, curatekit first; and why which peer is missing."""
    ours, curatekit = scratch / "curatekit", Path(sys.executable).with_name("curatekit")
    rules = ["--alike", "whole", "--ngram", str(NGRAM), "--threshold", str(THRESHOLD)]
    command: list[str | Path] = [curatekit, "dedup", corpus, "-o", ours, "--threads", "1", *rules]
    found = [Tool("curatekit", command, ours / "kept.jsonl")]
    here = Path(__file__).parent
    for number, (name, script) in enumerate(IN_OUR_ENVIRONMENT.items()):
        file, way = script.split()
        kept = scratch / f"{number}.jsonl"
        found.append(Tool(name, [sys.executable, here / file, way, corpus, kept], kept))
    missing = {}
    for tool in (
        Tool("text-dedup", _text_dedup(corpus, scratch), scratch / "text-dedup"),
        Tool(
            "datatrove",
            [here / "peer_datatrove.py", corpus, scratch / "datatrove"],
            scratch / "datatrove" / "00000.jsonl",
        ),
    ):
        try:
            interpreter = python(f"bench-{tool.name}", environments)
        except CannotInstallError as error:
            missing[tool.name] = str(error)
        else:
            found.append(tool._replace(command=[interpreter, *tool.command]))
    return found, missing


def _text_dedup(corpus: Path, scratch: Path) -> list[str | Path]:
    """The command of its introduction; rows of few words are left in."""
    options: dict[str, object] = {
        "path": "json",
        "data_files": corpus,
        "split": "train",
        "cache_dir": scratch / "cache",
        "output": scratch / "text-dedup",
        "column": "text",
        "ngram": NGRAM,
        "min_length": 1,
        "num_perm": PERMUTATIONS,
        "threshold": THRESHOLD,
        "num_proc": 1,
    }
    command: list[str | Path] = ["-m", "text_dedup.minhash"]
    for option, value in options.items():
        command += [f"--{option}", str(value)]
    return command


def measure(
    contest: list[Tool], scratch: Path, texts: list[str], truth: Truth, runs: int
) -> list[Result]:
    """Run every tool `runs` times, in alternation; those that are slow once."""
    costs: dict[str, list[Cost]] = {tool.name: [] for tool in contest}
    removed: dict[str, NDArray[np.bool_]] = {}
    for turn in range(runs):
        for tool in in_turn(contest, turn):
            if turn and tool.name in SLOW:
                continue
            costs[tool.name].append(run(tool.command, ENV | {"HF_HOME": str(scratch / "cache")}))
            result = removed_rows(texts, tool)
            if not np.array_equal(removed.setdefault(tool.name, result), result):
                sys.exit(f"{tool.name} removed other rows in run {turn + 1} than before")
            _empty(scratch)
            seconds = costs[tool.name][-1].cpu_seconds
            print(f"run {turn + 1} of {runs}: {tool.name}: {seconds:.2f} CPU s", flush=True)
    return [_judged(tool.name, costs[tool.name], removed[tool.name], truth) for tool in contest]


def _judged(name: str, costs: list[Cost], removed: NDArray[np.bool_], truth: Truth) -> Result:
    kept = ~removed
    left = keep_first(truth.pairs[kept[truth.pairs].all(axis=1)], len(removed))
    false = removed & ~truth.has_neighbour
    return Result(name, costs, int(removed.sum()), left=int(left.sum()), false=int(false.sum()))


def removed_rows(texts: list[str], tool: Tool) -> NDArray[np.bool_]:
    """Which texts are not among those kept: some of them, in their order.

    Of equal texts the first counts as the kept one, as keep-first has it.
    """
    removed = np.ones(len(texts), bool)
    kept = kept_texts(tool.kept)
    wanted = next(kept, None)
    for row, text in enumerate(texts):
        if text == wanted:
            removed[row] = False
            wanted = next(kept, None)
    if wanted is not None:
        sys.exit(f"{tool.name} kept a row that is not of the corpus, or out of order: {wanted!r}")
    return removed


def kept_texts(path: Path) -> Iterator[str]:
    """The texts in a JSONL file, or in a folder of Arrow files."""
    if path.is_dir():
        for part in sorted(path.glob("*.arrow")):
            with pa.memory_map(str(part)) as file, pa.ipc.open_stream(file) as stream:
                for batch in stream:
                    yield from batch["text"].to_pylist()
        return
    with path.open("rb") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def table(corpus: Corpus, truth: Truth, results: list[Result]) -> str:
    """The results as Markdown."""

    def cell(result: Result, figure: Callable[[Cost], float], form: str) -> str:
        values = [figure(cost) for cost in result.costs]
        middle = f"{median(values):{form}}"
        return f"{middle} ({min(values):{form}}–{max(values):{form}})" if values[1:] else middle

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
            f"{1 - result.left / truth.removed.sum():.4f}",
            f"{result.false:,} ({result.false / max(1, result.removed):.2%})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(corpus: Corpus, truth: Truth, results: list[Result], missing: dict[str, str]) -> str:
    """Everything about this sitting, as Markdown."""
    size = f"{corpus.bytes / MB:.1f} MB as JSONL, {corpus.text_bytes / MB:.1f} MB of text"
    packages = ", ".join(f"{name} {release}" for name, release in corpus.packages.items())
    paired = f"{len(truth.pairs):,} pairs at {THRESHOLD_MILLIS / 1000} or above"
    names = list(dict.fromkeys(each.name.split(",")[0] for each in results))
    software = ", ".join(f"{name} {release(name)}" for name in [*names, "numpy"])
    absent = "".join(f"- Not measured: {name}: {why}.\n" for name, why in missing.items())
    runs, once = len(results[0].costs), ", ".join(SLOW)
    return f"""
{table(corpus, truth, results)}

Median of {runs} runs, least and most in brackets; {once}: one run. {today()}.

{absent}- Corpus: {corpus.rows:,} rows, {size}, SHA-256 `{corpus.sha256}`.
- Packages: {packages}.
- Truth: {paired}, {truth.has_neighbour.sum():,} rows in pairs, {truth.removed.sum():,} removed.
- Machine: {machine()}.
- Software: {software}, Python {platform.python_version()}.
"""


def head(corpus: Corpus, rows: int, folder: Path) -> Corpus:
    """The first rows of a corpus, as a corpus."""
    path = folder / "corpus.jsonl"
    with corpus.path.open("rb") as lines:
        path.write_bytes(taken := b"".join(islice(lines, rows)))
    texts = read_texts(path)
    return Corpus(
        path,
        rows=len(texts),
        bytes=len(taken),
        text_bytes=sum(len(text.encode()) for text in texts),
        sha256=hashlib.sha256(taken).hexdigest(),
        packages=corpus.packages,
    )


def main() -> None:
    """Build what is missing, measure, and rewrite the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="for corpus and truth")
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool (default: 3)")
    parser.add_argument("--rows", type=int, help="take the first rows only, and publish nothing")
    parser.add_argument("--only", nargs="+", metavar="PEER", help="and publish nothing")
    parser.add_argument("--dry", action="store_true", help="publish nothing")
    options = parser.parse_args()
    print("corpus and truth (some minutes if they are not there yet)", flush=True)
    corpus = build(options.folder)
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder, scratch = Path(made), Path(made) / "scratch"
        scratch.mkdir()
        if options.rows:
            corpus = head(corpus, options.rows, folder)
        texts = read_texts(corpus.path)
        truth = find(texts) if options.rows else load(corpus)
        contest, missing = tools(corpus.path, scratch, options.folder)
        if options.only:
            contest = [tool for tool in contest if tool.name in ("curatekit", *options.only)]
        if os.getloadavg()[0] > 0.5:
            print(f"the machine is busy: load average {os.getloadavg()[0]:.1f}")
        results = measure(contest, scratch, texts, truth, options.runs)
    text = report(corpus, truth, results, missing)
    if options.dry or options.rows or options.only:
        print(text)
    else:
        publish("near", text)
    if results[0].false or results[0].left > 0.001 * truth.removed.sum():
        sys.exit("curatekit is wrong on this corpus: see recall and false removals")


if __name__ == "__main__":
    main()

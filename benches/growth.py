"""How the cost of near-deduplication grows with the rows, and what a row takes of memory.

    python benches/growth.py [--only growth|memory] [--runs N] [--copies N] [--rows N]
                             [--memory SIZE ...] [--dry]

*growth*: CPU over the corpus of `compare.py` and over five renamings of it, a gigabyte (see
`made.py`); two threads against one over that gigabyte; and its first 440,000 rows with and without
3,000 copies of one row, of which 1 % of the words are edited.

*memory*: private memory over some rows and over four times as many, of 0.3, 2 and 20 KB. What a run
over one row takes is taken off; the slope between the two is what a row takes.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

import orjson

from corpus import DEFAULT_FOLDER, Corpus, build
from made import Made, chats, documents, stored, write
from measure import Cost, in_turn
from ours import Run, dedup, start
from page import machine, publish, today

WHOLE = ("--alike", "whole")
AMONG, EDITED, WORDS = 440_000, 3_000, 300
"""Rows, copies among them, and least words of the row that is copied."""


class Setting(NamedTuple):
    """What a person asked for."""

    folder: Path
    corpus: Corpus
    runs: int
    copies: int
    rows: int
    budgets: list[str]


def growth(setting: Setting, scratch: Path) -> str:
    """Measure time; the section as Markdown."""
    base, copies = setting.corpus, setting.copies
    small, large = (
        stored(
            setting.folder / f"documents-{times}.jsonl",
            f"{base.sha256} {times}",
            documents(base, times),
        )
        for times in (1, copies)
    )
    first = start(large.path, scratch, WHOLE)
    lines = [
        "| | | |",
        "|---|---|---|",
        _larger(small, large, first, scratch, setting.runs),
        _threads(large, scratch, setting.runs),
        _bulk(large, first, scratch, setting.runs),
        "",
        f"Median of {setting.runs} runs, least and most in brackets; {today()}.",
        "",
        f"- The corpus: {small}.",
        f"- {copies} renamings of it: {large}.",
        f"- Machine: {machine()}.",
    ]
    return "\n".join(lines)


def _larger(small: Made, large: Made, first: Cost, scratch: Path, runs: int) -> str:
    """CPU over both files. Rows must be alike within a renaming, and not across."""
    few, many = _alternate((small.path, large.path), first, scratch, runs)
    share = many.last.report["kept"] / few.last.report["kept"] * small.rows / large.rows
    if not 0.98 < share < 1.02:
        sys.exit(f"renamings keep {share:.3f} of what the corpus does: the files do not compare")
    exponent = math.log(many.middle / few.middle) / math.log(large.bytes / small.bytes)
    return (
        f"| {small.bytes / 1e9:.2f} GB and {large.bytes / 1e9:.2f} GB | {few} and {many} CPU s "
        f"| exponent {exponent:.3f} |"
    )


def _bulk(large: Made, first: Cost, scratch: Path, runs: int) -> str:
    """CPU over some rows, with and without edited copies of one."""
    rows = min(AMONG, large.rows)
    copies = EDITED * rows // AMONG
    plain = write(scratch / "plain.jsonl", _head(large.path, rows))
    among = write(scratch / "among.jsonl", with_edited(plain, copies))
    without, with_them = _alternate((plain.path, among.path), first, scratch, runs)
    found = sum(with_them.last.report["removed"].values())
    found -= sum(without.last.report["removed"].values())
    return (
        f"| {rows:,} rows, and with {copies:,} copies of one, 1 % of the words edited "
        f"({found:,} of them removed) | {without} and {with_them} CPU s "
        f"| {with_them.middle / without.middle - 1:+.1%} |"
    )


class Figures(NamedTuple):
    """CPU seconds of all runs over a file, and the last of the runs."""

    values: list[float]
    last: Run

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({min(self.values):.2f}–{max(self.values):.2f})"


def _alternate(files: Sequence[Path], first: Cost, scratch: Path, runs: int) -> list[Figures]:
    """CPU seconds over each file, deduplicated `runs` times in turn, less those of one row."""
    values: dict[Path, list[float]] = {file: [] for file in files}
    last: dict[Path, Run] = {}
    for turn in range(runs):
        for file, found in in_turn(values.items(), turn):
            last[file] = dedup(file, scratch / "out", WHOLE)
            found.append(last[file].cost.cpu_seconds - first.cpu_seconds)
            print(f"{file.name}, run {turn + 1} of {runs}: {found[-1]:.2f} CPU s", flush=True)
    return [Figures(found, last[file]) for file, found in values.items()]


def _threads(large: Made, scratch: Path, runs: int) -> str:
    """Wall time inside the run, without the interpreter's start, by its own clock."""
    walls: dict[int, list[float]] = {1: [], 2: []}
    left: set[int] = set()
    for turn in range(runs):
        for threads, found in in_turn(walls.items(), turn):
            done = dedup(large.path, scratch / "out", WHOLE, threads=threads)
            found.append(done.figures["wall_seconds"])
            left.add(done.report["kept"])
            print(f"{threads} threads, run {turn + 1} of {runs}: {found[-1]:.2f} s", flush=True)
    if len(left) != 1:
        sys.exit(f"two threads keep other rows than one: {left}")
    one, two = (median(found) for found in walls.values())
    return (
        f"| one thread and two, {large.bytes / 1e9:.2f} GB | {one:.2f} and {two:.2f} s of time "
        f"| {two / one:.2f} |"
    )


def _head(path: Path, rows: int) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from islice(lines, rows)


def with_edited(plain: Made, copies: int) -> Iterator[bytes]:
    """The rows, and evenly among them copies of one of them with 1 % of its words edited."""
    rng = Random(0)
    every = plain.rows // copies
    words: list[str] = []
    made = 0
    for row, line in enumerate(_head(plain.path, plain.rows)):
        yield line
        if not words:
            words = orjson.loads(line)["text"].split(" ")
            if len(words) < WORDS:
                words = []
        if words and row % every == 0 and made < copies:
            made += 1
            edited = list(words)
            for place in rng.sample(range(len(words)), len(words) // 100):
                edited[place] = f"edited{rng.randrange(10**6)}"
            yield orjson.dumps({"text": " ".join(edited)}) + b"\n"


def memory(setting: Setting, scratch: Path) -> str:
    """Measure private memory; the section as Markdown."""
    base, rows = setting.corpus, setting.rows
    kinds: dict[str, tuple[Callable[[int], Iterator[bytes]], tuple[int, int]]] = {
        "chats": (lambda count: chats(count, copies=0), (rows, 4 * rows)),
        "documents": (lambda times: documents(base, times), (1, 4)),
        "ten documents in one": (lambda times: documents(base, times, joined=10), (2, 8)),
    }
    lines = [
        "| rows | bytes each | `--memory` | private MB | bytes a row |",
        "|---|---|---|---|---|",
    ]
    for name, (make, sizes) in kinds.items():
        files = [write(scratch / f"{size}.jsonl", make(size)) for size in sizes]
        for budget in setting.budgets:
            options = [*WHOLE, *(["--memory", budget] if budget != "default" else [])]
            peaks = []
            for file in files:
                first = start(file.path, scratch, options)
                done = dedup(file.path, scratch / "out", options)
                peaks.append(done.cost.private_bytes - first.private_bytes)
                print(f"{name}: {file.rows:,} rows, {peaks[-1] / 1e6:,.0f} MB", flush=True)
            counts, average = [file.rows for file in files], files[1].bytes / files[1].rows
            slope = (peaks[1] - peaks[0]) / (counts[1] - counts[0])
            lines.append(
                f"| {counts[0]:,} and {counts[1]:,} {name} | {average:,.0f} | {budget} "
                f"| {peaks[0] / 1e6:,.0f} and {peaks[1] / 1e6:,.0f} | {slope:,.0f} |"
            )
        for file in files:
            file.path.unlink()
    return "\n".join([*lines, "", f"One run each; {today()}, {machine()}."])


SECTIONS = {"growth": growth, "memory": memory}


def main() -> None:
    """Make the files, measure, and rewrite the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=SECTIONS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--copies", type=int, default=5, help="renamings of the corpus (default: 5)"
    )
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="the fewer chats (default: 10⁶)"
    )
    parser.add_argument(
        "--memory",
        nargs="+",
        default=["default", "256MiB"],
        metavar="SIZE",
        help="budgets for `curatekit dedup --memory` (default: its own, and 256MiB)",
    )
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="for corpus and files")
    parser.add_argument("--dry", action="store_true", help="publish nothing")
    given = parser.parse_args()
    corpus = build(given.folder)
    setting = Setting(given.folder, corpus, given.runs, given.copies, given.rows, given.memory)
    for name, measure in SECTIONS.items():
        if given.only in (None, name):
            with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
                text = measure(setting, Path(scratch))
            if given.dry:
                print(text)
            else:
                publish(name, text)


if __name__ == "__main__":
    main()

"""Runs of `curatekit dedup`, and what is left of their cost without the start of the process."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from measure import Cost, run

COMMAND = (sys.executable, "-m", "curatekit", "dedup", "--quiet", "--force")


class Run(NamedTuple):
    """One run: what it cost, and its own account of it."""

    cost: Cost
    report: dict[str, Any]
    """`report.json`: rows, kept, removed."""
    figures: dict[str, Any]
    """`run.json`: its own clocks, without the interpreter's start."""


def dedup(file: Path, out: Path, options: Sequence[str], *, threads: int = 1) -> Run:
    """Deduplicate a file into a folder."""
    command = [*COMMAND, str(file), "-o", str(out), "--threads", str(threads), *options]
    cost = run(command, os.environ)
    report, figures = (json.loads((out / name).read_text()) for name in ("report.json", "run.json"))
    return Run(cost, report, figures)


def start(file: Path, folder: Path, options: Sequence[str]) -> Cost:
    """What a run over the first row of a file costs: the start of the process, and little else.

    The least of five, in each figure: what is taken off is never more than a start takes.
    """
    first = folder / f"first-of-{file.name}"
    with file.open("rb") as lines:
        first.write_bytes(next(lines))
    costs = [dedup(first, folder / "first", options).cost for _ in range(5)]
    return Cost(*(min(figure) for figure in zip(*costs, strict=True)))

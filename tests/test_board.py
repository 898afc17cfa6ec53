"""The board: built and real sets that are all template, through the command with default options.

The sets stand beside `CURATEKIT_DATA`. What the brute force over them removes by the rule as it was
first written down is told there too; the rule has become better since, so a few rows differ.
"""

import importlib
import json
from collections import Counter
from pathlib import Path

import pytest

from conftest import Run
from running import DATA, Output

SETS = DATA.resolve().parent / "sets"
DISTINCT = {"distinct", "CLINC", "other"}
Board = list[tuple[str, list[tuple[dict[str, str], str]]]]
pytestmark = pytest.mark.skipif(
    not (SETS / "board.py").is_file(), reason="no sets beside CURATEKIT_DATA"
)

LOST = {"BBQ religion": 2, "WikiSQL text": 3, "CLINC, one instruction": 3}
"""Distinct rows that are removed: some of 46, 4 and 34 at first, and none that was kept then."""
MISSED = {
    ("T with edits", "greeting before"): 10,
    ("1 row, 10 one-word copies, 400 others", "copy"): 2,
}
"""Copies that are kept.

Where two of six short questions begin with a greeting, or two of ten texts differ from the others
in the same place, it looks like a slot.
"""


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """Each set's name, and its rows with what they are."""
    monkeypatch.syspath_prepend(SETS)
    return list(importlib.import_module("board").sets())


def test_no_row_more_is_lost_or_missed_than_is_known(board: Board, run: Run) -> None:
    for name, rows in board:
        with Path("set.jsonl").open("w", encoding="utf-8") as file:
            for said, _ in rows:
                turns = [{"role": role, "content": text} for role, text in said.items()]
                file.write(json.dumps({"messages": turns}) + "\n")
        options = ("--quiet", "--force", "--max-drop", "1")
        assert run("dedup", "set.jsonl", "-o", "out", *options).returncode == 0
        kept = Counter(kind for _, kind in rows)
        lost = 0
        for decision in Output.read(Path("out")).decisions:
            kind = rows[decision["row"]][1]
            kept[kind] -= 1
            lost += kind in DISTINCT
        assert lost <= LOST.get(name, 0), name
        for kind in kept.keys() - DISTINCT:
            assert kept[kind] <= MISSED.get((name, kind), 0), (name, kind)

"""Templated data through the command: templates eat no data, and edits hide no copies.

Sets alone and as 20 % of unrelated rows here; as 4 % and 1 % (up to 45,000 rows) in `make nightly`.
"""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

import reference
from conftest import Run
from languages import ENGLISH, LANGUAGES, Language
from reference import NEAR
from running import Output
from templates import LAYOUTS, Author, Kind, Piece, Set, Text, build, mix

SETS = [(name, language) for name in LAYOUTS for language in LANGUAGES]
FOUND: dict[Kind, float] = {"system edit": 0.99, "free edit": 0.99, "boilerplate edit": 0.99}


def removed(made: Set, run: Run) -> Counter[Kind]:
    """Deduplicate a set with default options, and count what is removed by what it is."""
    Path("set.jsonl").write_bytes(b"".join(row + b"\n" for row in made.rows))
    assert run("dedup", "set.jsonl", "-o", "out", "--quiet", "--force").returncode == 0
    gone = [decision["row"] for decision in Output.read(Path("out")).decisions]
    return Counter(made.kinds[row] for row in gone)


def check(made: Set, gone: Counter[Kind]) -> None:
    """What must hold of each set by itself."""
    have = Counter(made.kinds)
    assert gone["distinct"] == gone["other"] == 0
    assert (gone["exact"], gone["case"]) == (have["exact"], have["case"])


def count(sets: list[tuple[str, Language]], percent: int, run: Run) -> None:
    """Check every set, mixed or alone, and then the share of edited copies in all of them."""
    gone, have = Counter[Kind](), Counter[Kind]()
    for name, language in sets:
        made = build(name, language)
        made = mix(made, percent) if percent < 100 else made
        found = removed(made, run)
        check(made, found)
        gone.update(found)
        have.update(made.kinds)
    for kind, share in FOUND.items():
        assert gone[kind] >= share * have[kind], (kind, gone[kind], have[kind])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("percent", [100, 20])
def test_templates_eat_no_data_and_edits_hide_no_copies(percent: int, run: Run) -> None:
    count(SETS, percent, run)


@pytest.mark.nightly
@pytest.mark.parametrize("percent", [4, 1])
def test_a_small_share_of_templated_rows_is_treated_alike(percent: int, run: Run) -> None:
    count(SETS, percent, run)


@pytest.mark.parametrize("recall", ["exact", "bands"])
def test_templates_in_one_family_are_told_apart(recall: str, run: Run) -> None:
    """Under one preamble, 60 tasks hang together, and each is filled by a few of all rows."""
    by = Author(ENGLISH, Random(1))
    preamble = by.text(ENGLISH.system, {}).pieces
    rows: list[bytes] = []
    for _ in range(60):
        task, over = by.prose(17, 17), by.prose(17, 17)
        for word in by.rng.sample(by.words, 15):
            text = Text(ENGLISH, [*preamble, task, Piece("slot", [word]), over])
            rows.append(json.dumps({"text": str(text)}).encode())
    Path("set.jsonl").write_bytes(b"\n".join(rows))
    options = ("--alike", "consensus", "--ngram", "3", "--recall", recall)
    assert run("dedup", "set.jsonl", "-o", "out", "--quiet", *options).returncode == 0
    assert Output.read(Path("out")).decisions == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_set_is_decided_as_by_the_reference(name: str, run: Run) -> None:
    made = build(name, LANGUAGES[len(name) % len(LANGUAGES)], distinct=120, copies=12)
    settings = reference.Settings(made.format, alike="consensus", numbers="distinct")
    fates = reference.decide(reference.read([b"\n".join(made.rows)], settings), settings)
    expected = {row: fate.witness for row, fate in enumerate(fates) if fate.state}
    Path("set.jsonl").write_bytes(b"".join(row + b"\n" for row in made.rows))
    assert run("dedup", "set.jsonl", "-o", "out", "--quiet").returncode == 0
    decisions = Output.read(Path("out")).decisions
    assert {one["row"]: one["witness"]["row"] for one in decisions} == expected
    assert any(fate.state == NEAR for fate in fates)

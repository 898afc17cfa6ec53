"""The core decides as the reference does, row by row and to the last shingle.

`CURATEKIT_CORPORA` is the number of generated corpora; the default takes about a minute.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import pytest

import reference
from consensus import hunks
from corpora import Corpus, corpus, is_close
from curatekit import _native
from curatekit.formats import FORMATS
from reference import EXACT, KEPT, NEAR, QUARANTINED, Decision, Index, Row, compare, similarity

SEEDS = range(int(os.environ.get("CURATEKIT_CORPORA", "200")))
FEWER_SEEDS = SEEDS[: len(SEEDS) // 4]
LONG = 1300
"""Lines of a long corpus: more rows than the core decides at a time."""
LONG_SEEDS = (11, 13, 15, 18, 19)


def decide(
    made: Corpus,
    folder: Path,
    *,
    cuts: Sequence[int] = (),
    recall: Literal["bands", "exact"] = "exact",
    threads: int = 2,
) -> list[Decision]:
    """Let the core decide a corpus, in one file or cut into several."""
    contents = made.files(*cuts)
    files = [folder / f"{number}.jsonl" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    decided = _native.decide(
        files,
        FORMATS,
        format=made.settings.format,
        field=None,
        also=made.settings.also,
        on=made.settings.on,
        method=made.settings.method,
        threshold_millis=made.settings.threshold_millis,
        ngram=made.settings.ngram,
        alike=made.settings.alike,
        numbers=made.settings.numbers,
        keep=f"best:{made.settings.score}" if made.settings.keep == "best" else made.settings.keep,
        label=None,
        recall=recall,
        seed=1,
        max_line=1 << 20,
        on_error="quarantine",
        threads=threads,
        memory=1 << 28,
        io="read",
        spool=folder,
        progress=None,
    )
    columns = decided.state(), decided.witness(), decided.shared(), decided.united()
    return [Decision(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def expected(made: Corpus) -> list[Decision]:
    """Let the reference decide a corpus."""
    return reference.decide(reference.read(made.files(), made.settings), made.settings)


class Judged(NamedTuple):
    """A row, its fate, and the rows that had been kept by then."""

    row: Row
    fate: Decision
    kept: list[Row]
    witness: Row | None


def judged(made: Corpus) -> tuple[Index, list[Judged]]:
    """The rows of a corpus in the order in which they are judged."""
    rows = reference.read(made.files(), made.settings)
    fates = reference.decide(rows, made.settings)
    ranked = [(row.rank, row, fate) for row, fate in zip(rows, fates, strict=True) if row]
    ranked.sort(key=lambda ranked: ranked[0])
    found: list[Judged] = []
    kept: list[Row] = []
    for _, row, fate in ranked:
        found.append(Judged(row, fate, list(kept), rows[fate.witness]))
        kept += [row] * (fate.state == KEPT)
    return reference.index(rows, made.settings), found


def smallest(made: Corpus, folder: Path) -> Corpus:
    """Drop the lines without which the core and the reference still disagree."""
    for at in reversed(range(len(made.lines))):
        fewer = made._replace(lines=made.lines[:at] + made.lines[at + 1 :])
        if decide(fewer, folder) != expected(fewer):
            made = fewer
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_every_row_is_decided_as_by_the_reference(seed: int, tmp_path: Path) -> None:
    made = corpus(seed)
    if decide(made, tmp_path) != expected(made):
        made = smallest(made, tmp_path)
    assert decide(made, tmp_path) == expected(made), made


@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_a_long_corpus_is_decided_as_by_the_reference(seed: int, tmp_path: Path) -> None:
    made = corpus(seed, LONG)
    fates = expected(made)
    assert all(decide(made, tmp_path, threads=threads) == fates for threads in (1, 2, 5))


def test_many_rows_are_decided_close_to_the_threshold() -> None:
    """At least 30 % of all: removed with a similarity close to it, or kept in spite of one."""
    close = total = 0
    for made in map(corpus, FEWER_SEEDS):
        for row, fate, kept, _ in judged(made)[1]:
            overlaps = [(fate.shared, fate.united)] if fate.state == NEAR else []
            if fate.state == KEPT:
                overlaps = [similarity(row, earlier) for earlier in kept]
            close += any(is_close(*overlap, made.settings) for overlap in overlaps)
            total += 1
    assert close >= 0.3 * total


def test_each_part_of_the_rule_decides_often() -> None:
    """Of the rows under `consensus`: at least 1 in 50 by each.

    Kept for its numbers or for content; removed though something differs in its family, either as
    edits or since the rest is alike.
    """
    decided: Counter[str] = Counter()
    for made in map(corpus, FEWER_SEEDS):
        if made.settings.alike == "consensus" and made.settings.method == "near":
            known, rows = judged(made)
            for row, fate, kept, witness in rows:
                decided["total"] += 1
                if fate.state == KEPT:
                    decided.update({compare(row, other, known, made.settings) for other in kept})
                elif fate.state == NEAR and witness:
                    decided.update(set(_hunks_in_families(row, witness, known)))
    reasons = ("below the threshold", "numbers", "content", "edit", "slot")
    assert min(decided[reason] for reason in reasons) >= 0.02 * decided["total"]


def _hunks_in_families(row: Row, witness: Row, known: Index) -> Iterator[str]:
    for role, words in row.words.items():
        if family := known[role].get(words):
            other = witness.words[role]
            for hunk in hunks(words, other):
                yield "slot" if family.is_content(words, other, hunk) else "edit"


@pytest.mark.parametrize("seed", FEWER_SEEDS)
def test_threads_and_shards_change_nothing(seed: int, tmp_path: Path) -> None:
    made, rng = corpus(seed), Random(seed)
    for threads in (1, 2, 5):
        cuts = rng.choices(range(len(made.lines) + 1), k=threads - 1)
        assert decide(made, tmp_path, cuts=cuts, threads=threads) == expected(made)


@pytest.mark.parametrize(
    ("seed", "size"),
    [*((seed, None) for seed in FEWER_SEEDS), *((seed, LONG) for seed in LONG_SEEDS)],
)
def test_bands_remove_no_row_wrongly(seed: int, size: int | None, tmp_path: Path) -> None:
    made = corpus(seed, size)
    rows = reference.read(made.files(), made.settings)
    known = reference.index(rows, made.settings)
    fates = decide(made, tmp_path, recall="bands")
    for at, (row, fate) in enumerate(zip(rows, fates, strict=True)):
        assert (row is None) == (fate.state == QUARANTINED)
        witness = rows[fate.witness]
        if row is None or witness is None or fate.state == KEPT:
            assert fate == (fate.state, at, 0, 0)
            continue
        assert (witness.rank, fate.witness) < (row.rank, at)
        assert fates[fate.witness].state == KEPT
        if fate.state == EXACT:
            assert witness.parts == row.parts
        else:
            assert compare(row, witness, known, made.settings) == "alike"
            assert similarity(row, witness) == (fate.shared, fate.united)


def test_bands_find_nearly_all(tmp_path: Path) -> None:
    """All but one in a hundred. The signatures have a fixed seed, so chance has no part in this."""
    found = wanted = 0
    for made in map(corpus, FEWER_SEEDS):
        found += sum(fate.state == NEAR for fate in decide(made, tmp_path, recall="bands"))
        wanted += sum(fate.state == NEAR for fate in expected(made))
    assert found >= 0.99 * wanted

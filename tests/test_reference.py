"""The core decides as the reference does, row by row and to the last shingle.

`CURATEKIT_CORPORA` is the number of generated corpora; the default takes about a minute.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal

import pytest

import reference
from corpora import Corpus, corpus, is_close
from curatekit import _native
from curatekit.formats import FORMATS
from reference import EXACT, KEPT, NEAR, QUARANTINED, Decision, Row, similarity

SEEDS = range(int(os.environ.get("CURATEKIT_CORPORA", "200")))
FEWER_SEEDS = SEEDS[: len(SEEDS) // 4]
LONG = 1300
"""Lines of a long corpus: more rows than the core decides at a time."""
LONG_SEEDS = (2, 5, 7, 13)


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
        rows = reference.read(made.files(), made.settings)
        kept: list[Row] = []
        for row, fate in zip(rows, expected(made), strict=True):
            overlaps = [(fate.shared, fate.united)] if fate.state == NEAR else []
            if row is not None and fate.state == KEPT:
                overlaps = [similarity(row, earlier) for earlier in kept]
                kept.append(row)
            close += any(is_close(*overlap, made.settings) for overlap in overlaps)
            total += 1
    assert close >= 0.3 * total


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
    fates = decide(made, tmp_path, recall="bands")
    for at, (row, fate) in enumerate(zip(rows, fates, strict=True)):
        assert (row is None) == (fate.state == QUARANTINED)
        witness = rows[fate.witness]
        if row is None or witness is None or fate.state == KEPT:
            assert fate == (fate.state, at, 0, 0)
            continue
        assert fate.witness < at
        assert fates[fate.witness].state == KEPT
        if fate.state == EXACT:
            assert witness.parts == row.parts
        else:
            assert similarity(row, witness) == (fate.shared, fate.united)
            assert fate.shared * 1000 >= made.settings.threshold_millis * fate.united


def test_bands_find_nearly_all(tmp_path: Path) -> None:
    """All but one in a hundred. The signatures have a fixed seed, so chance has no part in this."""
    found = wanted = 0
    for made in map(corpus, FEWER_SEEDS):
        found += sum(fate.state == NEAR for fate in decide(made, tmp_path, recall="bands"))
        wanted += sum(fate.state == NEAR for fate in expected(made))
    assert found >= 0.99 * wanted

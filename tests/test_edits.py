"""One edited word, and what must not depend on the rows around it.

A row with one word inserted, deleted or substituted is found whenever its similarity reaches the
threshold, and never below it, by `--recall exact` and by bands.
"""

import json
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import pytest

from consensus import shingles
from curatekit.dedup import near

LENGTHS = (10, 11, 14, 20, 29, 30, 31, 50, 100, 130, 300, 1000, 5000)
HOWS = ("insert", "delete", "substitute")
WHERES = ("front", "middle", "end")
COPIES = 4
Alike = Literal["each-role", "whole"]


class Pair(NamedTuple):
    """A row and its edited copy, and what they share in the least similar group."""

    row: list[str]
    copy: list[str]
    shared: int
    united: int


def edited(words: list[str], how: str, where: str, new: str) -> list[str]:
    at = {"front": 0, "middle": len(words) // 2, "end": len(words) - 1}[where]
    if how == "insert":
        return [*words, new] if where == "end" else [*words[:at], new, *words[at:]]
    return [*words[:at], *([new] if how == "substitute" else []), *words[at + 1 :]]


def pairs(ngram: int) -> list[Pair]:
    """Rows of every length, each edited in every way and place."""
    rng = Random(5)
    made = []
    for length, how, where, _ in product(LENGTHS, HOWS, WHERES, range(COPIES)):
        row = [f"w{rng.getrandbits(48):x}x" for _ in range(length)]
        copy = edited(row, how, where, f"n{rng.getrandbits(48):x}x")
        mine, its = (shingles(tuple(words), ngram) for words in (row, copy))
        made.append(Pair(row, copy, len(mine & its), len(mine | its)))
    return made


def written(words: list[str], alike: Alike) -> dict[str, Any]:
    """Under `whole` a document; in each role an answer, to a question that all rows share."""
    if alike == "whole":
        return {"text": " ".join(words)}
    turns = (("user", "Tell me all that you know of it"), ("assistant", " ".join(words)))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


@pytest.mark.parametrize("recall", ["exact", "bands"])
@pytest.mark.parametrize(("alike", "ngram"), [("whole", 5), ("each-role", 3)])
def test_an_edited_row_is_found_whenever_it_is_similar_enough(
    tmp_path: Path, alike: Alike, ngram: int, recall: Literal["exact", "bands"]
) -> None:
    made = pairs(ngram)
    rows = [written(words, alike) for pair in made for words in (pair.row, pair.copy)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    decisions = near(path, alike=alike, ngram=ngram, recall=recall)
    similar = [pair.shared * 1000 >= 800 * pair.united for pair in made]
    assert decisions.kept[1::2].tolist() == [not is_similar for is_similar in similar]
    assert decisions.kept[::2].all()
    for at, pair in enumerate(made):
        if similar[at]:
            assert decisions.witness[2 * at + 1] == 2 * at
            assert decisions.shared[2 * at + 1] * pair.united == (
                decisions.united[2 * at + 1] * pair.shared
            )
    assert 50 < sum(similar) < len(made) - 50


def rows_like_each_other(count: int) -> list[dict[str, Any]]:
    """Rows of which many are near-duplicates of several others."""
    rng = Random(8)
    words = [f"w{number}" for number in range(400)]
    origins = [rng.choices(words, k=60) for _ in range(count // 6)]
    rows = []
    for number in range(count):
        text = list(rng.choice(origins))
        for _ in range(rng.randint(0, 3)):
            text[rng.randrange(len(text))] = rng.choice(words)
        rows.append(written(text, "each-role") | {"number": number})
    return rows


def kept(path: Path, rows: list[dict[str, Any]], **options: str) -> list[int]:
    """The numbers of the rows that stay."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    decisions = near(path, **options)  # type: ignore[arg-type]
    return [row["number"] for row, stays in zip(rows, decisions.kept, strict=True) if stays]


@pytest.mark.parametrize("alike", ["consensus", "each-role", "whole"])
@pytest.mark.parametrize("count", [600, 6000])
def test_rows_given_twice_keep_the_same(tmp_path: Path, count: int, alike: str) -> None:
    rows = rows_like_each_other(count)
    once = kept(tmp_path / "once.jsonl", rows, alike=alike)
    twice = kept(tmp_path / "twice.jsonl", rows + rows, alike=alike)
    assert once == twice
    assert 0.1 * count < len(once) < 0.9 * count


@pytest.mark.parametrize("alike", ["consensus", "each-role", "whole"])
@pytest.mark.parametrize("count", [600, 6000])
def test_the_order_of_rows_with_priorities_means_nothing(
    tmp_path: Path, count: int, alike: str
) -> None:
    rows = rows_like_each_other(count)
    Random(1).shuffle(rows)
    options = {"alike": alike, "keep": "best:number"}
    expected = kept(tmp_path / "a.jsonl", rows, **options)
    Random(2).shuffle(rows)
    assert sorted(kept(tmp_path / "b.jsonl", rows, **options)) == sorted(expected)
    assert expected != kept(tmp_path / "c.jsonl", rows, alike=alike)


@pytest.mark.parametrize("alike", ["each-role", "whole"])
def test_rows_of_lower_priority_change_no_decision(tmp_path: Path, alike: str) -> None:
    rows = rows_like_each_other(3000)
    options = {"alike": alike, "recall": "exact"}
    before = kept(tmp_path / "fewer.jsonl", rows[:1500], **options)
    after = kept(tmp_path / "all.jsonl", rows, **options)
    assert after[: len(before)] == before

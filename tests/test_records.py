"""Records: what a row says is found, and what is said otherwise changes nothing else.

Rows are written in pieces, of which some are JSON strings of texts: that is how the tests know what
a row says, and what it must be after a text was replaced.
"""

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curatekit
import reference
from curatekit.formats import ALPACA, CHAT, PREFERENCE, RECORD, TEXT, Format
from curatekit.records import Batch, Dataset, Part

SPACES = st.text(" \t", max_size=2)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.sampled_from(["1.0", "-0", "1e400", "123456789012345678901234567890", "2.50E-3"])
OTHERS = st.one_of(
    NUMBERS,
    st.sampled_from(['{"a" :1,"a": 2}', '[1 ,  {"text":"no part"}]', "null", "true", '"\\u0041"']),
)


class Said(NamedTuple):
    """A text in a row, and how it is spelled there."""

    role: str
    path: str
    text: str
    spelled: str


Piece = str | Said


class Drawn(NamedTuple):
    """A row in pieces, and its texts in the order of its layout."""

    format: Format
    pieces: list[Piece]
    said: list[Said]

    def line(self, new: Sequence[str | None] = ()) -> bytes:
        """Write the row, with some of its texts replaced."""
        news = dict(zip(map(id, self.said), new, strict=bool(new)))
        return "".join(self._spelled(piece, news) for piece in self.pieces).encode()

    @staticmethod
    def _spelled(piece: Piece, news: dict[int, str | None]) -> str:
        if isinstance(piece, str):
            return piece
        new = news.get(id(piece))
        if new is None or new == piece.text:
            return piece.spelled
        return json.dumps(new, ensure_ascii=False)


def joined(draw: st.DrawFn, items: list[list[Piece]], brackets: str) -> list[Piece]:
    """Write an object or an array, with spaces where JSON allows them."""
    pieces: list[Piece] = [brackets[0]]
    for at, item in enumerate(items):
        pieces += [draw(SPACES), *item, draw(SPACES), "," if at + 1 < len(items) else ""]
    return [*pieces, draw(SPACES), brackets[1]]


def say(draw: st.DrawFn, role: str, path: str) -> Said:
    """Write a text, escaped in one of the ways that JSON has."""
    text = draw(TEXTS)
    return Said(role, path, text, json.dumps(text, ensure_ascii=draw(st.booleans())))


def member(draw: st.DrawFn, key: str, value: list[Piece]) -> list[Piece]:
    return [json.dumps(key), draw(SPACES), ":", draw(SPACES), *value]


def noise(draw: st.DrawFn) -> list[list[Piece]]:
    """Members that no layout asks for; keys may stand twice."""
    keys = draw(st.lists(st.sampled_from(["n", "id", "ä"]), max_size=3))
    return [member(draw, key, [draw(OTHERS)]) for key in keys]


@st.composite
def rows(draw: st.DrawFn) -> Drawn:
    """Rows of a few layouts, with their members in any order."""
    if draw(st.booleans()):
        fields = [("system", "system"), ("instruction", "user"), ("output", "assistant")]
        said = [say(draw, role, key) for key, role in fields]
        members = [member(draw, one.path, [one]) for one in said]
        members = draw(st.permutations([*members, *noise(draw)]))
        return Drawn(ALPACA, joined(draw, members, "{}"), said)
    said, messages = [], []
    for at in range(draw(st.integers(1, 3))):
        role = draw(st.sampled_from(["system", "user", "assistant"]))
        path = f"messages[{at}].content"
        if draw(st.booleans()):
            said.append(say(draw, role, path))
            content: list[Piece] = [said[-1]]
        else:
            said.append(say(draw, role, f"{path}[1].text"))
            image: list[Piece] = ['{"type":"image_url","image_url":{"url":"x"}}']
            text = joined(
                draw,
                [member(draw, "text", [said[-1]]), member(draw, "type", ['"text"'])],
                "{}",
            )
            content = joined(draw, [image, text], "[]")
        members = [member(draw, "role", [f'"{role}"']), member(draw, "content", content)]
        members = draw(st.permutations([*members, *noise(draw)]))
        messages.append(joined(draw, members, "{}"))
    turns = joined(draw, messages, "[]")
    members = draw(st.permutations([member(draw, "messages", turns), *noise(draw)]))
    return Drawn(CHAT, joined(draw, members, "{}"), said)


@given(rows())
def test_texts_are_found_with_their_roles_and_paths(row: Drawn) -> None:
    (record,) = Batch.of([row.line()], row.format)
    assert record.parts == tuple(Part(one.role, one.path, one.text) for one in row.said)
    assert record.line == row.line()
    assert record.object == json.loads(row.line())


@given(rows(), st.data())
def test_a_rewritten_text_changes_nothing_else(row: Drawn, data: st.DataObject) -> None:
    new = [data.draw(st.none() | TEXTS | st.just(one.text)) for one in row.said]
    (line,) = Batch.of([row.line()], row.format).rewritten(new)
    expected = row.line(new)
    assert line == (None if expected == row.line() else expected)


@given(st.lists(rows().filter(lambda row: row.format is CHAT), max_size=4), st.data())
def test_a_part_of_a_batch_says_what_it_says_in_the_whole(
    drawn: list[Drawn], data: st.DataObject
) -> None:
    batch = Batch.of([row.line() for row in drawn], CHAT)
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(drawn))] * 2)))
    some = batch[start:stop]
    assert [record.parts for record in some] == [record.parts for record in batch][start:stop]
    assert some.texts() == batch.texts()[start:stop]
    assert some.rows.tolist() == list(range(start, stop))
    assert batch.texts("user") == [
        "\n\n".join(one.text for one in row.said if one.role == "user") for row in drawn
    ]
    assert batch.parts == tuple(one.text for row in drawn for one in row.said)
    assert batch.part_role == tuple(one.role for row in drawn for one in row.said)
    assert batch.part_row.tolist() == [at for at, row in enumerate(drawn) for _ in row.said]


SPACE = set("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000")
SPACE |= set(map(chr, range(0x2000, 0x200B)))


def counted(text: str) -> dict[str, int]:
    """What the core counts in a text, scalar by scalar."""
    words = "".join(" " if c in SPACE else "x" for c in text).split()
    kinds = Counter("space" if c in SPACE else reference.KINDS.get(c, "break") for c in text)
    return {
        "chars": len(text),
        "words": len(words),
        "lines": text.count("\n") + bool(text),
        "letters": kinds["word"] + kinds["unspaced"],
        "digits": kinds["digit"],
        "spaces": kinds["space"],
        "symbols": kinds["break"] + kinds["symbol"],
    }


@given(st.lists(st.lists(TEXTS | st.text("a1 .\n\u3000é去", max_size=400), max_size=3), max_size=4))
def test_what_is_counted_in_the_texts_of_a_row_is_summed(rows: list[list[str]]) -> None:
    batch = Batch.of([{"a": texts} for texts in rows], RECORD)
    for name, column in ((name, batch.column(name)) for name in counted("")):
        assert column.dtype == np.uint32
        assert column.tolist() == [sum(counted(text)[name] for text in texts) for texts in rows]
    if len(rows) > 1:
        assert batch[1:].column("chars").tolist() == batch.column("chars").tolist()[1:]
    with pytest.raises(KeyError):
        batch.column("beauty")


def test_half_a_surrogate_pair_is_told_and_never_rewritten() -> None:
    batch = Batch.of([rb'{"instruction":"\ud800","output":"x"}'], ALPACA)
    assert batch.parts == ("\ud800", "x")
    assert batch.rewritten([None, "y"]) == [None]
    good = Batch.of([{"text": "x"}], TEXT)
    with pytest.raises(UnicodeEncodeError):
        good.rewritten(["\ud800"])


def test_one_new_text_is_asked_for_each_part() -> None:
    batch = Batch.of([{"chosen": "a", "rejected": "b"}], PREFERENCE)
    with pytest.raises(ValueError, match="1 texts for 2 parts"):
        batch.rewritten(["c"])


def test_rows_that_are_not_of_their_layout_have_no_parts() -> None:
    batch = Batch.of([{"text": "a"}, {"text": 1}, b"{", b"[]"], TEXT)
    assert batch.texts() == ["a", "", "", ""]
    assert [(at, reason) for at, reason, _ in batch.problems] == [
        (1, "wrong-type"),
        (2, "invalid-json"),
        (3, "not-an-object"),
    ]
    assert batch[1:3].problems[0] == (0, "wrong-type", "field `text` is not a string")
    with pytest.raises(curatekit.CurateError, match="row 3: not a JSON object"):
        _ = batch[3].object
    assert batch[-4].object == {"text": "a"}
    with pytest.raises(IndexError):
        batch[4]


def test_every_string_of_an_unknown_layout_has_a_path() -> None:
    batch = Batch.of([{"a": {"b": ["x", {"c": "y"}]}, "d": 1, "e": "x"}], RECORD)
    assert [(part.path, part.text) for part in batch[0].parts] == [
        ("a.b[0]", "x"),
        ("a.b[1].c", "y"),
        ("e", "x"),
    ]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Ten chats in lines, then three documents in a packed array."""
    chats: list[Any] = [{"messages": [{"role": "user", "content": f"c{at}"}]} for at in range(10)]
    lines = [json.dumps(chat).encode() for chat in chats]
    (tmp_path / "a.jsonl").write_bytes(b"\n\n".join(lines))
    array = '[{"text": "d0",\n "n": 1}, {"text": "d1"},\n{"text": "d2"}]'
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(array.encode()))
    return Dataset(tmp_path)


def test_a_dataset_gives_its_rows_in_order_and_by_number(dataset: Dataset, tmp_path: Path) -> None:
    texts = [f"c{at}" for at in range(10)] + ["d0", "d1", "d2"]
    for size in (1, 4, 13, 1000):
        batches = list(dataset.batches(size))
        assert [text for batch in batches for text in batch.texts()] == texts
        assert [row for batch in batches for row in batch.rows.tolist()] == list(range(13))
    assert len(dataset) == 13
    assert [name for _, name in dataset.formats] == ["chat", "text"]
    assert dataset.batch([11, 0, 11]).texts() == ["d1", "c0", "d1"]
    assert dataset[10].line == b'{"text": "d0",  "n": 1}'
    assert dataset[-1].parts == (Part("text", "text", "d2"),)
    assert dataset.place(9) == (str(tmp_path / "a.jsonl"), 19)


def test_there_are_no_rows_beyond_the_last(dataset: Dataset) -> None:
    with pytest.raises(IndexError, match="there is no row 13"):
        dataset.batch([13])
    with pytest.raises(IndexError):
        dataset[13]
    with pytest.raises(IndexError):
        dataset.place(13)
    assert dataset.place(-1) == dataset.place(12)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([-1], IndexError, "there is no row -1"),
        ([2**64], IndexError, "there is no row 18446744073709551616"),
        (np.array([0, -7]), IndexError, "there is no row -7"),
        (np.array([True, False]), TypeError, "by their numbers, as integers"),
        (np.array([1.5]), TypeError, "by their numbers, as integers"),
        (np.array([[1]]), TypeError, "in one dimension"),
        (np.ma.masked_array([1, 2], mask=True), TypeError, "by their numbers, as integers"),
        ([1.5], TypeError, "as an integer"),
        ("12", TypeError, "as an integer"),
    ],
    ids=str,
)
def test_rows_are_given_by_their_numbers(
    dataset: Dataset, rows: Iterable[int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dataset.batch(rows)


def test_numbers_of_any_kind_are_numbers(dataset: Dataset) -> None:
    assert dataset.batch(np.array([3, 1], np.int8)).texts() == ["c3", "c1"]
    assert dataset.batch([]).texts() == []
    assert dataset.batch(np.array([1]))[np.int64(0)].row == 1  # type: ignore[call-overload]
    rows = np.array([2, 5], np.uint64)
    batch = dataset.batch(rows)
    rows[0] = 7  # whose array it is may change it
    assert batch.rows.tolist() == [2, 5]
    with pytest.raises(ValueError, match="1 row or more, not 0"):
        next(dataset.batches(0))


def test_a_file_that_is_cut_short_is_noticed_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n' * 100_000)
    dataset = Dataset(path)
    os.truncate(path, 10)
    with pytest.raises(curatekit.DataError, match="changed while it was read"):
        dataset.batch([99_999])


def test_a_row_of_many_texts_has_as_many_paths() -> None:
    turns = [{"role": "user", "content": str(at)} for at in range(20_000)]
    (record,) = Batch.of([{"messages": turns}], CHAT)
    assert record.parts[19_999] == Part("user", "messages[19999].content", "19999")
    assert repr(record) == "Record(row=0, 20000 parts)"


def test_a_batch_is_made_of_records() -> None:
    for wrong in ({"text": "a"}, b"{}", "ab", ["ab"], [1], [{"text": {1}}]):
        with pytest.raises(TypeError):
            Batch.of(wrong, TEXT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not JSON compliant"):
        Batch.of([{"text": "a", "n": float("nan")}], TEXT)
    assert Batch.of([{"text": "\ud800"}], TEXT).parts == ("\ud800",)


def test_an_object_needs_no_layout() -> None:
    batch = Batch.of([b'{"q": 1}', b'{"text":"", "n":' + b"1" * 5000 + b"}"], TEXT)
    assert batch[0].object == {"q": 1}
    with pytest.raises(curatekit.CurateError, match="row 1: Exceeds the limit"):
        _ = batch[1].object


def test_a_file_that_changes_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b"\n{}")
    with pytest.raises(curatekit.DataError, match="changed while it was read"):
        dataset.batch([0])
    assert dataset.batch([12]).texts() == ["d2"]


def test_a_long_row_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x" * 100}) + '\n{"text": "y"}\n')
    batch = Dataset(path, max_line=50).batch([0, 1])
    assert batch.problems == [(0, "too-long", "112 bytes long, more than the 50 allowed")]
    assert batch.texts() == ["", "y"]
    with pytest.raises(curatekit.CurateError, match="row 0: 112 bytes long"):
        _ = batch[0].line

"""What is JSON and what is not: the cases of JSONTestSuite, and strings that break programs.

A case stands as the `value` of a record on a line of its own. One with a line break cannot: it
stands in an element of an array file instead.
"""

import json
import re
from pathlib import Path

import pytest

from curatekit import _native
from curatekit.formats import TEXT
from running import DATA, Output, dedup, needs_data, places, refused

pytestmark = needs_data

SUITE = DATA / "hostile/json_test_suite"
NAUGHTY = DATA / "hostile/blns.json"

# RFC 8259 leaves these to the parser. Numbers of any size and halves of surrogate pairs are kept,
# byte for byte; what is not UTF-8, nested beyond 256, or no token at all is not.
OPEN = {
    "i_number_double_huge_neg_exp": "kept",
    "i_number_huge_exp": "kept",
    "i_number_neg_int_huge_exp": "kept",
    "i_number_pos_double_huge_exp": "kept",
    "i_number_real_neg_overflow": "kept",
    "i_number_real_pos_overflow": "kept",
    "i_number_real_underflow": "kept",
    "i_number_too_big_neg_int": "kept",
    "i_number_too_big_pos_int": "kept",
    "i_number_very_big_negative_int": "kept",
    "i_object_key_lone_2nd_surrogate": "kept",
    "i_string_1st_surrogate_but_2nd_missing": "kept",
    "i_string_1st_valid_surrogate_2nd_invalid": "kept",
    "i_string_UTF-16LE_with_BOM": "invalid-utf8",
    "i_string_UTF-8_invalid_sequence": "invalid-utf8",
    "i_string_UTF8_surrogate_U+D800": "invalid-utf8",
    "i_string_incomplete_surrogate_and_escape_valid": "kept",
    "i_string_incomplete_surrogate_pair": "kept",
    "i_string_incomplete_surrogates_escape_valid": "kept",
    "i_string_invalid_lonely_surrogate": "kept",
    "i_string_invalid_surrogate": "kept",
    "i_string_invalid_utf-8": "invalid-utf8",
    "i_string_inverted_surrogates_U+1D11E": "kept",
    "i_string_iso_latin_1": "invalid-utf8",
    "i_string_lone_second_surrogate": "kept",
    "i_string_lone_utf8_continuation_byte": "invalid-utf8",
    "i_string_not_in_unicode_range": "invalid-utf8",
    "i_string_overlong_sequence_2_bytes": "invalid-utf8",
    "i_string_overlong_sequence_6_bytes": "invalid-utf8",
    "i_string_overlong_sequence_6_bytes_null": "invalid-utf8",
    "i_string_truncated-utf-8": "invalid-utf8",
    "i_string_utf16BE_no_BOM": "invalid-utf8",
    "i_string_utf16LE_no_BOM": "invalid-utf8",
    "i_structure_500_nested_arrays": "too-deep",
    "i_structure_UTF-8_BOM_empty_object": "invalid-json",
}
MESSAGES = {
    "invalid-json": r"expected .+ at byte \d+ of the row",
    "invalid-utf8": r"not UTF-8 at byte \d+ of the row",
    "too-deep": "nested deeper than 256 levels",
}


def record(name: str) -> bytes:
    """A record that holds the bytes of a case; no case happens to close it."""
    case = (SUITE / f"{name}.json").read_bytes()
    return b'{"text": "%b", "value": %b}' % (name.encode(), case)


def cases(*prefixes: str, broken: bool) -> list[str]:
    """Names of the cases that hold a line break, or of those that do not."""
    names = sorted(path.stem for path in SUITE.iterdir())
    return [
        name
        for name in names
        if name.startswith(prefixes) and bool(re.search(rb"[\r\n]", record(name))) == broken
    ]


@pytest.fixture(scope="module")
def on_lines(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """The cases without a line break, one on each line, in order."""
    folder = tmp_path_factory.mktemp("suite")
    rows = [record(name) for name in cases("y_", "n_", "i_", broken=False)]
    assert len(rows) == 308
    (folder / "cases.jsonl").write_bytes(b"\n".join(rows))
    output = dedup(folder / "out", folder / "cases.jsonl", "--method", "exact")
    assert output.rows() == rows
    return output


def fates(output: Output, prefix: str) -> dict[str, str]:
    """What became of each case on the lines."""
    names = cases("y_", "n_", "i_", broken=False)
    fates = zip(names, output.fates(), strict=True)
    return {name: fate for name, fate in fates if name.startswith(prefix)}


def test_what_is_json_is_kept(on_lines: Output) -> None:
    found = fates(on_lines, "y_")
    assert len(found) == 91
    assert set(found.values()) == {"kept"}


def test_what_is_not_json_is_quarantined(on_lines: Output) -> None:
    found = fates(on_lines, "n_")
    assert len(found) == 182
    assert set(found.values()) <= set(MESSAGES)


def test_what_the_standard_leaves_open_is_as_documented(on_lines: Output) -> None:
    assert fates(on_lines, "i_") == OPEN


def test_a_quarantined_case_is_told_with_place_and_reason(on_lines: Output) -> None:
    rows = on_lines.rows()
    ends = [sum(map(len, rows[:row])) + row for row in range(len(rows))]
    for decision in on_lines.decisions:
        row = decision["row"]
        assert (decision["line"], decision["byte"]) == (row + 1, ends[row])
        assert re.fullmatch(MESSAGES[decision["reason"]], decision["message"])
        for at in re.findall(r"at byte (\d+)", decision["message"]):
            assert rows[row].index(b'"value": ') < int(at) <= len(rows[row])


def test_json_with_line_breaks_is_kept_from_an_array(tmp_path: Path) -> None:
    names = cases("y_", "i_", broken=True)
    assert len(names) == 4
    array = b"[\n" + b",\n".join(map(record, names)) + b"\n]\n"
    (tmp_path / "cases.json").write_bytes(array)
    output = dedup(tmp_path / "out", tmp_path / "cases.json", "--method", "exact")
    assert output.kept == [place.row for place in places(array, "array")]
    assert [json.loads(row) for row in output.kept] == json.loads(array)


def test_what_is_not_json_breaks_an_array(tmp_path: Path) -> None:
    names = cases("n_", broken=True)
    assert len(names) == 6
    for name in names:
        (tmp_path / "cases.json").write_bytes(b'[{"text": "one"},\n%b]' % record(name))
        message = refused(3, tmp_path / "out", tmp_path / "cases.json")
        assert re.search(r"cases\.json: the JSON array is broken .*at byte \d+", message), name


@pytest.mark.parametrize("ascii_only", [True, False])
def test_naughty_strings_as_text(tmp_path: Path, *, ascii_only: bool) -> None:
    """They come back as they went in, and two of them are equal just where they are."""
    texts = naughty()
    rows = [json.dumps({"text": text}, ensure_ascii=ascii_only).encode() for text in texts]
    (tmp_path / "naughty.jsonl").write_bytes(b"\n".join(rows))
    output = dedup(tmp_path / "out", tmp_path / "naughty.jsonl", "--method", "exact")
    assert output.rows() == rows
    assert [json.loads(row)["text"] for row in output.kept] == list(dict.fromkeys(texts))
    assert [_native.parts(row, TEXT) for row in rows] == [[("text", text)] for text in texts]


def test_naughty_strings_as_chat(tmp_path: Path) -> None:
    """What the words of a string are is another matter; but no row is lost or changed."""
    chats = [
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": text}]}
        for text in naughty()
    ]
    rows = [json.dumps(chat).encode() for chat in chats]
    (tmp_path / "naughty.jsonl").write_bytes(b"\n".join(rows))
    output = dedup(tmp_path / "out", tmp_path / "naughty.jsonl")
    assert output.rows() == rows
    assert output.quarantined == []
    assert len(output.kept) > 400


def test_naughty_lines_as_they_are(tmp_path: Path) -> None:
    """A file that is no JSON at all: every line that is not blank is put aside, with its place."""
    data = (DATA / "hostile/blns.txt").read_bytes()
    output = dedup(tmp_path / "out", DATA / "hostile/blns.txt")
    expected = places(data, "lines")
    assert output.rows() == [place.row for place in expected]
    told = [(decision["line"], decision["byte"]) for decision in output.decisions]
    assert set(told) <= {(place.line, place.byte) for place in expected}
    assert {decision["state"] for decision in output.decisions} == {"quarantined"}
    assert len(output.kept) < 10


def naughty() -> list[str]:
    """The strings, and each line of the list they are kept in."""
    texts: list[str] = json.loads(NAUGHTY.read_bytes())
    texts += (DATA / "hostile/blns.txt").read_text(encoding="utf-8").split("\n")
    assert len(texts) > 1000
    return texts

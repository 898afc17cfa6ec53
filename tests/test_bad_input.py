"""Inputs with anything in them: each is read as it stands, or refused in one clear message."""

import json
import re
import shutil
from pathlib import Path

import pytest

from running import BOM, DEDUP, Layout, dedup, lines, places, refused, run

ONE, TWO = b'{"text": "one two three"}', b'{"text": "four five six"}'


def nested(depth: int) -> bytes:
    """A record that is nested so deep, itself counted."""
    return b'{"text": "deep", "value": %b1%b}' % (b"[" * (depth - 1), b"]" * (depth - 1))


# Name: the file, how it is laid out, and what becomes of its rows.
READ: dict[str, tuple[bytes, Layout, list[str]]] = {
    "empty": (b"", "lines", []),
    "only a mark": (BOM, "lines", []),
    "only blank lines": (b"\n  \n\t\r\n\n", "lines", []),
    "an empty array": (b" [\n] \n", "array", []),
    "one row": (ONE, "lines", ["kept"]),
    "no final newline": (ONE + b"\n" + TWO, "lines", ["kept"] * 2),
    "crlf": (ONE + b"\r\n" + TWO + b"\r\n", "lines", ["kept"] * 2),
    "crlf and lf": (ONE + b"\r\n" + ONE + b"\n", "lines", ["kept", "exact-duplicate"]),
    "a mark": (BOM + ONE + b"\n" + TWO + b"\n", "lines", ["kept"] * 2),
    "a mark before an array": (BOM + b"[" + ONE + b"]", "array", ["kept"]),
    "a mark in the middle": (ONE + b"\n" + BOM + TWO, "lines", ["kept", "invalid-json"]),
    "blank lines": (b"\n\r\n" + ONE + b"\n \t \n\n" + TWO + b"\n\n", "lines", ["kept"] * 2),
    "other blanks": (ONE + b"\n\x0b\n\x0c\n\xc2\xa0\n", "lines", ["kept"] + ["invalid-json"] * 3),
    "NUL in a string": (b'{"text": "a\0b"}\n' + ONE, "lines", ["invalid-json", "kept"]),
    "NUL after a row": (ONE + b"\0\n" + TWO, "lines", ["invalid-json", "kept"]),
    "a line of NULs": (ONE + b"\n" + bytes(5000), "lines", ["kept", "invalid-json"]),
    "an escaped NUL": (b'{"text": "\\u0000"}\n{"text": ""}', "lines", ["kept"] * 2),
    "latin-1": (b'{"text": "caf\xe9"}\n' + ONE, "lines", ["invalid-utf8", "kept"]),
    "utf-8 cut short": (b'{"text": "\xe2\x82"} \r\n', "lines", ["invalid-utf8"]),
    "a surrogate in utf-8": (b'{"text": "\xed\xa0\x80"}', "lines", ["invalid-utf8"]),
    "utf-16 without a mark": (ONE.decode().encode("utf-16-le"), "lines", ["invalid-json"]),
    "256 levels": (nested(256), "lines", ["kept"]),
    "257 levels": (nested(257), "lines", ["too-deep"]),
    "10,000 levels": (nested(10_000) + b"\n" + ONE, "lines", ["too-deep", "kept"]),
    "10,000 objects": (b'{"text":' * 10_000 + b"1" + b"}" * 10_000, "lines", ["too-deep"]),
    "10,000 levels, open": (b'{"text": ' + b"[" * 10_000, "lines", ["too-deep"]),
    "no objects": (b'1\nnull\n"a"\n[]\ntrue', "lines", ["not-an-object"] * 5),
    "no JSON": (b"text\n{'text': 'a'}\n{\"text\": NaN}", "lines", ["invalid-json"] * 3),
    "a row on two lines": (b'{"text":\n"a"}\n' + ONE, "lines", ["invalid-json"] * 2 + ["kept"]),
    "a wrong type": (ONE + b'\n{"text": 5}\n' + TWO, "lines", ["kept", "wrong-type", "kept"]),
    "a field missing": (ONE + b"\n{}\n" + TWO, "lines", ["kept", "missing-field", "kept"]),
    "bad elements": (
        b'[1, {"text": "\xff"}, %b, {},\r\n{"text":\n"b"}, [[]], "a"]' % nested(300) + b"\n",
        "array",
        ["not-an-object", "invalid-utf8", "too-deep", "missing-field", "kept"]
        + ["not-an-object"] * 2,
    ),
    "one object on lines": (b'\n\n{\n"text":\r\n"a"\n}\n\n', "object", ["kept"]),
}  # fmt: skip

# Name: the file, and the message about it.
REFUSED = {
    "an open array": (b"[" + ONE + b",\n" + TWO, r"broken at byte 53: expected `,` or `\]`"),
    "an open element": (b"[" + ONE + b",\n" + TWO[:-1], r"broken at byte 52: .*end of the array"),
    "a comma too much": (b"[" + ONE + b",]", r"broken at byte 27: expected an element"),
    "a comma too few": (b"[" + ONE + b"\n" + TWO + b"]", r"broken at byte 27: expected `,` or"),
    "two arrays": (b"[" + ONE + b"]\n[" + TWO + b"]", r"broken at byte 28: .*after the array"),
    "a broken element": (
        b"[" + ONE + b',\n{"text": nul}]',
        r"broken in the element at byte 28 \(line 2\): expected `true`.* at byte 9 of the row",
    ),
    "a broken element in latin-1": (
        b'[{"text": "\xff}, {"text": "}, {"text": "c"}]',
        r"broken in the element at byte 1 \(line 1\): not UTF-8 at byte 10 of the row",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_is_read(tmp_path: Path, name: str) -> None:
    data, layout, fates = READ[name]
    path = tmp_path / ("data.jsonl" if layout == "lines" else "data.json")
    path.write_bytes(data)
    output = dedup(tmp_path / "out", path, "--format", "text")
    assert output.fates() == fates
    (file,) = output.report["files"]
    assert (file["framing"], file["rows"], file["bytes"]) == (layout, len(fates), len(data))
    assert file["bom"] == data.startswith(BOM)
    if name not in ("bad elements", "a mark in the middle"):
        assert output.rows() == [place.row for place in places(data, layout)]
    for decision in output.decisions:
        row = output.rows()[decision["row"]]
        at = decision["byte"]
        assert re.sub(rb"[\r\n]", b" ", data[at : at + len(row)]) == row.replace(b"\r", b" ")
        assert decision["line"] == 1 + data.count(b"\n", 0, at)


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_array_is_refused(tmp_path: Path, name: str) -> None:
    data, message = REFUSED[name]
    (tmp_path / "data.json").write_bytes(data)
    told = refused(3, tmp_path / "out", "data.json", cwd=tmp_path)
    assert re.search(rf"^error: data\.json: the JSON array is {message}", told), told
    assert "  hint: " in told


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "data.jsonl").write_bytes("\ufeff{}".encode(encoding))
    told = refused(3, tmp_path / "out", "data.jsonl", cwd=tmp_path)
    assert told == (
        "error: data.jsonl: is UTF-16\n  hint: convert it first: `iconv -f UTF-16 -t UTF-8`\n"
    )


def test_of_equal_keys_the_last_counts(tmp_path: Path) -> None:
    rows = [
        b'{"text": "first", "text": "last"}',
        b'{"text": "last"}',
        b'{"text": "first"}',
        b'{"text": "first", "te\\u0078t": "last"}',
    ]
    (tmp_path / "data.jsonl").write_bytes(b"\n".join(rows))
    output = dedup(tmp_path / "out", tmp_path / "data.jsonl")
    assert output.fates() == ["kept", "exact-duplicate", "kept", "exact-duplicate"]
    assert output.rows() == rows
    assert output.report["duplicate_keys"] == 2


def test_halves_of_surrogate_pairs_are_told_apart(tmp_path: Path) -> None:
    texts = [r"\ud800", r"\ud801", r"\uD800", r"\udc00", r"\ufffd", r"\ud83d\ude00", "\U0001f600"]
    rows = [b'{"text": "%b"}' % text.encode() for text in texts]
    (tmp_path / "data.jsonl").write_bytes(b"\n".join(rows))
    output = dedup(tmp_path / "out", tmp_path / "data.jsonl")
    same = "exact-duplicate"
    assert output.fates() == ["kept", "kept", same, "kept", "kept", "kept", same]
    assert output.rows() == rows
    assert output.report["lone_surrogates"] == 4


def test_all_rows_equal(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes((ONE + b"\n") * 5000)
    output = dedup(tmp_path / "out", tmp_path / "data.jsonl")
    assert output.kept == [ONE]
    assert output.removed == [ONE] * 4999
    assert {decision["witness"]["row"] for decision in output.decisions} == {0}


def test_a_line_of_300_megabytes_is_put_aside(tmp_path: Path) -> None:
    """It costs disk, which is a hole here, but no memory."""
    path, out = tmp_path / "data.jsonl", tmp_path / "out"
    head, tail = b'{"text": "', b'"}'
    with path.open("wb") as file:
        file.write(ONE + b"\n" + head)
        file.seek(300_000_000, 1)
        file.write(tail + b"\n" + TWO + b"\n")
    long = len(head) + 300_000_000 + len(tail)
    ended = run(*DEDUP, path, "-o", out)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert lines(out / "kept.jsonl") == [ONE, TWO]
    (decision,) = [json.loads(line) for line in lines(out / "decisions.jsonl")]
    assert (decision["line"], decision["byte"]) == (2, len(ONE) + 1)
    assert decision["reason"] == "too-long"
    assert decision["message"] == f"{long} bytes long, more than the 67108864 allowed"
    with (out / "quarantine.jsonl").open("rb") as file:
        assert file.read(len(head) + 1) == head + b"\0"
        assert file.seek(-len(tail) - 2, 2) == long - len(tail) - 1
        assert file.read() == b"\0" + tail + b"\n"
    figures = json.loads((out / "run.json").read_bytes())
    assert figures["peak_private_bytes"] < 64 * 2**20
    shutil.rmtree(out)


@pytest.mark.parametrize("layout", ["lines", "array", "object"])
def test_a_row_over_max_line_is_put_aside(tmp_path: Path, layout: Layout) -> None:
    long = b'{"text":\n"%b"}' % (b"long " * 300)
    data = {
        "lines": ONE + b"\n" + long.replace(b"\n", b"") + b"\n" + TWO,
        "array": b"[" + ONE + b",\n" + long + b",\n" + TWO + b"]",
        "object": long,
    }[layout]
    (tmp_path / "data.json").write_bytes(data)
    output = dedup(tmp_path / "out", tmp_path / "data.json", "--max-line", "1KiB")
    assert output.rows() == [place.row for place in places(data, layout)]
    fates = ["too-long"] if layout == "object" else ["kept", "too-long", "kept"]
    assert output.fates() == fates
    size = len(long) - (layout == "lines")
    assert output.decisions[0]["message"] == f"{size} bytes long, more than the 1024 allowed"

"""Compressed inputs: read like plain ones when whole, refused when not."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from curatekit import dedup as library
from curatekit.errors import DataError
from running import dedup, places, refused

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
ALGORITHM = {"gz": "gzip", "zst": "zstd"}
ROWS = [json.dumps({"text": f"row {number} of many"}).encode() for number in range(40)]
DATA = b"".join(row + b"\n" for row in ROWS)

packed = pytest.mark.parametrize("packing", PACK)


@packed
def test_a_packed_file_is_read_like_a_plain_one(tmp_path: Path, packing: str) -> None:
    """Also in several frames, under a name without the ending, and from standard input."""
    half = len(DATA) // 2
    frames = PACK[packing](DATA[:half]) + PACK[packing](b"") + PACK[packing](DATA[half:])
    for name in (f"data.jsonl.{packing}", "data.jsonl"):
        (tmp_path / name).write_bytes(frames)
        output = dedup(tmp_path / f"{name}.out", tmp_path / name)
        assert output.rows() == ROWS
        (file,) = output.report["files"]
        assert file["compression"] == ALGORITHM[packing]
        assert file["bytes"] == len(DATA)
    output = dedup(tmp_path / "stdin.out", "-", input=frames)
    assert output.rows() == ROWS


@packed
def test_bytes_are_counted_after_decompression(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"data.jsonl.{packing}"
    data = b"\xef\xbb\xbf\n" + DATA + b"{\n" + ROWS[0] + b"\n"
    path.write_bytes(PACK[packing](data))
    output = dedup(tmp_path / "out", path, "--method", "exact")
    found = [(decision["line"], decision["byte"]) for decision in output.decisions]
    assert found == [(place.line, place.byte) for place in places(data, "lines")[-2:]]


@packed
def test_a_packed_file_of_nothing_has_no_rows_and_an_empty_file_is_cut_short(
    tmp_path: Path, packing: str
) -> None:
    path = tmp_path / f"data.jsonl.{packing}"
    path.write_bytes(PACK[packing](b""))
    assert dedup(tmp_path / "out", path).rows() == []
    path.write_bytes(b"")
    assert "data ends early" in refused(3, tmp_path / "other", path.name, cwd=tmp_path)


@packed
def test_a_packed_file_cut_short_is_refused(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"data.jsonl.{packing}"
    whole = PACK[packing](DATA)
    path.write_bytes(whole[:-10])
    told = refused(3, tmp_path / "out", path.name, cwd=tmp_path)
    assert told == (
        f"error: {path.name}: its {ALGORITHM[packing]} data ends early\n"
        "  hint: the file was cut short: fetch it again\n"
    )


@packed
def test_no_cut_goes_unseen(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"data.jsonl.{packing}"
    whole = PACK[packing](DATA)
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            library.exact(path)


@packed
def test_no_damage_goes_unseen(tmp_path: Path, packing: str) -> None:
    """A flipped bit is an error, or stands in a header field that changes nothing."""
    path = tmp_path / f"data.jsonl.{packing}"
    whole = PACK[packing](DATA)
    harmless = 0
    for bit in range(0, 8 * len(whole), 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            decisions = library.exact(path)
        except DataError:
            continue
        decisions.write(tmp_path / "out", force=True)
        assert (tmp_path / "out/kept.jsonl").read_bytes() == DATA
        harmless += 1
    assert harmless < 30


@packed
def test_damage_is_told(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"data.jsonl.{packing}"
    damaged = bytearray(PACK[packing](DATA))
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    told = refused(3, tmp_path / "out", path.name, cwd=tmp_path)
    assert told.startswith(f"error: {path.name}: its {ALGORITHM[packing]} data is damaged: ")


@packed
@pytest.mark.parametrize("data", [b"\x1f", b"{}", DATA, b"PK\x03\x04"])
def test_a_name_that_promises_too_much_is_refused(
    tmp_path: Path, packing: str, data: bytes
) -> None:
    path = tmp_path / f"data.jsonl.{packing}"
    path.write_bytes(data)
    told = refused(3, tmp_path / "out", path.name, cwd=tmp_path)
    assert told == f"error: {path.name}: is not {ALGORITHM[packing]} data\n"


@packed
def test_what_follows_packed_data_is_no_row(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"data.jsonl.{packing}"
    path.write_bytes(PACK[packing](DATA) + ROWS[0])
    told = refused(3, tmp_path / "out", path.name, cwd=tmp_path)
    assert "data is damaged" in told

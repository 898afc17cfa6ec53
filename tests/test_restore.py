"""The inputs come back from the folder of a run."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import COMMAND, chat, write_rows
from curatekit.errors import CurateError, DataError
from curatekit.manifest import Input
from curatekit.output import PLAIN, Packing
from curatekit.restore import file_names, restore
from folders import RUNS, File, carry_out, expected, inputs, packings
from running import beside, complaint, run

REFER = Packing(removed="refer")
RESTORE = (*COMMAND, "restore", "--quiet")
CITIES = [
    chat(f"the capital of {name}?", f"it is {name} City") for name in ("Ghana", "Chile", "Mali")
]


def files_below(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found)


def come_back(what: str, files: list[File], packing: Packing) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [file.write(folder) for file in files]
        out = carry_out(what, folder, paths, packing)
        names = expected(paths, [file.packing for file in files])
        restored = restore(out, folder / "back")
        assert restored == [folder / "back" / one for one in names]
        assert files_below(folder / "back") == sorted(names)
        for file, path in zip(files, restored, strict=True):
            assert file.is_like(path.read_bytes())


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(RUNS), inputs(), packings())
def test_inputs_of_all_kinds_come_back(what: str, files: list[File], packing: Packing) -> None:
    come_back(what, files, packing)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(inputs(), packings())
def test_they_do_after_a_deduplication(files: list[File], packing: Packing) -> None:
    come_back("dedup", files, packing)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(RUNS), inputs(packed=False))
def test_removed_rows_that_were_not_copied_come_from_the_inputs(
    what: str, files: list[File]
) -> None:
    come_back(what, files, REFER)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", [*CITIES, b"", b"{", *CITIES])


@pytest.fixture
def out(tmp_path: Path, rows: Path) -> Path:
    return carry_out("dedup", tmp_path, [rows], PLAIN)


def test_many_rows_in_another_order_come_back(tmp_path: Path) -> None:
    rows = [chat(f"{number * 7919 % 5000} is what?", "x" * (number % 90)) for number in range(5000)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    for packing in (PLAIN, Packing(shard_bytes=90_000, compress="zst")):
        out = carry_out("sorted", tmp_path, [path], packing)
        (back,) = restore(out, tmp_path / "back")
        assert back.read_bytes() == path.read_bytes()
        shutil.rmtree(out)
        shutil.rmtree(tmp_path / "back")


def test_a_referred_element_of_a_long_array_is_found(tmp_path: Path) -> None:
    huge = chat("who?", "x") | {"text": 'é\\"]}' * 50_000, "n": "NUMBER"}
    rows = [json.dumps(row, indent=1) for row in (huge, huge, *CITIES, *CITIES)]
    whole = f"[{','.join(rows)}]".replace('"NUMBER"', "9" * 5000)
    path = tmp_path / "rows.json"
    path.write_text(whole)
    out = carry_out("dedup", tmp_path, [path], REFER)
    assert json.loads((out / "report.json").read_bytes())["removed"]["exact-duplicate"] == 4
    (back,) = restore(out, tmp_path / "back")
    found, expected = (json.loads(one, parse_int=str) for one in (back.read_bytes(), whole))
    assert found == expected


def test_a_name_that_is_no_text_comes_back_as_one(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/rows-\xff.jsonl"))
    write_rows(path, CITIES)
    out = carry_out("dedup", tmp_path, [path], PLAIN)
    (back,) = restore(out, tmp_path / "back")
    assert (back.name, back.read_bytes()) == (
        "rows-\N{REPLACEMENT CHARACTER}.jsonl",
        path.read_bytes(),
    )


def test_the_command_tells_what_it_wrote(tmp_path: Path, rows: Path, out: Path) -> None:
    ended = run(*COMMAND, "restore", out, "-o", "back", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, b"back/rows.jsonl\n")
    assert (tmp_path / "back/rows.jsonl").read_bytes() == rows.read_bytes()
    assert beside(tmp_path / "back") == ["back"]


def test_standard_input_has_a_name(tmp_path: Path) -> None:
    content = b"".join(json.dumps(row).encode() + b"\n" for row in CITIES)
    assert run(*COMMAND, "dedup", "-q", "-", "-o", tmp_path / "out", input=content).returncode == 0
    (back,) = restore(tmp_path / "out", tmp_path / "back")
    assert (back.name, back.read_bytes()) == ("stdin.jsonl", content)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["data/a.jsonl", "data/b/c.jsonl"], ["a.jsonl", "b/c.jsonl"]),
        (["/data/x/a.jsonl", "/data/xy/a.jsonl"], ["x/a.jsonl", "xy/a.jsonl"]),
        (["a.jsonl"], ["a.jsonl"]),
        (["../../etc/passwd", "a"], ["etc/passwd", "a"]),
        (["../a", "../../a"], ["a", "a-2"]),
        (["/x/a.jsonl", "x/a.jsonl"], ["a.jsonl", "a-2.jsonl"]),
        (["a.jsonl.gz", "a.jsonl"], ["a.jsonl", "a-2.jsonl"]),
        (["a/b.gz", "a/b/c", "a/b-2"], ["b", "b-2/c", "b-2-2"]),
        (["a/b/c", "a/b.gz"], ["b/c", "b-2"]),
        (["-", "data/stdin.jsonl"], ["stdin.jsonl", "stdin-2.jsonl"]),
        (["..", ".", ".gz", "a\0b"], ["input", "input-2", ".gz", "a\N{REPLACEMENT CHARACTER}b"]),
        (["a/./b//../c.ZST", "a/d.gz.gz"], ["c.ZST", "d.gz"]),
    ],
)
def test_no_name_leads_out_of_the_folder_and_none_is_lost(
    given: list[str], names: list[str]
) -> None:
    rest = {"format": "chat", "framing": "lines", "bytes": 0, "xxh3_128": "", "first_row": 0}
    made = [
        Input(name=name, compression="gzip" if ".gz" in name else "none", rows=0, gap="\n", **rest)  # type: ignore[arg-type]
        for name in given
    ]
    assert file_names(made) == names


@given(st.lists(st.text(st.sampled_from("ab./-\0g zé")), min_size=1, max_size=6))
def test_names_are_different_files_below_a_folder(given: list[str]) -> None:
    rest = {"format": "chat", "framing": "lines", "bytes": 0, "xxh3_128": "", "first_row": 0}
    made = [Input(name=one, compression="gzip", rows=0, gap="\n", **rest) for one in given]  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as name:
        for number, path in enumerate(file_names(made)):
            place = Path(name, "in", path)
            assert os.path.normpath(place) == str(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("x") as file:
                file.write(str(number))
        assert len(files_below(Path(name, "in"))) == len(given)
        assert [path.name for path in Path(name).iterdir()] == ["in"]


def test_an_empty_folder_is_filled_and_another_is_left_alone(tmp_path: Path, out: Path) -> None:
    back = tmp_path / "back"
    back.mkdir()
    restore(out, back)
    before = files_below(back)
    with pytest.raises(CurateError, match="exists already"):
        restore(out, back)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in ("file", "link"):
        with pytest.raises(CurateError, match="exists already"):
            restore(out, tmp_path / taken)
    assert files_below(back) == before


def test_nothing_is_written_into_the_run_itself(out: Path) -> None:
    for inner in (out / "back", out / ".." / "out" / "back" / "deep"):
        with pytest.raises(CurateError, match="lies in the output of the run"):
            restore(out, inner)
    assert not (out / "back").exists()


def test_the_work_of_another_run_stays(tmp_path: Path, out: Path) -> None:
    (tmp_path / "back").mkdir()
    (tmp_path / "back.partial").mkdir()
    (tmp_path / "back.partial" / "journal").write_bytes(b"precious")
    with pytest.raises(CurateError, match="unfinished run"):
        restore(out, tmp_path / "back")
    assert (tmp_path / "back.partial" / "journal").read_bytes() == b"precious"


def test_it_appears_whole_or_not_at_all(tmp_path: Path, out: Path) -> None:
    def stop(_stage: str, done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(out, tmp_path / "back", progress=stop)
    assert beside(tmp_path / "back") == []


@pytest.mark.parametrize("name", ["kept.jsonl", "removed.jsonl", "quarantine.jsonl"])
def test_a_damaged_folder_does_not_pass_for_the_input(
    tmp_path: Path, rows: Path, out: Path, name: str
) -> None:
    whole = (out / name).read_bytes()
    for wrong in (whole.replace(whole[:1], b"[", 1), b"\n".join(whole.split(b"\n")[1:])):
        (out / name).write_bytes(wrong)
        ended = run(*RESTORE, out, "-o", tmp_path / "back")
        message = complaint(3, ended)
        assert str(rows) in message or "is missing" in message
        assert beside(tmp_path / "back") == []


def test_the_gaps_are_part_of_the_proof(tmp_path: Path, out: Path) -> None:
    gaps = np.load(out / "ledger/gaps.npy")
    assert len(gaps) == 1
    np.save(out / "ledger/gaps.npy", gaps[:0])
    with pytest.raises(DataError, match=r"rows\.jsonl: cannot be restored"):
        restore(out, tmp_path / "back")


def test_a_prediction_and_a_trial_cannot_be_restored(tmp_path: Path, rows: Path) -> None:
    dry = carry_out("near", tmp_path, [rows], PLAIN, is_dry=True)
    assert "only a prediction" in complaint(2, run(*RESTORE, dry, "-o", tmp_path / "back"))
    trial = carry_out("near", tmp_path, [rows], PLAIN, rows=2)
    message = complaint(2, run(*RESTORE, trial, "-o", tmp_path / "back"))
    assert "only at the first 2 of 7 rows" in message
    assert "--rows" in message


def test_a_trial_of_all_rows_can(tmp_path: Path, rows: Path) -> None:
    trial = carry_out("near", tmp_path, [rows], PLAIN, rows=7)
    (back,) = restore(trial, tmp_path / "back")
    assert back.read_bytes() == rows.read_bytes()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_an_input_that_changed_gives_no_removed_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rows = [json.dumps(row) for row in (*CITIES, *CITIES)]
    path.write_text("\n".join(rows) if name.endswith("l") else f"[{','.join(rows)}]")
    out = carry_out("dedup", tmp_path, [path], REFER)
    path.write_text(path.read_text().replace("Ghana", "ghana"))
    with pytest.raises(DataError, match="is not what the run read"):
        restore(out, tmp_path / "back")
    path.unlink()
    with pytest.raises(DataError, match="cannot be read: no such file"):
        restore(out, tmp_path / "back")
    assert beside(tmp_path / "back") == []


def test_removed_rows_of_a_packed_input_that_were_not_copied_are_lost(tmp_path: Path) -> None:
    data = b"".join(json.dumps(row).encode() + b"\n" for row in (*CITIES, *CITIES))
    path = File("rows.jsonl.gz", data, ".gz").write(tmp_path)
    out = carry_out("dedup", tmp_path, [path], REFER)
    with pytest.raises(CurateError, match="stand only there"):
        restore(out, tmp_path / "back")


def test_what_is_no_run_is_not_restored(tmp_path: Path) -> None:
    assert "is not the output of a run" in complaint(2, run(*RESTORE, tmp_path, "-o", "x"))

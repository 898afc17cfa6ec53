"""A run from inputs to OUT, which is whole or not there at all."""

import fcntl
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from itertools import groupby, product
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from conftest import COMMAND, chat, read_rows, write_rows
from curatekit import _native
from curatekit.errors import CurateError, DataError
from curatekit.publish import Publisher, npy_head
from curatekit.run import deduplicate
from curatekit.settings import Io, Method, Settings
from running import contents

if TYPE_CHECKING:
    from curatekit._native import WrittenFile

FILES = ("kept.jsonl", "removed.jsonl", "quarantine.jsonl", "decisions.jsonl")
FOLDER = {*FILES, "ledger", "report.json", "run.json"}
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rows(here: Path) -> Path:
    texts = [TEXT, TEXT, TEXT.upper(), "another text altogether", "", 5]
    return write_rows(here / "rows.jsonl", [{"text": text} for text in texts])


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def touch(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_output_is_no_input(rows: Path) -> None:
    """A folder that holds OUT can be given again and again; a file in OUT cannot."""
    data = write_rows(Path("data/rows.jsonl"), [rows.read_bytes().rstrip()])
    out = Path("data/out")
    touch("data/out.partial/.curatekit-lock", "data/out.partial/kept.jsonl")
    for _ in range(2):
        outcome = deduplicate("data", out, force=True)
        assert [file["name"] for file in outcome.report.files] == [str(data)]
        assert names(Path("data")) == {"rows.jsonl", "out"}
    for inside in ("data/out/kept.jsonl", "data/out"):
        with pytest.raises(CurateError, match="lies where the output goes"):
            deduplicate([inside], out, force=True)
    assert names(out) == FOLDER


def test_a_run_folder_is_whole(rows: Path) -> None:
    outcome = deduplicate([rows], Path("new/parents/out"))
    out = Path("new/parents/out")
    assert names(out) == FOLDER
    assert names(Path("new/parents")) == {"out"}
    texts = [[row["text"] for row in read_rows(out / name)] for name in FILES[:3]]
    assert texts == [[TEXT, "another text altogether", ""], [TEXT, TEXT.upper()], [5]]
    assert [line["row"] for line in read_rows(out / "decisions.jsonl")] == [1, 2, 5]
    assert outcome.report.removed == {"exact-duplicate": 1, "near-duplicate": 1}
    assert outcome.report.quarantined == {"wrong-type": 1}


@pytest.mark.parametrize("force", [False, True])
def test_what_stands_at_out_is_not_replaced_unasked(rows: Path, *, force: bool) -> None:
    touch("out/mine.txt")
    Path("file").write_text("mine")
    Path("link").symlink_to("out")
    before = names(Path())
    for out in ("out", "file", "link", "."):
        with pytest.raises(CurateError, match=r"exists already|holds more than a run|lies where"):
            deduplicate(rows.name, Path(out), force=force)  # fmt: skip
    assert names(Path()) == before
    assert names(Path("out")) == {"mine.txt"}


def test_what_appears_at_out_meanwhile_is_not_replaced(rows: Path) -> None:
    def appear(*_: object) -> None:
        touch("out/mine.txt")

    with pytest.raises(CurateError, match="`out` exists already"):
        deduplicate(rows.name, Path("out"), progress=appear)
    assert names(Path()) == {"rows.jsonl", "out"}
    assert names(Path("out")) == {"mine.txt"}


def test_force_replaces_a_former_run_and_an_empty_folder(rows: Path) -> None:
    out = Path("out")
    out.mkdir()
    deduplicate(rows.name, out, force=True)
    with pytest.raises(CurateError, match=r"`out` exists already\nhint: .*`--force`"):
        deduplicate(rows.name, out)
    before = (out / "report.json").stat().st_ino
    deduplicate(rows.name, out, force=True)
    assert (out / "report.json").stat().st_ino != before
    assert names(Path()) == {"rows.jsonl", "out"}


def test_what_a_person_put_into_a_former_run_is_not_removed(rows: Path) -> None:
    out = Path("out")
    deduplicate(rows.name, out)
    touch("out/model/weights")
    with pytest.raises(CurateError, match="`out` holds more than a run leaves there"):
        deduplicate(rows.name, out, force=True)
    assert Path("out/model/weights").exists()


def test_a_failed_replacement_leaves_the_former_run(rows: Path) -> None:
    deduplicate(rows.name, Path("out"))
    before = contents(Path("out"))
    with pytest.raises(DataError, match=r"^rows.jsonl:6: "):
        deduplicate(rows.name, Path("out"), Settings(on_error="stop"), force=True)
    assert contents(Path("out")) == before
    assert names(Path()) == {"rows.jsonl", "out"}


def test_a_failed_run_leaves_nothing_and_takes_back_its_folders(rows: Path) -> None:
    touch("there/mine.txt")
    for out in ("a/b/c", "there/d/out"):
        with pytest.raises(DataError):
            deduplicate(rows.name, Path(out), Settings(on_error="stop"))
    assert names(Path()) == {"rows.jsonl", "there"}
    assert names(Path("there")) == {"mine.txt"}


@pytest.mark.parametrize("method", ["exact", "near"])
@pytest.mark.parametrize("texts", [[], [TEXT], [f"{TEXT} {n}" for n in range(3000)]], ids=len)
def test_every_stage_is_reported_in_order_and_to_its_end(
    here: Path, texts: list[str], method: Method
) -> None:
    """However short it is: most of these take less time than passes between two reports."""
    path = write_rows(here / "rows.jsonl", ({"text": text} for text in texts))
    reports: list[tuple[str, int, int]] = []
    settings = Settings(method=method, max_drop_millis=1000)
    deduplicate(path, Path("out"), settings, progress=lambda *report: reports.append(report))
    stages = ["read", "exact", *(["near"] if method == "near" else []), "write"]
    assert [stage for stage, _ in groupby(reports, key=itemgetter(0))] == stages
    ends = {stage: (done, total) for stage, done, total in reports}
    assert all(done == total for done, total in ends.values())
    assert ends["write"][1] == ends["read"][1]
    assert ends["exact"][1] == len(texts)


@pytest.mark.parametrize("stage", ["read", "exact", "near", "write"])
def test_an_exception_of_the_progress_ends_the_run(rows: Path, stage: str) -> None:
    """Even if it comes with the last report of the last stage, when all the work is done."""

    def fail(now: str, done: int, total: int) -> None:
        if (now, done) == (stage, total):
            raise RuntimeError(stage)

    with pytest.raises(RuntimeError, match=stage) as caught:
        deduplicate(rows.name, Path("out"), Settings(threads=2), progress=fail)
    assert names(Path()) == {"rows.jsonl"}
    # Nor is a file left open that nobody sees, as long as somebody looks at the exception.
    assert caught.tb is not None
    files = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    assert not [file for file in files if "out.partial" in str(file.readlink())]


def test_the_work_of_a_dead_run_is_cleared_and_that_of_a_living_one_is_not(rows: Path) -> None:
    touch("out.partial/.curatekit-lock", "out.partial/kept.jsonl", "out.partial/ledger/a.npy")
    with Path("out.partial/.curatekit-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CurateError, match=r"another run is writing `out`\nhint: .*out.partial"):
            deduplicate(rows.name, Path("out"))
    assert names(Path("out.partial")) == {".curatekit-lock", "kept.jsonl", "ledger"}
    deduplicate(rows.name, Path("out"))
    assert names(Path()) == {"rows.jsonl", "out"}
    assert names(Path("out")) == FOLDER


def test_a_folder_that_only_looks_like_work_is_left_alone(rows: Path) -> None:
    touch("out.partial/thesis.txt", "file.partial")
    for out in ("out", "file"):
        with pytest.raises(CurateError, match=f"{out}.partial` exists, but"):
            deduplicate(rows.name, Path(out))
    assert names(Path()) == {"rows.jsonl", "out.partial", "file.partial"}


@pytest.mark.parametrize("stage", ["near", "write"])
def test_a_killed_run_is_forgotten_by_the_next(here: Path, stage: str) -> None:
    rows = write_rows(here / "rows.jsonl", (chat(f"{n} {TEXT}", TEXT) for n in range(500)))
    deduplicate(rows.name, Path("out"))
    kill = (
        "import os, sys; from pathlib import Path; from curatekit.run import deduplicate\n"
        "def stop(stage, done, total):\n"
        "    if stage == sys.argv[1]: os.kill(os.getpid(), 9)\n"
        "deduplicate('rows.jsonl', Path('out'), force=True, progress=stop)"
    )
    killed = subprocess.run([sys.executable, "-c", kill, stage], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert names(here) == {"rows.jsonl", "out", "out.partial"}
    deduplicate(rows.name, Path("out"), force=True)
    assert names(here) == {"rows.jsonl", "out"}


def test_a_run_that_died_between_two_renames_loses_nothing(rows: Path) -> None:
    deduplicate(rows.name, Path("out"))
    Path("out").rename(".out.curatekit-replaced")
    with pytest.raises(CurateError, match="`out` exists already"):
        deduplicate(rows.name, Path("out"))
    assert names(Path()) == {"rows.jsonl", "out"}
    assert names(Path("out")) == FOLDER


def test_of_many_runs_at_once_one_publishes(here: Path) -> None:
    write_rows(here / "rows.jsonl", (chat(f"{n} {TEXT}", TEXT) for n in range(2000)))
    command = [*COMMAND, "dedup", "rows.jsonl", "-o", "out", "-q"]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ends = [(process.communicate()[1], process.returncode) for process in running]
    assert sorted(code for _, code in ends) == [0, 2, 2, 2]
    assert names(here) == {"rows.jsonl", "out"}
    assert names(here / "out") == FOLDER


def test_an_output_that_cannot_grow_is_an_error_that_leaves_nothing(here: Path) -> None:
    rows = write_rows(here / "rows.jsonl", (chat(f"{n} {TEXT}", TEXT) for n in range(2000)))
    command = [*COMMAND, "dedup", rows.name, "-o", "out", "-q"]
    limit = (100_000, 100_000)
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert result.returncode == 4
    place = re.escape(f"{here}/out.partial")
    assert re.fullmatch(rf"error: {place}(/out/\w+.jsonl)?: file too large\n", result.stderr)
    assert names(here) == {"rows.jsonl"}


def test_a_row_that_was_not_written_is_noticed(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = _native.rows_of_code

    def lose_the_first(codes: bytes, code: int, start: int) -> bytes:
        return find(codes, code, start)[8:]

    monkeypatch.setattr(_native, "rows_of_code", lose_the_first)
    with pytest.raises(OSError, match="6 rows were read, but 3 written"):
        deduplicate(rows.name, Path("out"), Settings(threads=1))
    assert names(Path()) == {"rows.jsonl"}


def test_a_row_that_was_not_written_ahead_is_noticed(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Publisher.note_rows

    def lose_one(publisher: Publisher, fates: "Sequence[list[WrittenFile]]") -> None:
        fates[0][0]["rows"] -= 1
        note(publisher, fates)

    monkeypatch.setattr(Publisher, "note_rows", lose_one)
    with pytest.raises(OSError, match="6 rows were read, but 5 written"):
        deduplicate(rows.name, Path("out"), Settings(threads=2))
    assert names(Path()) == {"rows.jsonl"}


@pytest.mark.parametrize("shape", [(0,), (9,), (12_345_678_901,), (7, 2), (0, 2)])
@pytest.mark.parametrize("dtype", ["|u1", "<u2", "<u8", "<f4", "|b1"])
def test_columns_begin_as_numpy_has_it(dtype: str, shape: tuple[int, ...]) -> None:
    head = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file := BytesIO(), head)
    assert npy_head(dtype, shape) == file.getvalue()


def test_a_line_that_somebody_adds_is_noticed(rows: Path) -> None:
    def add_a_line(stage: str, done: int, total: int) -> None:
        removed = Path("out.partial/out/kept.jsonl")
        if stage == "write" and done == total and not removed.read_bytes().endswith(b"{}\n"):
            with removed.open("ab") as file:
                file.write(b"{}\n")

    with pytest.raises(OSError, match=r"bytes were written, but .* are there.*kept\.jsonl"):
        deduplicate(rows.name, Path("out"), progress=add_a_line)
    assert names(Path()) == {"rows.jsonl"}


def test_equal_runs_have_equal_folders(here: Path) -> None:
    texts = (f"{'x ' * (n % 7)}{TEXT} {n % 19}" for n in range(500))
    rows = write_rows(here / "rows.jsonl", [*({"text": text} for text in texts), b"{"])
    written = set()
    ways: tuple[Io, Io] = ("map", "read")
    for threads, memory, io in product((1, 2, 7), (2**26, 2**32), ways):
        settings = Settings(threads=threads, memory=memory, io=io, max_drop_millis=1000)
        deduplicate(rows.name, Path("out"), settings, force=True)
        written.add(tuple(Path("out", name).read_bytes() for name in (*FILES, "report.json")))
    assert len(written) == 1


def test_the_report_tells_the_settings_that_count(rows: Path) -> None:
    def settings_of(**options: object) -> dict[str, object]:
        deduplicate(rows.name, Path("out"), Settings(**options), force=True)  # type: ignore[arg-type]
        settings: dict[str, object] = json.loads(Path("out/report.json").read_bytes())["settings"]
        return settings

    near = settings_of(threshold_millis=905, seed=3, threads=2)
    assert near["threshold"] == 0.905
    assert (near["ngram"], near["alike"], near["seed"]) == (5, "whole", 3)
    assert (near["numbers"], near["recall"], near["bands"]) == ("alike", "exact", 0)
    assert (near["keep"], near["label"], near["max_drop"]) == ("first", None, 0.5)
    assert near.keys().isdisjoint({"threads", "memory", "io"})
    exact = settings_of(method="exact", on=("text",))
    assert exact["on"] == ["text"]
    assert exact.keys().isdisjoint({"threshold", "ngram", "seed", "max_drop"})
    chosen = settings_of(keep="best:score", label="source", numbers="distinct", recall="bands")
    assert (chosen["keep"], chosen["label"]) == ("best:score", "source")
    assert (chosen["numbers"], chosen["recall"]) == ("distinct", "bands")


def test_the_report_names_rows_and_where_they_stand(here: Path) -> None:
    """The line counts also in an array, and among blank lines."""
    ask = "Read the request of a customer, and name the team that should take care of it, with one"
    ask += " word from the list below and nothing else. Request"
    said = ["lost card", "new pin", "old card", "no answer", "too slow", "a refund", "good bye"]
    said[5:5] = [" ".join([said[0], *(f"and word{number}" for number in range(30))])]
    rows = [json.dumps(chat(f"{ask}: {one}", "cards")) for one in said]
    (here / "a.jsonl").write_text(f"{rows[0]}\n{rows[1]}\n")
    (here / "b.json").write_text(f"[\n{rows[2]},\n{rows[3]}]")
    (here / "c.jsonl").write_text(f"\n{rows[4]}\n")
    (here / "d.jsonl").write_text("")
    (here / "e.jsonl").write_text(f"{rows[5]}\r\n{rows[6]}\n{rows[7]}")
    files = ["a.jsonl", "b.json", "c.jsonl", "d.jsonl", "e.jsonl"]
    deduplicate(files, Path("out"))
    report = json.loads(Path("out/report.json").read_bytes())
    places = {
        row: {"row": row, "file": file, "line": line}
        for row, (file, line) in enumerate(
            [
                *(("a.jsonl", 1), ("a.jsonl", 2), ("b.json", 2), ("b.json", 3)),
                *(("c.jsonl", 2), ("e.jsonl", 1), ("e.jsonl", 2), ("e.jsonl", 3)),
            ]
        )
    }
    (family,) = report["families"]
    assert family["members"] == [places[row] for row in (0, 1, 2, 3, 4, 6, 7)]
    assert (family["number"], family["role"], family["rows"], family["texts"]) == (1, "user", 7, 7)
    assert family["template"] == f"{ask} …"
    assert family["pairs_apart"] == report["apart"]["content"] == len(report["pairs"]) == 21
    for pair in report["pairs"]:
        assert (pair["verdict"], pair["role"]) == ("content", "user")
        assert all(pair[end] == places[pair[end]["row"]] for end in ("row", "kept"))
        assert pair["kept"]["row"] < pair["row"]["row"]


def test_the_report_counts_what_became_of_files_and_labels(here: Path) -> None:
    write_rows(here / "a.jsonl", ({"text": f"{n} {TEXT}", "id": n} for n in range(1200)))
    write_rows(
        here / "b.jsonl", [{"text": f"7 {TEXT}", "id": 7}, {"text": f"7 {TEXT}!", "id": 7}, 5]
    )
    deduplicate(["a.jsonl", "b.jsonl"], Path("out"), Settings(numbers="distinct", label="id"))
    report = json.loads(Path("out/report.json").read_bytes())
    fates = ("rows", "kept", "exact_duplicates", "near_duplicates", "quarantined")
    assert [[file[fate] for fate in fates] for file in report["files"]] == [
        [1200, 1200, 0, 0, 0],
        [3, 0, 1, 1, 1],
    ]
    assert report["labels"][0] == {
        "label": "7",
        "kept": 1,
        "exact_duplicates": 1,
        "near_duplicates": 1,
    }
    assert len(report["labels"]) == 1000


def test_the_figures_are_those_of_this_run(rows: Path) -> None:
    figures = deduplicate(rows.name, Path("out"), Settings(threads=2)).run
    assert 0 < sum(figures.seconds.values()) <= figures.wall_seconds
    assert figures.seconds.keys() >= {"read", "near", "write", "check"}
    assert figures.threads == 2
    assert figures.peak_memory_bytes > 10**6
    assert figures.peak_private_bytes is None or figures.peak_private_bytes > 10**6

"""A run from inputs to OUT, which is whole or not there at all."""

import fcntl
import json
import re
import resource
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from conftest import COMMAND, chat, read_rows, write_rows
from curatekit.errors import CurateError, DataError
from curatekit.run import deduplicate
from curatekit.settings import Io, Settings

FILES = ("kept.jsonl", "removed.jsonl", "quarantine.jsonl", "decisions.jsonl")
FOLDER = {*FILES, "report.json", "run.json"}
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
    before = {name: (Path("out") / name).read_bytes() for name in FOLDER}
    with pytest.raises(DataError, match=r"^rows.jsonl:6: "):
        deduplicate(rows.name, Path("out"), Settings(on_error="stop"), force=True)
    assert {name: (Path("out") / name).read_bytes() for name in names(Path("out"))} == before
    assert names(Path()) == {"rows.jsonl", "out"}


def test_a_failed_run_leaves_nothing_and_takes_back_its_folders(rows: Path) -> None:
    touch("there/mine.txt")
    for out in ("a/b/c", "there/d/out"):
        with pytest.raises(DataError):
            deduplicate(rows.name, Path(out), Settings(on_error="stop"))
    assert names(Path()) == {"rows.jsonl", "there"}
    assert names(Path("there")) == {"mine.txt"}


def test_an_exception_of_the_progress_ends_the_run(rows: Path) -> None:
    def fail(stage: str, *_: int) -> None:
        raise RuntimeError(stage)

    with pytest.raises(RuntimeError):
        deduplicate(rows.name, Path("out"), progress=fail)
    assert names(Path()) == {"rows.jsonl"}


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
    assert re.fullmatch(rf"error: {place}(/\w+.jsonl)?: file too large\n", result.stderr)
    assert names(here) == {"rows.jsonl"}


def test_a_row_that_was_not_written_is_noticed(rows: Path) -> None:
    def add_a_line(stage: str, done: int, total: int) -> None:
        if stage == "write" and done == total:
            with Path("out.partial/removed.jsonl").open("ab") as file:
                file.write(b"{}\n")

    with pytest.raises(OSError, match="6 rows were read, but 7 written"):
        deduplicate(rows.name, Path("out"), progress=add_a_line)
    assert names(Path()) == {"rows.jsonl"}


def test_equal_runs_have_equal_folders(here: Path) -> None:
    texts = (f"{'x ' * (n % 7)}{TEXT} {n % 19}" for n in range(500))
    rows = write_rows(here / "rows.jsonl", [*({"text": text} for text in texts), b"{"])
    written = set()
    ways: tuple[Io, Io] = ("map", "read")
    for threads, memory, io in product((1, 2, 7), (2**26, 2**32), ways):
        settings = Settings(threads=threads, memory=memory, io=io)
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
    assert near.keys().isdisjoint({"threads", "memory", "io"})
    exact = settings_of(method="exact", on=("text",))
    assert exact["on"] == ["text"]
    assert exact.keys().isdisjoint({"threshold", "ngram", "seed"})


def test_the_figures_are_those_of_this_run(rows: Path) -> None:
    figures = deduplicate(rows.name, Path("out"), Settings(threads=2)).run
    assert 0 < sum(figures.seconds.values()) <= figures.wall_seconds
    assert figures.seconds.keys() >= {"read", "near", "write", "check"}
    assert figures.threads == 2
    assert figures.peak_memory_bytes > 10**6
    assert figures.peak_private_bytes is None or figures.peak_private_bytes > 10**6

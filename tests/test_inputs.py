"""Which files are read, and in which order."""

import subprocess
import sys
from pathlib import Path

import pytest

from curatekit.errors import CurateError, DataError
from curatekit.inputs import expand


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_inputs_keep_their_order_and_folders_are_sorted_bytewise() -> None:
    touch("z.jsonl", "d/b.jsonl", "d/B.json", "d/b-.ndjson.zst", "d/b/a.json.gz", "d/é.jsonl")
    touch("d/readme.md", "d/x.jsonl.bak", "d/b/C.JSONL")
    files = "d/B.json d/b-.ndjson.zst d/b.jsonl d/b/C.JSONL d/b/a.json.gz d/é.jsonl"
    assert expand(["z.jsonl", "d", "-"]) == ["z.jsonl", *files.split(), "-"]
    assert expand("d/*.jsonl*") == ["d/b.jsonl", "d/x.jsonl.bak", "d/é.jsonl"]


def test_a_path_that_exists_is_taken_literally() -> None:
    touch("[ab].jsonl", "a.jsonl", "folder.jsonl/x.json")
    assert expand(["[ab].jsonl", "folder.jsonl"]) == ["[ab].jsonl", "folder.jsonl/x.json"]
    assert expand("[!x].jsonl") == ["a.jsonl"]


@pytest.mark.parametrize(
    ("inputs", "first", "second"),
    [
        (["a.jsonl", "./a.jsonl"], "a.jsonl", "./a.jsonl"),
        (["d", "link.jsonl"], "d/b.jsonl", "link.jsonl"),
        (["hard.jsonl", "*.jsonl"], "hard.jsonl", "a.jsonl"),
    ],
)
def test_the_same_file_twice_is_an_error_that_names_both(
    inputs: list[str], first: str, second: str
) -> None:
    touch("a.jsonl", "d/b.jsonl")
    Path("link.jsonl").symlink_to("d/b.jsonl")
    Path("hard.jsonl").hardlink_to("a.jsonl")
    with pytest.raises(CurateError, match=f"^`{first}` and `{second}` are the same file"):
        expand(inputs)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "no input is given"),
        (["-", "-"], "`-` is given twice"),
        (["*.csv"], r"`\*.csv` matches no file"),
        (["empty"], "`empty` is a folder without data files"),
        (["old"], "`old` is the output of a run"),
        (["."], "`./old` is the output of a run"),
    ],
)
def test_what_gives_nothing_or_too_much_is_refused(inputs: list[str], message: str) -> None:
    touch("a.jsonl", "empty/readme.md", "old/kept.jsonl", "old/decisions.jsonl")
    with pytest.raises(CurateError, match=f"^{message}"):
        expand(inputs)


def test_what_cannot_be_found_or_entered_says_where() -> None:
    touch("rows.jsonl")
    with pytest.raises(FileNotFoundError) as missing:
        expand(["rows.jsonl", "no.jsonl"])
    assert missing.value.filename == "no.jsonl"
    with pytest.raises(DataError, match=r"^rows.jsonl/x: cannot be read: not a directory$"):
        expand("rows.jsonl/x")


def test_an_unreadable_folder_is_said(here: Path) -> None:
    touch("data/closed/a.jsonl")
    Path("data/closed").chmod(0)
    code = (
        "import os; from curatekit.inputs import expand\n"
        "os.getuid() or os.setuid(65534)  # root may enter any folder\n"
        "try: expand('data')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    here.chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "DataError data/closed: cannot be read: permission denied\n"

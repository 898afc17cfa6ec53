"""Inputs and outputs in odd places: each works, or is refused in one clear message."""

import json
import os
import re
import socket
from pathlib import Path

import pytest

from conftest import COMMAND
from running import DEDUP, beside, complaint, dedup, lines, refused, run

ONE, TWO, THREE = (b'{"text": "%b"}' % text for text in (b"one", b"two", b"three"))
IS_ROOT = os.geteuid() == 0
NOBODY = 65_534
# Root reads everything, whoever owns it, by two rights that it can give up.
LIKE_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if IS_ROOT else ()


def forbid(path: Path) -> None:
    """Give a file or folder to another user, who lets nobody in; or lock ourselves out."""
    path.chmod(0o700 if IS_ROOT else 0)
    if IS_ROOT:
        os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, *rows: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["data.jsonl", "data.json.gz"])
def test_an_unreadable_file(here: Path, name: str) -> None:
    forbid(write(here / name, ONE))
    ended = run(*LIKE_OTHERS, *DEDUP, name, "-o", "out")
    assert complaint(3, ended) == f"error: {name}: cannot be read: permission denied\n"
    assert beside(here / "out") == []


def test_an_unreadable_folder(here: Path) -> None:
    write(here / "data/a.jsonl", ONE)
    write(here / "data/inner/b.jsonl", TWO)
    forbid(here / "data/inner")
    ended = run(*LIKE_OTHERS, *DEDUP, "data", "-o", "out")
    assert complaint(3, ended) == "error: data/inner: cannot be read: permission denied\n"
    assert beside(here / "out") == []
    (here / "data/inner").chmod(0o700)


def test_a_folder_that_takes_no_output(here: Path) -> None:
    write(here / "data.jsonl", ONE)
    (here / "locked").mkdir(mode=0o500)
    ended = run(*LIKE_OTHERS, *DEDUP, "data.jsonl", "-o", "locked/out")
    assert re.fullmatch(r"error: .*locked/out\.partial: permission denied\n", complaint(4, ended))


def test_a_folder_named_like_a_file(here: Path) -> None:
    """As an input it is a folder; its files come in the bytewise order of their paths."""
    write(here / "x.jsonl/b.jsonl", THREE)
    write(here / "x.jsonl/B.ndjson", TWO)
    write(here / "x.jsonl/A/z.json", ONE)
    write(here / "x.jsonl/notes.txt", b"not data")
    assert dedup(here / "y.jsonl", "x.jsonl").kept == [ONE, TWO, THREE]
    kept = lines(here / "y.jsonl/kept.jsonl")
    message = complaint(2, run(*DEDUP, "x.jsonl", "-o", "y.jsonl"))
    assert message.startswith("error: `y.jsonl` exists already\n  hint: ")
    assert lines(here / "y.jsonl/kept.jsonl") == kept


def test_a_folder_without_data(here: Path) -> None:
    write(here / "data/notes.txt", ONE)
    (here / "data/inner.jsonl").mkdir()
    message = refused(2, here / "out", "data")
    assert message.startswith("error: `data` is a folder without data files\n  hint: ")


def test_a_missing_file_beside_a_good_one(here: Path) -> None:
    write(here / "good.jsonl", ONE)
    for missing in ("none.jsonl", "none/of/these.jsonl", "good.jsonl/inner.jsonl"):
        message = refused(3, here / "out", "good.jsonl", missing)
        assert message.startswith(f"error: {missing}: ")


def test_the_same_file_twice(here: Path) -> None:
    write(here / "data/a.jsonl", ONE)
    (here / "hard.jsonl").hardlink_to("data/a.jsonl")
    (here / "soft.jsonl").symlink_to("data/a.jsonl")
    for other in ("hard.jsonl", "soft.jsonl", "data/../data/a.jsonl", "data"):
        spelling = "data/a.jsonl" if other == "data" else other
        message = refused(2, here / "out", "./data/a.jsonl", other)
        assert message.startswith(
            f"error: `./data/a.jsonl` and `{spelling}` are the same file\n  hint: "
        )
    assert refused(2, here / "out", "-", "-") == "error: `-` is given twice\n"


def test_links_that_lead_in_a_circle(here: Path) -> None:
    write(here / "data/a.jsonl", ONE)
    (here / "data/up").symlink_to(here / "data")
    write(here / "elsewhere/b.jsonl", TWO)
    (here / "data/linked").symlink_to(here / "elsewhere")
    assert dedup(here / "fine", "data").kept == [ONE, TWO]
    (here / "data/loop.jsonl").symlink_to("loop.jsonl")
    for given in ("data", "data/loop.jsonl"):
        message = refused(3, here / "out", given)
        assert message == (
            "error: data/loop.jsonl: cannot be read: too many levels of symbolic links\n"
        )


def test_a_link_that_leads_nowhere(here: Path) -> None:
    (here / "data").mkdir()
    (here / "data/gone.jsonl").symlink_to("away.jsonl")
    for given in ("data", "data/gone.jsonl"):
        assert refused(3, here / "out", given).startswith("error: data/gone.jsonl: ")


def test_a_socket(here: Path) -> None:
    with socket.socket(socket.AF_UNIX) as it:
        it.bind("data.jsonl")
        assert refused(3, here / "out", "data.jsonl").startswith("error: data.jsonl: cannot be ")


def test_standard_input_that_is_closed(here: Path) -> None:
    command = ("sh", "-c", 'exec "$@" <&-', "sh", *DEDUP, "-", "-o", "out")
    message = complaint(3, run(*command))
    assert message == "error: -: cannot be read: standard input is closed\n"
    assert beside(here / "out") == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"new\nline\r.jsonl", "new\nline\r.jsonl"),
        (b"\x1b[31m\x07\x9b\x7fred.jsonl", "\x1b[31m\x07�\x7fred.jsonl"),
        (b"latin-\xe9.jsonl", "latin-�.jsonl"),
        (b"'\"\\`$([bold] .jsonl", "'\"\\`$([bold] .jsonl"),
        ("\u202egnp.\ud83d.jsonl".encode("utf-8", "surrogatepass"), "\u202egnp.���.jsonl"),
        (b"-o.jsonl", "./-o.jsonl"),
    ],
    ids=["line break", "controls", "not utf-8", "quotes", "right to left", "an option"],
)  # fmt: skip
def test_names_may_be_anything(here: Path, name: bytes, told: str) -> None:
    """A name is read as it is, told as well as JSON can, and cannot spoil a message."""
    path = Path(os.fsdecode(name))
    given = f"./{path}" if name.startswith(b"-") else path
    message = refused(2 if b"[" in name else 3, here / "out", given)
    assert re.search("no such file|matches no file", message)
    try:
        path.write_bytes(ONE + b"\n" + ONE + b"\n{\n")
    except OSError:
        assert os.uname().sysname == "Darwin"  # which stores UTF-8 names only
        return
    output = dedup(here / "out", given)
    assert output.fates() == ["kept", "exact-duplicate", "invalid-json"]
    assert [decision["file"] for decision in output.decisions] == [told, told]
    assert output.report["files"][0]["name"] == told
    ended = run(*COMMAND, "dedup", given, "-o", here / "loud")
    assert ended.returncode == 0
    shown = (ended.stdout + ended.stderr).decode()
    assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown) == []
    assert run(*COMMAND, "show", here / "loud").returncode == 0


def test_an_output_may_have_any_name(here: Path) -> None:
    write(here / "data.jsonl", ONE, ONE)
    out = here / os.fsdecode(b"a\nb\x1b[31m\xe9 [bold]")
    assert dedup(out, "data.jsonl").kept == [ONE]
    message = complaint(2, run(*DEDUP, "data.jsonl", "-o", out))
    assert "exists already" in message


@pytest.mark.parametrize("length", [248, 256, 5000])
def test_names_may_be_too_long(here: Path, length: int) -> None:
    write(here / "data.jsonl", ONE)
    name = "n" * length
    if length > 255:
        assert refused(3, here / "out", name).startswith(f"error: {name}: cannot be read: ")
    ended = run(*DEDUP, "data.jsonl", "-o", name)
    assert complaint(4, ended).endswith("file name too long\n")
    assert [entry.name for entry in here.iterdir()] == ["data.jsonl"]


@pytest.mark.parametrize("make", ["folder", "file", "link"])
def test_what_stands_where_the_output_goes_is_left_alone(here: Path, make: str) -> None:
    write(here / "data.jsonl", ONE)
    match make:
        case "folder":
            write(here / "out/mine.txt", TWO)
        case "file":
            write(here / "out", TWO)
        case _:
            (here / "out").symlink_to("nowhere")
    for options in ((), ("--force",)):
        message = complaint(2, run(*DEDUP, "data.jsonl", "-o", "out", *options))
        assert message.startswith("error: `out` ")
        assert beside(here / "out") == ["out"]
    assert (here / "out").is_symlink() == (make == "link")
    if make != "link":
        mine = here / ("out/mine.txt" if make == "folder" else "out")
        assert mine.read_bytes() == TWO + b"\n"


def test_an_output_inside_its_input(here: Path) -> None:
    """What a run writes there is no input of the next one."""
    write(here / "data/a.jsonl", ONE, TWO, ONE)
    first = dedup(here / "data/out", "data")
    again = run(*DEDUP, "data", "-o", "data/out", "--force")
    assert again.returncode == 0
    assert lines(here / "data/out/kept.jsonl") == first.kept == [ONE, TWO]
    report = json.loads((here / "data/out/report.json").read_bytes())
    assert [file["name"] for file in report["files"]] == ["data/a.jsonl"]


def test_an_input_inside_its_output(here: Path) -> None:
    dedup(here / "out", write(here / "data.jsonl", ONE, TWO))
    before = sorted(entry.name for entry in (here / "out").iterdir())
    for given in ("out", "out/kept.jsonl"):
        message = complaint(2, run(*DEDUP, given, "-o", "out", "--force"))
        assert message.startswith(f"error: `{given}` lies where the output goes\n  hint: ")
    assert sorted(entry.name for entry in (here / "out").iterdir()) == before
    assert lines(here / "out/kept.jsonl") == [ONE, TWO]

"""The command as a person or a script meets it: messages, exit codes, terminals, signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import COMMAND, Run, chat, in_terminal, write_rows

ESCAPE = "\x1b"
BROKEN = "expected a key in quotes at byte 1 of the row"
SEE_HELP = "see `curatekit dedup --help`"
ROWS = [
    chat("how do I boil an egg", "put it into boiling water for six minutes"),
    chat("how do I boil an egg", "put it into boiling water for six minutes"),
    chat("How do I boil an egg?", "Put it into boiling water for six minutes."),
    b"{broken",
]


@pytest.fixture
def eggs(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "eggs.jsonl", ROWS)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many rows that the stages take a while."""
    words = [f"{number:x}" for number in range(3000)]
    starts = (number % 2900 for number in range(40_000))
    rows = (chat(" ".join(words[at : at + 60]), f"answer {n}") for n, at in enumerate(starts))
    return write_rows(tmp_path_factory.mktemp("many") / "many.jsonl", rows)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import curatekit", {"numpy", "rich", "click", "msgspec"}),
        ("from curatekit.cli import main; main(['dedup', '--help'])", {"numpy", "rich.console"}),
        ("from curatekit.cli import main; main(['dedup', 'a.jsonl', '-o', 'out'])", {"numpy"}),
        (
            "from curatekit.cli import main; main(['dedup', 'a.jsonl', '-o', 'out', '--quiet'])",
            {"numpy", "rich.console"},
        ),
    ],
)
def test_what_is_slow_to_import_is_imported_late(
    tmp_path: Path, code: str, absent: set[str]
) -> None:
    write_rows(tmp_path / "a.jsonl", [{"text": "a b c"}, {"text": "a b c"}, b"{"])
    report = f"{code}; import sys; print('loaded:', *sys.modules)"
    command = [sys.executable, "-c", report]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    loaded = set(output.decode().rpartition("loaded:")[2].split())
    assert "curatekit" in loaded
    assert loaded & absent == set()


@pytest.mark.parametrize("arguments", [["--help"], ["dedup", "-h"], ["show", "--help"]])
def test_help_fits_a_terminal(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Examples:" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_without_a_command_it_explains_itself(run: Run) -> None:
    result = run()
    assert result.returncode == 2
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        ("dedub", 2, "no such command `dedub`", "did you mean `dedup`?"),
        ("dedup -o out", 2, "missing argument `INPUT...`", SEE_HELP),
        ("dedup a", 2, "missing option `--out` / `-o`", SEE_HELP),
        (
            "dedup a -o out --threshold 0.8005",
            2,
            (
                "invalid value for `--threshold`: a threshold is above 0 and at most 1, to three "
                "decimals, not `0.8005`"
            ),
            SEE_HELP,
        ),
        ("dedup a -o out --ngram 0", 2, "`ngram` must be between 1 and 1000, not 0", ""),
        (
            "dedup a -o out --method exact --seed 2",
            2,
            "`--seed` means nothing with `--method exact`",
            "",
        ),
        (
            "dedup a -o out --method exact --max-drop 0.1",
            2,
            "`--max-drop` means nothing with `--method exact`",
            "",
        ),
        (
            "dedup a -o out --max-drop 2",
            2,
            ("invalid value for `--max-drop`: a share is from 0 to 1, to three decimals, not `2`"),
            SEE_HELP,
        ),
        (
            "dedup a -o out --keep best",
            2,
            "`keep` must be first, longest or best:FIELD, not `best`",
            "",
        ),
        (
            "show out --row 1 --pairs close",
            2,
            "`--row` and `--pairs` cannot go together",
            "see `curatekit show --help`",
        ),
        (
            "dedup eggs.jsonl ./eggs.jsonl -o out",
            2,
            "`eggs.jsonl` and `./eggs.jsonl` are the same file",
            "give each file once",
        ),
        ("dedup *.csv -o out", 2, "`*.csv` matches no file", "a folder is given by its name alone"),
        ("dedup no.jsonl -o out", 3, "no.jsonl: no such file or folder", ""),
        ("dedup eggs.jsonl -o out --on-error stop", 3, f"eggs.jsonl:4: {BROKEN}", ""),
        ("dedup eggs.jsonl -o eggs.jsonl/out", 4, "{cwd}/eggs.jsonl: file exists", ""),
        (
            "show out",
            2,
            "`out` is not the output of a run: it has no `ledger/manifest.json`",
            "`curatekit dedup INPUT... -o OUT` makes one, or `curatekit run RECIPE`",
        ),
    ],
)
def test_an_error_is_one_line_and_a_hint(
    run: Run, eggs: Path, *, arguments: str, code: int, message: str, hint: str
) -> None:
    result = run(*arguments.split())
    assert (result.returncode, result.stdout) == (code, "")
    lines = [f"error: {message.replace('{cwd}', str(eggs.parent))}", f"  hint: {hint}"]
    assert result.stderr.splitlines() == lines[: 1 + bool(hint)]
    assert [entry.name for entry in eggs.parent.iterdir()] == ["eggs.jsonl"]


def test_the_table_tells_what_happened(run: Run, eggs: Path) -> None:
    result = run("dedup", eggs.name, "-o", "out")
    assert result.returncode == 0
    table = re.sub(r" +[\d,.]+ (s|bytes/s|[kMG]?B/s|[kMG]B)\b", " N", result.stdout)
    assert table.splitlines() == [
        "rows in                  4  1 file, 451 bytes, chat",
        "kept                     1  25.0 %",
        "removed                  2  50.0 %",
        "  exact-duplicate        1  25.0 %",
        "  near-duplicate         1  25.0 %",
        "quarantined              1  25.0 %",
        "  invalid-json           1  25.0 %",
        "time N N",
        "peak memory N N with mapped files",
        "",
        f"first quarantined: eggs.jsonl:4: {BROKEN}",
        (
            "note: half of the rows have at most 10 shingles: one word replaced makes such a row "
            "less than 0.8 alike"
        ),
        "  hint: `--ngram 1` would still find them",
        "kept rows are in out/kept.jsonl; `curatekit show out` shows the removed ones",
    ]


def test_the_table_tells_what_rules_kept_apart(run: Run, tmp_path: Path) -> None:
    """Templates are long, and the table is 80 wide all the same."""
    ask = "Read the request of a customer, and name the team that should take care of it, with one"
    ask += " word from the list below and nothing else. Request:"
    said = ["lost card", "dispute a charge", "card is blocked", "second card", "pin of 7 digits"]
    said.append("pin of 8 digits")
    write_rows(tmp_path / "rows.jsonl", (chat(f"{ask} {one}", "cards") for one in said))
    lines = run("dedup", "rows.jsonl", "-o", "out").stdout.splitlines()
    assert "kept apart             11  pairs, by content" in lines
    assert "largest template        6  rows: Read the [...] and nothing else. Request …" in lines
    assert lines[-1].endswith(
        "`curatekit show out` shows the removed ones, and with `--families` the templates"
    )
    walk = "there is nothing quite so pleasant as a quiet walk by the river in the early evening"
    rows = [chat("How far", f"{walk} of {number} miles") for number in (7, 8)]
    write_rows(tmp_path / "more.jsonl", [*rows, chat("Why?", f"{walk} of 8 miles")])
    both = run("dedup", "rows.jsonl", "more.jsonl", "-o", "more", "--ngram", "2")
    lines = both.stdout.splitlines()
    assert "kept apart             13  pairs, 11 by content, 1 by numbers, 1 by roles" in lines
    assert max(map(len, lines[: lines.index("")])) <= 80
    lines = run("dedup", "more.jsonl", "-o", "numbers").stdout.splitlines()
    assert "kept apart         1  pair, by numbers" in lines
    assert "largest" not in "".join(lines)


def test_strict_tells_by_the_exit_code_that_rows_were_quarantined(run: Run, eggs: Path) -> None:
    assert run("dedup", eggs, "-o", "out", "--strict").returncode == 1
    good = write_rows(eggs.with_name("good.jsonl"), ROWS[:3])
    assert run("dedup", good, "-o", "good", "--strict").returncode == 0


def test_json_is_what_the_run_folder_holds(run: Run, eggs: Path) -> None:
    result = run("dedup", eggs, "-o", "out", "--json", "--quiet")
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "report": json.loads(Path("out/report.json").read_bytes()),
        "run": json.loads(Path("out/run.json").read_bytes()),
    }


def test_a_pipe_gets_a_line_a_stage_and_quiet_gets_none(run: Run, many: Path) -> None:
    loud = run("dedup", many, "-o", "loud")
    size = r"[\d.]+ MB"
    took = r"( in [\d.]+ s)?"
    lines = [f"read: {size}", "exact duplicates: 40,000 rows", r"near-duplicates: [\d,]+ rows"]
    assert re.fullmatch(
        "".join(f"{line}{took}\n" for line in [*lines, f"write: {size}"]), loud.stderr
    )
    assert ESCAPE not in loud.stdout + loud.stderr
    quiet = run("dedup", many, "-o", "quiet", "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def frames(output: str) -> list[str]:
    """The pictures of a bar that a terminal was sent, one after the other."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output)
    return [line.strip() for line in re.split(r"[\r\n]+", text) if "━" in line]


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_gets_a_bar(tmp_path: Path, eggs: Path, columns: int) -> None:
    """Of every stage, though this run is over before a second report would be due."""
    code, output = in_terminal("dedup", eggs, "-o", tmp_path / "out", columns=columns)
    assert code == 0
    stages = [frame.partition("━")[0].strip() for frame in frames(output)]
    assert list(dict.fromkeys(stages)) == ["read", "exact duplicates", "near-duplicates", "write"]
    assert max(map(len, frames(output))) <= columns
    assert ESCAPE in output.partition("rows in")[2]  # the table is coloured


WATCHED = """
from curatekit.cli.terminal import Meter
with Meter(quiet=False) as meter:
    for stage, unit in (("read", 10**6), ("near", 100)):
        for done in range(101):
            meter(stage, done * unit, 100 * unit)
"""


@pytest.mark.parametrize("columns", [80, 160])
def test_a_bar_tells_how_much_and_how_fast(columns: int) -> None:
    code, output = in_terminal(program=(sys.executable, "-c", WATCHED), columns=columns)
    assert code == 0
    seen = "\n".join(frames(output))
    assert re.search(
        r"^read +[━╸╺]+ +50\.0 MB of 100\.0 MB +[\d.,]+ [kMGT]?B/s", seen, re.MULTILINE
    )
    assert re.search(
        r"^near-duplicates +[━╸╺]+ 5,000 of 10,000 rows +[\d,]+ rows/s", seen, re.MULTILINE
    )
    assert "of 100 " not in seen  # which is what rich takes for a total that it is not told
    assert max(map(len, seen.splitlines())) <= columns


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_may_refuse_colour(run: Run, eggs: Path, environment: dict[str, str]) -> None:
    assert run("dedup", eggs, "-o", "out").returncode == 0
    _, output = in_terminal("show", "out", environment=environment)
    styles = set(re.findall(r"\x1b\[([\d;]*)m", output))
    assert styles <= {"0", "1", "2"}
    assert "[-How-]{+how+}" in re.sub(r"\x1b\[[\d;]*m", "", output)


def test_names_and_rows_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    name = f"{ESCAPE}]0;owned\a[bold]\u202e.jsonl"
    evil = f"{ESCAPE}[2J [link=file:///]\x9b31m"
    rows = [{"text": f"{evil} {one} two three four five six"} for one in ("one", "One")]
    write_rows(tmp_path / name, [*rows, b"{" + evil.encode()])
    dedup = run("dedup", name, "-o", "out")
    show = run("show", "out")
    bad = run("show", "out", "--reason", "quarantined")
    on_terminal = in_terminal("show", "out", environment={"NO_COLOR": "1"})[1]
    for output in (dedup.stdout, dedup.stderr, show.stdout, bad.stdout):
        assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", output) == []
    assert "\x9b" not in on_terminal
    assert f"{ESCAPE}]" not in on_terminal
    assert f"{ESCAPE}[2J" not in on_terminal
    assert "]0;owned[bold].jsonl:3: " in dedup.stdout
    assert "[2J [link=file:///]31m" in bad.stdout


ASK_FOR_IT = """
import os, signal, sys
from curatekit import run
from curatekit.cli import main

def deduplicate(*args, progress, **options):
    def stop(stage, done, total):
        if stage == sys.argv[1]:
            print("asked", flush=True)
            os.kill(os.getpid(), signal.Signals[sys.argv[2]])
        if progress is not None:
            progress(stage, done, total)
    return real(*args, progress=stop, **options)

real, run.deduplicate = run.deduplicate, deduplicate
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("stage", ["read", "exact", "near", "write"])
@pytest.mark.parametrize(
    ("name", "code", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]
)
def test_a_run_that_is_stopped_leaves_nothing(
    tmp_path: Path, many: Path, *, stage: str, name: str, code: int, word: str
) -> None:
    """The signal comes when a stage reports how far it is, be that at its end."""
    arguments = ["dedup", str(many), "-o", str(tmp_path / "a/b"), "-q"]
    command = [sys.executable, "-c", ASK_FOR_IT, stage, name, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (code, "asked\n")
    assert result.stderr == f"error: {word}\n"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_run_within_a_second(tmp_path: Path, many: Path) -> None:
    work = tmp_path / "out.partial"
    command = [*COMMAND, "dedup", str(many), "-o", str(tmp_path / "out"), "-q"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        while not work.exists():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, message = running.communicate()
    assert time.monotonic() - sent < 1
    assert (running.returncode, message) == (130, "error: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def nobody() -> Iterator[int]:
    """The end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_a_reader_may_go_away(run: Run, eggs: Path, nobody: int) -> None:
    """`curatekit show OUT | head -1` ends quietly, and a run goes on when nobody hears its news."""
    for command in (["dedup", eggs, "-o", "out"], ["show", "out"]):
        result = run(*command, capture_output=False, stdout=nobody, stderr=subprocess.PIPE)
        assert (result.returncode, "rror" in result.stderr) == (0, False)
    streams = {"capture_output": False, "stderr": nobody}
    assert run("dedup", eggs, "-o", "deaf", **streams).returncode == 0
    assert Path("deaf/report.json").exists()
    assert run("dedup", "no.jsonl", "-o", "none", **streams).returncode == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_output_is_said(run: Run, eggs: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        streams = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        result = run("dedup", eggs, "-o", "out", "-q", "--json", **streams)
    assert result.returncode == 4
    assert result.stderr == "error: standard output: no space left on device\n"


def test_streams_may_be_closed(eggs: Path) -> None:
    out = eggs.with_name("out")
    line = f"{sys.executable} -m curatekit dedup {eggs} -o {out} >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0
    assert (out / "kept.jsonl").exists()


def test_completion_is_offered(run: Run) -> None:
    typed = {"COMP_WORDS": "curatekit dedup --thr", "COMP_CWORD": "2"}
    variables = {**os.environ, "_CURATEKIT_COMPLETE": "bash_complete", **typed}
    assert set(run(env=variables).stdout.split()) == {"plain,--threshold", "plain,--threads"}

"""Removed rows beside their witnesses: the right texts, the right marks, and nothing else."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from conftest import Run, chat, in_terminal, read_rows, write_rows
from curatekit.cli.words import Piece, beginning, compare, elide, fillings
from curatekit.evidence import SLOT
from curatekit.folder import RunFolder
from curatekit.report import outline
from curatekit.run import deduplicate
from curatekit.settings import Settings

WALK = "there is nothing quite so pleasant as a quiet walk by the river in the early evening"
ROWS = [
    chat("Tell me about walks", WALK) | {"id": 1},
    chat("Tell me about rivers and their sources", "They begin small."),
    chat("Tell me about walks", WALK) | {"id": 2},
    chat("tell me about walks", WALK.replace("quiet walk", "long\nslow stroll")),
    {"messages": 5},
]
QUARANTINED = (
    f"row 4 (walks.jsonl:5), byte {sum(len(json.dumps(row)) + 1 for row in ROWS[:4])}: wrong-type, "
    "field `messages` is not an array"
)
LEGEND = "[-only in the removed row-]  {+only in the row that stands for it+}"

ASK = (
    "Read the request of a customer, and name the team that should take care of it, with one word "
    "from the list below and nothing else. Request"
)
SLEEP = "of those who were asked about their nights most said that they would be glad to sleep for"
REQUESTS = [
    chat(f"{ASK}: lost card", "cards"),
    chat(f"{ASK}: change address", "accounts"),
    chat(f"{ASK}: dispute a charge", "cards"),
    chat(f"{ASK}: card is blocked", "cards"),
    chat(f"{ASK.replace('request', 'message', 1)}: lost card", "cards"),
    chat(f"{ASK}: close account", "accounts"),
]

words = st.sampled_from(["a", "b", "the", "river", "42", "é", "東京タワー", ",", "?!"])
spaces = st.sampled_from([" ", "  ", "\n", ""])
texts = st.lists(st.tuples(words, spaces).map("".join), max_size=30).map("".join)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "walks.jsonl", ROWS)
    settings = Settings(ngram=1, threshold_millis=700)
    deduplicate("walks.jsonl", tmp_path / "out", settings)
    return Path("out")


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run over a template, an edit of it, and pairs that other rules keep apart."""
    monkeypatch.chdir(tmp_path)
    rows = [
        *REQUESTS,
        chat("Tell me about sleep", f"{SLEEP} 7 hours"),
        chat("Tell me about sleep", f"{SLEEP} 8 hours"),
        chat("Rest", f"{SLEEP} 8 hours"),
        chat("Say more", WALK),
        chat("Say more", WALK.replace("quiet", "long")),
        chat("Tell me about sleep", f"{SLEEP.upper()} 8 HOURS"),
    ]
    write_rows(tmp_path / "rows.jsonl", rows)
    deduplicate("rows.jsonl", tmp_path / "requests", Settings(ngram=2))
    return Path("requests")


def squeeze(text: str) -> str:
    return re.sub(r"\s", "", text)


@given(texts, texts)
def test_the_pieces_of_a_side_make_up_its_text(removed: str, witness: str) -> None:
    pieces = compare(removed, witness)
    for side, text in (("removed", removed), ("witness", witness)):
        mine = "".join(piece.text for piece in pieces if piece.side in ("both", side))
        assert squeeze(mine) == squeeze(text)
    if removed == witness:
        assert {piece.side for piece in pieces} <= {"both"}


@given(texts, texts)
def test_a_text_is_what_its_template_has_and_what_fills_it(text: str, template: str) -> None:
    pieces = fillings(text, template)
    mine = "".join(piece.text for piece in pieces if piece.side != "witness")
    assert squeeze(mine) == squeeze(text)
    if SLOT not in template:
        assert pieces == compare(text, template)


def test_slots_and_edits_are_told_apart() -> None:
    template = f"Read the request … below. Request … by {SLOT} thanks"
    assert fillings("Read the note … below. Request: lost card by me thanks", template) == [
        Piece("both", "Read the "),
        Piece("removed", "note"),
        Piece("witness", "request"),
        Piece("both", " … below. Request"),
        Piece("slot", ": lost card"),
        Piece("both", " by "),
        Piece("slot", "me"),
        Piece("both", " thanks"),
    ]
    assert fillings("a b", f"a {SLOT} b") == [Piece("both", "a "), Piece("both", "b")]


@given(st.text("ab …", max_size=300) | st.text("東京タ …", max_size=300), st.integers(40, 120))
def test_an_outline_fits_and_shows_the_first_slot(template: str, cells: int) -> None:
    line = outline(template, cells)
    assert cell_len(line) <= cells * 1.2  # a cell of another script is met on average
    assert (SLOT in line) == (SLOT in template)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("short …", "short …"),
        ("two\n\n lines", "two lines"),
        (f"{WALK} {SLOT}", "there is [...] river in the early evening …"),
        (f"walk {SLOT} {WALK}", "walk … there is nothing quite so [...]"),
        (f"{WALK} {SLOT} {WALK}", "there is [...] evening … there is [...]"),
        ("東京タワー" * 10 + SLOT, "[...] ー東京タワー東京タワー東京タワー…"),
    ],
)
def test_an_outline_is_the_beginning_and_the_slot(template: str, expected: str) -> None:
    assert outline(template, 46) == expected


def test_one_changed_word_is_one_difference() -> None:
    assert compare("the old man and the sea", "the young man and the sea") == [
        Piece("both", "the "),
        Piece("removed", "old"),
        Piece("witness", "young"),
        Piece("both", " man and the sea"),
    ]
    assert compare("東京タワー", "東京都タワー") == [
        Piece("both", "東京"),
        Piece("witness", "都"),
        Piece("both", "タワー"),
    ]


@given(texts, texts)
def test_what_is_elided_is_counted(removed: str, witness: str) -> None:
    pieces = compare(removed * 5, witness * 5)
    short = list(elide(pieces, around=2, most=6))
    sides = [{piece.side for piece in some} - {"both", "gap"} for some in (pieces, short)]
    assert sides[0] == sides[1]
    assert (
        [p for p in short if p.side in ("removed", "witness")]
        or removed == witness
        or not squeeze(removed + witness)
    )
    for piece in short:
        if piece.side == "gap":
            assert int(re.findall(r"… ([\d,]+) words …", piece.text)[0]) > 4


def test_long_texts_that_have_nothing_in_common_take_no_time() -> None:
    one, other = (" ".join(f"{side}{n}" for n in range(50_000)) for side in "ab")
    assert [piece.side for piece in compare(one, other)] == ["removed", "witness"]
    assert beginning(one, words=3) == "a0 a1 a2 …"


def test_pairs_stand_beside_each_other(run: Run, out: Path) -> None:
    result = run("show", out)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "2 of 5 rows removed",
        LEGEND,
        "",
        "row 2 (walks.jsonl:3): exact-duplicate of row 0 (walks.jsonl:1)",
        "  user  equal: Tell me about walks",
        f"  assistant  equal: {WALK}",
        "  id  not compared",
        "    [-2-]{+1+}",
        "",
        "row 3 (walks.jsonl:4): near-duplicate of row 0 (walks.jsonl:1), 14 of 19 shingles = 0.736",
        "  user  4 of 4 shingles = 1.000",
        "    [-tell-]{+Tell+} me about walks",
        "  assistant  14 of 19 shingles = 0.736",
        f"    {WALK.replace('quiet walk', '[-long ↵ slow stroll-]{+quiet walk+}')}",
        "  id  not compared",
        "    {+1+}",
    ]


def test_a_family_shows_its_template_and_how_rows_fill_it(run: Run, requests: Path) -> None:
    result = run("show", requests, "--family", "1")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        (
            "family 1, role user: 6 rows with 6 texts; its slots kept 4 pairs apart, and removed "
            "rows hold 1 edit of it"
        ),
        "  template",
        f"    {ASK} {SLOT}",
        "",
        "[=fills a slot=]  [-only in this row-]  {+only in the template+}",
        "",
        "row 0 (rows.jsonl:1): kept",
        "    … 22 words … the list below and nothing else. Request[=: lost card=]",
        "",
        "row 1 (rows.jsonl:2): kept",
        "    … 22 words … the list below and nothing else. Request[=: change address=]",
        "",
        "row 2 (rows.jsonl:3): kept",
        "    … 22 words … the list below and nothing else. Request[=: dispute a charge=]",
        "",
        "row 3 (rows.jsonl:4): kept",
        "    … 22 words … the list below and nothing else. Request[=: card is blocked=]",
        "",
        "row 4 (rows.jsonl:5): near-duplicate of row 0 (rows.jsonl:1)",
        (
            "    Read the [-message-]{+request+} of a customer, and name the team … 11 words … the "
            "list below and nothing else. Request[=: lost card=]"
        ),
        "",
        "row 5 (rows.jsonl:6): kept",
        "    … 22 words … the list below and nothing else. Request[=: close account=]",
    ]
    short = run("show", requests, "--family", "1", "--limit", "2").stdout
    assert re.findall(r"^row (\d+)", short, re.MULTILINE) == ["0", "1"]
    _, coloured = in_terminal("show", requests, "--family", "1", columns=160)
    assert "Request\x1b[1;33m: lost card\x1b[0m" in coloured


def test_families_are_listed_with_their_templates(run: Run, requests: Path, out: Path) -> None:
    assert run("show", requests, "--families").stdout.splitlines() == [
        "family  role  rows  texts  apart  edits  template",
        (
            "     1  user     6      6      4      1  Read the request [...] from the list below "
            "and nothing else. Request …"
        ),
    ]
    _, output = in_terminal("show", requests, "--families", columns=80)
    assert max(map(len, re.sub(r"\x1b\[[\d;]*m", "", output).splitlines())) <= 80
    assert run("show", out, "--families").stdout.startswith("no template: ")


@pytest.mark.parametrize(
    ("which", "told", "pairs"),
    [
        (
            "content",
            "4 pairs alike in each role, but with a slot of their template filled differently",
            [
                "row 5 (rows.jsonl:6): kept apart from row 1 (rows.jsonl:2) by content, 26 of 30",
                "row 2 (rows.jsonl:3): kept apart from row 0 (rows.jsonl:1) by content, 26 of 31",
                "row 3 (rows.jsonl:4): kept apart from row 0 (rows.jsonl:1) by content, 26 of 31",
                "row 3 (rows.jsonl:4): kept apart from row 2 (rows.jsonl:3) by content, 26 of 32",
            ],
        ),
        (
            "numbers",
            "2 pairs alike in each role, but with different numbers",
            [
                "row 7 (rows.jsonl:8): kept apart from row 6 (rows.jsonl:7) by numbers, 17 of 21",
                "row 11 (rows.jsonl:12): kept apart from row 6 (rows.jsonl:7) by numbers, 17 of 21",
                "but near-duplicate of row 7 (rows.jsonl:8)",
            ],
        ),
        (
            "roles",
            "1 pair alike as a whole, but not in each role",
            ["row 8 (rows.jsonl:9): kept apart from row 7 (rows.jsonl:8) by the role user, 0 of 4"],
        ),
        (
            "close",
            "around the threshold: 2 removed rows, and 1 pair kept apart",
            [
                "row 11 (rows.jsonl:12): near-duplicate of row 7 (rows.jsonl:8), 3 of 3",
                "row 4 (rows.jsonl:5): near-duplicate of row 0 (rows.jsonl:1), 26 of 30",
                (
                    "row 10 (rows.jsonl:11): kept apart from row 9 (rows.jsonl:10) by the "
                    "threshold, 14 of 18"
                ),
            ],
        ),
    ],
)
def test_pairs_that_were_kept_apart_stand_beside_each_other(
    run: Run, requests: Path, which: str, told: str, pairs: list[str]
) -> None:
    lines = run("show", requests, "--pairs", which).stdout.splitlines()
    assert lines[0] == told
    assert [
        line.partition(" shingles")[0] for line in lines if line[:4] in ("row ", "but ")
    ] == pairs
    assert "{+" in "".join(lines[2:])


def test_pairs_are_shown_from_the_most_alike_to_the_least(run: Run, tmp_path: Path) -> None:
    """Around the threshold, on both sides of it, as many of each as there are."""
    words = [f"w{n:b}" for n in range(200)]
    rows = []
    for pair in range(24):
        mine = words[pair : pair + 60]
        changed = [f"{word}x" if at < 4 + pair % 6 else word for at, word in enumerate(mine)]
        rows += [chat(f"pair {pair:b}", " ".join(mine)), chat(f"pair {pair:b}", " ".join(changed))]
    write_rows(tmp_path / "rows.jsonl", rows)
    settings = Settings(ngram=1, numbers="alike", alike="each-role", max_drop_millis=1000)
    deduplicate("rows.jsonl", tmp_path / "out", settings)
    for options, above, below in (((), 5, 5), (("--limit", "3"), 1, 2)):
        output = run("show", "out", "--pairs", "close", *options).stdout
        alike = [float(found) for found in re.findall(r"^row .* = (0\.\d+)", output, re.MULTILINE)]
        assert alike == sorted(alike, reverse=True)
        assert [one >= 0.8 for one in alike] == [True] * above + [False] * below


def test_a_terminal_shows_the_same_in_colour(out: Path) -> None:
    code, output = in_terminal("show", out, "--reason", "near-duplicate", columns=60)
    assert code == 0
    assert "\x1b[1;31mtell\x1b[0m \x1b[1;32mTell\x1b[0m me about walks" in output
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)
    assert max(map(len, plain.splitlines())) <= 60
    assert "[-" not in plain


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (0, "row 0 is kept, and stands for 2, 3\n  user\n    Tell me about walks\n"),
        (1, "row 1 is kept\n  user\n    Tell me about rivers"),
        (3, "a [-long\n    slow stroll-]{+quiet walk+} by"),
        (4, QUARANTINED),
    ],
)
def test_one_row_is_shown_in_full(run: Run, out: Path, row: int, expected: str) -> None:
    result = run("show", out, "--row", str(row))
    assert expected in result.stdout
    assert "…" not in result.stdout


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_that_is_not_there_is_said(run: Run, out: Path, row: int) -> None:
    result = run("show", out, "--row", str(row))
    assert result.returncode == 2
    assert result.stderr == f"error: there is no row {row}: the run read 5 rows, counted from 0\n"


def test_quarantined_rows_are_shown_with_place_and_reason(run: Run, out: Path) -> None:
    lines = run("show", out, "--reason", "quarantined").stdout.splitlines()
    assert lines[0] == "1 of 5 rows quarantined"
    assert lines[2] == QUARANTINED
    assert lines[3] == '    {"messages": 5}'


def test_a_sample_is_spread_evenly_and_favours_what_needs_judgement(
    run: Run, tmp_path: Path
) -> None:
    numbered = [chat(f"question {n} {WALK}", WALK) for n in range(100)]
    shouted = [chat(f"QUESTION {n} {WALK}", WALK) for n in range(100)]
    rows = write_rows(tmp_path / "rows.jsonl", [*numbered, *numbered, *shouted])
    deduplicate(rows, tmp_path / "out", Settings(threshold_millis=1000))

    def shown(*options: str) -> list[int]:
        output = run("show", "out", *options).stdout
        return [int(row) for row in re.findall(r"^row (\d+)", output, re.MULTILINE)]

    sample = shown("--limit", "8")
    near = [row for row in sample if row >= 200]
    assert (len(sample), len(near)) == (8, 6)
    assert {later - row for row, later in pairwise(near)} <= {16, 17}
    assert shown("--limit", "4", "--reason", "exact-duplicate") == [112, 137, 162, 187]
    assert shown("--all") == list(range(100, 300))
    assert shown("--limit", "0") == []
    assert shown("--limit", "1") == [249]


@pytest.mark.parametrize("settings", [Settings(), Settings(on=("user",), threshold_millis=500)])
def test_every_case_has_the_bytes_of_its_rows(
    data: Path, tmp_path: Path, settings: Settings
) -> None:
    """Positions in the written files are worked out, not stored, and must lead to the rows."""
    inputs = [data / "instruct/prompt_completion.jsonl", data / "instruct/text_wikisql_train.jsonl"]
    bad = write_rows(tmp_path / "bad.jsonl", [b"{", b"[", {"text": "fine"}, b"}"])
    lines = [
        line for path in (inputs[0], bad, inputs[1]) for line in path.read_bytes().splitlines()
    ]
    deduplicate([inputs[0], bad, inputs[1]], tmp_path / "out", settings)
    folder = RunFolder(tmp_path / "out")
    decisions = list(folder.decisions())
    assert sum(folder.counts.values()) == len(decisions) > 190
    assert folder.counts["quarantined"] == 3
    for decision in decisions:
        case = folder.case(decision)
        assert case.row == lines[decision.row]
        if decision.witness:
            assert case.witness == lines[decision.witness.row]
    kept = set(range(folder.rows)) - {decision.row for decision in decisions}
    assert all(folder.ledger.now(row) == lines[row] for row in kept)
    assert len(read_rows(tmp_path / "out/kept.jsonl")) == len(kept)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ledger/manifest.json", None, "has no `ledger/manifest.json`"),
        ("report.json", None, "report.json: no such file"),
        ("report.json", b"{}", "report.json: "),
        ("decisions.jsonl", b"{}\n", "decisions.jsonl:1: "),
        ("removed.jsonl", b"", "removed.jsonl:1: this line is missing"),
    ],
)
def test_a_damaged_folder_is_said(
    run: Run, out: Path, name: str, content: bytes | None, message: str
) -> None:
    (out / name).unlink()
    if content is not None:
        (out / name).write_bytes(content)
    result = run("show", out)
    assert result.returncode in (2, 3)
    assert message in result.stderr.splitlines()[0]

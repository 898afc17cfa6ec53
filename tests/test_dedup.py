"""The Python face of deduplication: columns over rows, options and errors."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curatekit
from conftest import chat, read_rows, write_rows
from curatekit.dedup import exact, near
from curatekit.settings import Settings, parse_share, parse_size, parse_threshold

LONG = "there is nothing quite so pleasant as a quiet walk by the river in the early evening"
TEXTS = [LONG, "something else", LONG, LONG.upper(), LONG.replace("quiet", "long"), ""]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", [*({"text": text} for text in TEXTS), b"{bad"])


def test_a_decision_is_columns_over_rows(rows: Path) -> None:
    decisions = near(rows, ngram=2, threshold=0.7)
    assert decisions.state.tolist() == [0, 0, 1, 2, 2, 0, 3]
    assert decisions.kept.tolist() == [True, True, False, False, False, True, False]
    assert decisions.witness.tolist() == [0, 1, 0, 0, 0, 5, 6]
    assert decisions.shared.tolist() == [0, 0, 0, 16, 14, 0, 0]
    assert decisions.united.tolist() == [0, 0, 0, 16, 18, 0, 0]
    expected = [np.nan, np.nan, 1, 1, 14 / 18, np.nan, np.nan]
    np.testing.assert_array_equal(decisions.similarity, expected)
    types = [getattr(decisions, name).dtype.name for name in ("kept", "state", "witness", "shared")]
    assert types == ["bool", "uint8", "uint64", "uint32"]
    assert len(decisions) == 7
    assert decisions.problems()[0]["line"] == 7


def test_exact_removes_what_is_equal_and_no_more(rows: Path) -> None:
    assert exact(rows).state.tolist() == [0, 0, 1, 0, 0, 0, 3]


def test_a_decision_shows_its_counts(rows: Path) -> None:
    decisions = near(rows)
    counts = "rows=7, kept=4, exact_duplicates=1, near_duplicates=1, quarantined=1"
    assert repr(decisions) == f"Decisions({counts})"
    shown = re.findall(r"<th>([\w ]+)</th><td>(\d+)</td>", decisions._repr_html_())
    assert ", ".join(f"{name.replace(' ', '_')}={count}" for name, count in shown) == counts


def test_a_decision_writes_its_rows(rows: Path, tmp_path: Path) -> None:
    decisions = near([rows])
    decisions.write(tmp_path / "out")
    kept = [row["text"] for row in read_rows(tmp_path / "out/kept.jsonl")]
    assert kept == [text for text, keep in zip(TEXTS, decisions.kept, strict=False) if keep]
    with pytest.raises(curatekit.CurateError, match="exists already"):
        decisions.write(tmp_path / "out")
    decisions.write(tmp_path / "out", force=True)
    names = {entry.name for entry in (tmp_path / "out").iterdir()}
    files = {"kept.jsonl", "removed.jsonl", "quarantine.jsonl", "decisions.jsonl"}
    assert names == {*files, "ledger"}


def test_roles_and_fields_choose_what_is_compared(tmp_path: Path) -> None:
    one, other = chat(LONG, "yes"), chat(LONG, "no")
    path = write_rows(tmp_path / "chats.jsonl", [one, other | {"label": 1}, other | {"label": 2}])
    assert near(path).kept.tolist() == [True, True, False]
    assert near(path, on="user").kept.tolist() == [True, False, False]
    assert near(path, on=["user", "assistant"]).kept.tolist() == [True, True, False]
    assert near(path, on={"user"}, also=["label"]).kept.tolist() == [True, True, True]
    assert exact(path, on=("user",)).kept.tolist() == [True, False, False]
    with pytest.raises(ValueError, match="`field` reads every row as text"):
        near(path, field="body", format="chat")


def test_keep_chooses_which_duplicate_stays(tmp_path: Path) -> None:
    rows = [
        {"text": LONG, "score": 2, "id": 0},
        {"text": f"{LONG}!!", "score": -1e3},
        {"text": LONG.upper(), "score": 10, "id": 2},
        {"text": "another"},
        {"text": LONG, "score": "11"},
        {"text": "another", "score": 0.5},
    ]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    for keep, kept, witness in (
        ("first", [0, 3], [0, 0, 0, 3, 0, 3]),
        ("longest", [1, 3], [1, 1, 1, 3, 1, 3]),
        ("best:score", [2, 5], [2, 2, 2, 5, 2, 5]),
        ("best:id", [2, 3], [2, 2, 2, 3, 2, 3]),
    ):
        decisions = near(path, keep=keep)
        assert (np.flatnonzero(decisions.kept).tolist(), decisions.witness.tolist()) == (
            kept,
            witness,
        )
    assert np.flatnonzero(exact(path, keep="best:score").kept).tolist() == [0, 1, 2, 5]
    assert near(path, keep="best:score").summary["rows_without_score"] == 2


def test_rules_decide_whether_alike_rows_are_duplicates(tmp_path: Path) -> None:
    """A slot that is filled differently, and a number, which `numbers` lets count or not."""
    ask = f"{LONG} and so tell me in one word which of the colours below is that of"
    said = [
        f"{ask} grass",
        f"{ask} the sky",
        f"{ask} a lemon",
        f"{LONG} of 7 miles",
        f"{LONG} of 8 miles",
    ]
    path = write_rows(tmp_path / "chats.jsonl", (chat(one, "so") for one in said))
    kept = {
        (alike, numbers): np.flatnonzero(
            near(path, ngram=2, alike=alike, numbers=numbers).kept
        ).tolist()
        for alike in ("consensus", "each-role", "whole", None)
        for numbers in ("distinct", "alike", None)
    }
    assert kept == {
        ("consensus", "distinct"): [0, 1, 2, 3, 4],
        ("consensus", "alike"): [0, 1, 2, 3],
        ("consensus", None): [0, 1, 2, 3, 4],
        ("each-role", "distinct"): [0, 3, 4],
        ("each-role", "alike"): [0, 3],
        ("each-role", None): [0, 3],
        ("whole", "distinct"): [0, 3, 4],
        ("whole", "alike"): [0, 3],
        ("whole", None): [0, 3],
        (None, "distinct"): [0, 1, 2, 3, 4],
        (None, "alike"): [0, 1, 2, 3],
        (None, None): [0, 1, 2, 3, 4],
    }


def test_recall_is_exact_where_that_is_quick(tmp_path: Path) -> None:
    few = write_rows(tmp_path / "few.jsonl", [{"text": LONG}] * 4999)
    many = write_rows(tmp_path / "many.jsonl", [{"text": LONG}] * 5000)
    assert near(few).summary["recall"] == "exact"
    assert near(many).summary["recall"] == "bands"
    assert near(few, recall="bands").summary["bands"] == 25
    assert near(many, recall="exact").summary["bands"] == 0
    assert near(many, threshold=0.05).summary["recall"] == "exact"


def test_the_module_is_found_without_importing_it() -> None:
    assert curatekit.dedup.near is near
    assert set(dir(curatekit)) >= {"dedup", "run", "formats", "CurateError", "DataError"}
    with pytest.raises(AttributeError, match="`curatekit` has no attribute `nothing`"):
        curatekit.nothing  # noqa: B018


def test_errors_carry_the_place(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        near(tmp_path / "no.jsonl")
    assert missing.value.filename == str(tmp_path / "no.jsonl")
    with pytest.raises(curatekit.DataError) as broken:
        near(rows, on_error="stop")
    error = broken.value
    assert (error.path, error.line, error.hint) == (str(rows), 7, None)
    assert str(error) == f"{rows}:7: {error.problem}"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (as a process pool would)
    assert (str(again), again.line) == (str(error), 7)
    assert str(curatekit.CurateError("no", "do")) == "no\nhint: do"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, "a threshold is above 0"),
        ({"threshold": 1.001}, "a threshold is above 0"),
        ({"threshold": 0.12345}, "to three decimals, not `0.12345`"),
        ({"threshold": float("nan")}, "a threshold is above 0"),
        ({"ngram": 0}, "`ngram` must be between 1 and 1000, not 0"),
        ({"seed": 2**64}, "`seed` must be between"),
        ({"threads": -1}, "`threads` must be between"),
        ({"memory": "4 XB"}, "a size is like `64MiB`"),
        ({"max_line": 0}, "a size is like"),
        ({"format": "csv"}, "`format` must be one of auto, chat, .*, not `csv`"),
        ({"alike": "all"}, "`alike` must be one of consensus, each-role, whole, not `all`"),
        ({"numbers": "all"}, "`numbers` must be one of distinct, alike, not `all`"),
        ({"keep": "last"}, "`keep` must be first, longest or best:FIELD, not `last`"),
        ({"keep": "best:"}, "`keep` must be first, longest or best:FIELD, not `best:`"),
        ({"keep": "best:\udcff"}, "is not valid UTF-8"),
        ({"on": ["\udcff"]}, "is not valid UTF-8"),
    ],
)
def test_an_option_out_of_its_range_is_refused(
    rows: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        near(rows, **options)  # type: ignore[arg-type]


@given(st.integers(1, 1000))
def test_every_threshold_to_three_decimals_is_exact(millis: int) -> None:
    assert parse_threshold(millis / 1000) == millis
    assert parse_threshold(f"{millis / 1000:.3f}") == millis


@given(st.integers(0, 1000))
def test_every_share_to_three_decimals_is_exact(millis: int) -> None:
    assert parse_share(millis / 1000) == parse_share(f"{millis / 1000:.3f}") == millis


@pytest.mark.parametrize("share", ["-0.1", "1.001", "0.0005", "half", "nan", ""])
def test_what_is_no_share_is_refused(share: str) -> None:
    with pytest.raises(ValueError, match="a share is from 0 to 1, to three decimals, not"):
        parse_share(share)


@given(st.integers(1, 10**6), st.sampled_from(["", "K", "M", "G", "T"]), st.booleans())
def test_sizes_are_read_as_they_are_written(number: int, prefix: str, binary: bool) -> None:  # noqa: FBT001
    power = " KMGT".index(prefix or " ")
    unit = f"{prefix}{'iB' if binary else 'B'}" if prefix else ""
    expected = number * (1024 if binary else 1000) ** power
    assert (
        parse_size(f"{number}{unit}") == parse_size(f"{number} {unit.lower()}".strip()) == expected
    )
    assert parse_size(number) == number
    assert parse_size(f"{number}{prefix}") == number * 1024**power


def test_parts_of_a_size_may_be_asked_for() -> None:
    assert parse_size("0.5GiB") == 2**29
    assert Settings().memory == parse_size("4GiB")
    assert Settings().max_line == parse_size("64MiB")

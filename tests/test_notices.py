"""What a run tells its owner, though nothing failed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import chat, write_rows
from curatekit.dedup import decide
from curatekit.notices import notices
from curatekit.settings import Settings

TEXT = "one two three four five six seven eight nine ten"


def noticed(rows: Path, **options: object) -> dict[str, str]:
    settings = Settings(**options)  # type: ignore[arg-type]
    summary = decide([rows.name], settings, spool=".").summary
    return {one.id: f"{one.message}\n{one.hint}" for one in notices(settings, summary)}


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.chdir(tmp_path)
    return lambda *rows: write_rows(tmp_path / "made.jsonl", rows)


def test_an_ordinary_run_has_nothing_to_notice(make: Make) -> None:
    rows = [" ".join(f"{n}word{at}" for at in range(50)) for n in range(5)]
    assert noticed(make(*(chat(row, row) for row in rows))) == {}
    assert "short-rows" not in noticed(make({"text": TEXT}), threshold_millis=1000)


def test_what_deserves_a_second_look_is_noticed(make: Make) -> None:
    assert "the inputs hold no rows" in noticed(make())["no-rows"]
    assert "made.jsonl: layout not known" in noticed(make({"a": TEXT}))["unknown-layout"]
    assert "unknown-layout" not in noticed(make({"a": TEXT}), format="record")
    silent = noticed(make(chat("hi", "ho"), chat("hi", "ho")), on=("usr",))
    assert "2 rows without text of role `usr` to compare" in silent["rows-without-text"]
    assert "1 row with text but no word" in noticed(make({"text": "!?"}))["rows-without-tokens"]
    twice = make({"text": TEXT, "label": 1}, {"text": TEXT, "label": 2})
    assert "1 removed row differing" in noticed(twice)["differ-elsewhere"]
    assert "differ-elsewhere" not in noticed(twice, also=("label",))
    scored = make({"text": TEXT, "score": 1}, {"text": TEXT, "score": "2"}, {"text": TEXT})
    assert (
        "2 rows without a number in `score`"
        in noticed(scored, keep="best:score")["rows-without-score"]
    )
    assert "rows-without-score" not in noticed(scored, keep="longest")
    assert "half of a surrogate" in noticed(make(b'{"text": "\\ud800 a"}'))["lone-surrogates"]
    assert "1 key twice" in noticed(make(b'{"text": "a", "text": "b"}'))["duplicate-keys"]


@pytest.mark.parametrize("ngram", [1, 2, 3, 5])
@pytest.mark.parametrize("millis", [500, 700, 800, 905])
def test_the_notice_on_short_rows_is_right_to_the_word(make: Make, ngram: int, millis: int) -> None:
    """It stands exactly where a row with one word replaced in the middle is no near-duplicate."""
    for count in (*range(1, 60), *range(60, 130, 10)):
        words = [f"w{n}" for n in range(count)]
        changed = [*words[: count // 2], "changed", *words[count // 2 + 1 :]]
        rows = make({"text": " ".join(words)}, {"text": " ".join(changed)})
        options = {"ngram": ngram, "threshold_millis": millis}
        hint = noticed(rows, **options).get("short-rows")
        assert (hint is None) == (near_duplicates(rows, **options) == 1), count
        if hint and count > ngram and (better := re.search(r"`--ngram (\d)`", hint)):
            assert near_duplicates(rows, **{**options, "ngram": int(better[1])}) == 1


def near_duplicates(rows: Path, **options: int) -> int:
    settings = Settings(**options)  # type: ignore[arg-type]
    return decide([rows.name], settings, spool=".").summary["near_duplicates"]

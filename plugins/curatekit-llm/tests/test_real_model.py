"""A judge that asks a real model, over a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judging import chats, judge, judged, told
from model_server import running, tokens_made

RECORDS = chats(
    ("What is 2+2?", "4"),
    ("Name a colour.", "Blue."),
    ("Say hi", "Hi!"),
    ("What is the capital of France?", "Paris."),
    ("Is fire hot?", "no idea"),
    ("Translate 'cat' into French.", "chat"),
)


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with running() as url:
        yield url


def asking(model: str, **options: object) -> dict[str, Any]:
    return {"model": "smollm2", "base_url": model, **options}


def test_a_model_is_asked_once(model: str, tmp_path: Path) -> None:
    cache = tmp_path / "llm.sqlite"
    options = asking(model, max_tokens=80, concurrency=2)
    with judge(cache, **options) as step:
        found = told(judged(step, RECORDS))
    assert {outcome for outcome, *_ in found} <= {"scored", "unparsed"}
    scored = [at for at, (outcome, *_) in enumerate(found) if outcome == "scored"]
    assert scored
    assert {found[at][1] for at in scored} <= {1, 2, 3, 4, 5}
    made = tokens_made(model)
    assert made > 0
    again = RECORDS.take(np.array(scored))
    expected = [found[at] for at in scored]
    with judge(cache, **options) as step:
        assert told(judged(step, again)) == expected
    with judge(cache, **options, is_dry=True) as step:
        assert told(judged(step, again)) == expected
    assert tokens_made(model) == made


def test_a_model_that_is_cut_off(model: str, tmp_path: Path) -> None:
    options = asking(model, max_tokens=3)
    with judge(tmp_path / "llm.sqlite", **options) as step:
        ((outcome, score, note),) = told(judged(step, RECORDS[:1]))
    assert (outcome, score, note) == ("unparsed", -1, "the answer is cut off at 3 tokens")


def test_a_record_that_is_longer_than_the_context(model: str, tmp_path: Path) -> None:
    """A real server's refusal of one question is an outcome of one record."""
    options = asking(model, max_tokens=40, max_chars=100_000)
    long = chats(("Repeat after me", "no end " * 10_000))
    with judge(tmp_path / "llm.sqlite", **options) as step:
        ((outcome, score, note),) = told(judged(step, long))
    assert (outcome, score) == ("failed", -1)
    assert (note or "").startswith("HTTP 400: ")

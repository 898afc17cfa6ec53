"""What each filter drops, and that its verdict on a record depends on nothing but that record."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curatekit.formats import ALPACA, RECORD
from curatekit.plugins import load
from curatekit.records import Batch
from curatekit.steps import Author, Filter, Verdicts, verdicts
from curatekit.testing import conformance
from curatekit_quality import (
    Length,
    LengthOptions,
    Repetition,
    RepetitionOptions,
    Symbols,
    SymbolsOptions,
)

AUTHOR = Author(step="quality.filter", plugin="curatekit-quality")
LINES = st.lists(st.sampled_from(["a b c", "no no no no", "", "1 + 1 = 2", "é 去年\n"]), max_size=8)
FILTERS = [
    Length(LengthOptions(min_chars=3, max_chars=20, min_words=2)),
    Symbols(SymbolsOptions(max_symbol_share=0.3, max_digit_share=0.2)),
    Repetition(),
]


def judged(step: Filter, *texts: str) -> Verdicts:
    return verdicts(step, Batch.of([{"text": text} for text in texts], RECORD), AUTHOR)


def dropped(step: Filter, *texts: str) -> list[str | None]:
    codes = judged(step, *texts).codes.tolist()
    return [None if code == 0 else step.reasons[code - 1] for code in codes]


def test_register_steps() -> None:
    steps = load().found["quality"].steps
    assert list(steps) == ["quality.length", "quality.repetition", "quality.symbols"]


def test_length_counts_characters_and_words() -> None:
    step = Length(LengthOptions(min_chars=3, max_chars=5))
    assert dropped(step, "éé", "ééé", "12345", "123456", "") == [
        "too-short",
        None,
        None,
        "too-long",
        "too-short",
    ]
    assert dropped(Length(LengthOptions(min_words=2)), "one", "two words") == ["too-short", None]


@pytest.mark.parametrize(("role", "expected"), [(None, 0), ("user", 1), ("assistant", 0)])
def test_length_of_one_role(role: str | None, expected: int) -> None:
    batch = Batch.of([{"instruction": "Hi", "output": "Hello there"}], ALPACA)
    step = Length(LengthOptions(min_chars=5, min_words=2, role=role))
    assert verdicts(step, batch, AUTHOR).codes.tolist() == [expected]


def test_symbols_are_a_share_of_what_is_no_space() -> None:
    step = Symbols(SymbolsOptions(max_symbol_share=0.5, max_digit_share=0.25))
    assert dropped(step, "ab!!", "ab!!!", "abc1", "ab1", "", "   ", "去年。") == [
        None,
        "too-many-symbols",
        None,
        "too-many-digits",
        None,
        None,
        None,
    ]


def test_repetition_of_lines() -> None:
    step = Repetition(RepetitionOptions(max_ngram_share=1))
    assert dropped(step, "a\nb\na", "a\nb\nc\na", "\n\n\n\n", "a") == [
        "duplicate-lines",
        None,
        None,
        None,
    ]
    evidence = judged(step, "a\nb\na").evidence
    assert evidence == ["0.33 of 3 lines"]


def test_repetition_of_words() -> None:
    step = Repetition(RepetitionOptions(max_ngram_share=0.5))
    assert dropped(step, "a b c", "x a b c y a b c", "x a b c y z d e f g h i", "no " * 9) == [
        None,
        "repeated-ngram",
        None,
        "repeated-ngram",
    ]
    evidence = judged(step, "A b c, a b c d").evidence
    assert evidence == [None]
    evidence = judged(step, "A b c d a b c").evidence
    assert evidence == ["`a b c` 2 times in 7 words"]


@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.name)
def test_conformance(step: Filter) -> None:
    conformance(step)


@pytest.mark.parametrize("step", FILTERS, ids=lambda step: step.name)
@given(st.lists(LINES, max_size=6), st.integers(0, 6))
def test_a_verdict_does_not_depend_on_the_batch(
    step: Filter, rows: list[list[str]], cut: int
) -> None:
    batch = Batch.of([{"text": "\n".join(lines)} for lines in rows], RECORD)
    whole = verdicts(step, batch, AUTHOR).codes
    parts = [verdicts(step, part, AUTHOR).codes for part in (batch[:cut], batch[cut:])]
    assert np.array_equal(whole, np.concatenate(parts))

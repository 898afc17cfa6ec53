"""What each normalizer writes otherwise, and that it says the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curatekit.formats import TEXT
from curatekit.plugins import load
from curatekit.records import Batch
from curatekit.steps import Author, Normalizer, rewrites
from curatekit.testing import conformance
from curatekit_text import Unicode, Whitespace

AUTHOR = Author(step="text.step", plugin="curatekit-text")
STEPS = [
    Unicode(),
    Unicode({"form": "NFKD", "remove_controls": False, "remove_unseen": False}),
    Whitespace(),
    Whitespace({"max_blank_lines": 0, "plain_spaces": False, "strip": False}),
]
LETTERS = "a b\t\n\r\x00\x85\u00a0\u00ad\u2028\u200b\u3000éE\u0301ﬁ去ก"
TEXTS = st.text(st.sampled_from(LETTERS), max_size=40)


def rewritten(step: Normalizer, text: str) -> str:
    batch = Batch.of([{"text": text}], TEXT)
    (new,) = rewrites(step, batch, AUTHOR)
    return text if new is None else new


def test_register_steps() -> None:
    assert list(load().found["text"].steps) == ["text.unicode", "text.whitespace"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.name} {step.options}")
def test_conformance(step: Normalizer) -> None:
    conformance(step)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.name} {step.options}")
@given(text=TEXTS)
def test_what_a_step_gives_it_leaves_as_it_is(step: Normalizer, text: str) -> None:
    once = rewritten(step, text)
    assert rewritten(step, once) == once


@given(TEXTS)
def test_white_space_alone_changes(text: str) -> None:
    assert rewritten(Whitespace(), text).split() == text.split()


@given(TEXTS)
def test_a_normal_form_is_the_same_text(text: str) -> None:
    step = Unicode({"remove_controls": False, "remove_unseen": False})
    assert rewritten(step, text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e\u0301", "é"),
        ("\ufeffa\u00adb\u200b", "ab"),
        ("a\x00\x1b[1m\tb\n", "a[1m\tb\n"),
        ("می\u200cخواهم 👩\u200d💻", "می\u200cخواهم 👩\u200d💻"),
        ("ភាសា\u200bខ្មែរ", "ភាសា\u200bខ្មែរ"),
        ("ﬁ①", "ﬁ①"),
    ],
)
def test_unicode(text: str, expected: str) -> None:
    assert rewritten(Unicode(), text) == expected


def test_unicode_in_a_compatible_form() -> None:
    assert rewritten(Unicode({"form": "NFKC"}), "ﬁ①") == "fi1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a  \n\tb\t \n", "a\n\tb"),
        ("\n\n    code  here\n", "    code  here"),
        ("a\n\n\n\n\nb\n \n\nc", "a\n\n\nb\n\n\nc"),
        ("10\u00a0000\u3000去", "10 000\u3000去"),
        ("", ""),
    ],
)
def test_whitespace(text: str, expected: str) -> None:
    assert rewritten(Whitespace(), text) == expected


def test_whitespace_keeps_what_it_is_told_to() -> None:
    step = Whitespace({"max_blank_lines": 0, "plain_spaces": False, "strip": False})
    assert rewritten(step, "\n\na\u00a0b\n\n\nc \n") == "\na\u00a0b\nc\n"

"""What a step returns is believed only if its kind allows it."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest
from msgspec import ValidationError, convert
from numpy.typing import NDArray

from curatekit.errors import ContractError, CurateError, DataError, PluginError
from curatekit.formats import CHAT, TEXT
from curatekit.records import Batch
from curatekit.steps import (
    Author,
    Filter,
    Generator,
    Normalizer,
    Offspring,
    Options,
    Scorer,
    Scores,
    Selector,
    Verdicts,
    copies,
    offspring,
    rewrites,
    scores,
    verdicts,
)

AUTHOR = Author(step="demo.step", plugin="curatekit-demo 1.0")
TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
BATCH = Batch.of([{"messages": TURNS}] * 3, CHAT)
MASKED = np.ma.masked_array([0, 0, 0], mask=True, dtype=np.uint8)
WORDS: Any = b"no list of texts"
COLUMNS = {"row": np.arange(3, dtype=np.uint64)}


class _Rewrites(Normalizer):
    """Returns what it is given."""

    name = "rewrites"
    said: Any = ()

    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        assert len(batch) == len(BATCH)
        return self.said  # type: ignore[no-any-return]


class _Checks(Filter):
    """Returns what it is given."""

    name = "checks"
    reasons = ("too-short", "too-long")
    said: Any = ()

    def check(self, batch: Batch) -> NDArray[np.uint8] | Verdicts:
        assert len(batch) == len(BATCH)
        return self.said  # type: ignore[no-any-return]


class _Scored(Scorer):
    """Returns what it is given."""

    name = "scored"
    range = (0, 5)
    said: Any = ()

    def score(self, batch: Batch) -> NDArray[np.float32] | Scores:
        assert len(batch) == len(BATCH)
        return self.said  # type: ignore[no-any-return]


class _Generates(Generator):
    """Returns what it is given."""

    name = "generates"
    said: Any = ()

    def generate(self, batch: Batch) -> Sequence[Offspring]:
        assert len(batch) == len(BATCH)
        return self.said  # type: ignore[no-any-return]


class _Selects(Selector):
    """Returns what it is given."""

    name = "selects"
    reasons = ("over-budget",)
    said: Any = ()

    def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint16 | np.bool_]:
        assert set(columns) == {"row"}
        return self.said  # type: ignore[no-any-return]


def u8(*codes: int) -> NDArray[np.uint8]:
    return np.array(codes, np.uint8)


def f32(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


def ask(step: Any, said: object) -> Any:  # noqa: ANN401 (whatever it says)
    """Have a step say something, and take it as a run would."""
    step.said = said
    if isinstance(step, Normalizer):
        return rewrites(step, BATCH, AUTHOR)
    if isinstance(step, Filter):
        return verdicts(step, BATCH, AUTHOR)
    if isinstance(step, Scorer):
        return scores(step, BATCH, AUTHOR)
    if isinstance(step, Generator):
        return offspring(step, BATCH, AUTHOR)
    return copies(step, COLUMNS, AUTHOR)


def test_what_a_kind_allows_is_taken() -> None:
    assert ask(_Rewrites(), ("x", None, "y", None, None, "")) == ["x", None, "y", None, None, ""]
    assert ask(_Checks(), u8(0, 2, 1)).codes.tolist() == [0, 2, 1]
    told = Verdicts(codes=u8(0, 0, 1), evidence=[None, None, "3 words"])
    assert ask(_Checks(), told) is told
    assert ask(_Scored(), f32(0, 5, np.nan)).columns[""].tolist()[:2] == [0, 5]
    many = Scores(columns={"style": f32(1, 2, 3), "truth": f32(0, 0, 0)}, notes=["a", None, "b"])
    assert ask(_Scored(), many) is many
    assert ask(_Generates(), []) == []
    made = [Offspring(parent=2, object={"text": "x"})] * 2
    assert ask(_Generates(), made) == made
    assert ask(_Selects(), np.array([0, 1, 2], np.uint16)).tolist() == [0, 1, 2]
    assert ask(_Selects(), np.array([True, False, True])).tolist() == [1, 0, 1]


REFUSED: list[tuple[Callable[[], Any], object, str, str]] = [
    (_Rewrites, ["x"] * 5, "one text or None for each of 6 parts", "5 of them"),
    (_Rewrites, ["x"] * 7, "one text or None for each of 6 parts", "7 of them"),
    (_Rewrites, "abcdef", "one text or None for each of 6 parts", "abcdef"),
    (_Rewrites, None, "one text or None for each of 6 parts", "a NoneType"),
    (_Rewrites, [b"x"] * 6, "one text or None for each of 6 parts", "a bytes"),
    (_Rewrites, ["\ud800"] * 6, "each of 6 parts, all of them Unicode", r"'\ud800'"),
    (_Checks, u8(0, 0), "uint8 of shape (3,)", "uint8 of shape (2,)"),
    (_Checks, u8(0, 0, 0).astype(float), "uint8 of shape (3,)", "float64 of shape (3,)"),
    (_Checks, u8(0, 0, 0).reshape(3, 1), "uint8 of shape (3,)", "uint8 of shape (3, 1)"),
    (_Checks, [0, 0, 0], "uint8 of shape (3,)", "a list"),
    (_Checks, u8(0, 3, 0), "codes up to 2, one for each of its reasons", "3"),
    (_Checks, Verdicts(codes=u8(0, 1, 0), evidence=["a"]), "3 texts or None beside them", "a list"),
    (_Scored, f32(0, 6, 0), "scores from 0 to 5", "6.0"),
    (_Scored, f32(0, -np.inf, 0), "scores from 0 to 5", "-inf"),
    (_Scored, np.zeros(3), "float32 of shape (3,)", "float64 of shape (3,)"),
    (_Scored, Scores(columns={"a": f32(1)}), "float32 of shape (3,)", "float32 of shape (1,)"),
    (_Scored, Scores(columns={"a": f32(1, 2, 3)}, notes=WORDS), "3 texts or None", "a bytes"),
    (_Generates, [{"text": "x"}], "records with a parent from 0 to 2", "a dict"),
    (_Generates, [Offspring(parent=3, object={})], "a parent from 0 to 2", "parent 3"),
    (_Generates, [Offspring(parent=-1, object={})], "a parent from 0 to 2", "parent -1"),
    (_Generates, [Offspring(parent=True, object={})], "a parent from 0 to 2", "parent True"),
    (_Generates, [Offspring(parent=0, object={"x": {1}})], "that JSON can hold", "{'x': {1}}"),
    (_Generates, [Offspring(parent=0, object=WORDS)], "that JSON can hold", repr(WORDS)),
    (_Scored, Scores(columns={}), "a column of scores for each criterion", "a dict"),
    (_Scored, Scores(columns={"A b": f32(1, 2, 3)}), "names like `clarity`", "'A b'"),
    (_Checks, MASKED, "uint8 of shape (3,)", "a MaskedArray"),
    (_Selects, np.array([1, 1], np.uint16), "uint16 of shape (3,)", "uint16 of shape (2,)"),
    (_Selects, np.array([1, 1, 1]), "uint16 of shape (3,)", "int64 of shape (3,)"),
    (_Selects, np.array([True]), "bool of shape (3,)", "bool of shape (1,)"),
]


@pytest.mark.parametrize(("step", "said", "expected", "got"), REFUSED)
def test_what_a_kind_does_not_allow_names_the_plugin(
    step: Callable[[], Any], said: object, expected: str, got: str
) -> None:
    with pytest.raises(ContractError) as caught:
        ask(step(), said)
    assert caught.value.message.startswith("step `demo.step` must return ")
    assert expected in caught.value.message
    assert caught.value.message.endswith(f", but returned {got}")
    assert caught.value.hint == "this is a bug in curatekit-demo 1.0; please report it there"


class LengthOptions(Options):
    """One number."""

    min_chars: int = 1


class _Length(_Checks):
    Options = LengthOptions
    options: LengthOptions


def test_a_record_that_cannot_change_is_no_fault_of_a_normalizer() -> None:
    batch = Batch.of([{"text": "a "}, {"text": "\ud800 "}], TEXT)

    class Strip(_Rewrites):
        def rewrite(self, batch: Batch) -> Sequence[str | None]:
            return [text.strip() for text in batch.parts]

    said = rewrites(Strip(), batch, AUTHOR)
    assert said == ["a", None]
    assert batch.rewritten(said) == [b'{"text": "a"}', None]


def test_no_step_can_change_what_others_see() -> None:
    for column in (BATCH.column("chars"), BATCH.rows, BATCH.part_row):
        with pytest.raises(ValueError, match="read-only"):
            column[:] = 1

    class Shrinks(_Selects):
        def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
            cast("dict[str, Any]", columns)["row"] = np.arange(1)
            raise AssertionError

    with pytest.raises(TypeError, match="does not support item assignment"):
        copies(Shrinks(), COLUMNS, AUTHOR)


@pytest.mark.parametrize(
    "error",
    [
        CurateError("a", "b"),
        DataError("a.jsonl", 3, "b", "c"),
        PluginError("a 1", "b", "c"),
        ContractError("a.b", "a 1", "x", "y"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_back_from_another_process(error: CurateError) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    assert type(back) is type(error)
    assert (str(back), vars(back)) == (str(error), vars(error))


def test_options_have_defaults_and_refuse_what_they_do_not_know() -> None:
    assert _Length().options == LengthOptions(min_chars=1)
    assert _Length(LengthOptions(min_chars=3)).options.min_chars == 3
    assert _Length({"min_chars": 3}).options.min_chars == 3
    assert _Checks().options == Options()
    with pytest.raises(ValidationError, match=r"Expected `int`.*min_chars"):
        _Length({"min_chars": "3"})
    with pytest.raises(ValidationError, match="min_char"):
        convert({"min_char": 1}, LengthOptions)

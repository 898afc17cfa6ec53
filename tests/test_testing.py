"""The kit for authors of plugins finds what is wrong with a step, and nothing where nothing is."""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy
from msgspec import Meta
from numpy.typing import NDArray

from curatekit import hookspecs
from curatekit.errors import ContractError
from curatekit.formats import ALPACA, CHAT, FORMATS, PREFERENCE, RECORD, TEXT, Format
from curatekit.records import Batch
from curatekit.steps import (
    Filter,
    Generator,
    Normalizer,
    Offspring,
    Options,
    Scorer,
    Selector,
    Step,
)
from curatekit.testing import batches, conformance, isolated, objects


class _LengthOptions(Options):
    min_chars: Annotated[int, Meta(ge=0)] = 3


class _Length(Filter):
    name = "length"
    reasons = ("too-short",)
    Options = _LengthOptions
    options: _LengthOptions

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        return (batch.column("chars") < self.options.min_chars).astype(np.uint8)


class _Upper(Normalizer):
    name = "upper"

    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        return [text.upper() for text in batch.parts]


class _Chars(Scorer):
    name = "chars"

    def score(self, batch: Batch) -> NDArray[np.float32]:
        chars = batch.column("chars").astype(np.float32)
        chars[chars == 0] = np.nan
        return chars


class _Copy(Generator):
    name = "copy"

    def generate(self, batch: Batch) -> Sequence[Offspring]:
        return [Offspring(parent=at, object=record.object) for at, record in enumerate(batch)]


class _Half(Selector):
    name = "half"
    reasons = ("odd-row",)

    def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        return np.asarray(columns["row"] % 2 == 0)


GOOD: list[Step] = [_Length(), _Length(_LengthOptions(min_chars=9)), _Upper(), _Chars(), _Copy()]


@pytest.mark.parametrize(
    "step", [*GOOD, _Half()], ids=lambda step: type(step).__name__ + str(step.options)
)
def test_a_good_step_conforms(step: Step) -> None:
    conformance(step)


class _Ranked(_Length):
    """Says of a record what depends on the others."""

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        chars = batch.column("chars")
        return (chars > chars.mean()).astype(np.uint8) if len(chars) else chars.astype(np.uint8)


class _Moody(_Length):
    """Says something else each time."""

    times = 0

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        self.times += 1
        return np.full(len(batch), self.times % 2, np.uint8)


class _Lazy(_Length):
    """Says too little of some."""

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        return super().check(batch)[: 2 * len(batch) // 2 - (len(batch) > 2)]


class _Brittle(_Length):
    """Cannot take a batch of no records."""

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        return np.full(len(batch), min(batch.column("chars")) > 5, np.uint8)


class _Broken(_Upper):
    """Makes half a surrogate pair of what is none."""

    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        return [text.replace("no", "\ud800") for text in batch.parts]


class _Outside(_Length):
    """Has a default that its own options would not take."""

    class Options(Options):
        """With a default out of range."""

        min_chars: Annotated[int, Meta(ge=5)] = 1


BAD: list[tuple[type[Step], type[BaseException], str]] = [
    (_Ranked, AssertionError, "something else of each record alone"),
    (_Moody, AssertionError, "something else a second time"),
    (_Lazy, ContractError, "must return uint8 of shape"),
    (_Brittle, ValueError, "empty"),
    (_Broken, ContractError, "must return one text or None for each of"),
    (_Outside, ValueError, "Expected `int` >= 5"),
]


@pytest.mark.parametrize(("step", "error", "message"), BAD, ids=str)
def test_what_is_wrong_with_a_step_is_found(
    step: type[Step], error: type[BaseException], message: str
) -> None:
    with pytest.raises(error, match=message):
        conformance(step())


def test_a_step_that_is_one_may_look_at_all() -> None:
    class Ranked(_Ranked):
        placement = "one"

    conformance(Ranked())


@given(batches(), batches(ALPACA, max_size=2))
def test_batches_hold_records_of_their_layout(batch: Batch, two: Batch) -> None:
    assert batch.problems == two.problems == []
    assert len(batch) <= 6
    assert len(two) <= 2
    assert set(two.part_role) <= {"user", "assistant"}


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_there_are_strategies_for_the_common_layouts(format: Format) -> None:
    if format in (CHAT, ALPACA, PREFERENCE, TEXT, RECORD):
        assert isinstance(objects(format), SearchStrategy)
    else:
        with pytest.raises(ValueError, match=f"no strategy for the layout `{format.name}`"):
            objects(format)


def test_isolated_plugins_are_alone() -> None:
    module = types.ModuleType("demo")
    module.CURATEKIT_API = 1  # type: ignore[attr-defined]
    module.register_steps = _register  # type: ignore[attr-defined]
    plugins = isolated(demo=module)
    assert list(plugins.found) == ["demo"]
    assert plugins.step("demo.length")[0] is _Length
    assert isolated().found == {}
    module.register_step = _register  # type: ignore[attr-defined]
    assert (
        isolated(demo=module).found["demo"].problem
        == "implements `register_step`, which is no hook"
    )


@hookspecs.hookimpl(specname="register_steps")
def _register() -> list[type[Step]]:
    return [_Length]

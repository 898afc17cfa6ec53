"""For authors of plugins: strategies for hypothesis, and what must hold of every step.

Needs hypothesis: `pip install curatekit[testing]`.
"""

import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import NODEFAULT, convert, structs, to_builtins
from numpy.typing import NDArray

from curatekit.formats import ALPACA, CHAT, PREFERENCE, RECORD, TEXT, Format
from curatekit.plugins import Plugins, of_modules
from curatekit.records import Batch
from curatekit.steps import (
    Author,
    Filter,
    Generator,
    Normalizer,
    Scorer,
    Selector,
    Step,
    copies,
    offspring,
    rewrites,
    scores,
    verdicts,
)

EXAMPLES = 60
"""Batches that `conformance` tries."""

_ODD = (
    "",
    " \t\n",
    "no no no no no no no no",
    "a\nb\r\na\n\na",
    "Été, été!",
    "去年今日此门中",
    "\u200bzero\u00a0width\u202e",
    "\N{SMILING FACE WITH SUNGLASSES}",
    '{"json": [1, 2]}',
    "```python\nprint('x')\n```",
    "SELECT * FROM t WHERE a = 'b';",
    "\x00\x1b[31m",
    "\ud800 half of a pair",
)


def texts() -> st.SearchStrategy[str]:
    """Give texts, odd ones among them: empty, long, foreign, with half a surrogate pair."""
    long = st.integers(1000, 5000).map("x".__mul__)
    return st.sampled_from(_ODD) | st.text(max_size=40) | long


def objects(format: Format) -> st.SearchStrategy[dict[str, Any]]:
    """Give records of one of the layouts that curatekit knows.

    Raises:
        ValueError: It is none of those.
    """
    words = texts()
    role = st.sampled_from(["system", "user", "assistant", "tool"])
    turn = st.fixed_dictionaries({"role": role, "content": words | st.none()})
    shapes: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        CHAT.name: {"messages": st.lists(turn, max_size=4)},
        ALPACA.name: {"instruction": words, "input": words, "output": words},
        PREFERENCE.name: {"prompt": words, "chosen": words, "rejected": words},
        TEXT.name: {"text": words},
        RECORD.name: {"a": words, "b": st.lists(words, max_size=2), "c": st.integers()},
    }
    if format.name not in shapes:
        raise ValueError(f"no strategy for the layout `{format.name}`")
    return st.fixed_dictionaries(shapes[format.name], optional={"id": st.integers()})


def batches(format: Format | None = None, *, max_size: int = 6) -> st.SearchStrategy[Batch]:
    """Give batches of records of one layout; None is any of them. A batch may be empty."""

    def of(format: Format) -> st.SearchStrategy[Batch]:
        records = st.lists(objects(format), max_size=max_size)
        return records.map(lambda records: Batch.of(records, format))

    if format is not None:
        return of(format)
    return st.sampled_from([CHAT, ALPACA, PREFERENCE, TEXT, RECORD]).flatmap(of)


def isolated(**modules: ModuleType) -> Plugins:
    """Give plugins as if nothing were installed but these modules, each by the name given."""
    return of_modules(modules)


def conformance(
    step: Step,
    batch: st.SearchStrategy[Batch] | None = None,
    *,
    columns: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Check what must hold of every step, over many batches.

    It returns what its kind allows, also for a batch of no records; the same batch gives the same
    answer twice; one that is placed in `workers` says of a record what it says of it alone; and its
    options survive a recipe.

    Args:
        step: The step, with the options to be tried.
        batch: Where batches come from. None: records of many layouts, with odd texts.
        columns: Of a selector, the columns that it chooses by; `row` is one of them.

    Raises:
        ContractError: It returns something else than its kind allows.
        AssertionError: Something else of this does not hold.
    """
    author = Author(step=step.name, plugin=type(step).__module__)
    _check_options(step)
    if isinstance(step, Selector):
        known = columns or {"row": np.arange(7, dtype=np.uint64)}
        _check_selector(step, known, author)
        return

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)
    @given(batches() if batch is None else batch)
    def check(batch: Batch) -> None:
        answer = _answers(step, batch, author)
        _check_same(answer, _answers(step, batch, author), "a second time")
        empty = _answers(step, batch[:0], author)
        _claim("it says something of no records", holds=empty == [])
        if step.placement == "workers" and not isinstance(step, Generator):
            parts = [batch[at : at + 1] for at in range(len(batch))]
            alone = [one for part in parts for one in _answers(step, part, author)]
            _check_same(answer, alone, "of each record alone")

    check()


def _check_same(answer: Sequence[object], other: Sequence[object], when: str) -> None:
    message = f"it says something else {when}: {other!r}, and before {answer!r}"
    _claim(message, holds=answer == other)


def _claim(message: str, *, holds: bool) -> None:
    if not holds:
        raise AssertionError(message)


def _check_selector(step: Selector, columns: Mapping[str, NDArray[Any]], author: Author) -> None:
    answer = copies(step, columns, author).tolist()
    _check_same(answer, copies(step, columns, author).tolist(), "a second time")
    none = {name: column[:0] for name, column in columns.items()}
    nothing = copies(step, none, author).tolist()
    _claim("it chooses where there is nothing to choose", holds=nothing == [])


def _check_options(step: Step) -> None:
    """A recipe is text, and its options must come back from it."""
    plain = to_builtins(step.options)
    back = convert(json.loads(json.dumps(plain)), step.Options)
    _claim(f"its options come back as {back}", holds=back == step.options)
    for field in structs.fields(step.Options):
        if field.default is not NODEFAULT:
            convert(to_builtins(field.default), field.type)  # a default is within its range


def _answers(step: Step, batch: Batch, author: Author) -> list[object]:
    """What a step says of each record; of a generator, what it makes."""
    match step:
        case Normalizer():
            said = rewrites(step, batch, author)
            rows = batch.part_row.tolist()
            return [
                [text for row, text in zip(rows, said, strict=True) if row == at]
                for at in range(len(batch))
            ]
        case Filter():
            judged = verdicts(step, batch, author)
            evidence = judged.evidence or [None] * len(batch)
            return list(zip(judged.codes.tolist(), evidence, strict=True))
        case Scorer():
            scored = scores(step, batch, author)
            notes = scored.notes or [None] * len(batch)
            # As bits, since NaN is not equal to itself.
            bits = [column.view(np.uint32).tolist() for column in scored.columns.values()]
            return list(zip(*bits, notes, strict=True))
        case Generator():
            return list(offspring(step, batch, author))
    raise TypeError(f"{type(step).__name__} is of no kind")

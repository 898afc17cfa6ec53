"""Steps: what plugins add to a recipe, in five kinds.

A step gets a batch of records and returns one thing for each of them. What it returns is checked
before it is believed (`verdicts`, `rewrites`, `scores`, `offspring`, `copies`): a step that returns
too little, or the wrong thing, is stopped, and no row is lost by it.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from msgspec import Struct, convert, to_builtins

from curatekit.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curatekit.backends import Backend
    from curatekit.records import Batch, Rows


class Options(Struct, forbid_unknown_fields=True):
    """What can be set of a step; a class of options adds annotated fields.

    `Annotated[int, Meta(ge=0, description="…")]` of msgspec gives a field a range and words for
    `curatekit plugins show`.
    """


NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""What plugins, steps, reasons and criteria are called."""
UNDECIDED = "undecided"
"""The outcome of a score that a dry run may not ask for."""
READ = "read"
"""What reads the rows stands among the steps of a run, before the first."""
FAILED = "failed"
"""The outcome of a score that nobody could be asked for."""
_Options = Options  # classes of steps have an attribute of the same name


class Verdicts(Struct, frozen=True, kw_only=True):
    """What a filter says, with evidence."""

    codes: NDArray[np.uint8]
    """0 keeps, k drops for `reasons[k - 1]`; `(n,)`."""
    evidence: Sequence[str | None] | None = None
    """For each record in a few words what led to its verdict."""


class Scores(Struct, frozen=True, kw_only=True):
    """What a scorer says by several criteria, or with notes."""

    columns: Mapping[str, NDArray[np.float32]]
    """For each criterion `(n,)` scores; NaN is no opinion."""
    notes: Sequence[str | None] | None = None
    """For each record in a few words what led to its scores."""
    outcome: Sequence[str] | None = None
    """For each record how its score came about, in a word like `scored` or `refused`; a report
    counts them. `undecided` means that a run, which this one predicts, would have to ask; and too
    many that `failed` end a run."""


class Context(Struct, frozen=True, kw_only=True):
    """Where a step runs."""

    is_dry: bool = False
    """The run only predicts another: nothing that costs money may be asked."""
    backends: Mapping[str, type[Backend]] = {}
    """Ways to ask a model, by name."""


class Offspring(Struct, frozen=True, kw_only=True):
    """A record that a generator made."""

    parent: int
    """Place of the seed record in the batch."""
    object: Mapping[str, Any]
    """The new record, in the layout of its parent."""


class Step(ABC):
    """The base of the five kinds; a plugin's class derives from one of them.

    Attributes:
        name: What follows the plugin's name and a dot in a recipe: lower case, with hyphens.
        Options: The class of its options.
        needs: Columns that it asks of `Batch.column`, or wants to find among those of `select`.
        placement: `workers` promises that what a step says of a record depends on nothing but that
            record; it then runs in several processes. `one` is for what has to be one: a budget, a
            GPU, a server that must not be asked too often.
    """

    name: ClassVar[str]
    Options: ClassVar[type[Any]] = Options  # a subclass has a class of its own
    needs: ClassVar[tuple[str, ...]] = ()
    placement: ClassVar[Literal["workers", "one"]] = "workers"

    def __init__(self, options: _Options | Mapping[str, Any] | None = None) -> None:
        """Take options, as their class or by name.

        Raises:
            msgspec.ValidationError: One is not known, of another type, or out of its range.
        """
        given = {} if options is None else to_builtins(options)
        self.options: Any = convert(given, self.Options)  # a subclass narrows it

    def open(self, context: Context) -> None:  # noqa: B027 (most steps need nothing)
        """Get ready, in the process that the step runs in: connect, or load a model."""

    def close(self) -> None:  # noqa: B027
        """Let go of what `open` took."""

    def fit(self, dataset: Rows) -> None:  # noqa: B027
        """Look at all records that the step will get, before it gets the first.

        Called once, in one process; the others get a copy of the step as it is then, by pickle.
        """


class Normalizer(Step):
    """Says texts in another form, and means the same."""

    @abstractmethod
    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        """Give each of `batch.parts` its new text, or None for no change."""


class Filter(Step):
    """Keeps records or drops them, for a reason.

    Attributes:
        reasons: Why records are dropped: lower case, with hyphens.
    """

    reasons: ClassVar[tuple[str, ...]]

    @abstractmethod
    def check(self, batch: Batch) -> NDArray[np.uint8] | Verdicts:
        """Give each record 0 to keep it, or k to drop it for `reasons[k - 1]`; uint8 `(n,)`."""


class Scorer(Step):
    """Gives records numbers, and leaves it to others what to make of them.

    Attributes:
        range: Least and greatest score.
    """

    range: ClassVar[tuple[float, float]] = (-inf, inf)

    @abstractmethod
    def score(self, batch: Batch) -> NDArray[np.float32] | Scores:
        """Give each record a score, NaN for no opinion; float32 `(n,)`."""


class Generator(Step):
    """Makes new records from others; those that come after it in a recipe see them."""

    @abstractmethod
    def generate(self, batch: Batch) -> Sequence[Offspring]:
        """Make records, each with its parent in the batch; none, one or several from a parent."""


class Selector(Step):
    """Chooses among all records that are left, by what is known of them.

    Attributes:
        reasons: Why records are dropped; the first is given for all.
    """

    reasons: ClassVar[tuple[str, ...]]

    @abstractmethod
    def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint16 | np.bool_]:
        """Say of each record how often it shall stand in the result; uint16 or bool `(n,)`.

        `columns` holds columns over the records that are left, `row` among them.
        """


KINDS: tuple[type[Step], ...] = (Normalizer, Filter, Scorer, Generator, Selector)


class Author(Struct, frozen=True):
    """Whose step it is, for messages: the name in the recipe, and the plugin with its version."""

    step: str
    plugin: str

    def expected(self, expected: str, got: object) -> ContractError:
        """Make the error that says what the step should have returned."""
        return ContractError(self.step, plugin=self.plugin, expected=expected, got=_told(got))


def rewrites(step: Normalizer, batch: Batch, author: Author) -> list[str | None]:
    """Ask a normalizer.

    Raises:
        ContractError: It did not return one text or None for each part.
    """
    expected = f"one text or None for each of {len(batch.parts)} parts"
    found = _listed(step.rewrite(batch), author, expected)
    if len(found) != len(batch.parts):
        raise author.expected(expected, f"{len(found)} of them")
    rows = batch.part_row.tolist()
    # A record with half of a surrogate pair never changes, so what is said of it does not matter.
    fixed = {row for row, text in zip(rows, batch.parts, strict=True) if not _is_encodable(text)}
    texts: list[str | None] = []
    for row, text in zip(rows, found, strict=True):
        if text is not None and not isinstance(text, str):
            raise author.expected(expected, text)
        if text is not None and row not in fixed and not _is_encodable(text):
            raise author.expected(f"{expected}, all of them Unicode", text)
        texts.append(None if row in fixed else text)
    return texts


def verdicts(step: Filter, batch: Batch, author: Author) -> Verdicts:
    """Ask a filter.

    Raises:
        ContractError: It did not return a code of its range for each record.
    """
    said = step.check(batch)
    said = said if isinstance(said, Verdicts) else Verdicts(codes=said)
    _check_column(said.codes, "uint8", len(batch), author)
    if len(batch) and int(said.codes.max()) > len(step.reasons):
        reasons = f"codes up to {len(step.reasons)}, one for each of its reasons"
        raise author.expected(reasons, f"{int(said.codes.max())}")
    _check_words(said.evidence, len(batch), author)
    return said


def scores(step: Scorer, batch: Batch, author: Author) -> Scores:
    """Ask a scorer. A single column has the name "".

    Raises:
        ContractError: It did not return a score within its range, or NaN, for each record.
    """
    said = step.score(batch)
    said = said if isinstance(said, Scores) else Scores(columns={"": said})
    columns: object = said.columns
    if not isinstance(columns, Mapping) or not columns:
        raise author.expected("a column of scores for each criterion", columns)
    for name in columns:
        if not isinstance(name, str) or not (name == "" or NAME.fullmatch(name)):
            raise author.expected("criteria with names like `clarity`", f"{name!r}")
    least, most = step.range
    for column in said.columns.values():
        _check_column(column, "float32", len(batch), author)
        outside = column[(column < least) | (column > most)]  # NaN is neither
        if len(outside):
            raise author.expected(f"scores from {least} to {most}", f"{outside[0]}")
    _check_words(said.notes, len(batch), author)
    if said.outcome is not None:
        expected = f"{len(batch)} outcomes like `scored`"
        outcome = _listed(said.outcome, author, expected)
        is_word = [isinstance(one, str) and NAME.fullmatch(one) for one in outcome]
        if len(outcome) != len(batch) or not all(is_word):
            raise author.expected(expected, said.outcome)
    return said


def offspring(step: Generator, batch: Batch, author: Author) -> list[Offspring]:
    """Ask a generator.

    Raises:
        ContractError: It did not return records with a parent in the batch.
    """
    expected = f"records with a parent from 0 to {len(batch) - 1}"
    records: list[Offspring] = []
    for one in _listed(step.generate(batch), author, expected):
        if not isinstance(one, Offspring):
            raise author.expected(expected, one)
        if type(one.parent) is not int or one.parent not in range(len(batch)):
            raise author.expected(expected, f"parent {one.parent!r}")
        if not _is_json(one.object):
            raise author.expected("records that JSON can hold", f"{one.object!r:.80}")
        records.append(one)
    return records


def copies(step: Selector, columns: Mapping[str, NDArray[Any]], author: Author) -> NDArray[Any]:
    """Ask a selector: how often each record shall stand in the result; uint16 `(n,)`.

    Raises:
        ContractError: It did not return a number or a bool for each record.
    """
    rows = len(columns["row"])
    said: NDArray[Any] = step.select(MappingProxyType(dict(columns)))
    kind = "bool" if getattr(said, "dtype", None) == "bool" else "uint16"
    _check_column(said, kind, rows, author)
    return said.astype("uint16")


def _check_column(column: object, dtype: str, rows: int, author: Author) -> None:
    import numpy as np  # noqa: PLC0415 (slow, and whoever returns an array has it)

    is_plain = isinstance(column, np.ndarray) and not isinstance(column, np.ma.MaskedArray)
    if not is_plain or column.dtype != dtype or column.shape != (rows,):  # type: ignore[attr-defined]
        raise author.expected(f"{dtype} of shape ({rows},)", column)


def _check_words(words: object, rows: int, author: Author) -> None:
    expected = f"{rows} texts or None beside them"
    if words is not None:
        found = _listed(words, author, expected)
        is_said = [one is None or (isinstance(one, str) and _is_encodable(one)) for one in found]
        if len(found) != rows or not all(is_said):
            raise author.expected(expected, words)


def _listed(found: object, author: Author, expected: str) -> list[object]:
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise author.expected(expected, found)
    return list(found)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_json(found: object) -> bool:
    if not isinstance(found, Mapping):
        return False
    try:
        json.dumps(dict(found), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _told(got: object) -> str:
    """Say what something is, in a few words."""
    if isinstance(got, str):
        return ascii(got) if not _is_encodable(got) else got
    if getattr(got, "mask", None) is not None:
        return f"a {type(got).__name__}"
    shape, dtype = getattr(got, "shape", None), getattr(got, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{dtype} of shape {shape}"
    return f"a {type(got).__name__}"

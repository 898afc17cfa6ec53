"""The steps that need no plugin: they hold no opinion on what is good, but those of the recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from curatekit.settings import KEEP, LIMITS, Alike, Numbers, Recall, Settings, parse_threshold
from curatekit.steps import Filter, Options, Selector, Step, Verdicts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curatekit.records import Batch

_DIGITS = 4000
"""Python reads no integer that is longer than some more."""
_GOLDEN = 0x9E3779B97F4A7C15
"""2⁶⁴ divided by the golden ratio: what splitmix64 counts by."""
_PIECE = 1 << 18
"""Hashes that are held at a time."""
_BITS = 16
"""How hashes are told apart at first."""


class ExactDedup(Options):
    """Remove the rows that say what an earlier one says."""

    on: Annotated[tuple[str, ...], Meta(description="Roles compared; none is all.")] = ()
    also: Annotated[tuple[str, ...], Meta(description="Further fields compared.")] = ()
    keep: Annotated[str, Meta(pattern=KEEP, description="Which of two stays.")] = "first"


class NearDedup(ExactDedup):
    """Remove the rows that say nearly what a kept one says."""

    threshold: Annotated[float, Meta(gt=0, le=1, description="Least similarity.")] = 0.8
    ngram: Annotated[
        Annotated[int, Meta(ge=LIMITS["ngram"][0], le=LIMITS["ngram"][1])] | None,
        Meta(description="Words of a shingle."),
    ] = None
    alike: Annotated[Alike | None, Meta(description="Where the threshold must be reached.")] = None
    numbers: Annotated[Numbers | None, Meta(description="What different numbers do.")] = None
    recall: Annotated[Recall | None, Meta(description="How pairs are looked for.")] = None
    seed: Annotated[int, Meta(ge=0, description="Of the signatures.")] = 0

    def __post_init__(self) -> None:
        """Check what a range cannot say.

        Raises:
            ValueError: The threshold has more than three decimals, or the seed more than 64 bits.
        """
        Settings(threshold_millis=parse_threshold(self.threshold), seed=self.seed)


class SampleOptions(Options):
    """How many rows are drawn."""

    count: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="So many rows stay, or all there are.")
    ] = None
    share: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="So many of the rows stay, rounded down."),
    ] = None
    seed: Annotated[int, Meta(ge=0, description="Another seed draws other rows.")] = 0

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            raise ValueError("one of `count` and `share` says how many rows stay")


class Sample(Selector):
    """Keep rows drawn by chance, the same ones each time.

    A smaller sample with the same seed is part of a larger one.
    """

    name = "sample"
    reasons = ("not-sampled",)
    Options = SampleOptions
    options: SampleOptions

    def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Keep those whose numbers have the least hashes (splitmix64; Steele et al. 2014)."""
        import numpy as np  # noqa: PLC0415 (slow, and only arrays need it)

        rows = columns["row"]
        count, share = self.options.count, self.options.share
        exact = Decimal(str(share or 0)) * len(rows)  # 0.29 of 100 is 29
        size = int(exact) if share is not None else min(count or 0, len(rows))
        chosen = np.zeros(len(rows), np.bool_)
        if size == len(rows):
            return ~chosen
        # There may be a billion: no more than a few hashes are held at a time. First how many begin
        # with which bits, then those that begin like the least that is left out.
        counts = np.zeros(1 << _BITS, np.intp)
        for _, hashes in self._hashed(rows):
            counts += np.bincount(hashes >> np.uint64(64 - _BITS), minlength=len(counts))
        ends = counts.cumsum()
        begin = int(np.searchsorted(ends, size, side="right"))
        like = [
            hashes[hashes >> np.uint64(64 - _BITS) == begin] for _, hashes in self._hashed(rows)
        ]
        at = size - int(ends[begin] - counts[begin])
        least_left_out = np.partition(np.concatenate(like), at)[at]
        for start, hashes in self._hashed(rows):
            chosen[start : start + len(hashes)] = hashes < least_left_out
        return chosen

    def _hashed(self, rows: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.uint64]]]:
        """Hash row numbers, some at a time, each to another number."""
        import numpy as np  # noqa: PLC0415

        seed = np.uint64(self.options.seed * _GOLDEN % 2**64)
        for start in range(0, len(rows), _PIECE):
            mixed = rows[start : start + _PIECE].astype(np.uint64)
            mixed += np.uint64(1)
            mixed *= np.uint64(_GOLDEN)
            mixed ^= seed
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
                mixed ^= mixed >> np.uint64(shift)
                mixed *= np.uint64(factor)
            mixed ^= mixed >> np.uint64(31)
            yield start, mixed


class LimitOptions(Options):
    """How many rows stay."""

    rows: Annotated[int, Meta(ge=0, description="So many rows stay: the first.")]


class Limit(Selector):
    """Keep the first rows, in the order of the data, or of a `sort-by` before."""

    name = "limit"
    reasons = ("over-limit",)
    Options = LimitOptions
    options: LimitOptions

    def select(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Keep the first."""
        import numpy as np  # noqa: PLC0415

        chosen: NDArray[np.bool_] = np.arange(len(columns["row"])) < self.options.rows
        return chosen


class SortByOptions(Options):
    """What rows are sorted by."""

    column: Annotated[str, Meta(description="What is counted in texts, or a scorer's id.")]
    descending: Annotated[bool, Meta(description="Greatest first.")] = False


class SortBy(Step):
    """Write rows in the order of a column; those with no value come last, equal ones stay in order.

    Row numbers stay what they were.
    """

    name = "sort-by"
    Options = SortByOptions
    options: SortByOptions

    def order(self, column: NDArray[Any]) -> NDArray[np.intp]:
        """Tell for each place in the new order which row stands there."""
        import numpy as np  # noqa: PLC0415

        values = column.astype(np.float64)
        return np.argsort(-values if self.options.descending else values, kind="stable")


class KeepIfOptions(Options):
    """What must hold of a row."""

    column: Annotated[
        str | None, Meta(description="What is counted in texts, or the id of a step before.")
    ] = None
    field: Annotated[str | None, Meta(description="A top-level field of the row.")] = None
    at_least: Annotated[float | None, Meta(description="Its least value, a number.")] = None
    at_most: Annotated[float | None, Meta(description="Its greatest value, a number.")] = None
    one_of: Annotated[
        tuple[str | int | float | bool, ...] | None, Meta(description="The values it may have.")
    ] = None
    missing: Annotated[
        bool, Meta(description="Keep rows without the field, or without a score.")
    ] = False

    def __post_init__(self) -> None:
        if (self.column is None) == (self.field is None):
            raise ValueError("one of `column` and `field` says what is looked at")
        if self.at_least is None and self.at_most is None and self.one_of is None:
            raise ValueError("nothing is asked: there is no `at_least`, `at_most` or `one_of`")
        if any(limit is not None and isnan(limit) for limit in (self.at_least, self.at_most)):
            raise ValueError("a limit is a number, not `nan`")


class KeepIf(Filter):
    """Keep the rows of which a column, or a field of their own, has certain values."""

    name = "keep-if"
    reasons = ("missing", "too-low", "too-high", "other-value")
    Options = KeepIfOptions
    options: KeepIfOptions

    def check(self, batch: Batch) -> Verdicts:
        """Look at one value of each row."""
        import numpy as np  # noqa: PLC0415

        values = self._values(batch)
        codes = [self._code(value) for value in values]
        evidence = [
            ascii(value)[:80] if code > 1 else None
            for value, code in zip(values, codes, strict=True)
        ]
        return Verdicts(codes=np.array(codes, np.uint8), evidence=evidence)

    def _values(self, batch: Batch) -> list[object]:
        if self.options.column is not None:
            values: list[object] = batch.column(self.options.column).tolist()
            return [None if value != value else _meant(value) for value in values]  # noqa: PLR0124 (NaN)
        name = self.options.field
        return [json.loads(record.line, parse_int=_integer).get(name) for record in batch]

    def _code(self, value: object) -> int:
        if value is None:
            return 0 if self.options.missing else 1
        least, most, one_of = self.options.at_least, self.options.at_most, self.options.one_of
        if least is not None or most is not None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return 4
            if least is not None and value < least:
                return 2
            if most is not None and value > most:
                return 3
        if one_of is None or any(_is_same(value, one) for one in one_of):
            return 0
        return 4


def _meant(value: object) -> object:
    """Take a score, a float32, for the number that was meant: 0.1, and not 0.10000000149."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _integer(digits: str) -> int | float:
    """Read an integer, however long."""
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _is_same(value: object, other: object) -> bool:
    """Compare two values as JSON does: true is not 1, and 1 is 1.0."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other


DEDUP: Mapping[str, type[Options]] = {"exact-dedup": ExactDedup, "near-dedup": NearDedup}
"""Deduplications, which are the core's, and their options."""

STEPS: Mapping[str, type[Step]] = {step.name: step for step in (KeepIf, Limit, Sample, SortBy)}
"""Other steps that need no plugin."""

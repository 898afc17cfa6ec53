"""A plugin of the benches: five filters over columns that the core computes."""

import numpy as np
from numpy.typing import NDArray

from curatekit.hookspecs import hookimpl
from curatekit.records import Batch
from curatekit.steps import Filter, Options, Step

CURATEKIT_API = 1


class MostOptions(Options):
    """How much there may be of a thing."""

    most: int = 10_000_000


class _Most(Filter):
    """Drop records in which there is too much of a thing."""

    reasons = ("too-much",)
    Options = MostOptions
    options: MostOptions

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        """Compare a column with a number."""
        return (batch.column(self.name) > self.options.most).astype(np.uint8)


def _of(column: str) -> type[_Most]:
    return type(column.title(), (_Most,), {"name": column, "__doc__": f"Count {column}."})


STEPS = [_of(column) for column in ("chars", "words", "lines", "symbols", "digits")]


@hookimpl
def register_steps() -> list[type[Step]]:
    """Name the filters."""
    return list(STEPS)

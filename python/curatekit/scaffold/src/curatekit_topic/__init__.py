"""A plugin for curatekit: one filter, to begin with."""

from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from curatekit.hookspecs import hookimpl
from curatekit.records import Batch
from curatekit.steps import Filter, Options, Step

CURATEKIT_API = 1


class LoudOptions(Options):
    """What can be set of `Loud`."""

    max_capital_share: Annotated[
        float, Meta(ge=0, le=1, description="Most of the letters that may be capitals.")
    ] = 0.5


class Loud(Filter):
    """Drop records that are written in capitals."""

    name = "loud"
    reasons = ("too-loud",)
    Options = LoudOptions
    options: LoudOptions

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        """Give 1 for a record to drop, 0 for one to keep."""
        shares = [_capital_share(text) for text in batch.texts()]
        return np.array([share > self.options.max_capital_share for share in shares], np.uint8)


def _capital_share(text: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    return sum(map(str.isupper, letters)) / len(letters) if letters else 0.0


@hookimpl
def register_steps() -> list[type[Step]]:
    """Name the steps of this plugin."""
    return [Loud]

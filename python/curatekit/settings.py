"""What to compare, and how: the options of a deduplication, checked in one place."""

import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

from msgspec import Struct

from curatekit.formats import FORMATS

Method = Literal["exact", "near"]
Alike = Literal["consensus", "each-role", "whole"]
Numbers = Literal["distinct", "alike"]
Recall = Literal["bands", "exact"]
OnError = Literal["quarantine", "stop"]
Io = Literal["map", "read"]

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
KEEP = r"^(first|longest|best:[\s\S]+)$"
"""What `keep` may be."""
LIMITS = {
    "threshold_millis": (1, 1000),
    "max_drop_millis": (0, 1000),
    "ngram": (1, 1000),
    "seed": (0, 2**64 - 1),
    "max_line": (1, 2**63 - 1),
    "threads": (0, 1024),
    "memory": (1, 2**63 - 1),
}
WORDS = {
    "method": get_args(Method),
    "format": ("auto", *(known.name for known in FORMATS)),
    "alike": get_args(Alike),
    "numbers": get_args(Numbers),
    "recall": get_args(Recall),
    "on_error": get_args(OnError),
    "io": get_args(Io),
}


class Settings(Struct, frozen=True, kw_only=True):
    """What to compare, and how; the arguments of `exact` and `near`, checked, and two of runs.

    A run counts rows by the values of the field `label`, and ends with `brakes.BrakeError` if too
    many are near-duplicates: more than `max_drop_millis` thousandths of those that are no exact
    copies, or every row of a file or label. 1000 allows all of that.

    Raises:
        ValueError: An option is out of its range.
    """

    method: Method = "near"
    on: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    field: str | None = None
    format: str = "auto"
    threshold_millis: int = 800
    ngram: int | None = None
    alike: Alike | None = None
    numbers: Numbers | None = None
    recall: Recall | None = None
    keep: str = "first"
    label: str | None = None
    max_drop_millis: int = 500
    seed: int = 0
    max_line: int = 64 * 2**20
    on_error: OnError = "quarantine"
    threads: int = 0
    memory: int = 4 * 2**30
    io: Io = "map"

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            number = getattr(self, name)
            if number is not None and not least <= number <= most:
                raise ValueError(f"`{name}` must be between {least} and {most}, not {number}")
        for name, words in WORDS.items():
            word = getattr(self, name)
            if word is not None and word not in words:
                raise ValueError(f"`{name}` must be one of {', '.join(words)}, not `{word}`")
        if not re.match(KEEP, self.keep):
            raise ValueError(f"`keep` must be first, longest or best:FIELD, not `{self.keep}`")
        for name in (*self.on, *self.also, self.field or "", self.label or "", self.keep):
            try:
                name.encode()
            except UnicodeEncodeError:
                raise ValueError(f"the name {name!r} is not valid UTF-8") from None
        if self.field is not None and self.format not in ("auto", "text"):
            raise ValueError(
                f"`field` reads every row as text, so `format` cannot be `{self.format}`"
            )


def parse_names(given: Collection[str]) -> tuple[str, ...]:
    """Sort names, each once: their order means nothing. A lone string is one name."""
    return (given,) if isinstance(given, str) else tuple(sorted(set(given)))


def parse_threshold(value: float | str) -> int:
    """Read a similarity above 0 and at most 1, to three decimals, as thousandths.

    Raises:
        ValueError: It is not such a number.
    """
    if millis := _thousandths(value):
        return millis
    raise ValueError(f"a threshold is above 0 and at most 1, to three decimals, not `{value}`")


def parse_share(value: float | str) -> int:
    """Read a share from 0 to 1, to three decimals, as thousandths.

    Raises:
        ValueError: It is not such a number.
    """
    millis = _thousandths(value)
    if millis is None:
        raise ValueError(f"a share is from 0 to 1, to three decimals, not `{value}`")
    return millis


def _thousandths(value: float | str) -> int | None:
    try:
        millis = Decimal(str(value)) * 1000
        if 0 <= millis <= 1000 and millis == int(millis):  # noqa: PLR2004 (thousandths in 1)
            return int(millis)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    return None


def parse_size(value: int | str) -> int:
    """Read a number of bytes: 4294967296, "4GiB" and "4G" are the same; "4GB" is 4,000,000,000.

    Raises:
        ValueError: It is not a positive size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?b)?", str(value), re.IGNORECASE | re.ASCII)
    if match:
        number, prefix, unit = match.groups(default="")
        base = 1000 if unit.lower() == "b" else 1024
        size = int(Decimal(number) * base ** _UNITS[prefix.lower()])
        if size > 0:
            return size
    raise ValueError(f"a size is like `64MiB`, `4GiB` or a number of bytes, not `{value}`")

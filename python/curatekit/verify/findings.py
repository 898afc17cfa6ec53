"""What is not as it should be."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest

from msgspec import Struct

_LISTED = 1000
"""Problems that are told one by one."""
_LONGEST = 100
"""Characters of a value that a problem shows."""

Progress = Callable[[str, int, int], None]


class Problem(Struct, frozen=True):
    """Something that is not as it should be."""

    file: str
    place: str
    """Where in the file; empty where all of it is meant."""
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.place, self.what) if part)


class Verified(Struct, frozen=True, kw_only=True):
    """What was found, and how much was looked at."""

    problems: Sequence[Problem]
    """The first of them."""
    total: int
    """How many there are."""
    rows: int
    files: int
    bytes: int
    hashes: int


class Findings:
    """What is not as it should be, and what was looked at."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._total = 0
        self.files = 0
        self.bytes = 0
        self.hashes = 0

    def add(self, file: str, what: str, place: str = "") -> None:
        """Add something that is not as it should be in a file, and where in it."""
        self._total += 1
        if len(self._problems) < _LISTED:
            self._problems.append(Problem(file, place, what))

    def compare(self, file: str, name: str, told: object, counted: object) -> None:
        """Compare what a document tells with what was counted; a `Counter` has no zeros there."""
        if isinstance(counted, Counter) and isinstance(told, dict):
            told = Counter({key: value for key, value in told.items() if value != 0})
        if isinstance(counted, Counter) or not isinstance(counted, dict | list):
            if told != counted or isinstance(told, bool) != isinstance(counted, bool):
                words = f"is {short(told)}, but {short(counted)} was counted"
                self.add(file, f"`{name}` {words}")
        elif isinstance(counted, dict):
            inner = told if isinstance(told, dict) else {}
            for key, value in counted.items():
                self.compare(file, f"{name}.{key}".lstrip("."), inner.get(key), value)
        else:
            for at, (one, value) in enumerate(zip_longest(listed(told), counted)):
                self.compare(file, f"{name}[{at}]", one, value)

    def verified(self, rows: int) -> Verified:
        """Tell all of it."""
        return Verified(
            problems=self._problems,
            total=self._total,
            rows=rows,
            files=self.files,
            bytes=self.bytes,
            hashes=self.hashes,
        )


def listed(value: object) -> list[object]:
    """Give a value of a document if it is a list."""
    return value if isinstance(value, list) else []


def short(value: object) -> str:
    """Write a value for a problem."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

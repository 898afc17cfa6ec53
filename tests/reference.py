"""Deduplication the slow and obvious way: every pair, no hash, no index.

What the core must decide, from the standard library and the frozen Unicode table alone. Knows the
formats `chat`, `alpaca` and `text` in JSON Lines.
"""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

TABLE = Path(__file__).parents[1] / "rust/core/src/unicode/table.tsv"
BOM = b"\xef\xbb\xbf"
SPACE = " \t\r\n"
WINDOW = 3
ROLES = {"developer": "system", "function": "tool"}
T = TypeVar("T")
KEPT, EXACT, NEAR, QUARANTINED = range(4)


class Settings(NamedTuple):
    """How rows are compared."""

    format: Literal["chat", "alpaca", "text"]
    on: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    method: Literal["exact", "near"] = "near"
    ngram: int = 3
    alike: Literal["each-role", "whole"] = "each-role"
    threshold_millis: int = 800


class MalformedError(Exception):
    """A row cannot be judged."""


class Part(NamedTuple):
    """One compared part; of content that is no text, its JSON.

    The core compares that JSON as it stands, so the corpora spell each value in one way.
    """

    role: str
    is_text: bool
    text: str


def lines(file: bytes) -> list[bytes]:
    """The rows of a file."""
    return [row for row in file.removeprefix(BOM).split(b"\n") if row.strip(SPACE.encode())]


def parts(line: bytes, settings: Settings) -> list[Part]:
    """The compared parts of a row, in order."""
    try:
        row = json.loads(line.decode(), parse_constant=_refuse)  # of equal keys the last counts
    except ValueError as error:
        raise MalformedError from error
    if not isinstance(row, dict):
        raise MalformedError
    on = settings.on
    chosen = [part for part in LAYOUTS[settings.format](row) if not on or part.role in on]
    for field in settings.also:
        chosen += _content(f"also:{field}", row.get(field))
    return chosen


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _need(row: dict[str, Any], *keys: str) -> None:
    """One of these keys must be there."""
    if all(row.get(key) is None for key in keys):
        raise MalformedError


def _get(found: object, key: str, kind: type[T]) -> T:
    """A member of an object; the empty one of its kind where there is none."""
    if not isinstance(found, dict):
        raise MalformedError
    value = found.get(key)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise MalformedError
    return value


def _chat(row: dict[str, Any]) -> Iterator[Part]:
    _need(row, "messages")
    yield from _opaque("system", row.get("tools"))
    yield from _opaque("system", row.get("functions"))
    for message in _get(row, "messages", list):
        word = _get(message, "role", str)
        _need(message, "role")
        said = [message.get(key) for key in ("content", "reasoning_content", "refusal")]
        calls = [{"function": message.get("function_call")}, *_get(message, "tool_calls", list)]
        for call in calls:
            for named in (_get(call, "function", dict), call):
                said += [named.get("name"), named.get("arguments")]
        for value in said:
            yield from _content(ROLES.get(word, word), value)


def _alpaca(row: dict[str, Any]) -> Iterator[Part]:
    _need(row, "instruction")
    _need(row, "output", "response")
    yield from _text("system", row.get("system"))
    yield from _opaque("user", row.get("history"))
    yield from _text("user", row.get("instruction"))
    yield from _text("user", row.get("input"))
    yield from _text("assistant", row.get("output"))
    yield from _text("assistant", row.get("response"))


def _document(row: dict[str, Any]) -> Iterator[Part]:
    _need(row, "text")
    yield from _text("text", row["text"])


LAYOUTS = {"chat": _chat, "alpaca": _alpaca, "text": _document}


def _text(role: str, value: object) -> Iterator[Part]:
    if isinstance(value, str):
        yield Part(role, is_text=True, text=value)
    elif value is not None:
        raise MalformedError


def _opaque(role: str, value: object) -> Iterator[Part]:
    if value is not None:
        yield Part(role, is_text=False, text=json.dumps(value))


def _content(role: str, value: object) -> Iterator[Part]:
    for block in value if isinstance(value, list) else [value]:
        match block:
            case str(text):
                yield from _text(role, text)
            case {"type": "text", "text": str(text)}:
                yield from _text(role, text)
            case _:
                yield from _opaque(role, block)


def _table() -> tuple[dict[str, str], dict[str, int], dict[str, str]]:
    kinds, orders, folds = {}, {}, {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            first, last, kind, order, fold = line.split("\t")
            for c in map(chr, range(int(first, 16), int(last, 16) + 1)):
                kinds[c], orders[c] = kind, int(order)
                if fold != "-":
                    folds[c] = "".join(chr(int(code, 16)) for code in fold.split())
    return kinds, orders, folds


KINDS, ORDERS, FOLDS = _table()


def folded(text: str) -> str:
    """A text in canonical decomposition and simple lower case."""
    scalars: list[str] = []
    for c in text:
        scalars += unicodedata.normalize("NFD", c) if "가" <= c <= "힣" else FOLDS.get(c, c)
    # Canonical order: marks, whose order is above 0, are sorted behind what they belong to.
    places, base = [], 0
    for at, c in enumerate(scalars):
        order = ORDERS.get(c, 0)
        base = base if order else at
        places.append((base, order))
    return "".join(scalars[at] for at in sorted(range(len(scalars)), key=places.__getitem__))


def tokens(text: str) -> list[str]:
    """The words of a text; of scripts without spaces, windows of three scalars."""
    runs = [("break", "")]
    for c in folded(text):
        kind = KINDS.get(c, "break")
        last, run = runs[-1]
        if kind == "extend" or (kind == last and kind in ("word", "unspaced")):
            runs[-1] = (last, run + c)
        else:
            runs.append((kind, c))
    found = []
    for kind, run in runs:
        if kind == "unspaced":
            found += [run[at : at + WINDOW] for at in range(max(1, len(run) - WINDOW + 1))]
        elif kind != "break":
            found.append(run)
    return found


Shingles = set[tuple[object, ...]]


class Row:
    """What a row is compared by.

    Raises:
        MalformedError: It cannot be judged.
    """

    def __init__(self, line: bytes, settings: Settings) -> None:
        self.parts = parts(line, settings)
        self.opaque = [part for part in self.parts if not part.is_text]
        self.groups: dict[str, Shingles] = {}
        self.has_tokens = False
        texts: dict[str, list[str]] = {}
        for part in self.parts:
            if part.is_text:
                group = part.role if settings.alike == "each-role" else "all"
                texts.setdefault(group, []).append(part.text)
        for group, said in texts.items():
            if any(map(tokens, said)):
                self.has_tokens = True
                self.groups[group] = shingles(said, settings.ngram)
            elif any(text.strip(SPACE) for text in said):
                self.groups[group] = {("no tokens", *said)}


def shingles(texts: list[str], ngram: int) -> Shingles:
    """The n-grams of texts, with a separator between two; of fewer than n tokens, all of them."""
    words: list[object] = []
    for text in texts:
        words += [None, *tokens(text)]
    del words[0]
    return {tuple(words[at : at + ngram]) for at in range(max(1, len(words) - ngram + 1))}


def similarity(row: Row, other: Row) -> tuple[int, int]:
    """Shared and united shingles in the least similar group; (0, 1) where nothing compares."""
    if row.opaque != other.opaque or row.groups.keys() != other.groups.keys():
        return 0, 1
    if not (row.has_tokens and other.has_tokens):
        return 0, 1
    overlaps = [
        (len(mine & other.groups[role]), len(mine | other.groups[role]))
        for role, mine in row.groups.items()
    ]
    return min(overlaps, key=lambda overlap: Fraction(*overlap))


class Decision(NamedTuple):
    """The fate of a row, as `Decided` gives it."""

    state: int
    witness: int
    shared: int = 0
    united: int = 0


def read(files: Sequence[bytes], settings: Settings) -> list[Row | None]:
    """The rows of all files; None for one that cannot be judged."""
    rows: list[Row | None] = []
    for line in [line for file in files for line in lines(file)]:
        try:
            rows.append(Row(line, settings))
        except MalformedError:
            rows.append(None)
    return rows


def decide(rows: Sequence[Row | None], settings: Settings) -> list[Decision]:
    """Keep a row unless an earlier one says the same, or a kept one nearly the same."""
    decisions: list[Decision] = []
    for at, row in enumerate(rows):
        decisions.append(_fate(at, row, list(zip(rows, decisions, strict=False)), settings))
    return decisions


def _fate(
    at: int, row: Row | None, before: list[tuple[Row | None, Decision]], settings: Settings
) -> Decision:
    if row is None:
        return Decision(QUARANTINED, at)
    for earlier, fate in before:
        if earlier is not None and earlier.parts == row.parts != []:
            return fate if fate.state == NEAR else Decision(EXACT, fate.witness)
    if settings.method == "near":
        for witness, (earlier, fate) in enumerate(before):
            if earlier is not None and fate.state == KEPT:
                shared, united = similarity(row, earlier)
                if shared * 1000 >= settings.threshold_millis * united:
                    return Decision(NEAR, witness, shared, united)
    return Decision(KEPT, at)

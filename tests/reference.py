"""Deduplication the slow and obvious way: every pair, no hash, no index.

What the core must decide, from the standard library and the frozen Unicode table alone. Knows the
formats `chat`, `alpaca`, `sharegpt`, `preference` and `text` in JSON Lines, the third and fourth as
far as they hold texts.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from consensus import (
    Family,
    Shingles,
    Words,
    differ_in_content,
    families,
    hunks,
    is_alike,
    overlap,
    shingles,
)

TABLE = Path(__file__).parents[1] / "rust/core/src/unicode/table.tsv"
BOM = b"\xef\xbb\xbf"
SPACE = " \t\r\n"
WINDOW = 3
ROLES = {"developer": "system", "function": "tool"}
CHATTY = ROLES | {"human": "user", "gpt": "assistant"}
T = TypeVar("T")
KEPT, EXACT, NEAR, QUARANTINED = range(4)


class Settings(NamedTuple):
    """How rows are compared."""

    format: str
    on: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    method: Literal["exact", "near"] = "near"
    ngram: int = 3
    alike: Literal["consensus", "each-role", "whole"] = "consensus"
    numbers: Literal["distinct", "alike"] = "distinct"
    threshold_millis: int = 800
    keep: Literal["first", "longest", "best"] = "first"
    score: str | None = None
    """The top-level field by which `keep="best"` orders the rows."""


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


def record(line: bytes) -> dict[str, Any]:
    """A row as an object; of equal keys the last counts."""
    try:
        row = json.loads(line.decode(), parse_constant=_refuse)
    except ValueError as error:
        raise MalformedError from error
    if not isinstance(row, dict):
        raise MalformedError
    return row


def parts(row: dict[str, Any], settings: Settings) -> list[Part]:
    """The compared parts of a row, in order."""
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


def _sharegpt(row: dict[str, Any]) -> Iterator[Part]:
    _need(row, "conversations")
    yield from _text("system", row.get("system"))
    for turn in _get(row, "conversations", list):
        word = _get(turn, "from", str)
        yield from _content(CHATTY.get(word, word), turn.get("value"))


def _preference(row: dict[str, Any]) -> Iterator[Part]:
    _need(row, "chosen")
    _need(row, "rejected")
    yield from _text("system", row.get("system"))
    for key, role in (("prompt", "user"), ("chosen", "chosen"), ("rejected", "rejected")):
        yield from _content(role, row.get(key))


def _document(row: dict[str, Any]) -> Iterator[Part]:
    _need(row, "text")
    yield from _text("text", row["text"])


LAYOUTS = {
    "chat": _chat,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
    "preference": _preference,
    "text": _document,
}


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
        kind = "word" if is_number(c) else KINDS.get(c, "break")
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


def is_number(token: str) -> bool:
    """Is a token made of decimal digits alone?"""
    return all(KINDS.get(c) == "digit" for c in token)


class Row:
    """What a row is compared by.

    Raises:
        MalformedError: It cannot be judged.
    """

    def __init__(self, line: bytes, settings: Settings) -> None:
        row = record(line)
        self.parts = parts(row, settings)
        self.opaque = [part for part in self.parts if not part.is_text]
        self.groups: dict[str, Shingles] = {}
        self.words: dict[str, Words] = {}
        texts: dict[str, list[str]] = {}
        for part in self.parts:
            if part.is_text:
                group = "all" if settings.alike == "whole" else part.role
                texts.setdefault(group, []).append(part.text)
        for group, said in texts.items():
            if any(map(tokens, said)):
                self.words[group] = words(said)
                self.groups[group] = shingles(self.words[group], settings.ngram)
            elif any(text.strip(SPACE) for text in said):
                self.groups[group] = frozenset({("no tokens", *said)})
        self.rank = self._rank(row, settings)

    def _rank(self, row: dict[str, Any], settings: Settings) -> tuple[float, ...]:
        """The row of the least rank stays; of several, the first."""
        if settings.keep == "longest":
            texts = [part.text for part in self.parts if part.is_text]
            return (-sum(len(text.encode("utf-8", "surrogatepass")) for text in texts),)
        if settings.keep == "best" and settings.score is not None:
            score = row.get(settings.score)
            if isinstance(score, int | float) and not isinstance(score, bool):
                return (0, -float(score))
            return (1,)
        return ()


def words(texts: Sequence[str]) -> Words:
    """The tokens of texts, with a separator between two."""
    found: list[str | None] = []
    for text in texts:
        found += [None, *tokens(text)]
    return tuple(found[1:])


def is_comparable(row: Row, other: Row) -> bool:
    """Is there anything in which they can be alike?"""
    if row.opaque != other.opaque or row.groups.keys() != other.groups.keys():
        return False
    return bool(row.words and other.words)


def similarity(row: Row, other: Row) -> tuple[int, int]:
    """Shared and united shingles in the least similar group; (0, 1) where nothing compares."""
    if not is_comparable(row, other):
        return 0, 1
    overlaps = [overlap(mine, other.groups[role]) for role, mine in row.groups.items()]
    return min(overlaps, key=lambda overlap: Fraction(*overlap))


Index = dict[str, dict[Words, Family]]
"""What a row alone does not tell: the families of each role."""


def index(rows: Sequence[Row | None], settings: Settings) -> Index:
    """The families of each role, over all rows that can be judged."""
    if settings.alike != "consensus" or settings.method == "exact":
        return {}
    texts: dict[str, dict[Words, Shingles]] = {}
    for row in filter(None, rows):
        for role, said in row.words.items():
            texts.setdefault(role, {})[said] = row.groups[role]
    link_millis = settings.threshold_millis * 5 // 8
    return {role: families(said, link_millis, settings.ngram) for role, said in texts.items()}


Reason = Literal["alike", "below the threshold", "numbers", "content"]


def compare(row: Row, kept: Row, known: Index, settings: Settings) -> Reason:
    """Is a row a near-duplicate of one that is kept, and why not?

    The two are no equals: the family is that of `row`.
    """
    threshold = settings.threshold_millis
    if not is_comparable(row, kept) or not all(
        is_alike(mine, kept.groups[role], threshold) for role, mine in row.groups.items()
    ):
        return "below the threshold"
    if settings.numbers == "distinct" and any(
        differ_in_numbers(mine, kept.words[role]) for role, mine in row.words.items()
    ):
        return "numbers"
    for role, mine in row.words.items():
        family = known.get(role, {}).get(mine)
        if differ_in_content(mine, kept.words[role], family, threshold):
            return "content"
    return "alike"


def differ_in_numbers(mine: Words, yours: Words) -> bool:
    """Do the two sides of a hunk hold other numbers, or as many other times?"""

    def numbers(side: Words) -> list[str]:
        return sorted(word for word in side if word is not None and is_number(word))

    return any(
        numbers(mine[start:end]) != numbers(yours[other_start:other_end])
        for start, end, other_start, other_end in hunks(mine, yours)
    )


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
    """Keep a row unless an earlier one says the same, or a kept one nearly the same.

    Rows come in the order of their rank.
    """
    known = index(rows, settings)
    judged = {at: row for at, row in enumerate(rows) if row is not None}
    fates: dict[int, Decision] = {}
    for at in sorted(judged, key=lambda at: judged[at].rank):
        fates[at] = _fate(at, judged, fates, known, settings)
    return [fates.get(at, Decision(QUARANTINED, at)) for at in range(len(rows))]


def _fate(
    at: int,
    rows: Mapping[int, Row],
    before: Mapping[int, Decision],
    known: Index,
    settings: Settings,
) -> Decision:
    for earlier, fate in before.items():
        if rows[earlier].parts == rows[at].parts != []:
            return fate if fate.state == NEAR else Decision(EXACT, fate.witness)
    for earlier, fate in before.items() if settings.method == "near" else ():
        row, kept = rows[at], rows[earlier]
        if fate.state == KEPT and compare(row, kept, known, settings) == "alike":
            return Decision(NEAR, earlier, *similarity(row, kept))
    return Decision(KEPT, at)

"""Templated data as people train on it, with planted copies: what deduplication must not get wrong.

    python tests/templates.py FOLDER

writes every set as JSON Lines. A set has one layout and one language. Its distinct rows fill the
slots of a few templates, each in its own way; some also hold prose of 45 to 70 words. Copies are
planted behind their originals; one with an edited word is at least 0.8 similar to its original in
each role. A mixture hides a set among unrelated rows of the same layout.
"""

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import reference
from languages import LANGUAGES, Language

PieceKind = Literal["system", "boilerplate", "free", "slot", "short"]
Kind = Literal["distinct", "exact", "case", "system edit", "boilerplate edit", "free edit", "other"]
COPIES: tuple[Kind, ...] = ("exact", "case", "system edit", "boilerplate edit", "free edit")
PUNCTUATION = "_ .,:;?!،؟，。：、？"
FREE_WORDS = (45, 70)
EXAMPLES = 8
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a day in May.",
            "parameters": {"city": "string", "day": "integer"},
        },
    }
]


@dataclass
class Piece:
    """Words of a text that stand in every row (`system`, `boilerplate`), or in one.

    What is `short` is boilerplate that no copy changes: one word is too much of so little.
    """

    kind: PieceKind
    words: list[str]


@dataclass
class Text:
    """A text in pieces."""

    language: Language
    pieces: list[Piece]

    def __str__(self) -> str:
        words = [word for piece in self.pieces for word in piece.words if word]
        joined = self.language.joint.join(words).replace("_", " ")
        return re.sub(" +([.,:;?!،؟])", r"\1", joined)


Draft = Text | str | int | list["Draft"] | dict[str, "Draft"]
Row = dict[str, Draft]


class Set(NamedTuple):
    """Rows, one JSON object each, and what each is. A copy names its original in `copy_of`."""

    name: str
    format: str
    rows: list[bytes]
    kinds: list[Kind]


class Author:
    """Writes the rows of one language."""

    def __init__(self, language: Language, rng: Random) -> None:
        self.language, self.rng = language, rng
        self.words = language.prose.split()
        self.weights = [1 / (rank + 10) for rank in range(len(self.words))]
        shots = [self.text(language.example, self.draw()) for _ in range(EXAMPLES)]
        self.shots = [Piece("boilerplate", p.words) for shot in shots for p in shot.pieces]

    def draw(self) -> dict[str, str]:
        """A word for each slot."""
        values = {slot: self.rng.choice(of.split()) for slot, of in self.language.slots.items()}
        a, b = self.rng.randint(2, 31), self.rng.randint(2, 31)
        verdict = self.rng.choice(self.language.verdicts)
        return values | {"a": str(a), "b": str(b), "c": str(a + b), "verdict": verdict}

    def prose(self, least: int, most: int) -> Piece:
        """Words that no other row has in this order."""
        words = self.rng.choices(self.words, self.weights, k=self.rng.randint(least, most))
        for at in range(7, len(words) - 3, 8):
            words[at] += self.language.comma
        words[-1] += self.language.stop
        return Piece("free", words)

    def text(self, template: str, values: dict[str, str], kind: PieceKind = "boilerplate") -> Text:
        """Fill the slots of a template."""
        pieces = []
        for part in re.split(r"(\{\w+\})", template):
            if part == "{free}":
                pieces.append(self.prose(*FREE_WORDS))
            elif part.startswith("{"):
                pieces.append(Piece("slot", [values[part[1:-1]]]))
            else:
                pieces.append(Piece(kind, part.split()))
        return Text(self.language, pieces)

    def only_prose(self) -> Text:
        """What an unrelated row says."""
        return Text(self.language, [self.prose(8, 80)])


def _says(role: str, content: Text, name: str = "role", key: str = "content") -> Row:
    return {name: role, key: content}


def _short_chat(by: Author) -> Row:
    language, values = by.language, by.draw()
    turns: list[Draft] = [
        _says("system", by.text(language.system, values, "system")),
        _says("user", by.text(language.question, values, "short")),
        _says("assistant", by.text(language.answer, values)),
    ]
    return {"messages": turns}


def _long_chat(by: Author) -> Row:
    language, values = by.language, by.draw()
    turns: list[Draft] = [
        _says("system", by.text(language.system, values, "system")),
        _says("user", by.text(language.request, values)),
        _says("assistant", by.text(language.answer, values)),
    ]
    return {"messages": turns}


def _multi_turn(by: Author) -> Row:
    language, values = by.language, by.draw()
    turns: list[Draft] = [
        _says("system", by.text(language.persona, by.draw(), "system")),
        _says("user", by.text(language.request, values)),
        _says("assistant", by.text(language.answer, values)),
        _says("user", by.text(language.follow_up, values)),
        _says("assistant", by.text(language.reply, values)),
    ]
    return {"messages": turns}


def _tool_calls(by: Author) -> Row:
    language, values = by.language, by.draw()
    arguments = json.dumps({"city": values["place"], "day": int(values["a"])}, ensure_ascii=False)
    result = json.dumps({"degrees": int(values["b"]), "wind": "west"})
    call: Row = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "arguments": Text(language, [Piece("slot", [arguments])]),
        },
    }
    turns: list[Draft] = [
        _says("system", by.text(language.system, values, "system")),
        _says("user", by.text(language.weather, values, "short")),
        {"role": "assistant", "tool_calls": [call]},
        _says("tool", Text(language, [Piece("slot", [result])])),
        _says("assistant", by.text(language.report, values)),
    ]
    return {"tools": copy.deepcopy(TOOLS), "messages": turns}  # type: ignore[dict-item]


def _classification(by: Author) -> Row:
    language, values = by.language, by.draw()
    utterance, label = by.rng.choice(list(language.utterances.items()))
    return {
        "instruction": by.text(language.classify, values),
        "input": by.text(utterance, values, "short"),
        "output": by.text(label, values, "short"),
    }


def _few_shots(by: Author) -> Row:
    language, values = by.language, by.draw()
    lead = by.text(language.judge, values)
    passage, _ = language.example.split("{free}")
    return {
        "instruction": Text(language, lead.pieces + copy.deepcopy(by.shots)),
        "input": by.text(passage + "{free}", values, "short"),
        "output": by.text("{verdict}", values),
    }


def _preference(by: Author) -> Row:
    language, values = by.language, by.draw()
    return {
        "system": by.text(language.system, values, "system"),
        "prompt": by.text(language.request, values),
        "chosen": by.text(language.reply, values),
        "rejected": by.text(language.refusal, values),
    }


def _sharegpt(by: Author) -> Row:
    language, values = by.language, by.draw()
    turns: list[Draft] = [
        _says("human", by.text(language.sum, values, "short"), "from", "value"),
        _says("gpt", by.text(language.solution, values, "short"), "from", "value"),
    ]
    return {"system": by.text(language.persona, by.draw(), "system"), "conversations": turns}


class Layout(NamedTuple):
    """A kind of rows, and the format in which they stand."""

    format: str
    write: Callable[[Author], Row]


LAYOUTS = {
    "chat, short questions": Layout("chat", _short_chat),
    "chat, long requests": Layout("chat", _long_chat),
    "multi-turn chat": Layout("chat", _multi_turn),
    "tool calls": Layout("chat", _tool_calls),
    "classification": Layout("alpaca", _classification),
    "few-shot classification": Layout("alpaca", _few_shots),
    "preference": Layout("preference", _preference),
    "sums": Layout("sharegpt", _sharegpt),
}


def unrelated(by: Author, format: str) -> Row:
    """A row without a template."""
    said = by.only_prose
    if format == "chat":
        return {"messages": [_says("user", said()), _says("assistant", said())]}
    if format == "sharegpt":
        turns = (("human", said()), ("gpt", said()))
        return {"conversations": [_says(role, text, "from", "value") for role, text in turns]}
    keys = {"alpaca": ("instruction", "output"), "preference": ("prompt", "chosen", "rejected")}
    return {key: said() for key in keys[format]}


def texts(draft: Draft) -> Iterator[Text]:
    """All texts of a row."""
    if isinstance(draft, Text):
        yield draft
    elif isinstance(draft, dict | list):
        for value in draft.values() if isinstance(draft, dict) else draft:
            yield from texts(value)


def plant(row: Row, kind: Kind, by: Author, format: str) -> Row:
    """A copy of a row."""
    made = copy.deepcopy(row)
    if kind == "case":
        for text in texts(made):
            spelled = re.sub("([ .,:;?!،؟，。：、？])", r"\1 ", str(text).swapcase())
            text.pieces = [Piece("slot", [spelled + "\n"])]
    elif kind != "exact":
        _edit(*by.rng.choice(list(_words(made, kind))), by)
        if not is_near(made, row, format):
            return plant(row, kind, by, format)
    return made


def is_near(row: Row, other: Row, format: str) -> bool:
    """Are two rows at least 0.8 similar in each role?"""
    settings = reference.Settings(format)
    shared, united = reference.similarity(
        reference.Row(_spelled(row), settings), reference.Row(_spelled(other), settings)
    )
    return shared * 1000 >= settings.threshold_millis * united


def _words(row: Row, kind: Kind) -> Iterator[tuple[list[str], int]]:
    """The words in which a kind of copy may differ, as places in lists."""
    for piece in [piece for text in texts(row) for piece in text.pieces]:
        if f"{piece.kind} edit" == kind:
            for at, word in enumerate(piece.words):
                if word.strip(PUNCTUATION):
                    yield piece.words, at


def _edit(words: list[str], at: int, by: Author) -> None:
    """Insert, delete or substitute one word; punctuation stays."""
    old = words[at].strip(PUNCTUATION)
    new = by.rng.choice([word for word in by.words if word != old])
    how = by.rng.choice(("insert", "delete", "substitute"))
    if how == "insert":
        words.insert(at, new)
    else:
        words[at] = words[at].replace(old, new if how == "substitute" else "")


def build(name: str, language: Language, *, distinct: int = 300, copies: int = 30) -> Set:
    """A set: so many distinct rows, and of each kind of copy that it can hold so many."""
    layout = LAYOUTS[name]
    by = Author(language, Random(f"{name} {language.name}"))
    rows: dict[bytes, Row] = {}
    while len(rows) < distinct:
        row = layout.write(by)
        rows.setdefault(_spelled(row), row)
    originals = list(rows.values())
    placed: list[tuple[float, bytes, Kind]] = []
    places = [by.rng.random() for _ in originals]
    for number, (row, place) in enumerate(zip(originals, places, strict=True)):
        placed.append((place, _spelled({"id": number} | row), "distinct"))
    for kind in COPIES:
        can = kind in ("exact", "case") or any(_words(originals[0], kind))
        for _ in range(copies if can else 0):
            number = by.rng.randrange(distinct)
            copied: Row = {"copy_of": number} | plant(originals[number], kind, by, layout.format)
            spelled = _spelled(copied, ascii_only=by.rng.random() < 0.5)
            placed.append((by.rng.uniform(places[number], 1), spelled, kind))
    placed.sort()
    kinds = [kind for _, _, kind in placed]
    return Set(f"{name}, {language.name}", layout.format, [row for _, row, _ in placed], kinds)


def mix(made: Set, percent: int) -> Set:
    """A set among so many unrelated rows, in all languages, that it is this share of all."""
    rng = Random(f"{made.name} {percent}")
    authors = [Author(language, rng) for language in LANGUAGES]
    count = len(made.rows) * (100 - percent) // percent
    others = [_spelled(unrelated(rng.choice(authors), made.format)) for _ in range(count)]
    is_ours = [True] * len(made.rows) + [False] * count
    rng.shuffle(is_ours)
    ours, rest = iter(zip(made.rows, made.kinds, strict=True)), iter(others)
    mixed = [next(ours) if our else (next(rest), "other") for our in is_ours]
    rows, kinds = [row for row, _ in mixed], [kind for _, kind in mixed]
    return Set(f"{made.name}, {percent} %", made.format, rows, kinds)


def _spelled(row: Row, *, ascii_only: bool = True) -> bytes:
    return json.dumps(row, default=str, ensure_ascii=ascii_only).encode()


def main(folder: Path) -> None:
    """Write every set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LAYOUTS:
        for language in LANGUAGES:
            made = build(name, language)
            path = folder / f"{made.name.replace(', ', '-').replace(' ', '-').lower()}.jsonl"
            path.write_bytes(b"".join(row + b"\n" for row in made.rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

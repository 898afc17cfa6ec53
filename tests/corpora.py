"""Small hostile corpora: many scripts, odd spellings, and many pairs close to the threshold.

A row begins as a draft, a JSON value in which the texts are lists of words, and is spelled as late
as possible, so that the same words stand in many forms: escapes, normal forms, case, order of keys.
In half of the corpora all drafts fill the slots of one template.
"""

import copy
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from random import Random
from typing import Literal, NamedTuple

import reference
from reference import Row, Settings

# Words of scripts with spaces, and characters of scripts without.
SPACED = {
    "syllables": " ".join(onset + vowel for onset in "bdfgklmnprst" for vowel in "aeiou"),
    "english": "The cat sat on a mat It's 3.14 naïve co-op DON'T snake_case x² ﬁne Straße",
    "european": "Größe weiß Maß ẞ İstanbul ΣΟΦΌΣ ὈΔΥΣΣΕΎΣ ᾧ Ångström Å\u212b \u212a ǅ",
    "russian": "Кот сидел на ЯЩИКЕ ёж Йод её Это день Ночь",
    "arabic": "الكِتَابُ عَلَى الطاولة \u0663\u066b\u0664 سلام لآ مُدَرِّس ــ لا",
    "hebrew": "שָׁלוֹם עוֹלָם סֵפֶר \ufb2a הַבַּיִת 12 כ״ץ",
    "hindi": "क़लम हिन्दी में ज़रूर नमस्ते क्षत्रिय १२३ र्\u200dय",
    "korean": "한국어 각 문장 가나다 힣 \u1112\u1161\u11ab 강아지",
    "symbols": "2+3 2*3 2-3 a<b a≠b a=\u0338b x=y 5% €7 $7 a^b √2 ½ |x| ~ \u2212 ≤ ∑",
    "digits": "0 1 2 3 10 11 100 1e5 ٣ ३ Ⅳ ① ² 3.0",
    "marks": "e\u0301\u0323 e\u0323\u0301 \u0301 ạ\u0302 \u00a8\u0300 \u1fed \u0344 a\u0e38\u0323",
    "emoji": "😀 ❤\ufe0f ☀\ufe0f 👩\u200d💻 1\ufe0f\u20e3 🇩🇪 👍🏽 ❤ … — ! ?",
    "odd": '\ud800 \udc00 a\ud83d \udc00b \ufffd \0 \b\x1f\f \u2028 \ufeff a\u200bb \\ " / \u0378',
}
UNSPACED = {
    "chinese": "去年今日此門中人面桃花相映紅不知何處々〇豈\uf900\uff0c。",
    "japanese": "ガギグ\u30ab\u3099がか\u3099ーｱﾞ東京タワーは高い、です",
    "thai": "ภาษาไทยสวยน้ำกำลังดี๕ฯ",
    "khmer": "ភាសាខ្មែរ១២",
    "burmese": "မြန်မာဘာသာ၅",
    "tibetan": "བོད་སྐད་ཡིག༣\u0f73\u0f71\u0f72",
    "lao": "ພາສາລາວນ້ຳ໕",
}
BAD_ROWS = (
    b'{"text": "cut', b'"text"', b"7", b"{}", b'{"text": 5}', b'{"text": null}', b'{"text": NaN}',
    b'{"text": "\xff"}', b'{"text": "\xed\xa0\x80"}', b'{"text": "a\tb"}', b'{"text": "a"} x',
    b'{"text": "\x00"}', b"\x00", b'{"messages": {"role": "user"}}', b'{"messages": ["user"]}',
    b'{"messages": [{"content": "no role"}]}', b'{"messages": [{"role": 1, "content": "a"}]}',
    b'{"messages": [{"role": "user", "tool_calls": [null]}]}',
    b'{"messages": [{"role": "user", "function_call": "auto"}]}', b'{"messages": null}',
    b'{"messages": [{"role": null, "content": "a"}]}', b'{"messages": [{"role": ["user"]}]}',
    b'{"instruction": "a"}', b'{"instruction": "a", "output": ["b"]}',
    b'{"instruction": null, "output": "b"}', b'{"text": "\\ud8"}', b"null", b"{'text': 1}",
)  # fmt: skip
SHORT_ESCAPES = dict(zip('"\\/\b\f\n\r\t', '"\\/bfnrt', strict=True))
BLANK_LINES = (b"", b" \t", b"\r")
NUMBERS = ["0", "1", "7", "42", "1999", "٣", "३", "12a", "3.5", "½", "-7"]
SCORES = (
    "1", "1.0", "1e0", "2", "10", "-0", "0.0", "-3.5", "0.1", "12345678901234567890",
    "12345678901234567891", "true", "null", '"3"', "[4]", '{"score": 5}',
)  # fmt: skip
KINDS = ("new", "close", "edit", "same", "odd", "bad", "blank")
WEIGHTS = (8, 32, 4, 4, 4, 2, 1)
TEMPLATED_WEIGHTS = (24, 12, 12, 3, 2, 1, 1)

MARGIN = 50
"""Thousandths; a pair that is this near to the threshold is close to it."""


@dataclass
class Text:
    """A text that is not spelled yet."""

    words: list[str]
    vocabulary: list[str]
    joint: str


class Raw(str):
    """JSON that is always spelled as it stands, since it is compared by its bytes."""

    __slots__ = ()


Draft = Text | Raw | None | list["Draft"] | dict[str, "Draft"]


class Corpus(NamedTuple):
    """Lines of one layout, and how to compare them."""

    settings: Settings
    lines: list[bytes]
    """Without their ends; some are blank."""
    start: bytes
    end: bytes

    def files(self, *cuts: int) -> list[bytes]:
        """The corpus as the bytes of one file, or of more, cut in front of some lines."""
        shards = [self.lines[a:b] for a, b in pairwise((0, *sorted(cuts), len(self.lines)))]
        return [self.start + self.end.join(shard) for shard in shards]


def corpus(seed: int, size: int | None = None) -> Corpus:
    """Make the corpus of a seed, of up to 40 lines if no size is given."""
    rng = Random(seed)
    format = rng.choice(list(LAYOUTS))
    templated = rng.random() < 0.5
    settings = Settings(
        format=format,
        on=rng.choice(LAYOUTS[format].on),
        also=rng.choice(((), (), ("topic",))),
        method=rng.choices(("near", "exact"), (15, 1))[0],
        ngram=rng.choice((1, 2, 2, 3, 3) if templated else (1, 2, 3, 3, 4, 5)),
        alike=rng.choice(("consensus", "consensus", "each-role", "whole")),
        numbers=rng.choice(("distinct", "distinct", "alike")),
        threshold_millis=rng.choice((500, 700, 800, 800, 900, 1000, rng.randint(1, 1000))),
        keep=rng.choice(("first", "first", "longest", "best")),
        score="score",
    )
    start, end = rng.choice((b"", b"", reference.BOM)), rng.choice((b"\n", b"\n", b"\r\n"))
    size = size or rng.choice((20, 30, 40) if templated else (2, 5, 10, 20, 30, 40))
    template = _Template(rng, LAYOUTS[format].draft(rng)) if templated else None
    return Corpus(settings, list(islice(_lines(rng, settings, template), size)), start, end)


def is_close(shared: int, united: int, settings: Settings) -> bool:
    """Is this similarity close to the threshold?"""
    return abs(shared * 1000 - settings.threshold_millis * united) <= MARGIN * united


class _Template:
    """A draft with places that each row fills in its own way."""

    def __init__(self, rng: Random, draft: dict[str, Draft]) -> None:
        self.draft = draft
        self.slots: list[tuple[int, int, list[str]]] = []
        for number, text in enumerate(_texts(draft)):
            text.words += rng.choices(text.vocabulary, k=rng.choice((0, 8, 20, 30)))
            places = rng.choices(range(len(text.words) + 1), k=rng.choice((0, 1, 1, 2)))
            for at in sorted(set(places), reverse=True):
                words = rng.choice((text.vocabulary, text.vocabulary, NUMBERS))
                self.slots.append((number, at, rng.choices(words, k=rng.choice((2, 9, 40)))))

    def fill(self, rng: Random) -> dict[str, Draft]:
        """A draft with a word or two in each slot; some slots stay as they are."""
        draft = copy.deepcopy(self.draft)
        texts = list(_texts(draft))
        for number, at, words in self.slots:
            if rng.random() < 0.9:
                texts[number].words[at : at + 1] = rng.choices(words, k=rng.choice((1, 1, 1, 2)))
        return draft


def _lines(rng: Random, settings: Settings, template: _Template | None) -> Iterator[bytes]:
    layout = LAYOUTS[settings.format]

    def new() -> dict[str, Draft]:
        return template.fill(rng) if template else layout.draft(rng)

    drafts = [new()]
    while True:
        kind = rng.choices(KINDS, TEMPLATED_WEIGHTS if template else WEIGHTS)[0]
        if kind == "new":
            drafts.append(new())
            yield _spelled(rng, drafts[-1])
        elif kind == "close":
            yield _close(rng, settings, drafts)
        elif kind == "edit":
            draft = copy.deepcopy(rng.choice(drafts))
            _edit(rng, rng.choice(list(_texts(draft))))
            yield _spelled(rng, draft)
        elif kind == "same":
            yield _spelled(rng, rng.choice(drafts))
        elif kind == "odd":
            draft = copy.deepcopy(rng.choice(drafts))
            layout.twist(rng, draft)
            yield _spelled(rng, draft)
        else:
            yield rng.choice(BAD_ROWS if kind == "bad" else BLANK_LINES)


def _close(rng: Random, settings: Settings, drafts: Sequence[dict[str, Draft]]) -> bytes:
    """A copy with just so many edits that it comes close to the threshold, if any can."""
    line = b""
    for _ in range(6):
        draft = rng.choice(drafts)
        original = Row(_spelled(rng, draft), settings)
        edited = copy.deepcopy(draft)
        for _ in range(15):
            for text in rng.choices(list(_texts(edited)), k=rng.choice((1, 1, 2, 5))):
                _edit(rng, text)
            line = _spelled(rng, edited)
            shared, united = reference.similarity(Row(line, settings), original)
            if is_close(shared, united, settings):
                return line
            if shared * 1000 < settings.threshold_millis * united:
                break
    return line


def _edit(rng: Random, text: Text) -> None:
    """Insert, delete or substitute one word, at the front, in the middle or at the end."""
    last = len(text.words)
    at = rng.choice((0, rng.randint(0, last), last))
    kind = rng.choice(("insert", "delete", "substitute"))
    words = rng.choice((text.vocabulary,) * 5 + (NUMBERS,))
    text.words[at : at + (kind != "insert")] = [rng.choice(words)] * (kind != "delete")


def _texts(draft: Draft) -> Iterator[Text]:
    if isinstance(draft, Text):
        yield draft
    elif isinstance(draft, dict | list):
        for value in draft.values() if isinstance(draft, dict) else draft:
            yield from _texts(value)


def _text(rng: Random) -> Text:
    spaced = " ".join(rng.sample(list(SPACED.values()), k=rng.choice((1, 1, 2, 3)))).split(" ")
    if rng.random() < 0.3:
        script = "".join(rng.sample(list(UNSPACED.values()), k=rng.choice((1, 1, 2))))
        vocabulary, joint = [*script, rng.choice(spaced)], ""
    else:
        vocabulary, joint = spaced, " "
    length = rng.choice((0, 1, 2, 4, 8, 16, 24, 24, 40, 40))
    return Text(rng.choices(vocabulary, k=length), vocabulary, joint)


def _topic(rng: Random) -> Draft:
    """What `also` may find."""
    opaque = Raw(rng.choice(("7", "7.0", '{"a": "b"}', "[1, null]")))
    topics: Sequence[Draft] = (_text(rng), [_text(rng), opaque], opaque, None)
    return rng.choice(topics)


def _chat(rng: Random) -> dict[str, Draft]:
    def says(*roles: str, **said: Draft) -> Draft:
        return {"role": Raw(f'"{rng.choice(roles)}"'), **said}

    boilerplate = Text(["You", "are", "a", "helpful", "assistant"], ["Be", "kind"], " ")
    call: Draft = {"name": Raw('"f"'), "arguments": rng.choice((_text(rng), Raw('{"q": 1}')))}
    block: Draft = {"type": Raw('"text"'), "text": _text(rng)}
    blocks: Sequence[Draft] = (_text(rng), block, Raw('{"type": "image"}'), None)
    system = says("system", "developer", content=boilerplate)
    user = says("user", content=_text(rng))
    calling = says("assistant", tool_calls=[rng.choice(({"function": call}, call))])
    called = says("tool", "function", content=_text(rng))
    answer = says("assistant", "assistant", "critic", content=rng.choices(blocks, k=2))
    thought = says("assistant", content=_text(rng), reasoning_content=_text(rng), refusal=None)
    shapes = (
        (user, thought),
        (user, answer),
        (system, user, answer),
        (user, calling, called, answer),
        (user, says("assistant", content=None, function_call=call)),
        (user, answer, says("user", content=Raw("5")), thought),
    )
    return {"messages": list(rng.choice(shapes)), "topic": _topic(rng)}


def _twist_chat(rng: Random, draft: dict[str, Draft]) -> None:
    defined = rng.choice(('[{"f": 1}]', '[{"f": 1.0}]', "[]", "null"))
    draft[rng.choice(("tools", "functions"))] = Raw(defined)
    assert isinstance(draft["messages"], list)
    blank = rng.choice((None, Text([], [], ""), Text([" \n"], [" "], "")))
    draft["messages"].insert(0, {"role": Raw('"user"'), "content": blank})


def _alpaca(rng: Random) -> dict[str, Draft]:
    return {
        "instruction": _text(rng),
        "input": rng.choice((_text(rng), Raw('""'), None)),
        rng.choice(("output", "response")): _text(rng),
        "topic": _topic(rng),
    }


def _twist_alpaca(rng: Random, draft: dict[str, Draft]) -> None:
    answers = [draft.pop(key) for key in ("output", "response") if key in draft]
    draft[rng.choice(("output", "response"))] = answers[0]
    draft[rng.choice(("system", "history", "other"))] = Raw(rng.choice(("null", '""', '"a"')))


def _document(rng: Random) -> dict[str, Draft]:
    return {"text": _text(rng), "topic": _topic(rng)}


def _twist_document(rng: Random, draft: dict[str, Draft]) -> None:
    draft["other"] = Raw(str(rng.randint(0, 3)))


class Layout(NamedTuple):
    """How to make the rows of a format, how to make them odd, and which roles to compare."""

    draft: Callable[[Random], dict[str, Draft]]
    twist: Callable[[Random, dict[str, Draft]], None]
    on: tuple[tuple[str, ...], ...]


LAYOUTS: dict[str, Layout] = {
    "chat": Layout(_chat, _twist_chat, ((), (), ("user",), ("assistant", "tool"), ("nobody",))),
    "alpaca": Layout(_alpaca, _twist_alpaca, ((), (), ("user",), ("assistant",))),
    "text": Layout(_document, _twist_document, ((), ("text",))),
}


def _spelled(rng: Random, draft: dict[str, Draft]) -> bytes:
    """One of the many ways to write a draft down, with a score of its own."""
    spelling = _Spelling(rng, rng.choice((0.0, 0.0, 0.1, 1.0)))
    score: dict[str, Draft] = {"score": Raw(rng.choice(SCORES))} if rng.random() < 0.8 else {}
    return spelling.json(draft | score).encode()


class _Spelling:
    def __init__(self, rng: Random, escaped: float) -> None:
        self.rng, self.escaped = rng, escaped
        self.form: Literal["NFC", "NFD"] = rng.choice(("NFC", "NFD"))
        self.case = rng.choice((str, str, str.upper, str.lower, str.title))
        self.space = rng.choice(("", " ", "\t "))

    def json(self, draft: Draft) -> str:
        match draft:
            case Raw():
                return draft
            case None:
                return "null"
            case Text():
                return self.string(self.text(draft))
            case list():
                return f"[{','.join(map(self.json, draft))}]"
            case dict():
                members = [self.member(key, value) for key, value in draft.items()]
                self.rng.shuffle(members)
                return f"{{{f'{self.space},'.join(members)}}}"

    def member(self, key: str, value: Draft) -> str:
        name = self.string(key)
        twice = (
            f"{name}: {self.rng.choice(('7', '[]', 'null'))}, " if self.rng.random() < 0.05 else ""
        )
        return f"{twice}{name}{self.space}:{self.space}{self.json(value)}"

    def text(self, text: Text) -> str:
        joints = (text.joint,) * 20 + ((", ", "  ", "\t\n", " — ") if text.joint else ())
        joined = "".join(self.rng.choice(joints) + self.case(word) for word in text.words)
        return unicodedata.normalize(self.form, joined)

    def string(self, text: str) -> str:
        return f'"{"".join(map(self.character, text))}"'

    def character(self, c: str) -> str:
        if c in SHORT_ESCAPES and (c in '"\\' or self.rng.random() < 0.5):
            return "\\" + SHORT_ESCAPES[c]
        if c < " " or "\ud800" <= c <= "\udfff" or self.rng.random() < self.escaped:
            units = c.encode("utf-16-be", "surrogatepass")
            codes = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
            return "".join("\\u" + self.rng.choice((code, code.upper())) for code in codes)
        return c

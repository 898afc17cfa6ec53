"""The same rows give the same bytes, whatever the threads, the memory, the packing and the shards.

The rows are enough for several blocks of band keys, and for several slices of them where memory is
short. What repeats is planted, so that it is known what must be found.
"""

import filecmp
import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

from running import Output, dedup

ROWS = 70_000
NGRAM, THRESHOLD = 3, 0.8
RESULTS = ("kept.jsonl", "removed.jsonl", "quarantine.jsonl", "decisions.jsonl")
BAD = {
    b'{"messages": [': "invalid-json",
    b'{"messages": [{"role": "user", "content": "\xff"}]}': "invalid-utf8",
    b'{"messages": 5}': "wrong-type",
    b'{"messages": [{"content": "whose?"}]}': "missing-field",
    b"[]": "not-an-object",
}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, compresslevel=1),
    ".zst": zstandard.ZstdCompressor(level=1).compress,
}

# Where ten shards begin, but for the first; some are empty, or hold one row.
CUTS = (0, 1, 1, 5_000, 20_000, 33_333, 65_536, 69_000, ROWS)

Said = dict[str, str]


class Row(NamedTuple):
    """A line, what it says in each role, and how it came to be."""

    made: str
    """`fresh`, `copy`, `edit` or `bad`."""
    origin: int
    """The fresh row that it was made from."""
    said: Said
    line: bytes


@dataclass(frozen=True)
class Corpus:
    """The rows, and what became of them."""

    rows: list[Row]
    path: Path
    folder: Path
    output: Output


def make(rng: random.Random) -> Iterator[Row]:
    """Chats in made-up words, of which a few are common and many are rare."""
    syllables = [one + two for one in "bdfgklmnprstvz" for two in ("a", "e", "i", "o", "u", "en")]
    words = syllables + [one + two for one in syllables for two in syllables[::3]]
    often = [*accumulate(1 / rank for rank in range(8, 8 + len(words)))]

    def sentence(least: int, most: int) -> str:
        said = rng.choices(words, cum_weights=often, k=rng.randrange(least, most))
        return " ".join(said).capitalize() + rng.choice(".?!")

    systems = [sentence(8, 20) for _ in range(3)]
    before: list[tuple[int, Said]] = []
    for number in range(ROWS):
        (made,) = rng.choices(("fresh", "copy", "edit", "bad"), (70, 10, 18, 2))
        if made == "bad":
            yield Row(made, number, {}, rng.choice(list(BAD)))
            continue
        if made == "fresh":
            texts = (rng.choice(systems), sentence(8, 20), sentence(30, 60))
            origin, said = number, dict(zip(("system", "user", "assistant"), texts, strict=True))
        else:
            origin, said = rng.choice(before)
        if made == "edit":
            role = rng.choice(("user", "assistant", "assistant"))
            said = said | {role: edited(said[role], rng, rng.choice(words))}
        before.append((origin, said))
        yield Row(made, origin, said, spelled(said, number))


def edited(text: str, rng: random.Random, by: str) -> str:
    """A text with one word more, less or other."""
    words = text.split()
    at = rng.randrange(len(words))
    words[at : at + rng.randrange(2)] = [by] * rng.randrange(2)
    return " ".join(words)


def spelled(said: Said, number: int) -> bytes:
    """A chat in one of several spellings of the same text."""
    turns = [{"role": role, "content": text} for role, text in said.items()]
    match number % 3:
        case 0:
            return json.dumps({"messages": turns}, separators=(",", ":")).encode()
        case 1:
            return b"  %b \r" % json.dumps({"id": number, "messages": turns}).encode()
        case _:
            return json.dumps({"messages": turns}).replace("e", r"\u0065").encode()


def similarity(one: Said, other: Said) -> dict[str, list[int]]:
    """Shared and united n-grams of two rows in each role."""
    sets = [(ngrams(one[role]), ngrams(other[role])) for role in one]
    return {
        role: [len(mine & its), len(mine | its)]
        for role, (mine, its) in zip(one, sets, strict=True)
    }


def ngrams(text: str) -> set[tuple[str, ...]]:
    words = re.findall("[a-z]+", text.lower())
    return {tuple(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))}


def are_near(found: dict[str, list[int]]) -> bool:
    return all(shared >= THRESHOLD * united for shared, united in found.values())


def shard(
    rows: list[Row], folder: Path, cuts: Sequence[int], packings: Sequence[str]
) -> list[tuple[str, int, int]]:
    """Write rows into files of a folder; the file, line and byte where each now begins."""
    folder.mkdir()
    begins = []
    for number, (first, last) in enumerate(pairwise([0, *cuts, len(rows)])):
        packing = packings[number % len(packings)]
        lines = [row.line + b"\n" for row in rows[first:last]]
        path = folder / f"{number}.jsonl{packing}"
        path.write_bytes(PACK[packing](b"".join(lines)))
        bytes_before = accumulate(map(len, lines), initial=0)
        begins += [(str(path), line, byte) for line, byte in zip(count(1), bytes_before)][:-1]
    return begins


def placeless(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision without what sharding may change."""
    rest = {key: value for key, value in decision.items() if key not in ("file", "line", "byte")}
    return rest | ({"witness": rest["witness"]["row"]} if "witness" in rest else {})


def differing(one: Path, other: Path, *names: str) -> list[str]:
    """Those of the named files that two folders hold with different bytes."""
    return [name for name in names if not filecmp.cmp(one / name, other / name, shallow=False)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    rows = list(make(random.Random(20)))
    path = folder / "data"
    shard(rows, path, (), ("",))
    return Corpus(rows, path, folder / "out", dedup(folder / "out", path, "--threads", "2"))


def check_removals(rows: list[Row], output: Output) -> None:
    """No row is removed without a kept row before it that is as similar as it is said to be."""
    fates = output.fates()
    for decision in output.decisions:
        if decision["state"] == "quarantined":
            continue
        number, witness = decision["row"], decision["witness"]["row"]
        assert witness < number
        assert fates[witness] == "kept"
        found = similarity(rows[number].said, rows[witness].said)
        if decision["reason"] == "exact-duplicate":
            assert rows[number].said == rows[witness].said
        else:
            assert decision["roles"] == found
            assert are_near(found)
            assert [decision["shared"], decision["united"]] in found.values()


def test_nothing_is_lost(corpus: Corpus) -> None:
    assert corpus.output.rows() == [row.line for row in corpus.rows]
    quarantined = {
        decision["row"]: decision["reason"]
        for decision in corpus.output.decisions
        if decision["state"] == "quarantined"
    }
    assert quarantined == {
        number: BAD[row.line] for number, row in enumerate(corpus.rows) if row.made == "bad"
    }


@pytest.mark.parametrize(("alike", "missing"), [("each-role", 0.001), ("consensus", 0.1)])
def test_what_was_planted_is_found(
    corpus: Corpus, tmp_path: Path, alike: str, missing: float
) -> None:
    """By consensus, rows stay whose edits meet in one place: nobody can tell which was edited."""
    output = dedup(tmp_path / "out", corpus.path, "--alike", alike)
    fates = output.fates()
    witness = {
        decision["row"]: decision["witness"]["row"]
        for decision in output.decisions
        if decision["state"] == "removed"
    }
    first: dict[str, int] = {}
    near, missed = 0, 0
    for number, row in enumerate(corpus.rows):
        if row.made == "bad":
            continue
        same = first.setdefault(json.dumps(row.said), number)
        if row.made == "fresh":
            assert fates[number] == "kept"
        elif same < number and fates[same] == "kept":
            assert (fates[number], witness[number]) == ("exact-duplicate", same)
        elif same < number:
            assert (fates[number], witness[number]) == (fates[same], witness[same])
        elif are_near(similarity(row.said, corpus.rows[row.origin].said)):
            near += 1
            missed += fates[number] == "kept"
    assert near > 5000
    assert missed <= near * missing


def test_no_removal_is_false(corpus: Corpus) -> None:
    check_removals(corpus.rows, corpus.output)


def test_another_seed_changes_at_most_what_is_missed(corpus: Corpus, tmp_path: Path) -> None:
    output = dedup(tmp_path / "out", corpus.path, "--seed", "18446744073709551615")
    check_removals(corpus.rows, output)
    changed = set(output.kept) ^ set(corpus.output.kept)
    assert len(changed) < len(corpus.output.removed) / 1000


@pytest.mark.parametrize(
    "options",
    [
        ("--threads", "1"),
        ("--threads", "7"),
        ("--memory", "16MiB"),
        ("--memory", "1KiB", "--threads", "3"),
    ],
    ids=" ".join,
)
def test_threads_and_memory_change_nothing(
    corpus: Corpus, tmp_path: Path, options: tuple[str, ...]
) -> None:
    dedup(tmp_path / "out", corpus.path, *options)
    assert differing(corpus.folder, tmp_path / "out", *RESULTS, "report.json") == []
    runs = (
        json.loads((out / "run.json").read_bytes()) for out in (corpus.folder, tmp_path / "out")
    )
    compared, again = (run["pairs_compared"] for run in runs)
    assert compared == again > 5000  # as one thread meets them: never with a row that is not kept


@pytest.mark.parametrize(
    ("cuts", "packings"),
    [((), (".gz",)), ((), (".zst",)), (CUTS, ("",)), (CUTS, (".gz", "", ".zst"))],
    ids=["gz", "zst", "ten shards", "ten packed shards"],
)
def test_packing_and_shards_change_places_only(
    corpus: Corpus, tmp_path: Path, cuts: tuple[int, ...], packings: tuple[str, ...]
) -> None:
    begins = shard(corpus.rows, tmp_path / "data", cuts, packings)
    output = dedup(tmp_path / "out", tmp_path / "data", "--threads", "2")
    assert differing(corpus.folder, tmp_path / "out", *RESULTS[:3]) == []
    expected = map(placeless, corpus.output.decisions)
    assert all(
        placeless(decision) == other
        for decision, other in zip(output.decisions, expected, strict=True)
    )
    for decision in output.decisions:
        file, line, byte = begins[decision["row"]]
        assert (decision["file"], decision["line"], decision["byte"]) == (file, line, byte)
        if witness := decision.get("witness"):
            assert (witness["file"], witness["line"]) == begins[witness["row"]][:2]


def test_an_empty_shard_changes_nothing(tmp_path: Path) -> None:
    """Documents are compared in another way than conversations; a file without rows is neither."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [b'{"text": "%b %d"}' % (b" ".join([b"word"] * 7), number) for number in range(9)]
    (folder / "a.jsonl").write_bytes(b"\n".join(rows))
    alone = dedup(tmp_path / "alone", folder).report["settings"]
    for name, data in (
        ("0.jsonl", b""),
        ("b.jsonl", b"\n\n"),
        ("c.json", b"[]"),
        ("d.jsonl", b"{"),
    ):
        (folder / name).write_bytes(data)
    assert dedup(tmp_path / "all", folder).report["settings"] == alone

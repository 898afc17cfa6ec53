"""Inputs of every odd kind, and the folders that runs of every kind leave of them."""

import gzip
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from hypothesis import strategies as st

from conftest import chat
from curatekit.curate import DRY, curate
from curatekit.output import Packing
from curatekit.recipe import read
from curatekit.run import deduplicate
from curatekit.settings import Settings
from recipes import write_recipe

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": zstandard.ZstdCompressor().compress,
}
EVERYTHING: list[dict[str, object]] = [
    {"use": "text.whitespace"},
    {"use": "odd_plugin.echo"},
    {"use": "near-dedup"},
    {"use": "odd_plugin.short"},
    {"use": "quality.length", "id": "long", "mode": "flag", "min_chars": 45},
    {"use": "odd_plugin.length"},
    {"use": "odd_plugin.odd", "how": "raise", "on_error": "quarantine", "max_failures": 1.0},
    {"use": "sort-by", "column": "length.half"},
    {"use": "odd_plugin.twice"},
    {"use": "sample", "share": 0.8},
]
"""Normalizer, generator, filters, scorer, quarantine, order, copies and a choice."""
RECIPES: dict[str, list[dict[str, object]]] = {
    "near": [{"use": "near-dedup"}],
    "late": [{"use": "text.whitespace"}, {"use": "odd_plugin.short"}, {"use": "exact-dedup"}],
    "sorted": [{"use": "sort-by", "column": "chars", "descending": True}],
    "everything": EVERYTHING,
}
RUNS = ("dedup", *RECIPES)


@dataclass(frozen=True)
class File:
    """A file that is an input, and what is in it."""

    name: str
    data: bytes
    """Decompressed."""
    packing: str

    @property
    def is_lines(self) -> bool:
        """Whether it is one row a line."""
        return ".jsonl" in self.name

    def write(self, folder: Path) -> Path:
        """Write it, packed if that is how it is."""
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PACK[self.packing](self.data))
        return path

    def is_like(self, data: bytes) -> bool:
        """Tell whether what came back is this: the same bytes, or, if these may not be, as JSON."""
        if self.is_lines:
            return data == self.data
        mine, its = (json.loads(one.decode("utf-8-sig")) for one in (self.data, data))
        return len(data) == len(self.data) and bool(mine == its)


def _rows() -> st.SearchStrategy[dict[str, object]]:
    says = ["who?", "why  so?", "tell me", "a trigger", "Ähre\r\n und Äcker", "😀", ""]
    told = [
        "because of the willow at the mill",
        "stone  by\tstone and bridge by bridge, it is ",
        "no",
    ]
    return st.builds(chat, st.sampled_from(says), st.sampled_from(told))


def _line() -> st.SearchStrategy[bytes]:
    rows = _rows().map(lambda row: json.dumps(row, ensure_ascii=False).encode())
    odd = [b"{", b"7", b'"x"', b'{"messages": 7}', b"\xc3(", b'{"a": "\\ud800"}', b"x\x00\r"]
    return st.one_of(rows, rows, rows, st.sampled_from(odd))


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    lines = draw(
        st.lists(st.tuples(_line(), st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \r\n"])))
    )
    whole = b"".join(line + ending for line, ending in lines)
    if draw(st.booleans()) and lines:
        whole = whole.rstrip()
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\n\n"])) + whole


@st.composite
def _array(draw: st.DrawFn) -> bytes:
    elements: list[object] = draw(
        st.lists(st.one_of(_rows(), st.sampled_from([7, None, [], {"a": {}}])))
    )
    indent = draw(st.sampled_from([None, 2]))
    before = draw(st.sampled_from(["", " \n", "\ufeff"]))
    return f"{before}{json.dumps(elements, indent=indent)}\r\n ".encode()


def _object() -> st.SearchStrategy[bytes]:
    return _rows().map(lambda row: b"\n" + json.dumps(row, indent=2).encode() + b"\n\n")


@st.composite
def inputs(draw: st.DrawFn, *, packed: bool = True) -> list[File]:
    """Some files of every kind, in folders."""
    kinds = {"jsonl": _lines(), "json": st.one_of(_array(), _object())}
    files = []
    for number in range(draw(st.integers(1, 4))):
        ending = draw(st.sampled_from(["jsonl", "jsonl", "json"]))
        packing = draw(st.sampled_from(sorted(PACK))) if packed else ""
        folder = draw(st.sampled_from(["", "a/", "a/b/"]))
        name = f"data/{folder}{number}.{ending}{packing}"
        files.append(File(name, draw(kinds[ending]), packing))
    return files


def packings() -> st.SearchStrategy[Packing]:
    """Every way to write files of rows."""
    return st.builds(
        Packing,
        shard_bytes=st.sampled_from([None, 1, 300]),
        compress=st.sampled_from(["none", "zst"]),
        removed=st.just("copy"),
    )


def carry_out(
    what: str,
    folder: Path,
    paths: Sequence[Path],
    packing: Packing,
    **options: Any,  # noqa: ANN401 (those of `curate`)
) -> Path:
    """Carry out a run of some kind into `out`; of a dry run, give the folder of the prediction."""
    out = folder / "out"
    if what == "dedup":
        settings = Settings(format="chat", max_drop_millis=1000)
        deduplicate([str(path) for path in paths], out, settings, packing=packing)
        return out
    recipe = write_recipe(
        folder,
        RECIPES[what],
        input=[str(path) for path in paths],
        format="chat",
        brakes={"max_drop_share": 1.0},
    )
    curate(read(recipe), workers=1, packing=packing, **options)
    return out.with_name(f"out{DRY}") if options.get("is_dry") else out


def expected(paths: Sequence[Path], packings: Sequence[str]) -> list[str]:
    """Where inputs are restored to, below the new folder."""
    shared = os.path.commonpath([path.parent for path in paths])
    return [
        os.path.relpath(path, shared).removesuffix(packing)
        for path, packing in zip(paths, packings, strict=True)
    ]

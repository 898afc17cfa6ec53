"""Write the frozen Unicode tables: `tables.rs` for the core, `table.tsv` for readers without Rust.

    pip install unicodedata2==18.0.0
    python generate.py [--check]

The standard library's own tables change with the interpreter and the compiler, and dedup would
change with them; these change only when somebody runs this and commits the result, which is a new
version of the text rules. Case is the one property that `unicodedata2` lacks: it comes from Python
(3.11 knows Unicode 14), and for capital letters that Python does not know yet, from their names.
"""

import sys
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby
from pathlib import Path
from typing import NamedTuple

import unicodedata2 as ucd

VERSION = "18.0.0"
HERE = Path(__file__).parent
SURROGATES = range(0xD800, 0xE000)
HANGUL = range(0xAC00, 0xD7A4)
SCALARS = [chr(i) for i in range(sys.maxunicode + 1) if i not in SURROGATES]
BLOCK = 128
WIDTH = 100

CLASSES = ("break", "word", "digit", "unspaced", "extend", "symbol")
ASCII_SYMBOLS = "+-*/=<>^%"
# Scripts written without spaces, told by the beginnings of their characters' names.
UNSPACED = (
    "CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "IDEOGRAPHIC ",
    "VERTICAL IDEOGRAPHIC ", "HANGZHOU NUMERAL ", "HIRAGANA ", "HENTAIGANA ", "KATAKANA ",
    "KATAKANA-HIRAGANA ", "HALFWIDTH KATAKANA ", "HALFWIDTH KATAKANA-HIRAGANA ",
    "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ",
)  # fmt: skip
# Marks that belong to no script, though they cannot be reordered.
SCRIPTLESS = ("COMBINING ", "VARIATION SELECTOR", "MUSICAL SYMBOL ", "ZNAMENNY ")
# Capitals whose small letter is not the one of the corresponding name.
MISNAMED = {"\u018e": "\u01dd"}


class Facts(NamedTuple):
    """What the table says about a scalar; the fold is empty for Hangul and what folds to itself."""

    kind: str
    order: int
    fold: str


NOTHING = Facts("break", 0, "")


def lower(c: str) -> str:
    """The simple lower case of a scalar."""
    named = named_lower(c)
    if unicodedata.category(c) == "Cn":
        return named
    small = c.lower()
    if named not in (c, small) and MISNAMED.get(c) != small:
        sys.exit(f"U+{ord(c):04X}: its small letter is not the one of its name")
    return small if len(small) == 1 else c


def named_lower(c: str) -> str:
    """The small letter that the name of a capital letter promises, if any."""
    if ucd.category(c) != "Lu" or ucd.decomposition(c):
        return c
    small = ucd.name(c).replace(" CAPITAL ", " SMALL ")
    try:
        return str(ucd.lookup(small))
    except KeyError:
        if unicodedata.category(c) == "Cn":
            sys.exit(f"U+{ord(c):04X}: no small letter has its name")
        return c


def fold(c: str) -> str:
    """Canonical decomposition, then simple lower case."""
    return "".join(map(lower, ucd.normalize("NFD", c)))


def kind(c: str) -> str:
    """The class of a scalar: that of the first of its decomposition, so that both forms agree."""
    c = ucd.normalize("NFD", c)[0]
    category, name = ucd.category(c), ucd.name(c, "")
    if category[0] == "M" and (ucd.combining(c) or name.startswith(SCRIPTLESS)):
        return "extend"
    if (category[0] in "LM" or category == "Nl") and name.startswith(UNSPACED):
        return "unspaced"
    if category == "Nd":
        return "digit"
    if category[0] in "LMN":
        return "word"
    if c in ASCII_SYMBOLS or category in ("Sm", "Sc"):
        return "symbol"
    return "break"


def facts(c: str) -> Facts:
    """All that the table says about a scalar."""
    folded = "" if ord(c) in HANGUL else fold(c)
    return Facts(kind(c), ucd.combining(c), "" if folded == c else folded)


def broken(table: dict[str, Facts]) -> Iterator[str]:
    """Whatever does not hold of what the core relies on."""
    for c in SCALARS:
        folded, same, order = fold(c), table[c].kind, table[c].order
        if ucd.normalize("NFD", folded) != folded or "".join(map(fold, folded)) != folded:
            yield f"U+{ord(c):04X}: its fold folds further"
        if table[folded[0]].kind != same or {table[d].kind for d in folded[1:]} - {"extend", same}:
            yield f"U+{ord(c):04X}: its fold is of another class"
        # The order of marks is settled within a run, so a mark that can move must never end one.
        if order and (same != "extend" or lower(c) != c):
            yield f"U+{ord(c):04X}: reordering would change more than its place"


def blocks(values: list[int]) -> tuple[list[int], list[int]]:
    """A two-stage table: the number of each run of `BLOCK` values, and the distinct runs in order.

    Number 0 is all zeros, and the index ends where only that follows.
    """
    runs = [tuple(values[i : i + BLOCK]) for i in range(0, len(values), BLOCK)]
    number = {(0,) * BLOCK: 0}
    index = [number.setdefault(run, len(number)) for run in runs]
    while index[-1] == 0:
        index.pop()
    return index, [value for run in number for value in run]


def wrapped(items: Iterable[str]) -> Iterator[str]:
    """Lines of a list in Rust."""
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > WIDTH:
            yield line
            line = "   "
        line += f" {item},"
    yield line


def array(about: str, name: str, of: str, items: list[str]) -> str:
    """A documented array in Rust."""
    head = f"/// {about}\n#[rustfmt::skip]\npub static {name}: [{of}; {len(items)}] = ["
    return "\n".join((head, *wrapped(items), "];"))


def numbers(about: str, name: str, values: list[int]) -> str:
    """A documented array of the smallest integers that will do."""
    size = next(bits for bits in (8, 16, 32) if max(values) < 1 << bits)
    return array(about, name, f"u{size}", list(map(str, values)))


def rust(table: dict[str, Facts]) -> str:
    """The tables as `mod.rs` reads them."""
    every = [table.get(chr(i), NOTHING) for i in range(sys.maxunicode + 1)]
    traits = sorted({(CLASSES.index(f.kind), f.order) for f in every})
    number = {trait: i for i, trait in enumerate(traits)}
    trait_index, trait_blocks = blocks([number[CLASSES.index(f.kind), f.order] for f in every])
    folds = sorted({f.fold for f in every})
    fold_number = {fold: i for i, fold in enumerate(folds)}
    fold_index, fold_blocks = blocks([fold_number[f.fold] for f in every])
    ends = list(accumulate(map(len, folds)))
    return "\n".join((
        f"//! Generated by `generate.py` from Unicode {VERSION}. Do not edit.",
        "",
        "use super::Class;",
        "",
        "/// Version of Unicode that all facts here are taken from.",
        f'pub const VERSION: &str = "{VERSION}";',
        "/// Scalars a block.",
        f"pub const BLOCK: usize = {BLOCK};",
        array("The distinct pairs of class and combining class.", "TRAITS", "(Class, u8)",
              [f"(Class::{CLASSES[k].title()}, {order})" for k, order in traits]),
        numbers("Block of `TRAIT_BLOCKS` by scalar / `BLOCK`; what lies beyond is block 0.",
                "TRAIT_INDEX", trait_index),
        numbers("Place in `TRAITS` by block * `BLOCK` + scalar % `BLOCK`.",
                "TRAIT_BLOCKS", trait_blocks),
        numbers("Block of `FOLD_BLOCKS` by scalar / `BLOCK`; what lies beyond is block 0.",
                "FOLD_INDEX", fold_index),
        numbers("Place in `FOLD_ENDS`; 0 is a scalar that folds to itself, or Hangul.",
                "FOLD_BLOCKS", fold_blocks),
        numbers("Where each fold ends in `FOLDS`; it begins where the one before ends.",
                "FOLD_ENDS", ends),
        array("All folds, end to end.", "FOLDS", "char",
              [f"'\\u{{{ord(c):x}}}'" for c in "".join(folds)]),
        "",
    ))  # fmt: skip


def tsv(table: dict[str, Facts]) -> str:
    """The same facts for any reader: a line for each run of scalars that are alike."""

    def alike(c: str) -> tuple[Facts, str, bool]:
        return table[c], c if table[c].fold else "", ord(c) < SURROGATES.start

    lines = [
        f"# Unicode {VERSION}: class, combining class, fold. Generated by `generate.py`.",
        "# Not listed: break, 0, folds to itself. A fold is the canonical decomposition in simple",
        "# lower case; `-` is the scalar itself, but Hangul syllables (AC00..D7A3) decompose by",
        "# arithmetic (The Unicode Standard, section 3.12).",
        "# first\tlast\tclass\tcombining\tfold",
    ]
    for (fact, *_), run in groupby(SCALARS, alike):
        if fact != NOTHING:
            scalars = list(run)
            ends = f"{ord(scalars[0]):04X}\t{ord(scalars[-1]):04X}"
            folded = " ".join(f"{ord(c):04X}" for c in fact.fold) or "-"
            lines.append(f"{ends}\t{fact.kind}\t{fact.order}\t{folded}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both files, or with `--check` fail if they are not what would be written."""
    if ucd.unidata_version != VERSION:
        sys.exit(f"generate.py: needs unicodedata2=={VERSION}")
    table = {c: facts(c) for c in SCALARS}
    if problems := list(broken(table)):
        sys.exit("\n".join(problems))
    for name, text in (("tables.rs", rust(table)), ("table.tsv", tsv(table))):
        file = HERE / name
        if sys.argv[1:] != ["--check"]:
            file.write_text(text, encoding="utf-8", newline="\n")
        elif file.read_text(encoding="utf-8") != text:
            sys.exit(f"{file}: not what generate.py writes\nhint: run it without --check")


if __name__ == "__main__":
    main()

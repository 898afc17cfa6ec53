"""Filters on the shape of a text: how long it is, what it is made of, how often it repeats itself.

They know no language and no topic. The limits are those of Rae et al. 2021 ("Scaling Language
Models: Methods, Analysis & Insights from Training Gopher", table A1), where it has them.
"""

from collections import Counter
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from curatekit.hookspecs import hookimpl
from curatekit.records import Batch
from curatekit.steps import Filter, Options, Step, Verdicts

__all__ = ["Length", "Repetition", "Symbols"]

CURATEKIT_API = 1

Share = Annotated[float, Meta(ge=0, le=1)]


class LengthOptions(Options):
    """Least and greatest length; the greatest is allowed."""

    min_chars: Annotated[int, Meta(ge=0, description="Fewest characters.")] = 1
    max_chars: Annotated[int, Meta(ge=0, description="Most characters.")] = 100_000
    min_words: Annotated[int, Meta(ge=0, description="Fewest words, between spaces.")] = 0
    role: Annotated[
        str | None, Meta(description="Whose texts are measured, as `assistant`; null for all.")
    ] = None


class Length(Filter):
    """Drop records whose texts are too short or too long.

    The texts of a record are measured together.
    """

    name = "length"
    reasons = ("too-short", "too-long")
    Options = LengthOptions
    options: LengthOptions

    def check(self, batch: Batch) -> Verdicts:
        """Compare numbers of characters and words with the limits; they are the evidence."""
        if self.options.role is None:
            chars, words = batch.column("chars"), batch.column("words")
        else:
            texts = batch.texts(self.options.role)
            chars = np.fromiter(map(len, texts), np.uint64, len(batch))
            words = np.fromiter((len(text.split()) for text in texts), np.uint64, len(batch))
        too_short = (chars < self.options.min_chars) | (words < self.options.min_words)
        too_long = chars > self.options.max_chars
        codes = np.select([too_short, too_long], [1, 2], 0).astype(np.uint8)
        evidence: list[str | None] = [None] * len(batch)
        for at in np.flatnonzero(codes).tolist():
            evidence[at] = f"{chars[at]} characters, {words[at]} words"
        return Verdicts(codes=codes, evidence=evidence)


class SymbolsOptions(Options):
    """Greatest shares of the characters that are no spaces."""

    max_symbol_share: Annotated[
        Share, Meta(description="Most that may be neither letters, marks nor digits.")
    ] = 0.5
    max_digit_share: Annotated[Share, Meta(description="Most that may be digits.")] = 0.5


class Symbols(Filter):
    """Drop records whose texts are made of symbols or digits more than of letters."""

    name = "symbols"
    reasons = ("too-many-symbols", "too-many-digits")
    Options = SymbolsOptions
    options: SymbolsOptions

    def check(self, batch: Batch) -> NDArray[np.uint8]:
        """Compare shares with the limits; a text of spaces has none."""
        visible = np.maximum(batch.column("chars") - batch.column("spaces"), 1)
        symbols = batch.column("symbols") / visible > self.options.max_symbol_share
        digits = batch.column("digits") / visible > self.options.max_digit_share
        return np.select([symbols, digits], [1, 2], 0).astype(np.uint8)


class RepetitionOptions(Options):
    """Greatest shares of what a text says again."""

    max_duplicate_line_share: Annotated[
        Share, Meta(description="Most of the lines that may repeat an earlier one.")
    ] = 0.3
    max_ngram_share: Annotated[
        Share, Meta(description="Most of the words that one n-gram may fill by coming back.")
    ] = 0.18
    ngram: Annotated[int, Meta(ge=1, description="Words of an n-gram.")] = 3


class Repetition(Filter):
    """Drop records in which lines or a run of words come again and again.

    Blank lines do not count, and neither does an n-gram that stands only once. A record is dropped
    if one of its texts is.
    """

    name = "repetition"
    reasons = ("duplicate-lines", "repeated-ngram")
    Options = RepetitionOptions
    options: RepetitionOptions

    def check(self, batch: Batch) -> Verdicts:
        """Look at each part by itself; the first that repeats itself too much is the evidence."""
        codes = np.zeros(len(batch), np.uint8)
        evidence: list[str | None] = [None] * len(batch)
        for row, text in zip(batch.part_row.tolist(), batch.parts, strict=True):
            if codes[row] == 0:
                codes[row], evidence[row] = self._judge(text)
        return Verdicts(codes=codes, evidence=evidence)

    def _judge(self, text: str) -> tuple[int, str | None]:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        share = 1 - len(set(lines)) / len(lines) if lines else 0.0
        if share > self.options.max_duplicate_line_share:
            return 1, f"{share:.2f} of {len(lines)} lines"
        words = text.lower().split()
        grams = Counter(zip(*(words[at:] for at in range(self.options.ngram)), strict=False))
        gram, times = max(grams.items(), key=lambda item: item[1], default=((), 0))
        # Those of "no no no" overlap, and fill no more words than there are.
        share = min(1.0, times * self.options.ngram / len(words)) if times > 1 else 0.0
        if share > self.options.max_ngram_share:
            return 2, f"`{' '.join(gram)}` {times} times in {len(words)} words"
        return 0, None


@hookimpl
def register_steps() -> list[type[Step]]:
    """Name the filters."""
    return [Length, Repetition, Symbols]

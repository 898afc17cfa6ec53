"""Normalizers of characters and white space: how a text is written, not what it says.

Each of them is idempotent: what it gives, it leaves as it is.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from curatekit.hookspecs import hookimpl
from curatekit.records import Batch
from curatekit.steps import Normalizer, Options, Step

__all__ = ["Unicode", "Whitespace"]

CURATEKIT_API = 1

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""Controls but tab, line feed, carriage return and next line, which are white space."""
_WITHOUT_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Myanmar and Khmer, where a space without width stands between words."""
_UNSEEN = re.compile(
    "[\u00ad\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb]"
    f"|(?<![{_WITHOUT_SPACES}])\u200b(?![{_WITHOUT_SPACES}])"
)
"""Characters without a shape; joiners, direction marks and the like are needed by scripts."""
_BREAKS = re.compile("\r\n|[\r\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
"""Spaces of other widths; the ideographic space belongs to its script."""
_TRAILING = re.compile("[ \t]+$", re.MULTILINE)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


class UnicodeOptions(Options):
    """How characters are written."""

    form: Annotated[
        Literal["NFC", "NFD", "NFKC", "NFKD"],
        Meta(description="Normal form. The K forms also write `①` as `1` and `ﬁ` as `fi`."),
    ] = "NFC"
    remove_controls: Annotated[
        bool, Meta(description="Take out control characters that are no white space.")
    ] = True
    remove_unseen: Annotated[
        bool,
        Meta(description="Take out byte order marks, soft hyphens and spaces without width."),
    ] = True


class Unicode(Normalizer):
    """Write characters in one normal form, without those that nobody can see.

    Source: Unicode Standard Annex 15, Unicode Normalization Forms.
    """

    name = "unicode"
    Options = UnicodeOptions
    options: UnicodeOptions

    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        """Give each part in its normal form."""
        return [None if _is_plain(text) else self._of(text) for text in batch.parts]

    def _of(self, text: str) -> str:
        if self.options.remove_controls:
            text = _CONTROLS.sub("", text)
        if self.options.remove_unseen:
            text = _UNSEEN.sub("", text)
        return unicodedata.normalize(self.options.form, text)


class WhitespaceOptions(Options):
    """How white space is written."""

    max_blank_lines: Annotated[
        int, Meta(ge=0, description="Most blank lines between two others.")
    ] = 2
    plain_spaces: Annotated[
        bool, Meta(description="Write spaces of other widths, as no-break ones, as plain spaces.")
    ] = True
    strip: Annotated[
        bool, Meta(description="Take out blank lines at the beginning and white space at the end.")
    ] = True


class Whitespace(Normalizer):
    """Write line breaks as line feeds, and take out trailing spaces and too many blank lines.

    Indentation and spaces within a line stay, since code and tables need them.
    """

    name = "whitespace"
    Options = WhitespaceOptions
    options: WhitespaceOptions

    def __init__(self, options: WhitespaceOptions | dict[str, object] | None = None) -> None:
        super().__init__(options)
        most = self.options.max_blank_lines
        self._blank = re.compile(f"\n{{{most + 2},}}")
        self._most = "\n" * (most + 1)

    def rewrite(self, batch: Batch) -> Sequence[str | None]:
        """Give each part with its white space as it should be."""
        return [self._of(text) for text in batch.parts]

    def _of(self, text: str) -> str:
        text = _BREAKS.sub("\n", text)
        if self.options.plain_spaces:
            text = _SPACES.sub(" ", text)
        text = _TRAILING.sub("", text)
        if self.options.strip:
            text = text.rstrip().lstrip("\n")
        return self._blank.sub(self._most, text)


@hookimpl
def register_steps() -> list[type[Step]]:
    """Name the normalizers."""
    return [Unicode, Whitespace]

"""What deserves a second look after a run, though nothing failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from curatekit.settings import Settings

if TYPE_CHECKING:
    from curatekit._native import Summary


class Notice(Struct, frozen=True):
    """Something that is no error, and that a person should know."""

    id: str
    message: str
    hint: str | None = None


def notices(settings: Settings, summary: Summary) -> Iterator[Notice]:
    """Look through the counts of a run for what its owner would want to be told."""
    if not summary["rows"]:
        yield Notice("no-rows", "the inputs hold no rows")
    yield from _layout(settings, summary)
    yield from _nothing_compared(settings, summary)
    yield from _short_rows(settings, summary)
    if rows := summary["differ_elsewhere"]:
        yield Notice(
            "differ-elsewhere",
            f"{_count(rows, 'removed row')} differing from the witness outside what was compared",
            None if settings.on else "`--also FIELD` compares one more field",
        )
    if rows := summary["rows_without_score"]:
        field = settings.keep.removeprefix("best:")
        yield Notice(
            "rows-without-score",
            f"{_count(rows, 'row')} without a number in `{field}`: any row that has one goes first",
        )
    if rows := summary["lone_surrogates"]:
        yield Notice(
            "lone-surrogates", f"{_count(rows, 'row')} with half of a surrogate pair in the text"
        )
    if keys := summary["duplicate_keys"]:
        yield Notice(
            "duplicate-keys", f"{_count(keys, 'key')} twice in one object: the last one counts"
        )


def _layout(settings: Settings, summary: Summary) -> Iterator[Notice]:
    unknown = [file["name"] for file in summary["files"] if file["format"] == "record"]
    if settings.format == "auto" and unknown:
        others = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        yield Notice(
            "unknown-layout",
            f"{unknown[0]}{others}: layout not known, so every string of a row is compared",
            "`--field NAME` compares one field, `--format` names the layout",
        )


def _nothing_compared(settings: Settings, summary: Summary) -> Iterator[Notice]:
    if rows := summary["rows_without_text"]:
        roles = ", ".join(f"`{role}`" for role in settings.on)
        where = f" of role {roles}" if roles else ""
        yield Notice(
            "rows-without-text", f"{_count(rows, 'row')} without text{where} to compare: kept"
        )
    if rows := summary["rows_without_tokens"]:
        yield Notice(
            "rows-without-tokens",
            f"{_count(rows, 'row')} with text but no word: compared exactly only",
        )


def _short_rows(settings: Settings, summary: Summary) -> Iterator[Notice]:
    """Warn where one word replaced in the middle makes two rows of median size too different.

    It changes n of the S shingles on each side, which leaves S - n shared and S + n united.
    """
    ngram, shingles, millis = (
        summary["ngram"],
        summary["median_shingles"],
        settings.threshold_millis,
    )

    def survives(size: int) -> bool:
        left = shingles + ngram - size  # the same words, in shingles of `size`
        return (left - size) * 1000 >= millis * (left + size)

    if settings.method == "exact" or not shingles or millis == 1000 or survives(ngram):  # noqa: PLR2004
        return
    better = next((size for size in range(ngram - 1, 0, -1) if survives(size)), None)
    yield Notice(
        "short-rows",
        f"half of the rows have at most {shingles:,} shingles: one word replaced makes such a row "
        f"less than {millis / 1000} alike",
        f"`--ngram {better}` would still find them"
        if better
        else "a lower `--threshold` would still find them",
    )


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"

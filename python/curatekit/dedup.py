"""Duplicates: which rows repeat another one, exactly or nearly.

Rows keep the order of the inputs, and the first of its kind stays, or the best, if that is asked
for: a row is removed only if a row that is kept itself is verified, on the text, to be its
duplicate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curatekit import _native
from curatekit.formats import FORMATS
from curatekit.inputs import Inputs, expand
from curatekit.output import DECISIONS, PLAIN, STEMS, Packing, staged
from curatekit.settings import (
    Alike,
    Io,
    Method,
    Numbers,
    OnError,
    Recall,
    Settings,
    parse_names,
    parse_size,
    parse_threshold,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curatekit._native import Ahead, Decided, Problem, Progress, Summary
    from curatekit.publish import Publisher


class Decisions:
    """What was decided for every row of the inputs: columns over rows, and their counts.

    The columns are numpy arrays of one value a row, in the order of the inputs. The inputs stay
    open until this object is gone.
    """

    def __init__(self, decided: Decided, method: Method = "near") -> None:
        self._decided = decided
        self._method = method

    @property
    def summary(self) -> Summary:
        """Counts, the settings as they were resolved, and what is worth knowing about each file."""
        return self._decided.summary

    @cached_property
    def state(self) -> NDArray[np.uint8]:
        """0 kept, 1 removed as exact duplicate, 2 as near-duplicate, 3 quarantined; `(rows,)`."""
        return self._decided.state()

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Whether the row is kept; `(rows,)`."""
        kept: NDArray[np.bool_] = self.state == 0
        return kept

    @cached_property
    def witness(self) -> NDArray[np.uint64]:
        """The kept row that stands for this one, itself where it was not removed; `(rows,)`."""
        return self._decided.witness()

    @cached_property
    def shared(self) -> NDArray[np.uint32]:
        """Shingles that a near-duplicate and its witness share, else 0; `(rows,)`.

        They are those of the role in which the two are least alike.
        """
        return self._decided.shared()

    @cached_property
    def united(self) -> NDArray[np.uint32]:
        """Shingles that a near-duplicate or its witness has in that role, else 0; `(rows,)`."""
        return self._decided.united()

    @property
    def similarity(self) -> NDArray[np.float64]:
        """Similarity to the witness, 1 for exact duplicates, NaN where not removed; `(rows,)`."""
        import numpy as np  # noqa: PLC0415 (slow, and only arrays need it)

        similarity = np.where(self.state == 1, 1.0, np.nan)
        np.divide(self.shared, self.united, out=similarity, where=self.state == 2)  # noqa: PLR2004
        return similarity

    def problems(self, limit: int = 10) -> list[Problem]:
        """Tell where the first `limit` quarantined rows stand, and what is wrong with each."""
        return self._decided.problems(limit)

    def write(self, folder: str | PathLike[str], *, force: bool = False) -> None:
        """Write the rows, and a decision for each that is not kept, into a new folder.

        It holds `kept.jsonl`, `removed.jsonl`, `quarantine.jsonl`, `decisions.jsonl` and `ledger/`,
        and appears whole, or not at all. `curatekit.run.deduplicate` writes a report as well.

        Raises:
            CurateError: The folder exists; with `force`, an empty one or a former run is replaced.
            DataError: An input changed since it was read.
            OSError: The disk is full or fails.
        """
        with staged(Path(folder), force=force) as work:
            decided, publisher = (
                self._decided,
                publisher_of(self._decided, work.folder, PLAIN, self._method),
            )
            publisher.write_rows(None)
            publisher.note(decided.write_decisions(work.folder / DECISIONS))
            publisher.write_ledger()
            publisher.check_counts()
            publisher.write_manifest()

    def __len__(self) -> int:
        return self.summary["rows"]

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}={count:,}" for name, count in self._counts())
        return f"Decisions({counts})"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{name.replace('_', ' ')}</th><td>{count:,}</td></tr>"
            for name, count in self._counts()
        )
        return f"<table>{cells}</table>"

    def _counts(self) -> list[tuple[str, int]]:
        summary = self.summary
        return [
            ("rows", summary["rows"]),
            ("kept", summary["kept"]),
            ("exact_duplicates", summary["exact_duplicates"]),
            ("near_duplicates", summary["near_duplicates"]),
            ("quarantined", sum(summary["quarantined"].values())),
        ]


def exact(
    inputs: Inputs,
    *,
    on: Collection[str] = (),
    also: Collection[str] = (),
    field: str | None = None,
    format: str = "auto",
    keep: str = "first",
    max_line: int | str = "64MiB",
    on_error: OnError = "quarantine",
    threads: int = 0,
    memory: int | str = "4GiB",
    io: Io = "map",
) -> Decisions:
    """Keep one row of every group of rows whose compared text is the same.

    Rows are compared on their text as it is meant, after JSON escapes are read, and byte by byte:
    no hash decides. The arguments are those of `near`.

    Returns:
        Columns over rows: `kept`, `state` and `witness`.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input cannot be read, or a row is bad and `on_error` is "stop".
        ValueError: An option is out of its range.
    """
    settings = Settings(
        method="exact",
        on=parse_names(on),
        also=parse_names(also),
        field=field,
        format=format,
        keep=keep,
        max_line=parse_size(max_line),
        on_error=on_error,
        threads=threads,
        memory=parse_size(memory),
        io=io,
    )
    return _decisions(inputs, settings)


def near(
    inputs: Inputs,
    *,
    on: Collection[str] = (),
    also: Collection[str] = (),
    field: str | None = None,
    format: str = "auto",
    threshold: float = 0.8,
    ngram: int | None = None,
    alike: Alike | None = None,
    numbers: Numbers | None = None,
    recall: Recall | None = None,
    keep: str = "first",
    seed: int = 0,
    max_line: int | str = "64MiB",
    on_error: OnError = "quarantine",
    threads: int = 0,
    memory: int | str = "4GiB",
    io: Io = "map",
) -> Decisions:
    """Keep one row of every group of near-duplicates; exact duplicates are among them.

    Two rows are near-duplicates when the Jaccard similarity of their word n-grams is at least
    `threshold`, and what they differ in is no content of its own: neither numbers, nor what each
    row of a template fills in. Every removal is verified on the text, and names a kept row that it
    is that similar to; similarity is not made transitive.

    Args:
        inputs: JSONL or JSON files, plain, gzip or zstd, folders of them, globs, or `-` for
            standard input. Row 0 is the first row of the first file.
        on: Roles compared, for example `("user",)`. Empty: every part of the record.
        also: Further top-level fields that must be alike too.
        field: Compare only the text in this top-level field.
        format: Layout of the rows; "auto" tells it from each file's first 100 rows.
        threshold: Least similarity, above 0 and at most 1, to three decimals.
        ngram: Words per shingle. None: 3 for conversations, 5 for documents.
        alike: "whole" asks for `threshold` in all text together, "each-role" in every role, and
            "consensus" also that no slot of a template is filled differently. None: "whole" for
            documents, else "consensus".
        numbers: "distinct" keeps rows apart that differ in a number, for "alike" it is a word like
            others. None: "distinct" with "consensus", else "alike".
        recall: "bands" finds at least 0.999 of the pairs at the threshold; "exact" finds all, and
            takes longer on many rows. None: "exact" under 5,000 rows or a `threshold` under 0.06,
            else "bands".
        keep: Which of two duplicates stays: the "first", the "longest" by bytes of compared text,
            or, with "best:score", the one with the greater number in the top-level field `score`.
            Of equals the first stays, and rows without the number come last.
        seed: Seed of the MinHash functions. May change which pairs "bands" misses, nothing else.
        max_line: Longest row, as bytes or like "64MiB"; a longer one is quarantined.
        on_error: What a bad row does: "quarantine" sets it apart, "stop" raises.
        threads: Worker threads; 0 means one per core. Does not change the result.
        memory: Budget for private memory, as bytes or like "4GiB". Does not change the result.
        io: "map" reads through memory maps; "read" is slower, and safe if another program may cut
            an input short.

    Returns:
        Columns over rows: `kept` bool; `state` uint8; `witness` uint64, the row itself where it was
        not removed; similarity as two uint32 columns, `shared` and `united` shingles.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input cannot be read, or a row is bad and `on_error` is "stop".
        ValueError: An option is out of its range.

    Source:
        Broder 1997 (MinHash); Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, ch. 3
        (banding); Blelloch, Fineman and Shun 2012 (the parallel keep-first order).
    """
    settings = Settings(
        method="near",
        on=parse_names(on),
        also=parse_names(also),
        field=field,
        format=format,
        threshold_millis=parse_threshold(threshold),
        ngram=ngram,
        alike=alike,
        numbers=numbers,
        recall=recall,
        keep=keep,
        seed=seed,
        max_line=parse_size(max_line),
        on_error=on_error,
        threads=threads,
        memory=parse_size(memory),
        io=io,
    )
    return _decisions(inputs, settings)


def decide(
    files: Sequence[str],
    settings: Settings,
    *,
    spool: str | PathLike[str],
    ahead: Ahead | None = None,
    progress: Progress | None = None,
) -> Decided:
    """Decide every row of `files`, as `inputs.expand` lists them, through the core.

    Rows may be written `ahead`.
    """
    return _native.decide(
        files,
        FORMATS,
        format=settings.format,
        field=settings.field,
        label=settings.label,
        max_line=settings.max_line,
        on_error=settings.on_error,
        io=settings.io,
        spool=spool,
        ahead=ahead,
        progress=progress,
        **_compared(settings),
    )


def decide_among(
    dataset: _native.Dataset,
    present: NDArray[np.bool_],
    settings: Settings,
    *,
    spool: str | PathLike[str],
    progress: Progress | None = None,
) -> Decided:
    """Decide those rows of a dataset that are `present`, `(rows,)`, as they now are."""
    return dataset.decide(present, spool=spool, progress=progress, **_compared(settings))


def ahead_of(folder: Path, packing: Packing) -> Ahead:
    """Get ready to write rows into a folder while others are still compared."""
    return _native.Ahead(
        folder,
        STEMS,
        shard_bytes=packing.shard_bytes,
        zstd=packing.compress == "zst",
        with_removed=packing.removed == "copy",
    )


def publisher_of(decided: Decided, folder: Path, packing: Packing, method: Method) -> Publisher:
    """Get ready to write what was decided into a folder."""
    from curatekit.decided import Columns  # noqa: PLC0415 (only what is written needs it)
    from curatekit.publish import Publisher  # noqa: PLC0415

    columns = Columns(decided, method)
    return Publisher(folder, decided.dataset(), columns, packing, decided.threads)


def _compared(settings: Settings) -> dict[str, Any]:
    """Give what the core is told of a comparison, whatever rows it is about."""
    names = ("also", "on", "method", "threshold_millis", "ngram", "alike", "numbers", "recall")
    return {name: getattr(settings, name) for name in (*names, "keep", "seed", "threads", "memory")}


def _decisions(inputs: Inputs, settings: Settings) -> Decisions:
    import tempfile  # noqa: PLC0415 (the command does without it)

    decided = decide(expand(inputs), settings, spool=tempfile.gettempdir())
    return Decisions(decided, settings.method)

"""The core, as Python sees it: rows, text, duplicates and bytes.

Everything here works without the interpreter lock, on a thread pool made for the call. A call looks
for signals every few hundredths of a second, so Ctrl-C ends it within a second with
`KeyboardInterrupt`.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, Protocol, Self, TypedDict, final, type_check_only

import numpy as np
from numpy.typing import NDArray

from curatekit.formats import Format

__all__ = [
    "STRIDE",
    "UNICODE_VERSION",
    "WHEREABOUTS",
    "Ahead",
    "Block",
    "Dataset",
    "Decided",
    "Files",
    "__version__",
    "decide",
    "end_with_parent",
    "give_back_memory",
    "guard_maps",
    "parts",
    "rows_of_code",
    "unpack",
]

__version__: str
"""Version of the core."""
UNICODE_VERSION: str
"""Unicode version of the frozen tables that decide lower case and word classes."""

STRIDE: int
"""Lines of a file of rows from one known offset to the next."""
WHEREABOUTS: int
"""Bytes that tell where a row stands."""

@type_check_only
class Progress(Protocol):
    """Is told about ten times a second how far the work is.

    Whatever the speed, it is told of every stage, in order, and lastly that the stage is done. What
    it raises ends the work, and the call fails with it, even if the work was done by then.
    """

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Take the stage (`read`, `exact`, `near`, `write`), work done in it and work in all.

        Work is counted in bytes for `read` and `write`, in rows for the others. A total may change
        as the stage goes on; at its end, `done` equals it.
        """

@type_check_only
class InputFile(TypedDict):
    """An input, as it was read."""

    name: str
    """The path as given."""
    format: str
    framing: Literal["lines", "array", "object"]
    compression: Literal["none", "gzip", "zstd"]
    bytes: int
    """After decompression, as the hash."""
    xxh3_128: str
    first_row: int
    rows: int

@type_check_only
class WrittenFile(TypedDict):
    """A file that was written."""

    name: str
    """Without its folder."""
    rows: int
    """Lines."""
    bytes: int
    xxh3_128: str
    """Hash of all its bytes."""
    blocks: list[str]
    """The same of each 16 MiB of them."""
    index: list[int]
    """Of a file of rows, where every `STRIDE`th line begins; in a packed one a frame begins."""

@type_check_only
class FileSummary(TypedDict):
    name: str
    """The path as given."""
    format: str
    framing: Literal["lines", "array", "object"]
    compression: Literal["none", "gzip", "zstd"]
    bytes: int
    """Bytes after decompression."""
    rows: int
    kept: int
    exact_duplicates: int
    near_duplicates: int
    quarantined: int
    blank_lines: int
    bom: bool

@type_check_only
class Label(TypedDict):
    """What became of the rows with one value of the field `label`."""

    label: str
    """A string without its quotes, anything else as it stands."""
    kept: int
    exact_duplicates: int
    near_duplicates: int

@type_check_only
class Family(TypedDict):
    """A template that texts of one role share."""

    role: str | None
    """None where all roles are compared as one text."""
    texts: int
    """Distinct texts; of a large family, those that were found."""
    rows: int
    """Rows with one of them."""
    template: str
    """What more than half of the texts have in common, as it stands in one of them, with `…` for
    what they do not; cut after about 4,000 bytes."""
    pairs_apart: int
    """Pairs of rows that its slots kept apart."""
    edits: int
    """Differences between removed rows and their witnesses that were found to be edits of it."""
    members: list[int]
    """At most 20 rows with different texts of it, in row order."""

@type_check_only
class Pair(TypedDict):
    """A pair of rows that is worth a look."""

    row: int
    kept: int
    """A kept row, with which it was compared."""
    verdict: Literal["removed", "roles", "numbers", "content", "threshold"]
    """What was decided, or which rule keeps them apart: `roles`, alike as a whole, but not in each
    role; `numbers`, alike with different numbers; `content`, alike with a slot of their template
    filled differently; `threshold`, at most 0.05 less alike than asked."""
    role: str | None
    """Where a rule keeps them apart; None where all roles are one text, or for `removed`."""
    shared: int
    """Shingles that they share there, or in their least similar role."""
    united: int
    """Shingles that either has there."""

@type_check_only
class Problem(TypedDict):
    """Why one row could not be judged."""

    row: int
    file: str
    line: int
    byte: int
    reason: str
    """Stable id: `invalid-utf8`, `invalid-json`, `too-deep`, `too-long`, `not-an-object`,
    `missing-field`, `wrong-type`."""
    message: str

@type_check_only
class Summary(TypedDict):
    """Counts and resolved settings of a decision. Equal for equal input, whatever the threads."""

    rows: int
    kept: int
    exact_duplicates: int
    near_duplicates: int
    quarantined: dict[str, int]
    files: list[FileSummary]
    ngram: int
    alike: Literal["consensus", "each-role", "whole"]
    numbers: Literal["distinct", "alike"]
    recall: Literal["bands", "exact"]
    bands: int
    """Bands of the index; 0 where recall is exact."""
    band_slots: int
    """Signature slots a band."""
    median_shingles: int
    """Median size of the rows' shingle sets; 0 where nothing was shingled."""
    rows_without_text: int
    """Rows in which no compared part stands: always kept."""
    rows_without_tokens: int
    """Rows with text but no token: compared exactly only."""
    duplicate_keys: int
    """Keys on a compared path that stand twice in one object; the last counts."""
    lone_surrogates: int
    """Rows whose text holds half a surrogate pair."""
    differ_elsewhere: int
    """Removed rows that differ from their witness outside what was compared."""
    rows_without_score: int
    """Rows without a number in the field of `keep`."""
    apart_by_roles: int
    """Pairs of a row and a kept row that are alike as a whole, but not in each role. As the next
    two, it counts pairs that were compared, up to the row's witness."""
    apart_by_numbers: int
    """Pairs alike in each role that hold different numbers."""
    apart_by_content: int
    """Pairs alike in each role that fill a slot of their template differently."""
    labels: list[Label]
    """In the order of their values; rows without the field are not among them."""

@final
class Decided:
    """Every row of the inputs, decided. Holds the inputs mapped until it is dropped."""

    @property
    def summary(self) -> Summary: ...
    @property
    def seconds(self) -> list[tuple[str, float]]:
        """Wall time of each stage, in order."""
    @property
    def pairs_compared(self) -> int:
        """Pairs whose exact similarity was computed. May vary between equal runs."""
    @property
    def threads(self) -> int:
        """Threads that it was decided with."""
    def place(self, row: int) -> tuple[str, int]:
        """Tell the path of a row's file as given, and the row's line in it, counted from 1.

        Raises:
            IndexError: There is no such row.
        """
    def problems(self, limit: int) -> list[Problem]:
        """The first `limit` quarantined rows, in row order."""
    def families(self) -> list[Family]:
        """The 100 largest families, by rows, of the roles for which a pair asked for them."""
    def pairs(self) -> list[Pair]:
        """At most 50 pairs of each verdict, by verdict and in row order.

        Of removed rows, those that are least alike; of the others, a sample that depends on the
        rows alone.
        """
    def state(self) -> NDArray[np.uint8]:
        """0 kept, 1 removed as exact duplicate, 2 as near-duplicate, 3 quarantined; `(rows,)`.

        4 is a row that was not among those compared.
        """
    def witness(self) -> NDArray[np.uint64]:
        """The kept row that stands for this one, itself where it was not removed; `(rows,)`."""
    def shared(self) -> NDArray[np.uint32]:
        """Shingles that a near-duplicate and its witness share in their least similar role."""
    def united(self) -> NDArray[np.uint32]:
        """Shingles of a near-duplicate and its witness united in that role; else 0; `(rows,)`."""
    def codes(self) -> bytes:
        """What `state` gives, one byte for each row; without NumPy."""
    def piece(self, column: str, start: int, stop: int) -> bytes:
        """Part of a column as it stands in memory: uint64 `witness`, uint32 `shared`, `united`.

        Raises:
            IndexError: There is no such column, or no such row.
        """
    def dataset(self) -> Dataset:
        """Give the rows that were decided; the maps are shared."""
    def write_decisions(
        self, path: str | PathLike[str], *, progress: Progress | None = None
    ) -> WrittenFile:
        """Write a line for each row that is not kept, in row order, down to the disk.

        Raises:
            OSError: The file cannot be written; carries errno and file name.
            DataError: An input changed since it was opened; nothing written can be trusted.
        """
    def write_removals(
        self, path: str | PathLike[str], *, progress: Progress | None = None
    ) -> WrittenFile:
        """Write a line for each removed row, in row order, as `Dataset.write_decisions` reads it.

        Raises:
            OSError: The file cannot be written.
            DataError: An input changed since it was opened.
        """

@final
class Ahead:
    """Files of rows that one `decide` may write while it decides; a context that closes them.

    It does with more than one thread, if near-duplicates are removed, rows are compared in the
    order in which they stand, and there is room for all of them. With `consensus`, it does up to
    the first pair that only the family of a text tells about.
    """

    def __new__(
        cls,
        folder: str | PathLike[str],
        stems: tuple[str, str, str],
        *,
        shard_bytes: int | None,
        zstd: bool,
        with_removed: bool,
    ) -> Self:
        """Write nothing yet.

        Args:
            folder: As for `Dataset.copy`, like the other arguments that are called as there.
            stems: How the files of kept, removed and quarantined rows are called.
            shard_bytes: Most bytes of a file.
            zstd: Pack each file.
            with_removed: Copy removed rows; else there is an empty file.
        """
    def __enter__(self) -> Self: ...
    def __exit__(self, *_raised: object) -> None:
        """Write no more; files that were not finished stay as they are."""
    def finish(
        self, progress: Progress | None
    ) -> tuple[list[WrittenFile], list[WrittenFile], list[WrittenFile]] | None:
        """Write what is left, down to the disk; None if all rows are for the caller to copy.

        Returns:
            The files of kept, removed and quarantined rows.

        Raises:
            OSError: A file cannot be written; carries errno and file name.
            DataError: An input changed since it was opened; nothing written can be trusted.
        """

@final
class Dataset:
    """Opened inputs. Holds them mapped until it is dropped.

    Rows may be rewritten, and rows may be made of others; a dataset with such rows is another one,
    which shares the maps of the first. Numbers of rows stay; made rows come after all others.
    """

    def __new__(
        cls,
        inputs: Sequence[str | PathLike[str]],
        formats: Sequence[Format],
        *,
        format: str,
        field: str | None,
        max_line: int,
        io: Literal["map", "read"],
        spool: str | PathLike[str],
        progress: Progress | None,
    ) -> Self:
        """Find the rows of the inputs, and the layout of each. The arguments are those of `decide`.

        Raises:
            FileNotFoundError: An input is missing.
            DataError: An input cannot be read, or is broken as a whole.
            OSError: The spool cannot be written; carries errno and file name.
            ValueError: No format has that name.
        """
    def __len__(self) -> int:
        """Rows in all inputs."""
    def formats(self) -> list[tuple[str, str]]:
        """The path of each input as given, and the name of its layout."""
    def place(self, row: int) -> tuple[str, int]:
        """Tell the path of a row's file as given, and the row's line in it, counted from 1.

        Raises:
            IndexError: There is no such row.
        """
    def block(self, rows: NDArray[np.uint64]) -> Block:
        """Copy rows, in any order, and find their texts.

        Raises:
            IndexError: There is no such row.
            DataError: An input changed since it was opened.
        """
    def offset(self, row: int) -> int:
        """Tell where in its decompressed file a row begins.

        Raises:
            IndexError: There is no such row.
        """
    def inputs(self) -> list[InputFile]:
        """What each input is, in order."""
    def lines(self, start: int, stop: int) -> bytes:
        """Tell on which line of its file each row begins, from 1.

        Raises:
            IndexError: There is no such row.
        """
    def gaps(self) -> tuple[list[bytes], bytes, bytes]:
        """Tell what stands between rows, so that rows and gaps together are the inputs.

        Before the first row of an input, between two, and after its last there is a gap, which may
        be empty. They count from the input's first row plus its place among the inputs.

        Returns:
            For each input what usually stands between two of its rows; for each other gap its
            number, and where it ends in the bytes that follow, as two uint64; and these bytes. The
            usual first gap is empty, and so is the last, but a line feed after the last of some
            lines.
        """
    def rewritten(self) -> bytes:
        """The rows of inputs that are no longer what they were, ascending; each a uint64."""
    def bytes_of(self, present: NDArray[np.bool_] | None) -> int:
        """Bytes of rows as they stand in the inputs: of those that are `present`, or of all."""
    def labels(self, field: str, rows: NDArray[np.uint64]) -> list[str | None]:
        """For each row the value of a top-level field: a string, or the JSON of anything else.

        Raises:
            IndexError: There is no such row.
            DataError: An input changed since it was opened.
        """
    def bytes_read(self) -> int:
        """Bytes of all inputs, decompressed."""
    def problems(
        self, rows: NDArray[np.uint64], threads: int, progress: Progress | None
    ) -> list[tuple[int, str, str]]:
        """Validate rows; those that cannot be judged, in the order given: row, reason, message.

        Raises:
            IndexError: There is no such row.
            DataError: An input is broken as a whole, or changed.
        """
    def descriptors(self) -> list[tuple[str, int, str, str]]:
        """What `Files` maps: for each input its path, a descriptor, its framing and its layout."""
    def spool_descriptor(self) -> int | None:
        """The descriptor of the spool of rewritten and made rows; None while there is none."""
    def whereabouts(self, rows: NDArray[np.uint64]) -> bytes:
        """Tell where rows stand, `WHEREABOUTS` bytes for each, for `Files.block`.

        Raises:
            IndexError: There is no such row.
        """
    def later(
        self,
        spool: str | PathLike[str],
        rewritten: NDArray[np.uint64],
        made: NDArray[np.uint64],
    ) -> Dataset:
        """Give the dataset in which some rows stand in a spool.

        Args:
            spool: The file; what was written to it before must still be there.
            rewritten: Where each row begins in the spool, and its bytes, 0 for one that was not
                rewritten; `(rows, 2)`.
            made: For each new row the one that it was made from, and the same; `(n, 3)`.

        Raises:
            ValueError: The shapes are others.
            IndexError: There is no such row.
            OSError: The spool cannot be read.
        """
    def copy(
        self,
        rows: memoryview | NDArray[np.uint64],
        folder: str | PathLike[str],
        stem: str,
        *,
        original: bool,
        shard_bytes: int | None,
        zstd: bool,
        threads: int,
        progress: Progress | None,
    ) -> list[WrittenFile]:
        """Write rows to new files, in the order given, as they are now or as they were read.

        Args:
            rows: Which; uint64.
            folder: Where to write `STEM.jsonl`; of several, `STEM-00001.jsonl` is the first.
            stem: How the files are called.
            original: As they were read, not as they are now.
            shard_bytes: Most bytes of a file, before it is packed; None is one file.
            zstd: Pack each file with Zstandard, and add `.zst` to its name.
            threads: With more than one (0 is one a core), large files are written while the next
                rows are gathered.
            progress: Is told how far the work is.

        Raises:
            IndexError: There is no such row.
            OSError: A file cannot be written.
            DataError: An input changed since it was opened.
        """
    def write_decisions(
        self, lives: Sequence[tuple[str, str | PathLike[str]]], path: str | PathLike[str]
    ) -> WrittenFile:
        """Merge what steps did to rows into one file, a line for each row.

        Args:
            lives: For each step, in order, its name and a file of its events, in row order.
            path: The file to write.

        Raises:
            OSError: A file cannot be read or written.
            DataError: A line is no event.
        """
    def decide(
        self,
        present: NDArray[np.bool_],
        *,
        also: Sequence[str],
        on: Sequence[str],
        method: Literal["exact", "near"],
        threshold_millis: int,
        ngram: int | None,
        alike: Literal["consensus", "each-role", "whole"] | None,
        numbers: Literal["distinct", "alike"] | None,
        recall: Literal["bands", "exact"] | None,
        keep: str,
        seed: int,
        threads: int,
        memory: int,
        spool: str | PathLike[str],
        progress: Progress | None,
    ) -> Decided:
        """Decide some of the rows, as they now are: those that are `present`, `(rows,)`.

        The other arguments, and the errors, are those of `decide`.
        """

@final
class Files:
    """The files of a dataset, mapped from what a parent process left open."""

    def __new__(
        cls,
        descriptors: Sequence[tuple[str, int, str, str]],
        spool: int | None,
        formats: Sequence[Format],
        field: str | None,
    ) -> Self:
        """Map files; the arguments are what the parent's `Dataset` has and was made with.

        Raises:
            DataError: A descriptor is not open.
            ValueError: No format has that name.
        """
    def block(self, whereabouts: bytes) -> Block:
        """Copy rows, and find their texts.

        Raises:
            DataError: An input changed since it was mapped.
            ValueError: A row lies outside of its file.
        """

@final
class Block:
    """A copy of some rows, and where their texts stand. Rows count from 0 in the block."""

    @staticmethod
    def of(rows: Sequence[bytes], format: Format) -> Block:
        """Make one of rows from elsewhere, all of one layout."""
    def __len__(self) -> int: ...
    def slice(self, start: int, stop: int) -> Block:
        """Copy some of the rows, one after the other.

        Raises:
            IndexError: They are not all there.
        """
    def take(self, rows: NDArray[np.uint64]) -> Block:
        """Copy some of the rows, in the order given.

        Raises:
            IndexError: They are not all there.
        """
    def row(self, at: int) -> bytes:
        """One row, as it stands in its file but on one line.

        Raises:
            IndexError: There is no such row.
        """
    def texts(self, role: str | None) -> list[str]:
        """For each row its texts of one role, or of all, with a blank line between two."""
    def parts(self) -> list[str]:
        """The texts of all rows, row by row, in the order in which they are compared."""
    def part_row(self) -> NDArray[np.uint32]:
        """The row of each part; `(parts,)`."""
    def part_role(self) -> list[str]:
        """The role of each part."""
    def statistics(self) -> list[tuple[str, NDArray[np.uint32]]]:
        """For each row the sums over its parts, as columns with their names; `(n,)` each.

        `chars` are Unicode scalars, each of which is a letter (or a number that is no decimal
        digit), a mark, a digit, white space or a symbol: `letters`, `digits`, `spaces`, `symbols`.
        `words` are runs without white space, `lines` line breaks and one more.
        """
    def paths(self, at: int) -> list[str]:
        """The way to each part of a row: keys and indexes, as in `messages[0].content`.

        Raises:
            IndexError: There is no such row.
        """
    def problems(self) -> list[tuple[int, str, str]]:
        """Rows that are not of their layout: place in the block, reason and message.

        They have no parts. Reasons are those of `Problem`.
        """
    def rewritten(self, texts: Sequence[str | None]) -> list[bytes | None]:
        """Splice new texts into the rows, one for each part; None leaves a part as it is.

        Returns:
            For each row its new bytes, which differ from the old ones in those strings only; None
            for a row of which nothing changes, or which holds half of a surrogate pair.

        Raises:
            ValueError: There are more or fewer texts than parts, or one holds half of a pair, and
                its row did not.
        """

    def respelled(self, texts: Sequence[str | None]) -> tuple[Block, list[bool]]:
        """Give the rows with new texts, as `rewritten` does, and for each whether it changed.

        Raises:
            ValueError: As `rewritten`.
        """

def decide(
    inputs: Sequence[str | PathLike[str]],
    formats: Sequence[Format],
    *,
    format: str,
    field: str | None,
    also: Sequence[str],
    on: Sequence[str],
    method: Literal["exact", "near"],
    threshold_millis: int,
    ngram: int | None,
    alike: Literal["consensus", "each-role", "whole"] | None,
    numbers: Literal["distinct", "alike"] | None,
    recall: Literal["bands", "exact"] | None,
    keep: str,
    label: str | None,
    seed: int,
    max_line: int,
    on_error: Literal["quarantine", "stop"],
    threads: int,
    memory: int,
    io: Literal["map", "read"],
    spool: str | PathLike[str],
    ahead: Ahead | None = None,
    progress: Progress | None,
) -> Decided:
    """Read the inputs, and decide for every row whether it is kept, removed or quarantined.

    Args:
        inputs: Files, plain, gzip or zstd (told by their first bytes); `-` is standard input. Rows
            are numbered in this order.
        formats: Known layouts, in the order of detection; the last fits everything.
        format: Name of one of `formats`, or `auto` to tell each file's from its first 100 rows.
        field: Read every row as `text`, with the text in this field.
        also: Further top-level fields to compare.
        on: Roles compared; empty means all.
        method: `exact` removes rows whose compared parts are equal, `near` also similar ones.
        threshold_millis: Least similarity in thousandths, 1 to 1000.
        ngram: Words per shingle; None is 5 if every file is of format `text`, else 3.
        alike: None is `whole` if every file is of format `text`, else `consensus`.
        numbers: What different numbers do: keep rows apart, or no more than other words. None is
            `distinct` for `consensus`, else `alike`.
        recall: `bands` finds at least 0.999 of the pairs at the threshold, `exact` all. None is
            `exact` under 5,000 rows or a threshold under 0.06, else `bands`.
        keep: Which of two duplicates stays: `first`, `longest` by bytes of compared text, or
            `best:FIELD`, by the number in that top-level field.
        label: A top-level field by whose values rows are counted.
        seed: Of the functions behind `bands`.
        max_line: Longest row in bytes; a longer one is quarantined.
        on_error: What becomes of a bad row: set aside, or the end of the run.
        threads: Worker threads; 0 means one a core.
        memory: Budget for private memory in bytes.
        io: `read` copies the inputs to the spool first, where nobody can change them.
        spool: Folder for unnamed temporary files.
        ahead: Where rows may be written while others are still compared.
        progress: Is told how far the work is; an exception in it ends the work.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input cannot be read, is broken as a whole or changed meanwhile, or `on_error`
            is `stop` and a row is bad.
        OSError: The spool, or what goes ahead, cannot be written; carries errno and file name.
        ValueError: A number is out of its range.
    """

def parts(row: bytes, format: Format, *, field: str | None = None) -> list[tuple[str, str]]:
    """Split a row into (role, text), in comparison order; what is no text stands as raw JSON.

    Raises:
        ValueError: The row is not a JSON object of that format.
    """

def rows_of_code(codes: bytes, code: int, start: int) -> bytes:
    """List the rows from `start` on that have a code, ascending; each a uint64.

    Args:
        codes: One byte for each row.
        code: Which.
        start: The first row that is looked at.
    """

def unpack(frames: bytes) -> bytes:
    """Unpack whole Zstandard frames.

    Raises:
        ValueError: They are none, or damaged.
    """

def guard_maps() -> None:
    """Make this process survive an input that is cut short under its map.

    Installs a SIGBUS handler that puts a page of zeros where the file ended; the run then finds
    that its input changed and fails with `DataError`. For programs of our own only: a handler
    belongs to the whole process.
    """

def give_back_memory() -> None:
    """Have large blocks of memory given back to the system as soon as they are free.

    Some C libraries keep them otherwise. For programs of our own only: this concerns a whole
    process.
    """

def end_with_parent() -> None:
    """Have this process killed when its parent ends, on Linux; elsewhere nothing happens.

    Raises:
        OSError: The system will not.
    """

"""Records: the rows of a dataset, as steps see them.

A `Batch` holds the bytes of some rows. Their texts become Python strings when somebody asks, and
objects are decoded when somebody asks. A text that is rewritten is spliced into its row, of which
nothing else changes.
"""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, Any, overload

from msgspec import Struct

from curatekit import _native
from curatekit.errors import CurateError
from curatekit.formats import FORMATS, Format
from curatekit.inputs import Inputs, expand
from curatekit.settings import Io, parse_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curatekit._native import Block


COUNTS = ("chars", "words", "lines", "letters", "digits", "spaces", "symbols")
"""What is counted in the texts of a record, as columns."""


class Part(Struct, frozen=True):
    """One text of a record: who says it, where it stands, and what it says.

    The path is keys and indexes from the root of the object, as in `messages[0].content`.
    """

    role: str
    path: str
    text: str


class Record:
    """One row of a dataset.

    Attributes:
        row: Its number in the dataset, from 0.
    """

    def __init__(self, block: Block, at: int, row: int) -> None:
        self._block = block
        self._at = at
        self.row = row

    @property
    def line(self) -> bytes:
        """The row as it stands in its file, but on one line and without the final line feed.

        Raises:
            CurateError: It is longer than `max_line`.
        """
        self._check("too-long")
        return self._block.row(self._at)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Its texts, in the order of its layout. Content that is no text is not among them."""
        one = self._one
        places = zip(one.part_role(), one.paths(0), one.parts(), strict=True)
        return tuple(Part(*place) for place in places)

    @cached_property
    def _one(self) -> Block:
        return self._block.slice(self._at, self._at + 1)

    def _check(self, *reasons: str) -> None:
        for _, reason, message in self._one.problems():
            if reason in reasons:
                raise CurateError(f"row {self.row}: {message}")

    @cached_property
    def object(self) -> dict[str, Any]:
        """The row, decoded; of equal keys the last counts.

        Raises:
            CurateError: It is not a JSON object, or Python does not take a number in it.
        """
        self._check("invalid-utf8", "invalid-json", "too-deep", "too-long", "not-an-object")
        try:
            found: dict[str, Any] = json.loads(self.line)
        except ValueError as error:  # an integer of thousands of digits
            raise CurateError(f"row {self.row}: {error}") from error
        return found

    def __repr__(self) -> str:
        return f"Record(row={self.row}, {len(self._one.parts())} parts)"


class Batch:
    """Some records of a dataset, in order.

    Attributes:
        rows: Their numbers in the dataset, from 0; uint64 `(n,)`.
    """

    def __init__(
        self,
        block: Block,
        rows: NDArray[np.uint64],
        columns: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._block = block
        self.rows = _frozen(rows)
        self._columns = {name: _frozen(column) for name, column in (columns or {}).items()}

    @classmethod
    def of(cls, objects: Iterable[Mapping[str, Any] | bytes], format: Format) -> Batch:
        """Make a batch of objects, or of rows as they would stand in a file.

        Args:
            objects: The records; the first is row 0.
            format: Their layout, for example `curatekit.formats.CHAT`.

        Raises:
            TypeError: One is neither a mapping nor bytes, or holds what JSON has no word for.
            ValueError: One holds a number that JSON has no word for.
        """
        import numpy as np  # noqa: PLC0415 (slow, and only arrays need it)

        if isinstance(objects, Mapping | bytes | str):
            raise TypeError(f"a batch is made of several records, and this is a {_kind(objects)}")
        lines = [one if isinstance(one, bytes) else as_line(one) for one in objects]
        return cls(_native.Block.of(lines, format), np.arange(len(lines), dtype=np.uint64))

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The texts of all records, one after the other; `p` of them."""
        return tuple(self._block.parts())

    @cached_property
    def part_row(self) -> NDArray[np.uint32]:
        """For each part its record's place in the batch, ascending; `(p,)`."""
        return _frozen(self._block.part_row())

    @cached_property
    def part_role(self) -> tuple[str, ...]:
        """For each part who says it; `p` of them."""
        return tuple(self._block.part_role())

    def texts(self, role: str | None = None) -> list[str]:
        """For each record its parts, or those of one role, with a blank line between two."""
        return self._block.texts(role)

    def column(self, name: str) -> NDArray[Any]:
        """Give what is known of each record under a name: `n` values, or `n` rows of them.

        Of every record its texts are counted, when that is first asked for: `chars` (Unicode
        scalars), `words` (runs without white space) and `lines`; of the scalars `letters`,
        `digits`, `spaces` and `symbols`, which are the rest but for marks. uint32 `(n,)`.

        Raises:
            KeyError: There is no such column.
        """
        return self._columns[name] if name in self._columns else self._counts[name]

    @cached_property
    def _counts(self) -> dict[str, NDArray[Any]]:
        return {name: _frozen(column) for name, column in self._block.statistics()}

    @property
    def problems(self) -> list[tuple[int, str, str]]:
        """Records that are not of their layout: place in the batch, reason, and what is wrong."""
        return self._block.problems()

    def rewritten(self, texts: Sequence[str | None]) -> list[bytes | None]:
        """Splice new texts into the rows: one for each part, or None to leave it as it is.

        Returns:
            For each record its new line; None where nothing changes. A record of which a text holds
            half of a surrogate pair never changes, whatever is given for its parts.

        Raises:
            ValueError: There are more or fewer texts than parts, or one holds half of a pair, and
                its record did not.
        """
        return self._block.rewritten(texts)

    def take(self, places: NDArray[np.intp]) -> Batch:
        """Get some records by their places in the batch, as a batch.

        Raises:
            IndexError: There is no such record.
        """
        columns = {name: column[places] for name, column in self._columns.items()}
        taken = Batch(self._block.take(places.astype("uint64")), self.rows[places], columns)
        if "_counts" in self.__dict__:  # what was counted need not be counted again
            taken._counts = {name: _frozen(counts[places]) for name, counts in self._counts.items()}
        return taken

    def respelled(self, texts: Sequence[str | None]) -> tuple[Batch, list[bool]]:
        """Splice new texts into the rows, as `rewritten` does.

        Returns:
            The records as they then are, and for each whether it changed.

        Raises:
            ValueError: As `rewritten`.
        """
        block, changed = self._block.respelled(texts)
        return Batch(block, self.rows, self._columns), changed

    def with_column(self, name: str, column: NDArray[Any]) -> Batch:
        """Get the same records, of which one thing more is known."""
        return Batch(self._block, self.rows, {**self._columns, name: column})

    def __len__(self) -> int:
        return len(self._block)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Batch: ...
    def __getitem__(self, at: int | slice) -> Record | Batch:
        """Get one record, or a batch of some that stand one after the other."""
        if not isinstance(at, slice):
            place = range(len(self))[at]
            return Record(self._block, place, int(self.rows[place]))
        start, stop, step = at.indices(len(self))
        if step != 1:
            raise ValueError(f"a batch has no slice with a step of {step}")
        stop = max(start, stop)
        columns = {name: column[start:stop] for name, column in self._columns.items()}
        return Batch(self._block.slice(start, stop), self.rows[start:stop], columns)

    def __iter__(self) -> Iterator[Record]:
        return (self[at] for at in range(len(self)))

    def __repr__(self) -> str:
        return f"Batch({len(self)} records)"


def as_line(record: Mapping[str, Any]) -> bytes:
    """Write a record as a row, in which other scripts stand as they are.

    Raises:
        TypeError: It is no mapping, or holds what JSON has no word for.
        ValueError: It holds a number that JSON has no word for.
    """
    if not isinstance(record, Mapping):
        raise TypeError(f"a record is a mapping, or bytes as in a file, no {_kind(record)}")
    try:
        return json.dumps(dict(record), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no other spelling
        return json.dumps(dict(record)).encode()


def _kind(of: object) -> str:
    return type(of).__name__


def _frozen(column: NDArray[Any]) -> NDArray[Any]:
    """Give an array through which nobody can change it for the others."""
    view = column.view()
    view.flags.writeable = False
    return view


class Rows(ABC):
    """Rows, with random access."""

    def batch(self, rows: Iterable[int]) -> Batch:
        """Get some rows by their numbers, in any order.

        Raises:
            IndexError: There is no such row.
            TypeError: A number is no integer.
            DataError: A file changed since it was opened.
        """
        import numpy as np  # noqa: PLC0415 (slow, and only arrays need it)

        given = rows if isinstance(rows, np.ndarray) else np.array([*map(index, rows)], object)
        if given.ndim != 1 or given.dtype.kind not in "iuO" or isinstance(given, np.ma.MaskedArray):
            raise TypeError("rows are given by their numbers, as integers in one dimension")
        outside = given[(given < 0) | (given >= len(self))]
        if len(outside):
            raise IndexError(f"there is no row {outside[0]}")
        return self._batch(given.astype(np.uint64))

    def batches(self, size: int = 1024) -> Iterator[Batch]:
        """Get all rows in order, `size` at a time.

        Raises:
            ValueError: The size is less than 1.
            DataError: A file changed since it was opened.
        """
        if size < 1:
            raise ValueError(f"a batch has 1 row or more, not {size}")
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(start + size, len(self))))

    @abstractmethod
    def _batch(self, rows: NDArray[np.uint64]) -> Batch:
        """Get rows that are there."""

    @abstractmethod
    def __len__(self) -> int:
        """Count the rows."""

    def __getitem__(self, row: int) -> Record:
        """Get one record; -1 is the last."""
        return self.batch([range(len(self))[row]])[0]


class Dataset(Rows):
    """The rows of some files, mapped, with random access.

    Nothing is read but the ends of rows, until rows are asked for. Before and after, files are
    checked for changes. A file that another program cuts short at that very moment ends the
    process, as it does with any map; `io="read"` copies the files first.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        format: str = "auto",
        field: str | None = None,
        max_line: int | str = "64MiB",
        io: Io = "map",
    ) -> None:
        """Find the rows of `inputs`. The arguments are those of `curatekit.dedup.near`.

        Raises:
            FileNotFoundError: An input is missing.
            DataError: An input cannot be read, or is broken as a whole.
            ValueError: An option is out of its range.
        """
        self._rows = _native.Dataset(
            expand(inputs),
            FORMATS,
            format=format,
            field=field,
            max_line=parse_size(max_line),
            io=io,
            spool=tempfile.gettempdir(),
            progress=None,
        )

    @property
    def formats(self) -> list[tuple[str, str]]:
        """The path of each file as given, and the name of its layout."""
        return self._rows.formats()

    def place(self, row: int) -> tuple[str, int]:
        """Tell in which file a row stands, and at which line of it, counted from 1.

        Raises:
            IndexError: There is no such row.
        """
        return self._rows.place(range(len(self))[row])

    def _batch(self, rows: NDArray[np.uint64]) -> Batch:
        return Batch(self._rows.block(rows), rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Dataset({len(self):,} rows in {len(self.formats)} files)"

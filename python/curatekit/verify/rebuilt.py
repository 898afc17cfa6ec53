"""An input, put together again from its rows and what stands between them."""

from pathlib import Path
from typing import Self

from xxhash import xxh3_128

from curatekit.verify.columns import Columns
from curatekit.verify.findings import Findings
from curatekit.verify.form import DECISIONS, GAPS, MANIFEST, READ, Decision, Input, values

_BOM = b"\xef\xbb\xbf"


class Rebuilt:
    """An input that is put together again from its rows and what stands between them."""

    def __init__(self, one: Input, found: Findings) -> None:
        self._input = one
        self._found = found
        self._hash = xxh3_128()
        self._at = 0
        self._is_exact = True
        """Whether all bytes before here are known, as they are not where rows were not copied."""
        self._is_whole = True
        self._rows = 0
        self._lines = 1
        self._last_line = 0
        self._usual = one.gap.encode("latin-1", "replace")
        self._allowed = b" \t\r\n" if one.framing == "lines" else b" \t\r\n,[]"
        self._told: set[str] = set()

    def add_gap(self, piece: bytes) -> None:
        """Add what stands between rows."""
        rest = piece.removeprefix(_BOM) if self._at == 0 else piece
        if rest.strip(self._allowed):
            self._tell(GAPS, "holds what is no gap", f"gap at byte {self._at:,}")
        self._add(piece)

    def add_usual_gap(self) -> None:
        """The same where nothing else is noted."""
        if 0 < self._rows < self._input.rows:
            self._add(self._usual)
        elif self._rows and self._input.framing == "lines":
            self._add(b"\n")

    def begin(self, row: int, line: int, decision: Decision | None) -> None:
        """Compare where a row begins with what is said of it."""
        is_lines = self._input.framing == "lines"
        is_right = line == self._lines if is_lines else line >= self._lines
        if not is_right or line < self._last_line + is_lines:
            told = f"is on line {self._lines} of `{self._input.name}`, not {line}"
            self._tell("ledger/line.npy", told, f"row {row}")
        self._last_line = line
        if decision is None:
            return
        if decision.byte < self._at or (self._is_exact and decision.byte != self._at):
            told = f"begins at byte {self._at} of `{self._input.name}`, not {decision.byte}"
            self._tell(DECISIONS, told, f"row {row}")
        elif not self._is_exact:
            self._at, self._is_exact = decision.byte, True

    def add_row(self, line: bytes | None) -> None:
        """Add a row; None is one that is not there."""
        self._rows += 1
        if line is None:
            self._is_exact = self._is_whole = False
        else:
            self._add(line)

    def end(self) -> None:
        """Compare all of it with what was read."""
        one = self._input
        if self._at > one.bytes or (self._is_exact and self._at != one.bytes):
            told = f"its rows and gaps have {self._at:,} bytes, but {one.bytes:,} were read"
            self._tell(MANIFEST, told, f"input `{one.name}`")
        elif self._is_whole and one.framing == "lines":
            self._found.hashes += 1
            if self._hash.hexdigest() != one.xxh3_128:
                told = "its rows and gaps are not what was read"
                self._tell(MANIFEST, told, f"input `{one.name}`")

    def _add(self, piece: bytes) -> None:
        self._at += len(piece)
        self._lines += piece.count(b"\n")
        self._hash.update(piece)

    def _tell(self, file: str, what: str, place: str) -> None:
        """Tell of a file once: what follows from it is no news."""
        if file not in self._told:
            self._told.add(file)
            self._found.add(file, what, place)


class Gaps:
    """What stands between rows, where that is not the usual; each is asked for in its turn."""

    def __init__(self, folder: Path, columns: Columns, found: Findings) -> None:
        self._found = found
        self._noted = values(columns.gaps)
        self._next: tuple[int, int] | None = next(self._noted, None)
        self._start = 0
        self._file = (folder / GAPS).open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def add(self, number: int, to: Rebuilt) -> None:
        """Add what stands before a row of an input, or after the last one."""
        if self._next is None or self._next[0] != number:
            to.add_usual_gap()
            return
        end = self._next[1]
        left = end - self._file.seek(self._start)
        while left > 0 and (piece := self._file.read(min(left, READ))):
            left -= len(piece)
            to.add_gap(piece)
        self._start = end
        self._next = next(self._noted, None)

    def end(self) -> None:
        """See that no gap is left."""
        if self._next is not None:
            self._found.add("ledger/gaps.npy", f"gap {self._next[0]} is not at its place")

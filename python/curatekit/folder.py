"""A run folder, read back: why a row is not kept, and the texts on both sides.

Only the folder is read, never the inputs. Files are streamed: a folder may be larger than memory.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec
from msgspec import Struct

from curatekit import _native
from curatekit.errors import CurateError, DataError
from curatekit.evidence import Case, Decision, Family, Pair, Text
from curatekit.formats import FORMATS, TEXT, Format
from curatekit.ledger import Ledger
from curatekit.output import DECISIONS, RECIPE_SCHEMA, REPORT

_FORMATS = {known.name: known for known in FORMATS}
_Row = tuple[str, bytes]
"""A row, and the file it came from."""


class _Schema(Struct, frozen=True):
    schema: str


class _File(Struct, frozen=True):
    name: str
    rows: int
    format: str


class _Settings(Struct, frozen=True):
    on: tuple[str, ...]
    also: tuple[str, ...]
    field: str | None


class _Report(Struct, frozen=True):
    rows: int
    settings: _Settings
    files: tuple[_File, ...]
    apart: Mapping[str, int]
    families: tuple[Family, ...]
    pairs: tuple[Pair, ...]
    brakes: tuple[str, ...] = ()


class _Dedup(Struct, frozen=True):
    settings: _Settings
    apart: Mapping[str, int]
    families: tuple[Family, ...]
    pairs: tuple[Pair, ...]


class _Step(Struct, frozen=True):
    dedup: _Dedup | None


class _Recipe(Struct, frozen=True):
    field: str | None


class _RecipeReport(Struct, frozen=True):
    rows: int
    generated: int
    recipe: _Recipe
    files: tuple[_File, ...]
    steps: tuple[_Step, ...]
    brakes: tuple[str, ...]

    def of_dedup(self) -> _Report:
        """Tell it as that of a deduplication: the last one, if there are several."""
        field = self.recipe.field
        nothing = _Dedup(_Settings((), (), field), {}, (), ())
        last = next((step.dedup for step in reversed(self.steps) if step.dedup), nothing)
        return _Report(
            self.rows + self.generated,
            last.settings,
            self.files,
            last.apart,
            last.families,
            last.pairs,
            self.brakes,
        )


class RunFolder:
    """What a run left behind.

    Args:
        path: The folder.
        needs_rows: Whether that of a dry run, which holds no rows, will not do.

    Raises:
        CurateError: The folder is none that a run left.
    """

    def __init__(self, path: Path, *, needs_rows: bool = True) -> None:
        self._path = path
        self.ledger = Ledger(path)
        try:
            self._report = _read_report(path / REPORT)
        except msgspec.DecodeError as error:
            raise CurateError(f"{path / REPORT}: {error}") from None
        if needs_rows and self.ledger.is_prediction:
            raise CurateError(
                f"`{path}` is only a prediction, and holds no rows",
                f"`{path / DECISIONS}` tells what would become of each",
            )
        self._formats = {file.name: file.format for file in self._report.files}

    @cached_property
    def counts(self) -> Counter[str]:
        """Rows that are not kept, by reason; `quarantined` stands for all that were quarantined."""
        counts = Counter(dict(self.ledger.reasons_of("removed")))
        if quarantined := sum(rows for _, rows in self.ledger.reasons_of("quarantined")):
            counts["quarantined"] += quarantined
        return counts

    @cached_property
    def reasons(self) -> Counter[str]:
        """The same, but quarantined rows by their reasons too."""
        removed, quarantined = map(self.ledger.reasons_of, ("removed", "quarantined"))
        return Counter(dict(removed)) + Counter(dict(quarantined))

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of the run in their order, that of reading first."""
        return self.ledger.manifest.steps

    @property
    def brakes(self) -> tuple[str, ...]:
        """Why the run would stop before it writes anything, if this is a prediction."""
        return self._report.brakes

    @property
    def rows(self) -> int:
        """Rows that the run read."""
        return self._report.rows

    @property
    def families(self) -> tuple[Family, ...]:
        """The largest templates; that of number N stands at N - 1."""
        return self._report.families

    @property
    def apart(self) -> Mapping[str, int]:
        """Pairs that were kept apart, by rule."""
        return self._report.apart

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs that are worth a look, by verdict."""
        return self._report.pairs

    def decisions(self) -> Iterator[Decision]:
        """Read why each row that was removed or quarantined was, in row order."""
        decoder = msgspec.json.Decoder(Decision)
        path = self._path / DECISIONS
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    decision = decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise DataError(str(path), number, str(error)) from None
                if decision.state in ("removed", "quarantined"):
                    yield decision

    def removed(self) -> Iterator[tuple[Decision, dict[str, object]]]:
        """Read every removed row, decision and fields, in row order."""
        for decision in self.decisions():
            if decision.state == "removed":
                yield decision, _fields(self.ledger.original(decision.row))

    def case(self, decision: Decision) -> Case:
        """Find the texts that a decision is about."""
        row = self.ledger.now(decision.row)
        if decision.state == "quarantined":
            return Case(decision, row)
        if decision.witness is None:
            said = self._texts(self.file_of(decision.row), row)
            texts = tuple(Text(role, text, "", is_compared=False) for role, text in said.items())
            return Case(decision, row, b"", texts)
        witness = self.ledger.now(decision.witness.row)
        files = (self.file_of(one) for one in (decision.row, decision.witness.row))
        texts = self._beside((next(files), row), (next(files), witness))
        return Case(decision, row, witness, texts)

    def stands_for(self, row: int) -> Sequence[int]:
        """List the rows that were removed as duplicates of this one."""
        if self.ledger.witness is None:
            return []
        rows: list[int] = (self.ledger.witness == row).nonzero()[0].tolist()
        return [one for one in rows if one != row]

    def texts(self, pair: Pair) -> tuple[Text, ...]:
        """Find what the two rows of a pair say."""
        mine, its = ((place.file, self.ledger.now(place.row)) for place in (pair.row, pair.kept))
        return self._beside(mine, its)

    def texts_of(self, row: int, content: bytes | None = None) -> dict[str, str]:
        """Join the parts of a row by role; of what it was at another time, if that is given."""
        line = self.ledger.now(row) if content is None else content
        return self._texts(self.file_of(row), line)

    def file_of(self, row: int) -> str:
        """Tell which file a row came from, or the row that it was made of."""
        return self.ledger.input_of(row).name

    def _beside(self, mine: _Row, its: _Row) -> tuple[Text, ...]:
        return (*self._compared(mine, its), *self._elsewhere(mine, its))

    def _compared(self, mine: _Row, its: _Row) -> Iterator[Text]:
        on, also = self._report.settings.on, self._report.settings.also
        fields = {f"also:{name}" for name in also}
        row, other = self._texts(*mine), self._texts(*its)
        for role in dict.fromkeys((*row, *other)):
            is_compared = not on or role in on or role in fields
            yield Text(role, row.get(role, ""), other.get(role, ""), is_compared)

    def _texts(self, file: str, row: bytes) -> dict[str, str]:
        """Join the parts of a row by role, fields of `--also` after them.

        A row without the parts of its layout stays as it is.
        """
        settings = self._report.settings
        try:
            parts = _native.parts(row.rstrip(b"\r\n"), self._format(file), field=settings.field)
        except ValueError:
            return {"row": row.decode(errors="replace")}
        if settings.also:
            value = _fields(row)
            parts += [
                (f"also:{name}", as_text(value[name])) for name in settings.also if name in value
            ]
        texts: dict[str, str] = {}
        for role, text in parts:
            texts[role] = f"{texts[role]}\n\n{text}" if role in texts else text
        return texts

    def _elsewhere(self, mine: _Row, its: _Row) -> Iterator[Text]:
        """List the fields not compared in which two rows differ."""
        compared = {
            rule.path.partition(".")[0].removesuffix("[*]") for rule in self._format(mine[0]).parts
        }
        compared |= {*self._report.settings.also, self._report.settings.field or ""}
        row, other = _fields(mine[1]), _fields(its[1])
        for name in dict.fromkeys((*row, *other)):
            if name in compared or row.get(name) == other.get(name):
                continue
            if "**" not in compared or not isinstance(row.get(name), str | list | dict):
                one, two = (as_text(side[name]) if name in side else "" for side in (row, other))
                yield Text(name, one, two, is_compared=False)

    def _format(self, file: str) -> Format:
        if self._report.settings.field is not None:
            return TEXT
        return _FORMATS[self._formats[file]]


def _read_report(path: Path) -> _Report:
    content = path.read_bytes()
    if msgspec.json.decode(content, type=_Schema).schema == RECIPE_SCHEMA:
        return msgspec.json.decode(content, type=_RecipeReport).of_dedup()
    return msgspec.json.decode(content, type=_Report)


def spread(
    decisions: Iterable[Decision], counts: Mapping[str, int], quotas: Mapping[str, int]
) -> Iterator[Decision]:
    """Choose as many decisions of each kind as its quota says, the same distance apart."""
    seen = Counter[str]()
    for decision in decisions:
        kind, total = decision.kind, counts[decision.kind]
        before = (seen[kind] * quotas.get(kind, 0) + total // 2) // total
        seen[kind] += 1
        if before < (seen[kind] * quotas.get(kind, 0) + total // 2) // total:
            yield decision


def _fields(row: bytes) -> dict[str, object]:
    """Read the fields of a row for a person to see."""
    try:
        value = json.loads(row, parse_float=str)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    """Write the value of a field for a person: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

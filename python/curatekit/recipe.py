"""Recipes: what a run does to which data, as a TOML file.

All that is wrong with a recipe is told at once, each with its place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import NODEFAULT, Meta, Struct, ValidationError, convert, structs, to_builtins

from curatekit import _native
from curatekit.built_in import DEDUP, STEPS
from curatekit.errors import Mistake, PluginError, RecipeError, did_you_mean
from curatekit.options import in_words
from curatekit.plugins import Plugins, load
from curatekit.records import COUNTS
from curatekit.settings import Settings, parse_size
from curatekit.steps import NAME, READ, Author, Filter, Options, Scorer, Step

Share = Annotated[float, Meta(ge=0, le=1)]


class Brakes(Struct, frozen=True, forbid_unknown_fields=True):
    """When a run stops before it publishes anything."""

    max_drop_share: Share = 0.5
    """Most of the rows that enter a step that it may drop."""
    label: str | None = None
    """A top-level field of which no value may lose all its rows."""


class OfAny(Struct, frozen=True, kw_only=True):
    """What can be said of every plugin's step, whatever its own options."""

    on_error: Literal["stop", "quarantine"] = "stop"
    """What an exception does to the rows that raise it."""
    max_failures: Share = 0.05
    """Most of the rows that may fail before the run stops."""
    timeout_seconds: Annotated[float, Meta(gt=0)] = 300.0
    """Longest time for a batch."""


class OfFilter(OfAny, frozen=True, kw_only=True):
    """What can be said of a filter."""

    mode: Literal["drop", "flag"] = "drop"
    """Drop rows, or only note which would be."""


class OfScorer(OfAny, frozen=True, kw_only=True):
    """What can be said of a scorer."""

    keep_at_least: float | None = None
    """Rows with a lower score are dropped."""
    keep_at_most: float | None = None
    """Rows with a higher score are dropped."""
    nan: Literal["keep", "drop"] = "keep"
    """What becomes of rows without a score."""

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            ValueError: One is no number.
        """
        for limit in (self.keep_at_least, self.keep_at_most):
            if limit is not None and isnan(limit):
                raise ValueError("a limit of scores is a number, not `nan`")


def rules_of(step: type[Step] | None) -> type[OfAny]:
    """Tell what can be said of a step beside its own options."""
    if step is not None and issubclass(step, Filter):
        return OfFilter
    return OfScorer if step is not None and issubclass(step, Scorer) else OfAny


class Entry(Struct, frozen=True, kw_only=True):
    """One step of a recipe."""

    use: str
    """Its name: that of a built-in step, or `plugin.step`."""
    id: str
    """What its columns and reasons are called by; by default the last part of its name."""
    options: Options
    rules: OfAny
    """How the run treats it."""
    author: Author
    step: type[Step] | None = None
    """Its class; None for a deduplication."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that it asks for."""
        column = getattr(self.options, "column", None) if self.use in STEPS else None
        own = () if self.step is None else self.step.needs
        return own if column is None else (*own, column)

    @property
    def placement(self) -> str:
        """Where it runs: in several processes, or in one."""
        return "workers" if self.step is None else self.step.placement


class Recipe(Struct, frozen=True, kw_only=True):
    """What a run does."""

    input: tuple[str, ...]
    output: str
    format: str = "auto"
    field: str | None = None
    max_line: int = 64 * 2**20
    """Longest row in bytes."""
    plugins: tuple[str, ...] = ()
    """Files that are plugins, beside those that are installed."""
    entries: tuple[Entry, ...] = ()
    brakes: Brakes = Brakes()
    loaded: Plugins
    """Where its steps come from."""

    def plain(self) -> dict[str, Any]:
        """Tell all that decides what a run does, as plain values: options with their defaults."""
        steps = [
            {
                "use": entry.use,
                "id": entry.id,
                "plugin": entry.author.plugin,
                **to_builtins(entry.options, order="deterministic"),
                **(to_builtins(entry.rules) if entry.step is not None else {}),
            }
            for entry in self.entries
        ]
        return {
            "input": list(self.input),
            "format": self.format,
            "field": self.field,
            "max_line": self.max_line,
            "step": steps,
            "brakes": to_builtins(self.brakes),
        }


_HEAD = {
    "input": tuple[str, ...],
    "output": str,
    "format": str,
    "field": str,
    "max_line": int | str,
    "plugins": tuple[str, ...],
    "brakes": dict[str, object],
    "step": list[dict[str, object]],
}


def read(
    path: str | Path, overrides: Sequence[str] = (), *, plugins: Plugins | None = None
) -> Recipe:
    """Read a recipe, and check all of it.

    Args:
        path: The file. What it names is relative to the working directory.
        overrides: Options in place of those in the file, as `ID.option=value`; the value is as in
            TOML, or a bare word.
        plugins: Where steps come from. None: those that are installed, and the files that the
            recipe names.

    Raises:
        FileNotFoundError: There is no such file.
        RecipeError: Something is wrong with it.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise RecipeError([Mistake(f"{path}: {error}")]) from error
    reader = _Reader(str(path))
    recipe = reader.recipe(found, overrides, plugins)
    if reader.mistakes:
        reader.mistakes.sort(key=lambda mistake: mistake[0])
        raise RecipeError([mistake for _, mistake in reader.mistakes])
    return recipe


_TABLES = "each step is a table of its own, under `[[step]]` with two brackets"


class _Reader:
    """Reads one recipe, and notes all mistakes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.mistakes: list[tuple[int, Mistake]] = []
        """With the place of the step; -1 is before them all."""
        self.order = -1

    def add(self, mistake: Mistake) -> None:
        self.mistakes.append((self.order, mistake))

    def note(self, place: str, problem: str, hint: str | None = None) -> None:
        self.add(Mistake(f"{self.path}: {place}{problem}", hint))

    def value(self, place: str, name: str, value: object, kind: object) -> object:
        """Check one value; None, and a mistake, where it is none of its kind."""
        try:
            return convert(value, kind)
        except ValidationError as error:
            problem, _, inner = str(error).partition(" - at `$")
            at = name + inner.rstrip("`")
            hint = _TABLES if name == "step" else in_words(kind)
            self.note(place, f"`{at}`: {problem[:1].lower()}{problem[1:]}", hint)
            return None

    def recipe(
        self, found: Mapping[str, Any], overrides: Sequence[str], plugins: Plugins | None
    ) -> Recipe:
        for name in found:
            if name not in _HEAD:
                self.note("", f"unknown key `{name}`", did_you_mean(name, _HEAD))
        head = {
            name: self.value("", name, found[name], kind)
            for name, kind in _HEAD.items()
            if name in found
        }
        for name in ("input", "output"):
            if name not in found:
                self.note("", f"no key `{name}`")
        files: Any = head.get("plugins") or ()
        try:
            plugins = plugins or load([Path(file) for file in files])
        except PluginError as error:
            self.note("", error.message, error.hint)
            plugins = Plugins()
        steps: Any = head.get("step") or ()
        drafts = [self.draft(at, dict(step)) for at, step in enumerate(steps)]
        self.override([draft for draft in drafts if draft is not None], overrides)
        entries = [self.entry(draft, plugins) for draft in drafts if draft is not None]
        if None not in entries and None not in drafts:
            self.columns([(at, entry) for at, entry in enumerate(entries) if entry is not None])
        self.order = len(drafts)
        stops: Any = head.get("brakes") or {}
        brakes = self.fields("brakes: ", stops, Brakes)
        given = self.reading(head, plugins)
        return Recipe(
            input=head.get("input") or (),  # type: ignore[arg-type]
            output=head.get("output") or "",  # type: ignore[arg-type]
            plugins=files,
            entries=tuple(entry for entry in entries if entry is not None),
            brakes=brakes if isinstance(brakes, Brakes) else Brakes(),
            loaded=plugins,
            **given,
        )

    def reading(self, head: Mapping[str, Any], plugins: Plugins) -> dict[str, Any]:
        """Check how inputs are to be read."""
        self.order = -1
        given = {name: head[name] for name in ("format", "field") if head.get(name)}
        names = ["auto", *(format.name for format in plugins.formats)]
        if (format := given.get("format", "auto")) not in names:
            hint = did_you_mean(format, names) or f"there are `{'`, `'.join(names)}`"
            self.note("", f"`format` is `{format}`, which is no layout", hint)
        elif "field" in given and format not in ("auto", "text"):
            self.note("", f"`field` reads every row as text, so `format` cannot be `{format}`")
        if head.get("max_line") is not None:
            try:
                given["max_line"] = Settings(max_line=parse_size(head["max_line"])).max_line
            except (ValueError, OverflowError) as error:
                self.note("", f"`max_line`: {error}")
        return given

    def columns(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """See that the columns that steps ask for are there when they run."""
        known = set(COUNTS)
        is_sorted = False
        for order, entry in entries:
            self.order = order
            place = f"step[{order}] `{entry.use}`: "
            for name in entry.needs:
                if name not in known and name.partition(".")[0] not in known - set(COUNTS):
                    hint = did_you_mean(name, known)
                    self.note(place, f"asks for the column `{name}`, which is not there", hint)
            if entry.use in DEDUP and is_sorted:
                hint = 'put it before; `keep = "best:FIELD"` says which of two rows stays'
                self.note(place, "comes after `sort-by`, and works in the order of the rows", hint)
            is_sorted |= entry.use == "sort-by"
            is_flag = getattr(entry.rules, "mode", "drop") == "flag"
            if is_flag or (entry.step is not None and issubclass(entry.step, Scorer)):
                if entry.id in COUNTS:
                    problem = f"makes a column `{entry.id}`, as what is counted in texts is called"
                    self.note(place, problem, "give the step another `id`")
                known.add(entry.id)

    def draft(self, at: int, given: dict[str, Any]) -> _Draft | None:
        """Find out which step is meant, and what it is called."""
        self.order = at
        use = given.pop("use", None)
        if not isinstance(use, str):
            self.note(f"step[{at}]: ", "no key `use`, which names the step")
            return None
        place = f"step[{at}] `{use}`: "
        name = given.pop("id", use.rpartition(".")[2])
        if not isinstance(name, str) or not NAME.fullmatch(name):
            self.note(place, f"`id` is {name!r}", "ids are like `too-long`")
            return None
        if name == READ:
            self.note(place, f"`{name}` is what reads the rows", "give the step another `id`")
            return None
        return _Draft(at, use, name, place, given)

    def override(self, drafts: Sequence[_Draft], overrides: Sequence[str]) -> None:
        """Put options in the place of others, and see that no two steps have one id."""
        known: dict[str, _Draft] = {}
        for draft in drafts:
            self.order = draft.order
            if draft.id in known:
                hint = "give one of them an `id`"
                self.note(draft.place, f"a step before it has the id `{draft.id}`", hint)
            known.setdefault(draft.id, draft)
        self.order = len(drafts) + 1
        for given in overrides:
            name, equals, value = given.partition("=")
            one, dot, option = name.strip().rpartition(".")
            if not equals or not dot:
                self.add(Mistake(f"`{given}` is not like `ID.option=value`"))
            elif one not in known:
                self.add(
                    Mistake(f"`{given}`: no step has the id `{one}`", did_you_mean(one, known))
                )
            else:
                known[one].given[option] = _parsed(value.strip())

    def entry(self, draft: _Draft, plugins: Plugins) -> Entry | None:
        """Check the options of a step, and what is said of how the run treats it."""
        self.order = draft.order
        step = STEPS.get(draft.use)
        author = Author(step=draft.use, plugin=f"curatekit {_native.__version__}")
        kind: type[Options] | None = DEDUP.get(draft.use)
        rules: type[OfAny] = OfAny
        if kind is None and step is None and "." not in draft.use:
            built_in = {*DEDUP, *STEPS}
            meant = did_you_mean(draft.use, built_in) or "a plugin's step is `plugin.step`"
            self.note(draft.place, "there is no such step", meant)
            return None
        if kind is None and step is None:
            try:
                step, author = plugins.step(draft.use)
            except PluginError as error:
                self.note(draft.place, error.message, error.hint)
                return None
        if step is not None:
            kind, rules = step.Options, rules_of(step)
        known = {field.encode_name for field in structs.fields(rules)} if step else set()
        of_run = {name: value for name, value in draft.given.items() if name in known}
        own = {name: value for name, value in draft.given.items() if name not in known}
        options = self.fields(draft.place, own, kind or Options, also=known)
        ruled = self.fields(draft.place, of_run, rules)
        if not isinstance(options, Options) or not isinstance(ruled, OfAny):
            return None
        return Entry(
            use=draft.use, id=draft.id, options=options, rules=ruled, step=step, author=author
        )

    def fields(
        self, place: str, given: Mapping[str, Any], kind: type[Struct], also: set[str] | None = None
    ) -> object:
        """Check each option by itself, and then all together; None where one is wrong."""
        known = {field.encode_name: field for field in structs.fields(kind)}
        before = len(self.mistakes)
        for name in given:
            if name not in known:
                hint = did_you_mean(name, {*known, *(also or ())})
                self.note(place, f"unknown option `{name}`", hint)
            else:
                self.value(place, name, given[name], known[name].type)
        for name, field in known.items():
            is_needed = field.default is NODEFAULT and field.default_factory is NODEFAULT
            if is_needed and name not in given:
                self.note(place, f"no option `{name}`, which has no default")
        if len(self.mistakes) > before:
            return None
        try:
            return convert(given, kind)
        except ValidationError as error:  # what concerns several options, in the words of the class
            self.note(place, str(error))
            return None


class _Draft(Struct):
    """A step of which only the name is known."""

    order: int
    use: str
    id: str
    place: str
    given: dict[str, Any]


def _parsed(value: str) -> object:
    """Read a value as TOML does, or else as a bare word."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return value

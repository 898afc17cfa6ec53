"""What can go wrong, as exceptions that carry the place, the problem and a hint.

A missing input is `FileNotFoundError`, and output that cannot be written is `OSError`, as
everywhere in Python.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Make a hint of the known name that is most like a wrong one, if one is like it."""
    from difflib import get_close_matches  # noqa: PLC0415 (slow, and most names are right)

    meant = get_close_matches(name, sorted(known), n=1)
    return f"did you mean `{meant[0]}`?" if meant else None


class CurateError(Exception):
    """What was asked for cannot be done; the base of every error of curatekit.

    Attributes:
        message: One line: place first, then the problem.
        hint: What to do about it, if that is known.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class DataError(CurateError):
    """An input cannot be read, is broken as a whole, changed while it was read, or holds a bad row.

    Attributes:
        path: The input, as it was given.
        line: The line, from 1; None where the whole file is meant.
        problem: What is wrong there.
    """

    def __init__(self, path: str, line: int | None, problem: str, hint: str | None = None) -> None:
        place = path if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {problem}", hint)
        self.args = (path, line, problem, hint)
        self.path = path
        self.line = line
        self.problem = problem


class Mistake(NamedTuple):
    """One thing that is wrong with a recipe."""

    message: str
    """Place and problem, in one line."""
    hint: str | None = None


class RecipeError(CurateError):
    """A recipe cannot be carried out.

    Attributes:
        mistakes: All that is wrong with it, in the order of the file.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(one.message for one in mistakes), mistakes[0].hint)
        self.args = (mistakes,)
        self.mistakes = mistakes

    def __str__(self) -> str:
        lines = []
        for one in self.mistakes:
            lines += [one.message] + ([f"  hint: {one.hint}"] if one.hint else [])
        return "\n".join(lines)


class PluginError(CurateError):
    """A plugin cannot be loaded, or what a recipe names is in none.

    Attributes:
        plugin: The plugin and its version, or its name where none is installed.
    """

    def __init__(self, plugin: str, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.args = (plugin, message, hint)
        self.plugin = plugin


class ContractError(CurateError):
    """A step returned something that its kind does not allow.

    This is always a bug in a plugin, never in the data, so the message names the plugin.

    Attributes:
        step: The step, as recipes name it.
        plugin: The distribution that ships it, and its version.
    """

    def __init__(self, step: str, plugin: str, expected: str, got: str) -> None:
        super().__init__(
            f"step `{step}` must return {expected}, but returned {got}",
            f"this is a bug in {plugin}; please report it there",
        )
        self.args = (step, plugin, expected, got)
        self.step = step
        self.plugin = plugin


class StepError(CurateError):
    """A step failed: it raised, took too long, or brought its process down.

    Attributes:
        step: The step, as recipes name it.
        plugin: The distribution that ships it, and its version.
        place: The row that it failed at, as `file:line`, if that is known.
        trace: Where in the step, as Python tells it; empty if it did not raise.
    """

    def __init__(
        self,
        step: str,
        plugin: str,
        problem: str,
        *,
        place: str | None = None,
        hint: str | None = None,
        trace: str = "",
    ) -> None:
        before = "" if place is None else f"{place}: "
        super().__init__(f"{before}step `{step}` of {plugin}: {problem}", hint)
        self.step = step
        self.plugin = plugin
        self.place = place
        self.trace = trace

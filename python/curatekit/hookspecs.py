"""Every point where a plugin meets curatekit.

Two families, and no third: `register_` hooks are called once, when plugins load, and return classes
or formats; `on_` hooks are called as a run goes by, and watch. No hook is called for a record: a
call costs about 2 µs with five plugins, so records reach plugins through the methods of the classes
that they registered, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from curatekit.backends import Backend
from curatekit.formats import Format
from curatekit.steps import Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

API = 1
"""Version of the hooks and of what they pass; a plugin's module says it as `CURATEKIT_API`."""

hookspec = pluggy.HookspecMarker("curatekit")
hookimpl = pluggy.HookimplMarker("curatekit")


@hookspec
def register_steps() -> Iterable[type[Step]]:  # type: ignore[empty-body]
    """Return the classes of the steps that this plugin adds.

    Called once in each process. A step's full name is the name of the plugin's entry point, a dot,
    and `Step.name`: `quality.length`.

        @hookimpl
        def register_steps() -> list[type[Step]]:
            return [Length]
    """


@hookspec
def register_backends() -> Iterable[type[Backend]]:  # type: ignore[empty-body]
    """Return the classes of the backends that this plugin adds: ways to ask a model.

    Called once in each process. Steps find them by `Backend.name`.

        @hookimpl
        def register_backends() -> list[type[Backend]]:
            return [OpenAI]
    """


@hookspec
def register_formats() -> Iterable[Format]:  # type: ignore[empty-body]
    """Return the layouts of rows that this plugin adds.

    Called once in each process. They are looked for after those that curatekit knows itself.

        @hookimpl
        def register_formats() -> list[Format]:
            return [Format("dialog", (("turns",),), (PartRule("turns[*]", "user"),))]
    """


@hookspec
def on_run_start(recipe: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Watch a run begin: what it will do, as the report will tell it, and to which files.

    An exception here, or in one of the next two, is logged once, and the hook is not called again
    in this run: what only watches must not cost anybody their data.

        @hookimpl
        def on_run_start(recipe: Mapping[str, Any], inputs: Sequence[str]) -> None:
            print(len(recipe["step"]), "steps")
    """


@hookspec
def on_batch_done(step: str, rows: NDArray[np.uint64], kept: int, seconds: float) -> None:
    """Watch rows leave a step: its id, their numbers, how many of them stay, the time it took.

    Batches come in the order of their rows.

        @hookimpl
        def on_batch_done(step: str, rows: NDArray[np.uint64], kept: int, seconds: float) -> None:
            print(step, len(rows) / seconds, "rows a second")
    """


@hookspec
def on_run_end(report: Mapping[str, Any]) -> None:
    """Watch a run end well, with its report; what it wrote is there already.

    @hookimpl
    def on_run_end(report: Mapping[str, Any]) -> None:
        print(report["kept"], "rows")
    """

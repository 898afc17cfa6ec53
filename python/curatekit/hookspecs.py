"""Every point where a plugin meets curatekit.

`register_` hooks are called once, when plugins load, and return classes. No hook is called for a
record: a call costs about 2 µs with five plugins, so records reach plugins through the methods of
the classes that they registered, a batch at a time.
"""

from collections.abc import Iterable

import pluggy

from curatekit.steps import Step

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

"""Plugins: find them, load them, and say of each what it adds or why it cannot be used.

A plugin is an entry point of the group `curatekit`, whose name is what recipes call it. The loop is
our own: pluggy's drops the second of two equal names in silence, and one broken import ends it.
"""

import difflib
import importlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract, isclass
from pathlib import Path
from types import ModuleType

import pluggy
from msgspec import Struct

from curatekit import hookspecs
from curatekit.errors import PluginError
from curatekit.steps import KINDS, Author, Filter, Options, Selector, Step

GROUP = "curatekit"
CHOICE = "CURATEKIT_PLUGINS"
"""Environment variable: the plugins to load, by name or distribution, with commas between them."""

_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")
_log = logging.getLogger("curatekit")


class Plugin(Struct, kw_only=True):
    """An installed plugin, and what became of it."""

    name: str
    """What recipes call it: the name of its entry point, or the stem of its file."""
    distribution: str
    """What ships it; the path of a file that a recipe names."""
    version: str = ""
    steps: dict[str, type[Step]]
    """The classes that it registered, by full name."""
    hooks: list[str]
    """The hooks that it implements."""
    problem: str | None = None
    """Why it cannot be used."""
    hint: str | None = None

    @property
    def title(self) -> str:
        """Distribution and version, as messages name it."""
        return f"{self.distribution} {self.version}".rstrip()


class _RefusedError(Exception):
    """A plugin cannot be used; carries why, and perhaps a hint."""


class Plugins:
    """All plugins that were found.

    Attributes:
        found: The plugins, by name.
        manager: Calls the hooks of those that can be used.
    """

    def __init__(self) -> None:
        self.found: dict[str, Plugin] = {}
        self.manager = pluggy.PluginManager("curatekit")
        self.manager.add_hookspecs(hookspecs)

    def step(self, name: str) -> tuple[type[Step], Author]:
        """Give the class of a step, and whose it is.

        Raises:
            PluginError: There is none of that name, or its plugin cannot be used.
        """
        topic, dot, rest = name.partition(".")
        if not dot:
            raise PluginError(name, f"there is no step `{name}`", "a step is `plugin.step`")
        plugin = self.found.get(topic)
        if plugin is None:
            raise PluginError(topic, f"no plugin is called `{topic}`", self._missing(topic))
        if plugin.problem is not None:
            raise PluginError(plugin.title, f"{plugin.title}: {plugin.problem}", plugin.hint)
        if name not in plugin.steps:
            known = [full.partition(".")[2] for full in plugin.steps]
            hint = _meant(rest, known) or f"it has `{'`, `'.join(known)}`"
            raise PluginError(plugin.title, f"{plugin.title} has no step `{rest}`", hint)
        return plugin.steps[name], Author(step=name, plugin=plugin.title)

    def add(self, plugin: Plugin, module: object) -> None:
        """Take in what a plugin's module registers.

        Raises:
            PluginError: The module implements a hook that there is not.
        """
        if not isinstance(module, ModuleType):
            raise _RefusedError("has an entry point that is no module")
        _check_version(module)
        known = [name for name in vars(hookspecs) if name.startswith(("register_", "on_"))]
        for hook in _hooks(module):
            if hook not in known:
                message = f"{plugin.title}: there is no hook `{hook}`"
                raise PluginError(plugin.title, message, _meant(hook, known))
            plugin.hooks.append(hook)
        others = self.manager.get_plugins()
        self.manager.register(module, plugin.name)
        register = self.manager.subset_hook_caller("register_steps", others)
        for steps in register():
            plugin.steps.update(_named(plugin.name, steps))

    def _missing(self, topic: str) -> str:
        others = os.environ.get(CHOICE)
        if others is not None:
            return f"{CHOICE} names the plugins to load: `{others}`"
        meant = difflib.get_close_matches(topic, self.found, n=1)
        if meant:
            return f"did you mean `{meant[0]}`?"
        return f"`pip install curatekit-{topic}` would install it, by the rule for names"


def load(files: Sequence[Path] = ()) -> Plugins:
    """Load the plugins that are installed, or those that `CURATEKIT_PLUGINS` names, and files.

    A plugin that cannot be imported, or is made for another curatekit, is kept as one that cannot
    be used, with a warning.

    Args:
        files: Python files that are plugins; each is called by its stem.

    Raises:
        PluginError: Two plugins have one name, one of those asked for is not there, or one
            implements a hook that there is not.
    """
    plugins = Plugins()
    for entry, plugin in _chosen():
        _load(plugins, plugin, entry.load)
    for file in files:
        plugin = Plugin(name=file.stem, distribution=str(file), steps={}, hooks=[])
        if plugin.name in plugins.found:
            raise _clash(plugins.found[plugin.name], plugin)
        _load(plugins, plugin, partial(_import, file))
    return plugins


def _load(plugins: Plugins, plugin: Plugin, importing: Callable[[], object]) -> None:
    plugins.found[plugin.name] = plugin
    try:
        plugins.add(plugin, importing())
    except PluginError:
        raise
    except _RefusedError as error:
        plugin.problem, plugin.hint = (*error.args, None)[:2]
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a stranger's module may raise anything)
        plugin.problem = f"cannot be loaded: {type(error).__name__}: {error}"
    if plugin.problem is not None:
        plugin.steps.clear()
        if plugins.manager.has_plugin(plugin.name):
            plugins.manager.unregister(name=plugin.name)
        _log.warning("%s: %s", plugin.title, plugin.problem)


def _chosen() -> Iterator[tuple[EntryPoint, Plugin]]:
    """Yield the entry points to load, in the order of their names."""
    choice = os.environ.get(CHOICE)
    asked = None if choice is None else {name.strip() for name in choice.split(",")} - {""}
    seen: dict[str, Plugin] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        name = entry.dist.name if entry.dist else entry.module
        version = entry.dist.version if entry.dist else ""
        plugin = Plugin(name=entry.name, distribution=name, version=version, steps={}, hooks=[])
        if asked is not None and not asked & {entry.name, name}:
            continue
        if entry.name in seen:
            raise _clash(seen[entry.name], plugin)
        seen[entry.name] = plugin
        yield entry, plugin
    there = {plugin.name for plugin in seen.values()}
    there |= {plugin.distribution for plugin in seen.values()}
    for missing in sorted((asked or set()) - there):
        message = f"{CHOICE} names `{missing}`, and no such plugin is installed"
        raise PluginError(missing, message)


def _clash(plugin: Plugin, other: Plugin) -> PluginError:
    titles = f"{plugin.title} and {other.title}"
    message = f"two installed plugins are both called `{plugin.name}`: {titles}"
    hint = f"uninstall one, or name the distribution to load in {CHOICE}"
    return PluginError(titles, message, hint)


def _import(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"curatekit_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise _RefusedError("is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _hooks(module: ModuleType) -> list[str]:
    """Names of what a module marks as implementations of hooks."""
    return [name for name, one in vars(module).items() if hasattr(one, "curatekit_impl")]


def _check_version(module: ModuleType) -> None:
    version = getattr(module, "CURATEKIT_API", None)
    if version is None:
        raise _RefusedError(
            "does not say for which version of the hooks it is made",
            f"its module needs the line `CURATEKIT_API = {hookspecs.API}`",
        )
    if version != hookspecs.API:
        raise _RefusedError(
            f"is made for version {version} of the hooks, and this curatekit has {hookspecs.API}",
            "install the version of one of the two that fits the other",
        )


def _named(topic: str, steps: Iterable[object]) -> Iterator[tuple[str, type[Step]]]:
    """Check classes that a plugin registered, and give each its full name."""
    seen: set[str] = set()
    for step in steps:
        label = getattr(step, "__name__", repr(step))
        if not isclass(step) or not issubclass(step, KINDS):
            kinds = ", ".join(kind.__name__ for kind in KINDS)
            raise _RefusedError(f"registers `{label}`, which is no {kinds}")
        if isabstract(step):
            missing = "`, `".join(sorted(step.__abstractmethods__))
            raise _RefusedError(f"registers `{label}`, which has no method `{missing}`")
        name = getattr(step, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _RefusedError(
                f"registers `{label}`, whose name is {name!r}", "names are like `too-long`"
            )
        if name in seen:
            raise _RefusedError(f"registers two steps with the name `{name}`")
        if not issubclass(step.Options, Options):
            raise _RefusedError(f"registers `{label}`, whose `Options` derive from no Options")
        if issubclass(step, Filter | Selector):
            reasons = getattr(step, "reasons", ())
            if not reasons or not all(_NAME.fullmatch(reason) for reason in reasons):
                raise _RefusedError(
                    f"registers `{label}`, whose reasons are {reasons!r}",
                    "a tuple of one or more, like `too-long`",
                )
        seen.add(name)
        yield f"{topic}.{name}", step


def _meant(name: str, known: Iterable[str]) -> str | None:
    meant = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{meant[0]}`?" if meant else None

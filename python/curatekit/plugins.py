"""Plugins: find them, load them, and say of each what it adds or why it cannot be used.

A plugin is an entry point of the group `curatekit`, whose name is what recipes call it. The loop is
our own: pluggy's drops the second of two equal names in silence, and one broken import ends it.
"""

import importlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract, isclass, isroutine
from pathlib import Path
from types import ModuleType

import pluggy
from msgspec import Struct
from msgspec.structs import fields
from xxhash import xxh3_128

from curatekit import hookspecs
from curatekit.backends import Backend
from curatekit.errors import PluginError, did_you_mean
from curatekit.formats import FORMATS, Format
from curatekit.options import described
from curatekit.records import Batch
from curatekit.steps import KINDS, NAME, Author, Filter, Options, Scorer, Selector, Step

GROUP = "curatekit"
CHOICE = "CURATEKIT_PLUGINS"
"""Environment variable: the plugins to load, by name or distribution, with commas between them."""

PLUGIN_NAME = re.compile("[a-z][a-z0-9]*([-_][a-z0-9]+)*")
"""What plugins are called; the stem of a file may have underscores."""
COLUMN = re.compile(r"[a-z][\w.-]*")
"""What columns are called."""
_NAMES = "names are like `too-long`"
RESERVED = {
    *("use", "id", "mode", "on_error", "max_failures", "timeout_seconds"),
    *("keep_at_least", "keep_at_most", "nan"),
}
"""What a recipe says of a step beside its own options."""
MOST_REASONS = 255
"""They have codes from 1 on, of one byte."""
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
    origin: str = ""
    """The file of its module."""
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
        backends: Ways to ask a model, by name.
        formats: The layouts that are known, in the order in which they are looked for.
    """

    def __init__(self) -> None:
        self.found: dict[str, Plugin] = {}
        self.backends: dict[str, type[Backend]] = {}
        self.formats: tuple[Format, ...] = FORMATS
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
            names = f"it has `{'`, `'.join(known)}`" if known else "it has none"
            hint = did_you_mean(rest, known) or names
            raise PluginError(plugin.title, f"{plugin.title} has no step `{rest}`", hint)
        return plugin.steps[name], Author(step=name, plugin=plugin.title)

    def digests(self, steps: Collection[str]) -> dict[str, str]:
        """Hash the files of plugins that have a say in a run, by plugin and version.

        These are those of its `steps`, and those that add backends or formats.
        """
        topics = {step.partition(".")[0] for step in steps if "." in step}
        hooks = {"register_backends", "register_formats"}
        return {
            plugin.title: _digest(Path(plugin.origin))
            for name, plugin in sorted(self.found.items())
            if name in topics or (hooks & set(plugin.hooks) and plugin.problem is None)
        }

    def watchers(self) -> "Watchers":
        """Give the hooks that watch a run, each of them as yet unharmed."""
        return Watchers(self.manager)

    def _missing(self, topic: str) -> str | None:
        others = os.environ.get(CHOICE)
        if others is not None:
            return f"{CHOICE} names the plugins to load: `{others}`"
        if meant := did_you_mean(topic, self.found):
            return meant
        if not NAME.fullmatch(topic):
            return None
        return f"`pip install curatekit-{topic}` would install it, by the rule for names"


class Watchers:
    """The hooks of plugins that watch one run; one that fails is not called again."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._failed: set[tuple[str, str]] = set()

    def call(self, hook: str, **facts: object) -> None:
        """Tell everyone who watches; what they print goes where messages go."""
        for one in getattr(self._manager.hook, hook).get_hookimpls():
            if (one.plugin_name, hook) in self._failed:
                continue
            try:
                with redirect_stdout(sys.stderr):
                    one.function(**{name: facts[name] for name in one.argnames})
            except (Exception, SystemExit) as error:  # noqa: BLE001 (who watches cannot end a run)
                self._failed.add((one.plugin_name, hook))
                _log.warning(
                    "plugin `%s`: `%s` failed, and is not called again in this run: %s",
                    one.plugin_name,
                    hook,
                    _spelled(error),
                )


def load(files: Sequence[Path] = ()) -> Plugins:
    """Load the plugins that are installed, or those that `CURATEKIT_PLUGINS` names, and files.

    A plugin that cannot be imported, or is made for another curatekit, is kept as one that cannot
    be used, with a warning.

    Args:
        files: Python files that are plugins; each is called by its stem.

    Raises:
        PluginError: Two plugins have one name, or one of those asked for is not there.
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


def of_modules(modules: Mapping[str, ModuleType]) -> Plugins:
    """Make plugins of modules that are loaded already, each by a name."""
    plugins = Plugins()
    for name, module in modules.items():
        plugin = Plugin(name=name, distribution=module.__name__, steps={}, hooks=[])
        _load(plugins, plugin, partial(_itself, module))
    return plugins


def _itself(module: ModuleType) -> ModuleType:
    return module


def _load(plugins: Plugins, plugin: Plugin, importing: Callable[[], object]) -> None:
    plugins.found[plugin.name] = plugin
    try:
        if not PLUGIN_NAME.fullmatch(plugin.name):
            raise _RefusedError(f"has the name {plugin.name!r}", "names are like `quality`")  # noqa: TRY301 (one way out)
        with redirect_stdout(sys.stderr):  # where a run may write its result
            _take(plugins, plugin, importing())
    except KeyboardInterrupt:
        raise
    except _RefusedError as error:
        plugin.problem, plugin.hint = (*error.args, None)[:2]
    except BaseException as error:  # noqa: BLE001 (a stranger's module may raise anything)
        plugin.problem = f"cannot be loaded: {_spelled(error)}"
    if plugin.problem is not None:
        plugin.steps.clear()
        if plugins.manager.has_plugin(plugin.name):
            plugins.manager.unregister(name=plugin.name)
        _log.warning("%s: %s", plugin.title, plugin.problem)


def _take(plugins: Plugins, plugin: Plugin, module: object) -> None:
    """Take in what a plugin's module registers."""
    if not isinstance(module, ModuleType):
        raise _RefusedError("has an entry point that is no module")
    plugin.origin = getattr(module, "__file__", None) or ""
    _check_version(module)
    known = [name for name in vars(hookspecs) if name.startswith(("register_", "on_"))]
    for hook in _hooks(module):
        if hook not in known:
            raise _RefusedError(f"implements `{hook}`, which is no hook", did_you_mean(hook, known))
        plugin.hooks.append(hook)
    others = plugins.manager.get_plugins()
    plugins.manager.register(module, plugin.name)

    def registered(hook: str) -> list[Iterable[object]]:
        return list(plugins.manager.subset_hook_caller(hook, others)())

    backends: dict[str, type[Backend]] = {}
    formats: dict[str, Format] = {}
    for steps in registered("register_steps"):
        plugin.steps.update(_named(plugin.name, steps))
    for found in registered("register_backends"):
        backends |= _backends(found, plugins.backends)
    for found in registered("register_formats"):
        formats |= _formats(found, plugins.formats)
    plugins.backends |= backends
    plugins.formats = (*plugins.formats[:-1], *formats.values(), plugins.formats[-1])


def _spelled(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 (it cannot even say what it is)
        return type(error).__name__


def _chosen() -> Iterator[tuple[EntryPoint, Plugin]]:
    """Yield the entry points to load, in the order of their names."""
    choice = os.environ.get(CHOICE)
    asked = None if choice is None else {_canonical(name) for name in choice.split(",")} - {""}
    seen: dict[str, Plugin] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        name = (entry.dist.name if entry.dist else None) or entry.module
        version = entry.dist.version if entry.dist else ""
        plugin = Plugin(name=entry.name, distribution=name, version=version, steps={}, hooks=[])
        if asked is not None and not asked & {_canonical(entry.name), _canonical(name)}:
            continue
        if entry.name in seen:
            raise _clash(seen[entry.name], plugin)
        seen[entry.name] = plugin
        yield entry, plugin
    there = {_canonical(plugin.name) for plugin in seen.values()}
    there |= {_canonical(plugin.distribution) for plugin in seen.values()}
    for missing in sorted((asked or set()) - there):
        message = f"{CHOICE} names `{missing}`, and no such plugin is installed"
        raise PluginError(missing, message)


def _digest(origin: Path) -> str:
    """Hash the files of a module: itself, or all that stand in its package."""
    found = xxh3_128()
    files = [origin]
    if origin.name == "__init__.py":
        files = sorted(path for path in origin.parent.rglob("*") if path.is_file())
    for path in files:
        if path.suffix != ".pyc" and path.is_file():
            found.update(str(path.relative_to(origin.parent)).encode() + b"\0")
            found.update(path.read_bytes())
    return found.hexdigest()


def _canonical(name: str) -> str:
    """A distribution's name as installers compare it."""
    return re.sub("[-_.]+", "-", name.strip()).lower()


def _clash(plugin: Plugin, other: Plugin) -> PluginError:
    titles = f"{plugin.title} and {other.title}"
    if other.version == "":
        hint = "give the file another name"
        return PluginError(titles, f"two plugins are both called `{plugin.name}`: {titles}", hint)
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
    return [
        name
        for name, one in vars(module).items()
        if isroutine(one) and isinstance(getattr(one, "curatekit_impl", None), dict)
    ]


def _check_version(module: ModuleType) -> None:
    version = getattr(module, "CURATEKIT_API", None)
    if version is None:
        raise _RefusedError(
            "does not say for which version of the hooks it is made",
            f"its module needs the line `CURATEKIT_API = {hookspecs.API}`",
        )
    if type(version) is not int or version != hookspecs.API:
        raise _RefusedError(
            f"is made for version {version!r} of the hooks, and this curatekit has {hookspecs.API}",
            "install the version of one of the two that fits the other",
        )


def _named(topic: str, steps: Iterable[object]) -> Iterator[tuple[str, type[Step]]]:
    """Check classes that a plugin registered, and give each its full name."""
    seen: set[str] = set()
    for step in steps:
        label = getattr(step, "__name__", repr(step))
        kinds = [kind for kind in KINDS if isclass(step) and issubclass(step, kind)]
        if not isclass(step) or not issubclass(step, Step) or len(kinds) != 1:
            names = ", ".join(kind.__name__ for kind in KINDS)
            raise _RefusedError(f"registers `{label}`, which is not one of {names}")
        for problem, hint in _problems(step):
            raise _RefusedError(f"registers `{label}`, {problem}", hint)
        if step.name in seen:
            raise _RefusedError(f"registers two steps with the name `{step.name}`")
        seen.add(step.name)
        yield f"{topic}.{step.name}", step


def _backends(given: Iterable[object], known: Mapping[str, object]) -> dict[str, type[Backend]]:
    """Check classes of backends, and give each by its name."""
    found: dict[str, type[Backend]] = {}
    for backend in given:
        label = getattr(backend, "__name__", repr(backend))
        if not isclass(backend) or not issubclass(backend, Backend) or isabstract(backend):
            raise _RefusedError(f"registers `{label}`, which is no Backend")
        name: object = getattr(backend, "name", None)
        if not _is_names((name,)):
            raise _RefusedError(f"registers `{label}`, whose name is {name!r}", _NAMES)
        if backend.name in known or backend.name in found:
            raise _RefusedError(f"registers a second backend with the name `{backend.name}`")
        found[backend.name] = backend
    return found


def _formats(given: Iterable[object], known: Sequence[Format]) -> dict[str, Format]:
    """Check layouts, and give each by its name."""
    found: dict[str, Format] = {}
    taken = {"auto", *(format.name for format in known)}
    for format in given:
        if not isinstance(format, Format):
            raise _RefusedError(f"registers {format!r:.80}, which is no Format")
        if not _is_names((format.name,)):
            raise _RefusedError(f"registers a format whose name is {format.name!r}", _NAMES)
        if format.name in taken or format.name in found:
            raise _RefusedError(f"registers a second format with the name `{format.name}`")
        try:
            Batch.of([], format)
        except (TypeError, ValueError) as error:
            raise _RefusedError(f"registers a format that cannot be followed: {error}") from error
        found[format.name] = format
    return found


def _problems(step: type[Step]) -> Iterator[tuple[str, str | None]]:  # noqa: C901 (a list)
    """What is wrong with a class, and how it should be."""
    if isabstract(step):
        missing = "`, `".join(sorted(step.__abstractmethods__))
        yield f"which has no method `{missing}`", None
    name: object = getattr(step, "name", None)
    if not _is_names((name,)):
        yield f"whose name is {name!r}", _NAMES
    if issubclass(step, Filter | Selector):
        reasons: object = getattr(step, "reasons", ())
        if not _is_names(reasons):
            yield f"whose reasons are {reasons!r}", 'a tuple of names, as in `("too-short",)`'
    if not _is_names(step.needs, least=0, pattern=COLUMN):
        yield f"whose needs are {step.needs!r}", "a tuple of names of columns"
    placement: object = step.placement
    if placement not in ("workers", "one"):
        yield f"whose placement is {placement!r}", "`workers` or `one`"
    if issubclass(step, Scorer) and not _is_range(step.range):
        yield f"whose range is {step.range!r}", "the least and the greatest score, as in `(0, 5)`"
    if not isclass(step.Options) or not issubclass(step.Options, Options):
        yield "whose `Options` derive from no Options", None
    for taken in sorted({field.name for field in fields(step.Options)} & RESERVED):
        yield f"whose option `{taken}` is one that every step has", "call it something else"
    try:
        described(step.Options)
    except Exception as error:  # noqa: BLE001 (a stranger's types may do anything)
        yield f"whose options cannot stand in a recipe: {_spelled(error)}", None


def _is_names(names: object, *, least: int = 1, pattern: re.Pattern[str] = NAME) -> bool:
    """Is this a tuple of different names, and not too many for codes of one byte?"""
    if not isinstance(names, tuple) or not all(isinstance(one, str) for one in names):
        return False
    is_right = all(pattern.fullmatch(one) for one in names)
    return is_right and least <= len(names) == len(set(names)) <= MOST_REASONS


def _is_range(limits: object) -> bool:
    match limits:
        case (int() | float() as least, int() | float() as most):
            return least <= most
    return False

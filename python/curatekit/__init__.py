"""curatekit turns fine-tuning data into a dataset worth training on, and says why for every row.

>>> import curatekit
>>> decisions = curatekit.dedup.near("data/*.jsonl", on=["user"])
>>> decisions.kept.sum()
"""

from importlib import import_module
from typing import TYPE_CHECKING

from curatekit._native import __version__
from curatekit.errors import CurateError, DataError

if TYPE_CHECKING:
    from curatekit import dedup, formats, records, run

__all__ = ["CurateError", "DataError", "__version__", "dedup", "formats", "records", "run"]

_MODULES = ("dedup", "formats", "records", "run")


def __getattr__(name: str) -> object:
    """Import a module when it is first asked for, so that `import curatekit` stays quick."""
    if name in _MODULES:
        return import_module(f"curatekit.{name}")
    raise AttributeError(f"module `curatekit` has no attribute `{name}`")


def __dir__() -> list[str]:
    return __all__

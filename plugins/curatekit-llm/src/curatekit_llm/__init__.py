"""Judging records with a language model: a backend that asks, and a scorer that knows what to ask.

An answer is paid for once: it is kept in a file before anything is made of it.
"""

from curatekit.backends import Backend
from curatekit.hookspecs import hookimpl
from curatekit.steps import Step
from curatekit_llm.asking import Asker, Budget, BudgetError, ModelError
from curatekit_llm.backend import OpenAI
from curatekit_llm.cache import Cache, CacheError
from curatekit_llm.rubric import Rubric, RubricOptions

__all__ = [
    "Asker",
    "Budget",
    "BudgetError",
    "Cache",
    "CacheError",
    "ModelError",
    "OpenAI",
    "Rubric",
    "RubricOptions",
]

CURATEKIT_API = 1


@hookimpl
def register_steps() -> list[type[Step]]:
    """Name the scorer."""
    return [Rubric]


@hookimpl
def register_backends() -> list[type[Backend]]:
    """Name the backend."""
    return [OpenAI]

"""The JSON schema of recipes, for editors: what may stand in one, whichever plugins there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import json

from curatekit.built_in import DEDUP, STEPS
from curatekit.plugins import Plugins
from curatekit.recipe import Brakes, rules_of
from curatekit.steps import Options, Step


def schema_of(plugins: Plugins) -> dict[str, Any]:
    """Describe recipes that use built-in steps, and those of some plugins (JSON Schema 2020-12)."""
    steps: dict[str, tuple[type[Options], type[Step] | None]] = {
        **{name: (options, None) for name, options in DEDUP.items()},
        **{name: (step.Options, step) for name, step in STEPS.items()},
    }
    for plugin in plugins.found.values():
        steps |= {name: (step.Options, step) for name, step in plugin.steps.items()}
    kinds: list[type[Any]] = [*(options for options, _ in steps.values()), Brakes]
    kinds += [rules_of(step) for _, step in steps.values()]
    components = _Components(kinds)
    entries = [
        components.entry(name, options, step) for name, (options, step) in sorted(steps.items())
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a recipe of curatekit",
        "type": "object",
        "required": ["input", "output"],
        "additionalProperties": False,
        "properties": {
            "input": {
                "description": "Files, folders and globs, in the order that numbers the rows.",
                "type": "array",
                "items": {"type": "string"},
            },
            "output": {"description": "The folder to make.", "type": "string"},
            "format": {
                "description": "Layout of the rows.",
                "enum": ["auto", *(format.name for format in plugins.formats)],
                "default": "auto",
            },
            "field": {"description": "The field with the text of a document.", "type": "string"},
            "max_line": {
                "description": "Longest row, as in `64MiB`.",
                "type": ["integer", "string"],
                "default": "64MiB",
            },
            "plugins": {
                "description": "Python files that are plugins.",
                "type": "array",
                "items": {"type": "string"},
            },
            "brakes": components.of(Brakes),
            "step": {"type": "array", "items": {"oneOf": entries}},
        },
        "$defs": components.definitions,
    }


class _Components:
    """Schemas of classes, and what these refer to."""

    def __init__(self, kinds: list[type[Any]]) -> None:
        unique = list(dict.fromkeys(kinds))
        found, self.definitions = json.schema_components(unique, ref_template="#/$defs/{name}")
        self._references = dict(zip(unique, found, strict=True))

    def of(self, kind: type[Any]) -> dict[str, Any]:
        return self._references[kind]

    def _whole(self, kind: type[Any]) -> Mapping[str, Any]:
        """Give the schema of a class itself."""
        reference: str = self._references[kind]["$ref"]
        whole: Mapping[str, Any] = self.definitions[reference.rpartition("/")[2]]
        return whole

    def entry(self, name: str, options: type[Options], step: type[Step] | None) -> dict[str, Any]:
        own, rules = self._whole(options), self._whole(rules_of(step))
        documentation: object = (step or options).__doc__
        return {
            "description": str(documentation or "").partition("\n")[0],
            "type": "object",
            "required": ["use", *own.get("required", ())],
            "additionalProperties": False,
            "properties": {
                "use": {"const": name},
                "id": {"type": "string", "description": "What its columns are called by."},
                **(rules["properties"] if step is not None else {}),
                **own["properties"],
            },
        }

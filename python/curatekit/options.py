"""The options of a step in words, for people and for messages."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from msgspec import NODEFAULT, Struct, json, structs

from curatekit.steps import Options

_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
    "minLength": "of length at least",
    "maxLength": "of length at most",
    "pattern": "like",
}


class Described(Struct, frozen=True):
    """One option of a step, as a person reads it."""

    name: str
    type: str
    default: str | None
    """As JSON; None for an option that has to be given."""
    words: str


def described(options: type[Options]) -> list[Described]:
    """Tell the options of a step, in the order of their class."""
    references, components = json.schema_components([options], ref_template="{name}")
    schemas = components[references[0]["$ref"]]["properties"]
    found = []
    for field in structs.fields(options):
        default = field.default
        if field.default_factory is not NODEFAULT:
            default = field.default_factory()
        schema = schemas[field.encode_name]
        spelled = None if default is NODEFAULT else _as_json(default)
        words = str(schema.get("description", ""))
        found.append(Described(field.encode_name, _type(schema, components), spelled, words))
    return found


def in_words(kind: object) -> str:
    """Say which values a type lets pass, as in `integer, at least 0`."""
    try:
        (schema,), components = json.schema_components([kind], ref_template="{name}")
    except TypeError:  # it is no type that JSON knows
        return "a value of another kind"
    return _type(schema, components)


def _type(schema: Mapping[str, Any], components: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema lets pass."""
    if "$ref" in schema:
        return _type(components[schema["$ref"]], components)
    if "anyOf" in schema:
        return " or ".join(_type(one, components) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(map(_as_json, schema["enum"]))
    kind = str(schema.get("type", "any value"))
    if kind == "array" and "prefixItems" in schema:
        kind = f"array of {', '.join(_type(one, components) for one in schema['prefixItems'])}"
    elif kind == "array" and schema.get("items"):
        kind = f"array of {_type(schema['items'], components)}"
    limits = [f"{words} {schema[key]}" for key, words in _LIMITS.items() if key in schema]
    return ", ".join([kind, *limits])


def _as_json(value: object) -> str:
    if isinstance(value, float) and not isfinite(value):
        return repr(value)  # JSON has no word for it, and TOML has
    return json.encode(value).decode()

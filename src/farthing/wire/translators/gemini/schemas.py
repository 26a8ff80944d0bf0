"""Gemini's schemas in its dialect of OpenAPI, as the JSON schemas that everybody else takes.

The dialect spells types in capitals (or as numbers), says `nullable` where JSON schema lists `null` among the types,
gives counts as text and the order of properties in a member of its own.
"""

from collections.abc import Mapping
from typing import Any

from farthing.wire.translators.gemini.names import camel
from farthing.wire.translators.reading import refuse

MAX_DEPTH = 64
"""Google takes far less; what models are given has under ten."""
_TYPES: Mapping[object, str | None] = {
    0: None,
    1: "string",
    2: "number",
    3: "integer",
    4: "boolean",
    5: "array",
    6: "object",
    7: "null",
    "type_unspecified": None,
}
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_NAMED = ("properties", "defs", "$defs")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE = ("items", "additionalProperties", "not")


def json_schema(schema: Any, path: str, depth: int = 0) -> Any:
    """Return a schema of Gemini's dialect as JSON schema; one that is JSON schema already comes back as it is.

    Raises:
        InvalidRequest: it is nested absurdly deep.
    """
    if not isinstance(schema, dict):
        return schema
    if depth > MAX_DEPTH:
        refuse(path, f"nested over {MAX_DEPTH} deep", f"a schema of at most {MAX_DEPTH} levels")
    made: dict[str, Any] = {}
    for name, value in camel(schema).items():
        if name == "type":
            _take_type(made, value)
        elif name in _NAMED and isinstance(value, dict):
            made[name] = {key: json_schema(inner, path, depth + 1) for key, inner in value.items()}
        elif name in _LISTED and isinstance(value, list):
            made[name] = [json_schema(inner, path, depth + 1) for inner in value]
        elif name in _ONE:
            made[name] = json_schema(value, path, depth + 1)
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal() and len(value) < 10:
            made[name] = int(value)
        elif name == "example":
            made["examples"] = [value]
        elif name not in ("nullable", "propertyOrdering") and not (name == "format" and value == "enum"):
            made[name] = value
    return _in_order(_nullable(made) if schema.get("nullable") is True else made, camel(schema))


def _take_type(made: dict[str, Any], value: Any) -> None:
    if isinstance(value, str):
        value = value.lower()
        named = _TYPES.get(value, value)
    else:
        named = _TYPES.get(value, value) if isinstance(value, int) else value
    if named is not None:
        made["type"] = named


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str) and schema["type"] != "null":
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


def _in_order(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its properties in the order that the dialect names beside them."""
    order, properties = given.get("propertyOrdering"), schema.get("properties")
    if isinstance(order, list) and isinstance(properties, dict):
        first = {name: properties[name] for name in order if isinstance(name, str) and name in properties}
        schema["properties"] = first | properties
    return schema

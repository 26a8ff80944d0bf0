"""JSON schemas as Anthropic takes them.

Where an answer is held to a schema, every object in it must have `additionalProperties: false` (recorded: a 400 that
says so), and bounds of numbers, lengths and sizes are refused (documented): those become words in the description,
which the model reads. A tool's schema needs `type: object` at its top.
"""

from typing import Any

import msgspec

from farthing.wire.lenient import UNREADABLE

_BOUNDS = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    }
)
_BY_NAME = ("properties", "$defs", "definitions")
_MAX_DEPTH = 64
"""Schemas inside schemas; those of OpenAI's strict answers may have 10."""


class _Top(msgspec.Struct, gc=False):
    type: Any = None


_top = msgspec.json.Decoder(_Top)
_anything = msgspec.json.Decoder()
EMPTY = msgspec.Raw(b'{"type":"object","properties":{}}')


def tool_schema(parameters: bytes | None) -> msgspec.Raw:
    """Return a tool's schema, with a type where it has none."""
    if parameters is None:
        return EMPTY
    if parameters.startswith(b'{"type":"object"'):
        return msgspec.Raw(parameters)
    try:
        if _top.decode(parameters).type == "object":
            return msgspec.Raw(parameters)
        schema = _anything.decode(parameters)
    except UNREADABLE:
        return EMPTY
    return msgspec.Raw(msgspec.json.encode({"type": "object", **{k: v for k, v in schema.items() if k != "type"}}))


def answer_schema(schema: bytes) -> msgspec.Raw:
    """Return a schema that an answer can be held to."""
    try:
        return msgspec.Raw(msgspec.json.encode(_held(_anything.decode(schema), _MAX_DEPTH)))
    except UNREADABLE:
        return msgspec.Raw(schema)


def _held(schema: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth == 0:
        return schema
    held: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _BOUNDS or (name == "minItems" and value not in (0, 1)):
            bounds[name] = value
        elif name in _BY_NAME and isinstance(value, dict):
            held[name] = {key: _held(one, depth - 1) for key, one in value.items()}
        elif name in ("anyOf", "allOf", "oneOf") and isinstance(value, list):
            held["anyOf" if name == "oneOf" else name] = [_held(one, depth - 1) for one in value]
        elif name == "items":
            held[name] = _held(value, depth - 1)
        else:
            held[name] = value
    if is_object(schema):
        held["additionalProperties"] = False
    if bounds:
        words = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in bounds.items())
        told = held.get("description")
        held["description"] = f"{told} ({words})" if isinstance(told, str) and told else words
    return held


def is_object(schema: dict[str, Any]) -> bool:
    """Whether a schema is one of objects."""
    kind = schema.get("type")
    return (
        kind == "object" or (isinstance(kind, list) and "object" in kind) or isinstance(schema.get("properties"), dict)
    )


def is_strict(schema: Any, depth: int = _MAX_DEPTH) -> bool:
    """Whether every format that holds answers to schemas would take this one: all members required, and no others."""
    if not isinstance(schema, dict) or depth == 0:
        return depth > 0
    if is_object(schema):
        members, required = schema.get("properties") or {}, schema.get("required")
        if schema.get("additionalProperties") is not False or not isinstance(members, dict):
            return False
        named = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        if not named.issuperset(members):
            return False
    inner = [one for name in _BY_NAME if isinstance(schema.get(name), dict) for one in schema[name].values()]
    inner += [one for name in ("anyOf", "allOf") if isinstance(schema.get(name), list) for one in schema[name]]
    inner.append(schema.get("items"))
    return "oneOf" not in schema and all(is_strict(one, depth - 1) for one in inner)

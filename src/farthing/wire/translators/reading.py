"""How members of decoded JSON are read: strictly from clients, with the path in the error; leniently from providers."""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NoReturn, TypeVar

import msgspec

from farthing.errors import InvalidRequest
from farthing.wire.lenient import UNREADABLE, decode

T = TypeVar("T")

MAX_OBJECTS = 100_000
"""Objects in what is translated. Each becomes one of ours and then another, 5 us each, in which everybody waits: a
request of 1.2 million in 27 MB took 27 s and 800 MB. A session of 1,000 turns with 200 tools has under 20,000."""
_OBJECT = re.compile(rb'\{[ \t\r\n]*"')
"""How an object begins that has members. In a text the quote would have a backslash before it."""
_LEAST_OBJECT_BYTES = len(b'{"":0}')
_anything = msgspec.json.Decoder()
_SHOWN_CHARS = 80


Body = bytes | dict[str, Any]
"""A request's body, or the members that were decoded of it already."""


def request_members(body: Body) -> dict[str, Any]:
    """Return a request's members; raises `InvalidRequest` where the body is no JSON object."""
    if isinstance(body, dict):
        return body
    try:
        found = decode(_anything, body)
    except msgspec.ValidationError:
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest("the body is no JSON object", hint="send one JSON object as the body")
    return found


def answer_members(body: bytes) -> dict[str, Any]:
    """Return the members of an answer or event; none where it is no JSON object."""
    try:
        found = decode(_anything, body)
    except msgspec.ValidationError:
        return {}
    return found if isinstance(found, dict) else {}


def is_crowd(body: bytes) -> bool:
    """Whether a body has too many objects to be translated; all but few are told by their size, or by their braces."""
    if len(body) < MAX_OBJECTS * _LEAST_OBJECT_BYTES or body.count(b"{") <= MAX_OBJECTS:
        return False
    return next(islice(_OBJECT.finditer(body), MAX_OBJECTS, None), None) is not None


def refuse(path: str, value: object, allowed: str) -> NoReturn:
    """Raise the error that says what is wrong with a member, and what it may be; `None` is one that is not there."""
    raise InvalidRequest(f'"{path}" is {"missing or null" if value is None else shown(value)}', hint=f"send {allowed}")


def shown(value: object) -> str:
    """Return a value as it stood in the JSON, cut short."""
    try:
        text = msgspec.json.encode(value).decode()
    except UNREADABLE:
        text = str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def text_at(members: Mapping[str, Any], name: str, path: str = "") -> str | None:
    """Return a text; `None` where the member is absent or null."""
    value = members.get(name)
    if value is None or isinstance(value, str):
        return value
    refuse(_joined(path, name), value, "a text")


def needed_text(members: Mapping[str, Any], name: str, path: str = "") -> str:
    """Return a text that must be there."""
    value = text_at(members, name, path)
    if value is None:
        refuse(_joined(path, name), None, "a text")
    return value


def flag_at(members: Mapping[str, Any], name: str, path: str = "") -> bool | None:
    """Return true or false; `None` where the member is absent or null."""
    value = members.get(name)
    if value is None or isinstance(value, bool):
        return value
    refuse(_joined(path, name), value, "true or false")


def whole_at(members: Mapping[str, Any], name: str, path: str = "", *, least: int = 0) -> int | None:
    """Return a whole number; `None` where the member is absent or null."""
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value < 1 << 63:
        return value
    refuse(_joined(path, name), value, f"a whole number from {least}")


def number_at(
    members: Mapping[str, Any], name: str, path: str = "", *, least: float = 0, most: float | None = None
) -> float | None:
    """Return a number; `None` where the member is absent or null."""
    value = members.get(name)
    if value is None:
        return None
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and least <= value
        and (most is None or value <= most)
    ):
        return value
    refuse(_joined(path, name), value, f"a number from {least}" + ("" if most is None else f" to {most}"))


def object_at(members: Mapping[str, Any], name: str, path: str = "") -> dict[str, Any] | None:
    """Return an object; `None` where the member is absent or null."""
    value = members.get(name)
    if value is None or isinstance(value, dict):
        return value
    refuse(_joined(path, name), value, "an object")


def objects_at(members: Mapping[str, Any], name: str, path: str = "") -> list[dict[str, Any]]:
    """Return a list of objects; empty where the member is absent or null."""
    value = members.get(name)
    if value is None:
        return []
    if isinstance(value, list):
        for at, item in enumerate(value):
            if not isinstance(item, dict):
                refuse(f"{_joined(path, name)}[{at}]", item, "an object")
        return value
    refuse(_joined(path, name), value, "a list of objects")


def one_of(members: Mapping[str, Any], name: str, allowed: Mapping[str, T], path: str = "") -> T | None:
    """Return what one of several words means; `None` where the member is absent or null."""
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value in allowed:
        return allowed[value]
    refuse(_joined(path, name), value, "one of " + ", ".join(f'"{word}"' for word in allowed))


def as_json(value: object) -> bytes:
    """Return decoded JSON as JSON again; raises `InvalidRequest` where it is deeper than it could be encoded."""
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply", hint="send JSON that is less deep") from None


def extras(members: Mapping[str, Any], known: Iterable[str]) -> dict[str, bytes]:
    """Return the members that are not among the `known`, as JSON; those that are null say nothing."""
    known = frozenset(known)
    return {name: as_json(value) for name, value in members.items() if name not in known and value is not None}


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

"""Read and change JSON that people keep: with comments and trailing commas, and not a byte touched but what is changed.

Settings of agents are such files. To load and dump one would lose its comments and its layout; so a member is found by
walking over the text, and only its value is replaced, put in or taken out.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

_SPACE_AND_COMMENTS = re.compile(r"(?:[\s\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_PLAIN = re.compile(r"[^\s,\[\]{}\"/]+")
_MOST_DEEP = 100
"""Levels of lists and objects; settings have five, and the reader must not run out of stack."""


class NotReadable(ValueError):
    """The text is no JSON, with or without comments; the message says where."""


def read_json(text: str) -> Any:
    """Return what the text says, comments and trailing commas passed over; `None` where nobody can read it."""
    pieces: list[str] = []
    try:
        end = _end_of_value(text, _skip(text, 0), pieces)
        if _skip(text, end) != len(text):
            return None
        return json.loads("".join(pieces))
    except (ValueError, RecursionError):
        return None


def member(text: str, path: Sequence[str]) -> str | None:
    """Return the value of a member as it stands there; `None` where there is none.

    Raises:
        NotReadable: the text is not JSON.
    """
    start, end = _skip(text, 0), len(text)
    for name in path:
        found = _find(text, start, name)
        if found is None:
            return None
        _, start, end = found
    return text[start:end]


def with_member(text: str, path: Sequence[str], value: str) -> str:
    """Return the text with the member set to `value`, which is JSON; objects on its path are made where they lack.

    Raises:
        NotReadable: the text is not JSON, or what is on the path is no object.
    """
    if not text.strip("\ufeff \t\r\n"):
        text = "{}\n"
    if not isinstance(read_json(text), dict):
        raise NotReadable("it is no JSON object")
    start, end = _skip(text, 0), len(text)
    for depth, name in enumerate(path):
        if not text.startswith("{", start):
            raise NotReadable(f"{'.'.join(path[:depth]) or 'the file'} is no object")
        found = _find(text, start, name)
        if found is None:
            return _with_new_member(text, start, name, _nested(path[depth + 1 :], value), depth + 1)
        _, start, end = found
    return text[:start] + value + text[end:]


def without_member(text: str, path: Sequence[str]) -> str:
    """Return the text without the member and one comma beside it; unchanged where it is not there.

    Raises:
        NotReadable: the text is not JSON.
    """
    start = _skip(text, 0)
    for name in path[:-1]:
        found = _find(text, start, name)
        if found is None:
            return text
        start = found[1]
    members = list(_members(text, start))
    for place, (name, key_at, _, end) in enumerate(members):
        if name == path[-1]:
            if place > 0:
                return text[: members[place - 1][3]] + text[end:]
            comma = _skip(text, end)
            if text.startswith(",", comma):
                rest = _skip(text, comma + 1) if len(members) > 1 else comma + 1
                return text[:key_at] + text[rest:]
            return text[: start + 1] + text[_skip(text, end) :]
    return text


def _nested(path: Sequence[str], value: str) -> str:
    for name in reversed(path):
        inside = value.replace("\n", "\n  ")
        value = f"{{\n  {json.dumps(name)}: {inside}\n}}"
    return value


def _with_new_member(text: str, start: int, name: str, value: str, depth: int) -> str:
    members = list(_members(text, start))
    if not members:
        indent = "  " * depth
        inside = f"\n{indent}{json.dumps(name)}: {_indented(value, indent)}\n{'  ' * (depth - 1)}"
        return text[: start + 1] + inside + text[_skip(text, start + 1) :]
    _, key_at, _, end = members[-1]
    line = text[text.rfind("\n", 0, key_at) + 1 : key_at]
    if line.strip():  # the object stands on one line
        return f"{text[:end]}, {json.dumps(name)}: {_indented(value, '')}{text[end:]}"
    return f"{text[:end]},\n{line}{json.dumps(name)}: {_indented(value, line)}{text[end:]}"


def _indented(value: str, indent: str) -> str:
    return value.replace("\n", f"\n{indent}")


def _find(text: str, start: int, name: str) -> tuple[int, int, int] | None:
    found = None
    for other, key_at, value_at, end in _members(text, start):
        if other == name:
            found = key_at, value_at, end  # of several the last counts, for every reader that we know
    return found


def _members(text: str, start: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield each member of the object at `start`: its name, where that begins, where its value begins and ends."""
    if not text.startswith("{", start):
        return
    at = _skip(text, start + 1)
    while not text.startswith("}", at):
        key = _STRING.match(text, at)
        if key is None:
            raise NotReadable(f"no name of a member at byte {at}")
        colon = _skip(text, key.end())
        if not text.startswith(":", colon):
            raise NotReadable(f"no colon at byte {colon}")
        value_at = _skip(text, colon + 1)
        end = _end_of_value(text, value_at, [])
        yield json.loads(key[0]), at, value_at, end
        at = _skip(text, end)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("}", at):
            raise NotReadable(f"neither comma nor brace at byte {at}")


def _end_of_value(text: str, at: int, pieces: list[str]) -> int:
    """Return where the value at `at` ends; what it is without comments and trailing commas is added to `pieces`."""
    open_ones: list[str] = []
    while True:
        if at >= len(text):
            raise NotReadable("the text ends within a value")
        letter = text[at]
        if letter in "{[":
            open_ones.append("}" if letter == "{" else "]")
            if len(open_ones) > _MOST_DEEP:
                raise NotReadable(f"more than {_MOST_DEEP} levels")
            pieces.append(letter)
            at += 1
        elif letter in "}]":
            if not open_ones or open_ones.pop() != letter:
                raise NotReadable(f"{letter!r} at byte {at} closes nothing")
            if pieces and pieces[-1] == ",":
                pieces.pop()
            pieces.append(letter)
            at += 1
        elif letter in ",:" and open_ones:
            pieces.append(letter)
            at += 1
        else:
            found = _STRING.match(text, at) or _PLAIN.match(text, at)
            if found is None:
                raise NotReadable(f"{letter!r} at byte {at} begins no value")
            pieces.append(found[0])
            at = found.end()
        if not open_ones:
            return at
        at = _skip(text, at)


def _skip(text: str, at: int) -> int:
    found = _SPACE_AND_COMMENTS.match(text, at)
    assert found is not None, "it matches nothing as well"
    return found.end()

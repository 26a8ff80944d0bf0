"""Where things stand in settings.yaml, and how one value there is changed so that every other byte stays.

The file is not parsed and written anew: that would lose comments, order and spelling. PyYAML's events say where a value
begins and ends, and the text is cut there. What surprised us: a block's end is marked where the next thing begins, far
behind its own letters, and an empty value stands right behind the colon, before the comment.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import yaml

from farthing.config.problems import Problems, quoted
from farthing.config.yaml_tree import Listing, Node, Scalar, Table, read_yaml
from farthing.errors import ConfigError

BY_HAND = "edit the file by hand; nothing was changed."

Key = str | int
"""A step down: a key of a mapping, or a place in a list."""
Value = str | Mapping[str, Any] | Sequence[Any]
"""What a setting is given: a single value, or a mapping or a list of them."""

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./:@%+~-]*", re.ASCII)
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off"}
_FRAME = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
_CLOSE = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class Entry(msgspec.Struct, frozen=True):
    """One entry of a mapping: its key, where the key begins and ends, and its value."""

    key: str
    line: int
    start: int
    end: int
    column: int
    value: "Place"


class Place(msgspec.Struct, frozen=True):
    """A value in the text; `end` is behind the last letter that is its own."""

    kind: Literal["empty", "scalar", "text block", "block", "flow", "list", "alias"]
    start: int
    end: int
    entries: tuple[Entry, ...] = ()
    items: "tuple[Place, ...]" = ()


def with_value(text: str, keys: Sequence[Key], value: Value) -> str:
    """Return the text in which the setting at `keys` has this value, whether it stood there or not.

    Raises:
        ConfigError: the text is no YAML, or is written in a way that cannot be changed safely.
    """
    changed = _changed(text, keys, value)
    _prove(changed, _set_in(_plain_tree(text), list(keys), value), keys)
    return changed


def value_of(text: str) -> Value | None:
    """Return the mapping or list that a text writes between brackets, such as `{usd: 20, period: day}`.

    `None` where it is empty, or holds something that is.

    Raises:
        ConfigError: it is none, and where.
    """
    tree = _plain_tree(text)
    return tree if tree and not _has_gap(tree) else None


def _has_gap(tree: Any) -> bool:
    below = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return tree is None or any(_has_gap(one) for one in below)


def without(text: str, keys: Sequence[str]) -> str:
    """Return the text without the entry at `keys`.

    Raises:
        ConfigError: it is not there, or is written in a way that cannot be changed safely.
    """
    wanted = _drop_in(_plain_tree(text), list(keys))
    place = root_of(text)
    for depth, key in enumerate(keys):
        at = next((at for at, one in enumerate(place.entries) if one.key == key), None) if place is not None else None
        if place is None or at is None:
            raise ConfigError(f"There is no {told(keys[: depth + 1])} in the file.", hint=BY_HAND)
        if depth == len(keys) - 1:
            text = _cut(text, place, at)
        place = place.entries[at].value
    _prove(text, wanted, keys)
    return text


def told(keys: Sequence[Key]) -> str:
    """Return a path as messages name it: `prices[0].input`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def spelled(value: Value) -> str:
    """Return a value as YAML has it; a text in quotes where it could be taken for anything else."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{spelled(key)}: {spelled(one)}' for key, one in value.items())}}}"
    if not isinstance(value, str):
        return f"[{', '.join(map(spelled, value))}]"
    plain = _PLAIN.fullmatch(value) and not value.endswith(":") and value.lower() not in _NOT_TEXT
    return value if plain or value in ("true", "false") else json.dumps(value, ensure_ascii=False)


# ---- what stands where


def root_of(text: str) -> Place | None:
    """Return where everything stands, in a text that was read without error; `None` where it says nothing."""
    body = text.removeprefix("\ufeff")
    events = (event for event in yaml.parse(body, Loader=yaml.BaseLoader) if not isinstance(event, _FRAME))
    first = next(events, None)
    return None if first is None else _read(events, first, len(text) - len(body))


def _read(events: Iterator[Any], event: Any, shift: int) -> Place:
    """Return the value that begins with `event`; what belongs to it is taken from `events`."""
    start, end = event.start_mark.index + shift, event.end_mark.index + shift
    if isinstance(event, yaml.AliasEvent):
        return Place("alias", start, end)
    if isinstance(event, yaml.ScalarEvent):
        if event.style in ("|", ">"):
            return Place("text block", start, end)
        return Place("empty" if event.style is None and event.value in ("", "~", "null") else "scalar", start, end)
    last = start
    items: list[Place] = []
    entries: list[Entry] = []
    while type(inner := next(events)) not in _CLOSE:
        if isinstance(event, yaml.SequenceStartEvent):
            items.append(_read(events, inner, shift))
            last = items[-1].end
            continue
        mark, key_end = inner.start_mark, inner.end_mark.index + shift
        value = _read(events, next(events), shift)
        last = max(key_end, value.end)
        entries.append(Entry(inner.value, mark.line + 1, mark.index + shift, key_end, mark.column, value))
    if inner.end_mark.index != inner.start_mark.index:  # a bracket of its own
        last = int(inner.end_mark.index) + shift
    if isinstance(event, yaml.SequenceStartEvent):
        return Place("list", start, last, items=tuple(items))
    return Place("flow" if event.flow_style else "block", start, last, entries=tuple(entries))


# ---- changing


def _changed(text: str, keys: Sequence[Key], value: Value) -> str:
    root = root_of(text)
    if root is None:
        return _ended(text) + _lines(keys, value, 0, _newline(text))
    place, entry = root, None
    for depth, key in enumerate(keys):
        if isinstance(key, int):
            if place.kind != "list" or key >= len(place.items):
                raise ConfigError(f"There is no {told(keys[: depth + 1])} in the file.", hint=BY_HAND)
            place, entry = place.items[key], None
            continue
        if place.kind not in ("block", "flow", "empty"):
            raise ConfigError(f"What stands at {told(keys[:depth]) or 'the top'} is no plain mapping.", hint=BY_HAND)
        found = next((one for one in place.entries if one.key == key), None)
        if found is None:
            return _with_entry(text, place, entry, keys[depth:], value)
        place, entry = found.value, found
    return _with_scalar(text, place, entry, keys, value)


def _with_scalar(text: str, place: Place, entry: Entry | None, keys: Sequence[Key], value: Value) -> str:
    in_brackets = text.startswith(("{", "["), place.start) and not isinstance(value, str)
    if place.kind in ("scalar", "alias") or (in_brackets and place.kind in ("flow", "list")):
        return text[: place.start] + spelled(value) + text[place.end :]
    if place.kind == "empty" and entry is not None and ":" in text[entry.end : place.start]:
        return f"{text[: place.start].rstrip(' ')} {spelled(value)}{text[place.end :]}"
    raise ConfigError(f"What stands at {told(keys)} is no single value.", hint=BY_HAND)


def _with_entry(text: str, place: Place, owner: Entry | None, keys: Sequence[Key], value: Value) -> str:
    """Return the text with an entry more in the mapping at `place`, which is the value of `owner`."""
    newline = _newline(text)
    if any(isinstance(key, int) for key in keys):
        raise ConfigError(f"There is no {told(keys)} in the file.", hint=BY_HAND)
    if place.kind == "flow":
        at = text.index("{", place.start) + 1  # an anchor may stand before it
        return f"{text[:at]}{_flow(keys, value)}{', ' if place.entries else ''}{text[at:]}"
    if place.kind == "block" and place.entries[0].column == 0:
        return f"{_ended(text)}{newline if len(keys) > 1 else ''}{_lines(keys, value, 0, newline)}"
    if place.kind == "block":  # behind the last one, so that comments stay with what they are about
        at = _line_end(text, place.end)
        line = _lines(keys, value, place.entries[0].column, newline)
    elif owner is None:
        raise ConfigError("The file says null.", hint=BY_HAND)
    elif text[owner.end : place.start].strip() != ":" or _in_flow(text, owner):
        raise ConfigError(
            f"What stands at {owner.key} is written in a way that cannot be changed safely.", hint=BY_HAND
        )
    else:
        text = text[: place.start] + text[place.end :]  # a written null gives way
        at = _line_end(text, owner.end)
        line = _lines(keys, value, owner.column + 2, newline)
    if at and text[at - 1] not in "\r\n":
        line = newline + line
    return text[:at] + line + text[at:]


def _in_flow(text: str, owner: Entry) -> bool:
    """Whether an entry stands between braces: then nothing but spaces before it in its line is not the case."""
    return text[text.rfind("\n", 0, owner.start) + 1 : owner.start].strip("\ufeff ") != ""


def _lines(keys: Sequence[Key], value: Value, column: int, newline: str) -> str:
    """Return a new entry as lines; at the top of the file what is in a section gets a line of its own."""
    first, *rest = keys
    indent = " " * column
    if not rest:
        return f"{indent}{spelled(str(first))}: {spelled(value)}{newline}"
    if column == 0:
        return f"{spelled(str(first))}:{newline}  {_flow(rest, value)}{newline}"
    return f"{indent}{_flow(keys, value)}{newline}"


def _flow(keys: Sequence[Key], value: Value) -> str:
    first, *rest = keys
    return f"{spelled(str(first))}: {f'{{{_flow(rest, value)}}}' if rest else spelled(value)}"


def _ended(text: str) -> str:
    return text if not text or text.endswith(("\n", "\r")) else text + _newline(text)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_end(text: str, at: int) -> int:
    """Return the index behind the line that `at` stands in."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _cut(text: str, place: Place, at: int) -> str:
    """Return the text without one entry of the mapping at `place`."""
    entry = place.entries[at]
    end = max(entry.end, entry.value.end)
    if place.kind != "flow":
        return text[: text.rfind("\n", 0, entry.start) + 1] + text[_line_end(text, end) :]
    if at + 1 < len(place.entries):
        behind = text.index(",", end) + 1
        return text[: entry.start] + text[behind + (text[behind] == " ") :]
    before = place.entries[at - 1] if at else None
    start = entry.start if before is None else max(before.end, before.value.end)
    return text[:start] + text[end:]


# ---- proving


def _prove(text: str, wanted: Any, keys: Sequence[Key]) -> None:
    """Read a text that was made here again, since an anchor or an odd spelling may have been cut in two.

    Raises:
        ConfigError: it does not say exactly what was wanted.
    """
    try:
        same = _plain_tree(text) == wanted
    except ConfigError:
        same = False
    if not same:
        raise ConfigError(
            f"What stands at {told(keys)} is written in a way that cannot be changed safely.", hint=BY_HAND
        )


def _plain_tree(text: str) -> Any:
    problems = Problems("the new text")
    root = read_yaml(text.removeprefix("\ufeff"), problems)
    problems.raise_if_any()
    return None if root is None else _plain(root)


def _plain(node: Node) -> Any:
    match node:
        case Scalar():
            return None if node.empty else node.text
        case Listing():
            return [_plain(item) for item in node.items]
        case Table():
            return {key: _plain(value) for key, (_, value) in node.entries.items()} or None


def _set_in(tree: Any, keys: list[Key], value: Value) -> Any:
    """Return what a tree of mappings and lists is when one value in it is changed."""
    if not keys:
        return value or None
    key, *rest = keys
    if isinstance(key, int):
        if not isinstance(tree, list) or key >= len(tree):
            raise ConfigError(f"There is no [{quoted(str(key))}] in the file.", hint=BY_HAND)
        return [_set_in(item, rest, value) if at == key else item for at, item in enumerate(tree)]
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f"What stands above {quoted(key)} is no mapping.", hint=BY_HAND)
    below = tree or {}
    return {**below, key: _set_in(below.get(key), rest, value)}


def _drop_in(tree: Any, keys: list[str]) -> Any:
    """Return what a tree is without one entry; a mapping that is empty then is `None`, as everywhere here."""
    if not isinstance(tree, dict) or keys[0] not in tree:
        return tree
    if len(keys) > 1:
        return {**tree, keys[0]: _drop_in(tree[keys[0]], keys[1:])}
    return {key: value for key, value in tree.items() if key != keys[0]} or None

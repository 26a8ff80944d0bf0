"""YAML as a tree of texts that know their lines; no text is turned into anything else here.

YAML 1.1 makes `no` False, `22:30` 1350 and `010` eight. So we take PyYAML's parse events, before any of that happens,
and whoever reads a field says what its text must look like. Walking the events ourselves also bounds depth, size and
what anchors expand to, which PyYAML's own composer does not.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
import yaml

from farthing.config.problems import Problems, quoted

MAX_BYTES = 1 << 20
"""A hundred providers with a thousand price rows make 150 KB."""
_MAX_DEPTH = 10
"""The deepest setting, `providers.lab.timeouts.idle_s`, lies at four."""
_MAX_NODES = 50_000
"""About what fits into MAX_BYTES in earnest; an anchor counts again each time it is used."""


class Scalar(msgspec.Struct, frozen=True):
    """A single value: its text, and whether it stood there without quotes."""

    line: int
    text: str
    plain: bool

    @property
    def empty(self) -> bool:
        """Whether nothing is said: `key:`, `key: null` or `key: ~`."""
        return self.plain and self.text in {"", "~", "null"}


class Listing(msgspec.Struct, frozen=True):
    """A sequence."""

    line: int
    items: "tuple[Node, ...]"


class Table(msgspec.Struct, frozen=True):
    """A mapping, in the order of the file; each key with the line it stands on."""

    line: int
    entries: "dict[str, tuple[int, Node]]"


Node: TypeAlias = Scalar | Listing | Table


def read_yaml(text: str, problems: Problems) -> Node | None:
    """Return the document as a tree, `None` for an empty file or one that is no YAML (then `problems` says why)."""
    events = yaml.parse(text, Loader=yaml.BaseLoader)
    try:
        return _Builder(events, problems).document()
    except _StopReading as stop:
        problems.error(stop.line, "", stop.message)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = " ".join(part for part in (error.context, error.problem) if part)
        if "'\\t'" in told:  # PyYAML's own words for it begin with "while scanning for the next token"
            told = "a tab stands where spaces must; indent with spaces"
        elif error.problem == "mapping values are not allowed here":
            told = (
                "a ':' stands where none may; probably this line is indented further than the one above, or a text with"
                " ': ' in it needs quotes"
            )
        elif error.problem and error.problem.startswith("expected <block end>"):
            told = "this line is indented neither as the ones above it nor as what they belong to"
        problems.error(mark.line + 1 if mark else 1, "", f"this is not YAML: {told}.")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.error(line, "", f"this is not YAML: {error.reason} (character {error.character:#x}).")
    return None


class _StopReading(Exception):
    """Carries an error out of the recursion: from here on the file makes no sense."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        self.message = message


class _Builder:
    def __init__(self, events: Iterator[Any], problems: Problems) -> None:
        self._events = events
        self._problems = problems
        self._anchors: dict[str, tuple[Node, int] | None] = {}  # None while the anchored node is still being read
        self._nodes = 0

    def document(self) -> Node | None:
        next(self._events)  # the stream's start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        root = self._node(next(self._events), "", 0)
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _StopReading(_line(after), "a second document ('---') begins here; the file must be one document.")
        return None if isinstance(root, Scalar) and root.empty else root

    def _node(self, event: Any, path: str, depth: int) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._shared(event.anchor or "", line)
        before = self._nodes
        self._count(1, line)
        if depth > _MAX_DEPTH:
            raise _StopReading(line, f"nested deeper than {_MAX_DEPTH} levels.")
        if event.tag is not None and event.tag != "!":
            self._problems.error(line, path, f"the tag {quoted(event.tag)} is not understood; leave it out.")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Scalar(line, event.value, event.style is None)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Listing(line, tuple(self._items(path, depth)))
        else:
            node = Table(line, self._entries(path, depth))
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._nodes - before)
        return node

    def _items(self, path: str, depth: int) -> Iterator[Node]:
        index = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, f"{path}[{index}]", depth + 1)
            index += 1

    def _entries(self, path: str, depth: int) -> dict[str, tuple[int, Node]]:
        entries: dict[str, tuple[int, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            key = self._node(event, path, depth + 1)
            if not isinstance(key, Scalar):
                raise _StopReading(line, "a key must be a single word.")
            where = f"{path}.{key.text}" if path else key.text
            value = self._node(next(self._events), where, depth + 1)
            if key.text == "<<" and key.plain:
                self._problems.error(
                    line, path, "'<<' (merge) is not supported; repeat the keys, or anchor a whole value."
                )
            elif key.text in entries:
                self._problems.error(line, where, f"is given twice; first in line {entries[key.text][0]}.")
            else:
                entries[key.text] = (line, value)
        return entries

    def _shared(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            raise _StopReading(
                line, f"the alias {quoted('*' + anchor)} has no anchor {quoted('&' + anchor)} before it."
            )
        shared = self._anchors[anchor]
        if shared is None:
            raise _StopReading(line, f"the alias {quoted('*' + anchor)} stands inside what it names.")
        self._count(shared[1], line)
        return shared[0]

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > _MAX_NODES:
            raise _StopReading(line, f"more than {_MAX_NODES:,} values, counting what aliases repeat.")


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1

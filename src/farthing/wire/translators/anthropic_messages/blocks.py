"""Read the content blocks of a request, strictly.

A block of a kind that only this format knows, and one whose source only this format has, is kept whole as `Foreign`. A
member that only this format knows is noted by its path, once for each kind of block, so that its loss can be told.
"""

from base64 import b64encode
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from farthing.types.chat import (
    Audio,
    Cached,
    Citation,
    Document,
    Filed,
    Foreign,
    Image,
    Inline,
    Linked,
    Part,
    Signature,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from farthing.types.providers import WireFormat
from farthing.wire.translators.marks import is_marked, unmarked
from farthing.wire.translators.reading import (
    as_json,
    flag_at,
    needed_text,
    object_at,
    objects_at,
    one_of,
    refuse,
    text_at,
)

WIRE: WireFormat = "anthropic_messages"
PLAIN_TEXT = "text/plain"
_TTLS: dict[str, Literal["5m", "1h"]] = {"5m": "5m", "1h": "1h"}
_DIRECT = {"type": "direct"}
_TEXT = frozenset({"type", "text", "cache_control", "citations"})
_IMAGE = frozenset({"type", "source", "cache_control"})
_DOCUMENT = frozenset({"type", "source", "title", "context", "citations", "cache_control"})
_TOOL_USE = frozenset({"type", "id", "name", "input", "cache_control"})
_TOOL_RESULT = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})
_THINKING = frozenset({"type", "thinking", "signature"})
_REDACTED = frozenset({"type", "data"})
_CACHE_CONTROL = frozenset({"type", "ttl"})
_IN_RESULTS = frozenset({"text", "image", "document"})


class BlockReader:
    """Reads the blocks of one request."""

    __slots__ = ("_noted", "_tools", "unknown")

    def __init__(self) -> None:
        self.unknown: dict[str, bytes] = {}
        """What only this format knows, as JSON by its path."""
        self._noted: set[tuple[str, str]] = set()
        self._tools: dict[str, str] = {}
        """The tool of each call."""

    def read(self, block: Any, path: str) -> Part:
        """Return the part that a block is."""
        if not isinstance(block, dict):
            refuse(path, block, "an object, a content block")
        kind = block.get("type")
        if not isinstance(kind, str):
            refuse(f"{path}.type", kind, 'the kind of the block, such as "text"')
        reader = _READERS.get(kind)
        return Foreign(WIRE, kind, as_json(block)) if reader is None else reader(self, block, path)

    def cached(self, members: dict[str, Any], path: str) -> Cached | None:
        """Return the mark that something is to be kept in the prompt cache."""
        control = object_at(members, "cache_control", path)
        if control is None:
            return None
        path = f"{path}.cache_control" if path else "cache_control"
        if control.get("type") != "ephemeral":
            refuse(f"{path}.type", control.get("type"), '"ephemeral"')
        self.note(path, "cache_control", control, _CACHE_CONTROL)
        ttl = one_of(control, "ttl", _TTLS, path)
        return Cached() if ttl is None else Cached(ttl)

    def note(self, path: str, kind: str, members: dict[str, Any], known: AbstractSet[str]) -> None:
        """Note the members that are not known, the first time that such a block has them."""
        if members.keys() <= known:
            return
        for name, value in members.items():
            if name not in known and value is not None and (kind, name) not in self._noted:
                self._noted.add((kind, name))
                self.unknown[f"{path}.{name}"] = as_json(value)

    # ---- each kind

    def _text(self, block: dict[str, Any], path: str) -> Part:
        text = needed_text(block, "text", path)
        self.note(path, "text", block, _TEXT)
        raw = objects_at(block, "citations", path)
        citations = tuple([cited for item in raw if (cited := citation(item)) is not None])
        return Text(text, self.cached(block, path), citations)

    def _image(self, block: dict[str, Any], path: str) -> Part:
        source = self._source(block, path)
        if source is None:
            return Foreign(WIRE, "image", as_json(block))
        self.note(path, "image", block, _IMAGE)
        return Image(source, cached=self.cached(block, path))

    def _document(self, block: dict[str, Any], path: str) -> Part:
        source = self._source(block, path)
        if source is None:
            return Foreign(WIRE, "document", as_json(block))
        self.note(path, "document", block, _DOCUMENT)
        cited = flag_at(object_at(block, "citations", path) or {}, "enabled", f"{path}.citations")
        return Document(
            source,
            text_at(block, "title", path),
            text_at(block, "context", path),
            bool(cited),
            self.cached(block, path),
        )

    def _source(self, block: dict[str, Any], path: str) -> Source | None:
        """Return where the bytes are; `None` for what only this format has, such as a document made of blocks."""
        source = object_at(block, "source", path)
        path = f"{path}.source"
        if source is None:
            refuse(path, None, "an object, where the bytes are")
        match source.get("type"):
            case "base64":
                return Inline(needed_text(source, "media_type", path), needed_text(source, "data", path))
            case "url":
                return Linked(needed_text(source, "url", path))
            case "file":
                return Filed(WIRE, needed_text(source, "file_id", path))
            case "text" if block["type"] == "document":
                data = needed_text(source, "data", path).encode("utf-8", "replace")
                return Inline(PLAIN_TEXT, b64encode(data).decode())
            case str():
                return None
            case kind:
                return refuse(f"{path}.type", kind, '"base64", "url" or "file"')

    def _tool_use(self, block: dict[str, Any], path: str) -> Part:
        call_id = _filled(block, "id", path)
        name = _filled(block, "name", path)
        given = object_at(block, "input", path)
        if given is None:
            refuse(f"{path}.input", None, "an object, the arguments")
        self._tools[call_id] = name
        if len(block) > 4:
            if block.get("caller") == _DIRECT:  # which is what a call without one means
                block = {member: value for member, value in block.items() if member != "caller"}
            self.note(path, "tool_use", block, _TOOL_USE)
        return ToolCall(call_id, name, as_json(given).decode() if given else "{}", cached=self.cached(block, path))

    def _tool_result(self, block: dict[str, Any], path: str) -> Part:
        call_id = _filled(block, "tool_use_id", path)
        content = block.get("content")
        parts: list[Text | Image | Document | Audio | Foreign] = []
        if isinstance(content, str):
            parts.append(Text(content))
        elif isinstance(content, list):
            parts += [self._in_result(item, f"{path}.content[{at}]") for at, item in enumerate(content)]
        elif content is not None:
            refuse(f"{path}.content", content, "a text, or a list of content blocks")
        self.note(path, "tool_result", block, _TOOL_RESULT)
        return ToolResult(
            call_id,
            tuple(parts),
            self._tools.get(call_id),
            bool(flag_at(block, "is_error", path)),
            cached=self.cached(block, path),
        )

    def _in_result(self, block: Any, path: str) -> Text | Image | Document | Foreign:
        if isinstance(block, dict) and isinstance(kind := block.get("type"), str) and kind not in _IN_RESULTS:
            return Foreign(WIRE, kind, as_json(block))
        part = plain_text(block) or self.read(block, path)
        assert isinstance(part, Text | Image | Document | Foreign), "only such kinds are read in a result"
        return part

    def _thinking(self, block: dict[str, Any], path: str) -> Part:
        self.note(path, "thinking", block, _THINKING)
        return Thinking(needed_text(block, "thinking", path), _signature(text_at(block, "signature", path)))

    def _redacted(self, block: dict[str, Any], path: str) -> Part:
        self.note(path, "redacted_thinking", block, _REDACTED)
        return Thinking("", _signature(needed_text(block, "data", path)), redacted=True)


_READERS: dict[str, Callable[[BlockReader, dict[str, Any], str], Part]] = {
    "text": BlockReader._text,  # noqa: SLF001 - the class's own table
    "image": BlockReader._image,  # noqa: SLF001
    "document": BlockReader._document,  # noqa: SLF001
    "tool_use": BlockReader._tool_use,  # noqa: SLF001
    "tool_result": BlockReader._tool_result,  # noqa: SLF001
    "thinking": BlockReader._thinking,  # noqa: SLF001
    "redacted_thinking": BlockReader._redacted,  # noqa: SLF001
}


def plain_text(block: Any) -> Text | None:
    """Return the text of a block that is nothing else, as most are; `None` for any other, or what is wrong with it."""
    if type(block) is dict and len(block) == 2 and block.get("type") == "text" and type(block.get("text")) is str:
        return Text(block["text"])
    return None


def citation(raw: dict[str, Any]) -> Citation | None:
    """Return a citation; `None` for one that we made of another format's, which Anthropic could not read."""
    if isinstance(sealed := raw.get("encrypted_index"), str) and is_marked(sealed):
        return None
    url = raw.get("url")
    title = raw.get("title") or raw.get("document_title")
    return Citation(
        WIRE,
        as_json(raw),
        url if isinstance(url, str) else None,
        title if isinstance(title, str) else None,
    )


def _signature(value: str | None) -> Signature | None:
    if not value:
        return None
    return unmarked(value) if is_marked(value) else Signature(WIRE, value)


def _filled(block: dict[str, Any], name: str, path: str) -> str:
    value = needed_text(block, name, path)
    if not value:
        refuse(f"{path}.{name}", value, "a text that is not empty")
    return value

"""Write the content blocks of a request.

A thought goes back only with Anthropic's own signature. Ids of calls may hold letters, digits, `_` and `-` alone, so
others are spelled otherwise, always alike. A call's arguments have to be an object.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from hashlib import blake2b
from typing import Any, assert_never

import msgspec

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
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
)
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.anthropic_messages.blocks import PLAIN_TEXT, WIRE
from farthing.wire.translators.features import Feature, Used

Block = dict[str, Any] | msgspec.Raw
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_KEPT_ID_CHARS = 40
_MEMBER = "arguments"
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_anything = msgspec.json.Decoder()
NO_ARGUMENTS = msgspec.Raw(b"{}")


class BlockWriter:
    """Writes the blocks of one request; `left_out` is what the history's model would not take."""

    __slots__ = ("_marked", "_thinks", "left_out")

    def __init__(self, *, thinks: bool) -> None:
        self._thinks = thinks
        self._marked: list[dict[str, Any]] = []
        self.left_out: list[Used] = []

    def block(self, part: Part, path: str) -> Block | None:
        """Return the block of a part; `None` where there is none."""
        match part:
            case Text():
                return self.text(part)
            case ToolCall():
                given = {"type": "tool_use", "id": plain_id(part.id), "name": part.name}
                return self._marks({**given, "input": object_of(part.arguments)}, part.cached)
            case ToolResult():
                return self._result(part, path)
            case Thinking():
                return self._thinking(part, path)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Refusal():
                return self.text(Text(part.text))
            case Foreign():
                return msgspec.Raw(part.raw) if part.origin == WIRE else None
            case Audio() | Video():
                return None
            case _:
                assert_never(part)

    def text(self, part: Text) -> dict[str, Any] | None:
        """Return a block of text; `None` where there is nothing to read in it, which Anthropic refuses."""
        text = part.text
        if not text or text.isspace():
            return None
        block: dict[str, Any] = {"type": "text", "text": text}
        if part.citations and (own := own_citations(part.citations)):
            block["citations"] = own
        return self._marks(block, part.cached)

    def mark(self, cached: Cached, holder: dict[str, Any] | None = None) -> dict[str, str]:
        """Return the mark that something is to be kept in the prompt cache; `holder` may lose it again."""
        if holder is not None:
            self._marked.append(holder)
        return {"type": "ephemeral"} if cached.ttl == "5m" else {"type": "ephemeral", "ttl": cached.ttl}

    def keep_marks(self, most: int) -> None:
        """Take the first marks away until at most so many are left: the last ones cover what the first did."""
        for holder in self._marked[: max(0, len(self._marked) - most)]:
            del holder["cache_control"]

    def _marks(self, block: dict[str, Any], cached: Cached | None) -> dict[str, Any]:
        if cached is not None:
            block["cache_control"] = self.mark(cached, block)
        return block

    def _result(self, part: ToolResult, path: str) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": plain_id(part.call_id)}
        content = [found for piece in part.content if (found := self.block(piece, path)) is not None]
        if content:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return self._marks(block, part.cached)

    def _thinking(self, part: Thinking, path: str) -> Block | None:
        signature = part.signature
        if signature is None or signature.origin != WIRE or not self._thinks:
            self.left_out.append(Used(Feature.THINKING_HISTORY, path))
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": signature.value}
        return {"type": "thinking", "thinking": part.text, "signature": signature.value}

    def _image(self, part: Image) -> dict[str, Any] | None:
        source = _source(part.source)
        return None if source is None else self._marks({"type": "image", "source": source}, part.cached)

    def _document(self, part: Document) -> dict[str, Any] | None:
        source = _plain_text(part.source) or _source(part.source)
        if source is None:
            return None
        block: dict[str, Any] = {"type": "document", "source": source}
        if part.name is not None:
            block["title"] = part.name
        if part.context is not None:
            block["context"] = part.context
        if part.cited:
            block["citations"] = {"enabled": True}
        return self._marks(block, part.cached)


def plain_id(call_id: str) -> str:
    """Return an id as Anthropic takes it: itself, or always the same other one."""
    if _PLAIN_ID.fullmatch(call_id):
        return call_id
    digest = blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{_ODD.sub('_', call_id[:_KEPT_ID_CHARS])}_{digest}"


def object_of(arguments: str) -> msgspec.Raw:
    """Return a call's arguments as a JSON object; what is none becomes the one member of an object."""
    if not arguments.strip():
        return NO_ARGUMENTS
    raw = arguments.encode("utf-8", "replace")
    try:
        _objects.decode(raw)
    except UNREADABLE:
        return msgspec.Raw(msgspec.json.encode({_MEMBER: _value_of(raw)}))
    return msgspec.Raw(raw)


def _value_of(raw: bytes) -> Any:
    try:
        return _anything.decode(raw)
    except UNREADABLE:
        return raw.decode()


def own_citations(citations: tuple[Citation, ...]) -> list[msgspec.Raw]:
    """Return the citations that are of this format."""
    return [msgspec.Raw(cited.raw) for cited in citations if cited.origin == WIRE]


def _source(source: Source) -> dict[str, str] | None:
    match source:
        case Inline():
            return {"type": "base64", "media_type": source.media_type, "data": source.data}
        case Linked():
            return {"type": "url", "url": source.url}
        case Filed():
            return {"type": "file", "file_id": source.id} if source.origin == WIRE else None
        case _:
            assert_never(source)


def _plain_text(source: Source) -> dict[str, str] | None:
    """Return the source of a document that is text of any kind: beside PDF this format knows only plain text."""
    if not isinstance(source, Inline) or not source.media_type.startswith("text/"):
        return None
    try:
        data = b64decode(source.data, validate=True).decode()
    except (NotBase64, ValueError):
        return None
    return {"type": "text", "media_type": PLAIN_TEXT, "data": data}

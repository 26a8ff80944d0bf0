"""Read the messages of a chat: who said what, which tools were called, and what they gave.

Calls may come without ids (Gemini's compatible address sends empty ones): they get one by their place, and results
without one belong to the first call that has none yet. A message's members that nobody here knows are handed to
`unknown`, under the path without its index.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from farthing.types.chat import (
    Audio,
    Cached,
    Citation,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Refusal,
    Role,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
)
from farthing.wire.translators.openai_chat.media import address_of, file_in, sound_in, source_in
from farthing.wire.translators.openai_chat.thinking import LISTED, WIRE, listed_text, plain_thought, thoughts_in
from farthing.wire.translators.reading import as_json, needed_text, object_at, objects_at, refuse, text_at

Unknown = Callable[[str, object], None]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_SPEAKERS = frozenset(["system", "developer", "user", "assistant"])
_KNOWN = frozenset(["role", "content", "name", "cache_control"])
_USUAL_OF_ASSISTANT = frozenset(["role", "content", "tool_calls"])
_KNOWN_OF_ASSISTANT = _KNOWN | {
    "refusal",
    "audio",
    "tool_calls",
    "function_call",
    "annotations",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "extra_content",
}
_KNOWN_OF_TOOL = _KNOWN | {"tool_call_id"}
_PART_MEMBERS = {
    "text": "text",
    "image_url": "image_url",
    "input_audio": "input_audio",
    "file": "file",
    "video_url": "video_url",
    "document_url": "document_url",
    "refusal": "refusal",
    "thinking": "thinking",
}
_BESIDE = frozenset(["type", "cache_control", "prompt_cache_breakpoint", "document_name", "closed"])


class MessagesReader:
    """Reads the messages of one request in their order."""

    def __init__(self, unknown: Unknown) -> None:
        self._unknown = unknown
        self._names: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        self._waiting: deque[str] = deque()
        self._calls = 0

    def read(self, message: dict[str, Any], path: str) -> Message:
        """Read one message; raises `InvalidRequest`."""
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            refuse(f"{path}.role", role, '"system", "developer", "user", "assistant" or "tool"')
        if len(message) == 2 and role in _SPEAKERS:
            content = message.get("content")
            if content and isinstance(content, str):
                return Message(_ROLES[role], (Text(content),))  # as most messages are
        known = _KNOWN
        parts: list[Part]
        match _ROLES[role]:
            case "assistant":
                parts, known = self._assistant(message, path), _KNOWN_OF_ASSISTANT
            case "tool":
                parts, known = [self._result(message, path, role)], _KNOWN_OF_TOOL
            case _:
                parts = self._content(message, path)
        if not message.keys() <= known:
            self._note(message, known, "messages[]")
        mark = message.get("cache_control")
        if mark is not None and parts and not isinstance(parts[-1], _UNMARKED):
            parts[-1] = msgspec.structs.replace(parts[-1], cached=_cached(mark, f"{path}.cache_control"))
        name = None if role in ("tool", "function") else text_at(message, "name", path)
        return Message(_ROLES[role], tuple(parts), name)

    def _note(self, members: dict[str, Any], known: frozenset[str], path: str) -> None:
        for name in members.keys() - known:
            if members[name] is not None:
                self._unknown(f"{path}.{name}", members[name])

    def _content(self, message: dict[str, Any], path: str) -> list[Part]:
        content = message.get("content")
        if isinstance(content, str):
            return [Text(content)] if content else []
        if content is None:
            return []
        return [self._part(part, f"{path}.content[{at}]") for at, part in enumerate(_parts(content, path))]

    def _part(self, part: dict[str, Any], path: str) -> Part:
        kind = part.get("type")
        if not isinstance(kind, str):
            refuse(f"{path}.type", kind, 'a kind of part, such as "text" or "image_url"')
        mark = part.get("cache_control") or part.get("prompt_cache_breakpoint")
        cached = None if mark is None else _cached(mark, f"{path}.cache_control")
        if kind == "text" and len(part) == 2:
            return Text(needed_text(part, "text", path))
        if kind in _PART_MEMBERS:
            self._note(part, _BESIDE | {_PART_MEMBERS[kind]}, "messages[].content[]")
        match kind:
            case "text":
                return Text(needed_text(part, "text", path), cached)
            case "refusal":
                return Refusal(needed_text(part, "refusal", path))
            case "thinking":
                return Thinking(listed_text(part.get("thinking")), LISTED)
            case _:
                return self._medium(kind, part, path, cached)

    def _medium(self, kind: str, part: dict[str, Any], path: str, cached: Cached | None) -> Part:
        match kind:
            case "image_url":
                return self._image(part, path, cached)
            case "input_audio":
                return sound_in(part, path)
            case "file":
                return msgspec.structs.replace(file_in(part, path), cached=cached)
            case "video_url":
                address = address_of(part, "video_url", path)
                return Video(source_in(address, f"{path}.video_url"))
            case "document_url":
                address = address_of(part, "document_url", path)
                name = text_at(part, "document_name", path)
                return Document(source_in(address, f"{path}.document_url"), name, cached=cached)
            case _:
                return Foreign(WIRE, kind, as_json(part))

    def _image(self, part: dict[str, Any], path: str, cached: Cached | None) -> Image:
        address = address_of(part, "image_url", path)
        holder = part["image_url"]
        detail = text_at(holder, "detail", f"{path}.image_url") if isinstance(holder, dict) else None
        return Image(source_in(address, f"{path}.image_url.url"), detail, cached)

    # ---- the assistant's

    def _assistant(self, message: dict[str, Any], path: str) -> list[Part]:
        if message.keys() <= _USUAL_OF_ASSISTANT:
            return [*self._content(message, path), *self._tool_calls(message, path)]
        parts: list[Part] = []
        details = message.get("reasoning_details")
        if isinstance(details, list):
            parts.extend(thoughts_in(details))
        if not parts and (plain := plain_thought(message)) is not None:
            parts.append(Thinking(*plain))
        parts.extend(self._content(message, path))
        if refusal := text_at(message, "refusal", path):
            parts.append(Refusal(refusal))
        audio = object_at(message, "audio", path)
        if audio is not None:
            parts.append(Audio(transcript=text_at(audio, "transcript", path), id=text_at(audio, "id", path)))
        if message.get("annotations"):
            _cite(parts, message["annotations"])
        parts.extend(self._tool_calls(message, path))
        function = object_at(message, "function_call", path)
        if function is not None:
            parts.append(self._called(function, "", f"{path}.function_call", None))
        if (seal := message.get("extra_content")) is not None:
            _seal_last(parts, seal)
        return parts

    def _tool_calls(self, message: dict[str, Any], path: str) -> list[ToolCall]:
        return [
            self._call(call, f"{path}.tool_calls[{at}]")
            for at, call in enumerate(objects_at(message, "tool_calls", path))
        ]

    def _call(self, call: dict[str, Any], path: str) -> ToolCall:
        call_id = text_at(call, "id", path) or ""
        if call.get("type") == "custom":
            custom = object_at(call, "custom", path) or {}
            given = text_at(custom, "input", f"{path}.custom") or ""
            name = needed_text(custom, "name", f"{path}.custom")
            made = ToolCall(self._noted(call_id, name), name, given, custom=True)
        else:
            function = object_at(call, "function", path)
            if function is None:
                refuse(f"{path}.function", None, "an object with name and arguments")
            made = self._called(function, call_id, f"{path}.function", call.get("extra_content"))
            if not function.keys() <= _OF_FUNCTION:
                self._note(function, _OF_FUNCTION, "messages[].tool_calls[].function")
        if not call.keys() <= _OF_CALL:
            self._note(call, _OF_CALL, "messages[].tool_calls[]")
        mark = call.get("cache_control")
        return made if mark is None else msgspec.structs.replace(made, cached=_cached(mark, f"{path}.cache_control"))

    def _called(self, function: dict[str, Any], call_id: str, path: str, seal: object) -> ToolCall:
        name = needed_text(function, "name", path)
        given = function.get("arguments")
        if isinstance(given, dict):
            given = as_json(given).decode()
        elif given is not None and not isinstance(given, str):
            refuse(f"{path}.arguments", given, "JSON as a text")
        signature = Signature(WIRE, as_json(seal).decode()) if isinstance(seal, dict) else None
        return ToolCall(self._noted(call_id, name), name, given or "{}", signature=signature)

    def _noted(self, call_id: str, name: str) -> str:
        self._calls += 1
        call_id = call_id or f"call_{self._calls}"
        self._names[call_id] = name
        self._by_name[name] = call_id
        self._waiting.append(call_id)
        return call_id

    # ---- the tools'

    def _result(self, message: dict[str, Any], path: str, role: str) -> ToolResult:
        name = text_at(message, "name", path)
        call_id = text_at(message, "tool_call_id", path)
        if not call_id and role == "function" and name is not None:
            call_id = self._by_name.get(name)
        while not call_id and self._waiting:
            call_id = self._waiting.popleft()
        if not call_id:
            refuse(f"{path}.tool_call_id", call_id, "the id of the call that this is the result of")
        if self._waiting and self._waiting[0] == call_id:
            self._waiting.popleft()
        text = message.get("content")
        if text and isinstance(text, str):
            return ToolResult(call_id, (Text(text),), self._names.get(call_id, name))
        content = [
            part
            if isinstance(part, Text | Image | Document | Audio | Foreign)
            else Foreign(WIRE, type(part).__name__.lower(), b"{}")
            for part in self._content(message, path)
        ]
        return ToolResult(call_id, tuple(content), self._names.get(call_id, name))


_OF_CALL = frozenset(["id", "type", "index", "function", "custom", "extra_content", "cache_control"])
_OF_FUNCTION = frozenset(["name", "arguments"])
_UNMARKED = Audio | Video | Thinking | Refusal | Foreign
"""Parts that cannot be marked."""


def _parts(content: object, path: str) -> list[dict[str, Any]]:
    if not isinstance(content, list):
        refuse(f"{path}.content", content, "a text or a list of parts")
    for at, part in enumerate(content):
        if not isinstance(part, dict):
            refuse(f"{path}.content[{at}]", part, "an object")
    return content


def _cached(mark: object, path: str) -> Cached:
    if not isinstance(mark, dict):
        refuse(path, mark, 'an object such as {"type":"ephemeral"}')
    return Cached("1h") if mark.get("ttl") == "1h" else Cached()


def _cite(parts: list[Part], annotations: object) -> None:
    """Give the last text what it cites."""
    last = parts[-1] if parts else None
    if isinstance(last, Text) and isinstance(annotations, list):
        cited = tuple([citation for found in annotations if (citation := citation_in(found)) is not None])
        parts[-1] = msgspec.structs.replace(last, citations=cited)


def citation_in(annotation: object) -> Citation | None:
    """Return the citation that an annotation is."""
    if not isinstance(annotation, dict):
        return None
    cited = annotation.get("url_citation")
    cited = cited if isinstance(cited, dict) else {}
    url, title, start, end = (cited.get(name) for name in ("url", "title", "start_index", "end_index"))
    return Citation(
        WIRE,
        as_json(annotation),
        url if isinstance(url, str) else None,
        title if isinstance(title, str) else None,
        start if isinstance(start, int) else None,
        end if isinstance(end, int) else None,
    )


def _seal_last(parts: list[Part], seal: object) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, Text | ToolCall) and last.signature is None and isinstance(seal, dict):
        parts[-1] = msgspec.structs.replace(last, signature=Signature(WIRE, as_json(seal).decode()))

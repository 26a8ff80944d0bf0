"""The input of a request for a response, which is a text or a list of items, read into turns.

One turn of an assistant is several items: what it thought, what it said, what it called. They become one message, and
so do the results after them. Items without a `type` are messages, as OpenAI's own clients send them.

Left out without a word, because it says nothing to anybody else: the items' ids and states, a message's `phase`, who
called a call (`caller`), how closely a file is to be looked at. Whatever else is not read is named (`unknown.py`).
"""

from typing import Any

from farthing.types.chat import (
    Audio,
    Cached,
    Document,
    Filed,
    Foreign,
    Image,
    Inline,
    Linked,
    Message,
    Part,
    Refusal,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from farthing.wire.translators.openai_responses.items import read_citations, read_item, read_thinking
from farthing.wire.translators.openai_responses.tools import WIRE
from farthing.wire.translators.reading import as_json, needed_text, object_at, objects_at, refuse, text_at

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_FROM_CLIENT = frozenset(
    {
        "computer_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "mcp_approval_response",
    }
)
"""Results that the client gives to calls of the provider's own tools; all other unknown items are the assistant's."""
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_NAMED_TYPES = {
    "txt": "text/plain",
    "md": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
_PDF = "application/pdf"
_IN_ONE = frozenset({"assistant", "tool"})
"""Roles whose neighbours are one turn."""


def read_turns(members: dict[str, Any], *, needed: bool) -> tuple[Message, ...]:
    """Read `instructions` and `input` into messages; an input is `needed` unless the provider keeps former turns."""
    turns = _Turns()
    instructions = text_at(members, "instructions")
    if instructions:
        turns.add("system", [Text(instructions)])
    given = members.get("input")
    if isinstance(given, str):
        turns.add("user", [Text(given)])
    elif isinstance(given, list):
        for at, item in enumerate(given):
            if not isinstance(item, dict):
                refuse(f"input[{at}]", item, "an object")
            _read(turns, item, f"input[{at}]")
    elif given is not None or needed:
        refuse("input", given, "a text or a list of items")
    return tuple(turns.messages())


class _Turns:
    """Messages as they grow item by item."""

    def __init__(self) -> None:
        self._turns: list[tuple[Role, list[Part]]] = []
        self.tools: dict[str, str] = {}
        """The names of tools by the ids of their calls."""

    def add(self, role: Role, parts: list[Part]) -> None:
        if self._turns and self._turns[-1][0] == role and role in _IN_ONE:
            self._turns[-1][1].extend(parts)
        else:
            self._turns.append((role, parts))

    def messages(self) -> list[Message]:
        return [Message(role, tuple(parts)) for role, parts in self._turns]


def _read(turns: _Turns, item: dict[str, Any], path: str) -> None:
    kind = item.get("type")
    if kind is None and "role" not in item and "id" in item:
        kind = "item_reference"
    if kind is None or kind == "message":
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            refuse(f"{path}.role", role, 'one of "user", "assistant", "system", "developer"')
        turns.add(_ROLES[role], _content(item.get("content"), _ROLES[role], f"{path}.content"))
    elif kind in ("function_call", "custom_tool_call"):
        call = _call(item, path)
        turns.tools[call.id] = call.name
        turns.add("assistant", [call])
    elif kind in ("function_call_output", "custom_tool_call_output"):
        turns.add("tool", [_result(item, turns.tools, path)])
    elif kind == "reasoning":
        _check_thinking(item, path)
        thinking = read_thinking(item)
        if thinking.text or thinking.signature is not None:
            turns.add("assistant", [thinking])
    elif not isinstance(kind, str):
        refuse(f"{path}.type", kind, "a text")
    else:
        from_client = kind in _FROM_CLIENT or (kind == "tool_search_output" and item.get("execution") == "client")
        known = kind == "image_generation_call"
        parts: list[Part] = read_item(item, _no_id) if known else [Foreign(WIRE, kind, as_json(item))]
        turns.add("tool" if from_client else "assistant", parts)


def _no_id(prefix: str) -> str:
    raise AssertionError(prefix)  # pictures have no ids


def _call(item: dict[str, Any], path: str) -> ToolCall:
    custom = item["type"] == "custom_tool_call"
    member = "input" if custom else "arguments"
    given = text_at(item, member, path)
    if given is None or not (given or custom):
        given = "" if custom else "{}"
    call_id = needed_text(item, "call_id", path)
    if not call_id:
        refuse(f"{path}.call_id", call_id, "the id of the call")
    return ToolCall(call_id, needed_text(item, "name", path), given, custom, text_at(item, "namespace", path) or None)


def _result(item: dict[str, Any], tools: dict[str, str], path: str) -> ToolResult:
    call_id = needed_text(item, "call_id", path)
    output = item.get("output")
    content: tuple[Any, ...]
    if isinstance(output, str):
        content = (Text(output),) if output else ()
    elif isinstance(output, list):
        content = tuple(_given(part, f"{path}.output[{at}]") for at, part in enumerate(output))
    else:
        refuse(f"{path}.output", output, "a text or a list of parts")
    return ToolResult(
        call_id,
        content,
        tools.get(call_id) or text_at(item, "name", path),
        custom=item["type"] == "custom_tool_call_output",
    )


def _check_thinking(item: dict[str, Any], path: str) -> None:
    for member in ("summary", "content"):
        for at, part in enumerate(objects_at(item, member, path)):
            needed_text(part, "text", f"{path}.{member}[{at}]")
    text_at(item, "encrypted_content", path)


def _content(value: object, role: Role, path: str) -> list[Part]:
    if isinstance(value, str):
        return [Text(value)]
    if value is None and role == "assistant":
        return []
    if not isinstance(value, list):
        refuse(path, value, "a text or a list of parts")
    if role == "assistant":
        return [_said(part, f"{path}[{at}]") for at, part in enumerate(value)]
    return [_given(part, f"{path}[{at}]") for at, part in enumerate(value)]


def _said(part: object, path: str) -> Part:
    """Read a part of what an assistant said."""
    if not isinstance(part, dict):
        refuse(path, part, "an object")
    kind = needed_text(part, "type", path)
    if kind in ("output_text", "input_text", "text"):
        return Text(needed_text(part, "text", path), citations=read_citations(part.get("annotations")))
    if kind == "refusal":
        return Refusal(needed_text(part, "refusal", path))
    # As an item, which is what other unknown things of an assistant are.
    return Foreign(WIRE, kind, as_json({"type": "message", "role": "assistant", "content": [part]}))


def _given(part: object, path: str) -> Any:
    """Read a part of what a user says, or of what a tool gave."""
    if not isinstance(part, dict):
        refuse(path, part, "an object")
    kind = needed_text(part, "type", path)
    if kind in ("input_text", "text", "output_text"):
        return Text(needed_text(part, "text", path), _mark(part, path))
    if kind == "input_image":
        detail = text_at(part, "detail", path)
        return Image(_image(part, path), None if detail == "auto" else detail, _mark(part, path))
    if kind == "input_file":
        return Document(_file(part, path), text_at(part, "filename", path), cached=_mark(part, path))
    if kind == "input_audio":
        sound = object_at(part, "input_audio", path) or {}
        data, name = needed_text(sound, "data", f"{path}.input_audio"), sound.get("format")
        if not isinstance(name, str) or name not in _SOUNDS:
            refuse(f"{path}.input_audio.format", name, 'one of "mp3", "wav"')
        return Audio(Inline(_SOUNDS[name], data))
    return Foreign(WIRE, kind, as_json(part))


def _mark(part: dict[str, Any], path: str) -> Cached | None:
    """Read a breakpoint of the prompt cache: 30 minutes at least, which is more like an hour than five minutes."""
    if part.get("prompt_cache_breakpoint") is None:
        return None
    ttl = (object_at(part, "prompt_cache_breakpoint", path) or {}).get("ttl")
    return Cached() if ttl is None else Cached("1h")


def _image(part: dict[str, Any], path: str) -> Source:
    url, file_id = text_at(part, "image_url", path), text_at(part, "file_id", path)
    if url:
        return _address(url, "image/png", f"{path}.image_url")
    if not file_id:
        refuse(f"{path}.image_url", url, 'a URL, a "data:" URL in base64, or a "file_id"')
    return Filed(WIRE, file_id)


def _file(part: dict[str, Any], path: str) -> Source:
    data, url = text_at(part, "file_data", path), text_at(part, "file_url", path)
    file_id, name = text_at(part, "file_id", path), text_at(part, "filename", path)
    if data:
        if data.startswith("data:"):
            return _address(data, _PDF, f"{path}.file_data")
        ending = (name or "").rpartition(".")[2].lower()
        return Inline(_NAMED_TYPES.get(ending, _PDF), data)
    if url:
        return _address(url, _PDF, f"{path}.file_url")
    if not file_id:
        refuse(f"{path}.file_data", data, 'a "data:" URL in base64, or a "file_url", or a "file_id"')
    return Filed(WIRE, file_id)


def _address(url: str, usual_type: str, path: str) -> Source:
    if not url.startswith("data:"):
        return Linked(url)
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        refuse(path, url, '"data:<media type>;base64,<data>"')
    return Inline(head.partition(";")[0] or usual_type, data)

"""Requests of /api/chat and /api/generate, read into the neutral form.

What surprised us: a tool call need not have an id, and a result then names the tool or nothing at all, so calls get
ids made of their place and name (a history that comes again must read the same, or a provider's prompt cache is
broken), and results find theirs by id, by the tool's name, or by their order. Pictures and sound stand in one list of
base64 texts without types, which only their first bytes tell. A `think` in `options` does nothing. Clients send every
member that they know, empty: what is empty says nothing here.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from farthing.types.chat import (
    AnswerShape,
    Audio,
    ChatRequest,
    Effort,
    Image,
    Inline,
    Message,
    Part,
    Reasoning,
    Role,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from farthing.wire.translators.ollama.media import media_type
from farthing.wire.translators.reading import (
    Body,
    as_json,
    extras,
    flag_at,
    needed_text,
    number_at,
    object_at,
    objects_at,
    refuse,
    request_members,
    text_at,
    whole_at,
)

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_LEVELS: Mapping[str, Effort] = {"low": "low", "medium": "medium", "high": "high", "max": "max"}
_TOP = frozenset({"model", "stream", "options", "format", "think", "logprobs", "top_logprobs"})
_OF_CHAT = _TOP | {"messages", "tools"}
_OF_GENERATE = _TOP | {"prompt", "system", "suffix", "images"}
_OPTIONS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "num_predict",
        "num_ctx",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
    }
)
_OF_MESSAGE = frozenset({"role", "content", "images", "name"})
_OF_ROLE: Mapping[Role, frozenset[str]] = {
    "system": _OF_MESSAGE,
    "user": _OF_MESSAGE,
    "assistant": _OF_MESSAGE | {"thinking", "tool_calls"},
    "tool": _OF_MESSAGE | {"tool_name", "tool_call_id"},
}
_OF_CALL = frozenset({"id", "type", "function"})
_OF_CALLED = frozenset({"index", "name", "arguments"})
_OF_TOOL = frozenset({"type", "function"})
_OF_FUNCTION = frozenset({"name", "description", "parameters", "strict"})
_SEED_LEAST = -(1 << 63)
_ID_NAME_CHARS = 16
"""Of a tool's name in an id that we make: OpenAI takes ids of 40 characters, and two places before it may be long."""
_ODD_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def read_request(body: Body, *, model: str, streamed: bool, generate: bool = False) -> ChatRequest:
    """Read a request of /api/chat, or of /api/generate where `generate` is set.

    Raises:
        InvalidRequest: it is wrong; the message names the member's path, its value and what is allowed.
    """
    members = request_members(body)
    extra = _unknown_members(members, _OF_GENERATE if generate else _OF_CHAT)
    options = object_at(members, "options") or {}
    for name, raw in extras(options, _OPTIONS).items():
        extra[f"options.{name}"] = raw
    messages = _prompt(members) if generate else _Messages(extra).read(members)
    tools, server_tools = ((), ()) if generate else _tools(members, extra)
    return ChatRequest(
        origin="ollama",
        model=model,
        messages=messages,
        tools=tools,
        server_tools=server_tools,
        shape=_shape(members),
        reasoning=_reasoning(members),
        # Zero and less mean "no limit", which is what every other format means by saying nothing.
        max_output_tokens=_positive(whole_at(options, "num_predict", "options", least=-2)),
        temperature=number_at(options, "temperature", "options"),
        top_p=number_at(options, "top_p", "options"),
        top_k=_positive(whole_at(options, "top_k", "options", least=-1)),
        presence_penalty=number_at(options, "presence_penalty", "options", least=-2, most=2),
        frequency_penalty=number_at(options, "frequency_penalty", "options", least=-2, most=2),
        stop=_stop(options),
        seed=whole_at(options, "seed", "options", least=_SEED_LEAST),
        logprobs=bool(flag_at(members, "logprobs")),
        top_logprobs=_positive(whole_at(members, "top_logprobs")),
        suffix=(text_at(members, "suffix") or None) if generate else None,
        raw_prompt=generate,
        streamed=streamed,
        context_tokens=_positive(whole_at(options, "num_ctx", "options")),
        extra=extra,
    )


def _unknown_members(members: Mapping[str, Any], known: frozenset[str]) -> dict[str, bytes]:
    """Return what only Ollama knows, without what says nothing.

    Not to cut the prompt where it is too long (`truncate: false`) is what every other format means anyway.
    """
    found = {}
    for name in members.keys() - known:
        value = members[name]
        if value is not None and value is not False and value not in ("", [], {}):
            found[name] = value
    return {name: as_json(found[name]) for name in sorted(found)}


def _positive(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def _shape(members: Mapping[str, Any]) -> AnswerShape | None:
    value = members.get("format")
    if value is None or value == "":
        return None
    if value == "json":
        return AnswerShape()
    if isinstance(value, dict):
        return AnswerShape(schema=as_json(value))
    return refuse("format", value, '"json" or a JSON schema')


def _reasoning(members: Mapping[str, Any]) -> Reasoning | None:
    value = members.get("think")
    if value is None:
        return None
    if isinstance(value, bool):
        return Reasoning(adaptive=True, shown=True) if value else Reasoning(off=True)
    if isinstance(value, str) and value in _LEVELS:
        return Reasoning(effort=_LEVELS[value], shown=True)
    return refuse("think", value, 'true, false, "low", "medium", "high" or "max"')


def _stop(options: Mapping[str, Any]) -> tuple[str, ...]:
    value = options.get("stop")
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return tuple(text for text in value if text)
    return refuse("options.stop", value, "a list of texts")


def _tools(members: Mapping[str, Any], extra: dict[str, bytes]) -> tuple[tuple[Tool, ...], tuple[ServerTool, ...]]:
    tools: list[Tool] = []
    server_tools: list[ServerTool] = []
    for at, declared in enumerate(objects_at(members, "tools")):
        path = f"tools[{at}]"
        kind = text_at(declared, "type", path) or "function"
        if kind != "function":
            server_tools.append(ServerTool("ollama", kind, as_json(declared)))
            continue
        function = object_at(declared, "function", path)
        if function is None:
            refuse(f"{path}.function", None, "an object with the tool's name, description and parameters")
        _note_unknown(extra, path, declared, _OF_TOOL)
        path += ".function"
        _note_unknown(extra, path, function, _OF_FUNCTION)
        parameters = object_at(function, "parameters", path)
        tools.append(
            Tool(
                _name(function, path),
                text_at(function, "description", path),
                None if parameters is None else as_json(parameters),
                flag_at(function, "strict", path),
            )
        )
    return tuple(tools), tuple(server_tools)


def _name(members: Mapping[str, Any], path: str) -> str:
    name = needed_text(members, "name", path)
    if not name:
        refuse(f"{path}.name", name, "the tool's name")
    return name


def _note_unknown(extra: dict[str, bytes], path: str, members: Mapping[str, Any], known: frozenset[str]) -> None:
    if not members.keys() <= known:
        for name, raw in extras(members, known).items():
            extra[f"{path}.{name}"] = raw


def _media(members: Mapping[str, Any], path: str) -> list[Image | Audio]:
    """Return pictures and sound of a message; Ollama shows them to the model before the text."""
    value = members.get("images")
    if value is None:
        return []
    path = f"{path}.images" if path else "images"
    if not isinstance(value, list):
        refuse(path, value, "a list of pictures as base64 texts")
    parts: list[Image | Audio] = []
    for at, data in enumerate(value):
        kind = media_type(data) if isinstance(data, str) else None
        if kind is None:
            refuse(f"{path}[{at}]", data, "a picture as base64 text")
        source = Inline(kind, data)
        parts.append(Audio(source) if kind.startswith("audio/") else Image(source))
    return parts


def _prompt(members: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return the messages that a text to be continued stands for; none where the model is only to be loaded."""
    messages: list[Message] = []
    system, prompt = text_at(members, "system"), text_at(members, "prompt")
    if system:
        messages.append(Message("system", (Text(system),)))
    content: list[Part] = [*_media(members, "")]
    if prompt:
        content.append(Text(prompt))
    if content:
        messages.append(Message("user", tuple(content)))
    return tuple(messages)


class _Messages:
    """Reads messages in order, because results find their calls among those before them."""

    def __init__(self, extra: dict[str, bytes]) -> None:
        self._extra = extra
        self._names: dict[str, str] = {}
        """Of the tool of each call, by the call's id."""
        self._unanswered: dict[str, str] = {}
        self._waiting: deque[str] = deque()
        self._waiting_by_name: dict[str, deque[str]] = {}

    def read(self, members: Mapping[str, Any]) -> tuple[Message, ...]:
        return tuple(self._message(at, message) for at, message in enumerate(objects_at(members, "messages")))

    def _message(self, at: int, message: Mapping[str, Any]) -> Message:
        path = f"messages[{at}]"
        role = _role(message, path)
        _note_unknown(self._extra, path, message, _OF_ROLE[role])
        content = message.get("content")
        if type(content) is not str:
            content = text_at(message, "content", path)
        parts: list[Part] = [*_media(message, path)] if "images" in message else []
        if content:
            parts.append(Text(content))
        if role == "tool":
            parts = [self._result(at, message, path, parts)]
        elif role == "assistant":
            if "thinking" in message and (thinking := text_at(message, "thinking", path)):
                parts.insert(0, Thinking(thinking))
            if message.get("tool_calls") is not None:
                parts += self._calls(at, objects_at(message, "tool_calls", path), f"{path}.tool_calls")
        name = text_at(message, "name", path) if "name" in message else None
        return Message(role, tuple(parts), name or None)

    def _calls(self, at: int, calls: Iterable[Mapping[str, Any]], path: str) -> Iterable[ToolCall]:
        # A result belongs to the last turn with calls: those left unanswered before it never get one.
        self._unanswered.clear()
        self._waiting.clear()
        self._waiting_by_name.clear()
        read: list[ToolCall] = []
        for number, call in enumerate(calls):
            here = f"{path}[{number}]"
            function = object_at(call, "function", here)
            if function is None:
                refuse(f"{here}.function", None, "an object with the tool's name and arguments")
            _note_unknown(self._extra, here, call, _OF_CALL)
            here += ".function"
            _note_unknown(self._extra, here, function, _OF_CALLED)
            name = _name(function, here)
            arguments = object_at(function, "arguments", here)
            call_id = text_at(call, "id", f"{path}[{number}]") or _made_id(at, number, name)
            read.append(ToolCall(call_id, name, as_json(arguments).decode() if arguments else "{}"))
            self._names[call_id] = self._unanswered[call_id] = name
            self._waiting.append(call_id)
            self._waiting_by_name.setdefault(name, deque()).append(call_id)
        return read

    def _result(self, at: int, message: Mapping[str, Any], path: str, parts: list[Part]) -> ToolResult:
        name = text_at(message, "tool_name", path) or None
        call_id = (
            text_at(message, "tool_call_id", path)
            or (name and self._next(self._waiting_by_name.get(name, deque())))
            or self._next(self._waiting)
            or _made_id(at, 0, name or "")
        )
        self._unanswered.pop(call_id, None)
        content = tuple(part for part in parts if isinstance(part, Text | Image | Audio))
        return ToolResult(call_id, content, name or self._names.get(call_id))

    def _next(self, waiting: deque[str]) -> str | None:
        while waiting:
            call_id = waiting.popleft()
            if call_id in self._unanswered:
                return call_id
        return None


def _role(message: Mapping[str, Any], path: str) -> Role:
    value = message.get("role")
    role = (_ROLES.get(value) or _ROLES.get(value.lower())) if isinstance(value, str) else None
    if role is None:
        refuse(f"{path}.role", value, "one of " + ", ".join(f'"{word}"' for word in _ROLES))
    return role


def _made_id(message: int, call: int, name: str) -> str:
    """Return an id for a call that has none: it is the same whenever this conversation comes again."""
    plain = _ODD_IN_ID.sub("_", name[:_ID_NAME_CHARS])
    return f"call_{message}_{call}_{plain}"

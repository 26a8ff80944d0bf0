"""Read a messages request.

What surprised us: results of tools stand in a turn of the user; a system message may stand in the middle, and may hold
something else than text (`tool_addition`); Claude Code's first system block is a billing header that differs from call
to call, which is no prompt; a signature may be a mark of ours (`marks.py`).
"""

from typing import Any

import msgspec

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    AnswerShape,
    ChatRequest,
    Effort,
    Message,
    Part,
    Reasoning,
    ServerTool,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.translators.anthropic_messages.blocks import WIRE, BlockReader, plain_text
from farthing.wire.translators.anthropic_messages.schemas import is_strict
from farthing.wire.translators.reading import (
    Body,
    as_json,
    extras,
    flag_at,
    needed_text,
    number_at,
    object_at,
    objects_at,
    one_of,
    refuse,
    request_members,
    text_at,
    whole_at,
)

_BILLING_HEADER = "x-anthropic-billing-header:"
_MEMBERS = frozenset(
    {
        "cache_control",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_TOOL_MEMBERS = frozenset({"name", "description", "input_schema", "type", "strict", "cache_control"})
_EFFORTS: dict[str, Effort] = {word: word for word in ("low", "medium", "high", "xhigh", "max")}
_SHOWN = {"summarized": True, "omitted": False}
_ROLES = ("user", "assistant", "system")
_CHOICES = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}
TIERS = {"standard_only": "default"}
"""Words for a tier that OpenAI's clients have another word for."""


def read_request(body: Body, *, model: str, streamed: bool) -> ChatRequest:
    """See `Translator.read_request`."""
    try:
        return _Reader(request_members(body)).read(model, streamed=streamed)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply", hint="send JSON with fewer levels") from None


class _Reader:
    """Reads one request; what this format alone knows is collected in `blocks.unknown`, by its path."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members
        self.blocks = BlockReader()

    def read(self, model: str, *, streamed: bool) -> ChatRequest:
        members = self.members
        unknown = self.blocks.unknown
        unknown.update(extras(members, _MEMBERS))
        flag_at(members, "stream")
        messages = self._messages()
        tools, server_tools = self._tools()
        choice, parallel = self._tool_choice()
        reasoning, shape = self._reasoning_and_shape()
        return ChatRequest(
            origin=WIRE,
            model=model,
            messages=messages,
            tools=tools,
            server_tools=server_tools,
            tool_choice=choice,
            parallel_tool_calls=parallel,
            shape=shape,
            reasoning=reasoning,
            max_output_tokens=whole_at(members, "max_tokens"),
            temperature=number_at(members, "temperature", most=2),
            top_p=number_at(members, "top_p", most=1),
            top_k=whole_at(members, "top_k"),
            stop=_texts(members, "stop_sequences"),
            service_tier=self._service_tier(),
            user=self._user(),
            cached=self.blocks.cached(members, ""),
            streamed=streamed,
            extra=unknown,
        )

    # ---- messages

    def _messages(self) -> tuple[Message, ...]:
        turns = self.members.get("messages")
        if not isinstance(turns, list) or not turns:
            refuse("messages", turns, "a list with at least one message")
        messages: list[Message] = []
        system = self._system()
        if system:
            messages.append(Message("system", system))
        for at, turn in enumerate(turns):
            path = f"messages[{at}]"
            if not isinstance(turn, dict):
                refuse(path, turn, "an object, a message")
            role = turn.get("role")
            if role not in _ROLES:
                refuse(f"{path}.role", role, '"user", "assistant" or "system"')
            if len(turn) > 2:
                self.blocks.note(path, "message", turn, _MESSAGE_MEMBERS)
            messages += self._turn(role, self._content(turn.get("content"), f"{path}.content"), path)
        return tuple(messages)

    def _system(self) -> tuple[Part, ...]:
        system = self.members.get("system")
        if system is None:
            return ()
        parts = self._content(system, "system")
        for at, part in enumerate(parts):
            if not isinstance(part, Text):
                refuse(f"system[{at}].type", part, "blocks of text")
        first = parts[0] if parts else None
        if isinstance(first, Text) and first.text.startswith(_BILLING_HEADER):
            prompt = first.text.partition("\n")[2].lstrip("\n")
            return ((msgspec.structs.replace(first, text=prompt),) if prompt else ()) + parts[1:]
        return parts

    def _content(self, content: Any, path: str) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (Text(content),)
        if not isinstance(content, list):
            refuse(path, content, "a text, or a list of content blocks")
        read = self.blocks.read
        return tuple([plain_text(block) or read(block, f"{path}[{at}]") for at, block in enumerate(content)])

    def _turn(self, role: str, parts: tuple[Part, ...], path: str) -> list[Message]:
        match role:
            case "assistant":
                _only(parts, ToolResult, "tool_result", "user", path)
                return [Message("assistant", parts)]
            case "system":
                return [Message("system", parts)]
            case _:
                _only(parts, ToolCall, "tool_use", "assistant", path)
                results = tuple([part for part in parts if isinstance(part, ToolResult)])
                if not results:
                    return [Message("user", parts)]
                rest = tuple([part for part in parts if not isinstance(part, ToolResult)])
                return [Message("tool", results), Message("user", rest)] if rest else [Message("tool", results)]

    # ---- tools

    def _tools(self) -> tuple[tuple[Tool, ...], tuple[ServerTool, ...]]:
        tools: list[Tool] = []
        server_tools: list[ServerTool] = []
        for at, tool in enumerate(objects_at(self.members, "tools")):
            path = f"tools[{at}]"
            kind = text_at(tool, "type", path)
            if kind == "function":  # OpenAI's, and no tool of Anthropic's: it would be left out as one that it runs
                refuse(f"{path}.type", kind, "the tool as name, description and input_schema, without a type")
            if kind not in (None, "custom"):
                server_tools.append(ServerTool(WIRE, str(kind), as_json(tool)))
                continue
            schema = object_at(tool, "input_schema", path)
            tools.append(
                Tool(
                    needed_text(tool, "name", path),
                    text_at(tool, "description", path),
                    None if schema is None else as_json(schema),
                    flag_at(tool, "strict", path),
                    cached=self.blocks.cached(tool, path),
                )
            )
            self.blocks.note(path, "tool", tool, _TOOL_MEMBERS)
        return tuple(tools), tuple(server_tools)

    def _tool_choice(self) -> tuple[ToolChoice | None, bool | None]:
        choice = object_at(self.members, "tool_choice")
        if choice is None:
            return None, None
        mode = one_of(choice, "type", _CHOICES, "tool_choice")
        if mode is None:
            refuse("tool_choice.type", None, '"auto", "any", "tool" or "none"')
        named = (needed_text(choice, "name", "tool_choice"),) if choice["type"] == "tool" else ()
        alone = flag_at(choice, "disable_parallel_tool_use", "tool_choice")
        self.blocks.note("tool_choice", "tool_choice", choice, {"type", "name", "disable_parallel_tool_use"})
        return ToolChoice(mode, named), None if alone is None else not alone  # type: ignore[arg-type]

    # ---- the answer that is wanted

    def _reasoning_and_shape(self) -> tuple[Reasoning | None, AnswerShape | None]:
        config = object_at(self.members, "output_config") or {}
        self.blocks.note("output_config", "output_config", config, {"effort", "format"})
        effort = one_of(config, "effort", _EFFORTS, "output_config")
        place = "output_config" if config.get("format") is not None else ""
        shape = _shape(config, "format", place) if place else _shape(self.members, "output_format", "")
        return self._reasoning(effort), shape

    def _reasoning(self, effort: Effort | None) -> Reasoning | None:
        thinking = object_at(self.members, "thinking")
        if thinking is None:
            return None if effort is None else Reasoning(effort=effort)
        shown = one_of(thinking, "display", _SHOWN, "thinking")
        self.blocks.note("thinking", "thinking", thinking, {"type", "budget_tokens", "display"})
        match thinking.get("type"):
            case "enabled":
                budget = whole_at(thinking, "budget_tokens", "thinking", least=1)
                if budget is None:
                    refuse("thinking.budget_tokens", None, "a whole number from 1024")
                return Reasoning(effort=effort, budget_tokens=budget, shown=shown)
            case "adaptive":
                return Reasoning(effort=effort, adaptive=True, shown=shown)
            case "disabled":
                return Reasoning(effort=effort, off=True)
            case "between_tools":
                self.blocks.unknown["thinking.type"] = as_json("between_tools")
                return Reasoning(effort=effort, off=True)
            case kind:
                return refuse("thinking.type", kind, '"enabled", "adaptive", "disabled" or "between_tools"')

    def _service_tier(self) -> str | None:
        tier = text_at(self.members, "service_tier")
        return None if tier is None else TIERS.get(tier, tier)

    def _user(self) -> str | None:
        metadata = object_at(self.members, "metadata")
        if metadata is None:
            return None
        self.blocks.note("metadata", "metadata", metadata, {"user_id"})
        return text_at(metadata, "user_id", "metadata")


_MESSAGE_MEMBERS = frozenset({"role", "content"})


def _shape(members: dict[str, Any], name: str, path: str) -> AnswerShape | None:
    found = object_at(members, name, path)
    if found is None:
        return None
    path = f"{path}.{name}" if path else name
    if found.get("type") != "json_schema":
        refuse(f"{path}.type", found.get("type"), '"json_schema"')
    schema = object_at(found, "schema", path)
    if schema is None:
        refuse(f"{path}.schema", None, "a JSON schema")
    # Anthropic holds every answer to its schema; others do so only for schemas that leave nothing open.
    return AnswerShape(as_json(schema), strict=True if is_strict(schema) else None)


def _only(parts: tuple[Part, ...], kind: type, word: str, role: str, path: str) -> None:
    for at, part in enumerate(parts):
        if isinstance(part, kind):
            refuse(f"{path}.content[{at}].type", word, f'a "{word}" in a message of the {role}')


def _texts(members: dict[str, Any], name: str) -> tuple[str, ...]:
    value = members.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        refuse(name, value, "a list of texts")
    for at, text in enumerate(value):
        if not isinstance(text, str):
            refuse(f"{name}[{at}]", text, "a text")
    return tuple(value)

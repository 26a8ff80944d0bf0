"""Read a client's chat completion: OpenAI's members, and what others have added that means the same to everybody.

Refused is what is wrong; what is right and known to nobody else goes into `extra`. Not told on are members that say
what is so anyway: `modalities: ["text"]`, `stream_options` beside its usage, an effort of `default` (Groq's).
"""

from collections.abc import Mapping
from typing import Any

from farthing.types.chat import (
    AnswerShape,
    Cached,
    ChatRequest,
    Effort,
    Message,
    Reasoning,
    ServerTool,
    Tool,
    ToolChoice,
)
from farthing.wire.translators.openai_chat.messages import MessagesReader
from farthing.wire.translators.openai_chat.thinking import WIRE
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

EFFORTS: Mapping[str, Effort] = {
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_MODES: Mapping[str, Any] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}
"""`any` is Mistral's."""
_KNOWN = frozenset(
    [
        "model",
        "messages",
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "reasoning",
        "enable_thinking",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "presence_penalty",
        "frequency_penalty",
        "stop",
        "seed",
        "random_seed",
        "n",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "verbosity",
        "service_tier",
        "user",
        "metadata",
        "prompt_cache_key",
        "store",
        "stream",
        "stream_options",
        "web_search_options",
    ]
)
_TOOL_MEMBERS = frozenset(["type", "function", "custom", "cache_control"])
_FUNCTION_MEMBERS = frozenset(["name", "description", "parameters", "strict"])


def read_request(body: Body, *, model: str, streamed: bool) -> ChatRequest:
    """See `Translator.read_request`."""
    members = request_members(body)
    extra = extras(members, _KNOWN)

    def unknown(path: str, value: object) -> None:
        if value is not None and path not in extra:
            extra[path] = as_json(value)

    tools, server_tools = _tools(members, unknown)
    options = object_at(members, "stream_options")
    _note_nested(members, unknown)
    if extra.get("modalities") == b'["text"]':
        del extra["modalities"]
    user = text_at(members, "user")
    safety_identifier = text_at(members, "safety_identifier")
    if user is None and safety_identifier is not None:
        user = safety_identifier
        del extra["safety_identifier"]
    return ChatRequest(
        origin=WIRE,
        model=model,
        messages=_messages(members, unknown),
        tools=tools,
        server_tools=server_tools,
        tool_choice=_tool_choice(members),
        parallel_tool_calls=flag_at(members, "parallel_tool_calls"),
        legacy_functions=bool(members.get("functions")),
        shape=_shape(members),
        reasoning=_reasoning(members, extra),
        prompt_cache_key=text_at(members, "prompt_cache_key"),
        verbosity=text_at(members, "verbosity"),
        service_tier=text_at(members, "service_tier"),
        user=user,
        metadata=_json_object(members, "metadata"),
        store=flag_at(members, "store"),
        streamed=streamed,
        usage_in_stream=bool(options and flag_at(options, "include_usage", "stream_options")),
        extra=extra,
        **sampling(members),
        **_logprobs(members),
    )


_NESTED = {
    "stream_options": frozenset(["include_usage", "include_obfuscation", "continuous_usage_stats"]),
    "response_format": frozenset(["type", "json_schema", "schema"]),
}
"""Members that have members of their own, and which of those are read, or say nothing to others."""
_OF_SCHEMA = frozenset(["name", "description", "schema", "strict"])


def _note_nested(members: dict[str, Any], unknown: Any) -> None:
    """Note what stands in a member beside what is read of it."""
    for name, known in _NESTED.items():
        inside = members.get(name)
        if isinstance(inside, dict):
            for member in inside.keys() - known:
                unknown(f"{name}.{member}", inside[member])
    shape = members.get("response_format")
    schema = shape.get("json_schema") if isinstance(shape, dict) else None
    if isinstance(schema, dict):
        for member in schema.keys() - _OF_SCHEMA:
            unknown(f"response_format.json_schema.{member}", schema[member])


def sampling(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return what chat completions and the legacy ones say alike of how to sample."""
    longest = whole_at(members, "max_completion_tokens", least=1)
    shorter = whole_at(members, "max_tokens", least=1)
    seed = whole_at(members, "seed", least=-(1 << 63))
    return {
        "max_output_tokens": shorter if longest is None else longest,
        "temperature": number_at(members, "temperature", most=2),
        "top_p": number_at(members, "top_p", most=1),
        "top_k": whole_at(members, "top_k", least=-1),
        "presence_penalty": number_at(members, "presence_penalty", least=-2, most=2),
        "frequency_penalty": number_at(members, "frequency_penalty", least=-2, most=2),
        "stop": _stop(members),
        "seed": whole_at(members, "random_seed", least=-(1 << 63)) if seed is None else seed,
        "n": whole_at(members, "n", least=1),
        "logit_bias": _json_object(members, "logit_bias"),
    }


def _messages(members: dict[str, Any], unknown: Any) -> tuple[Message, ...]:
    messages = objects_at(members, "messages")
    if not messages:
        refuse("messages", members.get("messages"), "at least one message")
    reader = MessagesReader(unknown)
    return tuple([reader.read(message, f"messages[{at}]") for at, message in enumerate(messages)])


def _stop(members: Mapping[str, Any]) -> tuple[str, ...]:
    stop = members.get("stop")
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,) if stop else ()
    if not isinstance(stop, list):
        refuse("stop", stop, "a text or a list of texts")
    for at, text in enumerate(stop):
        if not isinstance(text, str):
            refuse(f"stop[{at}]", text, "a text")
    return tuple(stop)


def _logprobs(members: dict[str, Any]) -> dict[str, Any]:
    """Return whether log probabilities are wanted, and of how many tokens; Together takes the number alone."""
    wanted = members.get("logprobs")
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        most = whole_at(members, "logprobs")
        return {"logprobs": True, "top_logprobs": most or None}
    return {"logprobs": bool(flag_at(members, "logprobs")), "top_logprobs": whole_at(members, "top_logprobs")}


def _json_object(members: Mapping[str, Any], name: str) -> bytes | None:
    value = object_at(members, name)
    return as_json(value) if value else None


# ---- tools


def _tools(members: dict[str, Any], unknown: Any) -> tuple[tuple[Tool, ...], tuple[ServerTool, ...]]:
    tools: list[Tool] = []
    servers: list[ServerTool] = []
    for at, tool in enumerate(objects_at(members, "tools")):
        path, kind = f"tools[{at}]", tool.get("type")
        if kind in ("function", None):
            function = object_at(tool, "function", path)
            if function is None:
                refuse(f"{path}.function", None, "an object with name and parameters")
            for name in function.keys() - _FUNCTION_MEMBERS:
                unknown(f"tools[].function.{name}", function[name])
            tools.append(_function(function, f"{path}.function", tool.get("cache_control")))
        elif kind == "custom":
            tools.append(_custom(tool, path))
        else:
            servers.append(ServerTool(WIRE, kind if isinstance(kind, str) else "unknown", as_json(tool)))
            continue
        for name in tool.keys() - _TOOL_MEMBERS:
            unknown(f"tools[].{name}", tool[name])
    for at, function in enumerate(objects_at(members, "functions")):
        tools.append(_function(function, f"functions[{at}]", None))
    search = object_at(members, "web_search_options")
    if search is not None:
        servers.append(ServerTool(WIRE, "web_search_options", as_json(search)))
    return tuple(tools), tuple(servers)


def _function(function: dict[str, Any], path: str, mark: object) -> Tool:
    parameters = object_at(function, "parameters", path)
    cached = None
    if isinstance(mark, dict):
        cached = Cached("1h") if mark.get("ttl") == "1h" else Cached()
    return Tool(
        needed_text(function, "name", path),
        text_at(function, "description", path),
        None if parameters is None else as_json(parameters),
        flag_at(function, "strict", path),
        cached=cached,
    )


def _custom(tool: dict[str, Any], path: str) -> Tool:
    path = f"{path}.custom"
    custom = tool.get("custom")
    if not isinstance(custom, dict):
        refuse(path, custom, "an object with a name")
    form = object_at(custom, "format", path) or {}
    grammar = object_at(form, "grammar", f"{path}.format")
    return Tool(
        needed_text(custom, "name", path),
        text_at(custom, "description", path),
        custom=True,
        grammar=None if grammar is None else as_json(grammar),
    )


def _tool_choice(members: dict[str, Any]) -> ToolChoice | None:
    choice = members.get("tool_choice")
    if choice is None:
        return _function_call(members)
    if isinstance(choice, str) and choice in _MODES:
        return ToolChoice(_MODES[choice])
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "allowed_tools":
        return _allowed(choice)
    if kind not in ("function", "custom"):
        refuse("tool_choice", choice, '"auto", "none", "required" or an object that names a tool')
    return ToolChoice("required", (_named(choice, "tool_choice"),))


def _function_call(members: dict[str, Any]) -> ToolChoice | None:
    """Return what the legacy `function_call` means."""
    call = members.get("function_call")
    if isinstance(call, dict):
        return ToolChoice("required", (needed_text(call, "name", "function_call"),))
    if call is None:
        return None
    if call not in ("auto", "none"):
        refuse("function_call", call, '"auto", "none" or an object with the name of a function')
    return ToolChoice(_MODES[call])


def _allowed(choice: dict[str, Any]) -> ToolChoice:
    path = "tool_choice.allowed_tools"
    allowed = object_at(choice, "allowed_tools", "tool_choice") or choice
    mode = one_of(allowed, "mode", {"auto": "auto", "required": "required"}, path)
    tools = objects_at(allowed, "tools", path)
    names = tuple([_named(tool, f"{path}.tools[{at}]") for at, tool in enumerate(tools)])
    return ToolChoice("required" if mode == "required" else "auto", names)


def _named(tool: dict[str, Any], path: str) -> str:
    for kind in ("function", "custom"):
        if isinstance(tool.get(kind), dict):
            return needed_text(tool[kind], "name", f"{path}.{kind}")
    return needed_text(tool, "name", path)


# ---- the answer that is wanted


def _shape(members: dict[str, Any]) -> AnswerShape | None:
    form = object_at(members, "response_format")
    kind = None if form is None else form.get("type")
    if form is None or kind in ("text", None):
        return None
    if kind == "json_object":
        schema = object_at(form, "schema", "response_format")  # Together's way to give one
        return AnswerShape() if schema is None else AnswerShape(as_json(schema))
    if kind != "json_schema":
        refuse("response_format.type", kind, '"text", "json_object" or "json_schema"')
    path = "response_format.json_schema"
    wanted = object_at(form, "json_schema", "response_format") or {}
    schema = object_at(wanted, "schema", path)
    if schema is None:
        refuse(f"{path}.schema", None, "a JSON schema")
    return AnswerShape(
        as_json(schema),
        text_at(wanted, "name", path),
        text_at(wanted, "description", path),
        flag_at(wanted, "strict", path),
    )


def _reasoning(members: dict[str, Any], extra: dict[str, bytes]) -> Reasoning | None:
    """Return how much to think: OpenAI's effort, OpenRouter's `reasoning`, DeepSeek's `thinking`, Alibaba's switch."""
    asked = object_at(members, "reasoning")
    if asked is not None:
        return _openrouter_reasoning(asked, members)
    effort = _effort(members, "reasoning_effort")
    thinking = members.get("thinking")
    if isinstance(thinking, dict) and (kind := thinking.get("type")) in ("enabled", "disabled", "adaptive"):
        del extra["thinking"]
        for name in thinking.keys() - {"type", "budget_tokens"}:
            extra[f"thinking.{name}"] = as_json(thinking[name])
        if kind == "disabled":
            return Reasoning(off=True)
        budget = whole_at(thinking, "budget_tokens", "thinking")
        return Reasoning(effort=effort, budget_tokens=budget, adaptive=effort is None and budget is None)
    if effort is not None:
        return Reasoning(effort=effort)
    switch = flag_at(members, "enable_thinking")
    return None if switch is None else Reasoning(adaptive=switch, off=not switch)


def _openrouter_reasoning(asked: dict[str, Any], members: dict[str, Any]) -> Reasoning | None:
    effort = _effort(asked, "effort", "reasoning") or _effort(members, "reasoning_effort")
    budget = whole_at(asked, "max_tokens", "reasoning")
    enabled = flag_at(asked, "enabled", "reasoning")
    shown = False if flag_at(asked, "exclude", "reasoning") else None
    if enabled is False:
        return Reasoning(off=True, shown=shown)
    if effort is None and budget is None and enabled is None and shown is None:
        return None
    adaptive = effort is None and budget is None and enabled is True
    return Reasoning(effort=effort, budget_tokens=budget, adaptive=adaptive, shown=shown)


def _effort(members: dict[str, Any], name: str, path: str = "") -> Effort | None:
    return None if members.get(name) == "default" else one_of(members, name, EFFORTS, path)

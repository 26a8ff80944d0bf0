"""Gemini's requests, read into the neutral form; how they are written is in `writing.py`.

What surprised us: `VALIDATED` with names of functions is the only way to say that some of them may be called and none
must. A member that is unknown inside another goes into `extra` under its path, so that it is named when it is lost.
"""

from collections.abc import Mapping
from typing import Any

from farthing.errors import InvalidRequest
from farthing.types.chat import AnswerShape, ChatRequest, Effort, Reasoning, ServerTool, Tool, ToolChoice
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.gemini.contents import Conversation, objects_of
from farthing.wire.translators.gemini.names import camel
from farthing.wire.translators.gemini.schemas import json_schema
from farthing.wire.translators.reading import (
    Body,
    as_json,
    extras,
    flag_at,
    needed_text,
    number_at,
    object_at,
    refuse,
    request_members,
    text_at,
    whole_at,
)

_KNOWN = ("contents", "generationConfig", "model", "serviceTier", "systemInstruction", "toolConfig", "tools")
_MODES: Mapping[object, str | None] = {
    "MODE_UNSPECIFIED": None,
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "validated",
    0: None,
    1: "auto",
    2: "required",
    3: "none",
    4: "validated",
}
_LEVELS: Mapping[object, Effort | None] = {
    "THINKING_LEVEL_UNSPECIFIED": None,
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_CONFIGURED = (
    *("temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "candidateCount", "seed"),
    *("presencePenalty", "frequencyPenalty", "responseMimeType", "responseSchema", "responseJsonSchema"),
    *("responseLogprobs", "logprobs", "thinkingConfig"),
)
_TEXT_ALONE: tuple[list[Any], ...] = (["TEXT"], ["MODALITY_UNSPECIFIED"], [1], [])


def read_request(body: Body, *, model: str, streamed: bool) -> ChatRequest:
    """See `Translator.read_request`. What is to be counted may be wrapped in a `generateContentRequest`."""
    members = camel(request_members(body))
    if "contents" not in members and (wrapped := object_at(members, "generateContentRequest")) is not None:
        members = camel(wrapped)
    try:
        return _request(members, model, streamed=streamed)
    except UNREADABLE:
        raise InvalidRequest(
            "the request is nested too deeply, or holds numbers that no JSON can say", hint="send plain JSON"
        ) from None


def _request(members: dict[str, Any], model: str, *, streamed: bool) -> ChatRequest:
    extra = extras(members, _KNOWN)
    conversation = Conversation(extra)
    conversation.take_system(members.get("systemInstruction"))
    contents = objects_of(members, "contents")
    if not contents:
        refuse("contents", members.get("contents"), 'a list like [{"role": "user", "parts": [{"text": "..."}]}]')
    for at, content in enumerate(contents):
        conversation.take(content, f"contents[{at}]")
    tools, server_tools = _tools(members, extra)
    tier = text_at(members, "serviceTier")
    return ChatRequest(
        origin="gemini",
        model=model,
        messages=tuple(conversation.messages),
        tools=tools,
        server_tools=server_tools,
        tool_choice=_tool_choice(members, extra),
        service_tier=tier.lower() if tier else None,
        server_state="cachedContent" if "cachedContent" in extra else None,
        streamed=streamed,
        extra=extra,
        **_configured(members, extra),
    )


def _tools(members: dict[str, Any], extra: dict[str, bytes]) -> tuple[tuple[Tool, ...], tuple[ServerTool, ...]]:
    tools: list[Tool] = []
    server_tools: list[ServerTool] = []
    for at, given in enumerate(objects_of(members, "tools")):
        for name, value in camel(given).items():
            if name == "functionDeclarations":
                declared = objects_of({name: value}, name, f"tools[{at}]")
                tools += [
                    _tool(one, f"tools[{at}].functionDeclarations[{place}]", extra)
                    for place, one in enumerate(declared)
                ]
            elif value is not None:
                server_tools.append(ServerTool("gemini", name, as_json({name: value})))
    return tuple(tools), tuple(server_tools)


def _tool(declared: dict[str, Any], path: str, extra: dict[str, bytes]) -> Tool:
    declared = camel(declared)
    for name, value in declared.items():
        if name not in ("name", "description", "parameters", "parametersJsonSchema") and value is not None:
            extra.setdefault(f"tools.functionDeclarations.{name}", as_json(value))
    schema = declared.get("parametersJsonSchema")
    if schema is None:
        dialect = object_at(declared, "parameters", path)
        schema = None if dialect is None else json_schema(dialect, f"{path}.parameters")
    elif not isinstance(schema, dict):
        refuse(f"{path}.parametersJsonSchema", schema, "a JSON schema, which is an object")
    return Tool(
        name=needed_text(declared, "name", path),
        description=text_at(declared, "description", path),
        parameters=None if schema is None else as_json(schema),
    )


def _tool_choice(members: dict[str, Any], extra: dict[str, bytes]) -> ToolChoice | None:
    config = camel(object_at(members, "toolConfig") or {})
    _keep(config, ("functionCallingConfig",), "toolConfig", extra)
    path = "toolConfig.functionCallingConfig"
    calling = camel(object_at(config, "functionCallingConfig", "toolConfig") or {})
    _keep(calling, ("mode", "allowedFunctionNames"), path, extra)
    given = calling.get("mode")
    if isinstance(given, str):
        given = given.upper()
    if given is None:
        mode = None
    elif isinstance(given, str | int) and given in _MODES:
        mode = _MODES[given]
    else:
        refuse(f"{path}.mode", given, 'one of "AUTO", "ANY", "NONE", "VALIDATED"')
    named = _texts(calling, "allowedFunctionNames", path)
    if mode == "validated" and not named:
        extra[f"{path}.mode"] = b'"VALIDATED"'  # that arguments are held to their schema
    match mode:
        case "required":
            return ToolChoice("required", named)
        case "none":
            return ToolChoice("none")
        case "auto" | "validated":
            return ToolChoice("auto", named)
        case _:
            return ToolChoice("auto", named) if named else None


def _configured(members: dict[str, Any], extra: dict[str, bytes]) -> dict[str, Any]:
    path = "generationConfig"
    config = camel(object_at(members, path) or {})
    if config.get("responseModalities") in _TEXT_ALONE:
        _keep(config, (*_CONFIGURED, "responseModalities"), path, extra)
    else:
        _keep(config, _CONFIGURED, path, extra)
    return {
        "max_output_tokens": whole_at(config, "maxOutputTokens", path),
        "temperature": number_at(config, "temperature", path),
        "top_p": number_at(config, "topP", path),
        "top_k": whole_at(config, "topK", path),
        "presence_penalty": number_at(config, "presencePenalty", path, least=-2, most=2),
        "frequency_penalty": number_at(config, "frequencyPenalty", path, least=-2, most=2),
        "stop": _texts(config, "stopSequences", path),
        "seed": whole_at(config, "seed", path, least=-(1 << 31)),
        "n": whole_at(config, "candidateCount", path, least=1),
        "logprobs": flag_at(config, "responseLogprobs", path) or False,
        "top_logprobs": whole_at(config, "logprobs", path),
        "shape": _shape(config, extra),
        "reasoning": _reasoning(config, extra),
    }


def _shape(config: dict[str, Any], extra: dict[str, bytes]) -> AnswerShape | None:
    path = "generationConfig"
    media_type = text_at(config, "responseMimeType", path)
    schema = object_at(config, "responseJsonSchema", path)
    if schema is None:
        dialect = object_at(config, "responseSchema", path)
        schema = None if dialect is None else json_schema(dialect, f"{path}.responseSchema")
    if media_type in (None, "", "text/plain", "application/json"):
        if schema is not None:
            return AnswerShape(as_json(schema))
        return AnswerShape() if media_type == "application/json" else None
    extra[f"{path}.responseMimeType"] = as_json(media_type)  # `text/x.enum`: one word of several
    if schema is not None:
        extra[f"{path}.responseSchema"] = as_json(schema)
    return None


def _reasoning(config: dict[str, Any], extra: dict[str, bytes]) -> Reasoning | None:
    path = "generationConfig.thinkingConfig"
    thinking = object_at(config, "thinkingConfig", "generationConfig")
    if thinking is None:
        return None
    thinking = camel(thinking)
    _keep(thinking, ("includeThoughts", "thinkingBudget", "thinkingLevel"), path, extra)
    level = text_at(thinking, "thinkingLevel", path)
    if level is not None and level.upper() not in _LEVELS:
        refuse(f"{path}.thinkingLevel", level, 'one of "MINIMAL", "LOW", "MEDIUM", "HIGH"')
    budget = whole_at(thinking, "thinkingBudget", path, least=-1)
    return Reasoning(
        effort=None if level is None else _LEVELS[level.upper()],
        budget_tokens=budget if budget is not None and budget > 0 else None,
        adaptive=budget == -1,
        off=budget == 0,
        shown=flag_at(thinking, "includeThoughts", path) or False,
    )


def _texts(members: dict[str, Any], name: str, path: str) -> tuple[str, ...]:
    given = members.get(name)
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, list):
        refuse(f"{path}.{name}", given, "a list of texts")
    for at, text in enumerate(given):
        if not isinstance(text, str):
            refuse(f"{path}.{name}[{at}]", text, "a text")
    return tuple(given)


def _keep(members: dict[str, Any], known: tuple[str, ...], path: str, extra: dict[str, bytes]) -> None:
    for name, value in members.items():
        if name not in known and value is not None:
            extra[f"{path}.{name}"] = as_json(value)

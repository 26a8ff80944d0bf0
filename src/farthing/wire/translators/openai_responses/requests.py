"""Read a request for a response.

Left out without a word, because it is the default or says nothing to another provider: `background: false`,
`truncation: "disabled"`, `service_tier: "auto"`, `prompt_cache_retention: "in_memory"`, and
`stream_options.include_obfuscation`. Turns that the provider keeps cannot be had elsewhere: their members go to
`extra`, and the first of them is named in `server_state`.
"""

from typing import Any, get_args

from farthing.types.chat import AnswerShape, ChatRequest, Effort, Reasoning
from farthing.wire.translators.openai_responses.input_items import read_turns
from farthing.wire.translators.openai_responses.tools import WIRE, is_foreign, read_choice, read_tools
from farthing.wire.translators.openai_responses.unknown import note_unknown
from farthing.wire.translators.reading import (
    Body,
    as_json,
    extras,
    flag_at,
    needed_text,
    number_at,
    object_at,
    one_of,
    refuse,
    request_members,
    text_at,
    whole_at,
)

SEALS = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
_EFFORTS: dict[str, Effort] = {effort: effort for effort in get_args(Effort)}
_KEPT_BY_PROVIDER = ("previous_response_id", "conversation", "prompt", "background")
_KNOWN = frozenset(
    {
        "model",
        "stream",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_logprobs",
        "include",
        "store",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "service_tier",
        "stream_options",
    }
)
_DEFAULTS = {"truncation": "disabled", "prompt_cache_retention": "in_memory", "background": False}


def read_request(body: Body, *, model: str, streamed: bool) -> ChatRequest:
    """See `Translator.read_request`."""
    members = request_members(body)
    try:
        return _read(members, model, streamed=streamed)
    except (OverflowError, RecursionError):
        refuse("the body", "...", "numbers and a nesting that JSON readers take")


def _read(members: dict[str, Any], model: str, *, streamed: bool) -> ChatRequest:
    extra = _extra(members)
    kept = next((name for name in _KEPT_BY_PROVIDER if name in extra), None)
    include = _include(members, extra)
    shape, verbosity = _text(members, extra)
    tools = read_tools(members)
    if is_foreign(members.get("tool_choice")):
        extra["tool_choice"] = as_json(members["tool_choice"])
    top_logprobs = whole_at(members, "top_logprobs")
    logprobs = LOGPROBS in include or bool(top_logprobs)
    metadata = object_at(members, "metadata")
    tier = text_at(members, "service_tier")
    return ChatRequest(
        origin=WIRE,
        model=model,
        messages=read_turns(members, needed=kept is None),
        tools=tools.own,
        server_tools=tools.of_server,
        tool_choice=read_choice(members),
        parallel_tool_calls=flag_at(members, "parallel_tool_calls"),
        shape=shape,
        verbosity=verbosity,
        reasoning=_reasoning(members, extra),
        max_output_tokens=whole_at(members, "max_output_tokens", least=1),
        temperature=number_at(members, "temperature", most=2),
        top_p=number_at(members, "top_p", most=1),
        logprobs=logprobs,
        top_logprobs=top_logprobs if logprobs else None,
        service_tier=None if tier == "auto" else tier,
        user=_user(members, extra),
        metadata=as_json(metadata) if metadata else None,
        prompt_cache_key=text_at(members, "prompt_cache_key"),
        store=flag_at(members, "store"),
        server_state=kept,
        seals_asked=SEALS in include,
        streamed=streamed,
        extra=extra,
    )


def _extra(members: dict[str, Any]) -> dict[str, bytes]:
    extra = extras(members, _KNOWN)
    for name, default in _DEFAULTS.items():
        if name in extra and members[name] == default:
            del extra[name]
    options = object_at(members, "stream_options") or {}
    for name, value in extras(options, ("include_obfuscation",)).items():
        extra[f"stream_options.{name}"] = value
    note_unknown(members, extra)
    return extra


def _include(members: dict[str, Any], extra: dict[str, bytes]) -> frozenset[str]:
    include = members.get("include")
    if include is None:
        return frozenset()
    if not isinstance(include, list) or not all(isinstance(name, str) for name in include):
        refuse("include", include, "a list of texts")
    found = frozenset(include)
    if others := sorted(found - {SEALS, LOGPROBS}):
        extra["include"] = as_json(others)
    return found


def _text(members: dict[str, Any], extra: dict[str, bytes]) -> tuple[AnswerShape | None, str | None]:
    text = object_at(members, "text") or {}
    for name, value in extras(text, ("format", "verbosity")).items():
        extra[f"text.{name}"] = value
    verbosity = text_at(text, "verbosity", "text")
    shape = object_at(text, "format", "text")
    if shape is None:
        return None, verbosity
    path = "text.format"
    kind = shape.get("type")
    if kind == "json_schema":
        schema = object_at(shape, "schema", path)
        if schema is None:
            refuse(f"{path}.schema", None, "a JSON schema")
        name, description = needed_text(shape, "name", path), text_at(shape, "description", path)
        return AnswerShape(as_json(schema), name, description, flag_at(shape, "strict", path)), verbosity
    if kind == "json_object":
        return AnswerShape(), verbosity
    if kind != "text":
        refuse(f"{path}.type", kind, 'one of "text", "json_object", "json_schema"')
    return None, verbosity


def _reasoning(members: dict[str, Any], extra: dict[str, bytes]) -> Reasoning | None:
    reasoning = object_at(members, "reasoning") or {}
    for name, value in extras(reasoning, ("effort", "summary", "generate_summary")).items():
        extra[f"reasoning.{name}"] = value
    effort = one_of(reasoning, "effort", _EFFORTS, "reasoning")
    summary = text_at(reasoning, "summary", "reasoning") or text_at(reasoning, "generate_summary", "reasoning")
    if effort is None and not summary:
        return None
    return Reasoning(effort=effort, shown=True if summary else None, summary=summary or None)


def _user(members: dict[str, Any], extra: dict[str, bytes]) -> str | None:
    user, identifier = text_at(members, "user"), text_at(members, "safety_identifier")
    if user is not None and identifier is not None and user != identifier:
        extra["safety_identifier"] = as_json(identifier)
    return user if user is not None else identifier

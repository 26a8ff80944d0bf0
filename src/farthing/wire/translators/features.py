"""What a request or an answer may have that not every format can carry, and what it means to lose it.

A format declares what it carries; what a pair loses is the difference, and what one request loses is that difference
among what it really uses (`used_by`). Losing what `changes_meaning` makes another request of it; the rest is advice,
comfort or money.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

import msgspec

from farthing.types.chat import (
    Audio,
    ChatRequest,
    Document,
    Filed,
    Foreign,
    Image,
    Linked,
    Message,
    Part,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
)
from farthing.types.features import Feature
from farthing.types.providers import WireFormat

__all__ = ["Feature", "Used", "lost", "thoughts_of_others", "used_by"]


class Used(msgspec.Struct, frozen=True, gc=False):
    """A feature that a request uses, and where: a path in the neutral form, or the member's own name."""

    feature: Feature
    field: str


def used_by(request: ChatRequest) -> list[Used]:
    """Return every feature that a request uses, each once, where it is used first; of what has names, every name."""
    found: dict[tuple[Feature, str], Used] = {}
    for used in _walk(request):
        named = used.field if used.feature in _NAMED else ""
        found.setdefault((used.feature, named), used)
    return list(found.values())


def _walk(request: ChatRequest) -> Iterator[Used]:
    yield from _members(request)
    yield from _tools(request)
    began = False
    for at, message in enumerate(request.messages):
        if message.role == "system" and began:
            yield Used(Feature.LATE_SYSTEM, f"messages[{at}]")
        began = began or message.role != "system"
        content = message.content
        if message.name is not None or len(content) != 1 or not _is_plain(content[0]):
            yield from _message(message, at)  # nearly all others are a text, which everything can carry
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role == "assistant" and not request.raw_prompt:
        yield Used(Feature.PREFILL, f"messages[{len(request.messages) - 1}]")


def _is_plain(part: Part) -> bool:
    return type(part) is Text and part.cached is None and not part.citations


def _members(request: ChatRequest) -> Iterator[Used]:
    for feature, field in _SIMPLE.items():
        value = getattr(request, field)
        # What is false is not asked for; but calls are parallel unless that is false.
        if value is None or value is (feature is Feature.PARALLEL_TOOL_CALLS):
            continue
        if value not in ((), ""):  # a temperature of 0 says something
            yield Used(feature, value if feature is Feature.SERVER_STATE else field)  # it is the member's own name
    if request.temperature is not None and request.temperature > 1:
        yield Used(Feature.HIGH_TEMPERATURE, "temperature")
    if request.n is not None and request.n > 1:
        yield Used(Feature.SEVERAL, "n")
    if len(request.stop) > 4:
        yield Used(Feature.MANY_STOPS, "stop")
    if request.presence_penalty or request.frequency_penalty:
        yield Used(Feature.PENALTIES, "presence_penalty" if request.presence_penalty else "frequency_penalty")
    reasoning, shape = request.reasoning, request.shape
    if reasoning is not None:
        yield Used(Feature.REASONING, "reasoning")
        if reasoning.budget_tokens is not None:
            yield Used(Feature.REASONING_BUDGET, "reasoning.budget_tokens")
    if shape is not None:
        yield Used(Feature.JSON_OBJECT if shape.schema is None else Feature.JSON_SCHEMA, "shape")
        if shape.name is not None or shape.description is not None:
            yield Used(Feature.SCHEMA_NAME, "shape.name")
        if shape.strict is not None:
            yield Used(Feature.STRICT_SCHEMA, "shape.strict")
    for name in request.extra:
        yield Used(Feature.UNKNOWN_FIELDS, name)


def _tools(request: ChatRequest) -> Iterator[Used]:
    for at, tool in enumerate(request.tools):
        where = f"tools[{at}]"
        yield Used(Feature.TOOLS, where)
        if tool.strict is not None:
            yield Used(Feature.STRICT_TOOLS, f"{where}.strict")
        if tool.custom:
            yield Used(Feature.CUSTOM_TOOLS, where)
        if tool.grammar is not None:
            yield Used(Feature.TOOL_GRAMMAR, f"{where}.grammar")
        if tool.namespace is not None:
            yield Used(Feature.TOOL_NAMESPACES, where)
        if tool.cached is not None:
            yield Used(Feature.CACHE_MARKS, where)
    for at, server_tool in enumerate(request.server_tools):
        yield Used(Feature.SERVER_TOOLS, f"server_tools[{at}] ({server_tool.kind})")
    choice = request.tool_choice
    if choice is not None and choice.mode == "required":
        yield Used(Feature.TOOL_CHOICE, "tool_choice")
    if choice is not None and (len(choice.named) > 1 or (choice.named and choice.mode != "required")):
        yield Used(Feature.ALLOWED_TOOLS, "tool_choice")


def _message(message: Message, number: int) -> Iterator[Used]:
    if message.name is not None:
        yield Used(Feature.MESSAGE_NAME, f"messages[{number}].name")
    for at, part in enumerate(message.content):
        if _is_plain(part):
            continue  # nearly all are, and everything can carry them
        where = f"messages[{number}].content[{at}]"
        if isinstance(part, Text) and part.citations:
            yield Used(Feature.CITATIONS_HISTORY, where)
        if isinstance(part, Foreign) and message.role == "assistant":
            yield Used(Feature.FOREIGN_HISTORY, f"{where} ({part.kind})")
        else:
            yield from _part(part, where)


def _part(part: Part, where: str) -> Iterator[Used]:
    match part:
        case Text() | ToolCall() | Refusal():
            pass
        case Image():
            yield Used(Feature.IMAGES, where)
            yield from _source(part.source, Feature.LINKED_IMAGES, where)
            if part.detail not in (None, "auto"):
                yield Used(Feature.IMAGE_DETAIL, where)
        case Document():
            yield Used(Feature.DOCUMENTS, where)
            yield from _source(part.source, Feature.LINKED_DOCUMENTS, where)
            if part.name is not None:
                yield Used(Feature.DOCUMENT_NAME, where)
            if part.context is not None:
                yield Used(Feature.DOCUMENT_CONTEXT, where)
            if part.cited:
                yield Used(Feature.CITED, where)
        case Audio():
            yield from _audio(part, where)
        case Video():
            yield Used(Feature.VIDEO, where)
            yield from _source(part.source, Feature.VIDEO, where)
        case Thinking():
            yield Used(Feature.THINKING_HISTORY, where)
        case ToolResult():
            yield from _result(part, where)
        case Foreign():
            yield Used(Feature.FOREIGN_PARTS, f"{where} ({part.kind})")
        case _:
            assert_never(part)
    if not isinstance(part, Audio | Video | Thinking | Refusal | Foreign) and part.cached is not None:
        yield Used(Feature.CACHE_MARKS, where)


def _result(part: ToolResult, where: str) -> Iterator[Used]:
    if part.is_error:
        yield Used(Feature.TOOL_ERRORS, where)
    for at, piece in enumerate(part.content):
        if isinstance(piece, Image):
            yield Used(Feature.TOOL_IMAGES, f"{where}.content[{at}]")
        yield from _part(piece, f"{where}.content[{at}]")


def _audio(part: Audio, where: str) -> Iterator[Used]:
    yield Used(Feature.AUDIO, where)
    if part.source is not None:
        yield from _source(part.source, Feature.LINKED_AUDIO, where)
    elif not part.transcript:
        yield Used(Feature.FILES, where)  # a former answer's, which its provider alone has


def _source(source: Source, linked: Feature, where: str) -> Iterator[Used]:
    match source:
        case Linked():
            yield Used(linked, where)
        case Filed():
            yield Used(Feature.FILES, where)
        case _:
            pass


_NAMED = frozenset({Feature.UNKNOWN_FIELDS, Feature.SERVER_TOOLS})
"""What is told one by one, because each is something else."""

_SIMPLE: Mapping[Feature, str] = {
    Feature.MAX_OUTPUT_TOKENS: "max_output_tokens",
    Feature.TEMPERATURE: "temperature",
    Feature.TOP_P: "top_p",
    Feature.TOP_K: "top_k",
    Feature.SEED: "seed",
    Feature.LOGIT_BIAS: "logit_bias",
    Feature.STOP: "stop",
    Feature.LOGPROBS: "logprobs",
    Feature.VERBOSITY: "verbosity",
    Feature.SERVICE_TIER: "service_tier",
    Feature.USER: "user",
    Feature.METADATA: "metadata",
    Feature.PROMPT_CACHE_KEY: "prompt_cache_key",
    Feature.CACHE_MARKS: "cached",
    Feature.STORE: "store",
    Feature.SERVER_STATE: "server_state",
    Feature.SUFFIX: "suffix",
    Feature.ECHO: "echo",
    Feature.RAW_PROMPT: "raw_prompt",
    Feature.CONTEXT_TOKENS: "context_tokens",
    Feature.PARALLEL_TOOL_CALLS: "parallel_tool_calls",
}


def thoughts_of_others(request: ChatRequest, wire: WireFormat) -> list[Used]:
    """Return the first thought in the history that no provider of `wire` has sealed: those it has no use for."""
    for at, message in enumerate(request.messages):
        if message.role != "assistant":
            continue
        for number, part in enumerate(message.content):
            if type(part) is Thinking and (part.signature is None or part.signature.origin != wire):
                return [Used(Feature.THINKING_HISTORY, f"messages[{at}].content[{number}]")]
    return []


def lost(used: Iterable[Used], carried: frozenset[Feature]) -> list[Used]:
    """Return what of a request is lost in a format that carries so much."""
    return [use for use in used if use.feature not in carried]

"""What a request or an answer may have that not every format can carry, and what it means to lose it.

A format declares what it carries; what a pair loses is the difference, and what one request loses is that difference
among what it really uses (`used_by`). Losing what `changes_meaning` makes another request of it; the rest is advice,
comfort or money.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
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


class Feature(Enum):
    """Something that a format may not be able to carry: its name, whether losing it changes meaning, and in words."""

    # messages
    LATE_SYSTEM = "late_system", False, "a system message after the first turn keeps its place as such"
    MESSAGE_NAME = "message_name", False, "the name of a participant"
    PREFILL = "prefill", True, "a last message of the assistant that the answer continues"
    IMAGES = "images", True, "pictures"
    LINKED_IMAGES = "linked_images", True, "pictures given by their address"
    IMAGE_DETAIL = "image_detail", False, "how closely a picture is to be looked at"
    DOCUMENTS = "documents", True, "documents such as PDF"
    LINKED_DOCUMENTS = "linked_documents", True, "documents given by their address"
    DOCUMENT_CONTEXT = "document_context", False, "what is said about a document beside it"
    AUDIO = "audio", True, "sound to hear"
    VIDEO = "video", True, "films to look at"
    FILES = "files", True, "files that were uploaded to another provider"
    CITED = "cited", False, "documents that are to be cited"
    FOREIGN_PARTS = "foreign_parts", True, "parts of messages that only one format knows"
    CACHE_MARKS = "cache_marks", False, "marks of what is to stay in the provider's prompt cache"
    # thinking
    REASONING = "reasoning", False, "how much the model is to think"
    REASONING_BUDGET = "reasoning_budget", False, "a budget of thinking in tokens, rather than an effort"
    THINKING_HISTORY = "thinking_history", False, "what was thought in earlier turns"
    # tools
    TOOLS = "tools", True, "tools that the client runs"
    STRICT_TOOLS = "strict_tools", False, "arguments that are held to their schema strictly"
    CUSTOM_TOOLS = "custom_tools", False, "tools that take text; elsewhere they take an object with that text"
    TOOL_GRAMMAR = "tool_grammar", False, "the grammar of a tool's text"
    TOOL_NAMESPACES = "tool_namespaces", False, "tools in namespaces; elsewhere the namespace is part of the name"
    SERVER_TOOLS = "server_tools", False, "tools that the provider runs"
    TOOL_CHOICE = "tool_choice", True, "that a tool must be called"
    ALLOWED_TOOLS = "allowed_tools", True, "which of the tools may be called"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls", False, "whether several tools may be called at once"
    TOOL_ERRORS = "tool_errors", False, "that a tool's result is an error; elsewhere its text says so"
    TOOL_IMAGES = "tool_images", False, "pictures in a tool's result; elsewhere they follow in a message of the user"
    # the answer that is wanted
    JSON_OBJECT = "json_object", True, "an answer that is any JSON object"
    JSON_SCHEMA = "json_schema", True, "an answer of a JSON schema"
    STRICT_SCHEMA = "strict_schema", False, "whether an answer is held to its schema strictly"
    SEVERAL = "several", True, "several answers at once (n)"
    LOGPROBS = "logprobs", True, "log probabilities"
    STOP = "stop", True, "stop sequences"
    MANY_STOPS = "many_stops", True, "more than four stop sequences"
    SUFFIX = "suffix", True, "a text that follows the answer"
    ECHO = "echo", True, "the prompt repeated before the answer"
    RAW_PROMPT = "raw_prompt", False, "a text to be continued; elsewhere it is a message of the user"
    VERBOSITY = "verbosity", False, "how wordy the answer is to be"
    MAX_OUTPUT_TOKENS = "max_output_tokens", True, "the longest answer"
    # sampling
    TEMPERATURE = "temperature", False, "the temperature"
    HIGH_TEMPERATURE = "high_temperature", False, "a temperature above 1; elsewhere 1 is the highest"
    TOP_P = "top_p", False, "nucleus sampling"
    TOP_K = "top_k", False, "sampling among the likeliest k"
    PENALTIES = "penalties", False, "penalties for what was said before"
    SEED = "seed", False, "a seed"
    LOGIT_BIAS = "logit_bias", False, "a bias for some tokens"
    # what goes with it
    SERVICE_TIER = "service_tier", False, "the tier of service"
    USER = "user", False, "the user's name"
    METADATA = "metadata", False, "metadata to be kept with the answer"
    PROMPT_CACHE_KEY = "prompt_cache_key", False, "a key for the provider's prompt cache"
    STORE = "store", False, "whether the provider keeps the answer"
    SERVER_STATE = "server_state", True, "turns that the provider keeps"
    CONTEXT_TOKENS = "context_tokens", False, "the size of the context to make room for"
    UNKNOWN_FIELDS = "unknown_fields", False, "members that only one format knows"
    # embeddings
    TOKEN_INPUT = "token_input", True, "a text to embed as numbers of tokens"
    TASK_TYPE = "task_type", False, "what a vector is for"
    TITLE = "title", False, "the title of the document that a text to embed is from"
    TRUNCATE = "truncate", False, "whether a text to embed may be cut where it is too long"

    def __init__(self, label: str, changes_meaning: bool, words: str) -> None:  # noqa: FBT001 - an enum's value has no names
        self.label = label
        self.changes_meaning = changes_meaning
        self.words = words


class Used(msgspec.Struct, frozen=True, gc=False):
    """A feature that a request uses, and where: a path in the neutral form, or the member's own name."""

    feature: Feature
    field: str


def used_by(request: ChatRequest) -> list[Used]:
    """Return every feature that a request uses, each once, where it is used first."""
    found: dict[tuple[Feature, str], Used] = {}
    for used in _walk(request):
        named = used.field if used.feature is Feature.UNKNOWN_FIELDS else ""
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
        yield from _message(message, f"messages[{at}]")
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role == "assistant" and not request.raw_prompt:
        yield Used(Feature.PREFILL, f"messages[{len(request.messages) - 1}]")


def _members(request: ChatRequest) -> Iterator[Used]:
    for feature, field in _SIMPLE.items():
        if getattr(request, field) not in (None, False, (), ""):
            yield Used(feature, field)
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


def _message(message: Message, where: str) -> Iterator[Used]:
    if message.name is not None:
        yield Used(Feature.MESSAGE_NAME, f"{where}.name")
    for at, part in enumerate(message.content):
        yield from _part(part, f"{where}.content[{at}]")


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
            if part.context is not None:
                yield Used(Feature.DOCUMENT_CONTEXT, where)
            if part.cited:
                yield Used(Feature.CITED, where)
        case Audio():
            yield Used(Feature.AUDIO, where)
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


def _source(source: Source, linked: Feature, where: str) -> Iterator[Used]:
    match source:
        case Linked():
            yield Used(linked, where)
        case Filed():
            yield Used(Feature.FILES, where)
        case _:
            pass


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


def lost(used: Iterable[Used], carried: frozenset[Feature]) -> list[Used]:
    """Return what of a request is lost in a format that carries so much."""
    return [use for use in used if use.feature not in carried]

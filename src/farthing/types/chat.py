"""A chat in no format of its own: what every wire format is decoded into, and encoded from.

A request is messages of parts; an answer is choices of parts; a stream is events that build such an answer part by
part. What only one format knows travels as `Foreign`, so that it can go back to that format and be named a loss
everywhere else. Which format can carry what is declared in `farthing.wire.translators`.

None of these can be part of a cycle, so the collector need not look at them (`gc=False`). Arguments of a call, schemas
of tools and of answers are JSON as text or bytes: nobody here looks into them.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from farthing.types.providers import WireFormat
from farthing.types.usage import Usage

# ---- parts


class Signature(msgspec.Struct, frozen=True, gc=False):
    """A provider's seal on what it produced; `origin` is the format whose providers can read it."""

    origin: WireFormat
    value: str


class Inline(msgspec.Struct, frozen=True, tag="inline", gc=False):
    """Bytes in the request itself, as base64 text; `media_type` is like `image/png`."""

    media_type: str
    data: str


class Linked(msgspec.Struct, frozen=True, tag="linked", gc=False):
    """Something that the provider fetches; we never do."""

    url: str
    media_type: str | None = None


class Filed(msgspec.Struct, frozen=True, tag="filed", gc=False):
    """A file that was uploaded to the provider that `origin` is the format of: nobody else has it."""

    origin: WireFormat
    id: str
    media_type: str | None = None


Source = Inline | Linked | Filed


class Cached(msgspec.Struct, frozen=True, gc=False):
    """A client's mark: what stands up to here is to be kept in the provider's prompt cache, for so long."""

    ttl: Literal["5m", "1h"] = "5m"


class Citation(msgspec.Struct, frozen=True, gc=False):
    """Where a piece of an answer comes from; `raw` is the whole of it in its format, as JSON."""

    origin: WireFormat
    raw: bytes
    url: str | None = None
    title: str | None = None
    start: int | None = None
    """The first character of the text that it supports; `end` is behind the last."""
    end: int | None = None


class Text(msgspec.Struct, frozen=True, tag="text", gc=False):
    """Something said."""

    text: str
    cached: Cached | None = None
    citations: tuple[Citation, ...] = ()
    signature: Signature | None = None


class Image(msgspec.Struct, frozen=True, tag="image", gc=False):
    """A picture, shown to a model or made by one."""

    source: Source
    detail: str | None = None
    cached: Cached | None = None


class Document(msgspec.Struct, frozen=True, tag="document", gc=False):
    """A file to read: PDF, or plain text where `media_type` is `text/plain` (then `data` is base64 as well)."""

    source: Source
    name: str | None = None
    context: str | None = None
    cited: bool = False
    """Whether the answer is to cite it."""
    cached: Cached | None = None


class Audio(msgspec.Struct, frozen=True, tag="audio", gc=False):
    """Sound; `transcript` is what is said in it, where that is known. `id` is a former answer's, kept by OpenAI."""

    source: Source | None = None
    transcript: str | None = None
    id: str | None = None


class Video(msgspec.Struct, frozen=True, tag="video", gc=False):
    """A film to look at."""

    source: Source


class Thinking(msgspec.Struct, frozen=True, tag="thinking", gc=False):
    """What a model thought, in full or as its provider sums it up.

    `signature` seals it: Anthropic's signature, Gemini's thought signature, OpenAI's encrypted content. Where
    `redacted` is set there is no text and the signature is all (Anthropic's `redacted_thinking`). `id` is the item's at
    OpenAI.
    """

    text: str
    signature: Signature | None = None
    redacted: bool = False
    id: str | None = None


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call", gc=False):
    """A model's wish to have a tool called.

    `arguments` is JSON text, an object; for a `custom` tool it is the plain text that the tool is given. `id` is never
    empty: where a provider has none, its decoder makes one. `namespace` is Codex's.
    """

    id: str
    name: str
    arguments: str
    custom: bool = False
    namespace: str | None = None
    signature: Signature | None = None
    cached: Cached | None = None


class Refusal(msgspec.Struct, frozen=True, tag="refusal", gc=False):
    """A model's refusal, where the format tells it apart from text."""

    text: str


class Foreign(msgspec.Struct, frozen=True, tag="foreign", gc=False):
    """A part that only its own format knows, as JSON: server tools and their results, computer use, executable code."""

    origin: WireFormat
    kind: str
    raw: bytes


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result", gc=False):
    """What a tool gave. `name` is the tool's, found by the call's id where the format leaves it out."""

    call_id: str
    content: tuple["Text | Image | Document | Audio | Foreign", ...]
    name: str | None = None
    is_error: bool = False
    custom: bool = False
    cached: Cached | None = None


Part = Text | Image | Document | Audio | Video | Thinking | ToolCall | ToolResult | Refusal | Foreign

# ---- requests

Role = Literal["system", "user", "assistant", "tool"]
"""`developer` is `system`: the formats that know both take one for the other. Only messages of `tool` hold results."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn, or a part of one: formats that want turns to alternate join neighbours of one role."""

    role: Role
    content: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True, gc=False):
    """A tool that the client runs. `parameters` is a JSON schema; a `custom` tool takes text, maybe of a `grammar`.

    A grammar is JSON: an object with `syntax` (`lark`, `regex`) and `definition`.
    """

    name: str
    description: str | None = None
    parameters: bytes | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: bytes | None = None
    namespace: str | None = None
    cached: Cached | None = None
    namespace_description: str | None = None


class ServerTool(msgspec.Struct, frozen=True, gc=False):
    """A tool that the provider runs; only its own format knows how (`raw` is its declaration)."""

    origin: WireFormat
    kind: str
    raw: bytes


class ToolChoice(msgspec.Struct, frozen=True, gc=False):
    """`named` holds the tools allowed: one with `required` is OpenAI's named choice; empty means any of them."""

    mode: Literal["auto", "none", "required"]
    named: tuple[str, ...] = ()


class AnswerShape(msgspec.Struct, frozen=True, gc=False):
    """What the answer has to be: any JSON object (no schema), or JSON of a schema, held to strictly or loosely."""

    schema: bytes | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """How much to think: by `effort`, by a budget in tokens, as the model sees fit (`adaptive`), or not at all (`off`).

    `shown` says whether the client is to see it: `False` hides it, `True` asks for it or for its summary, `None` leaves
    it to the format; `summary` is OpenAI's kind of one.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    adaptive: bool = False
    off: bool = False
    shown: bool | None = None
    summary: str | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a client asks of a model. `None` means that it did not say; `extra` holds what only its format knows.

    `extra` are top-level members by name, as JSON, of `origin`'s format. `cached` is a mark on the whole request.
    """

    origin: WireFormat
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    server_tools: tuple[ServerTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    shape: AnswerShape | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    logit_bias: bytes | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    user: str | None = None
    metadata: bytes | None = None
    prompt_cache_key: str | None = None
    cached: Cached | None = None
    store: bool | None = None
    server_state: str | None = None
    """The member that names turns which only the provider keeps (`previous_response_id`, ...); see `extra`."""
    seals_asked: bool = False
    """Whether a client of OpenAI responses wants what it can give back of the thoughts (encrypted content)."""
    suffix: str | None = None
    echo: bool = False
    raw_prompt: bool = False
    """A text to be continued rather than a conversation to be answered (legacy completions, Ollama's generate)."""
    streamed: bool = False
    usage_in_stream: bool = False
    """Whether a chat completion's stream is to tell usage; other formats always do."""
    legacy_functions: bool = False
    """Whether a chat completion's client knows `functions` only, and wants its calls as `function_call`."""
    context_tokens: int | None = None
    """The context that Ollama is to make room for, where the client or the gateway says so."""
    extra: Mapping[str, bytes] = msgspec.field(default_factory=dict)


# ---- answers

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "error"]
"""`stop` is the end of a turn or a stop sequence (`stop_sequence` of a choice says which); `pause` is Anthropic's
`pause_turn`; `refusal` a model's own, `content_filter` the provider's."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One answer of maybe several. `logprobs` is JSON in OpenAI's shape: a list of tokens."""

    content: tuple[Part, ...]
    finish_reason: FinishReason | None
    index: int = 0
    stop_sequence: str | None = None
    logprobs: bytes | None = None


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a model answered. `model` is what the provider says served; `created_s` is seconds since 1970 UTC."""

    id: str | None
    model: str | None
    choices: tuple[Choice, ...]
    created_s: int | None = None
    service_tier: str | None = None


# ---- streams


class Opened(msgspec.Struct, frozen=True, tag="opened", gc=False):
    """The provider has begun; at most once, before everything else."""

    id: str | None = None
    model: str | None = None


class PartBegan(msgspec.Struct, frozen=True, tag="part_began", gc=False):
    """A part begins: `part` is what is known of it (a call's id and name; text still empty).

    In each choice one part is open at a time, and `index` counts them from 0.
    """

    index: int
    part: Part
    choice: int = 0


class PartGrew(msgspec.Struct, frozen=True, tag="part_grew", gc=False):
    """More of the open part: of its text, of its thinking, or of its arguments as JSON text."""

    index: int
    text: str
    choice: int = 0
    logprobs: bytes | None = None
    """JSON in OpenAI's shape, a list of the tokens of this piece."""


class PartEnded(msgspec.Struct, frozen=True, tag="part_ended", gc=False):
    """A part is whole, and this is it, with what became known at its end (signature, citations)."""

    index: int
    part: Part
    choice: int = 0


class Finished(msgspec.Struct, frozen=True, tag="finished", gc=False):
    """A choice is whole."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


class Closed(msgspec.Struct, frozen=True, tag="closed", gc=False):
    """The stream is over, and whole; `usage` is what the meter read."""

    usage: Usage | None = None


StreamEvent = Opened | PartBegan | PartGrew | PartEnded | Finished | Closed

"""Small chats for properties: requests and answers in the neutral form, limited to what a format can carry.

A format narrows them to what it gives back as it was:

- `carries` is its translator's: a feature that is not in it is not in any request (but see `alternating`);
- `alternating`: turns of user and assistant take turns, and results of one turn stand in one message. Without it a
  message of `tool` holds one result, and neighbours may be of one role;
- `together`: whether results of one turn stand in one message, where that differs from `alternating`;
- `first_user`: the conversation begins with a turn of the user (after the system's);
- `thinking`: what an assistant thinks in a history; what is sealed differs from format to format, so it is the format's
  own strategy, and without one there is none;
- `reasoning`: how much to think, likewise; without one it is an effort, or a budget where that is carried;
- `inline_types`, `document_types`: media types that it keeps;
- `replaced`: any further member of `ChatRequest`, or another strategy for one, by name.

Texts are never empty and never stand side by side, calls come last in a turn, every call has its result, and no value
says only what is the default anyway: where a format writes two things alike, they are one of them.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st

from farthing.types.chat import (
    AnswerShape,
    Audio,
    Cached,
    ChatAnswer,
    ChatRequest,
    Choice,
    Citation,
    Document,
    FinishReason,
    Image,
    Inline,
    Linked,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Video,
)
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.features import Feature

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
ids = st.from_regex(r"call_[a-zA-Z0-9]{4,12}", fullmatch=True)
counts = st.integers(1, 5_000)
small_json = st.dictionaries(names, st.one_of(texts, st.integers(-9, 9), st.booleans()), max_size=2)
arguments = small_json.map(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")))
schemas = st.dictionaries(names, st.sampled_from([{"type": "string"}, {"type": "integer"}]), max_size=2).map(
    lambda members: compact(
        {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
    )
)
_bytes = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())
_urls = names.map(lambda name: f"https://example.com/{name}.png")


def compact(value: object) -> bytes:
    """Return JSON as every reader spells it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class _Makes:
    """What one format's requests are made of."""

    def __init__(
        self, carries: frozenset[Feature], inline_types: tuple[str, ...], document_types: tuple[str, ...]
    ) -> None:
        self.carries = carries
        self.inline_types = inline_types
        self.document_types = document_types

    def maybe(self, feature: Feature, strategy: st.SearchStrategy[Any], without: Any = None) -> st.SearchStrategy[Any]:
        return st.one_of(st.just(without), strategy) if feature in self.carries else st.just(without)

    def marks(self) -> st.SearchStrategy[Cached | None]:
        return self.maybe(Feature.CACHE_MARKS, st.sampled_from([Cached(), Cached("1h")]))

    def inline(self, types: tuple[str, ...]) -> st.SearchStrategy[Inline]:
        return st.builds(Inline, st.sampled_from(types), _bytes)

    def text(self) -> st.SearchStrategy[Part]:
        return st.builds(Text, texts, cached=self.marks())

    def images(self) -> st.SearchStrategy[Part]:
        source: st.SearchStrategy[Any] = self.inline(self.inline_types)
        if Feature.LINKED_IMAGES in self.carries:
            source = st.one_of(source, st.builds(Linked, _urls))
        detail = self.maybe(Feature.IMAGE_DETAIL, st.sampled_from(["low", "high"]))
        return st.builds(Image, source, detail, self.marks())

    def documents(self) -> st.SearchStrategy[Part]:
        source: st.SearchStrategy[Any] = self.inline(self.document_types)
        if Feature.LINKED_DOCUMENTS in self.carries:
            source = st.one_of(source, st.builds(Linked, st.just("https://example.com/a.pdf")))
        return st.builds(
            Document,
            source,
            names.map(lambda name: f"{name}.pdf"),
            self.maybe(Feature.DOCUMENT_CONTEXT, texts),
            self.maybe(Feature.CITED, st.just(value=True), without=False),
            self.marks(),
        )

    def media(self) -> list[st.SearchStrategy[Part]]:
        made: list[st.SearchStrategy[Part]] = []
        if Feature.IMAGES in self.carries:
            made.append(self.images())
        if Feature.DOCUMENTS in self.carries:
            made.append(self.documents())
        if Feature.AUDIO in self.carries:
            made.append(st.builds(Audio, self.inline(("audio/wav", "audio/mpeg"))))
        if Feature.VIDEO in self.carries:
            made.append(st.builds(Video, self.inline(("video/mp4",))))
        return made

    def user_content(self) -> st.SearchStrategy[tuple[Part, ...]]:
        alone: st.SearchStrategy[tuple[Part, ...]] = st.tuples(self.text())
        media = self.media()
        if not media:
            return alone
        shown = st.one_of(media)
        return st.one_of(alone, st.tuples(shown), st.tuples(self.text(), shown), st.tuples(shown, self.text(), shown))

    def tools(self) -> st.SearchStrategy[tuple[Tool, ...]]:
        if Feature.TOOLS not in self.carries:
            return st.just(())
        plain = st.builds(
            Tool,
            names,
            st.none() | texts,
            schemas,
            self.maybe(Feature.STRICT_TOOLS, st.booleans()),
            cached=self.marks(),
        )
        kinds = [plain]
        if Feature.CUSTOM_TOOLS in self.carries:
            kinds.append(st.builds(Tool, names, st.none() | texts, custom=st.just(value=True)))
        return st.lists(st.one_of(kinds), max_size=3, unique_by=lambda tool: tool.name).map(tuple)

    def tool_choice(self, tools: tuple[Tool, ...]) -> st.SearchStrategy[ToolChoice | None]:
        choices: list[st.SearchStrategy[ToolChoice | None]] = [st.none()]
        if tools:
            choices.append(st.sampled_from([ToolChoice("auto"), ToolChoice("none")]))
            if Feature.TOOL_CHOICE in self.carries:
                named = [ToolChoice("required", (tool.name,)) for tool in tools]
                choices.append(st.sampled_from([ToolChoice("required"), *named]))
            if Feature.ALLOWED_TOOLS in self.carries and len(tools) > 1:
                several = (tools[0].name, tools[1].name)
                choices.append(st.sampled_from([ToolChoice("auto", several), ToolChoice("required", several)]))
        return st.one_of(choices)

    def shape(self) -> st.SearchStrategy[AnswerShape | None]:
        shapes: list[st.SearchStrategy[AnswerShape | None]] = [st.none()]
        if Feature.JSON_OBJECT in self.carries:
            shapes.append(st.just(AnswerShape()))
        if Feature.JSON_SCHEMA in self.carries:
            strict = self.maybe(Feature.STRICT_SCHEMA, st.booleans())
            shapes.append(st.builds(AnswerShape, schemas, names, st.none() | texts, strict))
        return st.one_of(shapes)

    def reasoning(self) -> st.SearchStrategy[Reasoning | None]:
        ways: list[st.SearchStrategy[Reasoning | None]] = [st.none()]
        if Feature.REASONING in self.carries:
            ways.append(st.sampled_from([Reasoning(effort="low"), Reasoning(effort="high")]))
        if Feature.REASONING_BUDGET in self.carries:
            ways.append(st.builds(Reasoning, budget_tokens=st.integers(1_024, 8_000)))
        return st.one_of(ways)

    def sampling(self) -> dict[str, st.SearchStrategy[Any]]:
        warm = st.sampled_from([0.5, 1.0, 1.5] if Feature.HIGH_TEMPERATURE in self.carries else [0.25, 0.5, 1.0])
        penalty = st.sampled_from([-0.5, 0.5, 1.5])
        return {
            "max_output_tokens": self.maybe(Feature.MAX_OUTPUT_TOKENS, counts),
            "temperature": self.maybe(Feature.TEMPERATURE, warm),
            "top_p": self.maybe(Feature.TOP_P, st.sampled_from([0.25, 0.5])),
            "top_k": self.maybe(Feature.TOP_K, st.integers(1, 99)),
            "presence_penalty": self.maybe(Feature.PENALTIES, penalty),
            "frequency_penalty": self.maybe(Feature.PENALTIES, penalty),
            "stop": self.maybe(Feature.STOP, st.lists(texts, min_size=1, max_size=4, unique=True).map(tuple), ()),
            "seed": self.maybe(Feature.SEED, st.integers(0, 1 << 31)),
            "n": self.maybe(Feature.SEVERAL, st.integers(2, 4)),
            "logprobs": self.maybe(Feature.LOGPROBS, st.just(value=True), without=False),
            "top_logprobs": self.maybe(Feature.LOGPROBS, st.integers(1, 5)),
            "logit_bias": self.maybe(Feature.LOGIT_BIAS, st.just(b'{"50256":-100}')),
        }

    def beside(self) -> dict[str, st.SearchStrategy[Any]]:
        return {
            "verbosity": self.maybe(Feature.VERBOSITY, st.sampled_from(["low", "high"])),
            "service_tier": self.maybe(Feature.SERVICE_TIER, st.just("auto")),
            "user": self.maybe(Feature.USER, names),
            "metadata": self.maybe(Feature.METADATA, st.just(b'{"team":"blue"}')),
            "prompt_cache_key": self.maybe(Feature.PROMPT_CACHE_KEY, names),
            "store": self.maybe(Feature.STORE, st.booleans()),
        }


@st.composite
def requests(
    draw: st.DrawFn,
    carries: frozenset[Feature],
    *,
    origin: WireFormat = "openai_chat",
    alternating: bool = False,
    together: bool | None = None,
    first_user: bool = False,
    thinking: st.SearchStrategy[Thinking] | None = None,
    reasoning: st.SearchStrategy[Reasoning | None] | None = None,
    inline_types: tuple[str, ...] = ("image/png", "image/jpeg"),
    document_types: tuple[str, ...] = ("application/pdf",),
    replaced: Mapping[str, st.SearchStrategy[Any]] | None = None,
) -> ChatRequest:
    """Draw a request that a format which carries so much gives back as it was; the module says how to narrow it."""
    makes = _Makes(carries, inline_types, document_types)
    tools = draw(makes.tools())
    turns = _Turns(
        draw, makes, tools, thinking, together=alternating if together is None else together, alternating=alternating
    )
    members: dict[str, st.SearchStrategy[Any]] = {
        **makes.sampling(),
        **makes.beside(),
        "tool_choice": makes.tool_choice(tools),
        "parallel_tool_calls": makes.maybe(Feature.PARALLEL_TOOL_CALLS, st.booleans()) if tools else st.none(),
        "shape": makes.shape(),
        "reasoning": makes.reasoning() if reasoning is None else reasoning,
        "streamed": st.booleans(),
        **(replaced or {}),
    }
    drawn = {name: draw(strategy) for name, strategy in members.items()}
    if not drawn["logprobs"]:
        drawn["top_logprobs"] = None
    return ChatRequest(
        origin=origin,
        model=draw(st.sampled_from(["some-model", "vendor/some-model-2"])),
        messages=turns.drawn(first_user=first_user or alternating),
        tools=tools,
        **drawn,
    )


class _Turns:
    """Draws the messages of one conversation, which ends with the user or with what tools gave."""

    def __init__(
        self,
        draw: st.DrawFn,
        makes: _Makes,
        tools: tuple[Tool, ...],
        thinking: st.SearchStrategy[Thinking] | None,
        *,
        together: bool,
        alternating: bool,
    ) -> None:
        self.draw, self.makes, self.tools, self.thinking = draw, makes, tools, thinking
        self.together, self.alternating = together, alternating
        self.messages: list[Message] = []
        self.call_ids: set[str] = set()

    def drawn(self, *, first_user: bool) -> tuple[Message, ...]:
        if self.draw(st.booleans()):
            self.messages.append(Message("system", (self.draw(self.makes.text()),)))
        if first_user:
            self._user()
        for _ in range(self.draw(st.integers(0, 3))):
            self._turn()
        last = self.messages[-1].role if self.messages else "system"
        if last not in ("user", "tool"):
            self._user()
        return tuple(self.messages)

    def _turn(self) -> None:
        if self.alternating:
            calls = self._assistant()
            if not calls or self.draw(st.booleans()):
                self._results(calls)
                if not calls:
                    self._user()
                return
            self._results(calls)
            self._results(self._assistant())
            if self.messages[-1].role == "assistant":
                self._user()
            return
        match self.draw(st.sampled_from(["user", "assistant", "assistant", "system"])):
            case "user":
                self._user()
            case "assistant":
                self._results(self._assistant())
            case _ if Feature.LATE_SYSTEM in self.makes.carries:
                self.messages.append(Message("system", (self.draw(self.makes.text()),)))
            case _:
                self._user()

    def _user(self) -> None:
        name = self.draw(self.makes.maybe(Feature.MESSAGE_NAME, names))
        self.messages.append(Message("user", self.draw(self.makes.user_content()), name))

    def _assistant(self) -> list[ToolCall]:
        calls: list[ToolCall] = []
        if self.tools:
            for tool in self.draw(st.lists(st.sampled_from(self.tools), max_size=2)):
                call_id = self.draw(ids.filter(lambda drawn: drawn not in self.call_ids))
                self.call_ids.add(call_id)
                given = self.draw(texts if tool.custom else arguments)
                calls.append(ToolCall(call_id, tool.name, given, tool.custom, cached=self.draw(self.makes.marks())))
        content: list[Part] = []
        if self.thinking is not None and Feature.THINKING_HISTORY in self.makes.carries and self.draw(st.booleans()):
            content.append(self.draw(self.thinking))
        if not calls or self.draw(st.booleans()):
            content.append(self.draw(self.makes.text()))
        self.messages.append(Message("assistant", (*content, *calls)))
        return calls

    def _results(self, calls: list[ToolCall]) -> None:
        results = [
            ToolResult(
                call.id,
                self.draw(self._result_content()),
                call.name,
                self.draw(self.makes.maybe(Feature.TOOL_ERRORS, st.just(value=True), without=False)),
                call.custom,
                self.draw(self.makes.marks()),
            )
            for call in calls
        ]
        if results and self.together:
            self.messages.append(Message("tool", tuple(results)))
        else:
            self.messages.extend(Message("tool", (result,)) for result in results)

    def _result_content(self) -> st.SearchStrategy[tuple[Any, ...]]:
        alone: st.SearchStrategy[tuple[Any, ...]] = st.tuples(st.builds(Text, texts))
        if Feature.TOOL_IMAGES not in self.makes.carries:
            return alone
        image = st.builds(Image, self.makes.inline(self.makes.inline_types))
        return st.one_of(alone, st.tuples(st.builds(Text, texts), image))


@st.composite
def answers(
    draw: st.DrawFn,
    carries: frozenset[str],
    *,
    thinking: st.SearchStrategy[Thinking] | None = None,
    citations: st.SearchStrategy[Citation] | None = None,
    reasons: tuple[FinishReason, ...] = ("stop", "length"),
    id_: str | None = None,
    model: str | None = "some-model",
    created_s: int | None = None,
    stop_sequence: bool = False,
) -> ChatAnswer:
    """Draw an answer of what `carries` names (a translator's `answers_carry`).

    Parts come in one order: thought, text or refusal, calls. `reasons` are finish reasons of answers without calls; one
    with calls finishes with `tool_calls`, one with a refusal with `refusal`. `thinking` and `citations` are a format's
    own, and without them there are none. With `stop_sequence` a stop may say which sequence it was.
    """
    several = draw(st.integers(1, 3)) if "several" in carries else 1
    return ChatAnswer(
        id=id_,
        model=model,
        created_s=created_s,
        choices=tuple(
            draw(_choice(carries, index, thinking, citations, reasons, stop_sequence=stop_sequence))
            for index in range(several)
        ),
    )


@st.composite
def _choice(
    draw: st.DrawFn,
    carries: frozenset[str],
    index: int,
    thinking: st.SearchStrategy[Thinking] | None,
    citations: st.SearchStrategy[Citation] | None,
    reasons: tuple[FinishReason, ...],
    *,
    stop_sequence: bool,
) -> Choice:
    content: list[Part] = []
    if thinking is not None and draw(st.booleans()):
        content.append(draw(thinking))
    reason = draw(st.sampled_from(reasons))
    if "refusal" in carries and draw(st.integers(0, 7)) == 0:
        return Choice((*content, Refusal(draw(texts))), "refusal", index)
    calls = "tool_call" in carries and draw(st.booleans())
    if not calls or draw(st.booleans()):
        cited: tuple[Citation, ...] = ()
        if citations is not None and draw(st.booleans()):
            cited = (draw(citations),)
        content.append(Text(draw(texts), citations=cited))
    if calls:
        made = st.builds(ToolCall, ids, names, arguments)
        called: list[ToolCall] = draw(st.lists(made, min_size=1, max_size=3, unique_by=lambda call: call.id))
        content.extend(called)
        reason = "tool_calls"
    stopped = draw(texts) if stop_sequence and reason == "stop" and draw(st.booleans()) else None
    logprobs = None
    if "logprobs" in carries and any(isinstance(part, Text) for part in content) and draw(st.booleans()):
        logprobs = b'[{"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[]}]'
    return Choice(tuple(content), reason, index, stopped, logprobs)


def usages() -> st.SearchStrategy[Usage]:
    """Return usage whose parts fit into their totals."""
    return st.builds(
        lambda read, written, cached, thought: Usage(
            input_tokens=read + cached,
            output_tokens=written + thought,
            cache_read_input_tokens=cached,
            reasoning_output_tokens=thought,
        ),
        *[st.integers(0, 2_000)] * 4,
    )

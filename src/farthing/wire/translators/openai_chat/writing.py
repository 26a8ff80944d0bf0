"""Write a request as a chat completion that any vendor of the format takes.

What surprised us: DeepSeek and others refuse a list of texts where a text can stand, so texts of one message are
joined; OpenAI refuses `tool_choice` and `parallel_tool_calls` without tools; pictures are taken from the user only, so
that those of tools and of the assistant follow in a message of the user's, behind all results of that turn.

Members that stay the same from turn to turn come first and `messages` last: what was sent before is a prefix of what is
sent now, and the provider's prompt cache holds.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    AnswerShape,
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Video,
)
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.features import Feature, Used, thoughts_of_others
from farthing.wire.translators.openai_chat.media import plain_document, written_media
from farthing.wire.translators.openai_chat.thinking import WIRE, Thoughts
from farthing.wire.translators.openai_chat.vendors import add_reasoning, fitting_id, fitting_name, is_openai_reasoner

_MOST_STOPS = 4
_TIERS = {"standard_only": "default"}
"""Anthropic's name for what OpenAI calls `default`."""
_ERROR = "Error: "
"""How the text of a failed tool begins: the format has no other place to say so."""

_OF_REASONING = frozenset(["reasoning_effort", "thinking"])
_OF_NO_THOUGHT = frozenset(["role", "content", "name"])

_Json = dict[str, Any]


def write_request(request: ChatRequest, left_out: list[Used] | None = None) -> bytes:
    """See `Translator.write_request`."""
    members: _Json = {"model": request.model}
    _add_tools(members, request)
    if request.shape is not None:
        members["response_format"] = _shape(request.shape)
    if request.reasoning is not None:
        add_reasoning(members, request.model, request.reasoning)
        if left_out is not None and members.keys().isdisjoint(_OF_REASONING):
            left_out.append(Used(Feature.REASONING, "reasoning"))
    if request.max_output_tokens is not None:
        reasoner = is_openai_reasoner(request.model)
        members["max_completion_tokens" if reasoner else "max_tokens"] = request.max_output_tokens
    add_sampling(members, request)
    if request.logprobs:
        members["logprobs"] = True
        if request.top_logprobs is not None:
            members["top_logprobs"] = request.top_logprobs
    _add_beside(members, request)
    if request.streamed:
        members["stream"] = True
        if request.usage_in_stream:
            members["stream_options"] = {"include_usage": True}
    if left_out is not None:
        left_out += thoughts_of_others(request, "openai_chat")
    members["messages"] = _Messages(request.model).written(request.messages)
    return msgspec.json.encode(members)


def add_sampling(members: _Json, request: ChatRequest) -> None:
    """Add what chat completions and the legacy ones say alike of how to sample."""
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "n"):
        value = getattr(request, name)
        if value is not None:
            members[name] = value
    if request.stop:
        members["stop"] = request.stop[:_MOST_STOPS]
    if request.logit_bias is not None:
        members["logit_bias"] = msgspec.Raw(request.logit_bias)


def _add_beside(members: _Json, request: ChatRequest) -> None:
    if request.verbosity is not None:
        members["verbosity"] = request.verbosity
    if request.service_tier is not None:
        members["service_tier"] = _TIERS.get(request.service_tier, request.service_tier)
    if request.user is not None:
        members["user"] = fitting_name(request.user)
    if request.prompt_cache_key is not None:
        members["prompt_cache_key"] = fitting_name(request.prompt_cache_key)
    if request.metadata is not None:
        members["metadata"] = msgspec.Raw(request.metadata)
    if request.store is not None:
        members["store"] = request.store


# ---- tools


def _add_tools(members: _Json, request: ChatRequest) -> None:
    if not request.tools:
        return
    members["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        members["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        members["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: Tool) -> _Json:
    function: _Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = msgspec.Raw(tool.parameters)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> Any:
    if not choice.named or choice.mode == "none":
        return choice.mode
    named = [{"type": "function", "function": {"name": name}} for name in choice.named]
    if len(named) == 1 and choice.mode == "required":
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _shape(shape: AnswerShape) -> _Json:
    if shape.schema is None:
        return {"type": "json_object"}
    wanted: _Json = {"name": shape.name or "answer"}
    if shape.description is not None:
        wanted["description"] = shape.description
    if shape.strict is not None:
        wanted["strict"] = shape.strict
    wanted["schema"] = msgspec.Raw(shape.schema)
    return {"type": "json_schema", "json_schema": wanted}


# ---- messages


class _Messages:
    """Writes the messages of one request; `_shown` is what the user has to show because nobody else may."""

    __slots__ = ("_model", "_out", "_shown")

    def __init__(self, model: str) -> None:
        self._model = model
        self._out: list[_Json] = []
        self._shown: list[_Json] = []

    def written(self, messages: tuple[Message, ...]) -> list[_Json]:
        for message in messages:
            match message.role:
                case "tool":
                    self._results(message)
                case "assistant":
                    self._show()
                    self._assistant(message)
                case "user":
                    self._show()
                    self._user(message)
                case "system":
                    self._show()
                    self._system(message)
        self._show()
        return self._out

    def _show(self) -> None:
        """Let the user show what waits for it."""
        if self._shown:
            self._out.append({"role": "user", "content": self._shown})
            self._shown = []

    def _system(self, message: Message) -> None:
        texts = [part.text for part in message.content if isinstance(part, Text)]
        self._say("system", "\n\n".join(texts), message.name)
        self._keep(message.content)

    def _user(self, message: Message) -> None:
        parts = [_as_text(part) for part in message.content]
        if all(isinstance(part, Text) for part in parts):
            self._say("user", "\n\n".join([part.text for part in parts if isinstance(part, Text)]), message.name)
            return
        written = [_written(part) for part in parts]
        self._say("user", [part for part in written if part is not None] or "", message.name)

    def _say(self, role: str, content: str | list[_Json], name: str | None) -> None:
        said: _Json = {"role": role, "content": content}
        if name is not None:
            said["name"] = name
        self._out.append(said)

    def _assistant(self, message: Message) -> None:
        said: _Json = {"role": "assistant", "content": None}
        if message.name is not None:
            said["name"] = message.name
        texts: list[str] = []
        refusals: list[_Json] = []
        thoughts = Thoughts()
        calls: list[_Json] = []
        for part in message.content:
            match part:
                case Text():
                    texts.append(part.text)
                    _seal(said, part.signature)
                case Thinking():
                    thoughts.add(part)
                case ToolCall():
                    calls.append(self._call(part))
                case Refusal():
                    refusals.append({"type": "refusal", "refusal": part.text})
                case Audio() if part.transcript:
                    texts.append(part.transcript)
                case _:
                    self._keep((part,))
        text = "".join(texts)
        thoughts.write(said)
        if thoughts.listed or refusals:
            said["content"] = [*thoughts.listed, *([{"type": "text", "text": text}] if text else ()), *refusals]
        elif text:
            said["content"] = text
        if calls:
            said["tool_calls"] = calls
        elif not said["content"]:
            if said.keys() <= _OF_NO_THOUGHT:
                return
            said["content"] = ""
        self._out.append(said)

    def _call(self, call: ToolCall) -> _Json:
        written: _Json = {
            "id": fitting_id(call.id, self._model),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        _seal(written, call.signature)
        return written

    def _results(self, message: Message) -> None:
        for result in message.content:
            if not isinstance(result, ToolResult):
                self._keep((result,))
                continue
            parts = [_as_text(part) for part in result.content]
            text = "\n\n".join([part.text for part in parts if isinstance(part, Text)])
            if result.is_error and not text.startswith(_ERROR):
                text = _ERROR + text
            call_id = fitting_id(result.call_id, self._model)
            self._out.append({"role": "tool", "tool_call_id": call_id, "content": text})
            self._keep(parts)

    def _keep(self, parts: Any) -> None:
        """Keep what only the user may show, until it may."""
        for part in parts:
            if isinstance(part, Image | Document | Audio | Video) and (written := written_media(part)) is not None:
                self._shown.append(written)


def _as_text(part: Part) -> Part:
    """Return a document of plain text as the text that it is; every other part as it is."""
    if isinstance(part, Document):
        return plain_document(part) or part
    return part


def _written(part: Part) -> _Json | None:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Image() | Document() | Audio() | Video():
            return written_media(part)
        case _:
            return None


def _seal(written: _Json, signature: Signature | None) -> None:
    """Give back what the provider sealed a call or a text with: Gemini's compatible address refuses a call without."""
    if signature is None or signature.origin != WIRE or not signature.value.startswith("{"):
        return
    try:
        written["extra_content"] = msgspec.json.decode(signature.value)
    except UNREADABLE:
        return

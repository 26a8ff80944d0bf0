"""Requests for Ollama's /api/chat, and for /api/generate where a text is to be continued.

What surprised us: Ollama cuts off the beginning of a conversation that is longer than its context, and says nothing of
it; so the context is asked for (`num_ctx`) and the cutting forbidden (`truncate`, which old versions do not know). Each
other size of context loads the model anew, hence the few sizes here. A model that cannot think refuses to be asked to,
and one that can does it unasked: so only gpt-oss, which takes levels, and clients of Ollama's own are given their
`think`. `shift: false` would say more of the same, and is left out: it too loads a running model anew.
"""

from base64 import b64decode
from binascii import Error
from typing import Any

import msgspec

from farthing.types.chat import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Inline,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.efforts import effort_of

LEAST_CONTEXT_TOKENS = 4_096
"""Ollama's own for a small machine; and a power of two above it, so that a conversation that grows from 5,000 to
100,000 tokens loads the model five times, and not at every call."""
_TAKES_LEVELS = "gpt-oss"
_GPT_OSS_LEVELS = {
    "none": "low",  # it cannot be told not to think
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_TEXT_MEMBER = "input"
_WITHIN = ("messages[", "tools[")
"""Unknown members of these are named by their path, and have no place of their own to go back to."""

_encode = msgspec.json.encode


def write_request(request: ChatRequest) -> bytes:
    """Return the request's body."""
    members: dict[str, Any] = {"model": request.model}
    if request.raw_prompt:
        _write_prompt(request, members)
    else:
        members["messages"] = _Messages().written(request.messages)
        choice = request.tool_choice
        if request.tools and (choice is None or choice.mode != "none"):
            members["tools"] = [_tool(tool) for tool in request.tools]
    members["stream"] = request.streamed
    if request.shape is not None:
        schema = request.shape.schema
        members["format"] = "json" if schema is None else msgspec.Raw(schema)
    if request.reasoning is not None:
        think = _think(request.reasoning, request)
        if think is not None:
            members["think"] = think
    if request.logprobs:
        members["logprobs"] = True
    if request.top_logprobs:
        members["top_logprobs"] = request.top_logprobs
    options = _options(request)
    members["truncate"] = False
    if request.origin == "ollama":
        for name, raw in request.extra.items():
            if name.startswith("options."):
                options[name.removeprefix("options.")] = msgspec.Raw(raw)
            elif not name.startswith(_WITHIN):
                members[name] = msgspec.Raw(raw)
    if options:
        members["options"] = options
    return _encode(members)


def _options(request: ChatRequest) -> dict[str, Any]:
    tokens = request.context_tokens
    options = {
        "num_ctx": None if tokens is None else context_tokens(tokens),
        "num_predict": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "stop": request.stop or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def context_tokens(wanted: int) -> int:
    """Return the context to ask for: a power of two that `wanted` tokens fit in."""
    return max(LEAST_CONTEXT_TOKENS, 1 << (wanted - 1).bit_length())


def _think(reasoning: Reasoning, request: ChatRequest) -> bool | str | None:
    off = reasoning.off or reasoning.effort == "none"
    effort = reasoning.effort
    if effort is None and reasoning.budget_tokens is not None:
        effort = effort_of(reasoning.budget_tokens)
    if _TAKES_LEVELS in request.model:
        if off:
            return "low"
        return None if effort is None else _GPT_OSS_LEVELS[effort]
    if off:
        return False
    if request.origin != "ollama":
        return None
    return effort if effort in ("low", "medium", "high", "max") else True


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = _NO_PARAMETERS if tool.parameters is None else msgspec.Raw(tool.parameters)
    return {"type": "function", "function": function}


def _write_prompt(request: ChatRequest, members: dict[str, Any]) -> None:
    """Write a text to be continued: what the system says beside it, and everything else as one text."""
    system: list[str] = []
    prompt: list[str] = []
    images: list[str] = []
    for message in request.messages:
        said = _Said(message.content)
        images += said.media
        (system if message.role == "system" else prompt).append(said.text("\n\n"))
    members["prompt"] = "\n\n".join([text for text in prompt if text])
    if any(system):
        members["system"] = "\n\n".join([text for text in system if text])
    if request.suffix:
        members["suffix"] = request.suffix
    if images:
        members["images"] = images


class _Said:
    """The parts of a message, by where they go."""

    __slots__ = ("calls", "media", "results", "texts", "thoughts")

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.media: list[str] = []
        self.calls: list[ToolCall] = []
        self.results: list[ToolResult] = []
        for part in parts:
            if type(part) is Text:  # nearly all of a conversation, and a match is slower
                self.texts.append(part.text)
                continue
            match part:
                case Refusal():
                    self.texts.append(part.text)
                case Thinking():
                    self.thoughts.append(part.text)
                case ToolCall():
                    self.calls.append(part)
                case ToolResult():
                    self.results.append(part)
                case Image(source=Inline(data=data)) | Audio(source=Inline(data=data)):
                    self.media.append(data)
                case Audio(transcript=str(transcript)):
                    self.texts.append(transcript)
                case Document(source=Inline(media_type="text/plain", data=data)):
                    self.texts.append(_plain(data))
                case _:
                    pass  # what Ollama has no place for: `carries` says so

    def text(self, between: str) -> str:
        return self.texts[0] if len(self.texts) == 1 else between.join([text for text in self.texts if text])


def _plain(data: str) -> str:
    try:
        return b64decode(data).decode("utf-8", "replace")
    except (Error, ValueError):
        return ""


class _Messages:
    """Writes messages in order: results name the tools of the calls before them."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def written(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for message in messages:
            self._write(message, found)
        return found

    def _write(self, message: Message, found: list[dict[str, Any]]) -> None:
        said = _Said(message.content)
        found += [self._result(result) for result in said.results]
        if said.results and not (said.texts or said.media or said.thoughts or said.calls):
            return
        role = message.role
        assistant = role == "assistant"
        # An assistant's texts are pieces of one; those of the others are blocks that were written apart.
        member: dict[str, Any] = {"role": role, "content": said.text("" if assistant else "\n\n")}
        if said.media:
            member["images"] = said.media
        if assistant and any(said.thoughts):
            member["thinking"] = "".join(said.thoughts)
        if assistant and said.calls:
            member["tool_calls"] = written_calls(said.calls)
            for call in said.calls:
                self._names[call.id] = call.name
        found.append(member)

    def _result(self, result: ToolResult) -> dict[str, Any]:
        said = _Said(result.content)
        text = said.text("\n")
        if result.is_error and text[:5].lower() != "error":
            text = f"Error: {text}"
        member: dict[str, Any] = {"role": "tool", "content": text, "tool_call_id": result.call_id}
        name = result.name or self._names.get(result.call_id)
        if name:
            member["tool_name"] = name
        if said.media:
            member["images"] = said.media
        return member


def written_calls(calls: list[ToolCall], first: int = 0) -> list[dict[str, Any]]:
    """Return tool calls as Ollama's messages have them; `first` is the number of the first one."""
    return [
        {
            "id": call.id,
            "function": {"index": index, "name": call.name, "arguments": _arguments(call)},
        }
        for index, call in enumerate(calls, first)
    ]


def _arguments(call: ToolCall) -> object:
    """Return arguments as the object that they have to be; text that is none becomes its one member."""
    text = call.arguments
    if not text:
        return {}
    if not call.custom:
        try:
            found = msgspec.json.decode(text)
        except UNREADABLE:
            found = None
        if isinstance(found, dict):
            # As it was written, numbers and all; a line feed would end the line of a stream.
            return msgspec.Raw(text.encode()) if "\n" not in text and "\r" not in text else found
    return {_TEXT_MEMBER: text}

"""Write a messages request.

Turns alternate, results of tools open a turn of the user, texts are never blank, ids are plain, four marks for the
prompt cache at most: Anthropic refuses anything else. What grows from turn to turn is written last and each turn always
in the same bytes, because its prompt cache knows a conversation by its beginning.
"""

from typing import Any

import msgspec

from farthing.errors import InvalidRequest
from farthing.types.chat import ChatRequest, Message, Part, ServerTool, Text, Tool
from farthing.wire.translators.anthropic_messages.block_writer import BlockWriter
from farthing.wire.translators.anthropic_messages.blocks import WIRE
from farthing.wire.translators.anthropic_messages.generations import Settled, generation_of, settled
from farthing.wire.translators.anthropic_messages.requests import TIERS
from farthing.wire.translators.anthropic_messages.schemas import answer_schema, tool_schema
from farthing.wire.translators.features import Feature, Used

MAX_MARKS = 4
"""Breakpoints of the prompt cache in one request; Anthropic refuses a fifth."""
_FIRST_TURN: dict[str, Any] = {"role": "user", "content": [{"type": "text", "text": "."}]}
"""For conversations that no user has begun: Anthropic wants a turn of the user first, and one that says something."""
_TIERS = {ours: theirs for theirs, ours in TIERS.items()} | {"auto": "auto"}
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def write_request(request: ChatRequest, left_out: list[Used] | None = None) -> bytes:
    """See `Translator.write_request`."""
    writer = _Writer(request)
    try:
        body = msgspec.json.encode(writer.written())
    except RecursionError:
        raise InvalidRequest("the request is nested too deeply", hint="send JSON with fewer levels") from None
    if left_out is not None:
        left_out += (*writer.settled.left_out, *writer.blocks.left_out)
    return body


class _Writer:
    """Writes one request."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.generation = generation_of(request.model)
        self.blocks = BlockWriter(thinks=self.generation.thinks != "never")
        self.settled: Settled

    def written(self) -> dict[str, Any]:
        """Return the members of the body, in their order."""
        request = self.request
        tools = self._tools()
        system, turns = _Turns(request, self.blocks).written()
        self.settled = found = settled(request, loop_without_thoughts=_loops_without_thoughts(turns))
        members: dict[str, Any] = {"model": request.model, "max_tokens": found.max_tokens}
        if request.streamed:
            members["stream"] = True
        for name in ("temperature", "top_p", "top_k", "thinking"):
            if (value := getattr(found, name)) is not None:
                members[name] = value
        if request.stop:
            members["stop_sequences"] = request.stop
        if config := self._output_config():
            members["output_config"] = config
        if request.user is not None:
            members["metadata"] = {"user_id": request.user}
        if request.service_tier is not None:
            self._service_tier(request.service_tier, members)
        if request.cached is not None:
            members["cache_control"] = self.blocks.mark(request.cached)
        if request.origin == WIRE:
            # A path is no name of a member: it says where something stood that could not be kept.
            members |= {n: msgspec.Raw(raw) for n, raw in request.extra.items() if "." not in n and "[" not in n}
        if tools:
            members["tools"] = tools
            if choice := self._tool_choice():
                members["tool_choice"] = choice
        if system:
            members["system"] = system
        members["messages"] = turns
        self.blocks.keep_marks(MAX_MARKS - (request.cached is not None))
        return members

    def _service_tier(self, tier: str, members: dict[str, Any]) -> None:
        if tier in _TIERS:
            members["service_tier"] = _TIERS[tier]
        else:
            self.settled.left_out.append(Used(Feature.SERVICE_TIER, "service_tier"))

    def _output_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self.settled.effort is not None:
            config["effort"] = self.settled.effort
        shape = self.request.shape
        if shape is not None and shape.schema is not None:
            config["format"] = {"type": "json_schema", "schema": answer_schema(shape.schema)}
        return config

    # ---- tools

    def _tools(self) -> list[Any]:
        tools: list[Any] = [self._tool(tool) for tool in self.request.tools]
        tools += [msgspec.Raw(tool.raw) for tool in self.request.server_tools if _is_own(tool)]
        return tools

    def _tool(self, tool: Tool) -> dict[str, Any]:
        members: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            members["description"] = tool.description
        members["input_schema"] = tool_schema(tool.parameters)
        if tool.strict is not None:
            if self.generation.strict_tools:
                members["strict"] = tool.strict
            elif tool.strict:
                self.blocks.left_out.append(Used(Feature.STRICT_TOOLS, f"tools ({tool.name})"))
        if tool.cached is not None:
            members["cache_control"] = self.blocks.mark(tool.cached, members)
        return members

    def _tool_choice(self) -> dict[str, Any] | None:
        choice, parallel = self.request.tool_choice, self.request.parallel_tool_calls
        mode = "auto" if choice is None else choice.mode
        if choice is None and parallel is None:
            return None
        members: dict[str, Any] = {"type": _CHOICES[mode]}
        if choice is not None and mode == "required" and len(choice.named) == 1:
            members = {"type": "tool", "name": choice.named[0]}
        if parallel is not None and mode != "none":
            members["disable_parallel_tool_use"] = not parallel
        return members


class _Turn:
    """One turn while it is joined; results of tools come first in it."""

    __slots__ = ("rest", "results", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.results: list[Any] = []
        self.rest: list[Any] = []

    def add(self, block: Any) -> None:
        is_result = self.role == "user" and type(block) is dict and block["type"] == "tool_result"
        (self.results if is_result else self.rest).append(block)

    @property
    def stands(self) -> bool:
        """Whether it may stand alone; Anthropic refuses an empty turn, and one of thoughts alone."""
        if self.role != "assistant":
            return bool(self.results or self.rest)
        return any(type(block) is not dict or block["type"] not in _THOUGHTS for block in self.rest)

    def written(self) -> dict[str, Any]:
        return {"role": self.role, "content": self.results + self.rest if self.results else self.rest}


class _Turns:
    """Joins the messages of a request to turns that alternate."""

    def __init__(self, request: ChatRequest, blocks: BlockWriter) -> None:
        self.messages = request.messages
        self.blocks = blocks
        self.keeps_system = request.origin == WIRE
        """Whether a late system message may stay one: only who speaks this format can know that its model takes it."""
        self.turns: list[_Turn] = []
        self.turn = _Turn("")
        """The open one."""

    def written(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Return the blocks of the system prompt, and the turns."""
        system: list[Any] = []
        for at, message in enumerate(self.messages):
            if message.role != "system":
                role = "assistant" if message.role == "assistant" else "user"
                if role != self.turn.role:
                    self._open(role)
                self._add(message, at)
            elif self.turn.role:
                self._late_system(message, at)
            else:
                system += [block for part in message.content if (block := self._of_system(part)) is not None]
        if self.turn.role == "assistant":
            _end_plainly(self.turn.rest)
        self._close()
        if not self.turns or self.turns[0].role != "user":
            return system, [_FIRST_TURN, *[turn.written() for turn in self.turns]]
        return system, [turn.written() for turn in self.turns]

    def _of_system(self, part: Part) -> Any:
        return self.blocks.text(part) if isinstance(part, Text) else self.blocks.block(part, "messages[0]")

    def _add(self, message: Message, at: int) -> None:
        content = message.content
        if len(content) == 1 and type(content[0]) is Text:  # as most messages are
            text = self.blocks.text(content[0])
            if text is not None:
                self.turn.rest.append(text)
            return
        add, write = self.turn.add, self.blocks.block
        for number, part in enumerate(content):
            block = write(part, f"messages[{at}].content[{number}]")
            if block is not None:
                add(block)

    def _late_system(self, message: Message, at: int) -> None:
        if self.keeps_system:
            self._open("system")
            self._add(message, at)
            return
        self._open("user")
        for part in message.content:
            if isinstance(part, Text) and part.text and not part.text.isspace():
                told = f"<system-instruction>\n{part.text}\n</system-instruction>"
                self.turn.add(self.blocks.text(Text(told, part.cached)))

    def _open(self, role: str) -> None:
        if role != self.turn.role:
            self._close()
            # What stood in between may have been nothing: then the turn before goes on.
            goes_on = self.turns and self.turns[-1].role == role
            self.turn = self.turns.pop() if goes_on else _Turn(role)

    def _close(self) -> None:
        if self.turn.stands:
            self.turns.append(self.turn)


_THOUGHTS = ("thinking", "redacted_thinking")


def _end_plainly(content: list[Any]) -> None:
    """Take the space from the end of what the answer is to continue; Anthropic refuses it there."""
    while content and type(content[-1]) is dict and content[-1]["type"] == "text":
        content[-1]["text"] = content[-1]["text"].rstrip()
        if content[-1]["text"]:
            return
        content.pop()


def _loops_without_thoughts(turns: list[dict[str, Any]]) -> bool:
    """Whether tools are being called in a turn of the assistant that does not begin with a thought."""
    last = [turn for turn in turns[-3:] if turn["role"] != "system"][-2:]
    if [turn["role"] for turn in last] != ["assistant", "user"]:
        return False
    calls, results = last[0]["content"][0], last[1]["content"][0]
    if type(results) is not dict or results["type"] != "tool_result":
        return False
    return type(calls) is not dict or calls["type"] not in _THOUGHTS


def _is_own(tool: ServerTool) -> bool:
    return tool.origin == WIRE

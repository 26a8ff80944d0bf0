"""Tools as every format can take them: a plain name, and arguments that are a JSON object.

Codex puts tools into namespaces and has some that take plain text; MCP servers have names with dots and slashes. Where
the other side knows none of that, a namespace becomes part of the name, text becomes the one member of an object, and a
name that is not allowed is spelled otherwise; in the answer it is all put back, so that the client meets its own tools.
"""

import hashlib
import re

import msgspec

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Message,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    StreamEvent,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.features import Feature

MAX_NAME_CHARS = 64
"""What OpenAI, Anthropic and Google allow."""
_ALLOWED = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_TEXT_MEMBER = "input"
_TEXT_SCHEMA = (
    b'{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as text."}},'
    b'"required":["input"],"additionalProperties":false}'
)


class _Own(msgspec.Struct, frozen=True, gc=False):
    """A tool as the client named it."""

    name: str
    namespace: str | None
    custom: bool


class ToolNames:
    """How the tools of one request are called on the other side, and back."""

    __slots__ = ("_called", "_customs", "_flat", "_namespaces", "_own")

    def __init__(self, request: ChatRequest, carries: frozenset[Feature]) -> None:
        """Choose the names for a format that carries so much."""
        self._customs = Feature.CUSTOM_TOOLS in carries
        self._namespaces = Feature.TOOL_NAMESPACES in carries
        self._flat: dict[tuple[str | None, str], str] = {}
        self._own: dict[str, _Own] = {}
        self._called: dict[str, str] = {}
        """How the tool of each call is called there: a result says neither namespace nor always a name."""
        for tool in request.tools:
            self._name(tool.namespace, tool.name, custom=tool.custom)
        for message in request.messages:  # a client that wants a summary sends its calls without the tools
            if message.role == "assistant":
                for part in message.content:
                    if type(part) is ToolCall:
                        self._called[part.id] = self._name(part.namespace, part.name, custom=part.custom)

    @property
    def changes(self) -> bool:
        """Whether any tool is called otherwise there, or takes something else; those of earlier turns count as well."""
        return any(
            flat != own.name or own.namespace is not None or (own.custom and not self._customs)
            for flat, own in self._own.items()
        )

    def applied(self, request: ChatRequest) -> ChatRequest:
        """Return the request with the tools, choices, calls and results of the other side."""
        choice = request.tool_choice
        return msgspec.structs.replace(
            request,
            tools=tuple(self._tool(tool) for tool in request.tools),
            tool_choice=None if choice is None else self._choice(choice),
            messages=tuple(self._message(message) for message in request.messages),
        )

    def answer(self, answer: ChatAnswer) -> ChatAnswer:
        """Return an answer with the client's own tools in it."""
        choices = [
            msgspec.structs.replace(choice, content=tuple(self.restored(part) for part in choice.content))
            for choice in answer.choices
        ]
        return msgspec.structs.replace(answer, choices=tuple(choices))

    def takes_text(self, name: str) -> bool:
        """Whether the tool that has this name on the other side takes text here, and an object there."""
        own = self._own.get(name)
        return own is not None and own.custom and not self._customs

    def restored(self, part: Part) -> Part:
        """Return a part with the client's own name of the tool in it, and what that takes."""
        if not isinstance(part, ToolCall):
            return part
        own = self._own.get(part.name)
        if own is None:
            return part
        arguments = text_in(part.arguments) if self.takes_text(part.name) else part.arguments
        return msgspec.structs.replace(
            part, name=own.name, namespace=own.namespace, custom=own.custom, arguments=arguments
        )

    # ---- there

    def _name(self, namespace: str | None, name: str, *, custom: bool = False) -> str:
        key = (namespace, name)
        flat = self._flat.get(key)
        if flat is None:
            keep = namespace is None or self._namespaces
            flat = self._free(name if keep else f"{namespace}__{name}", key)
            self._flat[key] = flat
            self._own[flat] = _Own(name, namespace, custom)
        return flat

    def _free(self, wanted: str, key: tuple[str | None, str]) -> str:
        if not (_ALLOWED.fullmatch(wanted) and len(wanted) <= MAX_NAME_CHARS) or wanted in self._own:
            # The end of it tells apart what is alike once it is spelled otherwise or cut.
            end = hashlib.sha256(repr(key).encode()).hexdigest()[:8]
            plain = _ODD.sub("_", wanted)
            plain = plain if _ALLOWED.match(plain) else f"_{plain}"
            wanted = f"{plain[: MAX_NAME_CHARS - 9]}_{end}"
        return wanted

    def _tool(self, tool: Tool) -> Tool:
        flat = self._name(tool.namespace, tool.name)
        namespace = tool.namespace if self._namespaces else None
        if tool.custom and not self._customs:
            return Tool(flat, tool.description, _TEXT_SCHEMA, None, namespace=namespace, cached=tool.cached)
        return msgspec.structs.replace(tool, name=flat, namespace=namespace)

    def _choice(self, choice: ToolChoice) -> ToolChoice:
        if not choice.named:
            return choice
        return ToolChoice(choice.mode, tuple(self._chosen(name) for name in choice.named))

    def _chosen(self, name: str) -> str:
        plain = self._flat.get((None, name))
        if plain is not None:
            return plain
        found = {namespace: flat for (namespace, other), flat in self._flat.items() if other == name}
        if len(found) > 1:
            where = ", ".join(f"'{namespace}'" for namespace in found)
            raise InvalidRequest(
                f"\"tool_choice\" names '{name}', which is a tool in several namespaces: {where}",
                hint="let the model choose, or send the tools of one of them",
            )
        return next(iter(found.values()), name)

    def _message(self, message: Message) -> Message:
        if message.role not in ("assistant", "tool"):
            return message
        return msgspec.structs.replace(message, content=tuple(self._there(part) for part in message.content))

    def _there(self, part: Part) -> Part:
        match part:
            case ToolCall():
                flat = self._name(part.namespace, part.name, custom=part.custom)
                arguments = part.arguments
                custom = part.custom and self._customs
                if part.custom and not self._customs:
                    arguments = msgspec.json.encode({_TEXT_MEMBER: arguments}).decode()
                namespace = part.namespace if self._namespaces else None
                return msgspec.structs.replace(part, name=flat, arguments=arguments, custom=custom, namespace=namespace)
            case ToolResult():
                name = self._called.get(part.call_id) or (part.name and self._flat.get((None, part.name), part.name))
                return msgspec.structs.replace(part, name=name, custom=part.custom and self._customs)
            case _:
                return part


class RestoredStream:
    """The events of one stream with the client's own tools in them."""

    __slots__ = ("_held", "_names")

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self._held: set[int] = set()
        """Choices whose open part is text that comes as an object: it can be told when it is whole."""

    def events(self, event: StreamEvent) -> tuple[StreamEvent, ...]:
        """Return what the client is told for an event."""
        if isinstance(event, PartGrew):
            return () if event.choice in self._held else (event,)
        if not isinstance(event, PartBegan | PartEnded) or not isinstance(event.part, ToolCall):
            return (event,)
        part = self._names.restored(event.part)
        told = msgspec.structs.replace(event, part=part)
        if isinstance(event, PartBegan):
            if self._names.takes_text(event.part.name):
                self._held.add(event.choice)
            return (told,)
        if event.choice not in self._held:
            return (told,)
        self._held.discard(event.choice)
        assert isinstance(part, ToolCall)
        return (PartGrew(event.index, part.arguments, event.choice), told) if part.arguments else (told,)


def text_in(arguments: str) -> str:
    """Return the text that stands in the object which a tool of text was called with; all of it where it is none."""
    try:
        found = msgspec.json.decode(arguments) if arguments else {}
    except UNREADABLE:
        return arguments
    text = found.get(_TEXT_MEMBER, "" if not found else None) if isinstance(found, dict) else None
    return text if isinstance(text, str) else arguments

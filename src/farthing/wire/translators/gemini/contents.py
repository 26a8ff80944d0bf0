"""What a client of Gemini's said so far: `contents` and `systemInstruction`, read into messages.

What surprised us: calls may have no ids, and then results are matched by name, in order. They get ids made of their
place in the conversation, so that the same history is the same bytes every time and a prompt cache holds. Results stand
beside text in one turn of the user; here they are messages of their own.
"""

from collections import deque
from typing import Any, NoReturn

from farthing.types.chat import Foreign, Inline, Message, Part, Role, Text, Thinking, ToolCall, ToolResult, Video
from farthing.wire.translators.gemini.names import (
    camel,
    foreign_part,
    media_part,
    signature_of,
    source_at,
    usual_base64,
)
from farthing.wire.translators.reading import as_json, flag_at, needed_text, object_at, refuse, text_at

_ROLES: dict[str | None, Role] = {None: "user", "": "user", "user": "user", "function": "user", "model": "assistant"}
_ABOUT_ANY = ("thought", "thoughtSignature")
_NAME_CHARS = 32
"""So much of a tool's name goes into an id that we make; ids have at most 64 characters elsewhere."""


def objects_of(members: dict[str, Any], name: str, path: str = "") -> list[dict[str, Any]]:
    """Return a list of objects; Google takes one alone for a list of it."""
    where = f"{path}.{name}" if path else name
    value = members.get(name)
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        refuse(where, value, "a list of objects")
    for at, item in enumerate(value):
        if not isinstance(item, dict):
            refuse(f"{where}[{at}]", item, "an object")
    return value


class Conversation:
    """Reads contents in their order; `extra` collects what no other format knows, by the member's name."""

    __slots__ = ("_calls", "_count", "_extra", "_orphans", "_waiting", "messages")

    def __init__(self, extra: dict[str, bytes]) -> None:
        self.messages: list[Message] = []
        self._extra = extra
        self._calls: set[str] = set()
        self._count = 0
        self._orphans = 0
        self._waiting: dict[str, deque[str]] = {}

    def take_system(self, given: Any) -> None:
        """Take the system's instruction: a content, or its text alone."""
        path = "systemInstruction"
        if given is None:
            return
        if isinstance(given, str):
            parts: list[Part] = [Text(given)]
        elif isinstance(given, dict):
            content = camel(given)
            self._keep(content, ("parts", "role"), path)
            parts = [
                self._part(part, f"{path}.parts[{at}]") for at, part in enumerate(objects_of(content, "parts", path))
            ]
        else:
            refuse(path, given, 'an object like {"parts": [{"text": "..."}]}')
        if parts:
            self.messages.append(Message("system", tuple(parts)))

    def take(self, content: dict[str, Any], path: str) -> None:
        """Take one turn."""
        content = camel(content)
        role = content.get("role")
        if not (role is None or isinstance(role, str)) or role not in _ROLES:
            refuse(f"{path}.role", role, '"user" or "model"; what the system says goes into "systemInstruction"')
        self._keep(content, ("parts", "role"), "contents")
        speaks = _ROLES[role]
        run: list[Part] = []
        running: Role | None = None
        for at, given in enumerate(objects_of(content, "parts", path)):
            text = given.get("text")
            if isinstance(text, str) and len(given) == 1:
                part: Part = Text(text)  # as nearly all are
                speaker = speaks
            else:
                part = self._part(given, f"{path}.parts[{at}]")
                speaker = _speaker(part, speaks)
            if running is not None and speaker != running:
                self.messages.append(Message(running, tuple(run)))
                run = []
            running = speaker
            run.append(part)
        if running is not None:
            self.messages.append(Message(running, tuple(run)))

    def _part(self, given: dict[str, Any], path: str) -> Part:
        part = camel(given)
        text = part.get("text")
        if isinstance(text, str):
            self._keep(part, ("text", *_ABOUT_ANY), "contents.parts")
            signature = signature_of(text_at(part, "thoughtSignature", path))
            return Thinking(text, signature) if flag_at(part, "thought", path) else Text(text, signature=signature)
        if text is not None:
            refuse(f"{path}.text", text, "a text")
        if (call := object_at(part, "functionCall", path)) is not None:
            return self._call(part, camel(call), f"{path}.functionCall")
        if (result := object_at(part, "functionResponse", path)) is not None:
            return self._result(part, camel(result), f"{path}.functionResponse")
        if (blob := object_at(part, "inlineData", path)) is not None:
            return self._blob(part, camel(blob), f"{path}.inlineData")
        if (file := object_at(part, "fileData", path)) is not None:
            return self._file(part, camel(file), f"{path}.fileData")
        if part.keys() <= {*_ABOUT_ANY, "partMetadata"}:
            return self._bare(part, path)
        return foreign_part(part, as_json(part))

    def _bare(self, part: dict[str, Any], path: str) -> Part:
        """Return what a part is that holds a signature alone, as some clients send it back."""
        signature = signature_of(text_at(part, "thoughtSignature", path))
        thought = flag_at(part, "thought", path)
        if signature is None and not thought:
            _refuse_part(part, path)
        return Thinking("", signature) if thought else Text("", signature=signature)

    def _call(self, part: dict[str, Any], call: dict[str, Any], path: str) -> Part:
        self._keep(part, ("functionCall", *_ABOUT_ANY), "contents.parts")
        self._keep(call, ("id", "name", "args"), "contents.parts.functionCall")
        name = needed_text(call, "name", path)
        self._count += 1
        made = text_at(call, "id", path) or _made_id(self._count, name)
        self._calls.add(made)
        self._waiting.setdefault(name, deque()).append(made)
        args = object_at(call, "args", path)
        return ToolCall(
            id=made,
            name=name,
            arguments="{}" if not args else as_json(args).decode(),
            signature=signature_of(text_at(part, "thoughtSignature", path)),
        )

    def _result(self, part: dict[str, Any], result: dict[str, Any], path: str) -> Part:
        self._keep(part, ("functionResponse", *_ABOUT_ANY), "contents.parts")
        self._keep(result, ("id", "name", "response", "parts"), "contents.parts.functionResponse")
        name = text_at(result, "name", path)
        response = object_at(result, "response", path) or {}
        content: list[Any] = []
        is_error = False
        said: Any = response
        if len(response) == 1:
            (only, value), *_ = response.items()
            if only in ("output", "result") or (only == "error" and value is not None):
                said, is_error = value, only == "error"
        text = said if isinstance(said, str) else as_json(said).decode()
        if text and response and said is not None:
            content.append(Text(text))
        for at, shown in enumerate(objects_of(result, "parts", path)):
            piece = self._part(shown, f"{path}.parts[{at}]")
            content.append(foreign_part(shown, as_json(shown)) if isinstance(piece, _NO_RESULT) else piece)
        return ToolResult(
            call_id=self._answered(text_at(result, "id", path), name or ""),
            content=tuple(content),
            name=name or None,
            is_error=is_error,
        )

    def _answered(self, given: str | None, name: str) -> str:
        """Return the id of the call that a result answers: as it says, else the first of its name that waits."""
        waiting = self._waiting.get(name)
        if given and (given in self._calls or not waiting):
            if waiting and waiting[0] == given:
                waiting.popleft()
            return given
        if waiting:
            return waiting.popleft()
        self._orphans += 1
        return f"result_{self._orphans}"

    def _blob(self, part: dict[str, Any], blob: dict[str, Any], path: str) -> Part:
        self._keep(part, ("inlineData", "thought"), "contents.parts")
        self._keep(blob, ("mimeType", "data"), "contents.parts.inlineData")
        media_type = needed_text(blob, "mimeType", path)
        return media_part(Inline(media_type, usual_base64(needed_text(blob, "data", path))), media_type)

    def _file(self, part: dict[str, Any], file: dict[str, Any], path: str) -> Part:
        self._keep(part, ("fileData", "thought"), "contents.parts")
        self._keep(file, ("mimeType", "fileUri"), "contents.parts.fileData")
        media_type = text_at(file, "mimeType", path) or None
        return media_part(source_at(needed_text(file, "fileUri", path), media_type), media_type)

    def _keep(self, members: dict[str, Any], known: tuple[str, ...], path: str) -> None:
        for name, value in members.items():
            if name not in known and value is not None:
                self._extra.setdefault(f"{path}.{name}", as_json(value))


_NO_RESULT = (ToolCall, ToolResult, Thinking, Video, Foreign)


def _speaker(part: Part, role: Role) -> Role:
    match part:
        case ToolResult():
            return "tool"
        case ToolCall() | Thinking():
            return "assistant"
        case _:
            return role


def _made_id(count: int, name: str) -> str:
    plain = "".join([char if char.isascii() and char.isalnum() else "_" for char in name[:_NAME_CHARS]])
    return f"call_{count}_{plain}"


def _refuse_part(part: dict[str, Any], path: str) -> NoReturn:
    refuse(path, part, 'a part with one of "text", "inlineData", "fileData", "functionCall", "functionResponse"')

"""Read one choice of an answer, whole or piece by piece: a message is a delta in which everything comes at once.

What surprised us: calls have no index, no id, no `arguments`, or all of them the same index 0; details of reasoning
come in fragments, the signature last; sound comes in pieces of base64 and ends without a finish; `finish_reason` is
`stop` although calls were made; Cloudflare's content is an object where JSON was asked for.
"""

import base64
import binascii
from typing import Any

from farthing.types.chat import (
    Audio,
    Citation,
    FinishReason,
    Foreign,
    Image,
    Inline,
    Refusal,
    Signature,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.wire.translators.borders import Borders
from farthing.wire.translators.openai_chat.media import readable_source, sound_type
from farthing.wire.translators.openai_chat.messages import citation_in
from farthing.wire.translators.openai_chat.thinking import (
    CONTENT,
    LISTED,
    REASONING,
    WIRE,
    detail_seal,
    detail_text,
    listed_text,
    sealed,
)
from farthing.wire.translators.protocol import NewId
from farthing.wire.translators.reading import as_json

FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "refusal": "refusal",
    "error": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}
"""What others say beside OpenAI's five: z.ai's `sensitive` and `network_error`, Mistral's `model_length`, and so on.
Whatever else there is, is a stop."""

_TEXT = Text("")
_THINKING = Thinking("")
_REFUSAL = Refusal("")
_CALL = ToolCall("call", "", "")
"""What a piece belongs to whose call is not open any more: refused by its key."""
MAX_CITED = 500
"""Citations of one text: the most in a recorded answer are 20, and each costs as much as all before it."""
_MAX_SEAL_MEMBERS = 32
"""Members of a detail of reasoning that its fragments may bring one by one: there are five."""
_LEGACY = -1
"""The index that a legacy `function_call` is given."""


class ChoiceReader:
    """Reads one choice; what it means is added to `events`."""

    __slots__ = (
        "_bare",
        "_call",
        "_calls",
        "_cited",
        "_ids",
        "_keys",
        "_new_id",
        "_seal",
        "_sound",
        "_thought",
        "borders",
        "reason",
    )

    def __init__(self, events: list[StreamEvent], choice: int, new_id: NewId) -> None:
        self.borders = Borders(events, choice)
        self.reason: object = None
        """What was given as the finish reason; text may come behind it (Baseten's does)."""
        self._new_id = new_id
        self._calls = 0
        self._cited = 0
        self._call = 0
        """The index of the call that pieces without one belong to."""
        self._keys: dict[int, tuple[int, int]] = {}
        self._ids: dict[int, str | None] = {}
        self._bare = False
        """Whether the open call has no arguments yet."""
        self._thought: object = None
        """What the open thought is: one of the names, or a detail's kind and index."""
        self._seal: dict[str, Any] = {}
        self._sound: _Sound | None = None

    def take(self, delta: dict[str, Any], logprobs: bytes | None = None) -> None:
        """Take a message or a piece of one."""
        if self.borders.finished:
            return
        self._think(delta)
        content = delta.get("content")
        if content:
            self._content(content, logprobs)
        elif logprobs is not None and isinstance(self.borders.open, Text):
            self.borders.grow(_TEXT, "", logprobs=logprobs)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._settle()
            self.borders.grow(_REFUSAL, refusal)
        if "annotations" in delta:
            self._annotations(delta["annotations"])
        if "audio" in delta:
            self._hear(delta["audio"])
        if "images" in delta:
            self._pictures(delta["images"])
        calls = delta.get("tool_calls")
        if calls and isinstance(calls, list):
            for call in calls:
                if isinstance(call, dict):
                    self._tool_call(call)
        legacy = delta.get("function_call")
        if legacy and isinstance(legacy, dict):
            self._tool_call({"index": _LEGACY, "function": legacy})
        seal = delta.get("extra_content")
        if isinstance(seal, dict) and (part := self.borders.open) is not None and not isinstance(part, Thinking):
            self.borders.seal(Signature(WIRE, as_json(seal).decode()))

    def finish(self, citations: list[Citation]) -> None:
        """End the choice; calls that were made count for more than a `stop`, or than no reason at all."""
        if self.borders.finished:
            return
        self._settle()
        for citation in citations:
            self.borders.cite(citation)
        self._end_sound()
        known = FINISHES.get(self.reason, "stop") if isinstance(self.reason, str) else "stop"
        if known == "stop":
            known = "refusal" if isinstance(self.borders.open, Refusal) else "tool_calls" if self._calls else "stop"
        self.borders.finish(known)

    # ---- text and thoughts

    def _content(self, content: object, logprobs: bytes | None) -> None:
        if self._bare:
            self._settle()
        if isinstance(content, str):
            self.borders.grow(_TEXT, content, logprobs=logprobs)
        elif isinstance(content, list):
            for part in content:
                self._part(part)
        elif isinstance(content, dict):
            self.borders.grow(_TEXT, as_json(content).decode())

    def _part(self, part: object) -> None:
        if not isinstance(part, dict):
            return
        text = part.get("text")
        match part.get("type"):
            case "text":
                if text and isinstance(text, str):
                    self.borders.grow(_TEXT, text)
            case "thinking":
                if thought := listed_text(part.get("thinking")):
                    self._grow_thought(thought, LISTED.value, LISTED)
            case str(kind):
                self.borders.whole(Foreign(WIRE, kind, as_json(part)))

    def _think(self, delta: dict[str, Any]) -> None:
        details = delta.get("reasoning_details")
        if details and isinstance(details, list):
            told = self.borders.count, len(self.borders.events)
            for detail in details:
                if isinstance(detail, dict):
                    self._detail(detail)
            if told != (self.borders.count, len(self.borders.events)):
                return
        text = delta.get("reasoning_content")
        signature = CONTENT
        if not text:
            text, signature = delta.get("reasoning"), REASONING
        if text and isinstance(text, str):
            self._grow_thought(text, signature.value, signature)

    def _grow_thought(self, text: str, thought: object, signature: Signature) -> None:
        borders = self.borders
        if isinstance(borders.open, Thinking) and self._thought == thought:
            borders.grow(_THINKING, text)
            return
        self._settle()
        borders.end()
        borders.grow(_THINKING, text)
        borders.seal(signature)
        self._thought = thought

    def _detail(self, detail: dict[str, Any]) -> None:
        """Take a detail of reasoning, or a fragment of one; its signature may come after its text."""
        text, seal = detail_text(detail), detail_seal(detail)
        thought = (detail.get("type"), detail.get("index"))
        is_open = isinstance(self.borders.open, Thinking) and self._thought == thought
        if text:
            if not is_open:
                self._seal = {}
                self._grow_thought(text, thought, sealed(seal))
            else:
                self.borders.grow(_THINKING, text)
        elif "data" in seal or ("signature" in seal and not is_open):
            self._settle()
            self.borders.whole(Thinking("", sealed(seal), redacted=True))
            return
        if not seal.keys() <= self._seal.keys() and (text or is_open) and len(self._seal) < _MAX_SEAL_MEMBERS:
            self._seal = dict(sorted((self._seal | seal).items()))
            self.borders.seal(sealed(self._seal))

    # ---- calls

    def _tool_call(self, call: dict[str, Any]) -> None:
        """Take a call or a piece of one.

        One begins with an index that is new, or with a name and an id that are: some servers give every call the
        index 0, others leave it out.
        """
        custom = "custom" in call and "function" not in call  # only a call's first piece says its type
        held = call.get("custom" if custom else "function")
        held = held if isinstance(held, dict) else {}
        name, call_id, index = held.get("name"), call.get("id"), call.get("index")
        name = name if isinstance(name, str) else ""
        call_id = call_id if call_id and isinstance(call_id, str) else None
        if not isinstance(index, int) or isinstance(index, bool):
            index = self._call if call_id is None and not name else self._calls
        begins = index not in self._keys or (bool(name) and call_id is not None and call_id != self._ids[index])
        given = held.get("input" if custom else "arguments")
        if isinstance(given, dict):
            given = as_json(given).decode()
        text = given if isinstance(given, str) else ""
        if begins:
            self._settle()
            self._calls += 1
            self._call, self._ids[index] = index, call_id
            self._keys[index] = (index, self._calls)
            began = ToolCall(call_id or self._new_id("call_"), name, "", custom)
            self.borders.grow(began, text, key=self._keys[index])
            self._bare = not custom
        else:
            part = self.borders.open if isinstance(self.borders.open, ToolCall) else _CALL
            self.borders.grow(part, text, key=self._keys[index])
        if text:
            self._bare = False
        seal = call.get("extra_content")
        if isinstance(seal, dict):
            self.borders.seal(Signature(WIRE, as_json(seal).decode()))

    def _settle(self) -> None:
        """Give the open call the arguments that it never got: an empty object."""
        if self._bare:
            self._bare = False
            part = self.borders.open
            if isinstance(part, ToolCall):
                self.borders.grow(part, "{}", key=self._keys[self._call])

    # ---- what few answers have

    def _annotations(self, annotations: object) -> None:
        if isinstance(annotations, list) and self._cited < MAX_CITED:
            for found in annotations[: MAX_CITED - self._cited]:
                self._cited += 1
                if (citation := citation_in(found)) is not None:
                    self.borders.cite(citation)

    def _hear(self, audio: object) -> None:
        if isinstance(audio, dict):
            if self._sound is None:
                self._sound = _Sound()
            self._sound.take(audio)

    def _end_sound(self) -> None:
        if self._sound is not None:
            self.borders.whole(self._sound.whole())
            self._sound = None

    def _pictures(self, images: object) -> None:
        """Take OpenRouter's pictures."""
        for image in images if isinstance(images, list) else ():
            holder = image.get("image_url") if isinstance(image, dict) else None
            url = holder.get("url") if isinstance(holder, dict) else None
            if isinstance(url, str) and (source := readable_source(url)) is not None:
                self._settle()
                self.borders.whole(Image(source))


class _Sound:
    """Sound that comes in pieces; whoever hands them on bounds how many."""

    __slots__ = ("_data", "_id", "_transcript")

    def __init__(self) -> None:
        self._id: str | None = None
        self._data: list[str] = []
        self._transcript: list[str] = []

    def take(self, audio: dict[str, Any]) -> None:
        """Take a piece."""
        found, data, transcript = audio.get("id"), audio.get("data"), audio.get("transcript")
        if found and isinstance(found, str):
            self._id = found
        if data and isinstance(data, str):
            self._data.append(data)
        if transcript and isinstance(transcript, str):
            self._transcript.append(transcript)

    def whole(self) -> Audio:
        """Return all of it."""
        data = "".join(self._data)
        if "=" in data[:-2]:
            data = _joined(self._data)
        source = Inline(sound_type(data), data) if data else None
        return Audio(source, "".join(self._transcript) or None, self._id)


def _joined(pieces: list[str]) -> str:
    """Return one base64 text of several that were padded each for itself."""
    try:
        return base64.b64encode(b"".join([base64.b64decode(piece) for piece in pieces])).decode()
    except (binascii.Error, ValueError):
        return ""

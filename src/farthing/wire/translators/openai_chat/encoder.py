"""Write streams of chunks, event for event as OpenAI's clients expect them.

Each choice begins with a chunk that has the role; usage comes in a chunk of its own, and only for who asked for it; the
others say `usage: null` then. What is the same in every chunk is encoded once.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    Audio,
    Closed,
    Finished,
    Image,
    Opened,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.wire import openai_choices
from farthing.wire.translators.openai_chat.answers import cited, finish_word, written_audio, written_call, written_image
from farthing.wire.translators.openai_chat.usage_words import written_usage
from farthing.wire.translators.protocol import Asked

_encode = msgspec.json.encode
_ROLE = b'{"role":"assistant","content":"","refusal":null}'
_NAMES: dict[type[Part], bytes] = {Text: b"content", Thinking: b"reasoning_content", Refusal: b"refusal"}


class _Written:
    """What has been written of one choice."""

    __slots__ = ("calls", "growing", "length", "refused")

    def __init__(self) -> None:
        self.calls = 0
        self.length = 0
        """Characters of text in parts that are over."""
        self.growing: tuple[bytes, bytes] = (b"", b"")
        """What stands around the text that grows."""
        self.refused = False


class ChatStreamEncoder:
    """See `StreamEncoder`."""

    __slots__ = ("_after", "_asked", "_before", "_choices", "_legacy", "_with_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._legacy = asked.request.legacy_functions
        self._with_usage = asked.request.usage_in_stream
        self._choices: dict[int, _Written] = {}
        self._before = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
            _encode(f"chatcmpl-{asked.answer_id}"),
            asked.created_s,
            _encode(asked.model),
        )
        self._after = b'],"usage":null}\n\n' if self._with_usage else b"]}\n\n"

    def write(self, event: StreamEvent) -> bytes:
        """See `StreamEncoder.write`."""
        match event:
            case PartGrew():
                before, after = self._of(event.choice).growing
                if not before:
                    return b""
                delta = before + _encode(event.text) + after
                if event.logprobs is None:
                    return self._chunk(event.choice, delta)
                return self._chunk(event.choice, delta, b'{"content":%b,"refusal":null}' % event.logprobs)
            case PartBegan():
                return self._began(event)
            case PartEnded():
                return self._ended(event)
            case Opened():
                return self._role(0)
            case Finished():
                opening = self._role(event.choice)
                refused = self._choices[event.choice].refused
                word = finish_word(event.reason, refused=refused, legacy=self._legacy)
                return opening + self._chunk(event.choice, b"{}", reason=b'"%b"' % word.encode())
            case Closed():
                return self._closed(event)

    def error(self, code: str, message: str) -> bytes:
        """See `StreamEncoder.error`."""
        return openai_choices.error_event(code, message)

    def _of(self, choice: int) -> _Written:
        written = self._choices.get(choice)
        if written is None:
            written = self._choices[choice] = _Written()
        return written

    def _role(self, choice: int) -> bytes:
        """Return the chunk that a choice begins with; nothing where it has begun."""
        if choice in self._choices:
            return b""
        self._of(choice)
        return self._chunk(choice, _ROLE)

    def _chunk(self, choice: int, delta: bytes, logprobs: bytes = b"null", reason: bytes = b"null") -> bytes:
        return b'%b{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}%b' % (
            self._before,
            choice,
            delta,
            logprobs,
            reason,
            self._after,
        )

    def _began(self, event: PartBegan) -> bytes:
        opening = self._role(event.choice)
        written, part = self._choices[event.choice], event.part
        if isinstance(part, ToolCall):
            return opening + self._call(event.choice, written, part)
        name = _NAMES.get(type(part))
        written.growing = (b"", b"") if name is None else (b'{"%b":' % name, b"}")
        written.refused = written.refused or isinstance(part, Refusal)
        return opening

    def _call(self, choice: int, written: _Written, call: ToolCall) -> bytes:
        if self._legacy:
            # A legacy client can be told of one call alone.
            written.growing = (b'{"function_call":{"arguments":', b"}}") if written.calls == 0 else (b"", b"")
            written.calls += 1
            began: Any = {"function_call": {"name": call.name, "arguments": ""}}
            return self._chunk(choice, _encode(began)) if written.calls == 1 else b""
        kind, grows = (b"custom", b"input") if call.custom else (b"function", b"arguments")
        written.growing = (b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (written.calls, kind, grows), b"}}]}")
        whole = written_call(call)
        whole[kind.decode()][grows.decode()] = ""
        began = {"tool_calls": [{"index": written.calls, **whole}]}
        written.calls += 1
        return self._chunk(choice, _encode(began))

    def _ended(self, event: PartEnded) -> bytes:
        written, part = self._of(event.choice), event.part
        delta: dict[str, Any] | None = None
        match part:
            case Text():
                annotations = cited(part, written.length) if part.citations else None
                written.length += len(part.text)
                delta = {"annotations": annotations} if annotations else None
            case Audio():
                delta = {"audio": written_audio(part, self._asked)}
            case Image():
                image = written_image(part)
                delta = None if image is None else {"images": [image]}
            case _:
                pass
        written.growing = (b"", b"")
        return b"" if delta is None else self._chunk(event.choice, _encode(delta))

    def _closed(self, event: Closed) -> bytes:
        usage = written_usage(event.usage) if self._with_usage else None
        if usage is None:
            return b"data: [DONE]\n\n"
        return b'%b],"usage":%b}\n\ndata: [DONE]\n\n' % (self._before, _encode(usage))

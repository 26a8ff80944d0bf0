"""Gemini's streams: read from its providers, and written for its clients.

What surprised us: every chunk is a whole answer with a piece of text; a call comes whole in one part, without an id;
old models finish every chunk, so that a finish holds only once the stream is over; the signature of a text comes on an
empty piece of it, or on its last. A stream is events (CRLF), or one JSON array where the client did not ask for them.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    Closed,
    Finished,
    FinishReason,
    Foreign,
    Inline,
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
from farthing.wire.gemini import error_event
from farthing.wire.json_array import ArraySplitter, element_of
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import ABSENT
from farthing.wire.sse import EventSplitter, event_data
from farthing.wire.translators.borders import Borders
from farthing.wire.translators.gemini.candidates import (
    FINISHES,
    candidate_of,
    final_reason,
    read_reason,
    usage_metadata,
    written_part,
)
from farthing.wire.translators.gemini.chunks import Candidate, ChunkPart, read_chunk
from farthing.wire.translators.gemini.grounding import Grounding, citations_of, grounding_metadata
from farthing.wire.translators.gemini.logprobs import Logprobs, logprobs_result, usual_logprobs
from farthing.wire.translators.gemini.names import (
    STAND_IN,
    media_part,
    signature_of,
    signature_text,
    source_at,
    usual_base64,
)
from farthing.wire.translators.protocol import Asked, NewId

MAX_CANDIDATES = 64
"""Answers at once that are read; Google gives at most 8."""
_TEXT = Text("")
_THOUGHT = Thinking("")


class _Speaker:
    """One candidate of a stream."""

    __slots__ = ("_borders", "_new_id", "_sealed", "_sources", "_texts", "called", "reason")

    def __init__(self, events: list[StreamEvent], choice: int, new_id: NewId) -> None:
        self.reason: FinishReason | None = None
        self.called = False
        self._borders = Borders(events, choice)
        self._new_id = new_id
        self._sealed = False
        self._sources: list[Grounding] = []
        self._texts: list[str] = []

    def take(self, candidate: Candidate) -> None:
        """Take what one chunk says of this candidate."""
        logprobs = None if candidate.logprobsResult is ABSENT else _logprobs(candidate.logprobsResult)
        parts = (candidate.content.parts or ()) if candidate.content is not None else ()
        sourced = -1
        if candidate.groundingMetadata is not ABSENT or candidate.citationMetadata is not ABSENT:
            # Sources stand behind all the parts: they belong to the last text among them, or to the one that is open.
            sourced = max((at for at, part in enumerate(parts) if part.text and not part.thought), default=0)
            if sourced == 0:
                self._sources.append(Grounding(candidate.groundingMetadata, candidate.citationMetadata))
        for at, part in enumerate(parts):
            if at == sourced > 0:
                self._sources.append(Grounding(candidate.groundingMetadata, candidate.citationMetadata))
            if part.text is not None:
                self._take_text(part, logprobs)
                logprobs = logprobs if part.thought else None
            else:
                self._take_whole(part)
        if (reason := read_reason(candidate.finishReason)) is not None:
            self.reason = reason

    def finish(self, otherwise: FinishReason) -> None:
        """Say that the candidate is whole."""
        self.settle()
        self._borders.finish(final_reason(self.reason or otherwise, called=self.called))

    def settle(self) -> None:
        """End the open part, with what is known of its sources."""
        if self._sources and isinstance(self._borders.open, Text):
            for citation in citations_of(self._sources, "".join(self._texts)):
                self._borders.cite(citation)
            self._sources = []
        self._texts, self._sealed = [], False
        self._borders.end()

    def _take_text(self, part: ChunkPart, logprobs: bytes | None) -> None:
        text, borders = part.text or "", self._borders
        signature = signature_of(part.thoughtSignature) if part.thoughtSignature else None
        if part.thought:
            if text or signature is not None:
                if self._texts or self._sealed:
                    self.settle()
                borders.grow(_THOUGHT, text)
            if signature is not None:
                borders.seal(signature)
                self.settle()
            return
        if not text and signature is None and logprobs is None:
            return
        if self._sealed:
            self.settle()
        borders.grow(_TEXT, text, logprobs=logprobs)
        self._texts.append(text)
        if signature is not None:
            borders.seal(signature)
            self._sealed = True  # and still open: its sources may come in the same chunk

    def _take_whole(self, given: ChunkPart) -> None:
        call = given.functionCall
        if call is not None:
            if call.name:
                self.settle()
                self.called = True
                signature = signature_of(given.thoughtSignature)
                made = call.id or self._new_id("call_")
                self._borders.whole(ToolCall(made, call.name, call.arguments(), signature=signature))
            return
        part = _part(given)
        if part is not None:
            self.settle()
            self._borders.whole(part)


def _part(given: ChunkPart) -> Part | None:
    """Return a part that is neither text nor a call."""
    if given.inlineData is not None and given.inlineData.data:
        media_type = given.inlineData.mimeType or "application/octet-stream"
        return media_part(Inline(media_type, usual_base64(given.inlineData.data)), media_type)
    if given.fileData is not None and given.fileData.fileUri:
        return media_part(source_at(given.fileData.fileUri, given.fileData.mimeType), given.fileData.mimeType)
    signature = signature_of(given.thoughtSignature)
    kind, raw = given.foreign()
    if kind:
        sealed = b"" if signature is None else b',"thoughtSignature":%b' % msgspec.json.encode(signature.value)
        return Foreign("gemini", kind, b'{"%b":%b%b}' % (kind.encode(), raw, sealed))
    if signature is not None:
        return Thinking("", signature) if given.thought else Text("", signature=signature)
    return None


def _logprobs(raw: msgspec.Raw) -> bytes | None:
    try:
        return usual_logprobs(msgspec.json.decode(raw, type=Logprobs))
    except UNREADABLE:
        return None


class GeminiStreamDecoder:
    """See `StreamDecoder`."""

    __slots__ = ("_array", "_blocked", "_events", "_new_id", "_opened", "_speakers", "_splitter")

    def __init__(self, new_id: NewId) -> None:
        self._array: ArraySplitter | None = None
        self._blocked = False
        self._events: list[StreamEvent] = []
        self._new_id = new_id
        self._opened = False
        self._speakers: dict[int, _Speaker] = {}
        self._splitter: EventSplitter | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See `StreamDecoder.feed`."""
        if data[:7] == b"data: {" and data[-4:] == b"\r\n\r\n" and data.find(b"\n") == len(data) - 3:
            self.take(data[6:-4])
        else:
            for piece in self._pieces(data):
                self.take(piece)
        return self._told()

    def rest(self) -> list[StreamEvent]:
        """See `StreamDecoder.rest`."""
        if self._splitter is not None and (left := event_data(self._splitter.rest())):
            self.take(left)
        for _, speaker in sorted(self._speakers.items()):
            speaker.finish("content_filter" if self._blocked else "stop")
        if self._blocked and not self._speakers:
            Borders(self._events).finish("content_filter")
        return self._told()

    def take(self, data: bytes) -> None:
        """Take one chunk; what it says is told by the next `feed` or `rest`."""
        chunk = read_chunk(data)
        if not self._opened and (chunk.candidates or chunk.responseId or chunk.promptFeedback):
            self._opened = True
            self._events.append(Opened(chunk.responseId, chunk.modelVersion))
        for at, candidate in enumerate(chunk.candidates or ()):
            index = at if candidate.index is None else candidate.index
            speaker = self._speakers.get(index)
            if speaker is None:
                if not 0 <= index < MAX_CANDIDATES:
                    continue
                speaker = self._speakers[index] = _Speaker(self._events, index, self._new_id)
            speaker.take(candidate)
        if chunk.promptFeedback is not None and chunk.promptFeedback.blockReason:
            self._blocked = True

    def _told(self) -> list[StreamEvent]:
        told = self._events.copy()
        self._events.clear()
        return told

    def _pieces(self, data: bytes) -> list[bytes]:
        """Return the chunks in `data`: of events, or of an array, as its first byte tells."""
        if self._splitter is None and self._array is None:
            data = data.lstrip()
            if not data:
                return []
            if data[:1] in (b"[", b"{"):
                self._array = ArraySplitter(lone=data[:1] == b"{")
            else:
                self._splitter = EventSplitter()
        if self._array is not None:
            elements, _ = self._array.feed(data)
            return [element_of(element) for element in elements]
        assert self._splitter is not None
        return [found for event in self._splitter.feed(data) if (found := event_data(event))]


class GeminiStreamEncoder:
    """See `StreamEncoder`. The end of each candidate is told with the usage: nothing may follow a finish."""

    __slots__ = ("_array", "_asked", "_began", "_kinds", "_reasons", "_said", "_signed", "_tail", "_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._array = asked.array
        self._began = False
        self._kinds: dict[int, bytes] = {}
        self._reasons: dict[int, FinishReason] = {}
        self._said: dict[int, str] = {}
        self._signed: set[int] = set()
        self._tail = self._tail_of(asked.model)
        estimate = asked.input_tokens_estimate
        self._usage = b',"usageMetadata":{"promptTokenCount":%d,"totalTokenCount":%d}' % (estimate, estimate)

    def write(self, event: StreamEvent) -> bytes:
        """See `StreamEncoder.write`."""
        match event:
            case PartGrew():
                return self._grown(event)
            case PartBegan():
                self._kinds[event.choice] = _ENDS_OF_TEXT.get(type(event.part), b"")
                return b""
            case PartEnded():
                return self._ended(event)
            case Finished():
                self._reasons[event.choice] = event.reason
                return b""
            case Opened():
                self._tail = self._tail_of(event.model or self._asked.model)
                return b""
            case Closed():
                return self._closed(event)

    def error(self, code: str, message: str) -> bytes:
        """See `StreamEncoder.error`."""
        event = error_event(code, message)
        if not self._array:
            return event
        return (b",\r\n%b]\n" if self._began else b"[%b]\n") % event[6:-4]

    def _tail_of(self, model: str) -> bytes:
        name, made = msgspec.json.encode(model), msgspec.json.encode(self._asked.answer_id)
        return b',"modelVersion":%b,"responseId":%b}' % (name, made)

    def _grown(self, event: PartGrew) -> bytes:
        end = self._kinds.get(event.choice)
        if not end:
            return b""  # a call's arguments are told when they are whole
        more = b""
        if event.logprobs is not None and (result := logprobs_result(event.logprobs)) is not None:
            more = b',"logprobsResult":%b' % msgspec.json.encode(result)
        return self._chunk(event.choice, b'{"text":%b%b' % (msgspec.json.encode(event.text), end), more)

    def _ended(self, event: PartEnded) -> bytes:
        part, choice = event.part, event.choice
        if isinstance(part, Text):
            return self._sealed_text(part, choice)
        self._said.pop(choice, None)
        if isinstance(part, Thinking):
            signature = signature_text(part.signature)
            if signature is None:
                return b""
            sealed = {"text": "", "thought": True, "thoughtSignature": signature}
            return self._chunk(choice, msgspec.json.encode(sealed))
        if isinstance(part, Refusal):
            return b""
        written = written_part(part, stand_in=STAND_IN if choice not in self._signed else None)
        if isinstance(part, ToolCall):
            self._signed.add(choice)
        return b"" if written is None else self._chunk(choice, msgspec.json.encode(written))

    def _sealed_text(self, part: Text, choice: int) -> bytes:
        signature = signature_text(part.signature)
        before = self._said.get(choice, "")
        self._said[choice] = before + part.text if signature is None else ""
        more = b""
        if part.citations and (grounding := grounding_metadata(part.citations, part.text, before)) is not None:
            more = b',"groundingMetadata":%b' % msgspec.json.encode(grounding)
        if signature is None and not more:
            return b""
        sealed = {"text": ""} | ({"thoughtSignature": signature} if signature is not None else {})
        return self._chunk(choice, msgspec.json.encode(sealed), more)

    def _closed(self, event: Closed) -> bytes:
        if not self._reasons:
            return b"" if not self._array else (b"]\n" if self._began else b"[]\n")
        candidates: list[dict[str, Any]] = [
            candidate_of([{"text": ""}], index, FINISHES[reason]) for index, reason in sorted(self._reasons.items())
        ]
        last: dict[str, Any] = {"candidates": candidates}
        if (counted := usage_metadata(event.usage)) is not None:
            last["usageMetadata"] = counted
        return self._framed(msgspec.json.encode(last)[:-1] + self._tail) + (b"]\n" if self._array else b"")

    def _chunk(self, choice: int, part: bytes, more: bytes = b"") -> bytes:
        usage, self._usage = self._usage, b""
        return self._framed(
            b'{"candidates":[{"content":{"parts":[%b],"role":"model"},"index":%d%b}]%b%b'
            % (part, choice, more, usage, self._tail)
        )

    def _framed(self, chunk: bytes) -> bytes:
        began, self._began = self._began, True
        if not self._array:
            return b"data: %b\r\n\r\n" % chunk
        return (b",\r\n%b" if began else b"[%b") % chunk


_ENDS_OF_TEXT: dict[type, bytes] = {Text: b"}", Refusal: b"}", Thinking: b',"thought":true}'}

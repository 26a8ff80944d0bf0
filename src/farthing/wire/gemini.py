"""Gemini: generateContent and streamGenerateContent, and what embedContent says about itself.

What surprised us: a stream comes as events (CRLF, no last event of its own) or, unless the client asks for `alt=sse`,
as one JSON array. Usage is in every chunk and cumulative, and counts that are 0 are left out, as are whole prompts made
of a PDF or a video, which show in the total alone. Thoughts and the results of server tools are beside the two main
counts and not in them. Old models finish every chunk, so that a finish is no end. Some clients ask for enums as
numbers.
"""

from typing import Any

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire.gemini_usage import billed_searches, read_usage, service_tier
from farthing.wire.json_array import ArraySplitter, element_of, elements_of
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import (
    ABSENT,
    MAX_TEXT,
    OnText,
    Reading,
    decode_exact,
    error_status,
    error_text,
    present,
)
from farthing.wire.sse import EventSplitter, event_data

MAX_SEARCHES = 1_024
"""Distinct queries of one answer that are remembered; the most that was recorded is 3."""
_USUAL = UsageHabits()
_COUNTED = frozenset(
    {
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "toolUsePromptTokenCount",
        "cachedContentTokenCount",
        "totalTokenCount",
        "promptTokensDetails",
        "promptTokenDetails",  # as embedContent spells it
        "cacheTokensDetails",
        "candidatesTokensDetails",
        "toolUsePromptTokensDetails",
        "serviceTier",
        "trafficType",
    }
)
_WRITTEN = ("candidatesTokenCount", "thoughtsTokenCount")
_UNFINISHED = (None, "", 0, "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")
_CRLF = b"\r\n\r\n"
_NULL = msgspec.Raw(b"null")


class _Call(msgspec.Struct, gc=False):
    name: str | None = None
    args: msgspec.Raw = ABSENT


class _Code(msgspec.Struct, gc=False):
    code: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    toolType: str | None = None  # noqa: N815 - the wire's names here and below
    args: msgspec.Raw = ABSENT


class _Part(msgspec.Struct, gc=False):
    text: str | None = None
    functionCall: _Call | None = None  # noqa: N815
    executableCode: _Code | None = None  # noqa: N815
    toolCall: _ToolCall | None = None  # noqa: N815
    inlineData: msgspec.Raw = ABSENT  # noqa: N815
    codeExecutionResult: msgspec.Raw = ABSENT  # noqa: N815


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Grounding(msgspec.Struct, gc=False):
    webSearchQueries: list[str] | None = None  # noqa: N815
    imageSearchQueries: list[str] | None = None  # noqa: N815


class _Candidate(msgspec.Struct, gc=False):
    content: _Content | None = None
    finishReason: str | int | None = None  # noqa: N815
    index: int | None = None
    groundingMetadata: _Grounding | None = None  # noqa: N815


class _Feedback(msgspec.Struct, gc=False):
    blockReason: str | int | None = None  # noqa: N815


class _Answer(msgspec.Struct, gc=False):
    """A whole answer or one chunk; everything is optional because what is empty is left out."""

    candidates: list[_Candidate] | None = None
    usageMetadata: dict[str, msgspec.Raw] | None = None  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    promptFeedback: _Feedback | None = None  # noqa: N815
    error: msgspec.Raw = ABSENT
    embedding: msgspec.Raw = ABSENT
    embeddings: msgspec.Raw = ABSENT


_answers = msgspec.json.Decoder(_Answer)
_anything = msgspec.json.Decoder()


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = _USUAL) -> Reading:  # noqa: ARG001 - nobody has any here
    """Read a whole answer, or a stream's array that came whole; `on_text` is told its text where it has no usage."""
    books = _Books()
    chunks = [chunk for raw in _elements(body) if (chunk := _decode(raw)) is not None]
    for chunk in chunks:
        books.note(chunk)
    reading = books.reading(finished=books.answered)
    if reading.usage is None:
        for chunk in chunks:
            for candidate in chunk.candidates or ():
                _tell(candidate, on_text)
    return reading


def error_event(code: str, message: str) -> bytes:
    """Return the event that tells a client that its stream ended badly."""
    return b"data: %b\r\n\r\n" % _error(code, message)


class GenerateStreamMeter:
    """Reads a stream while it flows by, as events, as an array, or as the one object that came instead.

    See `StreamMeter`. Only the array has an end of its own: old models finish every chunk, so that a finished event may
    not be the last.
    """

    __slots__ = (
        "_array",
        "_books",
        "_events",
        "_lone",
        "_on_text",
        "_said_since_usage",
        "failed",
        "has_output",
        "terminal",
    )

    def __init__(self, on_text: OnText, habits: UsageHabits = _USUAL, *, strip_usage: bool = False) -> None:  # noqa: ARG002 - the format tells usage unasked, and nobody has habits in it
        self.has_output = False
        self.terminal = False
        self.failed = False
        self._array: ArraySplitter | None = None
        self._books = _Books()
        self._events: EventSplitter | None = None
        self._lone = False
        self._on_text = on_text
        self._said_since_usage = False

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        events = self._events
        if events is not None:
            size = len(data)
            if (
                data[:7] == b"data: {"
                and data[-4:] == _CRLF
                and data.find(b"\n") == size - 3
                and data.find(b"\r") == size - 4
                and not events.held
            ):
                self._read(data[6:-4])  # one whole event, as nearly always while a stream flows
                return data
            whole = events.feed(data)
            for event in whole:
                self._read(event_data(event))
            return whole[0] if len(whole) == 1 else b"".join(whole)
        if self._array is None:
            return self._begin(data)
        elements, after = self._array.feed(data)
        for element in elements:
            self._read(element_of(element))
        if self._array.closed:
            # An array that closes although nothing was finished was cut by somebody who is polite.
            self.terminal = self.terminal or self.reading().finished
        return b"".join((*elements, after))

    def rest(self) -> bytes:
        """See `StreamMeter.rest`. What is left of an array is no whole element, and is nothing to read."""
        if self._events is None:
            return b"" if self._array is None else self._array.rest()
        rest = self._events.rest()
        if rest:
            self._read(event_data(rest))
        return rest

    def reading(self) -> Reading:
        """See `StreamMeter.reading`. With several candidates every one that has begun must have finished."""
        books = self._books
        finished = books.finished or (self._lone and books.answered)
        return books.reading(finished=finished, usage_final=not self._said_since_usage)

    def error_event(self, code: str, message: str) -> bytes:
        """Return what tells the client that this stream ended badly: an event, or the array's last element."""
        if self._array is None:
            return error_event(code, message)
        error = _error(code, message)
        if self._lone:
            return b"" if self._array.begun else error
        return b"%b%b]\n" % (b",\r\n" if self._array.begun else b"[", error)

    def _begin(self, data: bytes) -> bytes:
        """Tell by the first byte that is no white space which of the two this is."""
        begun = data.lstrip()
        if not begun:
            return data
        if begun[:1] in (b"[", b"{"):
            self._lone = begun[:1] == b"{"
            self._array = ArraySplitter(lone=self._lone)
        else:
            self._events = EventSplitter()
        return data[: len(data) - len(begun)] + self.feed(begun)

    def _read(self, data: bytes) -> None:
        if not data:
            return
        chunk = _decode(data)
        if chunk is None:
            return
        books = self._books
        counted = books.note(chunk)
        if counted:
            self._said_since_usage = False
        if books.error is not None:
            # Nothing comes after an error, and Google's own client hangs up when it has seen one.
            self.failed = self.has_output = self.terminal = True
        for candidate in chunk.candidates or ():
            if _tell(candidate, self._on_text):
                self.has_output = True
                self._said_since_usage = not counted
        if not self.has_output and books.finished:
            self.has_output = True


class _Books:
    """The parts of an answer that say something about it; what a later chunk leaves out stays as it was."""

    __slots__ = ("_begun", "_blocked", "_ended", "_searches", "_silent", "_usage", "answered", "error", "model")

    def __init__(self) -> None:
        self.answered = False
        self.error: bytes | None = None
        self.model: str | None = None
        self._begun: set[int] = set()
        self._blocked = False
        self._ended: set[int] = set()
        self._searches: set[str] = set()
        self._silent = False
        self._usage: dict[str, msgspec.Raw] = {}

    @property
    def finished(self) -> bool:
        """Whether every candidate that has begun has finished, or the prompt was blocked."""
        return self._blocked or (bool(self._ended) and self._begun <= self._ended)

    def note(self, chunk: _Answer) -> bool:
        """Take what an answer or a chunk says; whether it counted what was written so far."""
        if chunk.modelVersion:
            self.model = chunk.modelVersion
        ended = False
        for candidate in chunk.candidates or ():
            self.answered = True
            index = candidate.index or 0
            self._begun.add(index)
            if candidate.finishReason not in _UNFINISHED:
                self._ended.add(index)
                ended = True
            if candidate.groundingMetadata is not None:
                self._searched(candidate.groundingMetadata.webSearchQueries)
                self._searched(candidate.groundingMetadata.imageSearchQueries)
            for part in (candidate.content.parts or ()) if candidate.content is not None else ():
                if part.toolCall is not None and (part.toolCall.toolType or "").startswith("GOOGLE_SEARCH"):
                    # An answer that stops for a function of the client's has searched and grounds nothing yet.
                    args = decode_exact(bytes(part.toolCall.args))
                    self._searched(args.get("queries") if isinstance(args, dict) else None)
        if chunk.promptFeedback is not None and chunk.promptFeedback.blockReason not in _UNFINISHED:
            self.answered = self._blocked = ended = True
        if chunk.error is not ABSENT and present(chunk.error) is not None:
            self.error = present(chunk.error)
        if chunk.embedding is not ABSENT or chunk.embeddings is not ABSENT:
            self.answered = self._silent = True
        usage = chunk.usageMetadata
        if not usage:
            return False
        for name, raw in usage.items():
            if name in _COUNTED and raw != _NULL:
                self._usage[name] = raw
        # A chunk in the middle may count the prompt alone, which says nothing of the text beside it.
        return ended or _WRITTEN[0] in usage or _WRITTEN[1] in usage

    def reading(self, *, finished: bool, usage_final: bool = True) -> Reading:
        usage = {name: decode_exact(bytes(raw)) for name, raw in self._usage.items()}
        error = decode_exact(self.error) if self.error is not None else None
        code, message = _code_and_text(error) if self.error is not None else (None, None)
        return Reading(
            usage=read_usage(usage, billed_searches(self._searches, self.model), silent=self._silent or self._blocked),
            usage_final=usage_final,
            model_served=self.model,
            service_tier=service_tier(usage),
            finished=finished,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )

    def _searched(self, queries: Any) -> None:
        if isinstance(queries, list) and queries and len(self._searches) < MAX_SEARCHES:
            self._searches.update(q for q in queries[:MAX_SEARCHES] if isinstance(q, str) and q.strip())


def _tell(candidate: _Candidate, on_text: OnText) -> bool:
    """Tell `on_text` what a candidate says; whether it says anything."""
    said = False
    if candidate.content is None:
        return False
    for part in candidate.content.parts or ():
        text = part.text
        if text:
            said = True
            on_text(text)
            continue
        if part.functionCall is not None:
            said = True
            call = part.functionCall
            on_text((call.name or "") + _text_of(call.args))
        elif part.executableCode is not None:
            said = True
            on_text(part.executableCode.code or "")
        elif part.toolCall is not None:
            said = True
            on_text(_text_of(part.toolCall.args))
        elif part.inlineData is not ABSENT or part.codeExecutionResult is not ABSENT:
            said = True  # pictures, sound and what a tool printed are nothing to estimate from
    return said


def _text_of(raw: msgspec.Raw) -> str:
    return "" if raw is ABSENT else bytes(raw).decode("utf-8", "replace")


def _code_and_text(error: Any) -> tuple[str, str]:
    """Return code and message of an error; Google's `status` says more than its number."""
    code, message = error_text(error)
    status = error.get("status") if isinstance(error, dict) else None
    return (status[:MAX_TEXT] if isinstance(status, str) and status else code), message


def _error(code: str, message: str) -> bytes:
    number, status = (504, "DEADLINE_EXCEEDED") if code == "provider_timeout" else (502, "UNAVAILABLE")
    return msgspec.json.encode(
        {
            "error": {
                "code": number,
                "message": message,
                "status": status,
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "farthing"}
                ],
            }
        }
    )


def _elements(body: bytes) -> list[bytes]:
    """Return the one object of a body, or the elements of its array."""
    return elements_of(body) if body.lstrip()[:1] == b"[" else [body]


def _decode(data: bytes) -> _Answer | None:
    try:
        return decode(_answers, data)
    except msgspec.ValidationError:
        return _decode_loosely(data)


def _decode_loosely(data: bytes) -> _Answer | None:
    """Read a chunk with a field of a type that nobody documents: what can be believed of each member."""
    try:
        loose = decode(_anything, data)
    except msgspec.ValidationError:
        return None
    if not isinstance(loose, dict):
        return None
    candidates, usage, feedback = loose.get("candidates"), loose.get("usageMetadata"), loose.get("promptFeedback")
    model = loose.get("modelVersion")
    return _Answer(
        candidates=[_loose_candidate(candidate) for candidate in candidates] if isinstance(candidates, list) else None,
        usageMetadata={str(name): _raw(value) for name, value in usage.items()} if isinstance(usage, dict) else None,
        modelVersion=model if isinstance(model, str) else None,
        promptFeedback=_Feedback(_reason(feedback, "blockReason")),
        error=_raw(loose["error"]) if "error" in loose else ABSENT,
        embedding=_raw(loose["embedding"]) if "embedding" in loose else ABSENT,
        embeddings=_raw(loose["embeddings"]) if "embeddings" in loose else ABSENT,
    )


def _loose_candidate(candidate: Any) -> _Candidate:
    if not isinstance(candidate, dict):
        return _Candidate(content=_Content([_Part(text=_raw_text(candidate))]))
    try:
        content = msgspec.json.decode(_raw(candidate.get("content")), type=_Content | None)
    except UNREADABLE:
        content = _Content([_Part(text=_raw_text(candidate.get("content")))])
    try:
        grounding = msgspec.convert(candidate.get("groundingMetadata"), _Grounding | None)
    except UNREADABLE:
        grounding = None
    index = candidate.get("index")
    return _Candidate(
        content=content,
        finishReason=_reason(candidate, "finishReason"),
        index=index if isinstance(index, int) else None,
        groundingMetadata=grounding,
    )


def _reason(source: Any, name: str) -> str | int | None:
    reason = source.get(name) if isinstance(source, dict) else None
    return reason if isinstance(reason, str | int) else None


def _raw_text(value: Any) -> str:
    return bytes(_raw(value)).decode("utf-8", "replace")


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


stream_meter = GenerateStreamMeter

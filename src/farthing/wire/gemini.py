"""Gemini: generateContent and streamGenerateContent, and what embedContent says about itself.

What surprised us: a stream comes as events (CRLF, no last event of its own) or, unless the client asks for `alt=sse`,
as one JSON array. Usage is in every chunk and cumulative, and counts that are 0 are left out, as are whole prompts made
of a PDF or a video, which show in the total alone. Thoughts and the results of server tools are beside the two main
counts and not in them. Old models finish every chunk, so that a finish is no end. Some clients ask for enums as
numbers.
"""

import re
from typing import Any

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire.error_words import MAX_TEXT, alone, error_inside, error_status, error_text
from farthing.wire.gemini_chunks import Candidate, Chunk, read_chunk
from farthing.wire.gemini_usage import billed_searches, plain_usage, read_usage, service_tier
from farthing.wire.json_array import ArraySplitter, element_of, elements_of
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import ABSENT, OnText, Reading, decode_exact, in_short, present_error
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
_NO_END = re.compile(rb"[^\[\] \t\r\n]+")
"""What does not belong to the end of an array."""
_BEYOND_TEXT = 2
_CRLF = b"\r\n\r\n"
_NULL = msgspec.Raw(b"null")


class _Facts(msgspec.Struct, gc=False):
    """What a whole answer says about itself; its text is not looked at."""

    candidates: msgspec.Raw = ABSENT
    usageMetadata: msgspec.Raw = ABSENT  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    promptFeedback: msgspec.Raw = ABSENT  # noqa: N815
    error: msgspec.Raw = ABSENT


_facts = msgspec.json.Decoder(_Facts)


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = _USUAL) -> Reading:  # noqa: ARG001 - nobody has any here
    """Read a whole answer, or a stream's array that came whole; `on_text` is told its text where it has no usage."""
    plain = _read_plainly(body)
    if plain is not None:
        return plain
    books = _Books()
    chunks = [chunk for raw in _elements(body) if (chunk := read_chunk(raw)) is not None]
    for chunk in chunks:
        books.note(chunk)
    finished = books.answered and books.error is None
    reading = books.reading(finished=finished)
    if reading.counted:
        return reading
    said = [_tell(candidate, on_text) for chunk in chunks for candidate in chunk.candidates or ()]
    return books.reading(finished=finished, beyond_text=True) if _BEYOND_TEXT in said else reading


def _read_plainly(body: bytes) -> Reading | None:
    """Read an answer without anything odd in it, in a third of the time that the long way takes; else `None`."""
    if b"earchQueries" in body or b"GOOGLE_SEARCH" in body:
        return None
    try:
        facts = _facts.decode(body)
    except UNREADABLE:
        return None
    if len(facts.candidates) < _LEAST_CANDIDATES or facts.error is not ABSENT or facts.promptFeedback is not ABSENT:
        return None
    usage, tier = plain_usage(facts.usageMetadata)
    if usage is None:
        return None
    return Reading(usage=usage, model_served=facts.modelVersion, service_tier=tier, finished=True)


_LEAST_CANDIDATES = 3  # `[]` has none


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
        "_beyond_text",
        "_books",
        "_events",
        "_instead",
        "_lone",
        "_on_text",
        "_said_since_usage",
        "failed",
        "has_finish",
        "has_output",
        "suspect",
        "terminal",
    )

    def __init__(self, on_text: OnText, habits: UsageHabits = _USUAL, *, strip_usage: bool = False) -> None:  # noqa: ARG002 - the format tells usage unasked, and nobody has habits in it
        self.has_output = False
        self.has_finish = False
        self.terminal = False
        self.failed = False
        self.suspect = False
        self._array: ArraySplitter | None = None
        self._beyond_text = False
        self._books = _Books()
        self._events: EventSplitter | None = None
        self._instead = b""
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
                and not self.terminal
            ):
                # One whole event, as nearly always while a stream flows.
                return data if self._read(data[6:-4]) else self._in_its_place()
            return b"".join([event if self._passes(event) else self._in_its_place() for event in events.feed(data)])
        if self._array is None:
            return self._begin(data)
        elements, after = self._array.feed(data)
        passed: list[bytes] = []
        for element in elements:
            if not self.terminal:
                self._read(element_of(element))
                passed.append(element)
        if self._array.closed:
            # An array that closes although nothing was finished was cut by somebody who is polite.
            self.terminal = self.terminal or self.reading().finished
        return b"".join((*passed, _NO_END.sub(b"", after)))

    def rest(self) -> bytes:
        """See `StreamMeter.rest`. What is left of an array is no whole element, and is nothing to read, or to have."""
        if self._events is None:
            return b"" if self._array is None else _NO_END.sub(b"", self._array.rest())
        rest = self._events.rest()
        return rest if rest and self._passes(rest) else self._in_its_place()

    def reading(self) -> Reading:
        """See `StreamMeter.reading`. With several candidates every one that has begun must have finished."""
        books = self._books
        finished = books.finished or (self._lone and books.answered)
        return books.reading(finished=finished, usage_final=not self._said_since_usage, beyond_text=self._beyond_text)

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

    def _passes(self, event: bytes) -> bool:
        """Read an event; after an error nothing goes on to the client that says anything."""
        data = event_data(event)
        if self.terminal:
            return not data
        return self._read(data) if data else True

    def _in_its_place(self) -> bytes:
        """Return what the client gets instead of the event that it does not get."""
        instead, self._instead = self._instead, b""
        return instead

    def _read(self, data: bytes) -> bool:
        """Take one event or element; whether the client gets it."""
        chunk = read_chunk(data)
        if chunk is None:
            return self._read_oddity(data)
        books = self._books
        counted = books.note(chunk)
        if counted:
            self._said_since_usage = False
        if books.error is not None:
            # Nothing comes after an error, and Google's own client hangs up when it has seen one.
            self.failed = self.suspect = self.terminal = True
        elif not chunk.candidates and not chunk.usageMetadata and chunk.promptFeedback is None:
            return self._read_oddity(data)
        for candidate in chunk.candidates or ():
            said = _tell(candidate, self._on_text)
            if said:
                self.has_output = True
                self._said_since_usage = not counted
                if said == _BEYOND_TEXT:
                    self._beyond_text = True
        if not self.has_output and books.finished:
            self.has_finish = True
        return True

    def _read_oddity(self, data: bytes) -> bool:
        """Take what is no chunk; whether the client gets it: of an event that is an odd error it gets Google's own."""
        told = error_inside(data)
        self.suspect = True
        if told is None:
            return True
        self._books.error = in_short(data)
        self.failed = self.terminal = True
        if self._events is None:
            return True
        self._instead = error_event("provider_error", told.error_message or "the provider sent an error without words")
        return False


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

    def note(self, chunk: Chunk) -> bool:
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
        if chunk.error is not ABSENT and present_error(chunk.error) is not None:
            self.error = present_error(chunk.error)
        if chunk.embedding is not ABSENT or chunk.embeddings is not ABSENT:
            self.answered = self._silent = True
        usage = chunk.usageMetadata
        if not usage:
            return False
        for name, raw in usage.items():
            if name in _COUNTED and (len(raw) != len(b"null") or raw != _NULL):  # a length is told at once
                self._usage[name] = raw
        # A chunk in the middle may count the prompt alone, which says nothing of the text beside it.
        return ended or _WRITTEN[0] in usage or _WRITTEN[1] in usage

    def reading(self, *, finished: bool, usage_final: bool = True, beyond_text: bool = False) -> Reading:
        usage = {name: decode_exact(bytes(raw)) for name, raw in self._usage.items()}
        error = decode_exact(self.error) if self.error is not None else None
        code, message = _code_and_text(error) if self.error is not None else (None, None)
        counted = read_usage(usage, billed_searches(self._searches, self.model), silent=self._silent or self._blocked)
        if self._silent and counted is not None and counted.input_tokens == 0:
            # Vectors are made of something.
            flags = (*counted.flags, "zero_beside_output")
            counted = msgspec.structs.replace(counted, input_tokens=None, flags=flags)
        return Reading(
            usage=counted,
            usage_final=usage_final,
            model_served=self.model,
            service_tier=service_tier(usage),
            finished=finished,
            beyond_text=beyond_text,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )

    def _searched(self, queries: Any) -> None:
        if isinstance(queries, list) and queries and len(self._searches) < MAX_SEARCHES:
            self._searches.update(q for q in queries[:MAX_SEARCHES] if isinstance(q, str) and q.strip())


def _tell(candidate: Candidate, on_text: OnText) -> int:
    """Tell `on_text` what a candidate says; whether it does, and `_BEYOND_TEXT` where not all is text."""
    said = 0
    if candidate.content is None:
        return 0
    for part in candidate.content.parts or ():
        text = part.text
        if text:
            said = said or 1
            on_text(text)
            continue
        if part.functionCall is not None:
            said = said or 1
            call = part.functionCall
            on_text((call.name or "") + _text_of(call.args))
        elif part.executableCode is not None:
            said = said or 1
            on_text(part.executableCode.code or "")
        elif part.toolCall is not None:
            said = said or 1
            on_text(_text_of(part.toolCall.args))
        elif part.codeExecutionResult is not ABSENT:
            said = said or 1  # what a tool printed is nothing that the model wrote
        elif part.inlineData is not ABSENT:
            said = _BEYOND_TEXT  # from pictures and sound nothing can be estimated
    return said


def _text_of(raw: msgspec.Raw) -> str:
    return "" if raw is ABSENT else bytes(raw).decode("utf-8", "replace")


def _code_and_text(error: Any) -> tuple[str, str]:
    """Return code and message of an error; Google's `status` says more than its number."""
    error = alone(error)
    if isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
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


stream_meter = GenerateStreamMeter

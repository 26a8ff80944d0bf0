"""Ollama's own format: chat, generate and embeddings, as lines of JSON while they stream.

What surprised us: a stream is what one gets unless one says `"stream": false`; its last line (`done: true`) has the
counts, and Ollama leaves out every count that is 0. So a prompt that was wholly in its cache has no
`prompt_eval_count` in older versions (three of our recordings): how long that prompt was is unknown, not 0. A tool
call comes whole, with its arguments as an object, and the reason to stop is `stop` all the same. A request without a
prompt only loads the model (`done_reason: load`), and an error inside a stream is a line `{"error": "..."}`.
"""

from typing import Any

import msgspec

from farthing.types.usage import Usage, UsageHabits
from farthing.wire.error_words import error_inside, error_status, error_text
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import ABSENT, Counts, OnText, Reading, decode_exact, in_short, present, present_error
from farthing.wire.ndjson import LineSplitter

_USUAL = UsageHabits()
_NO_VECTORS = 2  # the length of `[]`
_ONLY_LOADED = frozenset({"load", "unload"})
"""Reasons to be done of a request that had nothing to be read: it moved a model into memory, or out of it."""


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: msgspec.Raw = ABSENT


class _Line(msgspec.Struct, gc=False):
    """A line of a stream or a whole answer; everything is optional because most of it stands in one line only."""

    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    tool_calls: msgspec.Raw = ABSENT
    done: bool = False
    done_reason: str | None = None
    model: str | None = None
    prompt_eval_count: msgspec.Raw = ABSENT
    eval_count: msgspec.Raw = ABSENT
    embeddings: msgspec.Raw = ABSENT
    embedding: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Loose(msgspec.Struct, gc=False):
    """The same with nothing believed: what is read when a field has a type that nobody documents."""

    message: Any = None
    response: Any = None
    thinking: Any = None
    tool_calls: Any = None
    done: Any = None
    done_reason: Any = None
    model: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    embeddings: Any = None
    embedding: Any = None
    error: Any = None


_lines = msgspec.json.Decoder(_Line)
_loose = msgspec.json.Decoder(_Loose)


def read_usage(answer: Any) -> Usage | None:
    """Return the usage of a decoded last line, or of an answer with embeddings; `None` where there is none."""
    if not isinstance(answer, dict):
        return None
    counts = Counts()
    input_tokens = counts.total(answer, "prompt_eval_count")
    output_tokens = counts.total(answer, "eval_count")
    if input_tokens is None and output_tokens is None and not counts.flags:
        reason = answer.get("done_reason")
        if isinstance(reason, str) and reason in _ONLY_LOADED:
            return Usage(input_tokens=0, output_tokens=0)
        if not _is_embedding(answer):
            return None
    if output_tokens is None and _is_embedding(answer):
        output_tokens = 0
        if input_tokens == 0 and answer.get("embeddings"):
            counts.flag("zero_beside_output")
            input_tokens = None
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, flags=tuple(counts.flags))


def _is_embedding(answer: dict[str, Any]) -> bool:
    return answer.get("embeddings") is not None or answer.get("embedding") is not None


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = _USUAL) -> Reading:
    """Read a whole answer; `on_text` is told its text only where it does not report all of its usage.

    Lines that came although they were not asked for are read as the stream that they are.
    """
    answer = _decode(body)
    if answer is None:
        meter = OllamaStreamMeter(on_text, habits)
        lines = LineSplitter()
        for line in (*lines.feed(body), lines.rest()):
            meter.read(line)  # also what follows the last one, because all of it goes to the client
        return meter.reading()
    books = _Books()
    books.note(answer)
    finished = (answer.done or books.embedded) and books.error is None
    reading = books.reading(finished=finished)
    if not reading.counted:
        _tell(answer, on_text)
    return reading


def error_event(code: str, message: str) -> bytes:  # noqa: ARG001 - the format has no place for a code
    """Return the line that tells a client that its stream ended badly."""
    return b"%b\n" % msgspec.json.encode({"error": message})


class _Books:
    """The parts of an answer that say something about it; the last of each counts."""

    __slots__ = ("_counts", "embedded", "error", "model")

    def __init__(self) -> None:
        self.model: str | None = None
        self.error: bytes | None = None
        self.embedded = False
        self._counts: dict[str, Any] = {}

    def note(self, line: _Line) -> bool:
        """Take what a line says; whether it counted usage."""
        if line.model:
            self.model = line.model
        if line.error is not ABSENT:
            self.error = present_error(line.error) or self.error
        if line.done_reason:
            self._counts["done_reason"] = line.done_reason
        if present(line.embeddings) is not None or present(line.embedding) is not None:
            self.embedded = True
            self._counts["embeddings"] = len(line.embeddings) > _NO_VECTORS or len(line.embedding) > _NO_VECTORS
        counted = False
        for name, raw in (("prompt_eval_count", line.prompt_eval_count), ("eval_count", line.eval_count)):
            count = present(raw)
            if count is not None:
                # A number without bounds is not decoded to anything: it is then told to be malformed.
                number = decode_exact(count)
                self._counts[name] = "unreadable" if number is None else number
                counted = True
        return counted

    def reading(self, *, finished: bool, usage_final: bool = True) -> Reading:
        if self.error is None:
            return Reading(
                usage=read_usage(self._counts), usage_final=usage_final, model_served=self.model, finished=finished
            )
        error = decode_exact(self.error)
        code, message = error_text(error)
        return Reading(
            usage=read_usage(self._counts),
            usage_final=usage_final,
            model_served=self.model,
            finished=finished,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )


class OllamaStreamMeter:
    """Reads the lines of a stream while they flow by; see `StreamMeter`."""

    __slots__ = (
        "_books",
        "_instead",
        "_on_text",
        "_said_since_usage",
        "_splitter",
        "failed",
        "has_finish",
        "has_output",
        "suspect",
        "terminal",
    )

    def __init__(self, on_text: OnText, habits: UsageHabits = _USUAL, *, strip_usage: bool = False) -> None:  # noqa: ARG002 - nothing is ever asked for here that the client did not ask for
        self.has_output = False
        self.has_finish = False
        self.terminal = False
        self.failed = False
        self.suspect = False
        self._on_text = on_text
        self._books = _Books()
        self._instead = b""
        self._said_since_usage = False
        self._splitter = LineSplitter()

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        if not self._splitter.held_bytes and data.find(b"\n") == len(data) - 1 and not self.terminal:
            return data if self.read(data) else self._in_its_place()  # one whole line, as nearly always
        return b"".join([line if self._passes(line) else self._in_its_place() for line in self._splitter.feed(data)])

    def rest(self) -> bytes:
        """See `StreamMeter.rest`; a plain JSON answer in place of a stream is one line without a line feed."""
        rest = self._splitter.rest()
        return rest if self._passes(rest) else self._in_its_place()

    def reading(self) -> Reading:
        """See `StreamMeter.reading`."""
        finished = self.terminal or self._books.embedded
        return self._books.reading(finished=finished, usage_final=not self._said_since_usage)

    def error_event(self, code: str, message: str) -> bytes:
        """See `StreamMeter.error_event`."""
        return error_event(code, message)

    def _passes(self, line: bytes) -> bool:
        """Read a line; after the last one nothing goes on to the client that says anything."""
        return not line.strip() if self.terminal else self.read(line)

    def _in_its_place(self) -> bytes:
        """Return what the client gets instead of the line that it does not get."""
        instead, self._instead = self._instead, b""
        return instead

    def read(self, data: bytes) -> bool:
        """Take one line; whether the client gets it."""
        try:
            line = _lines.decode(data)
        except UNREADABLE:
            slowly = _decode(data)
            if slowly is None:
                return self._read_oddity(data)
            line = slowly
        said = _tell(line, self._on_text)
        if said:
            self.has_output = self._said_since_usage = True
        absent = ABSENT
        if (
            line.done
            or line.eval_count is not absent
            or line.error is not absent
            or line.prompt_eval_count is not absent
        ):
            self._close(line)
        elif line.model:
            self._books.model = line.model
        elif not said and line.message is None:
            return self._read_oddity(data)
        return True

    def _close(self, line: _Line) -> None:
        """Take a line that says more than a piece of text."""
        books = self._books
        if books.note(line):
            self._said_since_usage = False
        if books.error is not None:
            self.failed = self.suspect = True
        if line.done:
            self.terminal = self.has_finish = True

    def _read_oddity(self, data: bytes) -> bool:
        """Take what is no line of an answer; whether the client gets it: of an error it gets the format's own."""
        told = error_inside(data)
        if told is None:
            self.suspect = self.suspect or bool(data.strip())
            return True
        self._books.error = in_short(data)
        self.failed = self.suspect = True
        self._instead = error_event("", told.error_message or "the provider sent an error without words")
        return False


def _tell(line: _Line, on_text: OnText) -> bool:
    """Tell `on_text` what a line says; whether it said anything."""
    said = False
    message = line.message
    if message is not None:
        if message.content:
            said = True
            on_text(message.content)
        if message.thinking:
            said = True
            on_text(message.thinking)
        if message.tool_calls is not ABSENT and len(message.tool_calls) > _NO_CALLS:
            said = True
            on_text(_plain(message.tool_calls))
    if line.response:
        said = True
        on_text(line.response)
    if line.thinking:
        said = True
        on_text(line.thinking)
    if line.tool_calls is not ABSENT and len(line.tool_calls) > _NO_CALLS:
        said = True
        on_text(_plain(line.tool_calls))
    return said


_NO_CALLS = 4  # the length of `null`; `[]` is shorter, and every call longer


def _plain(calls: msgspec.Raw) -> str:
    """Return names and arguments as the model wrote them, nearly: what Ollama put around them is not counted."""
    decoded = decode_exact(bytes(calls))
    parts: list[str] = []
    for call in decoded if isinstance(decoded, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            parts.append(str(function.get("name") or ""))
            parts.append(msgspec.json.encode(function.get("arguments")).decode())
    return "".join(parts)


def _decode(data: bytes) -> _Line | None:
    """Decode a line of any shape; `None` where it is no JSON object."""
    if not data.strip():
        return None
    try:
        return decode(_lines, data)
    except msgspec.ValidationError:
        pass
    try:
        loose = decode(_loose, data)
    except msgspec.ValidationError:
        return None
    if loose is None:
        return None
    return _Line(
        message=_loose_message(loose.message),
        response=_text(loose.response),
        thinking=_text(loose.thinking),
        tool_calls=_raw(loose.tool_calls),
        done=loose.done is True,
        done_reason=_text(loose.done_reason),
        model=_text(loose.model),
        prompt_eval_count=_raw(loose.prompt_eval_count),
        eval_count=_raw(loose.eval_count),
        embeddings=_raw(loose.embeddings),
        embedding=_raw(loose.embedding),
        error=_raw(loose.error),
    )


def _loose_message(message: Any) -> _Message | None:
    if not isinstance(message, dict):
        return None
    return _Message(
        content=_text(message.get("content")),
        thinking=_text(message.get("thinking")),
        tool_calls=_raw(message.get("tool_calls")),
    )


def _text(value: Any) -> str | None:
    """Return a text; of anything else that a model may have written, its JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _raw(value: Any) -> msgspec.Raw:
    return ABSENT if value is None else msgspec.Raw(msgspec.json.encode(value))


stream_meter = OllamaStreamMeter

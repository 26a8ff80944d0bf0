"""What tests of translated recordings share: the recorded chats, read as the gateway reads them, and how they compare.

A recorded answer is what a provider of its format sends; a face's own reader stands for the client that reads what is
written for it.
"""

import itertools
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from farthing.gateway.formats import FORMATS
from farthing.gateway.translated_stream import TranslatedMeter
from farthing.providers.protocol import Operation
from farthing.providers.registry import known_providers
from farthing.types.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Choice,
    Closed,
    FinishReason,
    Part,
    Refusal,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage, UsageHabits
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import Reading
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.ollama import read_generate
from farthing.wire.translators.protocol import Asked, NewId, Translator, encode_all
from farthing.wire.translators.registry import translator
from tests.e2e.recordings.exchanges import Exchange, load
from tests.e2e.recordings.sending import asks_for_stream, compact

CHATS: frozenset[Operation] = frozenset(
    {
        "chat.completions",
        "completions",
        "responses",
        "messages",
        "generate_content",
        "stream_generate_content",
        "ollama_chat",
        "ollama_generate",
    }
)
"""The operations that ask for words."""
_PIECE_BYTES = 1_021
USAGE = Usage(input_tokens=1_000, output_tokens=50, cache_read_input_tokens=600, reasoning_output_tokens=7)


@cache
def chats(folder: str) -> list[Exchange]:
    """Return every recorded exchange that asked for words with a JSON object."""
    found = [exchange for exchange in load(Path(folder)) if exchange.asked and exchange.asked.operation in CHATS]
    return [exchange for exchange in found if isinstance(exchange.body, dict)]


@cache
def _by_slug(folder: str) -> dict[str, Exchange]:
    return {exchange.slug: exchange for exchange in load(Path(folder))}


def recorded(slug: str) -> Exchange:
    """Return one recorded exchange, of whatever kind."""
    return _by_slug(os.environ["FARTHING_RECORDINGS"])[slug]


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}made{next(count)}"


def wire_of(exchange: Exchange) -> WireFormat:
    assert exchange.asked is not None
    return exchange.asked.wire


# ---- requests


def request_of(exchange: Exchange) -> ChatRequest:
    """Return the recorded request; raises `InvalidRequest`."""
    assert exchange.asked is not None
    return read_back(
        wire_of(exchange),
        compact(exchange.body),
        model=exchange.model or "the-only-model",
        streamed=asks_for_stream(exchange),
        raw_prompt=exchange.asked.operation == "ollama_generate",
    )


def read_back(wire: WireFormat, body: bytes, *, model: str, streamed: bool, raw_prompt: bool) -> ChatRequest:
    """Read a request as whoever is asked on that format's path reads it."""
    if wire == "ollama" and raw_prompt:
        return read_generate(body, model=model, streamed=streamed)
    return translator(wire).read_request(body, model=model, streamed=streamed)


def calls_in(request: ChatRequest) -> list[tuple[str, object]]:
    return [call_of(part) for message in request.messages for part in message.content if isinstance(part, ToolCall)]


def texts_in(request: ChatRequest) -> list[str]:
    """Return what is said in a request and what tools gave, without spaces: how texts are joined differs."""
    found = []
    for message in request.messages:
        for part in message.content:
            pieces: Iterable[Part] = part.content if isinstance(part, ToolResult) else (part,)
            found += ["".join(piece.text.split()) for piece in pieces if isinstance(piece, Text)]
    return [text for text in found if text]


# ---- answers


def answer_to(exchange: Exchange) -> tuple[ChatAnswer, list[StreamEvent] | None]:
    """Return what was answered, and the events of it where it came in a stream."""
    form = translator(wire_of(exchange))
    if exchange.kind == "json" and not exchange.recorded.lstrip().startswith(b"["):
        return form.read_answer(exchange.recorded, numbered()), None
    decoder = form.stream_decoder(numbered())
    events = [*decoder.feed(exchange.recorded), *decoder.rest()]
    return answer_of(events), events


def asked_by(face: WireFormat, *, raw_prompt: bool = False, array: bool = False) -> Asked:
    """Return a call of a client of a face that wants to see all there is."""
    return Asked(
        request=ChatRequest(
            origin=face,
            model="asked-model",
            messages=(),
            raw_prompt=raw_prompt,
            usage_in_stream=True,
        ),
        model="asked-model",
        answer_id="01abc",
        created_s=1_780_000_000,
        input_tokens_estimate=990,
        new_id=numbered(),
        array=array,
    )


def in_whole(face: Translator, answer: ChatAnswer, asked: Asked) -> ChatAnswer:
    """Return what a client reads of an answer that it gets whole."""
    return face.read_answer(face.write_answer(answer, USAGE, asked), numbered())


def in_stream(face: Translator, events: Iterable[StreamEvent], asked: Asked) -> ChatAnswer:
    """Return what a client reads of an answer that it gets as a stream."""
    written = encode_all(face.stream_encoder(asked), events)
    decoder = face.stream_decoder(numbered())
    return answer_of([*decoder.feed(written), *decoder.rest()])


def told_to(face: Translator, exchange: Exchange) -> tuple[ChatAnswer, ChatAnswer]:
    """Return a recorded answer as a client of a face reads it: whole, and as a stream."""
    answer, live = answer_to(exchange)
    events = events_of(answer, USAGE) if live is None else [*live, Closed(USAGE)]
    return in_whole(face, answer, asked_by(face.wire)), in_stream(face, events, asked_by(face.wire))


def parts_of(exchange: Exchange) -> tuple[Part, ...]:
    """Return the parts of a recorded answer; none of one that failed."""
    choices = answer_to(exchange)[0].choices if exchange.status == 200 else ()
    return choices[0].content if choices else ()


class Said(msgspec.Struct, frozen=True):
    """What a choice says, however it is cut."""

    index: int
    text: str
    thinking: str
    calls: list[tuple[str, object]]
    finish: FinishReason | None


def said(choice: Choice, face: Translator) -> Said:
    """Return what a choice says to a client of a face."""
    return Said(
        choice.index,
        "".join([_shown(part, face) for part in choice.content]),
        "".join([part.text for part in choice.content if isinstance(part, Thinking) and _shows(face, "thinking")]),
        [call_of(part) for part in choice.content if isinstance(part, ToolCall) and _shows(face, "tool_call")],
        _finish(choice.finish_reason, face.wire),
    )


def _shows(face: Translator, kind: str) -> bool:
    return kind in face.answers_carry


def _shown(part: Part, face: Translator) -> str:
    match part:
        case Text() | Refusal():
            return part.text
        case Audio() if face.wire == "ollama":  # its clients read what was to be heard
            return part.transcript or ""
        case _:
            return ""


def _finish(reason: FinishReason | None, face: WireFormat) -> FinishReason | None:
    """Return a finish as a face can tell it."""
    if face == "openai_completions" and reason == "tool_calls":
        return "stop"
    return "content_filter" if face in ("openai_completions", "gemini") and reason == "refusal" else reason


def call_of(call: ToolCall) -> tuple[str, object]:
    """Return the name and the arguments of a call; `None` for arguments that are no object, such as those cut short."""
    if call.custom:
        return call.name, call.arguments
    try:
        given = msgspec.json.decode(call.arguments or "{}")
    except UNREADABLE:
        given = None
    return call.name, given if isinstance(given, dict) else None


# ---- metered, as a call is


def habits_of(exchange: Exchange) -> UsageHabits:
    known = known_providers().get(exchange.provider)
    return UsageHabits() if known is None else known.habits


def reading_of(exchange: Exchange) -> Reading:
    """Return what the meter of its format reads in a recorded answer."""
    form = FORMATS[wire_of(exchange)]
    if exchange.kind == "json" and not exchange.recorded.lstrip().startswith(b"["):
        return form.read_answer(exchange.recorded, _ignored, habits_of(exchange))
    meter = form.stream_meter(_ignored, habits_of(exchange), strip_usage=False)
    meter.feed(exchange.recorded)
    meter.rest()
    return meter.reading()


def usage_of(exchange: Exchange) -> Usage:
    usage = reading_of(exchange).usage
    assert usage is not None, exchange.slug
    return usage


def on_face(face: WireFormat, exchange: Exchange) -> dict[str, Any]:
    """Return a recorded answer as a client of a face gets it whole."""
    answer, _ = answer_to(exchange)
    written = translator(face).write_answer(answer, reading_of(exchange).usage, asked_by(face))
    found: dict[str, Any] = json.loads(written)
    return found


def streamed_on_face(face: WireFormat, exchange: Exchange, data: bytes | None = None) -> tuple[bytes, TranslatedMeter]:
    """Return a recorded stream as a client of a face gets it from the gateway, and what the gateway knows of it."""
    wire = wire_of(exchange)
    meter = TranslatedMeter(
        FORMATS[wire].stream_meter(_ignored, habits_of(exchange), strip_usage=False),
        translator(wire).stream_decoder(numbered()),
        translator(face).stream_encoder(asked_by(face)),
        names=None,
        usage_of=lambda reading: reading.usage or Usage(),
        on_answer=_ignored,
        sign_of_life=b"",
    )
    data = exchange.recorded if data is None else data
    got = [meter.feed(data[at : at + _PIECE_BYTES]) for at in range(0, len(data), _PIECE_BYTES)]
    return b"".join([*got, meter.rest()]), meter


def objects_in(stream: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects of a stream, of events or of lines, without our code."""
    lines = [line.removeprefix("data:").strip() for line in stream.decode().splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def _ignored(_: object) -> None:
    pass

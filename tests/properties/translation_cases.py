"""Chats that use most of what there is, and how they are handed from format to format as the gateway does it.

For tests that spoil them, or make them large or absurd. What is here raises where something is wrong, and else nothing.
"""

import itertools
from random import Random

from farthing.errors import InvalidRequest, ProviderMisbehaved
from farthing.gateway.formats import FORMATS
from farthing.gateway.translated_stream import TranslatedMeter
from farthing.types.chat import (
    AnswerShape,
    Audio,
    ChatAnswer,
    ChatRequest,
    Choice,
    Citation,
    Document,
    Image,
    Inline,
    Linked,
    Message,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage, UsageHabits
from farthing.wire.translators.assembly import events_of
from farthing.wire.translators.features import lost, used_by
from farthing.wire.translators.ollama import read_generate
from farthing.wire.translators.protocol import Asked, NewId, encode_all
from farthing.wire.translators.registry import CHAT_FORMATS, translator
from farthing.wire.translators.tool_names import RestoredStream, ToolNames
from tests.properties.meter_samples import SAMPLES

USAGE = Usage(input_tokens=100, output_tokens=20, cache_read_input_tokens=60, reasoning_output_tokens=5)
_PNG = "iVBORw0KGgoAAAANSUhEUg=="


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}made{next(count)}"


def asked_by(request: ChatRequest) -> Asked:
    return Asked(
        request=request,
        model="asked-model",
        answer_id="01abc",
        created_s=1_780_000_000,
        input_tokens_estimate=99,
        new_id=numbered(),
    )


# ---- what is spoiled


def conversation(wire: WireFormat) -> ChatRequest:
    """Return a request that uses most of what there is; each format writes of it what it has."""
    if wire == "openai_completions":
        return ChatRequest(
            origin=wire,
            model="m",
            messages=(Message("user", (Text("Once upon"),)),),
            raw_prompt=True,
            stop=("\n",),
            suffix=" end",
            logprobs=True,
            top_logprobs=2,
            n=2,
            max_output_tokens=9,
            usage_in_stream=True,
            streamed=True,
        )
    return ChatRequest(
        origin=wire,
        model="claude-sonnet-4-5",
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("See:"), Image(Inline("image/png", _PNG), detail="low"))),
            Message(
                "assistant",
                (
                    Thinking("Hm.", Signature(wire, "c2VhbA==" if wire != "openai_chat" else "reasoning_content")),
                    Text("Let me look."),
                    ToolCall("call_1", "weather", '{"city":"Bern","days":[1,2]}'),
                    ToolCall("call_2", "weather", '{"city":"Zug"}'),
                ),
            ),
            Message(
                "tool",
                (
                    ToolResult("call_1", (Text("rain"), Image(Inline("image/png", _PNG))), name="weather"),
                    ToolResult("call_2", (Text("gone"),), name="weather", is_error=True),
                ),
            ),
            Message(
                "user",
                (
                    Document(Inline("application/pdf", "JVBERi0xLjQ="), "a.pdf"),
                    Audio(Inline("audio/wav", "UklGRgAA")),
                    Image(Linked("https://example.com/a.png")),
                    Text("And now?"),
                ),
            ),
        ),
        tools=(
            Tool("weather", "Tells it.", b'{"type":"object","properties":{"city":{"type":"string"}}}', strict=False),
            Tool("patch", "Takes text.", custom=True),
        ),
        tool_choice=ToolChoice("required", ("weather",)),
        parallel_tool_calls=True,
        shape=AnswerShape(b'{"type":"object","properties":{"a":{"type":["string","null"]}}}', "answer", strict=True),
        reasoning=Reasoning(effort="high", budget_tokens=2_000),
        max_output_tokens=3_000,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=("END",),
        seed=7,
        user="me",
        metadata=b'{"a":"b"}',
        streamed=True,
        usage_in_stream=True,
    )


def request_bodies(wire: WireFormat) -> list[bytes]:
    request = conversation(wire)
    other = translator(wire)
    names = ToolNames(request, other.carries)
    request = names.applied(request) if names.changes else request
    bodies = [other.write_request(request, numbered())]
    if wire == "ollama":
        bodies.append(other.write_request(conversation("openai_completions"), numbered()))
    return bodies


def read_request(wire: WireFormat, body: bytes, random: Random) -> ChatRequest:
    streamed = random.random() < 0.5
    if wire == "ollama" and random.random() < 0.3:
        return read_generate(body, model="m", streamed=streamed)
    return translator(wire).read_request(
        body, model=random.choice(("m", "gpt-5", "claude-opus-4-8")), streamed=streamed
    )


def answer(wire: WireFormat) -> ChatAnswer:
    seal = Signature(wire, "c2VhbA==")
    cited = Citation(wire, b'{"type":"url_citation","url":"https://example.com"}', "https://example.com", "A", 0, 3)
    content = (
        Thinking("Where?", seal),
        Text("In Bern: \u00e9 \u2603 \U0001f600", citations=(cited,)),
        ToolCall("call_1", "weather", '{"city":"Bern"}'),
        ToolCall("call_2", "weather", "{}"),
    )
    logprobs = b'[{"token":"In","logprob":-0.5,"bytes":null,"top_logprobs":[]}]'
    refused = Choice((Refusal("No."),), "refusal", 1)
    return ChatAnswer(id="id1", model="m1", choices=(Choice(content, "tool_calls", 0, logprobs=logprobs), refused))


def answers_of(wire: WireFormat) -> list[bytes]:
    return [translator(wire).write_answer(answer(wire), USAGE, asked_by(conversation(wire))), *SAMPLES[wire]]


def streams_of(wire: WireFormat) -> list[bytes]:
    encoder = translator(wire).stream_encoder(asked_by(conversation(wire)))
    return [encode_all(encoder, events_of(answer(wire), USAGE)), *SAMPLES[wire]]


# ---- crossing


def cross_request(wire: WireFormat, body: bytes, random: Random) -> int:
    """Write a request in every format; return in how many it could be."""
    try:
        request = read_request(wire, body, random)
    except InvalidRequest as error:
        str(error).encode()
        return 0
    used, written = used_by(request), 0
    for to in CHAT_FORMATS:
        other = translator(to)
        lost(used, other.carries)
        names = ToolNames(request, other.carries)
        try:
            other.write_request(names.applied(request) if names.changes else request, numbered())
            written += 1
        except InvalidRequest as error:
            str(error).encode()
    return written


def tell_whole(wire: WireFormat, body: bytes) -> None:
    try:
        read = translator(wire).read_answer(body, numbered())
    except ProviderMisbehaved:
        return
    for face in CHAT_FORMATS:
        request = conversation(face)
        names = ToolNames(request, translator(wire).carries)
        told = names.answer(read)
        whole = translator(face).write_answer(told, USAGE, asked_by(request))
        assert translator(face).read_answer(whole, numbered()).choices is not None
        encode_all(translator(face).stream_encoder(asked_by(request)), events_of(told, USAGE))


def tell_stream(wire: WireFormat, face: WireFormat, pieces: list[bytes]) -> bytes:
    """Tell a stream as the gateway does, and check how it ends."""
    request = conversation(face)
    names = ToolNames(request, translator(wire).carries)
    meter = TranslatedMeter(
        FORMATS[wire].stream_meter(lambda _: None, UsageHabits(), strip_usage=False),
        translator(wire).stream_decoder(numbered()),
        translator(face).stream_encoder(asked_by(request)),
        names=RestoredStream(names),
        usage_of=lambda reading: reading.usage or Usage(),
        on_answer=lambda _: None,
        sign_of_life=b"",
    )
    got: list[bytes] = []
    try:
        for piece in pieces:
            got.append(meter.feed(piece))
            if meter.terminal or meter.failed:
                break
        else:
            got.append(meter.rest())
        failed = meter.failed
    except ProviderMisbehaved as error:
        got.append(meter.error_event(error.code, error.message))
        failed = True
    if not failed and not meter.reading().finished:
        got.append(meter.error_event("provider_cut", "it broke off"))
        failed = True
    told = b"".join(got)
    if failed:
        check_error(face, told)
    return told


def check_error(face: WireFormat, told: bytes) -> None:
    """Raise unless the face's own clients see that the stream failed."""
    reader = FORMATS[face].stream_meter(lambda _: None, UsageHabits(), strip_usage=False)
    reader.feed(told)
    reader.rest()
    assert reader.failed, f"{face}: no error at the end of {told[-500:]!r}"

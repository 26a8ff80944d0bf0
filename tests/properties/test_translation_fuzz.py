"""No translator raises what is no error of ours, hangs, or passes a broken stream off as whole, whatever anybody sends.

Requests of every face go to every provider's format, answers and streams of every provider's format to every face.
What is spoiled are chats of our own, written by the translators themselves; the seed of each case is its number, which
a failure names. What is large or deep is measured against a bound, which is many times what it takes.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

import pytest

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
    Closed,
    Document,
    Image,
    Inline,
    Linked,
    Message,
    PartGrew,
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
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.features import lost, used_by
from farthing.wire.translators.ollama import read_generate
from farthing.wire.translators.protocol import Asked, NewId, encode_all
from farthing.wire.translators.registry import CHAT_FORMATS, translator
from farthing.wire.translators.tool_names import RestoredStream, ToolNames
from tests.e2e.recordings.exchanges import Exchange
from tests.e2e.recordings.sending import compact
from tests.e2e.translated.crossing import chats, wire_of
from tests.properties.meter_samples import SAMPLES
from tests.properties.mutations import pieces_of, spoiled

CASES = round(300 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
"""For each format that is read; every case is written in all formats. 300 of each kind take about two seconds."""
USAGE = Usage(input_tokens=100, output_tokens=20, cache_read_input_tokens=60, reasoning_output_tokens=5)
RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
MAX_RECORDED_BYTES = 40_000
"""Longer recordings repeat what shorter ones have, and take a case's time for themselves."""
_PNG = "iVBORw0KGgoAAAANSUhEUg=="

formats = pytest.mark.parametrize("wire", CHAT_FORMATS)


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


# ---- small and spoiled


@formats
def test_a_spoiled_request_is_refused_or_written_in_every_format(wire: WireFormat) -> None:
    bodies, written = request_bodies(wire), 0
    for case in range(CASES):
        random = Random(f"{wire} request {case}")
        body = spoiled(random, random.choice(bodies))
        try:
            written += cross_request(wire, body, random)
        except Exception as error:
            raise AssertionError(f"case {case}: {body[:2_000]!r}") from error
    assert written > CASES // 10


def cross_request(wire: WireFormat, body: bytes, random: Random) -> int:
    """Write a request in every format; return in how many it could be."""
    try:
        request = read_request(wire, body, random)
    except InvalidRequest as error:
        assert error.hint, error
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


@formats
def test_a_spoiled_answer_is_told_on_every_face(wire: WireFormat) -> None:
    bodies = answers_of(wire)
    for case in range(CASES):
        random = Random(f"{wire} answer {case}")
        body = spoiled(random, random.choice(bodies))
        try:
            tell_whole(wire, body)
        except Exception as error:
            raise AssertionError(f"case {case}: {body[:2_000]!r}") from error


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


@formats
def test_a_spoiled_stream_is_told_on_every_face_and_a_failed_one_ends_in_its_error(wire: WireFormat) -> None:
    streams = streams_of(wire)
    for case in range(CASES):
        random = Random(f"{wire} stream {case}")
        data = spoiled(random, random.choice(streams))
        pieces = pieces_of(random, data)
        try:
            for face in CHAT_FORMATS:
                tell_stream(wire, face, pieces)
        except Exception as error:
            raise AssertionError(f"case {case}: {data[:2_000]!r}") from error


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


# ---- what was recorded, spoiled


@cache
def recorded(wire: WireFormat) -> list[Exchange]:
    return [
        exchange
        for exchange in chats(RECORDINGS)
        if wire_of(exchange) == wire and 0 < len(exchange.recorded) < MAX_RECORDED_BYTES
    ]


@pytest.mark.recordings
@pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder")
@formats
def test_what_was_recorded_can_be_spoiled_as_well(wire: WireFormat) -> None:
    found = recorded(wire)
    assert found, f"nothing of {wire} is recorded"
    for case in range(CASES // 3):
        random = Random(f"{wire} recording {case}")
        exchange = random.choice(found)
        body, data = spoiled(random, compact(exchange.body)), spoiled(random, exchange.recorded)
        try:
            cross_request(wire, body, random)
            tell_whole(wire, data)
            tell_stream(wire, random.choice(CHAT_FORMATS), pieces_of(random, data))
        except Exception as error:
            raise AssertionError(f"case {case}, {exchange.slug}") from error


# ---- large, deep and absurd

LARGE_S = 4.0
"""For a request or an answer of a megabyte, read and written in six formats: it takes 0.1 to 1 s on two busy cores, and
what is quadratic would take minutes."""
_MANY = 100_000
_DEEP = 5_000


def quoted(kind: str, value: str) -> bytes:
    """Return a request whose messages are `value`, in a format of messages."""
    return b'{"model":"m","max_tokens":9,"%b":%b}' % (kind.encode(), value.encode())


_MESSAGES: dict[WireFormat, str] = {
    "openai_chat": "messages",
    "openai_responses": "input",
    "anthropic_messages": "messages",
    "gemini": "contents",
    "ollama": "messages",
    "openai_completions": "prompt",
}


def large_requests(wire: WireFormat) -> Iterator[tuple[str, bytes]]:
    name = _MESSAGES[wire]
    said = '{"role":"user","parts":[%s]}' if wire == "gemini" else '{"role":"user","content":[%s]}'
    part = {"gemini": '{"text":"a"}', "openai_responses": '{"type":"input_text","text":"a"}'}.get(
        wire, '{"type":"text","text":"a"}'
    )
    yield "many parts", quoted(name, "[" + said % ",".join([part] * _MANY) + "]")
    yield "many messages", quoted(name, "[" + ",".join([said % part] * 20_000) + "]")
    yield "many systems", quoted(name, "[" + ",".join([(said % part).replace("user", "system")] * 20_000) + "]")
    yield (
        "turns",
        quoted(name, "[" + ",".join([said % part, (said % part).replace("user", "assistant")] * 10_000) + "]"),
    )
    yield "deep", quoted(name, "[" * _DEEP + "]" * _DEEP)
    yield "deep parts", quoted(name, "[" + said % ('{"a":' * _DEEP + "1" + "}" * _DEEP) + "]")
    yield "deep unknown", b'{"model":"m","what":%b,"%b":"hi"}' % (b"[" * _DEEP + b"]" * _DEEP, name.encode())
    yield "long text", quoted(name, "[" + said % part.replace("a", "\\ud83d\\ude00 x" * 60_000, 1) + "]")
    yield "lone surrogates", quoted(name, "[" + said % part.replace('"a"', '"' + "\\ud800" * 150_000 + '"') + "]")
    yield "many names", b'{"model":"m",%b}' % b",".join(b'"%d":1' % number for number in range(_MANY))
    yield "one name", b'{"model":"m",%b}' % b",".join([b'"%b":[]' % name.encode()] * _MANY)
    yield (
        "huge number",
        b'{"model":"m","max_tokens":%b,"temperature":1e400,"%b":"hi"}' % (b"9" * 900_000, name.encode()),
    )
    tool = '{"type":"function","name":"t%d","input_schema":{},"function":{"name":"t%d"}}'
    tools = ",".join([tool % (number, number) for number in range(10_000)])
    if wire == "gemini":
        tools = '{"functionDeclarations":[%s]}' % ",".join(['{"name":"t%d"}' % number for number in range(20_000)])
    yield (
        "many tools",
        b'{"model":"m","max_tokens":9,"tools":[%b],"%b":[%b]}'
        % (
            tools.encode(),
            name.encode(),
            (said % part).encode(),
        ),
    )
    yield "brackets", quoted(name, "[" + "{}," * 300_000 + "{}]")


LARGE = [(wire, name) for wire in CHAT_FORMATS for name, _ in large_requests(wire)]


@pytest.mark.parametrize(("wire", "name"), LARGE, ids=[f"{wire}-{name}" for wire, name in LARGE])
def test_a_large_or_absurd_request_takes_no_longer_than_its_size_needs(wire: WireFormat, name: str) -> None:
    body = dict(large_requests(wire))[name]
    in_time(lambda: cross_request(wire, body, Random(1)), f"{wire} {name}")


def in_time(work: Callable[[], Any], name: str) -> None:
    began = time.process_time()
    work()
    took_s = time.process_time() - began
    assert took_s < LARGE_S, f"{name}: {took_s:.1f} s"


def history_of_calls(wire: WireFormat) -> bytes:
    """Return a request with thousands of calls and their results, which everybody looks for by their ids."""
    calls = [ToolCall(f"call_{number}", "weather", '{"a":1}') for number in range(4_000)]
    turns = []
    for at in range(0, len(calls), 2):
        pair = calls[at : at + 2]
        turns.append(Message("assistant", tuple(pair)))
        turns.append(Message("tool", tuple([ToolResult(call.id, (Text("ok"),), name="weather") for call in pair])))
    request = ChatRequest(
        origin=wire,
        model="m",
        messages=(Message("user", (Text("go"),)), *turns),
        tools=(Tool("weather", parameters=b'{"type":"object"}'),),
    )
    return translator(wire).write_request(request, numbered())


@pytest.mark.parametrize("wire", [wire for wire in CHAT_FORMATS if wire != "openai_completions"])
def test_thousands_of_calls_in_a_history_take_no_longer_than_their_number_needs(wire: WireFormat) -> None:
    body = history_of_calls(wire)
    in_time(lambda: cross_request(wire, body, Random(1)), wire)


@formats
def test_a_large_answer_takes_no_longer_than_its_size_needs(wire: WireFormat) -> None:
    calls = tuple(ToolCall(f"call_{number}", "weather", '{"city":"Bern"}') for number in range(5_000))
    thoughts = tuple(part for at in range(3_000) for part in (Thinking(f"{at}"), Text("so " * 30)))
    large = ChatAnswer(id="x", model="m", choices=(Choice((*thoughts, *calls), "tool_calls"),))
    whole = translator(wire).write_answer(large, USAGE, asked_by(conversation(wire)))
    in_time(lambda: tell_whole(wire, whole), f"{wire}, whole")
    stream = encode_all(translator(wire).stream_encoder(asked_by(conversation(wire))), events_of(large, USAGE))
    pieces = [stream[at : at + 8_192] for at in range(0, len(stream), 8_192)]
    for face in CHAT_FORMATS:
        in_time(lambda face=face: tell_stream(wire, face, pieces), f"{wire} to {face}, streamed")  # type: ignore[misc]


@formats
def test_a_long_text_in_small_pieces_takes_no_longer_than_its_size_needs(wire: WireFormat) -> None:
    encoder = translator(wire).stream_encoder(asked_by(conversation(wire)))
    text = ChatAnswer(id="x", model="m", choices=(Choice((Text(""),), "stop"),))
    opened, began, *end = events_of(text, USAGE)
    grown = [grew for _ in range(20_000) for grew in growth()]
    ended = [event for event in end if not isinstance(event, Closed)]
    data = [encoder.write(event) for event in [opened, began, *grown, *ended, Closed(USAGE)]]
    for face in CHAT_FORMATS:
        in_time(lambda face=face: tell_stream(wire, face, data), f"{wire} to {face}")  # type: ignore[misc]


def growth() -> Iterator[Any]:
    yield PartGrew(0, "a word ")


ABSURD: dict[WireFormat, list[bytes]] = {
    "openai_chat": [
        b'{"choices":[{"index":%b,"delta":{"content":"x","tool_calls":[{"index":%b,"id":"c","function":{"name":"f",'
        b'"arguments":"{"}}]}}]}' % (number, number)
        for number in (b"-1", b"99999999999999999999", b"1e3", b"true", b'"0"', b"4294967296")
    ],
    "openai_responses": [
        b'{"type":"%b","output_index":%b,"content_index":%b,"item_id":7,"delta":"x","item":{"type":"function_call"}}'
        % (kind, number, number)
        for kind in (
            b"response.output_text.delta",
            b"response.function_call_arguments.delta",
            b"response.output_item.done",
        )
        for number in (b"-1", b"99999999999999999999", b"1.5", b"null")
    ],
    "anthropic_messages": [
        b'{"type":"%b","index":%b,"delta":{"type":"text_delta","text":"x"},"content_block":{"type":"text","text":5}}'
        % (kind, number)
        for kind in (b"content_block_start", b"content_block_delta", b"content_block_stop")
        for number in (b"-1", b"99999999999999999999", b"null", b'"0"')
    ],
    "gemini": [
        b'{"candidates":[{"index":%b,"content":{"parts":[{"text":"x"},{"functionCall":{"name":"f","args":%b}}]}}]}'
        % (number, number)
        for number in (b"-1", b"99999999999999999999", b"1e400", b"null", b"[]")
    ],
    "ollama": [
        b'{"model":"m","created_at":%b,"message":{"content":"x","tool_calls":[{"function":{"name":"f","index":%b,'
        b'"arguments":%b}}]},"done":false}' % (number, number, number)
        for number in (b"-1", b"99999999999999999999", b"1e400", b"null", b"[]")
    ],
    "openai_completions": [
        b'{"choices":[{"index":%b,"text":"x","logprobs":{"tokens":["x"],"token_logprobs":[%b]}}],"created":%b}'
        % (number, number, number)
        for number in (b"-1", b"99999999999999999999", b"1e400", b"99999999999999", b"null")
    ],
}
"""Events with numbers that count nothing, and names that are no texts."""


@formats
def test_absurd_numbers_and_names_in_events_are_left_out(wire: WireFormat) -> None:
    for event in ABSURD[wire]:
        framed = event + b"\n" if wire == "ollama" else b"data: " + event + b"\n\n"
        for face in CHAT_FORMATS:
            tell_stream(wire, face, [framed])
        tell_whole(wire, event)


@formats
def test_times_beyond_the_calendar_are_no_ones_problem(wire: WireFormat) -> None:
    for created in (b"1780000000000", b"99999999999999", b"-5", b'"9999-99-99"', b"1e18"):
        body = (
            b'{"id":"x","object":"response","created":%b,"created_at":%b,"model":"m","choices":[{"message":{"content":"a"},'
            b'"text":"a","finish_reason":"stop"}],"output":[],"message":{"content":"a"},"done":true}'
            % (created, created)
        )
        tell_whole(wire, body)


@formats
def test_a_stream_of_one_event_that_never_ends_is_cut_in_time(wire: WireFormat) -> None:
    start = b'{"model":"' if wire == "ollama" else b'data: {"model":"'
    pieces = [start, *[b"x" * 65_536] * 100]
    for face in CHAT_FORMATS:
        in_time(lambda face=face: tell_stream(wire, face, pieces), f"{wire} to {face}")  # type: ignore[misc]


@formats
def test_a_stream_that_is_read_back_is_what_was_written_before_it_was_spoiled(wire: WireFormat) -> None:
    """What is spoiled above is worth spoiling: it is read without loss of its kinds."""
    decoder = translator(wire).stream_decoder(numbered())
    read = answer_of([*decoder.feed(streams_of(wire)[0]), *decoder.rest()])
    kinds = {type(part) for choice in read.choices for part in choice.content}
    assert Text in kinds or wire == "openai_completions"
    assert (ToolCall in kinds) == ("tool_call" in translator(wire).answers_carry)

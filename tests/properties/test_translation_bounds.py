"""What is large, deep or absurd takes no translator longer than its size needs, and none of them is lost over it.

Each case is measured against a bound, which is many times what it takes.
"""

import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Choice,
    Closed,
    Message,
    PartGrew,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from farthing.types.providers import WireFormat
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.protocol import encode_all
from farthing.wire.translators.registry import CHAT_FORMATS, translator
from tests.properties.translation_cases import (
    USAGE,
    asked_by,
    conversation,
    cross_request,
    numbered,
    streams_of,
    tell_stream,
    tell_whole,
)

formats = pytest.mark.parametrize("wire", CHAT_FORMATS)
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
        declared = ",".join([f'{{"name":"t{number}"}}' for number in range(20_000)])
        tools = f'{{"functionDeclarations":[{declared}]}}'
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


def many_citations() -> list[bytes]:
    """Return a stream of responses that cites a page with every word."""
    word = (
        b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"a"}\n\n'
        b'data: {"type":"response.output_text.annotation.added","output_index":0,"content_index":0,'
        b'"annotation":{"type":"url_citation","url":"https://example.com","start_index":0,"end_index":1}}\n\n'
    )
    return [*[word * 100] * 600, b'data: {"type":"response.completed","response":{"status":"completed"}}\n\n']


def many_logprobs() -> list[bytes]:
    """Return a stream of Ollama's whose tokens are told long before any text is."""
    line = b'{"model":"m","message":{"content":""},"done":false,"logprobs":[{"token":"a","logprob":-1}]}\n'
    return [*[line] * 60_000, b'{"model":"m","message":{"content":"a"},"done":true,"done_reason":"stop"}\n']


@pytest.mark.parametrize(
    ("wire", "pieces"), [("openai_responses", many_citations()), ("ollama", many_logprobs())], ids=["cited", "logprobs"]
)
def test_what_gathers_until_a_part_ends_takes_no_longer_than_its_size_needs(
    wire: WireFormat, pieces: list[bytes]
) -> None:
    in_time(lambda: tell_stream(wire, "openai_chat", pieces), wire)

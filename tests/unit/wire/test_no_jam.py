"""Nobody's input keeps everybody waiting: what costs more than a pass or two over its bytes is refused, and told why.

Times are compared with a plain pass over the same bytes, or with half of the input, never with a clock alone.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from farthing.errors import FarthingError, InvalidRequest, ProviderMisbehaved
from farthing.wire import anthropic_messages, gemini, ollama, openai_chat, openai_responses
from farthing.wire.gemini_requests import MAX_REQUESTS, renamed
from farthing.wire.json_array import MAX_ELEMENTS, ArraySplitter, elements_of
from farthing.wire.lenient import MAX_OBJECTS, decode, with_whole_characters
from farthing.wire.meter import StreamMeter
from farthing.wire.ndjson import LineSplitter
from farthing.wire.peek import MAX_MEMBERS, MAX_SPARE_BYTES, MAX_VALUE_BYTES, Envelope
from farthing.wire.sse import MAX_CRUMBS, EventSplitter, event_data

MB = 1 << 20
SLACK = 40
"""Passes that work may cost; what was mended here cost hundreds, or grew with the square."""


class Nothing(msgspec.Struct):
    """Decoding to it is a pass over the bytes that keeps none of them."""


def seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        try:
            work()
        except FarthingError:
            pass
        best = min(best, time.process_time() - began)
    return best


def passes(work: Callable[[], object], body: bytes) -> float:
    """Return how many passes over `body` the work takes."""
    return seconds(work) / max(seconds(lambda: msgspec.json.decode(body, type=Nothing)), 0.001)


def growth(work: Callable[[int], object], size: int) -> float:
    """Return how much longer twice the size takes."""
    return seconds(lambda: work(2 * size)) / max(seconds(lambda: work(size)), 0.001)


# ---- requests


def members(count: int) -> bytes:
    return b'{"model":"m"' + b"".join([b',"%d":0' % number for number in range(count)]) + b"}"


def test_a_million_members_are_refused_before_they_are_made_objects() -> None:
    body = members(1_000_000)
    with pytest.raises(InvalidRequest, match="too many members") as refused:
        Envelope(body)
    assert f"at most {MAX_MEMBERS}" in str(refused.value)
    assert passes(lambda: Envelope(body), body) < SLACK


@pytest.mark.parametrize("end", [b"", b',"\\ud800":1}', b',"x"}', b"} x"], ids=["cut", "surrogate", "broken", "more"])
def test_so_are_those_of_a_body_that_is_no_json_in_the_end(end: bytes) -> None:
    body = members(1_000_000)[:-1] + end
    with pytest.raises(InvalidRequest):
        Envelope(body)
    assert passes(lambda: Envelope(body), members(1_000_000)) < SLACK


def test_the_same_member_over_and_over_is_many_members() -> None:
    body = b'{"model":"m"' + b',"a":1' * 1_000_000 + b"}"
    with pytest.raises(InvalidRequest, match="too many members"):
        Envelope(body)


def test_a_small_body_may_have_a_thousand_members_and_not_one_more() -> None:
    assert b"".join(Envelope(members(MAX_MEMBERS - 1)).spliced({"model": b'"x"'})).startswith(b'{"model":"x","0":0')
    with pytest.raises(InvalidRequest, match=f"too many members: {MAX_MEMBERS + 1}"):
        Envelope(members(MAX_MEMBERS))


@pytest.mark.parametrize("name", ["messages", "input", "contents", "prompt", "system", "tools", "requests"])
def test_what_is_known_to_be_large_may_be_as_full_as_it_likes(name: str) -> None:
    body = b'{"model":"m","%b":[' % name.encode() + b'{"a":{"b":1}},' * 200_000 + b'{}],"stream":true}'
    assert Envelope(body).flag("stream")


def test_an_unknown_member_may_be_large_as_long_as_it_is_not_all_colons() -> None:
    assert Envelope(b'{"model":"m","novel":"' + b"once upon a time; " * 200_000 + b'"}').model() == "m"
    with pytest.raises(InvalidRequest, match="too many members"):
        Envelope(b'{"model":"m","novel":"' + b":" * (MAX_SPARE_BYTES + 9) + b'"}')


def test_a_value_over_the_bound_is_not_decoded() -> None:
    lists = b'{"metadata":[' + b"[]," * (MAX_VALUE_BYTES // 3) + b"[]]}"
    assert Envelope(lists).value("metadata") is None
    assert Envelope(b'{"metadata":{"user_id":"u"}}').value("metadata") == {"user_id": "u"}


def test_white_space_before_a_value_is_passed_in_one_step() -> None:
    body = b'{"model" :' + b" " * (8 * MB) + b'"m"}'
    envelope = Envelope(body)
    assert b"".join(envelope.spliced({"model": b'"x"'})) == body.replace(b'"m"', b'"x"')
    assert passes(lambda: envelope.spliced({"model": b'"x"'}), body) < SLACK


def test_a_name_in_an_error_is_cut() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Envelope(b'{"%b":1,"%b":2}' % (b"x" * MB, b"x" * MB)).spliced({"model": b"1"})
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("around", [b"\\ud800", b"\\\\\\ud800", b"\\ud83d\\ude00"])
def test_half_characters_are_mended_up_to_a_number(around: bytes) -> None:
    few = with_whole_characters(around * 1_000)
    assert len(few) == 1_000 * len(around)
    many = around * 2_000_000
    assert passes(lambda: with_whole_characters(many), b'{"a":"' + b"x" * len(many) + b'"}') < 10 * SLACK


def test_a_run_of_backslashes_is_not_walked_one_by_one() -> None:
    def mend(size: int) -> bytes:
        return with_whole_characters(b"\\" * (2 * size) + b"\\ud800")

    assert mend(100).endswith(b"\\\\\\ufffd")
    assert with_whole_characters(b"\\" * 201 + b"\\ud800").endswith(b"\\\\ud800")
    assert growth(mend, 4 * MB) < 3.5


# ---- Gemini's batches


def batch(count: int, request: bytes = b'{"model":"models/fast"}') -> bytes:
    return b'{"requests":[' + b",".join([request] * count) + b"]}"


def test_a_batch_of_more_requests_than_anybody_takes_is_refused_at_the_first_too_many() -> None:
    assert renamed(batch(MAX_REQUESTS), "fast", "m")["requests"].count(b"models/m") == MAX_REQUESTS
    with pytest.raises(InvalidRequest, match=f"a batch of over {MAX_REQUESTS} requests"):
        renamed(batch(MAX_REQUESTS + 1), "fast", "m")
    for request in (b"{}", b'{"model":"models/fast"}'):
        body = batch(500_000, request)
        assert passes(lambda: renamed(body, "fast", "m"), body) < SLACK  # noqa: B023 - called here and now


def test_a_batch_with_megabytes_beside_its_content_is_refused() -> None:
    content = b'{"model":"models/fast","content":{"parts":[{"text":"%b"}]}}'
    assert renamed(batch(20, content % (b"x:" * 100_000)), "fast", "m")["requests"].count(b"models/m") == 20
    crowd = members(20_000).replace(b'"m"', b'"fast"')
    with pytest.raises(InvalidRequest, match="beside the content of its requests"):
        renamed(batch(20, crowd), "fast", "m")


def test_a_batch_of_something_else_is_the_providers_to_refuse() -> None:
    for body in (b'{"requests":5}', b'{"requests":[5]}', b'{"requests":null}', b'{"requests":[', b'{"model":[[]]}'):
        assert renamed(body, "fast", "m") == {}


# ---- streams


def fed(splitter: Any, piece: bytes, times: int) -> None:
    for _ in range(times):
        splitter.feed(piece)


def inside(splitter: Any, beginning: bytes) -> Any:
    splitter.feed(beginning)
    return splitter


@pytest.mark.parametrize(
    ("splitter", "beginning", "piece"),
    [
        (ArraySplitter, b'[{"a":"', b"x" * 64),
        (ArraySplitter, b'[{"a":"', b"\\n" * 32),
        (ArraySplitter, b'[{"a":[', b"[]," * 21),
        (EventSplitter, b"data: x", b"data: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n"),
        (EventSplitter, b"data: x", b"data: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"),
        (LineSplitter, b'{"a":"', b"x" * 64),
    ],
    ids=["text", "escapes", "brackets", "lines", "crlf lines", "ndjson"],
)
def test_a_part_that_drips_in_takes_time_in_proportion_to_its_size(
    splitter: Callable[[], Any], beginning: bytes, piece: bytes
) -> None:
    assert growth(lambda times: fed(inside(splitter(), beginning), piece, times), 30_000) < 3.5


@pytest.mark.parametrize(
    ("splitter", "beginning", "crumb"),
    [
        (ArraySplitter, b"[", b"{},"),
        (EventSplitter, b"", b"data:5\n\n"),
        (EventSplitter, b"", b"a\r\n\r\n"),
        (EventSplitter, b"", b"\n\n"),
        (LineSplitter, b"", b"5\n"),
        (LineSplitter, b"", b"\n"),
    ],
)
def test_a_flood_of_crumbs_is_no_answer(splitter: Callable[[], Any], beginning: bytes, crumb: bytes) -> None:
    assert inside(splitter(), beginning).feed(crumb * (MAX_CRUMBS // 2)) is not None
    for count in (MAX_CRUMBS + 2, 2_000_000):
        with pytest.raises(ProviderMisbehaved, match="which is no answer"):
            inside(splitter(), beginning).feed(crumb * count)


def test_twenty_thousand_ordinary_parts_may_come_at_once() -> None:
    chunk = b'{"choices":[{"index":0,"delta":{"content":"word"}}]}'
    assert len(EventSplitter().feed(b"data: %b\n\n" % chunk * 20_000)) == 20_000
    assert len(EventSplitter().feed(b"data: %b\r\n\r\n" % chunk * 20_000)) == 20_000
    assert len(LineSplitter().feed(b"%b\n" % chunk * 20_000)) == 20_000
    assert len(inside(ArraySplitter(), b"[").feed(b"%b,\n" % chunk * 20_000)[0]) == 20_000


def test_an_event_of_a_million_lines_is_refused() -> None:
    assert event_data(b"data\n" * 1_000 + b"data: x\n\n") == b"x"
    with pytest.raises(ProviderMisbehaved, match="lines"):
        event_data(b"data\n" * 1_000_000 + b"\n")


def test_an_event_may_end_across_any_two_reads() -> None:
    for ending in (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"):
        event = b"data: x" + ending
        for cut in range(1, len(event)):
            splitter = EventSplitter()
            found = [*splitter.feed(b"data: a\n" + event[:cut]), *splitter.feed(event[cut:] + b"data: b\n\n")]
            assert b"".join(found) == b"data: a\n" + event + b"data: b\n\n", (ending, cut)


@pytest.mark.parametrize(
    ("meter", "error"),
    [
        (openai_chat.stream_meter, b'data: {"error":{"message":"%b"}}\n\n'),
        (openai_chat.stream_meter, b'event: error\ndata: {"message":"%b"}\n\n'),
        (anthropic_messages.stream_meter, b'event: error\ndata: {"type":"error","error":{"message":"%b"}}\n\n'),
        (openai_responses.stream_meter, b'data: {"type":"error","message":"%b"}\n\n'),
        (gemini.stream_meter, b'data: {"error":{"message":"%b","code":400}}\n\n'),
        (ollama.stream_meter, b'{"error":"%b"}\n'),
    ],
    ids=["chat", "named error", "messages", "responses", "gemini", "ollama"],
)
def test_a_giant_error_is_not_read_again_with_every_question(meter: Callable[..., StreamMeter], error: bytes) -> None:
    event = error % (b"\\\\" * (8 * MB))
    reader = meter(lambda _text: None)
    reader.feed(event)
    assert reader.failed
    assert "bytes, which nobody read" in (reader.reading().error_message or "")
    assert passes(reader.reading, b'{"a":"%b"}' % (b"\\\\" * (8 * MB))) < 0.1
    small = meter(lambda _text: None)
    small.feed(error % b"too many requests")
    assert small.reading().error_message == "too many requests"


# ---- whole answers


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (gemini.read_answer, b"[" + b"{}," * 4_000_000 + b"{}]"),
        (gemini.read_answer, b"[" + b"1," * 4_000_000 + b"1]"),
        (gemini.read_answer, b'{"candidates":[' + b"{}," * 4_000_000 + b"{}]}"),
        (openai_chat.read_answer, b'{"choices":[' + b"{}," * 4_000_000 + b"{}]}"),
        (ollama.read_answer, b'{"message":{"tool_calls":[' + b"{}," * 4_000_000 + b"{}]}}"),
    ],
)
def test_an_answer_of_next_to_nothing_is_not_taken_apart(read: Callable[..., Any], body: bytes) -> None:
    reference = b'{"a":' + body + b"}"
    assert passes(lambda: read(body, lambda _text: None), reference) < SLACK
    assert read(body, lambda _text: None).usage is None


def test_lines_of_next_to_nothing_are_refused() -> None:
    with pytest.raises(ProviderMisbehaved, match="which is no answer"):
        ollama.read_answer(b"{}\n" * 1_000_000, lambda _text: None)


def test_log_probabilities_of_a_long_answer_are_no_crumbs() -> None:
    token = b'{"token":"a","logprob":-0.1,"bytes":[97],"top_logprobs":[]},'
    body = b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":[' + token * 100_000 + b'{}]}}],"usage":5}'
    assert body.count(b"{") > MAX_OBJECTS
    assert decode(msgspec.json.Decoder(dict[str, msgspec.Raw]), body) is not None


def test_an_array_of_more_chunks_than_the_longest_answer_has_is_refused() -> None:
    chunk = b'{"candidates":[{"content":{"parts":[{"text":"a word or two"}],"role":"model"},"index":0}]}'
    assert len(elements_of(b"[" + b",".join([chunk] * 20_000) + b"]")) == 20_000
    with pytest.raises(ProviderMisbehaved, match="parts; at most"):
        elements_of(b"[" + b",".join([chunk] * (MAX_ELEMENTS + 1)) + b"]")
    assert elements_of(b"5") == elements_of(b'{"a":1}') == elements_of(b"[") == []

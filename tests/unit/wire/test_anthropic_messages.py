import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.types.usage import Usage
from farthing.wire.anthropic_messages import MessagesStreamMeter, error_event, read_answer, read_usage


def event(kind: str, **content: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()


def start(**usage: Any) -> bytes:
    return event("message_start", message={"model": "claude-x", "usage": {"output_tokens": 1, **usage}})


def end(**usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage) + event("message_stop")


TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"})


def metered(stream: bytes, step: int = 11) -> tuple[MessagesStreamMeter, str]:
    said: list[str] = []
    meter = MessagesStreamMeter(said.append)
    out = b"".join(meter.feed(stream[i : i + step]) for i in range(0, len(stream), step)) + meter.rest()
    assert out == stream
    return meter, "".join(said)


def test_the_inclusive_input_is_a_sum_because_anthropic_leaves_the_cache_out() -> None:
    usage = read_usage(
        {
            "input_tokens": 17,
            "output_tokens": 3,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 2056,
            "cache_creation": {"ephemeral_5m_input_tokens": 56, "ephemeral_1h_input_tokens": 2000},
        }
    )
    assert usage == Usage(
        input_tokens=2173,
        output_tokens=3,
        cache_read_input_tokens=100,
        cache_creation_5m_input_tokens=56,
        cache_creation_1h_input_tokens=2000,
    )


def test_the_two_halves_of_a_streams_usage_are_merged() -> None:
    meter, said = metered(start(input_tokens=9, cache_read_input_tokens=50) + TEXT + end(output_tokens=12))
    assert said == "hi"
    assert meter.terminal
    assert meter.reading().usage == Usage(input_tokens=59, output_tokens=12, cache_read_input_tokens=50)
    assert meter.reading().model_served == "claude-x"


def test_the_second_half_may_correct_the_input_upwards_and_the_lifetimes_stay() -> None:
    opening = start(input_tokens=2783, cache_creation_input_tokens=10, cache_creation={"ephemeral_1h_input_tokens": 10})
    closing = end(
        input_tokens=12177,
        cache_creation_input_tokens=10,
        output_tokens=900,
        server_tool_use={"web_search_requests": 2},
        output_tokens_details={"thinking_tokens": 300},
    )
    meter, _ = metered(opening + TEXT + closing)
    assert meter.reading().usage == Usage(
        input_tokens=12187,
        output_tokens=900,
        cache_creation_1h_input_tokens=10,
        reasoning_output_tokens=300,
        web_search_requests=2,
    )


def test_written_tokens_that_the_split_does_not_explain_have_the_default_lifetime() -> None:
    usage = read_usage(
        {
            "input_tokens": 1,
            "output_tokens": 1,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_1h_input_tokens": 10},
        }
    )
    assert usage is not None
    assert (usage.cache_creation_1h_input_tokens, usage.cache_creation_5m_input_tokens) == (10, 20)


def begun(meter: MessagesStreamMeter) -> bool:
    return meter.has_output or meter.has_finish


@pytest.mark.parametrize(
    "output",
    [
        event("content_block_delta", delta={"type": "thinking_delta", "thinking": "x"}),
        event("content_block_start", content_block={"type": "tool_use", "name": "read"}),
        event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 1}),
    ],
)
def test_pings_and_openings_are_no_output(output: bytes) -> None:
    meter = MessagesStreamMeter(lambda _text: None)
    empty = event("content_block_start", content_block={"type": "text", "text": ""})
    meter.feed(start(input_tokens=1) + event("ping") + empty)
    assert not begun(meter)
    meter.feed(output)
    assert begun(meter)


def test_an_error_event_is_noticed() -> None:
    meter, _ = metered(start(input_tokens=1) + event("error", error={"type": "overloaded_error", "message": "busy"}))
    assert meter.failed
    reading = meter.reading()
    assert (reading.error_code, reading.error_message, reading.finished) == ("overloaded_error", "busy", False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["input_tokens", "output_tokens", "cache_creation", "cache_creation_input_tokens"]),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_no_usage_however_malformed_makes_the_meter_raise(usage: Any) -> None:
    read_usage(usage)
    body = json.dumps({"type": "message", "usage": usage}).encode()
    read_answer(body, lambda _text: None)
    metered(
        b"event: message_start\ndata: "
        + json.dumps({"type": "message_start", "message": {"usage": usage}}).encode()
        + b"\n\n"
    )


def test_a_whole_message_is_read() -> None:
    usage = {"input_tokens": 4, "output_tokens": 2, "service_tier": "priority"}
    body = json.dumps({"type": "message", "model": "m", "content": [], "usage": usage}).encode()
    reading = read_answer(body, lambda _text: None)
    assert reading.usage == Usage(input_tokens=4, output_tokens=2)
    assert reading.service_tier == "priority"
    assert reading.finished


def test_the_error_event_is_one_that_clients_raise_on() -> None:
    name, data = error_event("provider_cut", "it broke").decode().strip().split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["message"] == "it broke"

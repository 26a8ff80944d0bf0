import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.types.usage import Usage
from farthing.wire.openai_chat import ChatStreamMeter, error_event, read_answer
from farthing.wire.openai_usage import read_usage


def event(**content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def delta(text: str | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    said = {} if text is None else {"content": text}
    return event(model="gpt-x", choices=[{"index": 0, "delta": {**said, **more}, "finish_reason": finish}])


USAGE: dict[str, Any] = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 8},
}
DONE = b"data: [DONE]\n\n"


def metered(stream: bytes, *, strip: bool = False, step: int = 7) -> tuple[ChatStreamMeter, bytes, str]:
    said: list[str] = []
    meter = ChatStreamMeter(said.append, strip_usage=strip)
    out = b"".join(meter.feed(stream[i : i + step]) for i in range(0, len(stream), step))
    return meter, out + meter.rest(), "".join(said)


def test_cached_and_reasoning_tokens_are_parts_of_the_totals() -> None:
    assert read_usage(USAGE) == Usage(
        input_tokens=100, output_tokens=20, cache_read_input_tokens=60, reasoning_output_tokens=8
    )


def test_deepseek_names_its_cache_hits_and_misses() -> None:
    usage = read_usage({"prompt_cache_hit_tokens": 384, "prompt_cache_miss_tokens": 163, "completion_tokens": 5})
    assert usage == Usage(input_tokens=547, output_tokens=5, cache_read_input_tokens=384)


def test_openrouter_reports_cache_writes_inside_the_prompt() -> None:
    usage = read_usage(
        {"prompt_tokens": 2572, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 2569}}
    )
    assert usage is not None
    assert (usage.input_tokens, usage.cache_creation_5m_input_tokens) == (2572, 2569)


def test_reasoning_beyond_an_output_that_the_total_confirms_is_cut_and_flagged() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 21}}
    inside = read_usage({"prompt_tokens": 21, "completion_tokens": 16, "total_tokens": 37, **details})
    assert inside == Usage(
        input_tokens=21, output_tokens=16, reasoning_output_tokens=16, flags=("reasoning_exceeds_output",)
    )
    unconfirmed = read_usage({"prompt_tokens": 21, "completion_tokens": 16, **details})
    assert unconfirmed is not None
    assert unconfirmed.reasoning_output_tokens == 21


def test_tokens_hidden_in_the_total_are_flagged() -> None:
    usage = read_usage({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 400})
    assert usage is not None
    assert usage.flags == ("total_disagrees",)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*USAGE, *USAGE["prompt_tokens_details"], "cost"]), inner, max_size=5)
        ),
        max_leaves=15,
    )
)
def test_no_usage_however_malformed_makes_the_meter_raise(usage: Any) -> None:
    read_usage(usage)
    body = msgspec.json.encode({"choices": [], "usage": usage})
    read_answer(body, lambda _text: None)
    metered(b"data: " + body + b"\n\n")


def test_a_stream_passes_unchanged_and_is_counted() -> None:
    stream = delta("") + delta("Hel") + delta("lo") + delta(finish="stop") + event(choices=[], usage=USAGE) + DONE
    meter, out, said = metered(stream)
    assert out == stream
    assert said == "Hello"
    assert meter.terminal
    reading = meter.reading()
    assert reading.finished
    assert reading.model_served == "gpt-x"
    assert reading.usage == read_usage(USAGE)


def test_the_usage_chunk_that_only_we_asked_for_is_kept_from_the_client() -> None:
    usage = event(choices=[], usage=USAGE)
    stream = delta("hi") + delta(finish="stop") + usage + DONE
    meter, out, _ = metered(stream, strip=True)
    assert out == stream.replace(usage, b"")
    assert meter.reading().usage == read_usage(USAGE)


def test_usage_on_the_finish_chunk_is_the_providers_own_and_stays() -> None:
    finish = event(choices=[{"delta": {}, "finish_reason": "stop"}], usage=USAGE)
    meter, out, _ = metered(delta("hi") + finish + DONE, strip=True)
    assert finish in out
    assert meter.reading().usage == read_usage(USAGE)


def test_null_usage_on_earlier_chunks_is_no_usage() -> None:
    stream = event(choices=[{"delta": {"content": "a"}}], usage=None) + event(choices=[], usage=USAGE) + DONE
    meter, _, _ = metered(stream)
    assert meter.reading().usage == read_usage(USAGE)


def test_old_groq_hides_usage_in_its_own_member() -> None:
    meter, _, _ = metered(event(choices=[{"delta": {}, "finish_reason": "stop"}], x_groq={"usage": USAGE}))
    assert meter.reading().usage == read_usage(USAGE)


def test_cumulative_usage_is_taken_last_and_never_summed() -> None:
    stream = b"".join(event(choices=[], usage={"prompt_tokens": 5, "completion_tokens": n}) for n in (1, 2, 3))
    meter, _, _ = metered(stream)
    assert meter.reading().usage == Usage(input_tokens=5, output_tokens=3)


def test_a_reported_cost_is_kept_exactly() -> None:
    stream = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":0.0000123456789}}\n\n'
    meter, _, _ = metered(stream)
    assert meter.reading().reported_cost_nanousd == 12_346


@pytest.mark.parametrize(
    "said",
    [
        {"content": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"refusal": "x"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]},
    ],
)
def test_the_first_content_thinking_or_tool_delta_is_real_output(said: dict[str, Any]) -> None:
    opening = event(choices=[{"delta": {"role": "assistant", "content": ""}}])
    meter = ChatStreamMeter(lambda _text: None)
    meter.feed(b": OPENROUTER PROCESSING\n\n" + opening)
    assert not meter.has_output
    meter.feed(event(choices=[{"delta": said}]))
    assert meter.has_output


def test_an_error_inside_the_stream_is_noticed_and_passed_on() -> None:
    error = event(choices=[], error={"code": 502, "message": "Provider returned error"})
    meter, out, _ = metered(delta("a") + error)
    assert out.endswith(error)
    assert meter.failed
    assert meter.reading().error_message == "Provider returned error"
    assert not meter.reading().finished


def test_a_broken_event_passes_and_the_stream_goes_on() -> None:
    stream = delta("a") + b'data: {"choices": [{"del\n\n' + delta("b", finish="stop") + DONE
    meter, out, said = metered(stream)
    assert out == stream
    assert said == "ab"
    assert meter.reading().finished


def test_fields_with_types_that_nobody_documents_do_not_hide_the_usage() -> None:
    stream = event(choices=[{"delta": {"content": "a", "reasoning": {"x": 1}}}], model=7, usage=USAGE)
    meter, out, _ = metered(stream)
    assert out == stream
    assert meter.reading().usage == read_usage(USAGE)


def test_a_whole_answer_without_usage_tells_its_text_for_the_estimate() -> None:
    said: list[str] = []
    body = json.dumps({"choices": [{"message": {"content": "some text"}}]}).encode()
    reading = read_answer(body, said.append)
    assert reading.usage is None
    assert said == ["some text"]


def test_an_error_in_a_200_is_an_error() -> None:
    reading = read_answer(b'\n\n {"error":{"message":"no","code":502}}', lambda _text: None)
    assert (reading.error_code, reading.error_message, reading.finished) == ("502", "no", False)


def test_the_error_event_is_one_that_clients_raise_on() -> None:
    data = json.loads(error_event("provider_cut", "it broke").removeprefix(b"data: "))
    assert data["error"] == {"message": "it broke", "type": "provider_error", "param": None, "code": "provider_cut"}

"""Responses, completions and embeddings: what a meter reads depends neither on the cuts nor on good manners."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farthing.types.usage import UsageHabits
from farthing.wire import openai_completions, openai_embeddings, openai_responses
from farthing.wire.meter import Reading, StreamMeter, decode_exact
from tests.properties.mutations import is_thinned

junk: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
count = st.integers(0, 10**6)
words = st.text(max_size=12)
stream_end = st.sampled_from(["\n\n", "\r\n\r\n"])


def maybe_junk(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return good | good | good | junk


def members(**good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional={name: maybe_junk(value) for name, value in good.items()})


# ---- responses

usage = members(
    input_tokens=count,
    input_tokens_details=members(cached_tokens=count, cache_write_tokens=count, audio_tokens=count),
    output_tokens=count,
    output_tokens_details=members(reasoning_tokens=count),
    total_tokens=count,
    cost=st.floats(0, 10),
    cost_in_usd_ticks=count,
    server_side_tool_usage_details=members(web_search_calls=count, code_interpreter_calls=count),
)
item = members(
    type=st.sampled_from(
        ["message", "function_call", "web_search_call", "file_search_call", "shell_call", "reasoning"]
    ),
    status=st.sampled_from(["completed", "failed"]),
    name=words,
    arguments=words,
    content=st.lists(members(text=words, refusal=words), max_size=2),
    summary=st.lists(members(text=words), max_size=2),
    action=members(type=st.sampled_from(["search", "open_page"]), commands=st.lists(words, max_size=2)),
    environment=members(type=st.sampled_from(["local", "container_auto"])),
)
response = members(
    model=words,
    status=st.sampled_from(["completed", "queued", "failed"]),
    service_tier=words,
    usage=usage,
    tool_usage=members(web_search=members(num_requests=count)),
    error=members(code=words, message=words),
    output=st.lists(maybe_junk(item), max_size=3),
)
KINDS = [
    *(f"response.{kind}" for kind in ("created", "in_progress", "completed", "incomplete", "failed", "queued")),
    *(
        f"response.{kind}.delta"
        for kind in ("output_text", "reasoning_summary_text", "function_call_arguments", "audio")
    ),
    "response.output_item.added",
    "response.output_item.done",
    "error",
]
response_event = members(
    type=st.sampled_from(KINDS), delta=words, item=item, response=response, error=members(message=words), code=words
)

# ---- completions and embeddings

chat_usage = members(prompt_tokens=count, completion_tokens=count, total_tokens=count, cost=st.floats(0, 10))
choice = members(text=words, index=st.integers(0, 3), finish_reason=st.sampled_from([None, "stop", "error", ""]))
chunk = members(
    choices=st.lists(maybe_junk(choice), max_size=3), model=words, usage=chat_usage, error=members(code=count)
)
vectors = members(
    data=st.lists(
        members(embedding=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3) | words), max_size=3
    ),
    model=words,
    usage=chat_usage,
    id=st.sampled_from(["]", '"]', "}]", "\\]"]),
)


@st.composite
def stream(draw: st.DrawFn, event: st.SearchStrategy[Any]) -> bytes:
    pieces: list[str] = []
    end = draw(stream_end)
    for content in draw(st.lists(event | st.just("[DONE]") | st.just(": ping"), max_size=8)):
        if isinstance(content, str):
            pieces.append(content if content.startswith(":") else f"data: {content}")
        else:
            kind = content.get("type") if isinstance(content, dict) and draw(st.booleans()) else None
            name = f"event: {kind}{end[: len(end) // 2]}" if isinstance(kind, str) and kind in KINDS else ""
            pieces.append(f"{name}data: {json.dumps(content, ensure_ascii=draw(st.booleans()))}")
    text = "".join(piece + end for piece in pieces).encode("utf-8", "surrogatepass")
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


Seen = tuple[bytes, Reading, bool, bool, bool, str]


def seen(make: Callable[..., StreamMeter], pieces: list[bytes], *, strip: bool) -> Seen:
    texts: list[str] = []
    meter = make(texts.append, UsageHabits(), strip_usage=strip)
    out = b"".join(map(meter.feed, pieces)) + meter.rest()
    return out, meter.reading(), meter.has_output or meter.has_finish, meter.terminal, meter.failed, "".join(texts)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


places = st.lists(st.integers(0, 10_000), max_size=12)


@given(stream(response_event), places)
def test_a_stream_of_responses_reads_the_same_however_it_is_cut(data: bytes, at: list[int]) -> None:
    whole = seen(openai_responses.stream_meter, [data], strip=False)
    assert whole[4] or is_thinned(whole[0], data)
    assert seen(openai_responses.stream_meter, cut(data, at), strip=False) == whole
    assert seen(openai_responses.stream_meter, [bytes([byte]) for byte in data], strip=False) == whole


@given(stream(chunk), places, st.booleans())
def test_a_stream_of_completions_reads_the_same_however_it_is_cut(data: bytes, at: list[int], strip: bool) -> None:
    whole = seen(openai_completions.stream_meter, [data], strip=strip)
    assert whole[4] or is_thinned(whole[0], data)
    assert seen(openai_completions.stream_meter, cut(data, at), strip=strip) == whole
    assert seen(openai_completions.stream_meter, [bytes([byte]) for byte in data], strip=strip) == whole


@given(response | chunk | vectors | junk, st.integers(-1, 200), st.binary(max_size=2))
def test_no_answer_makes_a_reader_raise(content: Any, at: int, noise: bytes) -> None:
    body = json.dumps(content).encode()
    if at >= 0:
        body = body[:at] + noise + body[at + 1 :]
    for form in (openai_responses, openai_completions, openai_embeddings):
        texts: list[str] = []
        reading = form.read_answer(body, texts.append)
        assert all(isinstance(text, str) for text in texts)
        assert reading.usage is None or reading.usage.web_search_requests >= 0


@given(vectors)
def test_the_end_of_an_answer_tells_what_all_of_it_tells(content: Any) -> None:
    if not isinstance(content, dict):
        return
    told = openai_embeddings.read_answer(json.dumps(content).encode(), lambda _text: None)
    made, usage = isinstance(content.get("data"), list) and bool(content["data"]), content.get("usage")
    expected = openai_embeddings.read_usage(decode_exact(json.dumps(usage).encode()), made=made)
    assert told.usage == expected or (told.error_message is not None and made)


@given(response)
def test_a_response_reads_the_same_whole_and_as_the_end_of_a_stream(content: Any) -> None:
    whole = openai_responses.read_answer(json.dumps(content).encode(), lambda _text: None)
    data = f"data: {json.dumps({'type': 'response.completed', 'response': content})}\n\n".encode()
    streamed = seen(openai_responses.stream_meter, [data], strip=False)[1]
    assert (streamed.usage, streamed.model_served, streamed.error_message, streamed.reported_cost_nanousd) == (
        whole.usage,
        whole.model_served,
        whole.error_message,
        whole.reported_cost_nanousd,
    )

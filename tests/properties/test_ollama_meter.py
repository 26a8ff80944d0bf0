"""Ollama's lines through the meter: cut anywhere and damaged anyhow, they change neither bytes nor books, nor raise."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from farthing.types.usage import Usage
from farthing.wire.meter import Reading
from farthing.wire.ollama import OllamaStreamMeter, read_answer
from tests.properties.mutations import is_thinned

words = st.text(max_size=12)
counts = st.integers(0, 1 << 30)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    *("message", "response", "thinking", "tool_calls", "done", "done_reason", "model", "prompt_eval_count"),
    *("eval_count", "embeddings", "embedding", "error"),
)
odd_lines = st.dictionaries(st.sampled_from((*NAMES, "context", "created_at")), anything, max_size=6)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], str, Usage | None]:
    """An orderly stream: its lines, its text in order, and its usage."""
    lines, text = [], ""
    for word in draw(st.lists(words, max_size=6)):
        member = draw(st.sampled_from(["content", "thinking"]))
        lines.append({"model": "m", "message": {"role": "assistant", "content": "", member: word}, "done": False})
        text += word
    told: dict[str, Any] = draw(st.fixed_dictionaries({}, optional={"prompt_eval_count": counts, "eval_count": counts}))
    lines.append({"model": "m", "message": {"content": ""}, "done": True, "done_reason": "stop", **told})
    usage = Usage(input_tokens=told.get("prompt_eval_count"), output_tokens=told.get("eval_count")) if told else None
    ascii_only = draw(st.booleans())
    return [json.dumps(line, ensure_ascii=ascii_only).encode() + b"\n" for line in lines], text, usage


def metered(data: bytes, cuts: list[int]) -> tuple[bytes, Reading, tuple[bool, bool, bool], str]:
    texts: list[str] = []
    meter = OllamaStreamMeter(texts.append)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = b"".join(meter.feed(data[start:end]) for start, end in pairwise(places))
    out += meter.rest()
    return out, meter.reading(), (meter.has_output or meter.has_finish, meter.terminal, meter.failed), "".join(texts)


cuts = st.lists(st.integers(0, 10_000), max_size=8)


@given(streams(), cuts)
def test_an_orderly_stream_is_read_wherever_it_is_cut(
    stream: tuple[list[bytes], str, Usage | None], cuts: list[int]
) -> None:
    lines, text, usage = stream
    data = b"".join(lines)
    out, reading, (has_output, terminal, failed), said = metered(data, cuts)
    assert out == data
    assert (reading.usage, reading.finished, said) == (usage, True, text)
    assert (has_output, terminal, failed) == (True, True, False)


@given(st.lists(odd_lines, max_size=5), cuts)
def test_lines_of_any_content_are_passed_on_and_read_the_same_in_one_piece(
    lines: list[dict[str, Any]], cuts: list[int]
) -> None:
    # A text as "message" is how servers in between tell an error, and is told as one of Ollama's.
    assume(not any(isinstance(line.get("message"), str) for line in lines))
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    whole = metered(data, [])
    assert is_thinned(whole[0], data)
    assert whole[2][1] or whole[0] == data
    assert metered(data, cuts) == whole


@given(streams(), st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), max_size=4), cuts)
def test_damaged_bytes_change_nothing_for_the_client_and_never_raise(
    stream: tuple[list[bytes], str, Usage | None], damages: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(stream[0])
    for place, replacement in damages:
        start = place % len(data)
        data = data[:start] + replacement + data[start + 1 :] or b"x"
    whole = metered(data, [])
    assert is_thinned(whole[0], data)
    assert whole[2][1] or whole[0] == data
    assert metered(data, cuts) == whole
    reading = read_answer(data, lambda _text: None)
    if reading.usage is not None:
        totals = (reading.usage.input_tokens, reading.usage.output_tokens)
        assert all(total is None or 0 <= total <= 1 << 30 for total in totals)


@given(odd_lines)
def test_a_whole_answer_of_any_content_is_read_without_raising(answer: dict[str, Any]) -> None:
    reading = read_answer(json.dumps(answer).encode(), lambda _text: None)
    assert reading.error_message is None or answer["error"]

import json
import time
from typing import Any

import pytest

from farthing.types.usage import Usage
from farthing.wire.meter import MAX_COUNT, Reading
from farthing.wire.ollama import OllamaStreamMeter, error_event, read_answer, read_usage

COUNTS: dict[str, Any] = {"prompt_eval_count": 26, "eval_count": 11}
COUNTED = Usage(input_tokens=26, output_tokens=11)


def line(**more: Any) -> bytes:
    return json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": False, **more}).encode() + b"\n"


def said(text: str = "", **more: Any) -> bytes:
    return line(message={"role": "assistant", "content": text, **more})


def done(text: str = "", **more: Any) -> bytes:
    return line(message={"role": "assistant", "content": text}, **{"done": True, "done_reason": "stop", **more})


def metered(stream: bytes, step: int = 7) -> tuple[OllamaStreamMeter, str]:
    """Feed a stream in pieces; the client must get every byte of it."""
    texts: list[str] = []
    meter = OllamaStreamMeter(texts.append)
    out = b"".join(meter.feed(stream[i : i + step]) for i in range(0, len(stream), step))
    assert out + meter.rest() == stream
    return meter, "".join(texts)


def whole(**more: Any) -> tuple[Reading, str]:
    texts: list[str] = []
    return read_answer(json.dumps({"model": "m", **more}).encode(), texts.append), "".join(texts)


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_stream_is_read_from_its_text_and_its_last_line(step: int) -> None:
    meter, text = metered(said("Be", thinking="hm") + said("cause") + done(**COUNTS), step)
    assert text == "Behmcause"
    assert meter.terminal
    assert not meter.failed
    assert meter.reading() == Reading(usage=COUNTED, model_served="m", finished=True)


def begun(meter: OllamaStreamMeter) -> bool:
    return meter.has_output or meter.has_finish or meter.failed


def test_output_begins_with_the_first_word_thought_call_or_end() -> None:
    for first in (
        said("a"),
        said(thinking="a"),
        said(tool_calls=[{"function": {"name": "f", "arguments": {}}}]),
        line(response="a"),
        line(response="", thinking="a"),
        done(),
        b'{"error":"no"}\n',
    ):
        meter = OllamaStreamMeter(lambda _text: None)
        meter.feed(said("") + line(response="") + said(tool_calls=[], thinking="") + said(tool_calls=None) + b"\n")
        assert not begun(meter)
        meter.feed(first)
        assert begun(meter)


def test_a_line_is_handed_on_when_it_is_whole() -> None:
    meter = OllamaStreamMeter(lambda _text: None)
    first, second = said("a"), said("b")
    assert meter.feed(first + second[:9]) == first
    assert meter.feed(second[9:20]) == b""
    assert meter.feed(second[20:] + first[:1]) == second


def test_a_call_counts_with_its_name_and_its_arguments() -> None:
    call = {"id": "call_1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Paris"}}}
    meter, text = metered(said(tool_calls=[call]) + done(**COUNTS))
    assert text == 'weather{"city":"Paris"}'
    assert meter.reading().usage == COUNTED


def test_generate_is_read_like_chat() -> None:
    meter, text = metered(
        line(response="Be", thinking="hm") + line(response="", done=True, context=[1, 2, 3], **COUNTS)
    )
    assert text == "Behm"
    assert meter.reading().usage == COUNTED


def test_a_prompt_that_was_wholly_cached_is_of_unknown_length() -> None:
    usage = metered(said("a") + done(eval_count=11))[0].reading().usage
    assert usage == Usage(input_tokens=None, output_tokens=11)
    reading, text = whole(message={"content": "words"}, done=True, eval_count=11)
    assert reading.usage == usage
    assert text == "words"  # what is missing is estimated, so the text is told


def test_an_output_that_is_not_counted_is_unknown_too() -> None:
    usage = metered(said("a") + done(prompt_eval_count=26))[0].reading().usage
    assert usage == Usage(input_tokens=26, output_tokens=None)


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_a_request_that_only_loads_a_model_reads_and_writes_nothing(reason: str) -> None:
    nothing = Usage(input_tokens=0, output_tokens=0)
    assert metered(done(done_reason=reason))[0].reading().usage == nothing
    assert whole(response="", done=True, done_reason=reason)[0].usage == nothing
    assert metered(done())[0].reading().usage is None


def test_a_stream_that_ends_early_is_not_finished() -> None:
    meter, text = metered(said("Be") + said("cause") + said("x")[:30])
    assert text == "Because"
    assert not meter.terminal
    assert meter.reading() == Reading(model_served="m", usage_final=False)


def test_counts_before_more_text_are_not_the_end_of_it() -> None:
    early = line(message={"content": "a"}, eval_count=1, prompt_eval_count=26)
    assert metered(early)[0].reading().usage_final
    assert not metered(early + said("b"))[0].reading().usage_final
    assert metered(early + said("b") + done(**COUNTS))[0].reading() == Reading(
        usage=COUNTED, model_served="m", finished=True
    )


def test_an_error_line_fails_the_stream() -> None:
    meter, text = metered(said("Par") + b'{"error":"the model crashed"}\n')
    assert (meter.failed, meter.terminal, text) == (True, False, "Par")
    assert meter.reading().error_message == "the model crashed"


@pytest.mark.parametrize("error", ["null", '""', "false"])
def test_an_error_without_anything_in_it_is_none(error: str) -> None:
    meter, _ = metered(b'{"error":%b,"done":true}\n' % error.encode())
    assert not meter.failed
    assert meter.reading().error_message is None


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_plain_json_in_place_of_a_stream_is_read(end: bytes) -> None:
    meter, _ = metered(b'{"error":"model requires more system memory"}' + end)
    assert meter.failed
    assert meter.reading().error_message == "model requires more system memory"
    meter, text = metered(done("words", **COUNTS).rstrip() + end)
    assert (meter.terminal, text, meter.reading().usage) == (True, "words", COUNTED)


def test_a_stream_in_place_of_an_answer_is_read() -> None:
    texts: list[str] = []
    reading = read_answer(said("Be") + said("cause") + done(**COUNTS), texts.append)
    assert reading == Reading(usage=COUNTED, model_served="m", finished=True)
    assert "".join(texts) == "Because"


def test_a_whole_answer_tells_no_text_where_it_counts() -> None:
    reading, text = whole(message={"content": "words"}, done=True, **COUNTS)
    assert reading == Reading(usage=COUNTED, model_served="m", finished=True)
    assert text == ""


def test_embeddings_write_nothing() -> None:
    reading, _ = whole(embeddings=[[0.1, -2e-3]], prompt_eval_count=4)
    assert reading == Reading(usage=Usage(input_tokens=4, output_tokens=0), model_served="m", finished=True)
    # The older path counts nothing at all.
    reading, _ = whole(embedding=[0.1, 0.2])
    assert (reading.usage, reading.finished) == (Usage(input_tokens=None, output_tokens=0), True)
    assert not whole(embeddings=None)[0].finished


def test_an_error_in_a_200_is_told() -> None:
    reading, _ = whole(error="no such image")
    assert (reading.error_message, reading.finished, reading.usage) == ("no such image", False, None)


def test_our_own_end_of_a_stream_is_one_line_in_its_format() -> None:
    event = error_event("provider_cut", 'the "stream"\nended')
    assert event.endswith(b"\n")
    assert event.count(b"\n") == 1
    assert json.loads(event) == {"error": 'the "stream"\nended'}
    assert metered(event)[0].failed


@pytest.mark.parametrize(
    "number", ["1e999999", "-1e999999", "1e-999999", "1" + "0" * 5000, "1.5", "true", '"12"', "[]"]
)
def test_an_absurd_count_is_left_out_at_once_and_flagged(number: str) -> None:
    body = b'{"model":"m","done":true,"prompt_eval_count":%b,"eval_count":11}' % number.encode()
    began = time.perf_counter()
    usages = [read_answer(body, lambda _text: None).usage, metered(body, 10_000)[0].reading().usage]
    assert time.perf_counter() - began < 0.1
    for usage in usages:
        assert usage == Usage(output_tokens=11, flags=("malformed_count",))


def test_counts_below_zero_and_beyond_belief_are_flagged() -> None:
    assert read_usage({"prompt_eval_count": -1, "eval_count": MAX_COUNT + 1}) == Usage(
        flags=("negative_count", "malformed_count")
    )


@pytest.mark.parametrize("broken", [b"\xff", b"\\ud83d", b"\\udc00", b"\xe2\x82"])
def test_half_a_character_hides_neither_the_end_nor_the_counts(broken: bytes) -> None:
    last = b'{"message":{"content":"a%bb"},"done":true,"prompt_eval_count":26,"eval_count":11}\n' % broken
    meter, text = metered(last)
    assert (text[0], text[-1]) == ("a", "b")
    assert meter.reading() == Reading(usage=COUNTED, finished=True)


@pytest.mark.parametrize(
    "odd",
    [
        {"message": "text"},
        {"message": {"content": [{"text": "a"}]}},
        {"message": {"content": 5, "tool_calls": 3}},
        {"response": 5},
        {"done_reason": 1},
        {"model": ["m"]},
        {"thinking": {"a": "b"}},
        {"message": {"tool_calls": [1, {"function": "f"}, {"function": {"name": None, "arguments": "{}"}}]}},
    ],
)
def test_a_type_that_nobody_documents_hides_no_count(odd: dict[str, Any]) -> None:
    last = json.dumps({"done": True, **COUNTS, **odd}).encode() + b"\n"
    assert metered(last)[0].reading().usage == COUNTED
    assert read_answer(last, lambda _text: None).usage == COUNTED


@pytest.mark.parametrize("content", [b"", b"null", b"5", b"[]", b'"text"', b"<html>", b"{", b"\x00" * 9])
def test_what_is_no_object_says_nothing(content: bytes) -> None:
    assert metered(content + b"\n")[0].reading() == Reading()
    assert read_answer(content, lambda _text: None) == Reading()


@pytest.mark.parametrize("depth", [450, 100_000])
def test_deep_nesting_is_survived(depth: int) -> None:
    deep = b'{"message":' + b"[" * depth
    assert metered(deep + b"]" * depth + b"}\n" + done(**COUNTS), 10_000)[0].reading().usage == COUNTED
    assert not read_answer(deep, lambda _text: None).finished

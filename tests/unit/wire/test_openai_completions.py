import json
from typing import Any

import pytest

from farthing.types.usage import Usage, UsageHabits
from farthing.wire.openai_completions import CompletionsStreamMeter, error_event, read_answer

USAGE: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
READ = Usage(input_tokens=10, output_tokens=5)
DONE = b"data: [DONE]\n\n"


def event(**content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def said(text: Any, *, index: Any = 0, finish: str | None = None, **more: Any) -> bytes:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
    return event(model="m", choices=[choice], **more)


def metered(stream: bytes, *, strip: bool = False) -> tuple[CompletionsStreamMeter, bytes, str]:
    texts: list[str] = []
    meter = CompletionsStreamMeter(texts.append, strip_usage=strip)
    out = meter.feed(stream)
    return meter, out + meter.rest(), "".join(texts)


def read(body: bytes) -> tuple[Any, str]:
    texts: list[str] = []
    return read_answer(body, texts.append), "".join(texts)


def test_text_usage_and_model_are_read_from_a_stream() -> None:
    stream = said("one", usage=None) + said(" two", finish="stop", usage=None) + event(choices=[], usage=USAGE) + DONE
    meter, out, text = metered(stream)
    reading = meter.reading()
    assert (out, text) == (stream, "one two")
    assert (reading.usage, reading.model_served, reading.finished, reading.usage_final) == (READ, "m", True, True)
    assert meter.terminal


def test_usage_that_only_we_asked_for_is_kept_from_the_client() -> None:
    text = said("one", finish="length", usage=None)
    assert metered(text + event(choices=[], usage=USAGE) + DONE, strip=True)[1] == text + DONE
    assert metered(text + event(choices=[], usage=USAGE).rstrip(), strip=True)[1] == text


def test_usage_on_a_chunk_with_text_stays() -> None:
    stream = said("one", finish="stop", usage=USAGE) + DONE
    meter, out, _ = metered(stream, strip=True)
    assert (out, meter.reading().usage) == (stream, READ)


def test_nothing_but_text_or_a_finish_is_output() -> None:
    meter, _, _ = metered(b": ping\n\n" + said("") + event(choices=[], prompt_filter_results=[]))
    assert not meter.has_output
    assert metered(said("a"))[0].has_output
    assert metered(said("", finish="stop"))[0].has_finish


def test_every_choice_that_began_must_finish() -> None:
    half = said("a", index=0) + said("b", index=1) + said("", index=0, finish="stop")
    assert not metered(half)[0].reading().finished
    assert metered(half + said("", index=1, finish="length"))[0].reading().finished
    assert not metered(said("a", finish=""))[0].reading().finished


def test_a_count_before_more_text_is_not_final() -> None:
    assert not metered(said("a", usage=USAGE) + said("b", finish="stop") + DONE)[0].reading().usage_final
    assert metered(said("a", usage=USAGE) + said("b", finish="stop", usage=USAGE) + DONE)[0].reading().usage_final


def test_an_error_in_the_stream_fails_it_and_reaches_the_client() -> None:
    error = event(choices=[], usage=USAGE, error={"code": 502, "message": "Provider returned error"})
    meter, out, _ = metered(said("a") + error, strip=True)
    reading = meter.reading()
    assert out.endswith(error)
    assert (meter.failed, reading.error_message, reading.error_status) == (True, "Provider returned error", 502)
    assert metered(said("a", finish="error"))[0].failed


def test_a_whole_completion_is_read_and_its_text_left_alone() -> None:
    body = json.dumps({"model": "m", "choices": [{"text": "a"}, {"text": "b"}], "usage": USAGE}).encode()
    reading, text = read(body)
    assert (reading.usage, reading.model_served, reading.finished, text) == (READ, "m", True, "")


def test_a_completion_without_a_word_leaves_its_count_out() -> None:
    reading, _ = read(b'{"choices":[{"text":""}],"usage":{"prompt_tokens":11,"total_tokens":11}}')
    assert reading.usage == Usage(input_tokens=11, output_tokens=0)


def test_a_completion_without_usage_tells_its_text() -> None:
    reading, text = read(b'{"choices":[{"text":"a "},{"text":"b"},{"text":7}]}')
    assert (reading.usage, reading.finished, text) == (None, True, "a b")


def test_a_reported_cost_and_cached_tokens_are_kept() -> None:
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}, "cost": 0.00001}
    reading, _ = read(json.dumps({"choices": [{"text": "a"}], "usage": usage}).encode())
    assert (reading.usage.cache_read_input_tokens, reading.reported_cost_nanousd) == (4, 10_000)


def test_habits_of_a_provider_apply() -> None:
    usage = {**USAGE, "total_tokens": 18, "completion_tokens_details": {"reasoning_tokens": 3}}
    body = json.dumps({"choices": [{"text": "a"}], "usage": usage}).encode()
    reading = read_answer(body, lambda _text: None, UsageHabits(reasoning_outside=True))
    assert reading.usage is not None
    assert (reading.usage.output_tokens, reading.usage.flags) == (8, ())


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"{", b'{"choices":[]}', b'{"choices":{}}', b'{"choices":7}']
)
def test_what_is_no_completion_is_not_finished(body: bytes) -> None:
    assert not read(body)[0].finished


def test_fields_with_types_that_nobody_documents_do_not_hide_the_usage() -> None:
    odd = event(choices=[{"text": {"a": 1}, "index": [], "finish_reason": {}}], model=7, service_tier=[], usage=USAGE)
    assert metered(odd)[0].reading().usage == READ
    assert metered(event(choices={"0": {}}, usage=USAGE))[0].reading().usage == READ
    assert metered(b'data: {"choices": [{"te\n\n' + event(choices=[], usage=USAGE))[0].reading().usage == READ


def test_the_error_event_is_chat_s() -> None:
    assert (
        json.loads(error_event("provider_cut", "it broke").removeprefix(b"data: "))["error"]["code"] == "provider_cut"
    )

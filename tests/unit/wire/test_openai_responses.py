import json
from typing import Any

import pytest

from farthing.types.usage import Usage
from farthing.wire.meter import MAX_COUNT
from farthing.wire.openai_responses import ResponsesStreamMeter, error_event, read_answer
from farthing.wire.openai_responses_usage import read_usage

USAGE: dict[str, Any] = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}
READ = Usage(
    input_tokens=100,
    output_tokens=20,
    cache_read_input_tokens=60,
    cache_creation_5m_input_tokens=10,
    reasoning_output_tokens=5,
)
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}


def event(kind: str, **content: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()


def delta(text: str, kind: str = "output_text") -> bytes:
    return event(f"response.{kind}.delta", output_index=0, delta=text, obfuscation="x7")


def ends(kind: str = "completed", **response: Any) -> bytes:
    return event(f"response.{kind}", response={"model": "m-1", "status": kind, "output": [], **response})


def done(item: dict[str, Any]) -> bytes:
    return event("response.output_item.done", output_index=0, item=item)


CREATED = event(
    "response.created", response={"model": "m", "status": "in_progress", "service_tier": "auto", "usage": None}
)


def metered(stream: bytes) -> tuple[ResponsesStreamMeter, str]:
    said: list[str] = []
    meter = ResponsesStreamMeter(said.append)
    assert meter.feed(stream) + meter.rest() == stream
    return meter, "".join(said)


def answered(**response: Any) -> bytes:
    return json.dumps({"object": "response", "model": "m-1", "status": "completed", "output": [], **response}).encode()


def read(body: bytes) -> tuple[Any, str]:
    said: list[str] = []
    return read_answer(body, said.append), "".join(said)


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
def test_usage_tier_and_served_model_come_with_the_last_event(kind: str) -> None:
    meter, said = metered(CREATED + delta("two ") + delta("words") + ends(kind, usage=USAGE, service_tier="flex"))
    reading = meter.reading()
    assert (reading.usage, reading.model_served, reading.service_tier) == (READ, "m-1", "flex")
    assert (reading.finished, reading.usage_final, meter.terminal, meter.failed) == (True, True, True, False)
    assert said == "two words"


def test_a_stream_that_was_cut_knows_its_model_and_what_was_said() -> None:
    meter, said = metered(CREATED + delta("two ") + delta("words"))
    reading = meter.reading()
    assert (reading.usage, reading.model_served, reading.finished, meter.terminal) == (None, "m", False, False)
    assert said == "two words"


def test_done_after_the_end_is_tolerated_and_done_alone_is_no_end() -> None:
    assert metered(ends(usage=USAGE) + b"data: [DONE]\n\n")[0].reading().usage == READ
    meter = ResponsesStreamMeter(lambda _text: None)
    assert meter.feed(CREATED + delta("a") + b"data: [DONE]\n\n") == CREATED + delta("a")
    assert (meter.terminal, meter.reading().finished) == (False, False)


@pytest.mark.parametrize(
    "kind",
    [
        "output_text",
        "refusal",
        "reasoning_text",
        "reasoning_summary_text",
        "function_call_arguments",
        "custom_tool_call_input",
        "mcp_call_arguments",
        "code_interpreter_call_code",
        "shell_call_command",
        "audio.transcript",
    ],
)
def test_the_first_delta_of_any_kind_is_real_output_and_told(kind: str) -> None:
    opening = event("response.output_item.added", item={"type": "message", "content": []})
    opening += event("response.content_part.added", part={"type": "output_text", "text": ""}) + delta("", kind)
    meter, said = metered(b": ping\n\n" + CREATED + opening)
    assert (meter.has_output, said) == (False, "")
    meter, said = metered(CREATED + opening + delta("x", kind))
    assert (meter.has_output, said) == (True, "x")


@pytest.mark.parametrize("kind", ["audio", "shell_call_output_content"])
def test_sound_and_what_a_command_printed_are_no_text_of_the_model(kind: str) -> None:
    assert metered(delta("AAAA", kind))[1] == ""


def test_a_call_begins_with_the_name_of_its_tool() -> None:
    added = event("response.output_item.added", item={"type": "function_call", "name": "weather", "arguments": ""})
    meter, said = metered(
        CREATED + added + delta('{"a":', "function_call_arguments") + delta("1}", "function_call_arguments")
    )
    assert (meter.has_output, said) == (True, 'weather{"a":1}')


def test_an_item_that_came_without_deltas_is_told_when_it_ends_and_one_with_deltas_not_twice() -> None:
    added = event("response.output_item.added", item={"type": "function_call", "name": "f"})
    item = {"type": "function_call", "name": "f", "arguments": "{}"}
    assert metered(added + done(item))[1] == "f{}"
    assert metered(added + delta("{}", "function_call_arguments") + done(item))[1] == "f{}"
    text = {
        "type": "message",
        "content": [{"type": "output_text", "text": "hi"}, {"type": "refusal", "refusal": " no"}],
    }
    assert metered(added + done(item) + done(text))[1] == "f{}hi no"


def test_a_stream_without_deltas_and_usage_is_told_from_its_last_event() -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "all at once"}]}]
    assert metered(CREATED + ends(output=output))[1] == "all at once"
    assert metered(CREATED + ends(output=output, usage=USAGE))[1] == ""


def test_the_type_may_stand_in_the_event_s_name_alone() -> None:
    named = b'event: response.completed\ndata: {"response":%b}\n\n' % json.dumps({"usage": USAGE}).encode()
    assert metered(named)[0].reading().usage == READ


# ---- errors


@pytest.mark.parametrize(
    "failure",
    [
        event("error", code="server_error", message="It broke.", param=None, sequence_number=3),
        event("error", error={"type": "server_error", "code": "server_error", "message": "It broke."}),
        b'data: {"error":{"code":"server_error","message":"It broke."}}\n\n',
        ends("failed", error={"code": "server_error", "message": "It broke."}),
    ],
)
def test_an_error_in_the_stream_fails_it_in_any_shape(failure: bytes) -> None:
    meter, _ = metered(CREATED + delta("a") + failure)
    reading = meter.reading()
    assert meter.failed
    assert (reading.error_code, reading.error_message) == ("server_error", "It broke.")


def test_a_failure_without_words_is_one_all_the_same() -> None:
    meter, _ = metered(ends("failed"))
    assert (meter.failed, meter.terminal, meter.reading().error_code) == (True, True, "error")


def test_a_failed_response_may_have_counted_its_usage() -> None:
    meter, _ = metered(delta("a") + ends("failed", error={"code": "x", "message": "y"}, usage=USAGE))
    assert (meter.reading().usage, meter.reading().finished) == (READ, True)


def test_the_error_event_is_what_the_documentation_and_the_sdk_expect() -> None:
    head, data = error_event("provider_cut", "it broke").split(b"\n", 1)
    assert head == b"event: error"
    told = json.loads(data.removeprefix(b"data: "))
    assert (told["type"], told["code"], told["message"], told["param"]) == ("error", "provider_cut", "it broke", None)
    assert (told["error"]["code"], told["error"]["message"]) == ("provider_cut", "it broke")
    meter, _ = metered(error_event("provider_cut", "it broke"))
    assert (meter.failed, meter.terminal) == (True, False)


# ---- whole answers


@pytest.mark.parametrize("status", ["completed", "incomplete", "cancelled"])
def test_a_whole_response_is_read(status: str) -> None:
    reading, said = read(answered(status=status, usage=USAGE, service_tier="default"))
    assert (reading.usage, reading.model_served, reading.service_tier) == (READ, "m-1", "default")
    assert (reading.finished, said) == (True, "")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_in_the_background_is_not_finished(status: str) -> None:
    reading, _ = read(answered(status=status, usage=None))
    assert (reading.finished, reading.usage) == (False, None)


def test_a_whole_response_without_usage_tells_all_that_was_written() -> None:
    output = [
        {"type": "reasoning", "summary": [{"text": "a"}], "content": [{"type": "reasoning_text", "text": "b"}]},
        {"type": "function_call", "name": "c", "arguments": "d"},
        {"type": "custom_tool_call", "name": "e", "input": "f"},
        {"type": "shell_call", "action": {"commands": ["g", "h"]}},
        {"type": "message", "content": [{"type": "output_text", "text": "i"}, {"type": "refusal", "refusal": "j"}]},
        {"type": "image_generation_call", "result": "AAAA"},
        "no item",
    ]
    reading, said = read(answered(output=output))
    assert said == "abcdefghij"
    assert reading.finished


def test_a_failed_response_and_an_error_in_a_200_are_errors() -> None:
    reading, _ = read(answered(status="failed", error={"code": "server_error", "message": "no"}))
    assert (reading.error_code, reading.error_message, reading.usage) == ("server_error", "no", None)
    reading, _ = read(b'\n {"error":{"message":"no","code":502}}')
    assert (reading.error_code, reading.error_status, reading.finished) == ("502", 502, False)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"7", b"{", b"{}", b"<html>", b'{"output":[]}', b'{"status":{}}']
)
def test_what_is_no_response_is_not_finished(body: bytes) -> None:
    assert not read(body)[0].finished


# ---- usage


def test_xai_counts_reasoning_inside_the_output_and_reports_ticks() -> None:
    usage = {
        "input_tokens": 5913,
        "input_tokens_details": {"cached_tokens": 2048},
        "output_tokens": 364,
        "output_tokens_details": {"reasoning_tokens": 263},
        "total_tokens": 6277,
        "cost_in_usd_ticks": 161508500,
        "server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 1, "code_interpreter_calls": 0},
    }
    reading, _ = read(answered(usage=usage, output=[SEARCH]))
    assert reading.reported_cost_nanousd == 16_150_850
    assert (reading.usage.output_tokens, reading.usage.web_search_requests, reading.usage.flags) == (364, 3, ())


def test_openrouter_s_cost_is_kept() -> None:
    reading, _ = read(b'{"status":"completed","usage":{"input_tokens":1,"output_tokens":1,"cost":0.0000113}}')
    assert reading.reported_cost_nanousd == 11_300


@pytest.mark.parametrize(
    ("item", "searches"),
    [
        (SEARCH, 1),
        ({"type": "web_search_call", "status": "completed"}, 1),
        ({**SEARCH, "action": {"type": "search", "queries": ["a", "b", "c"]}}, 1),
        ({**SEARCH, "action": {"type": "open_page", "url": "u"}}, 0),
        ({**SEARCH, "action": {"type": "find_in_page"}}, 0),
        ({**SEARCH, "status": "failed"}, 0),
    ],
)
def test_a_search_is_billed_by_the_call_and_a_page_is_not(item: dict[str, Any], searches: int) -> None:
    reading, _ = read(answered(usage=USAGE, output=[item, {"type": "message", "content": []}]))
    assert reading.usage.web_search_requests == searches
    meter, _ = metered(done(item) + ends(usage=USAGE, output=[item]))
    usage = meter.reading().usage
    assert usage is not None
    assert (usage.web_search_requests, usage.input_tokens) == (searches, 100)


def test_the_provider_s_own_count_of_searches_goes_first() -> None:
    tool_usage = {"web_search": {"num_requests": 3}, "image_gen": {"total_tokens": 0}}
    assert read(answered(usage=USAGE, output=[SEARCH], tool_usage=tool_usage))[0].usage.web_search_requests == 3
    broken = {"web_search": {"num_requests": None}}
    assert read(answered(usage=USAGE, output=[SEARCH], tool_usage=broken))[0].usage.web_search_requests == 1


def test_searches_of_a_cut_stream_are_known_though_its_tokens_are_not() -> None:
    meter, _ = metered(CREATED + done(SEARCH) + delta("a"))
    assert meter.reading().usage == Usage(web_search_requests=1)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "file_search_call", "status": "completed"},
        {"type": "code_interpreter_call", "code": "1"},
        {"type": "image_generation_call", "result": "AAAA"},
        {"type": "shell_call", "environment": {"type": "container_reference"}},
    ],
)
def test_tools_whose_fees_are_unknown_are_marked(item: dict[str, Any]) -> None:
    assert read(answered(usage=USAGE, output=[item]))[0].usage.flags == ("server_tools_unpriced",)
    usage = metered(done(item) + ends(usage=USAGE))[0].reading().usage
    assert usage is not None
    assert usage.flags == ("server_tools_unpriced",)


@pytest.mark.parametrize(
    "item", [{"type": "mcp_call"}, {"type": "shell_call", "environment": {"type": "local"}}, {"type": "function_call"}]
)
def test_tools_that_cost_nothing_are_not(item: dict[str, Any]) -> None:
    assert read(answered(usage=USAGE, output=[item]))[0].usage == READ


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"total_tokens": 500}, {"total_disagrees"}),
        ({"input_tokens_details": {"cached_tokens": 101}}, {"cache_exceeds_input"}),
        ({"input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 60}}, {"cache_classes_overlap"}),
        ({"output_tokens_details": {"reasoning_tokens": 21}}, {"reasoning_exceeds_output"}),
        ({"input_tokens": -1}, {"negative_count", "total_disagrees"}),
        ({"output_tokens": MAX_COUNT + 1}, {"malformed_count"}),
        ({"input_tokens_details": {"cached_tokens": "60"}}, {"malformed_count"}),
    ],
)
def test_inconsistent_usage_is_marked(changes: dict[str, Any], flags: set[str]) -> None:
    usage = read(answered(usage={**USAGE, **changes}))[0].usage
    assert set(usage.flags) == flags


def test_the_quick_way_reads_what_the_long_way_reads() -> None:
    plain: list[dict[str, Any]] = [
        USAGE,
        {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        {**USAGE, "input_tokens_details": None, "output_tokens_details": {}},
        {**USAGE, "input_tokens_details": {"cached_tokens": None, "audio_tokens": 7}, "unknown": [1]},
    ]
    for usage in plain:
        assert read(answered(usage=usage))[0].usage == read_usage(usage)


def test_an_output_left_out_follows_from_the_total() -> None:
    usage = read_usage({"input_tokens": 10, "total_tokens": 14})
    assert usage is not None
    assert usage.output_tokens == 4


# ---- hostile streams


def test_a_count_given_before_the_end_is_not_believed_to_be_the_end() -> None:
    early = event("response.in_progress", response={"usage": USAGE})
    assert not metered(early + delta("more"))[0].reading().usage_final
    assert metered(early + delta("more") + ends(usage=USAGE))[0].reading().usage_final


@pytest.mark.parametrize("broken", [b"\xff", b"\\ud83d", b"\\udc00", b"\xe2\x82"])
def test_half_a_character_does_not_hide_usage(broken: bytes) -> None:
    last = (
        b'data: {"type":"response.completed","response":{"output":[{"type":"message","content":[{"text":"%b"}]}],'
        % broken
    )
    last += b'"usage":%b}}\n\n' % json.dumps(USAGE).encode()
    assert metered(last)[0].reading().usage == READ


@pytest.mark.parametrize("type_", ["1", "{}", "[]", "null", "1e999999", '"response.unheard_of"'])
def test_an_unknown_event_passes(type_: str) -> None:
    meter, said = metered(b'data: {"type":%b,"delta":"x"}\n\n' % type_.encode() + ends(usage=USAGE))
    assert (meter.reading().usage, meter.failed, said) == (READ, False, "")


@pytest.mark.parametrize(
    "response", [None, 7, "x", [], {}, {"usage": 7}, {"usage": [], "output": {}}, {"output": [None, 7]}]
)
def test_an_end_that_cannot_be_read_is_an_end(response: Any) -> None:
    meter, _ = metered(delta("a") + event("response.completed", response=response))
    assert (meter.terminal, meter.failed, meter.reading().finished, meter.reading().usage) == (True, False, True, None)

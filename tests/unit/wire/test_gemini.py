"""Gemini's answers: what they count, in events, in an array, and whole; each fact with a recorded shape."""

import json
from typing import Any

import pytest

from farthing.errors import ProviderMisbehaved
from farthing.types.usage import Usage
from farthing.wire.gemini import GenerateStreamMeter, error_event, read_answer
from farthing.wire.gemini_requests import renamed
from farthing.wire.gemini_usage import read_usage
from farthing.wire.json_array import ArraySplitter
from farthing.wire.meter import Reading
from farthing.wire.sse import MAX_EVENT_BYTES

PROMPT = {"promptTokenCount": 9, "totalTokenCount": 9}
USAGE = {"promptTokenCount": 75, "candidatesTokenCount": 414, "totalTokenCount": 489}


def chunk(*parts: Any, finish: Any = None, index: int | None = 0, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if index:
        candidate["index"] = index
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate | more.pop("candidate", {})], **more}


def sse_of(*chunks: Any) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(piece).encode() for piece in chunks)


def array_of(*chunks: Any) -> bytes:
    return b"[" + b",\r\n".join(json.dumps(piece, indent=1).encode() for piece in chunks) + b"\n]\n"


def metered(stream: bytes) -> tuple[GenerateStreamMeter, str]:
    texts: list[str] = []
    meter = GenerateStreamMeter(texts.append)
    assert meter.feed(stream) + meter.rest() == stream
    return meter, "".join(texts)


def usage_of(**counts: Any) -> Usage:
    usage = read_usage(counts)
    assert usage is not None
    return usage


def whole(body: Any) -> Reading:
    return read_answer(json.dumps(body).encode(), lambda _text: None)


# ---- usage


def test_thoughts_are_output_and_tools_input_beside_the_main_counts() -> None:
    usage = usage_of(
        promptTokenCount=75,
        candidatesTokenCount=414,
        thoughtsTokenCount=117,
        toolUsePromptTokenCount=573,
        totalTokenCount=1179,
    )
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (648, 531, 117)
    assert usage.flags == ()


def test_cached_tokens_are_part_of_the_prompt() -> None:
    usage = usage_of(promptTokenCount=2010, cachedContentTokenCount=2000, candidatesTokenCount=1, totalTokenCount=2011)
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.flags) == (2010, 2000, ())
    odd = usage_of(promptTokenCount=10, cachedContentTokenCount=11, totalTokenCount=10)
    assert odd.flags == ("cache_exceeds_input",)


def test_zero_counts_are_left_out() -> None:
    usage = usage_of(promptTokenCount=15, thoughtsTokenCount=2, totalTokenCount=17)
    assert (usage.input_tokens, usage.output_tokens, usage.flags) == (15, 2, ())
    assert usage_of(**PROMPT).output_tokens == 0


def test_a_total_that_is_no_sum_is_flagged() -> None:
    assert usage_of(**USAGE | {"totalTokenCount": 500}).flags == ("total_disagrees",)
    hidden = usage_of(promptTokenCount=10, totalTokenCount=30)
    assert (hidden.output_tokens, hidden.flags) == (20, ("total_disagrees",))


def test_a_prompt_that_is_left_out_is_found_in_the_total() -> None:
    usage = usage_of(candidatesTokenCount=1, thoughtsTokenCount=117, totalTokenCount=693)
    assert (usage.input_tokens, usage.output_tokens, usage.flags) == (575, 118, ("total_disagrees",))


def test_a_prompt_that_nothing_tells_is_unknown() -> None:
    usage = usage_of(candidatesTokenCount=18, thoughtsTokenCount=58)
    assert (usage.input_tokens, usage.output_tokens) == (None, 76)
    assert read_usage({"trafficType": "ON_DEMAND"}) is None
    assert read_usage({"totalTokenCount": 4568}) is None


@pytest.mark.parametrize(("audio", "image", "text"), [("AUDIO", "IMAGE", "TEXT"), (4, 2, 1), ("AUDIO", "DOCUMENT", 0)])
def test_tokens_of_sound_and_pictures_are_told_apart(audio: Any, image: Any, text: Any) -> None:
    def rows(heard: int, seen: int) -> list[dict[str, Any]]:
        counts = ((audio, heard), (image, seen), (text, 5))
        return [{"modality": modality, "tokenCount": count} for modality, count in counts]

    usage = usage_of(
        promptTokenCount=100,
        toolUsePromptTokenCount=20,
        cachedContentTokenCount=30,
        candidatesTokenCount=50,
        totalTokenCount=170,
        promptTokensDetails=rows(19, 40),
        toolUsePromptTokensDetails=rows(3, 4),
        cacheTokensDetails=rows(7, 10),
        candidatesTokensDetails=rows(8, 9),
    )
    assert (usage.input_audio_tokens, usage.cache_read_audio_tokens, usage.output_audio_tokens) == (22, 7, 8)
    assert (usage.input_image_tokens, usage.output_image_tokens) == (34, 9)


@pytest.mark.parametrize("count", [-1, 1.5, "9", True, [], 1 << 40])
def test_a_count_that_is_none_is_flagged_and_never_raises(count: Any) -> None:
    usage = usage_of(promptTokenCount=count, candidatesTokenCount=3, promptTokensDetails=count, cacheTokensDetails=[1])
    assert usage.output_tokens == 3
    assert usage.flags


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"serviceTier": "standard"}, "standard"),
        ({"serviceTier": "FLEX"}, "flex"),
        ({"trafficType": "ON_DEMAND"}, "standard"),
        ({"trafficType": 1}, "standard"),
        ({"trafficType": "ON_DEMAND_FLEX"}, "flex"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
        ({"trafficType": 0}, None),
        ({}, None),
    ],
)
def test_tiers_have_the_names_that_price_lists_use(usage: dict[str, Any], tier: str | None) -> None:
    assert whole(chunk(usageMetadata=USAGE | usage)).service_tier == tier


# ---- searches


@pytest.mark.parametrize(
    ("model", "fees"), [("gemini-2.5-flash", 1), ("gemini-1.5-pro-002", 1), ("gemini-3-flash-preview", 2), (None, 2)]
)
def test_old_models_are_charged_per_prompt_that_searched_and_new_ones_per_distinct_query(
    model: str | None, fees: int
) -> None:
    grounding = {"groundingMetadata": {"webSearchQueries": ["", "a", "b", "a"]}}
    answer = chunk({"text": "x"}, finish="STOP", candidate=grounding, usageMetadata=USAGE, modelVersion=model)
    usage = whole(answer).usage
    assert usage is not None
    assert usage.web_search_requests == fees


def test_grounding_without_a_query_is_no_search() -> None:
    nothing: list[dict[str, Any]] = [{}, {"webSearchQueries": []}, {"webSearchQueries": None}, {"groundingChunks": [1]}]
    for grounding in nothing:
        usage = whole(chunk(candidate={"groundingMetadata": grounding}, usageMetadata=USAGE)).usage
        assert usage is not None
        assert usage.web_search_requests == 0


def test_a_search_before_a_function_call_is_a_search_that_nothing_grounds_yet() -> None:
    call = {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["largest city"]}, "id": "1"}}
    files = {"toolCall": {"toolType": "FILE_SEARCH", "args": {"queries": ["mine"]}, "id": "2"}}
    usage = whole(chunk(call, files, finish="STOP", usageMetadata=USAGE, modelVersion="gemini-3-flash")).usage
    assert usage is not None
    assert usage.web_search_requests == 1


def test_a_query_that_chunks_repeat_is_one() -> None:
    grounding = {"groundingMetadata": {"webSearchQueries": ["a"]}}
    first = chunk({"text": "x"}, candidate=grounding, usageMetadata=USAGE, modelVersion="gemini-3")
    meter, _ = metered(sse_of(first, first | {"usageMetadata": USAGE}))
    usage = meter.reading().usage
    assert usage is not None
    assert usage.web_search_requests == 1


# ---- whole answers


def test_a_whole_answer_is_read_without_its_text() -> None:
    texts: list[str] = []
    body = chunk({"text": "hi"}, finish="STOP", usageMetadata=USAGE, modelVersion="gemini-2.5-flash")
    reading = read_answer(json.dumps(body).encode(), texts.append)
    assert (reading.finished, reading.model_served, texts) == (True, "gemini-2.5-flash", [])


def test_without_usage_its_text_is_told() -> None:
    texts: list[str] = []
    call = {"functionCall": {"name": "weather", "args": {"city": "Paris"}}}
    read_answer(json.dumps(chunk({"text": "hi"}, call, {"executableCode": {"code": "1+1"}})).encode(), texts.append)
    assert texts == ["hi", 'weather{"city": "Paris"}', "1+1"]


def test_an_embedding_writes_nothing_and_spells_its_details_in_its_own_way() -> None:
    details = [{"modality": "IMAGE", "tokenCount": 258}]
    usage = {"promptTokenCount": 261, "promptTokenDetails": details}
    for body in ({"embeddings": [{"values": [0.1]}]}, {"embedding": {"values": [0.1]}}):
        reading = whole(body | {"usageMetadata": usage})
        assert reading.finished
        assert reading.usage == Usage(input_tokens=261, output_tokens=0, input_image_tokens=258)
        assert whole(body).usage is None


def test_an_error_inside_a_200_is_an_error() -> None:
    reading = whole({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
    assert (reading.error_code, reading.error_message, reading.error_status) == ("UNAVAILABLE", "overloaded", 503)
    assert not reading.finished


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL", "MAX_TOKENS", 2])
def test_a_finish_for_any_reason_is_a_finish(reason: Any) -> None:
    meter, _ = metered(sse_of(chunk({"text": "x"}, finish=reason, usageMetadata=USAGE)))
    assert meter.reading().finished
    assert not meter.failed


@pytest.mark.parametrize("reason", ["FINISH_REASON_UNSPECIFIED", 0, "", None])
def test_an_unspecified_finish_is_none(reason: Any) -> None:
    meter, _ = metered(sse_of(chunk({"text": "x"}, finish=reason, usageMetadata=USAGE)))
    assert not meter.reading().finished


def test_a_blocked_prompt_is_a_finished_answer() -> None:
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": PROMPT}
    meter, _ = metered(sse_of(body))
    assert meter.has_finish
    for reading in (meter.reading(), whole(body)):
        assert reading.finished
        assert reading.error_code is None
        assert reading.usage == Usage(input_tokens=9, output_tokens=0)


# ---- streams


def test_the_last_usage_counts_and_what_it_leaves_out_stays() -> None:
    first = {"promptTokenCount": 10, "thoughtsTokenCount": 4, "toolUsePromptTokenCount": 2, "serviceTier": "flex"}
    last = {"promptTokenCount": 12, "candidatesTokenCount": 3, "totalTokenCount": 21, "thoughtsTokenCount": None}
    meter, text = metered(
        sse_of(chunk({"text": "hm", "thought": True}, usageMetadata=first), chunk({"text": "x"}, usageMetadata=last))
    )
    reading = meter.reading()
    assert reading.usage == Usage(input_tokens=14, output_tokens=7, reasoning_output_tokens=4)
    assert (reading.service_tier, text) == ("flex", "hmx")


def test_a_prompt_counted_in_the_middle_says_nothing_of_the_text_beside_it() -> None:
    meter, _ = metered(sse_of(chunk({"text": "Hello"}, usageMetadata=PROMPT), chunk({"text": " you"}, finish="STOP")))
    assert not meter.reading().usage_final
    meter, _ = metered(
        sse_of(chunk({"text": "Hello"}, usageMetadata=PROMPT), chunk(finish="STOP", usageMetadata=PROMPT))
    )
    assert meter.reading().usage_final


def test_every_candidate_that_has_begun_must_finish() -> None:
    both = sse_of(chunk({"text": "a"}), chunk({"text": "b"}, index=1), chunk(finish="STOP"))
    assert not metered(both)[0].reading().finished
    assert metered(both + sse_of(chunk(finish="STOP", index=1)))[0].reading().finished


def test_events_have_no_end_of_their_own_because_old_models_finish_every_chunk() -> None:
    meter, _ = metered(sse_of(chunk({"text": "a"}, finish="STOP", usageMetadata=USAGE)))
    assert meter.reading().finished
    assert not meter.terminal


def test_the_array_ends_with_its_bracket() -> None:
    meter = GenerateStreamMeter(lambda _text: None)
    body = array_of(chunk({"text": 'a ] " \\'}), chunk({"text": "}"}, finish="STOP", usageMetadata=USAGE))
    assert meter.feed(body[:-2])
    assert not meter.terminal
    meter.feed(body[-2:])
    assert meter.terminal


def test_an_array_that_closes_unfinished_was_cut() -> None:
    meter, _ = metered(array_of(chunk({"text": "a"})))
    assert not meter.terminal
    assert not meter.reading().finished


def test_only_whole_elements_of_an_array_are_handed_on_and_an_error_closes_it() -> None:
    body = array_of(chunk({"text": "a"}), chunk({"text": "b"}))
    meter = GenerateStreamMeter(lambda _text: None)
    out = meter.feed(body[:-20])
    told = json.loads(out + meter.error_event("provider_cut", "it broke off"))
    assert [list(entry) for entry in told] == [["candidates"], ["error"]]
    untold = GenerateStreamMeter(lambda _text: None)
    assert untold.feed(body[:5]) == b""
    assert [list(entry) for entry in json.loads(untold.error_event("provider_cut", "at once"))] == [["error"]]


def test_a_whole_object_in_place_of_a_stream_is_read() -> None:
    body = json.dumps(chunk({"text": "a"}, usageMetadata=USAGE), indent=2).encode() + b"\n"
    meter, text = metered(body)
    assert (meter.terminal, meter.reading().finished, text) == (True, True, "a")
    assert meter.error_event("x", "y") == b""


def test_white_space_before_a_stream_changes_nothing() -> None:
    for body in (sse_of(chunk({"text": "a"}, finish="STOP")), array_of(chunk({"text": "a"}, finish="STOP"))):
        assert metered(b" \r\n" + body)[0].reading() == metered(body)[0].reading()


def test_an_error_in_a_stream_fails_it() -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    for body in (sse_of(chunk({"text": "a"}), error), array_of(chunk({"text": "a"}), error)):
        meter, _ = metered(body)
        assert (meter.failed, meter.terminal) == (True, True)
        assert meter.reading().error_message == "overloaded"


@pytest.mark.parametrize(
    "odd",
    [
        {"candidates": {"0": 1}},
        {"candidates": [1, None, {"content": "text", "index": "0", "finishReason": ["STOP"]}]},
        {"candidates": [{"content": {"parts": [{"text": 5}]}}]},
        {"candidates": [{"groundingMetadata": 7, "index": 1.5}]},
        {"modelVersion": 5, "promptFeedback": "no"},
        {"usageMetadata": [1]},
    ],
)
def test_a_field_of_an_odd_type_does_not_hide_the_rest(odd: dict[str, Any]) -> None:
    meter, _ = metered(sse_of({"usageMetadata": USAGE} | odd, chunk(finish="STOP", usageMetadata=USAGE)))
    usage = meter.reading().usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (75, 414)


def test_after_an_error_nothing_more_is_handed_on() -> None:
    error, more = {"usageMetadata": USAGE, "error": [1]}, chunk({"text": "more"}, finish="STOP")
    texts: list[str] = []
    meter = GenerateStreamMeter(texts.append)
    assert meter.feed(sse_of(error, more)) + meter.feed(b": kept\r\n\r\n") == sse_of(error) + b": kept\r\n\r\n"
    assert (meter.failed, texts) == (True, [])
    assert meter.reading().usage == usage_of(**USAGE)


def test_half_a_surrogate_pair_does_not_hide_usage() -> None:
    body = b'data: {"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}],"usageMetadata":%b}\r\n\r\n'
    meter, text = metered(body % json.dumps(USAGE).encode())
    assert meter.reading().usage is not None
    assert text == "\ufffd"


def test_the_error_event_is_google_s() -> None:
    error = json.loads(error_event("provider_cut", "it broke off")[6:])["error"]
    assert (error["code"], error["status"], error["message"]) == (502, "UNAVAILABLE", "it broke off")
    late = json.loads(error_event("provider_timeout", "too late")[6:])["error"]
    assert (late["code"], late["status"]) == (504, "DEADLINE_EXCEEDED")


def test_an_element_that_never_ends_is_bounded() -> None:
    splitter = ArraySplitter()
    with pytest.raises(ProviderMisbehaved, match="still not whole"):
        splitter.feed(b'[{"a":"' + b"x" * MAX_EVENT_BYTES)


# ---- requests


def test_a_model_s_name_that_the_body_repeats_becomes_the_provider_s() -> None:
    def changed(body: Any, model: str = "gemini-embedding-001") -> Any:
        changes = renamed(json.dumps(body).encode(), "vectors", model)
        return {name: json.loads(value) for name, value in changes.items()}

    named, content = "models/gemini-embedding-001", {"parts": [{"text": '"model": "models/vectors"'}]}
    assert changed({"model": "vectors", "content": content}) == {"model": named}
    assert changed({"requests": [{"model": "models/vectors", "content": content}, {"content": content}]}) == {
        "requests": [{"model": named, "content": content}, {"content": content}]
    }
    assert changed({"generateContentRequest": {"model": "models/vectors"}}) == {
        "generateContentRequest": {"model": named}
    }
    assert changed({"model": "models/vectors"}, "tunedModels/x") == {"model": "tunedModels/x"}
    assert changed({"model": "other", "contents": []}) == {}
    assert changed({"requests": [1]}) == {}


def test_a_prompts_count_alone_leaves_the_output_unknown() -> None:
    usage = read_usage({"promptTokenCount": 10})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (10, None)

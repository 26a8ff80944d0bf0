"""Streams of responses, read and written."""

import json
from typing import Any

import msgspec
import openai
import pytest

from farthing.errors import ProviderMisbehaved
from farthing.types.chat import (
    ChatAnswer,
    Choice,
    Citation,
    Closed,
    Finished,
    FinishReason,
    Foreign,
    Image,
    Inline,
    Opened,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    Signature,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.wire.openai_responses import ResponsesStreamMeter
from farthing.wire.translators.marks import marked
from farthing.wire.translators.openai_responses import TRANSLATOR
from tests.unit.wire.translators.responses_checks import (
    USAGE,
    answered,
    asked_for,
    check_stream,
    data_of,
    decoded,
    new_ids,
    sse,
    stream_of,
    through_sdk,
)


def answer(*parts: Part, reason: FinishReason = "stop") -> ChatAnswer:
    return ChatAnswer(id="resp_abc123", model="served", choices=(Choice(parts, reason),))


def kinds(stream: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in data_of(stream)]


# ---- written


def test_a_text_is_told_event_for_event_as_openai_does() -> None:
    stream = stream_of(answer(Text("hi")))
    assert kinds(stream) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert check_stream(stream).output_text == "hi"
    delta = data_of(stream)[4]
    assert delta == {
        "type": "response.output_text.delta",
        "item_id": "msg_abc12301",
        "output_index": 0,
        "content_index": 0,
        "delta": "hi",
        "logprobs": [],
        "sequence_number": 4,
    }


def test_thoughts_calls_and_refusals_are_told_so_too() -> None:
    parts = (Thinking("t"), ToolCall("c1", "a", "{}"), ToolCall("c2", "p", "x", custom=True), Refusal("no"))
    stream = stream_of(answer(*parts))
    assert kinds(stream)[2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    assert [item.type for item in check_stream(stream).output] == [
        "reasoning",
        "function_call",
        "custom_tool_call",
        "message",
    ]


def test_a_call_without_arguments_is_told_with_none() -> None:
    stream = stream_of(answer(ToolCall("c", "a", ""), reason="tool_calls"))
    assert [event["delta"] for event in data_of(stream) if "delta" in event] == ["{}"]
    assert answered(stream).choices[0].content == (ToolCall("c", "a", "{}"),)


def test_codex_finds_the_namespace_of_a_call_where_it_begins_and_where_it_ends() -> None:
    stream = stream_of(answer(ToolCall("c", "t", "{}", namespace="mcp__files"), reason="tool_calls"))
    items = [event["item"] for event in data_of(stream) if "output_item" in event["type"]]
    assert [(item["name"], item["namespace"]) for item in items] == [("t", "mcp__files")] * 2
    check_stream(stream)


def test_the_last_event_has_the_whole_response_with_its_usage() -> None:
    last = data_of(stream_of(answer(Text("a"), ToolCall("c", "t", "{}"), reason="tool_calls")))[-1]
    assert last["type"] == "response.completed"
    assert [item["type"] for item in last["response"]["output"]] == ["message", "function_call"]
    assert last["response"]["usage"]["total_tokens"] == 29
    assert last["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("length", "incomplete"), ("content_filter", "incomplete"), ("refusal", "incomplete"), ("error", "failed")],
)
def test_an_answer_that_is_not_whole_does_not_end_like_one(reason: FinishReason, kind: str) -> None:
    last = data_of(stream_of(answer(Text("a"), reason=reason)))[-1]
    assert (last["type"], last["response"]["status"]) == (f"response.{kind}", kind)


def test_an_annotation_is_told_before_its_text_is_done() -> None:
    raw = b'{"type":"url_citation","start_index":0,"end_index":1,"title":"A","url":"https://a/"}'
    cited = answer(Text("a", citations=(Citation("openai_responses", raw, "https://a/", "A", 0, 1),)))
    stream = stream_of(cited)
    names = kinds(stream)
    assert names.index("output_text.annotation.added") < names.index("output_text.done")
    assert answered(stream) == cited
    check_stream(stream)


def test_log_probabilities_are_told_piece_by_piece_and_whole() -> None:
    token = b'{"token":"h","bytes":[104],"logprob":-0.5,"top_logprobs":[]}'
    encoder = TRANSLATOR.stream_encoder(asked_for())
    events: list[StreamEvent] = [
        Opened("x", "m"),
        PartBegan(0, Text("")),
        PartGrew(0, "h", logprobs=b"[%b]" % token),
        PartGrew(0, "i", logprobs=b"[%b]" % token),
        PartEnded(0, Text("hi")),
        Finished("stop"),
        Closed(),
    ]
    stream = b"".join(encoder.write(event) for event in events)
    done = next(event for event in data_of(stream) if event["type"] == "response.output_text.done")
    assert len(done["logprobs"]) == 2
    assert answered(stream).choices[0].logprobs == b"[%b,%b]" % (token, token)
    check_stream(stream)


def test_a_client_that_asks_for_seals_gets_a_mark_at_the_end_of_a_thought() -> None:
    sealed = Signature("gemini", "sealed")
    asked = msgspec.structs.replace(asked_for(), request=msgspec.structs.replace(asked_for().request, seals_asked=True))
    stream = stream_of(answer(Thinking("t", sealed), Text("a")), asked)
    done = next(event for event in data_of(stream) if event["type"] == "response.output_item.done")
    assert done["item"]["encrypted_content"] == marked(sealed)
    check_stream(stream)


def test_pictures_and_foreign_items_of_this_format_come_whole() -> None:
    parts = (
        Image(Inline("image/png", "QUI=")),
        Foreign("openai_responses", "compaction", b'{"type":"compaction","id":"c","encrypted_content":"E"}'),
        Foreign("gemini", "executable_code", b"{}"),
        Text("a"),
    )
    stream = stream_of(answer(*parts))
    assert answered(stream).choices[0].content == (*parts[:2], parts[3])
    check_stream(stream)


def test_thoughts_that_share_an_id_get_their_own_because_the_sdk_refuses_two_items_of_one() -> None:
    twice = (Thinking("a", id="rs_1"), Thinking("b", id="rs_1"))
    assert len({item.id for item in check_stream(stream_of(answer(*twice))).output}) == 2


def test_other_choices_than_the_first_are_not_told() -> None:
    one, two = Choice((Text("a"),), "stop"), Choice((Text("b"),), "stop", 1)
    stream = stream_of(ChatAnswer(id="x", model="m", choices=(one, two)))
    assert check_stream(stream).output_text == "a"


def test_a_stream_that_ends_badly_is_told_to_the_sdk_and_to_codex() -> None:
    encoder = TRANSLATOR.stream_encoder(asked_for())
    begun = encoder.write(Opened("x", "m")) + encoder.write(PartBegan(0, Text(""))) + encoder.write(PartGrew(0, "a"))
    stream = begun + encoder.error("provider_cut", "the provider closed the connection")
    error, failed = data_of(stream)[-2:]
    assert (error["type"], error["error"]["code"]) == ("error", "provider_cut")
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {
        "code": "server_error",
        "message": "the provider closed the connection",
        "type": "provider_cut",
    }
    with pytest.raises(openai.APIError, match="closed the connection"):
        through_sdk(stream)
    meter = ResponsesStreamMeter(lambda _: None)
    meter.feed(stream)
    assert meter.reading().error_code == "server_error"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("upstream_rate_limit_error", "rate_limit_exceeded"),
        ("context_length_exceeded", "context_length_exceeded"),
        ("insufficient_quota", "insufficient_quota"),
        ("overloaded_error", "server_error"),
    ],
)
def test_codes_at_which_codex_stops_or_waits_are_told_as_they_are(code: str, told: str) -> None:
    stream = TRANSLATOR.stream_encoder(asked_for()).error(code, "no")
    assert data_of(stream)[-1]["response"]["error"]["code"] == told
    assert kinds(stream) == ["created", "in_progress", "error", "failed"]


# ---- read


def created(**members: Any) -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": "resp_1", "model": "m", **members}}


def completed(*output: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": list(output)}}


def test_items_that_come_whole_without_deltas_are_told_whole() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "a", "arguments": '{"x":1}'}
    said = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    found = answered(
        sse(
            [
                created(),
                {"type": "response.output_item.done", "output_index": 0, "item": said},
                {"type": "response.output_item.added", "output_index": 1, "item": {**call, "arguments": ""}},
                {"type": "response.output_item.done", "output_index": 1, "item": call},
                completed(said, call),
            ]
        )
    )
    assert found.choices[0] == Choice((Text("hi"), ToolCall("c", "a", '{"x":1}')), "tool_calls")


def test_an_answer_that_stands_in_the_last_event_alone_is_told() -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    assert answered(sse([created(), completed(said)])).choices[0] == Choice((Text("hi"),), "stop")


def test_a_provider_that_does_not_count_its_output_is_read_by_the_ids_of_its_items() -> None:
    delta = {"type": "response.output_text.delta", "item_id": "msg_1"}
    said = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    found = answered(sse([created(), {**delta, "delta": "h"}, {**delta, "delta": "i"}, completed(said)]))
    assert found.choices[0] == Choice((Text("hi"),), "stop")


def test_paragraphs_of_a_summary_are_parted_as_in_the_whole() -> None:
    delta = {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0}
    item = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "E"}
    found = answered(
        sse(
            [
                created(),
                {**delta, "summary_index": 0, "delta": "a"},
                {**delta, "summary_index": 1, "delta": "b"},
                {"type": "response.output_item.done", "output_index": 0, "item": item},
                completed(item),
            ]
        )
    )
    assert found.choices[0].content == (Thinking("a\n\nb", Signature("openai_responses", "E"), id="rs_1"),)


def test_a_thought_that_is_told_in_full_and_summed_up_is_told_once() -> None:
    members = {"item_id": "rs_1", "output_index": 0}
    found = answered(
        sse(
            [
                created(),
                {"type": "response.reasoning_text.delta", "content_index": 0, "delta": "long", **members},
                {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": "short", **members},
                {"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning"}},
                completed(),
            ]
        )
    )
    assert found.choices[0].content == (Thinking("long", id="rs_1"),)


def test_citations_that_nobody_announced_are_taken_from_the_whole_text() -> None:
    annotation = {"type": "url_citation", "url": "https://a/", "title": "A", "start_index": 0, "end_index": 2}
    part = {"type": "output_text", "text": "hi", "annotations": [annotation]}
    place = {"output_index": 0, "content_index": 0}
    announced = {"type": "response.output_text.annotation.added", "annotation": annotation, **place}
    for told in ([], [announced]):
        events = [
            created(),
            {"type": "response.output_text.delta", "delta": "hi", **place},
            *told,
            {"type": "response.content_part.done", "part": part, **place},
            {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": [part]}},
            completed(),
        ]
        (text,) = answered(sse(events)).choices[0].content
        assert isinstance(text, Text)
        assert [citation.url for citation in text.citations] == ["https://a/"]


def test_a_stream_that_was_cut_is_owed_no_finish() -> None:
    events = decoded(stream_of(answer(Text("hi")))[:1_600])
    assert not any(isinstance(event, Finished) for event in events)


def test_a_delta_of_a_call_that_is_over_is_refused_aloud() -> None:
    item = {"type": "function_call", "name": "a", "arguments": ""}
    delta = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"}
    begun = [
        {"type": "response.output_item.added", "output_index": at, "item": {**item, "call_id": str(at)}}
        for at in (0, 1)
    ]
    with pytest.raises(ProviderMisbehaved, match="mixed"):
        decoded(sse([created(), *begun, delta]))


def test_a_failed_response_ends_in_an_error() -> None:
    failed = {"type": "response.failed", "response": {"status": "failed", "error": {"code": "x"}}}
    assert decoded(sse([created(), failed]))[-1] == Finished("error")


def test_odd_events_are_passed_over() -> None:
    odd = b': keep-alive\n\nevent: keepalive\ndata: {"type":"keepalive","sequence_number":3}\n\ndata: 7\n\ndata: {\n\n'
    stream = sse([created()]) + odd + sse([completed()]) + b"data: [DONE]\n\n"
    assert decoded(stream) == [Opened("resp_1", "m"), Finished("stop")]


def test_what_comes_after_the_end_is_not_told() -> None:
    late = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "x"}
    assert decoded(sse([created(), completed(), late]))[-1] == Finished("stop")


def test_obfuscation_is_no_text() -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "x"}
    found = decoded(sse([created(), {**delta, "obfuscation": "aaaa"}]))
    assert PartGrew(0, "x") in found
    assert json.dumps("aaaa") not in repr(found)


def test_usage_is_left_to_the_meter() -> None:
    meter = ResponsesStreamMeter(lambda _: None)
    meter.feed(stream_of(answer(Text("a"))))
    assert meter.reading().usage == USAGE
    assert TRANSLATOR.stream_decoder(new_ids()).rest() == []

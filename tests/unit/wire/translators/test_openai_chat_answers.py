"""What chat completions answer, whole and in streams, and what their clients are told."""

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from farthing.errors import ProviderMisbehaved
from farthing.types.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
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
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.openai_chat import TRANSLATOR
from farthing.wire.translators.protocol import Asked, encode_all


def ids() -> Any:
    counter = itertools.count(1)
    return lambda prefix: f"{prefix}{next(counter)}"


def asked(*, usage_in_stream: bool = False, legacy_functions: bool = False) -> Asked:
    request = ChatRequest(
        origin="openai_chat",
        model="m",
        messages=(),
        usage_in_stream=usage_in_stream,
        legacy_functions=legacy_functions,
    )
    return Asked(request=request, model="m", answer_id="x", created_s=7, input_tokens_estimate=1, new_id=ids())


def event(delta: dict[str, Any], reason: str | None = None, index: int = 0, **beside: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": reason, **beside}
    return b"data: %b\n\n" % msgspec.json.encode({"id": "i", "model": "m", "choices": [choice]})


def streamed(*events: bytes) -> list[StreamEvent]:
    decoder = TRANSLATOR.stream_decoder(ids())
    return [*(told for one in events for told in decoder.feed(one)), *decoder.rest()]


def parts(*events: bytes) -> tuple[Part, ...]:
    (choice,) = answer_of(streamed(*events)).choices
    return choice.content


def choice_of(message: dict[str, Any], reason: str = "stop", **beside: Any) -> Choice:
    body = {"id": "i", "choices": [{"index": 0, "message": message, "finish_reason": reason, **beside}]}
    return TRANSLATOR.read_answer(msgspec.json.encode(body), ids()).choices[0]


def piece(
    index: int | None = None, *, arguments: str | None = None, name: str | None = None, id_: str | None = None
) -> dict[str, Any]:
    call = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [{key: value for key, value in call.items() if value is not None}]}


def written(answer: ChatAnswer, usage: Usage | None = None, **how: Any) -> dict[str, Any]:
    found = msgspec.json.decode(TRANSLATOR.write_answer(answer, usage, asked(**how)))
    assert isinstance(found, dict)
    return found


def chunks(events: Iterable[StreamEvent], **how: Any) -> list[Any]:
    stream = encode_all(TRANSLATOR.stream_encoder(asked(**how)), events)
    lines = [line[6:] for line in stream.splitlines() if line]
    return [line if line == b"[DONE]" else msgspec.json.decode(line) for line in lines]


def answer(*content: Part, reason: FinishReason = "stop") -> ChatAnswer:
    return ChatAnswer(id=None, model=None, choices=(Choice(content, reason),))


# ---- streams that are read


def test_a_stream_is_told_part_by_part() -> None:
    assert streamed(event({"role": "assistant", "content": ""}), event({"content": "a"}), event({}, "stop")) == [
        Opened("i", "m"),
        PartBegan(0, Text("")),
        PartGrew(0, "a"),
        PartEnded(0, Text("a")),
        Finished("stop"),
    ]


def test_a_call_in_pieces_is_one_call_and_one_without_arguments_gets_an_empty_object() -> None:
    begun = event(piece(0, name="f", id_="c", arguments="{"))
    assert parts(begun, event(piece(0, arguments="}")), event({}, "tool_calls")) == (ToolCall("c", "f", "{}"),)
    assert parts(event(piece(0, name="f", id_="c")), event(piece(1, name="g", id_="d"))) == (
        ToolCall("c", "f", "{}"),
        ToolCall("d", "g", "{}"),
    )


def test_whole_calls_that_all_have_the_index_0_or_none_are_several() -> None:
    for index in (0, None):
        found = parts(
            event(piece(index, name="f", id_="c", arguments='{"a":1}')),
            event(piece(index, name="g", id_="d", arguments='{"b":2}')),
        )
        assert found == (ToolCall("c", "f", '{"a":1}'), ToolCall("d", "g", '{"b":2}'))


def test_pieces_of_a_call_that_repeat_its_id_belong_to_it() -> None:
    repeated = event(piece(0, id_="c", arguments="}"))
    assert parts(event(piece(0, name="f", id_="c", arguments="{")), repeated) == (ToolCall("c", "f", "{}"),)


def test_a_call_without_an_id_gets_one() -> None:
    assert parts(event(piece(0, name="f", arguments="{}"))) == (ToolCall("call_1", "f", "{}"),)


def test_calls_whose_pieces_are_mixed_are_refused_aloud() -> None:
    mixed = [event(piece(0, name="f", id_="c")), event(piece(1, name="g", id_="d")), event(piece(0, arguments="{}"))]
    with pytest.raises(ProviderMisbehaved):
        streamed(*mixed)


def test_a_stop_after_calls_is_a_finish_with_calls() -> None:
    events = streamed(event(piece(0, name="f", id_="c", arguments="{}")), event({}, "stop"))
    assert events[-1] == Finished("tool_calls")


def test_text_behind_the_finish_is_not_lost() -> None:
    assert parts(event({"reasoning_content": "t"}), event({}, "stop"), event({"content": "a"}))[1] == Text("a")


def test_choices_are_told_apart() -> None:
    events = streamed(event({"content": "a"}), event({"content": "b"}, index=1), event({"content": "c"}, "length"))
    first, second = answer_of(events).choices
    assert (first.content, first.finish_reason) == ((Text("ac"),), "length")
    assert (second.content, second.finish_reason) == ((Text("b"),), "stop")


def test_fragments_of_a_thought_are_one_and_its_signature_comes_last() -> None:
    def detail(**members: Any) -> bytes:
        return event({"content": "", "reasoning_details": [{"type": "reasoning.text", "index": 0, **members}]})

    value = '{"index":0,"signature":"s","type":"reasoning.text"}'
    found = parts(detail(text="a"), detail(text="b"), detail(signature="s"), event({"content": "c"}))
    assert found == (Thinking("ab", Signature("openai_chat", value)), Text("c"))


def test_a_thought_that_is_told_twice_is_taken_once() -> None:
    detail = {"type": "reasoning.text", "text": "a", "index": 0}
    (found,) = parts(event({"reasoning": "a", "reasoning_details": [detail]}))
    assert isinstance(found, Thinking)
    assert found.text == "a"


def test_sound_is_joined_and_needs_no_finish() -> None:
    found = parts(
        event({"audio": {"id": "a1", "transcript": "he"}}),
        event({"audio": {"data": "AQ==", "transcript": "llo"}}),
        event({"audio": {"data": "Ag=="}}),
        event({"audio": {"expires_at": 9}}),
    )
    assert found == (Audio(Inline("audio/pcm", "AQI="), "hello", "a1"),)


def test_perplexitys_pages_are_cited_once() -> None:
    chunk = {"id": "i", "choices": [{"index": 0, "delta": {"content": "a"}}], "citations": ["https://a/"]}
    data = b"data: %b\r\n\r\n" % msgspec.json.encode(chunk)
    (found,) = parts(data, data)
    assert found == Text("aa", citations=(Citation("openai_chat", b'"https://a/"', "https://a/"),))


def test_legacy_log_probabilities_are_listed_as_openai_lists_them() -> None:
    legacy = {"tokens": ["a"], "token_logprobs": [-1.5], "top_logprobs": [{"b": -2.5}]}
    choice = choice_of({"content": "a"}, logprobs=legacy)
    assert msgspec.json.decode(choice.logprobs or b"") == [
        {
            "token": "a",
            "logprob": -1.5,
            "bytes": None,
            "top_logprobs": [{"token": "b", "logprob": -2.5, "bytes": None}],
        }
    ]


# ---- answers that are read


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"content": {"a": 1}}, Text('{"a":1}')),
        (
            {"content": [{"type": "reference", "ids": [1]}]},
            Foreign("openai_chat", "reference", b'{"type":"reference","ids":[1]}'),
        ),
        ({"content": None, "refusal": "no"}, Refusal("no")),
        ({"images": [{"image_url": {"url": "data:image/png;base64,AA=="}}]}, Image(Inline("image/png", "AA=="))),
        ({"function_call": {"name": "f", "arguments": "{}"}}, ToolCall("call_1", "f", "{}")),
        (
            {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
            ToolCall("c", "f", '{"a":1}'),
        ),
        (
            {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
            ToolCall("c", "f", "x", custom=True),
        ),
    ],
)
def test_parts_of_answers(said: dict[str, Any], expected: Part) -> None:
    assert choice_of(said).content == (expected,)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("model_length", "length"),
        ("sensitive", "content_filter"),
        ("network_error", "error"),
        ("eos", "stop"),
        ("new", "stop"),
    ],
)
def test_finish_reasons_that_others_have(reason: str, expected: FinishReason) -> None:
    assert choice_of({"content": "a"}, reason).finish_reason == expected


def test_a_refusal_finishes_as_one() -> None:
    assert choice_of({"content": None, "refusal": "no"}).finish_reason == "refusal"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":5}', b'{"choices":[5,{"message":5}]}', b"\xff"])
def test_what_cannot_be_read_is_left_out(body: bytes) -> None:
    found = TRANSLATOR.read_answer(body, ids())
    assert all(not choice.content for choice in found.choices)


# ---- what clients are told


def test_members_that_may_be_null_are_there() -> None:
    found = written(answer(ToolCall("c", "f", "")), Usage(input_tokens=1, output_tokens=None))
    assert found == {
        "id": "chatcmpl-x",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": None,
    }


def test_usage_counts_what_was_cached_inside_the_prompt() -> None:
    usage = Usage(
        input_tokens=10,
        output_tokens=5,
        cache_read_input_tokens=4,
        cache_creation_1h_input_tokens=3,
        reasoning_output_tokens=2,
    )
    assert written(answer(Text("a")), usage)["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0, "cache_write_tokens": 3},
        "completion_tokens_details": {
            "reasoning_tokens": 2,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def test_where_a_text_is_cited_is_counted_in_all_of_it() -> None:
    cited = Text("cd", citations=(Citation("anthropic_messages", b"{}", "u", "t"), Citation("gemini", b"{}")))
    message = written(answer(Text("ab"), cited))["choices"][0]["message"]
    assert message["content"] == "abcd"
    assert message["annotations"] == [
        {"type": "url_citation", "url_citation": {"start_index": 2, "end_index": 4, "title": "t", "url": "u"}}
    ]
    streamed_ = chunks(events_of(answer(Text("ab"), cited), None))
    assert [chunk["choices"][0]["delta"] for chunk in streamed_[3:4]] == [{"annotations": message["annotations"]}]


@pytest.mark.parametrize(
    ("content", "reason", "told"),
    [
        ((Refusal("no"),), "refusal", "stop"),
        ((Text("no"),), "refusal", "content_filter"),
        ((Text("a"),), "pause", "stop"),
        ((Text("a"),), "error", "error"),
    ],
)
def test_finishes_in_openais_words(content: tuple[Part, ...], reason: FinishReason, told: str) -> None:
    whole = answer(*content, reason=reason)
    assert written(whole)["choices"][0]["finish_reason"] == told
    assert chunks(events_of(whole, None))[-2]["choices"][0]["finish_reason"] == told


def test_a_stream_begins_with_the_role_and_tells_usage_to_who_asked() -> None:
    usage = Usage(input_tokens=1, output_tokens=2)
    whole = answer(Thinking("t"), Text("a"))
    asked_for = chunks(events_of(whole, usage), usage_in_stream=True)
    assert [chunk["choices"][0]["delta"] for chunk in asked_for[:-2]] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "t"},
        {"content": "a"},
        {},
    ]
    assert all(chunk["usage"] is None for chunk in asked_for[:-2])
    assert (asked_for[-2]["choices"], asked_for[-2]["usage"]["total_tokens"]) == ([], 3)
    assert asked_for[-1] == b"[DONE]"
    assert not any("usage" in chunk for chunk in chunks(events_of(whole, usage))[:-1])


def test_calls_are_told_by_their_place() -> None:
    whole = answer(ToolCall("c", "f", '{"a":1}'), ToolCall("d", "g", "x", custom=True), reason="tool_calls")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(events_of(whole, None))[1:-2]]
    assert [delta["tool_calls"][0] for delta in deltas] == [
        {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a":1}'}},
        {"index": 1, "id": "d", "type": "custom", "custom": {"name": "g", "input": ""}},
        {"index": 1, "custom": {"input": "x"}},
    ]


def test_a_legacy_client_gets_its_call_as_it_knows_it() -> None:
    whole = answer(ToolCall("c", "f", "{}"), reason="tool_calls")
    choice = written(whole, legacy_functions=True)["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"
    told = chunks(events_of(whole, None), legacy_functions=True)
    assert [chunk["choices"][0]["delta"] for chunk in told[1:3]] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]
    assert told[-2]["choices"][0]["finish_reason"] == "function_call"


def test_a_stream_that_fails_says_so_and_has_no_end() -> None:
    encoder = TRANSLATOR.stream_encoder(asked())
    told = encoder.write(Opened()) + encoder.error("provider_cut", "cut")
    assert told.endswith(b'"code":"provider_cut"}}\n\n')
    assert b"[DONE]" not in told
    assert encoder.write(Closed()) == b"data: [DONE]\n\n"

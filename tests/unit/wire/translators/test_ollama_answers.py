import itertools
import json
from typing import Any

import ollama
import pytest

from farthing.types.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Choice,
    Closed,
    Finished,
    FinishReason,
    Image,
    Inline,
    Linked,
    Opened,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.ollama import TRANSLATOR
from farthing.wire.translators.ollama.show import write_shown
from farthing.wire.translators.protocol import Asked, NewId, encode_all

PNG = "iVBORw0KGgo="


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}{next(count)}"


def asked(*, raw_prompt: bool = False) -> Asked:
    request = ChatRequest(origin="ollama", model="mine", messages=(), raw_prompt=raw_prompt)
    return Asked(
        request=request,
        model="mine",
        answer_id="1",
        created_s=1_780_000_000,
        input_tokens_estimate=3,
        new_id=numbered(),
    )


def read(body: object) -> ChatAnswer:
    return TRANSLATOR.read_answer(json.dumps(body).encode(), numbered())


def streamed(*lines: object) -> list[Any]:
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = [event for line in lines for event in decoder.feed(json.dumps(line).encode() + b"\n")]
    return [*events, *decoder.rest()]


def encoded(answer: ChatAnswer, usage: Usage | None = None, *, raw_prompt: bool = False) -> list[Any]:
    body = encode_all(TRANSLATOR.stream_encoder(asked(raw_prompt=raw_prompt)), events_of(answer, usage))
    return [json.loads(line) for line in body.splitlines()]


def answered(*parts: Any, reason: FinishReason = "stop", logprobs: bytes | None = None) -> ChatAnswer:
    return ChatAnswer(id="x", model="served", choices=(Choice(parts, reason, logprobs=logprobs),))


def test_a_call_comes_whole_and_stop_means_that_tools_are_called() -> None:
    call = {"function": {"name": "f", "arguments": {"x": 1.50}}}
    events = streamed(
        {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "Hm"}, "done": False},
        {"model": "m", "message": {"role": "assistant", "content": "", "tool_calls": [call]}, "done": False},
        {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
    )
    made = ToolCall("call_1", "f", '{"x":1.5}')
    assert events == [
        Opened(None, "m"),
        PartBegan(0, Thinking("")),
        PartGrew(0, "Hm"),
        PartEnded(0, Thinking("Hm")),
        PartBegan(1, ToolCall("call_1", "f", "")),
        PartGrew(1, '{"x":1.5}'),
        PartEnded(1, made),
        Finished("tool_calls"),
    ]


def test_thinking_and_text_may_share_a_line() -> None:
    events = streamed({"model": "m", "message": {"content": "b", "thinking": "a"}, "done": True})
    assert answer_of(events).choices == (Choice((Thinking("a"), Text("b")), "stop"),)


def test_generate_tells_its_text_beside_the_rest() -> None:
    lines = (
        {"model": "m", "response": "", "thinking": "a", "done": False},
        {"model": "m", "response": "b", "done": False},
        {"model": "m", "response": "", "done": True, "done_reason": "length", "context": [1]},
    )
    expected = (Choice((Thinking("a"), Text("b")), "length"),)
    assert answer_of(streamed(*lines)).choices == expected
    assert (
        read({"model": "m", "response": "b", "thinking": "a", "done": True, "done_reason": "length"}).choices
        == expected
    )


def test_log_probabilities_get_what_openais_clients_want() -> None:
    token = {"token": "Hi", "logprob": -0.5}
    full = b'{"token":"Hi","bytes":null,"logprob":-0.5,"top_logprobs":[]}'
    line = {"model": "m", "message": {"content": "Hi"}, "logprobs": [token], "done": True}
    assert read(line).choices[0].logprobs == b"[%b]" % full
    assert answer_of(streamed(line)).choices[0].logprobs == b"[%b]" % full


def test_log_probabilities_without_text_stay_with_the_part_they_belong_to() -> None:
    half = {"model": "m", "message": {"content": ""}, "logprobs": [{"token": "a", "logprob": -1}], "done": False}
    whole = {"model": "m", "message": {"content": "é"}, "logprobs": [{"token": "b", "logprob": -2}], "done": False}
    end = {"model": "m", "message": {"content": ""}, "done": True}
    tokens = answer_of(streamed(half, whole, half, end)).choices[0].logprobs
    assert tokens is not None
    assert [token["token"] for token in json.loads(tokens)] == ["a", "b", "a"]


def test_a_stream_without_a_last_line_ends_its_part_and_no_more() -> None:
    events = streamed({"model": "m", "message": {"content": "a"}, "done": False})
    assert events[-1] == PartEnded(0, Text("a"))


def test_what_follows_the_last_line_is_not_told() -> None:
    line = {"model": "m", "message": {"content": "a"}, "done": True}
    assert answer_of(streamed(line, line)).choices == (Choice((Text("a"),), "stop"),)


def test_lines_in_the_place_of_an_answer_are_read_as_one() -> None:
    line = b'{"model":"m","message":{"content":"a"},"done":false}\n'
    answer = TRANSLATOR.read_answer(line * 2 + line.replace(b"false", b"true"), numbered())
    assert answer.choices == (Choice((Text("aaa"),), "stop"),)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "no"},
        [],
        {"message": 1},
        {"message": {"content": 5, "tool_calls": {"a": 1}, "images": "x"}},
        {"message": {"tool_calls": [None, {"function": 1}, {"function": {"name": 2}}]}},
        {"created_at": "yesterday", "done": "yes"},
    ],
)
def test_garbage_is_left_out(body: object) -> None:
    assert read(body).choices == ()
    assert answer_of(streamed(body)).choices == ()


def test_odd_members_hide_nothing_else() -> None:
    line = {"model": 7, "message": {"content": "a", "thinking": 1, "images": [PNG, 2]}, "done": True, "done_reason": 3}
    expected = (Choice((Text("a"), Image(Inline("image/png", PNG))), "stop"),)
    assert read(line).choices == expected
    assert answer_of(streamed(line)).choices == expected


def test_arguments_as_text_are_taken_for_json() -> None:
    body = {"message": {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a":1}'}}]}, "done": True}
    assert read(body).choices == (Choice((ToolCall("1", "f", '{"a":1}'),), "tool_calls"),)


# ---- for clients


def test_an_answer_has_its_time_its_reason_and_its_counts() -> None:
    usage = Usage(input_tokens=9, output_tokens=4, cache_read_input_tokens=5)
    body = TRANSLATOR.write_answer(answered(Thinking("a"), Text("b")), usage, asked())
    assert json.loads(body) == {
        "model": "served",
        "created_at": "2026-05-28T20:26:40Z",
        "message": {"role": "assistant", "content": "b", "thinking": "a"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 9,
        "eval_count": 4,
    }
    assert ollama.ChatResponse.model_validate_json(body).message.thinking == "a"


def test_counts_that_nobody_knows_are_left_out() -> None:
    usage = Usage(output_tokens=4)
    assert "prompt_eval_count" not in json.loads(TRANSLATOR.write_answer(answered(Text("b")), usage, asked()))


def test_a_stream_has_a_line_for_each_piece_and_one_for_each_call() -> None:
    calls = (ToolCall("1", "f", '{"a":\n1}'), ToolCall("2", "g", '{"cut'))
    lines = encoded(
        answered(Thinking("a"), Text("b"), *calls, reason="tool_calls"), Usage(input_tokens=1, output_tokens=2)
    )
    head = {"model": "served", "created_at": "2026-05-28T20:26:40Z"}
    assert lines == [
        {**head, "message": {"role": "assistant", "content": "", "thinking": "a"}, "done": False},
        {**head, "message": {"role": "assistant", "content": "b"}, "done": False},
        *[
            {
                **head,
                "message": {"role": "assistant", "content": "", "tool_calls": [{"id": call_id, "function": function}]},
                "done": False,
            }
            for call_id, function in (
                ("1", {"index": 0, "name": "f", "arguments": {"a": 1}}),
                ("2", {"index": 1, "name": "g", "arguments": {"input": '{"cut'}}),
            )
        ],
        {
            **head,
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 1,
            "eval_count": 2,
        },
    ]
    for line in lines:
        ollama.ChatResponse.model_validate(line)


def test_generates_stream_has_its_own_members() -> None:
    lines = encoded(answered(Thinking("a"), Text("b"), reason="length"), raw_prompt=True)
    head = {"model": "served", "created_at": "2026-05-28T20:26:40Z"}
    assert lines == [
        {**head, "response": "", "thinking": "a", "done": False},
        {**head, "response": "b", "done": False},
        {**head, "response": "", "done": True, "done_reason": "length"},
    ]


def test_log_probabilities_stand_beside_the_message_on_one_line() -> None:
    tokens = b'[\n{"token":"b","bytes":null,"logprob":-1,"top_logprobs":[]}\n]'
    lines = encoded(answered(Text("b"), logprobs=tokens))
    assert lines[0]["logprobs"] == json.loads(tokens)
    assert json.loads(TRANSLATOR.write_answer(answered(Text("b"), logprobs=tokens), None, asked()))["logprobs"]


def test_a_refusal_and_what_is_said_in_sound_are_text_and_pictures_are_left_out() -> None:
    answer = answered(
        Refusal("No."),
        Audio(transcript=" Sorry."),
        Image(Inline("image/png", PNG)),
        Image(Linked("https://a/b")),
        reason="refusal",
    )
    whole = ollama.ChatResponse.model_validate_json(TRANSLATOR.write_answer(answer, None, asked()))
    lines = [ollama.ChatResponse.model_validate(line) for line in encoded(answer)]
    assert whole.message.content == "".join([line.message.content or "" for line in lines]) == "No. Sorry."
    assert whole.done_reason == lines[-1].done_reason == "refusal"


def test_of_several_answers_the_first_is_told() -> None:
    encoder = TRANSLATOR.stream_encoder(asked())
    assert encoder.write(PartBegan(0, Text(""), 1)) == b""
    assert encoder.write(PartGrew(0, "x", 1)) == b""
    assert encoder.write(PartEnded(0, Text("x"), 1)) == b""
    assert encoder.write(Finished("length", 1)) == b""
    assert json.loads(encoder.write(Closed()))["done_reason"] == "stop"


def test_an_error_inside_a_stream_is_a_line_of_its_own() -> None:
    assert TRANSLATOR.stream_encoder(asked()).error("server_error", "it broke") == b'{"error":"it broke"}\n'


@pytest.mark.parametrize("raw_prompt", [True, False])
def test_a_model_that_is_only_to_be_loaded_is(raw_prompt: bool) -> None:
    body = TRANSLATOR.write_loaded(asked(raw_prompt=raw_prompt))
    shape = ollama.GenerateResponse if raw_prompt else ollama.ChatResponse
    answer = shape.model_validate_json(body)
    assert (answer.model, answer.done, answer.done_reason) == ("mine", True, "load")


def test_what_a_foreign_model_can_do_is_shown_as_ollama_shows_it() -> None:
    shown = ollama.ShowResponse.model_validate_json(write_shown("openai", context_tokens=128_000))
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo == {"general.architecture": "openai", "openai.context_length": 128_000}
    assert shown.details is not None
    assert shown.details.family == "openai"
    told = ollama.ShowResponse.model_validate_json(write_shown("x", capabilities=("embedding",)))
    assert (told.capabilities, told.modelinfo) == (["embedding"], {"general.architecture": "x"})

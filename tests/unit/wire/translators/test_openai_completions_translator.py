"""Legacy completions: one prompt that is continued."""

import itertools
from typing import Any

import msgspec
import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import ChatAnswer, ChatRequest, Choice, Message, Opened, Refusal, Text, Thinking, ToolCall
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.openai_completions import TRANSLATOR
from farthing.wire.translators.protocol import Asked, encode_all

TOKENS = b'[{"token":"ab","logprob":-0.5,"top_logprobs":[{"token":"x","logprob":-1.5}]},{"token":"c","logprob":-1}]'


def ids() -> Any:
    counter = itertools.count(1)
    return lambda prefix: f"{prefix}{next(counter)}"


def read(**members: Any) -> ChatRequest:
    return TRANSLATOR.read_request(msgspec.json.encode(members), model="m", streamed=False)


def asked(*, usage_in_stream: bool = False) -> Asked:
    request = ChatRequest(origin="openai_completions", model="m", messages=(), usage_in_stream=usage_in_stream)
    return Asked(request=request, model="m", answer_id="x", created_s=7, input_tokens_estimate=1, new_id=ids())


def test_a_prompt_is_a_message_of_the_user_to_be_continued() -> None:
    for prompt in ("once", ["once"]):
        request = read(prompt=prompt, suffix="end", echo=True, logprobs=2, max_tokens=5, best_of=1, user="u")
        assert request.messages == (Message("user", (Text("once"),)),)
        assert request.raw_prompt
        assert (request.suffix, request.echo, request.logprobs, request.top_logprobs) == ("end", True, True, 2)
        assert request.max_output_tokens == 5
        assert not request.extra


@pytest.mark.parametrize(
    ("prompt", "way_out"),
    [(["a", "b"], "one prompt in each request"), ([1, 2], "tokens mean"), ([[1]], "tokens mean"), (None, "a text")],
)
def test_several_prompts_and_tokens_are_refused_with_the_way_out(prompt: Any, way_out: str) -> None:
    with pytest.raises(InvalidRequest, match=way_out):
        read(prompt=prompt)


def test_what_only_this_format_knows_is_kept_aside() -> None:
    assert read(prompt="a", best_of=3).extra == {"best_of": b"3"}


def test_a_conversation_is_no_prompt() -> None:
    turns = (Message("user", (Text("a"),)), Message("assistant", (Text("b"),)), Message("user", (Text("c"),)))
    with pytest.raises(InvalidRequest, match="has 3") as refused:
        TRANSLATOR.write_request(ChatRequest(origin="openai_chat", model="m", messages=turns), ids())
    assert refused.value.hint == "send one message of the user, or ask a model that chats"


def test_one_message_of_the_user_is_written_as_the_prompt_which_comes_last() -> None:
    request = ChatRequest(
        origin="openai_chat",
        model="gpt-5-x",
        messages=(Message("user", (Text("a"), Text("b"))),),
        max_output_tokens=3,
        logprobs=True,
        suffix="s",
        echo=True,
        streamed=True,
        usage_in_stream=True,
        user="u",
    )
    assert msgspec.json.decode(TRANSLATOR.write_request(request, ids())) == {
        "model": "gpt-5-x",
        "max_tokens": 3,
        "logprobs": 0,
        "user": "u",
        "echo": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        "suffix": "s",
        "prompt": "a\n\nb",
    }


def test_a_client_gets_text_alone_and_log_probabilities_as_lists() -> None:
    content = (Thinking("t"), Text("abc"), ToolCall("c", "f", "{}"))
    answer = ChatAnswer(id=None, model=None, choices=(Choice(content, "tool_calls", logprobs=TOKENS),))
    found = msgspec.json.decode(TRANSLATOR.write_answer(answer, Usage(input_tokens=1, output_tokens=2), asked()))
    assert (found["id"], found["object"], found["usage"]["total_tokens"]) == ("cmpl-x", "text_completion", 3)
    assert found["choices"] == [
        {
            "text": "abc",
            "index": 0,
            "logprobs": {
                "tokens": ["ab", "c"],
                "token_logprobs": [-0.5, -1],
                "top_logprobs": [{"x": -1.5}, {}],
                "text_offset": [0, 2],
            },
            "finish_reason": "stop",
        }
    ]


def test_a_stream_tells_text_a_finish_and_usage_to_who_asked() -> None:
    answer = ChatAnswer(id=None, model=None, choices=(Choice((Thinking("t"), Text("a"), Refusal("b")), "length"),))
    usage = Usage(input_tokens=1, output_tokens=2)
    stream = encode_all(TRANSLATOR.stream_encoder(asked(usage_in_stream=True)), events_of(answer, usage))
    *told, done = [line[6:] for line in stream.splitlines() if line]
    chunks = [msgspec.json.decode(line) for line in told]
    assert done == b"[DONE]"
    assert [(chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in chunks[:-1]] == [
        ("a", None),
        ("b", None),
        ("", "length"),
    ]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 3)


def test_a_stream_is_read_choice_by_choice() -> None:
    decoder = TRANSLATOR.stream_decoder(ids())
    told = decoder.feed(
        b'data: {"id":"i","model":"m","choices":[{"text":"a","index":1,"finish_reason":null}]}\n\n'
        b'data: {"id":"i","model":"m","choices":[{"text":"b","index":0,"finish_reason":"length"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    assert told[0] == Opened("i", "m")
    first, second = answer_of([*told, *decoder.rest()]).choices
    assert (first.content, first.finish_reason) == ((Text("b"),), "length")
    assert (second.content, second.finish_reason) == ((Text("a"),), "stop")


def test_a_stream_that_fails_says_so() -> None:
    assert b'"code":"provider_cut"' in TRANSLATOR.stream_encoder(asked()).error("provider_cut", "cut")

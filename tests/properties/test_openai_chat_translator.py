"""Chat completions and legacy ones: what is written is read again as it was, and nothing that is sent breaks a reader.

OpenAI's own types are the judge of what is written: requests, answers and chunks alike.
"""

import itertools
import os
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from farthing.errors import InvalidRequest, ProviderMisbehaved
from farthing.types.chat import ChatAnswer, ChatRequest, Citation, Message, Reasoning, Signature, Text, Thinking
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.sse import EventSplitter, event_data
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.features import Feature, lost, used_by
from farthing.wire.translators.openai_chat import TRANSLATOR as CHAT
from farthing.wire.translators.openai_chat.messages import citation_in
from farthing.wire.translators.openai_completions import TRANSLATOR as COMPLETIONS
from farthing.wire.translators.protocol import Asked, Translator, encode_all
from tests.properties.chat_strategies import answers, names, requests, texts, usages
from tests.properties.mutations import pieces_of, spoiled

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
EXAMPLES = max(10, round(100 * SCALE))
CASES = max(20, round(400 * SCALE))

both = pytest.mark.parametrize("translator", [CHAT, COMPLETIONS], ids=lambda found: found.wire)


def said(name: str) -> st.SearchStrategy[Thinking]:
    return st.builds(Thinking, texts, st.just(Signature("openai_chat", name)))


def detailed(detail: dict[str, Any]) -> st.SearchStrategy[Thinking]:
    return st.builds(Thinking, texts, st.just(Signature("openai_chat", msgspec.json.encode(detail).decode())))


thoughts = st.one_of(
    said("reasoning_content"),
    said("reasoning"),
    said("thinking"),
    detailed({"format": "anthropic-claude-v1", "index": 0, "signature": "c2ln", "type": "reasoning.text"}),
    detailed({"format": "openai-responses-v1", "index": 0, "type": "reasoning.summary"}),
)
chat_requests = requests(
    CHAT.carries,
    thinking=thoughts,
    reasoning=st.none() | st.builds(Reasoning, effort=st.sampled_from(["none", "minimal", "low", "max"])),
    replaced={"streamed": st.just(value=True), "usage_in_stream": st.booleans()},
)
prompts = st.builds(lambda text: (Message("user", (Text(text),)),), texts)
raw_requests = requests(
    COMPLETIONS.carries - {Feature.RAW_PROMPT},
    origin="openai_completions",
    replaced={
        "raw_prompt": st.just(value=True),
        "suffix": st.none() | texts,
        "echo": st.booleans(),
        "streamed": st.just(value=True),
        "usage_in_stream": st.booleans(),
    },
)


def as_raw(request: ChatRequest, prompt: tuple[Message, ...]) -> ChatRequest:
    return msgspec.structs.replace(request, messages=prompt, reasoning=None)


def ids() -> Any:
    counter = itertools.count()
    return lambda prefix: f"{prefix}{next(counter)}"


def again(translator: Translator, request: ChatRequest) -> ChatRequest:
    """Return what a request is read as after it was written."""
    written = translator.write_request(request, ids())
    return translator.read_request(written, model=request.model, streamed=request.streamed)


def forced(value: Any) -> None:
    """Walk through all of a validated value: pydantic looks at iterables when they are gone through."""
    if isinstance(value, Mapping):
        for held in value.values():
            forced(held)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for held in value:
            forced(held)


@settings(max_examples=EXAMPLES, deadline=None)
@given(chat_requests)
def test_a_chat_request_is_read_as_it_was_written(request: ChatRequest) -> None:
    assert not lost(used_by(request), CHAT.carries)
    assert again(CHAT, request) == request


@settings(max_examples=EXAMPLES, deadline=None)
@given(raw_requests, prompts)
def test_a_prompt_is_read_as_it_was_written(request: ChatRequest, prompt: tuple[Message, ...]) -> None:
    request = as_raw(request, prompt)
    assert not lost(used_by(request), COMPLETIONS.carries)
    assert again(COMPLETIONS, request) == request


@settings(max_examples=EXAMPLES, deadline=None)
@given(requests(frozenset(Feature), origin="anthropic_messages", alternating=True, thinking=thoughts))
def test_whatever_is_written_reads_the_same_from_then_on(request: ChatRequest) -> None:
    once = again(CHAT, request)
    assert again(CHAT, once) == once


requests_of_openai: dict[bool, TypeAdapter[Any]] = {
    False: TypeAdapter(CompletionCreateParamsNonStreaming),
    True: TypeAdapter(CompletionCreateParamsStreaming),
}


@settings(max_examples=EXAMPLES, deadline=None)
@given(requests(CHAT.carries - {Feature.VIDEO}, origin="gemini"))
def test_what_is_written_for_a_provider_is_a_request_of_openais(request: ChatRequest) -> None:
    written = msgspec.json.decode(CHAT.write_request(request, ids()))
    forced(requests_of_openai[request.streamed].validate_python(written))


@settings(max_examples=EXAMPLES, deadline=None)
@given(chat_requests, texts)
def test_what_was_sent_before_is_a_prefix_of_what_is_sent_next(request: ChatRequest, text: str) -> None:
    longer = msgspec.structs.replace(request, messages=(*request.messages, Message("user", (Text(text),))))
    before, after = CHAT.write_request(request, ids()), CHAT.write_request(longer, ids())
    assert after.startswith(before.removesuffix(b"]}"))


# ---- answers


def cited() -> st.SearchStrategy[Citation]:
    annotation = st.builds(
        lambda name, start: {
            "type": "url_citation",
            "url_citation": {
                "start_index": start,
                "end_index": start + 1,
                "title": name,
                "url": f"https://example.com/{name}",
            },
        },
        names,
        st.integers(0, 3),
    )
    return (
        annotation.map(citation_in)
        .filter(lambda found: found is not None)
        .map(lambda found: found or Citation("openai_chat", b""))
    )


chat_answers = answers(
    CHAT.answers_carry,
    thinking=said("reasoning_content"),
    citations=cited(),
    reasons=("stop", "length", "content_filter"),
    id_="chatcmpl-x",
    created_s=1_790_000_000,
)
raw_answers = answers(
    COMPLETIONS.answers_carry, reasons=("stop", "length", "content_filter"), id_="cmpl-x", created_s=1_790_000_000
)
TOKENS = b'[{"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"b","logprob":-1.5,"bytes":null}]}]'


def plain(answer: ChatAnswer) -> ChatAnswer:
    """Return a legacy answer with log probabilities as such an answer can tell them."""
    choices = [msgspec.structs.replace(choice, logprobs=choice.logprobs and TOKENS) for choice in answer.choices]
    return msgspec.structs.replace(answer, choices=tuple(choices))


def asked_for(wire: WireFormat = "openai_chat", *, usage_in_stream: bool = False) -> Asked:
    request = ChatRequest(origin=wire, model="some-model", messages=(), usage_in_stream=usage_in_stream)
    return Asked(
        request=request,
        model="some-model",
        answer_id="x",
        created_s=1_790_000_000,
        input_tokens_estimate=1,
        new_id=ids(),
    )


def streamed(translator: Translator, answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
    return encode_all(translator.stream_encoder(asked), events_of(answer, usage))


def unstreamed(translator: Translator, stream: bytes, cut: int) -> ChatAnswer:
    decoder = translator.stream_decoder(ids())
    events = [event for at in range(0, len(stream), cut) for event in decoder.feed(stream[at : at + cut])]
    return answer_of([*events, *decoder.rest()])


@settings(max_examples=EXAMPLES, deadline=None)
@given(chat_answers, usages(), st.booleans(), st.integers(1, 400))
def test_a_stream_of_chunks_tells_what_the_whole_answer_tells(
    answer: ChatAnswer, usage: Usage, with_usage: bool, cut: int
) -> None:
    asked = asked_for(usage_in_stream=with_usage)
    assert CHAT.read_answer(CHAT.write_answer(answer, usage, asked), ids()) == answer
    stream = streamed(CHAT, answer, usage, asked)
    assert unstreamed(CHAT, stream, cut) == msgspec.structs.replace(answer, created_s=None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(raw_answers, usages(), st.booleans(), st.integers(1, 400))
def test_a_stream_of_a_completion_tells_what_the_whole_one_tells(
    answer: ChatAnswer, usage: Usage, with_usage: bool, cut: int
) -> None:
    answer, asked = plain(answer), asked_for("openai_completions", usage_in_stream=with_usage)
    written = COMPLETIONS.write_answer(answer, usage, asked)
    Completion.model_validate_json(written, strict=True)
    assert COMPLETIONS.read_answer(written, ids()) == answer
    stream = streamed(COMPLETIONS, answer, usage, asked)
    assert unstreamed(COMPLETIONS, stream, cut) == msgspec.structs.replace(answer, created_s=None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(chat_answers, st.none() | usages(), st.booleans())
def test_what_a_client_gets_is_an_answer_of_openais(answer: ChatAnswer, usage: Usage | None, with_usage: bool) -> None:
    asked = asked_for(usage_in_stream=with_usage)
    whole = ChatCompletion.model_validate_json(CHAT.write_answer(answer, usage, asked), strict=True)
    assert (whole.usage is None) == (usage is None)
    data = [event_data(event) for event in EventSplitter().feed(streamed(CHAT, answer, usage, asked))]
    assert data.pop() == b"[DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(chunk, strict=True) for chunk in data]
    assert chunks[0].choices[0].delta.role == "assistant"
    counted = [chunk for chunk in chunks if chunk.usage is not None]
    assert counted == (chunks[-1:] if with_usage and usage is not None else [])
    assert all(("usage" in chunk.model_fields_set) == with_usage for chunk in chunks)


@settings(max_examples=EXAMPLES, deadline=None)
@given(chat_answers, usages())
def test_openais_own_client_puts_the_chunks_together_to_what_the_whole_answer_tells(
    answer: ChatAnswer, usage: Usage
) -> None:
    asked = asked_for(usage_in_stream=True)
    state: Any = ChatCompletionStreamState()
    for event in EventSplitter().feed(streamed(CHAT, answer, usage, asked))[:-1]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(event_data(event)))
    found = state.current_completion_snapshot
    whole = ChatCompletion.model_validate_json(CHAT.write_answer(answer, usage, asked))
    assert found.usage == whole.usage
    for one, other in zip(found.choices, whole.choices, strict=True):
        assert (one.message.content or None, one.message.refusal or None) == (
            other.message.content,
            other.message.refusal,
        )
        assert one.finish_reason == other.finish_reason
        assert calls_of(one) == calls_of(other)


def calls_of(choice: Any) -> list[tuple[str, str, str]]:
    calls = choice.message.tool_calls or []
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


# ---- spoiled

BODY = msgspec.json.encode(
    {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
            {
                "role": "user",
                "name": "n",
                "content": [{"type": "image_url", "image_url": {"url": "data:a/b;base64,AA=="}}],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "s"}],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "start_index": 0}}],
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/plain;base64,AA=="}}]},
        ],
        "prompt": "p",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]},
        },
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}},
        "reasoning": {"effort": "low", "max_tokens": 3, "exclude": True},
        "thinking": {"type": "enabled", "budget_tokens": 3},
        "stop": ["a"],
        "logprobs": True,
        "max_tokens": 5,
        "temperature": 1,
        "stream_options": {"include_usage": True},
    }
)
STREAM = b"".join(
    b"data: %b\n\n" % msgspec.json.encode({"id": "i", "model": "m", "choices": [choice]})
    for choice in [
        {"index": 0, "delta": {"role": "assistant", "content": "", "reasoning_content": "t"}},
        {"index": 0, "delta": {"reasoning_details": [{"type": "reasoning.text", "text": "d", "index": 0}]}},
        {"index": 0, "delta": {"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}]}},
        {"index": 0, "delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "l"}]}]}},
        {"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "a", "logprob": -1}]}, "text": "a"},
        {"index": 1, "delta": {"content": "b"}, "logprobs": {"tokens": ["b"], "token_logprobs": [-1]}, "text": "b"},
        {"index": 0, "delta": {"annotations": [{"url_citation": {"url": "u"}}], "audio": {"data": "AA==", "id": "x"}}},
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}},
        {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}},
        {
            "index": 0,
            "delta": {"function_call": {"name": "g"}, "images": [{"image_url": {"url": "data:a/b;base64,AA=="}}]},
        },
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
)


@both
def test_a_spoiled_request_is_refused_aloud_or_read(translator: Translator) -> None:
    hints: list[str | None] = []
    for case in range(CASES):
        body = spoiled(Random(f"{translator.wire} request {case}"), BODY)
        try:
            request = translator.read_request(body, model="m", streamed=False)
            translator.write_request(request, ids())
        except InvalidRequest as refused:
            hints.append(refused.hint)
    assert hints
    assert all(hints)


@both
def test_a_spoiled_stream_is_read_as_far_as_it_can_be(translator: Translator) -> None:
    for case in range(CASES):
        random = Random(f"{translator.wire} stream {case}")
        decoder, encoder = translator.stream_decoder(ids()), translator.stream_encoder(asked_for())
        try:
            for piece in pieces_of(random, spoiled(random, STREAM)):
                encode_all(encoder, decoder.feed(piece))
            encode_all(encoder, decoder.rest())
        except ProviderMisbehaved:
            continue


@both
def test_a_spoiled_answer_is_read_as_far_as_it_can_be(translator: Translator) -> None:
    whole = STREAM.splitlines()[8][6:].replace(b'"delta"', b'"message"')
    for case in range(CASES):
        body = spoiled(Random(f"{translator.wire} answer {case}"), whole)
        translator.write_answer(translator.read_answer(body, ids()), None, asked_for())

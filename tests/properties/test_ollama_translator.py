"""Ollama's translator: what it carries comes back, streams tell what answers tell, and nothing makes it raise."""

import itertools
import json
import os
from base64 import b64encode
from random import Random
from typing import Any

import msgspec
import ollama
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    AnswerShape,
    Audio,
    ChatAnswer,
    ChatRequest,
    Image,
    Inline,
    Message,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.features import Feature
from farthing.wire.translators.ollama import TRANSLATOR, read_generate
from farthing.wire.translators.protocol import Asked, NewId, encode_all
from tests.properties.chat_strategies import answers, requests, schemas, texts, usages
from tests.properties.mutations import pieces_of, spoiled

CASES = round(300 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
ALL = frozenset(Feature)
MEDIA = frozenset({Feature.IMAGES, Feature.AUDIO, Feature.TOOL_IMAGES})


def picture(start: bytes) -> st.SearchStrategy[str]:
    return st.binary(max_size=9).map(lambda data: b64encode(start + data).decode())


images = st.one_of(
    st.builds(Image, st.builds(Inline, st.just("image/png"), picture(b"\x89PNG"))),
    st.builds(Image, st.builds(Inline, st.just("image/webp"), picture(b"RIFF\x00\x00\x00\x00WEBP"))),
)
sounds = st.builds(Audio, st.builds(Inline, st.just("audio/wav"), picture(b"RIFF\x00\x00\x00\x00WAVE")))
thoughts = st.builds(Thinking, texts)
members: dict[str, st.SearchStrategy[Any]] = {
    "tool_choice": st.none(),
    "shape": st.one_of(st.none(), st.just(AnswerShape()), st.builds(AnswerShape, schemas)),
    "context_tokens": st.sampled_from([None, 4096, 8192, 1 << 17]),
}
"""Only `required` tells a choice from none at all, and sizes of contexts are powers of two."""


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}{next(count)}"


def again(request: ChatRequest) -> ChatRequest:
    body = TRANSLATOR.write_request(request, numbered())
    read = read_generate if request.raw_prompt else TRANSLATOR.read_request
    return read(body, model=request.model, streamed=request.streamed)


def asked_for(request: ChatRequest) -> Asked:
    return Asked(
        request=request,
        model=request.model,
        answer_id="1",
        created_s=1_700_000_000,
        input_tokens_estimate=7,
        new_id=numbered(),
    )


@given(requests(TRANSLATOR.carries - MEDIA, origin="ollama", thinking=thoughts, replaced=members))
def test_what_it_carries_comes_back_as_it_was(request: ChatRequest) -> None:
    assert again(request) == request


@given(st.lists(st.one_of(images, sounds), min_size=1, max_size=3), st.none() | texts)
def test_pictures_and_sound_come_back_before_the_text(media: list[Image | Audio], text: str | None) -> None:
    said = () if text is None else (Text(text),)
    result = ToolResult("c", (*media, *said), "f")
    request = ChatRequest(
        origin="ollama",
        model="m",
        messages=(
            Message("user", (*media, *said)),
            Message("assistant", (ToolCall("c", "f", "{}"),)),
            Message("tool", (result,)),
        ),
    )
    assert again(request) == request
    prompt = msgspec.structs.replace(request, messages=request.messages[:1], raw_prompt=True)
    assert again(prompt) == prompt


@given(
    requests(ALL, thinking=thoughts, reasoning=st.sampled_from([None, Reasoning(off=True), Reasoning(adaptive=True)])),
    st.booleans(),
)
def test_what_was_written_once_is_read_the_same_ever_after(request: ChatRequest, raw_prompt: bool) -> None:
    once = again(msgspec.structs.replace(request, raw_prompt=raw_prompt))
    assert again(once) == once


@given(
    answers(TRANSLATOR.answers_carry, thinking=thoughts, reasons=("stop", "length", "content_filter", "pause")),
    usages(),
    requests(frozenset()),
    st.booleans(),
)
def test_streams_and_answers_tell_the_same(
    answer: ChatAnswer, usage: Usage, request: ChatRequest, raw_prompt: bool
) -> None:
    asked = asked_for(msgspec.structs.replace(request, raw_prompt=raw_prompt))
    shape = ollama.GenerateResponse if raw_prompt else ollama.ChatResponse

    whole = TRANSLATOR.write_answer(answer, usage, asked)
    shape.model_validate_json(whole)
    assert msgspec.structs.replace(TRANSLATOR.read_answer(whole, numbered()), created_s=None) == answer

    stream = encode_all(TRANSLATOR.stream_encoder(asked), events_of(answer, usage))
    lines = stream.splitlines(keepends=True)
    for line in lines:
        shape.model_validate_json(line)
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = [event for line in lines for event in decoder.feed(line)]
    assert answer_of([*events, *decoder.rest()]) == answer

    last = json.loads(lines[-1])
    assert (last["prompt_eval_count"], last["eval_count"]) == (usage.input_tokens, usage.output_tokens)
    assert [json.loads(line)["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


REQUESTS = (
    (
        b'{"model":"m","messages":[{"role":"user","content":"a","images":["iVBORw0KGgo="]},{"role":"assistant",'
        b'"thinking":"t","tool_calls":[{"function":{"name":"f","arguments":{"x":[1,{"y":null}]}}}]},{"role":"tool",'
        b'"tool_name":"f","content":"r"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":'
        b'"object"}}}],"options":{"stop":["a"],"num_ctx":5,"min_p":0.1},"think":"low","format":{"type":"object"}}'
    ),
    b'{"model":"m","prompt":"p","system":"s","suffix":"x","context":[1,2],"images":[],"options":{"seed":1}}',
)
STREAM = (
    b'{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"Hm"},'
    b'"done":false,"logprobs":[{"token":"Hm","logprob":-0.5,"bytes":[72]}]}\n'
    b'{"model":"m","message":{"role":"assistant","content":"a","tool_calls":[{"id":"1","function":{"index":0,'
    b'"name":"f","arguments":{"x":1}}}],"images":["iVBORw0KGgo="]},"done":false}\n'
    b'{"model":"m","response":"b","done":false}\n'
    b'{"model":"m","message":{"content":""},"done":true,"done_reason":"stop","eval_count":3}\n'
)


def test_a_spoiled_request_is_read_or_refused() -> None:
    random = Random(8)
    for _ in range(CASES):
        body = spoiled(random, random.choice(REQUESTS))
        for read in (TRANSLATOR.read_request, read_generate):
            try:
                request = read(body, model="m", streamed=True)
            except InvalidRequest:
                continue
            once = again(request)
            assert again(once) == once


def test_a_spoiled_stream_is_read_as_far_as_it_can_be_wherever_it_is_cut() -> None:
    random = Random(9)
    for _ in range(CASES):
        body = spoiled(random, STREAM)
        TRANSLATOR.read_answer(body, numbered())
        TRANSLATOR.read_answer(body.partition(b"\n")[0], numbered())
        decoder = TRANSLATOR.stream_decoder(numbered())
        events = [event for piece in pieces_of(random, body) for event in decoder.feed(piece)]
        encoder = TRANSLATOR.stream_encoder(asked_for(ChatRequest(origin="ollama", model="m", messages=())))
        for line in encode_all(encoder, [*events, *decoder.rest()]).splitlines():
            ollama.ChatResponse.model_validate_json(line)


def test_nesting_of_any_depth_is_read_or_refused() -> None:
    for depth in range(1, 1_100, 7):
        nested = b"[" * depth + b"]" * depth
        body = b'{"messages":[],"a":%b,"format":{"b":%b},"tools":[{"type":"x","c":%b}]}' % (nested, nested, nested)
        try:
            TRANSLATOR.write_request(TRANSLATOR.read_request(body, model="m", streamed=True), numbered())
        except InvalidRequest:
            continue
        call = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":%b}}}]},"done":true}\n' % nested
        TRANSLATOR.read_answer(call, numbered())
        TRANSLATOR.stream_decoder(numbered()).feed(call)

"""Gemini's translator: what it carries comes back, streams tell what answers tell, and nothing makes it raise."""

import itertools
import json
import os
from random import Random
from typing import Any

import msgspec
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    AnswerShape,
    ChatAnswer,
    ChatRequest,
    Citation,
    Document,
    Image,
    Linked,
    Message,
    Part,
    Reasoning,
    Signature,
    Text,
    Thinking,
)
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.features import Feature
from farthing.wire.translators.gemini import TRANSLATOR
from farthing.wire.translators.gemini.counting import write_count_request
from farthing.wire.translators.gemini.names import guessed_type
from farthing.wire.translators.protocol import Asked, NewId, encode_all
from tests.properties.chat_strategies import answers, requests, schemas, texts, usages
from tests.properties.mutations import pieces_of, spoiled

CASES = round(300 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
ALL = frozenset(Feature)

signatures = st.sampled_from(["AAAA", "AA/+", "BBBBBBBB"]).map(lambda value: Signature("gemini", value))
thoughts = st.builds(Thinking, texts, st.none() | signatures)
budgets = st.one_of(
    st.none(),
    st.builds(Reasoning, budget_tokens=st.integers(128, 24_576), shown=st.booleans()),
    st.builds(Reasoning, adaptive=st.just(value=True), shown=st.booleans()),
    st.just(Reasoning(off=True, shown=False)),
    st.builds(Reasoning, shown=st.booleans()),
)
levels = st.builds(Reasoning, st.sampled_from(["minimal", "low", "medium", "high"]), shown=st.booleans())
members: dict[str, st.SearchStrategy[Any]] = {
    "shape": st.one_of(st.none(), st.just(AnswerShape()), st.builds(AnswerShape, schemas)),
    "service_tier": st.sampled_from([None, "flex", "priority", "standard"]),
    "seed": st.none() | st.integers(-(1 << 31) + 1, (1 << 31) - 1),
}


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}{next(count)}"


def spelled(request: ChatRequest) -> ChatRequest:
    """Return a request as Gemini can say it: documents have no names, and what is linked has a type."""

    def of(part: Part) -> Part:
        if isinstance(part, Image | Document):
            if isinstance(part.source, Linked):
                source = Linked(part.source.url, guessed_type(part.source.url))
                part = msgspec.structs.replace(part, source=source)
            if isinstance(part, Document):
                part = msgspec.structs.replace(part, name=None)
        return part

    messages = [Message(message.role, tuple(of(part) for part in message.content)) for message in request.messages]
    return msgspec.structs.replace(request, messages=tuple(messages))


def again(request: ChatRequest) -> ChatRequest:
    body = TRANSLATOR.write_request(request, numbered())
    return TRANSLATOR.read_request(body, model=request.model, streamed=request.streamed)


def asked_for(request: ChatRequest, *, array: bool) -> Asked:
    return Asked(
        request=request,
        model=request.model,
        answer_id="abc",
        created_s=1_700_000_000,
        input_tokens_estimate=7,
        new_id=numbered(),
        array=array,
    )


@given(
    requests(TRANSLATOR.carries, origin="gemini", alternating=True, reasoning=budgets, replaced=members),
    st.none() | levels,
)
def test_what_it_carries_comes_back_as_it_was(request: ChatRequest, level: Reasoning | None) -> None:
    request = spelled(request)
    if level is not None:
        request = msgspec.structs.replace(request, model="gemini-3-flash-preview", reasoning=level)
    assert again(request) == request
    assert TRANSLATOR.read_request(
        write_count_request(request), model=request.model, streamed=False
    ) == msgspec.structs.replace(request, streamed=False, service_tier=None)


@given(
    requests(ALL, thinking=thoughts),
    st.sampled_from(["gemini-2.5-pro", "gemini-3-flash", "gemini-3-pro", "gemini-2.0-flash", "x"]),
)
def test_what_was_written_once_is_read_the_same_ever_after(request: ChatRequest, model: str) -> None:
    once = again(msgspec.structs.replace(request, model=model))
    assert again(once) == once
    body = json.loads(TRANSLATOR.write_request(once, numbered()))
    for content in body["contents"]:
        types.Content.model_validate(content)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))


cited = st.builds(lambda title: Citation("gemini", b"", "https://example.com", title), st.none() | texts)


@given(
    answers(
        TRANSLATOR.answers_carry,
        thinking=thoughts,
        citations=cited,
        reasons=("stop", "length", "content_filter", "error"),
        id_="abc",
    ),
    usages(),
    requests(frozenset()),
    st.booleans(),
)
def test_streams_and_answers_tell_the_same(answer: ChatAnswer, usage: Usage, request: ChatRequest, array: bool) -> None:
    asked = asked_for(request, array=array)
    whole = TRANSLATOR.write_answer(answer, usage, asked)
    types.GenerateContentResponse.model_validate_json(whole)
    assert without_raw(TRANSLATOR.read_answer(whole, numbered())) == answer

    stream = encode_all(TRANSLATOR.stream_encoder(asked), events_of(answer, usage))
    chunks = json.loads(stream) if array else [json.loads(data[6:]) for data in stream.split(b"\r\n\r\n") if data]
    for chunk in chunks:
        types.GenerateContentResponse.model_validate(chunk)
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = decoder.feed(stream)
    assert without_raw(answer_of([*events, *decoder.rest()])) == answer
    assert chunks[-1]["usageMetadata"] == json.loads(whole)["usageMetadata"]
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == (usage.input_tokens or 0) + (usage.output_tokens or 0)


def without_raw(answer: ChatAnswer) -> ChatAnswer:
    """Return an answer without what a citation was in its format, which is told in our words."""

    def of(part: Part) -> Part:
        if not isinstance(part, Text):
            return part
        bare = tuple(msgspec.structs.replace(citation, raw=b"") for citation in part.citations)
        return msgspec.structs.replace(part, citations=bare)

    return msgspec.structs.replace(
        answer,
        choices=tuple(
            msgspec.structs.replace(choice, content=tuple(of(part) for part in choice.content))
            for choice in answer.choices
        ),
    )


REQUESTS = (
    (
        b'{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"a"},{"inlineData":'
        b'{"mimeType":"image/png","data":"AA=="}},{"fileData":{"mimeType":"video/mp4","fileUri":"https://x"},'
        b'"videoMetadata":{"fps":1}}]},{"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":"AA=="},'
        b'{"functionCall":{"name":"f","args":{"x":[1,{"y":null}]}},"thoughtSignature":"BB=="}]},{"role":"user","parts":'
        b'[{"functionResponse":{"name":"f","response":{"output":"r"},"parts":[{"inlineData":{"mimeType":"image/png",'
        b'"data":""}}]}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":'
        b'{"x":{"type":"ARRAY","items":{"type":"STRING","nullable":true},"minItems":"1"}},"propertyOrdering":["x"]}}]},'
        b'{"googleSearch":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},'
        b'"generationConfig":{"temperature":1,"topK":2.0,"stopSequences":["x"],"responseMimeType":"application/json",'
        b'"responseSchema":{"type":"OBJECT"},"thinkingConfig":{"thinkingBudget":5,"includeThoughts":true}},"labels":{}}'
    ),
    b'{"contents":{"parts":{"text":"a"}},"system_instruction":"s","generation_config":{"max_output_tokens":1}}',
)
STREAM = (
    b'data: {"candidates":[{"content":{"parts":[{"text":"hm","thought":true}],"role":"model"},"index":0}],'
    b'"modelVersion":"m","responseId":"r"}\r\n\r\n'
    b'data: {"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b","thoughtSignature":"AA=="}]},"index":0,'
    b'"logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":-1}]}}]}\r\n\r\n'
    b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"x":1}}},{"executableCode":{}},'
    b'{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},"finishReason":"STOP","index":1}]}\r\n\r\n'
    b'data: {"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP","index":0,"groundingMetadata":'
    b'{"groundingChunks":[{"web":{"uri":"u"}}],"groundingSupports":[{"segment":{"endIndex":1,"text":"a"},'
    b'"groundingChunkIndices":[0]}]}}],"usageMetadata":{"promptTokenCount":1}}\r\n\r\n'
)
ARRAY = b"[%b]" % b",\r\n".join(part[6:] for part in STREAM.split(b"\r\n\r\n") if part)


def test_a_spoiled_request_is_read_or_refused() -> None:
    random = Random(8)
    for _ in range(CASES):
        body = spoiled(random, random.choice(REQUESTS))
        try:
            request = TRANSLATOR.read_request(body, model="gemini-3-pro", streamed=True)
            TRANSLATOR.read_request(body, model="m", streamed=False)
            once = again(request)
        except InvalidRequest:
            continue
        assert again(once) == once


def test_a_spoiled_stream_is_read_as_far_as_it_can_be_wherever_it_is_cut() -> None:
    random = Random(9)
    for _ in range(CASES):
        body = spoiled(random, random.choice((STREAM, ARRAY)))
        TRANSLATOR.read_answer(body, numbered())
        TRANSLATOR.read_answer(body.partition(b"\r\n\r\n")[0][6:], numbered())
        decoder = TRANSLATOR.stream_decoder(numbered())
        events = [event for piece in pieces_of(random, body) for event in decoder.feed(piece)]
        request = ChatRequest(origin="gemini", model="m", messages=())
        encoder = TRANSLATOR.stream_encoder(asked_for(request, array=True))
        told = encode_all(encoder, [*events, *decoder.rest()])
        told += encoder.error("code", "words")
        assert isinstance(json.loads(told, parse_int=str), list)  # there are numbers of 5,000 digits in them


def test_nesting_of_any_depth_is_read_or_refused() -> None:
    for depth in range(1, 1_100, 7):
        nested = b"[" * depth + b"]" * depth
        schema = b'{"items":' * depth + b"{}" + b"}" * depth
        body = (
            b'{"contents":{"parts":[{"functionCall":{"name":"f","args":{"a":%b}}},{"x":%b}]},"y":%b,"tools":'
            b'{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"a":%b}},{"name":"g","parameters":%b}]}}'
        ) % (nested, nested, nested, nested, schema)
        try:
            TRANSLATOR.write_request(TRANSLATOR.read_request(body, model="m", streamed=True), numbered())
        except InvalidRequest:
            pass
        part = b'{"functionCall":{"name":"f","args":{"a":\n%b}}},{"executableCode":{"a":\n%b}}' % (nested, nested)
        chunk = b'{"candidates":[{"content":{"parts":[%b]},"groundingMetadata":%b}]}' % (part, schema)
        TRANSLATOR.read_answer(chunk, numbered())
        TRANSLATOR.stream_decoder(numbered()).feed(b"data: %b\r\n\r\n" % chunk)

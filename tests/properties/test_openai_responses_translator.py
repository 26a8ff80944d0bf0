"""Requests, answers and streams of OpenAI's responses go there and back; nothing that anybody sends raises."""

import os
from random import Random

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from farthing.errors import InvalidRequest, ProviderMisbehaved
from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Citation,
    Document,
    Linked,
    Message,
    Part,
    Reasoning,
    Signature,
    Thinking,
)
from farthing.types.usage import Usage
from farthing.wire.openai_responses import ResponsesStreamMeter
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.features import Feature
from farthing.wire.translators.openai_responses import TRANSLATOR
from farthing.wire.translators.protocol import encode_all
from tests.properties.chat_strategies import answers, names, requests, texts, usages
from tests.properties.mutations import pieces_of, spoiled
from tests.unit.wire.translators.responses_checks import (
    USAGE,
    answered,
    asked_for,
    check_answer,
    check_stream,
    decoded,
    new_ids,
    stream_of,
)

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
EXAMPLES = settings(max_examples=round(150 * SCALE), deadline=None)
CASES = round(400 * SCALE)
"""Spoiled bodies and streams, each; 400 take under a second."""

seals = st.builds(Signature, st.just("openai_responses"), names)
item_ids = names.map(lambda name: f"rs_{name}")
thoughts = st.one_of(
    st.builds(Thinking, texts, seals, id=item_ids),
    st.builds(Thinking, st.just(""), seals, st.just(value=True), item_ids),
)
citations = names.map(
    lambda name: Citation(
        "openai_responses",
        msgspec.json.encode(
            {"type": "url_citation", "start_index": 0, "end_index": 1, "title": name, "url": f"https://{name}/"}
        ),
        f"https://{name}/",
        name,
        0,
        1,
    )
)
reasonings = st.none() | st.sampled_from(
    [Reasoning(effort="low"), Reasoning(effort="none"), Reasoning(effort="max", shown=True, summary="detailed")]
)
chats = requests(
    TRANSLATOR.carries,
    origin="openai_responses",
    together=True,
    thinking=thoughts,
    reasoning=reasonings,
    replaced={
        "max_output_tokens": st.none() | st.integers(16, 5_000),
        "service_tier": st.sampled_from([None, "flex"]),
        "store": st.booleans(),
        "metadata": st.sampled_from([None, b'{"team":"blue"}']),
    },
)
told = answers(
    TRANSLATOR.answers_carry,
    thinking=thoughts,
    citations=citations,
    reasons=("stop", "length", "content_filter"),
    id_="resp_abc123",
)


def canonical(request: ChatRequest) -> ChatRequest:
    """Return a request as this format spells it: neighbours of an assistant are one turn, thoughts have no ids."""
    messages: list[Message] = []
    for message in request.messages:
        if messages and messages[-1].role == message.role and message.role in ("assistant", "tool"):
            messages[-1] = Message(message.role, (*messages[-1].content, *map(_part, message.content)))
        else:
            messages.append(Message(message.role, tuple(_part(part) for part in message.content)))
    tools = tuple(msgspec.structs.replace(tool, strict=tool.strict or None) for tool in request.tools)
    return msgspec.structs.replace(request, messages=tuple(messages), tools=tools, seals_asked=False)


def _part(part: Part) -> Part:
    if isinstance(part, Document) and isinstance(part.source, Linked):
        return msgspec.structs.replace(part, name=None)
    return msgspec.structs.replace(part, id=None) if isinstance(part, Thinking) else part


def again(request: ChatRequest) -> ChatRequest:
    body = TRANSLATOR.write_request(request, new_ids())
    return TRANSLATOR.read_request(body, model=request.model, streamed=request.streamed)


@given(chats)
@EXAMPLES
def test_what_a_request_carries_comes_back(request: ChatRequest) -> None:
    request = canonical(request)
    assert msgspec.structs.replace(again(request), seals_asked=False) == request


@given(requests(frozenset(Feature), together=False, thinking=thoughts))
@EXAMPLES
def test_whatever_is_asked_for_is_stable_once_it_was_written(request: ChatRequest) -> None:
    once = again(request)
    assert again(once) == once
    assert TRANSLATOR.write_request(once, new_ids()) == TRANSLATOR.write_request(again(once), new_ids())


@given(told)
@EXAMPLES
def test_an_answer_comes_back_and_holds_against_the_official_types(answer: ChatAnswer) -> None:
    asked = asked_for()
    body = TRANSLATOR.write_answer(answer, USAGE, asked)
    check_answer(body)
    read = TRANSLATOR.read_answer(body, new_ids())
    assert read == msgspec.structs.replace(answer, created_s=asked.created_s)


@given(told, usages())
@EXAMPLES
def test_a_stream_tells_what_the_whole_answer_tells(answer: ChatAnswer, usage: Usage) -> None:
    stream = stream_of(answer, usage=usage)
    assert answered(stream) == answer
    meter = ResponsesStreamMeter(lambda _: None)
    meter.feed(stream)
    assert meter.reading().usage == usage
    assert meter.reading().finished


@given(told)
@settings(max_examples=round(40 * SCALE), deadline=None)
def test_every_event_holds_against_the_official_types_and_the_sdk_builds_the_answer(answer: ChatAnswer) -> None:
    stream = stream_of(answer)
    choice = answer.choices[0]
    if choice.finish_reason in ("length", "content_filter"):
        with pytest.raises(RuntimeError, match=r"response\.completed"):
            check_stream(stream)  # the SDK has no final response of an incomplete one
        return
    body = TRANSLATOR.write_answer(answer, USAGE, asked_for())
    built, whole = check_stream(stream), check_answer(body)
    assert built.output_text == whole.output_text
    assert [item.type for item in built.output] == [item.type for item in whole.output]


@given(told, st.integers(0, 1 << 32))
@EXAMPLES
def test_where_a_stream_is_cut_changes_nothing(answer: ChatAnswer, seed: int) -> None:
    stream = stream_of(answer)
    decoder = TRANSLATOR.stream_decoder(new_ids())
    events = [event for piece in pieces_of(Random(seed), stream) for event in decoder.feed(piece)]
    assert answer_of([*events, *decoder.rest()]) == answer


@given(told)
@EXAMPLES
def test_an_encoder_fed_with_what_its_stream_was_decoded_to_writes_it_again(answer: ChatAnswer) -> None:
    stream = stream_of(answer)
    encoder = TRANSLATOR.stream_encoder(asked_for())
    written = encode_all(encoder, decoded(stream))
    closing = encode_all(encoder, [event for event in events_of(answer, USAGE) if type(event).__name__ == "Closed"])
    assert answered(written + closing) == answer


@given(chats, told)
@settings(max_examples=4, deadline=None)
def test_nothing_that_anybody_sends_raises(request: ChatRequest, answer: ChatAnswer) -> None:
    body = TRANSLATOR.write_request(request, new_ids())
    whole = TRANSLATOR.write_answer(answer, USAGE, asked_for())
    stream = stream_of(answer)
    for case in range(CASES // 4):
        random = Random(case)
        try:
            again(TRANSLATOR.read_request(spoiled(random, body), model="m", streamed=True))
        except InvalidRequest as error:
            assert error.message  # noqa: PT017 - most are refused, and all that are say why
        check_lenient(random, spoiled(random, whole), spoiled(random, stream))


def check_lenient(random: Random, whole: bytes, stream: bytes) -> None:
    read = TRANSLATOR.read_answer(whole, new_ids())
    TRANSLATOR.write_answer(read, None, asked_for())
    decoder = TRANSLATOR.stream_decoder(new_ids())
    encoder = TRANSLATOR.stream_encoder(asked_for())
    try:
        for piece in pieces_of(random, stream):
            encode_all(encoder, decoder.feed(piece))
        encode_all(encoder, decoder.rest())
    except ProviderMisbehaved:
        pass
    encoder.error("provider_cut", "the stream was cut")

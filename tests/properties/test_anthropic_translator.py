"""What Anthropic's format carries it gives back; what it is given, however spoiled, it reads, refuses or leaves out."""

import json
import os
from pathlib import Path
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from farthing.errors import InvalidRequest, ProviderMisbehaved
from farthing.types.chat import (
    AnswerShape,
    ChatAnswer,
    ChatRequest,
    Choice,
    Citation,
    Message,
    Reasoning,
    Signature,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire import anthropic_messages as meter
from farthing.wire.translators.anthropic_messages import TRANSLATOR
from farthing.wire.translators.anthropic_messages.answers import counts
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.protocol import Asked, encode_all
from tests.e2e.recordings.exchanges import load
from tests.properties.chat_strategies import answers, requests, schemas, texts, usages
from tests.properties.mutations import pieces_of, spoiled

OWN: WireFormat = "anthropic_messages"
SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
CASES = round(300 * SCALE)
"""300 take about a second."""
EXAMPLES = settings(max_examples=round(100 * SCALE), deadline=None)
RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
ASKED = Asked(
    request=ChatRequest(origin=OWN, model="m", messages=(Message("user", (Text("Hello."),)),)),
    model="some-model",
    answer_id="0123",
    created_s=1,
    input_tokens_estimate=17,
    new_id=lambda prefix: f"{prefix}new",
)
signatures = st.from_regex(r"E[a-zA-Z0-9]{4,12}", fullmatch=True).map(lambda value: Signature(OWN, value))
thinking = st.one_of(
    st.builds(Thinking, texts, signatures), st.builds(Thinking, st.just(""), signatures, redacted=st.just(value=True))
)
citations = texts.map(
    lambda said: Citation(
        OWN,
        json.dumps({"type": "char_location", "cited_text": said}, ensure_ascii=False, separators=(",", ":")).encode(),
    )
)
reasonings = st.one_of(
    st.none(),
    st.builds(Reasoning, budget_tokens=st.integers(1_024, 8_000), shown=st.none() | st.booleans()),
    st.just(Reasoning(off=True)),
    st.builds(Reasoning, effort=st.sampled_from(["low", "xhigh", None]), adaptive=st.just(value=True)),
)
# Anthropic wants a limit always, holds to every schema, and has its own word for a few things.
narrowed = {
    "max_output_tokens": st.integers(9_000, 50_000),
    "shape": st.none() | schemas.map(lambda schema: AnswerShape(schema, strict=True)),
    "service_tier": st.sampled_from([None, "auto", "default"]),
}


def _fitted(asked: ChatRequest) -> ChatRequest:
    """Return a request that says only what the format can: see the two conditions."""
    choice, reasoning = asked.tool_choice, asked.reasoning
    if choice is None or choice.mode == "none":
        asked = replace(asked, parallel_tool_calls=None)  # which stands beside the choice
    answered = [message for message in asked.messages if message.role == "assistant"]
    if reasoning is not None and reasoning.budget_tokens is not None and answered:
        began = answered[-1].content[0]
        if not isinstance(began, Thinking):
            asked = replace(asked, reasoning=None)  # a loop of tools cannot begin to think in the middle
    return asked


settled = requests(
    TRANSLATOR.carries - {Feature.CACHE_MARKS},  # of which only four may be; the unit tests have them
    origin=OWN,
    alternating=True,
    first_user=True,
    thinking=thinking,
    reasoning=reasonings,
    replaced=narrowed,
).map(_fitted)
any_request = requests(frozenset(Feature), thinking=thinking | st.builds(Thinking, texts))
any_answer = answers(
    TRANSLATOR.answers_carry,
    thinking=thinking,
    citations=citations,
    reasons=("stop", "length", "pause"),
    id_="msg_0123",
    stop_sequence=True,
)


def written(asked: ChatRequest) -> bytes:
    return TRANSLATOR.write_request(asked, ASKED.new_id)


def read(body: bytes, asked: ChatRequest) -> ChatRequest:
    return TRANSLATOR.read_request(body, model=asked.model, streamed=asked.streamed)


@EXAMPLES
@given(settled)
def test_a_request_of_what_it_carries_comes_back_as_it_was(asked: ChatRequest) -> None:
    assert read(written(asked), asked) == asked
    left_out: list[Used] = []
    TRANSLATOR.write_request(asked, ASKED.new_id, left_out)
    assert left_out == []


@EXAMPLES
@given(
    any_request, st.sampled_from(["claude-3-haiku", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5", "kimi"])
)
def test_what_any_request_becomes_stays_as_it_is(asked: ChatRequest, model: str) -> None:
    once = written(replace(asked, model=model))
    again = TRANSLATOR.read_request(once, model=model, streamed=asked.streamed)
    assert written(again) == once


@EXAMPLES
@given(any_answer, usages())
def test_an_answer_comes_back_as_it_was(told: ChatAnswer, usage: Usage) -> None:
    body = TRANSLATOR.write_answer(told, usage, ASKED)
    assert TRANSLATOR.read_answer(body, ASKED.new_id) == told


@EXAMPLES
@given(any_answer, usages(), st.integers(0, 1 << 30))
def test_a_stream_tells_what_the_answer_tells_wherever_it_is_cut(told: ChatAnswer, usage: Usage, seed: int) -> None:
    events = encode_all(TRANSLATOR.stream_encoder(ASKED), events_of(told, usage))
    decoder = TRANSLATOR.stream_decoder(ASKED.new_id)
    found = [event for piece in pieces_of(Random(seed), events) for event in decoder.feed(piece)]
    assert answer_of([*found, *decoder.rest()]) == told


@EXAMPLES
@given(usages())
def test_our_own_meter_reads_the_usage_that_we_write(usage: Usage) -> None:
    assert meter.read_usage(counts(usage, ASKED)) == usage


@EXAMPLES
@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4))
def test_a_longer_conversation_begins_with_the_bytes_of_the_shorter(words: list[str], more: list[str]) -> None:
    said = [*words, *more]
    turns = [Message("user" if at % 2 == 0 else "assistant", (Text(word),)) for at, word in enumerate(said)]

    def first(count: int) -> bytes:
        return written(ChatRequest(origin="openai_chat", model="m", messages=tuple(turns[:count])))

    shorter = len(words) - 1 if len(words) % 2 == 0 else len(words)  # as long as the user spoke last
    assert first(len(said)).startswith(first(shorter).removesuffix(b"]}"))


BODY = json.dumps(
    {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "tools": [
            {"name": "look", "input_schema": {"type": "object"}, "strict": True},
            {"type": "bash_1", "name": "bash"},
        ],
        "tool_choice": {"type": "tool", "name": "look"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["END"],
        "messages": [
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "s"},
                    {"type": "text", "text": "x", "citations": [{"type": "char_location"}]},
                    {"type": "tool_use", "id": "a", "name": "look", "input": {"a": [1]}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "r"}]}],
            },
        ],
    }
).encode()
TOLD = ChatAnswer(
    id="msg_1",
    model="m",
    choices=(
        Choice((Thinking("Hm.", Signature(OWN, "EqQB")), Text("So."), ToolCall("a", "look", '{"a":1}')), "tool_calls"),
    ),
)


def check_request(body: bytes) -> None:
    """Read a client's request, whatever it is: it is refused by name, or what comes of it can be written."""
    try:
        asked = TRANSLATOR.read_request(body, model="claude-sonnet-4-5", streamed=False)
    except InvalidRequest as refused:
        assert refused.message  # noqa: PT017 - either end is right
        return
    once = written(asked)
    again = TRANSLATOR.read_request(once, model="claude-sonnet-4-5", streamed=False)
    assert written(again) == once


def check_answer(random: Random, body: bytes) -> None:
    """Read a provider's answer, whatever it is, whole and as a stream."""
    found = TRANSLATOR.read_answer(body, ASKED.new_id)
    TRANSLATOR.write_answer(found, None, ASKED)
    decoder = TRANSLATOR.stream_decoder(ASKED.new_id)
    try:
        events = [event for piece in pieces_of(random, body) for event in decoder.feed(piece)]
        events += decoder.rest()
    except ProviderMisbehaved:
        return
    encode_all(TRANSLATOR.stream_encoder(ASKED), events)


def test_no_spoiled_request_breaks_the_reader() -> None:
    for case in range(CASES):
        check_request(spoiled(Random(f"request {case}"), BODY))


def test_no_spoiled_answer_breaks_the_readers() -> None:
    for case in range(CASES):
        random = Random(f"answer {case}")
        check_answer(random, spoiled(random, encode_all(TRANSLATOR.stream_encoder(ASKED), events_of(TOLD, None))))
        check_answer(random, spoiled(random, TRANSLATOR.write_answer(TOLD, None, ASKED)))


@pytest.mark.recordings
@pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder")
def test_no_spoiled_recording_breaks_the_readers() -> None:
    found = [one for one in load(Path(RECORDINGS)) if one.asked is not None and one.asked.wire == OWN]
    small = [one for one in found if len(one.recorded) < 20_000]
    assert len(small) > 100
    for case in range(CASES):
        random = Random(f"recording {case}")
        one = random.choice(small)
        check_answer(random, spoiled(random, one.recorded))
        check_request(spoiled(random, json.dumps(one.body).encode()))

"""What was seen while all recordings were played, and what a client of another format sees of it.

See `test_facts.py`, which has those of the list that have numbers.
"""

import os

import pytest

from farthing.gateway.formats import FORMATS
from farthing.providers.registry import known_providers
from farthing.types.usage import UsageHabits
from farthing.wire.translators.registry import translator
from tests.e2e.translated.crossing import (
    answer_to,
    asked_by,
    chats,
    in_stream,
    objects_in,
    on_face,
    parts_of,
    reading_of,
    recorded,
    request_of,
    streamed_on_face,
    usage_of,
    wire_of,
)

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]
AZURE = "grok-4-1-fast-non-reasoning"
HEARD = (
    "mistral/chat.completions-sync-voxtral-small-latest-voxtral-small-latest-gensyncmultimodal-audio-ogg-inline-6ba06"
)


def test_fact_more_cache_classes_need_not_fit_into_the_input() -> None:
    grok = recorded(
        f"azure/chat.completions-sync-{AZURE}-chat-basic-chat-functionality-azure-grok-4-1-fast-non-reason-5f4bd"
    )
    usage = usage_of(grok)
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (7, 163)
    assert "cache_exceeds_input" in usage.flags
    assert on_face("anthropic_messages", grok)["usage"]["input_tokens"] == 0

    twice = b'{"choices":[],"usage":{"prompt_tokens":2200,"completion_tokens":1,"total_tokens":2201,'
    twice += b'"prompt_tokens_details":{"cached_tokens":2161,"cache_write_tokens":2161}}}'
    read = FORMATS["openai_chat"].read_answer(twice, lambda _: None, UsageHabits()).usage
    assert read is not None
    assert "cache_classes_overlap" in read.flags


def test_fact_more_gemini_streams_one_json_array_to_who_did_not_ask_for_events() -> None:
    arrays = [exchange for exchange in chats(RECORDINGS) if exchange.recorded.lstrip().startswith(b"[")]
    assert len(arrays) >= 10
    for exchange in arrays:
        answer, live = answer_to(exchange)
        assert live, exchange.slug
        assert answer.choices[0].content, exchange.slug
        for face in ("openai_chat", "anthropic_messages"):
            assert in_stream(translator(face), live, asked_by(face)).choices, exchange.slug
        assert usage_of(exchange).known, exchange.slug


def test_fact_more_llamacpp_is_asked_without_a_model() -> None:
    nameless = [
        exchange for exchange in chats(RECORDINGS) if exchange.provider == "llamacpp" and "model" not in exchange.body
    ]
    assert len(nameless) >= 25
    for exchange in nameless:
        if exchange.status == 200:
            assert request_of(exchange).model == "the-only-model"


def test_fact_more_a_missing_done_is_no_cut() -> None:
    without = [
        exchange
        for exchange in chats(RECORDINGS)
        if wire_of(exchange) == "openai_chat"
        and exchange.kind == "sse"
        and exchange.status == 200
        and b"[DONE]" not in exchange.recorded
        and exchange.recorded
    ]
    assert len(without) >= 20
    ended = 0
    for exchange in without:
        told, meter = streamed_on_face("anthropic_messages", exchange)
        if meter.reading().finished and not meter.failed:
            ended += 1
            assert told.endswith(b'data: {"type":"message_stop"}\n\n'), exchange.slug
        else:
            assert meter.failed or b"message_stop" not in told, exchange.slug
    assert ended >= 14


def test_fact_more_usage_that_nobody_asked_for_and_none_at_all() -> None:
    unasked = [
        exchange
        for exchange in chats(RECORDINGS)
        if exchange.provider in ("together", "xiaomi")
        and exchange.kind == "sse"
        and exchange.status == 200
        and b'"choices":[]' in exchange.recorded
    ]
    assert len(unasked) >= 15
    for exchange in unasked:
        told, _ = streamed_on_face("ollama", exchange)
        assert objects_in(told)[-1]["eval_count"] == usage_of(exchange).output_tokens, exchange.slug
    silent = [
        exchange
        for exchange in chats(RECORDINGS)
        if exchange.status == 200 and exchange.kind == "json" and not exchange.usage and parts_of(exchange)
    ]
    assert len(silent) >= 3
    for exchange in silent:
        assert on_face("anthropic_messages", exchange)["usage"]["input_tokens"] == 990, exchange.slug  # our estimate


def test_fact_more_events_say_that_they_are_json() -> None:
    lying = [
        exchange
        for exchange in chats(RECORDINGS)
        if exchange.kind == "sse" and "json" in exchange.answer["headers"].get("content-type", "")
    ]
    assert len(lying) == 3
    for exchange in lying:
        told, meter = streamed_on_face("anthropic_messages", exchange)
        assert meter.reading().finished, exchange.slug
        assert b"message_stop" in told, exchange.slug


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        (
            HEARD,
            {"input_tokens": 391, "output_tokens": 2},
        ),
        (
            "cerebras/chat.completions-sync-gpt-oss-120b-gpt-oss-120b-thinking-gensync-jsonschema-0353d",
            {"input_tokens": 225 - 128, "cache_read_input_tokens": 128, "output_tokens": 47},
        ),
    ],
)
def test_fact_more_tokens_that_hide_are_told(slug: str, expected: dict[str, int]) -> None:
    told = on_face("anthropic_messages", recorded(slug))["usage"]
    assert {name: told[name] for name in expected} == expected


def test_fact_more_thinking_hides_in_the_total_of_geminis_compatible_address() -> None:
    exchange = recorded(
        "gemini/chat.completions-sync-gemini-2.5-pro-preview-05-06-test-compatible-api-with-tool-calls-without-id-00-9c359"
    )
    habits = known_providers()["gemini-openai"].habits
    usage = FORMATS["openai_chat"].read_answer(exchange.recorded, lambda _: None, habits).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (35, 109 - 35, 109 - 35 - 12)


def test_fact_more_perplexitys_fee_for_a_request_is_kept_beside_our_cost() -> None:
    exchange = recorded(
        "perplexity/chat.completions-stream-sonar-chat-streaming-responses-perplexity-sonar-supports-streaming-"
        "responses-a31fe"
    )
    assert reading_of(exchange).reported_cost_nanousd == 5_010_000

"""What providers really do, fact by fact, and what a client of another format sees of it.

Each has cost somebody money or a client. The number is that of the list that was made of the recordings; the exchange
that showed it stands in its test. Here are the facts of cost; those of framing and translation are in
`test_facts_of_form.py`, and what was seen while all recordings were played is in `test_more_facts.py`.
"""

import collections
import os
from typing import Any

import pytest

from farthing.gateway.formats import FORMATS
from farthing.providers.registry import known_providers
from farthing.types.usage import UsageHabits
from tests.e2e.recordings.exchanges import Exchange
from tests.e2e.translated.crossing import (
    answer_to,
    chats,
    objects_in,
    on_face,
    reading_of,
    recorded,
    streamed_on_face,
    usage_of,
    wire_of,
)

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]
CENT = 10_000_000
"""In nanodollars."""


def last_usage(exchange: Exchange, face: Any = "openai_chat") -> dict[str, Any]:
    """Return the usage that a client of a face is told at the end of a stream."""
    told, _ = streamed_on_face(face, exchange)
    name = "usageMetadata" if face == "gemini" else "usage"
    found = [event[name] for event in objects_in(told) if event.get(name)]
    assert found, told[-300:]
    return dict(found[-1])


def test_fact_01_xai_leaves_reasoning_out_of_its_count() -> None:
    exchange = recorded("xai/chat.completions-sync-grok-code-fast-1-complex-object-36b39")
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (496, 77 + 256, 256)
    assert reading_of(exchange).reported_cost_nanousd == 541_100
    assert on_face("anthropic_messages", exchange)["usage"]["output_tokens"] == 333
    counted = on_face("gemini", exchange)["usageMetadata"]
    assert (counted["candidatesTokenCount"], counted["thoughtsTokenCount"]) == (77, 256)
    assert counted["totalTokenCount"] == 829


def test_fact_02_reasoning_is_inside_the_count_for_some_and_outside_for_others() -> None:
    inside = {"openai", "deepseek", "groq", "cerebras", "alibaba", "baseten", "zai"}
    counts: collections.Counter[str] = collections.Counter()
    for exchange in chats(RECORDINGS):
        said = exchange.usage or {}
        details = said.get("completion_tokens_details")
        reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
        if reasoning and wire_of(exchange) == "openai_chat" and exchange.provider in {*inside, "xai"}:
            outside = 0 if exchange.provider in inside else reasoning
            assert usage_of(exchange).output_tokens == said["completion_tokens"] + outside, exchange.slug
            counts[exchange.provider] += 1
    assert set(counts) == {*inside, "xai"}
    assert counts.total() >= 170

    exchange = recorded("vercel-gateway/chat.completions-sync-gemini-3-pro-preview-simple-3c8ab")
    assert usage_of(exchange).output_tokens == 52 + 232
    assert on_face("ollama", exchange)["eval_count"] == 284


def test_fact_03_together_counts_more_reasoning_than_output() -> None:
    exchange = recorded(
        "together/chat.completions-stream-deepseek-v4-pro-deepseek-v4-pro-thinking-genstream-maxtokens-d00ef"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.output_tokens) == (92, 16)
    assert usage.reasoning_output_tokens <= 16
    assert "reasoning_exceeds_output" in usage.flags
    counted = last_usage(exchange, "gemini")
    assert counted.get("candidatesTokenCount", 0) + counted["thoughtsTokenCount"] == 16


def test_fact_04_gemini_counts_thoughts_and_the_use_of_tools_beside_everything_else() -> None:
    exchange = recorded(
        "gemini/generatecontent-sync-gemini-2.5-flash-test-google-adk-instrumentor-code-execution-token-counts-782f4"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (75 + 573, 414 + 117, 117)
    told = on_face("openai_responses", exchange)["usage"]
    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (648, 531, 1_179)
    assert told["output_tokens_details"]["reasoning_tokens"] == 117


def test_fact_05_gemini_leaves_out_what_is_zero_and_the_parts_of_an_answer_that_has_none() -> None:
    exchange = recorded(
        "gemini/generatecontent-sync-gemini-2.5-pro-test-google-model-max-tokens-thinking-model-empty-response-ab849"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (15, 2, 2)
    (choice,) = on_face("openai_chat", exchange)["choices"]
    assert (choice["message"]["content"] or "", choice["finish_reason"]) == ("", "length")
    message = on_face("anthropic_messages", exchange)
    assert (message["content"], message["stop_reason"], message["usage"]["output_tokens"]) == ([], "max_tokens", 2)


def test_fact_06_anthropic_counts_its_cache_beside_the_input_and_openai_inside() -> None:
    exchange = recorded(
        "anthropic/messages-sync-claude-sonnet-4-20250514-anthropic-completion-cache-write-1h-ttl-e1b3d"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.cache_creation_1h_input_tokens, usage.output_tokens) == (17 + 2_056, 2_056, 100)
    assert on_face("openai_chat", exchange)["usage"]["prompt_tokens"] == 2_073
    again = on_face("anthropic_messages", exchange)["usage"]
    assert (again["input_tokens"], again["cache_creation"]["ephemeral_1h_input_tokens"]) == (17, 2_056)


def test_fact_07_an_anthropic_stream_says_one_half_of_its_usage_at_the_beginning_and_one_at_the_end() -> None:
    exchange = recorded(
        "anthropic/messages-stream-claude-sonnet-4-20250514-anthropic-completion-stream-cache-read-b60e9"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (11 + 1_031, 1_031, 100)
    told = last_usage(exchange)
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (1_042, 100, 1_142)
    assert told["prompt_tokens_details"]["cached_tokens"] == 1_031


def test_fact_08_the_end_of_an_anthropic_stream_corrects_the_input_and_keeps_lifetimes_from_the_beginning() -> None:
    exchange = recorded(
        "anthropic/messages-stream-claude-opus-5-claude-opus-5-thinking-genstream-tools-websearch-6574a"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.output_tokens, usage.web_search_requests) == (12_177, 84, 1)
    assert last_usage(exchange, "gemini")["promptTokenCount"] == 12_177

    stream = (
        b'data: {"type":"message_start","message":{"usage":{"input_tokens":3,"cache_creation_input_tokens":9,'
        b'"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":9},"output_tokens":1}}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"input_tokens":4,"cache_creation_input_tokens":9,"output_tokens":7}}\n\n'
        b'data: {"type":"message_stop"}\n\n'
    )
    meter = FORMATS["anthropic_messages"].stream_meter(lambda _: None, UsageHabits(), strip_usage=False)
    meter.feed(stream)
    found = meter.reading().usage
    assert found is not None
    assert (found.input_tokens, found.cache_creation_1h_input_tokens, found.output_tokens) == (13, 9, 7)


def test_fact_09_openrouter_counts_cache_writes_inside_the_prompt_and_says_what_it_cost() -> None:
    exchange = recorded(
        "openrouter/chat.completions-sync-claude-sonnet-4.6-test-openrouter-cache-all-settings-real-api-00-a0159"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.cache_creation_input_tokens) == (2_572, 2_569)
    assert reading_of(exchange).reported_cost_nanousd == 10_587_750
    told = on_face("anthropic_messages", exchange)["usage"]
    assert (told["input_tokens"], told["cache_creation_input_tokens"]) == (3, 2_569)


def test_fact_10_deepseek_splits_its_prompt_into_hits_and_misses() -> None:
    exchange = recorded(
        "deepseek/chat.completions-sync-deepseek-chat-chat-function-calling-deepseek-deepseek-chat-can-use-parallel-"
        "tool-calls-01-1ac16"
    )
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (547, 384)
    told = on_face("anthropic_messages", exchange)["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"]) == (163, 384)


def test_fact_11_cumulative_usage_is_taken_once_and_the_fee_for_a_request_at_the_end() -> None:
    exchange = recorded("perplexity/chat.completions-stream-sonar-pro-sonar-pro-genstream-jsonschema-2ff0b")
    assert len(exchange.usage_events) > 1
    usage = usage_of(exchange)
    assert (usage.input_tokens, usage.output_tokens) == (17, 7)
    assert reading_of(exchange).reported_cost_nanousd == 6 * CENT // 10
    told, _ = streamed_on_face("anthropic_messages", exchange)
    events = objects_in(told)
    texts = [event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta"]
    assert "".join(texts) == '{"is_fruit": true}'  # and not once more, although the message is repeated with each piece
    assert next(event for event in events if event["type"] == "message_delta")["usage"]["output_tokens"] == 7

    baseten = [exchange for exchange in chats(RECORDINGS) if exchange.provider == "baseten" and exchange.kind == "sse"]
    several = [exchange for exchange in baseten if len(exchange.usage_events) > 2 and exchange.usage]
    assert len(several) >= 10
    for exchange in several:
        assert exchange.usage is not None
        assert usage_of(exchange).output_tokens == exchange.usage["completion_tokens"], exchange.slug


@pytest.mark.parametrize(
    ("slug", "counted"),
    [
        ("openrouter/chat.completions-stream-claude-haiku-4.5-simple-streaming-d5ab0", (16, 18)),  # with a choice
        ("groq/chat.completions-stream-llama3-8b-8192-groq-llama3-8b-8192-streamed-chat-ac379", (12, 24)),  # in x_groq
    ],
)
def test_fact_12_usage_of_a_stream_sits_elsewhere_with_everybody(slug: str, counted: tuple[int, int]) -> None:
    usage = usage_of(recorded(slug))
    assert (usage.input_tokens, usage.output_tokens) == counted
    told = last_usage(recorded(slug), "gemini")
    assert (told["promptTokenCount"], told["candidatesTokenCount"]) == counted


@pytest.mark.parametrize(
    "provider",
    ["openai", "azure", "xai", "together", "openrouter", "deepseek", "mistral", "cerebras", "groq", "zai"],
)
def test_fact_12_usage_of_a_stream_is_found_wherever_a_provider_puts_it(provider: str) -> None:
    streams = [
        exchange
        for exchange in chats(RECORDINGS)
        if exchange.provider == provider and exchange.kind == "sse" and exchange.usage and exchange.status == 200
    ]
    assert streams
    for exchange in streams:
        assert exchange.usage is not None
        read = exchange.usage.get("prompt_tokens", exchange.usage.get("input_tokens"))
        usage = usage_of(exchange)
        assert read in (usage.input_tokens, (usage.input_tokens or 0) - usage.input_audio_tokens), exchange.slug


def test_fact_12_llamacpp_tells_usage_only_when_asked() -> None:
    streams = [exchange for exchange in chats(RECORDINGS) if exchange.provider == "llamacpp" and exchange.kind == "sse"]
    assert {reading_of(exchange).usage for exchange in streams if exchange.status == 200} == {None}
    assert known_providers()["llamacpp"].stream_usage == "ask"


def test_fact_13_openai_streams_tell_usage_only_when_asked_and_several_answers_come_interleaved() -> None:
    exchange = recorded(
        "openai/chat.completions-stream-gpt-3.5-turbo-completion-stream-multiple-choices-exclude-usage-eceba"
    )
    assert reading_of(exchange).usage is None
    answer, _ = answer_to(exchange)
    told, _ = streamed_on_face("gemini", exchange)
    texts: dict[int, str] = collections.defaultdict(str)
    for event in objects_in(told):
        for candidate in event.get("candidates", ()):
            texts[candidate.get("index", 0)] += "".join(part["text"] for part in candidate["content"]["parts"])
    assert texts == {choice.index: "".join(part.text for part in choice.content) for choice in answer.choices}  # type: ignore[union-attr]
    assert len(texts) == 2


def test_fact_13_usage_that_only_we_asked_for_is_kept_from_the_client() -> None:
    asked = [
        exchange
        for exchange in chats(RECORDINGS)
        if exchange.provider == "openai"
        and b'"usage":null' in exchange.recorded
        and exchange.usage
        and wire_of(exchange) == "openai_chat"
    ]
    assert len(asked) >= 40
    for exchange in asked:
        meter = FORMATS["openai_chat"].stream_meter(lambda _: None, UsageHabits(), strip_usage=True)
        got = meter.feed(exchange.recorded) + meter.rest()
        assert not [event for event in objects_in(got) if event.get("choices") == []], exchange.slug
        assert meter.reading().usage == usage_of(exchange)


@pytest.mark.parametrize("face", ["anthropic_messages", "gemini", "openai_responses", "ollama"])
def test_fact_14_a_stream_that_was_left_tells_neither_usage_nor_an_end(face: Any) -> None:
    nothing = recorded("openai/chat.completions-stream-gpt-4o-mini-test-litellm-async-streaming-with-break-01-caf47")
    assert nothing.recorded == b""
    told, meter = streamed_on_face(face, nothing)
    assert (told, meter.reading().finished) == (b"", False)

    whole = recorded("openrouter/chat.completions-stream-claude-haiku-4.5-simple-streaming-d5ab0")
    told, meter = streamed_on_face(face, whole, whole.recorded[: whole.recorded.find(b'"usage"') // 2])
    assert (meter.reading().usage, meter.reading().finished, meter.terminal) == (None, False, False)
    for end in (b"message_stop", b"response.completed", b"[DONE]", b'"done":true', b'finishReason":"'):
        assert end not in told
    assert b"provider_cut" in (error := meter.error_event("provider_cut", "it broke off")) or b"it broke off" in error


def test_fact_15_the_model_that_answers_is_not_the_one_that_was_asked() -> None:
    exchange = recorded("openrouter/chat.completions-stream-auto-test-agent-streaming-b7d8f")
    assert reading_of(exchange).model_served == "mistralai/mistral-nemo"
    told, _ = streamed_on_face("gemini", exchange)
    assert objects_in(told)[0]["modelVersion"] == "mistralai/mistral-nemo"

    renamed = [exchange for exchange in chats(RECORDINGS) if exchange.model in ("deepseek-chat", "deepseek-reasoner")]
    served = {reading_of(exchange).model_served for exchange in renamed if exchange.status == 200}
    assert "deepseek-v4-flash" in served

"""Every recorded exchange of Ollama's own paths through its translator, and what a reader finds in some of them."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import ollama
import pytest

from farthing.types.chat import (
    AnswerShape,
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
from farthing.wire.translators.features import lost, used_by
from farthing.wire.translators.ollama import TRANSLATOR, read_generate
from farthing.wire.translators.protocol import Asked, NewId, encode_all
from tests.e2e.recordings.exchanges import Exchange, load

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

LEAST_PLAYED = 83
"""Requests of /api/chat and /api/generate among the recordings; fewer means that the test quietly lost some."""


@pytest.fixture(scope="module")
def exchanges() -> dict[str, Exchange]:
    found = [exchange for exchange in load(Path(RECORDINGS)) if exchange.provider == "ollama"]
    return {
        exchange.slug.removeprefix("ollama/"): exchange
        for exchange in found
        if exchange.asked is not None and exchange.asked.operation in ("ollama_chat", "ollama_generate")
    }


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}{next(count)}"


def is_generate(exchange: Exchange) -> bool:
    return exchange.asked is not None and exchange.asked.operation == "ollama_generate"


def request_of(exchange: Exchange) -> ChatRequest:
    read = read_generate if is_generate(exchange) else TRANSLATOR.read_request
    streamed = exchange.body.get("stream") is not False
    return read(json.dumps(exchange.body).encode(), model=exchange.model or "", streamed=streamed)


def answer_to(exchange: Exchange) -> ChatAnswer:
    return TRANSLATOR.read_answer(exchange.recorded, numbered())


def plainly(exchange: Exchange) -> tuple[str, str, list[Any]]:
    """Return the thinking, the text and the calls of an answer, read without any of our code."""
    thinking, text, calls = "", "", []
    for line in exchange.recorded.splitlines() if exchange.kind == "ndjson" else [exchange.recorded]:
        told = json.loads(line)
        message = told.get("message", told)
        thinking += message.get("thinking") or ""
        text += message.get("content") or message.get("response") or ""
        calls += [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or ()]
    return thinking, text, calls


def test_every_recorded_request_comes_back_as_it_was(exchanges: dict[str, Exchange]) -> None:
    assert len(exchanges) >= LEAST_PLAYED
    for slug, exchange in exchanges.items():
        request = request_of(exchange)
        body = TRANSLATOR.write_request(request, numbered())
        read = read_generate if request.raw_prompt else TRANSLATOR.read_request
        assert read(body, model=request.model, streamed=request.streamed) == request, slug
        unnamed = {use.field for use in lost(used_by(request), TRANSLATOR.carries)} - {"reasoning"}
        assert unnamed <= {"options.think"}, slug


def test_every_recorded_answer_tells_the_same_whole_and_streamed(exchanges: dict[str, Exchange]) -> None:
    usage = Usage(input_tokens=3, output_tokens=4)
    for slug, exchange in exchanges.items():
        if exchange.status != 200:
            assert answer_to(exchange).choices == (), slug
            continue
        answer = msgspec.structs.replace(answer_to(exchange), created_s=None)
        content = answer.choices[0].content
        assert plainly(exchange) == (
            "".join(part.text for part in content if isinstance(part, Thinking)),
            "".join(part.text for part in content if isinstance(part, Text)),
            [(part.name, json.loads(part.arguments)) for part in content if isinstance(part, ToolCall)],
        ), slug
        decoder = TRANSLATOR.stream_decoder(numbered())
        lines = exchange.recorded.splitlines(keepends=True) if exchange.kind == "ndjson" else [exchange.recorded]
        assert answer_of([*[e for line in lines for e in decoder.feed(line)], *decoder.rest()]) == answer, slug

        request = request_of(exchange)
        shape = ollama.GenerateResponse if request.raw_prompt else ollama.ChatResponse
        asked = Asked(
            request=request,
            model=request.model,
            answer_id="1",
            created_s=1,
            input_tokens_estimate=1,
            new_id=numbered(),
        )
        whole = TRANSLATOR.write_answer(answer, usage, asked)
        shape.model_validate_json(whole)
        assert msgspec.structs.replace(TRANSLATOR.read_answer(whole, numbered()), created_s=None) == answer, slug
        stream = encode_all(TRANSLATOR.stream_encoder(asked), events_of(answer, usage))
        for line in stream.splitlines():
            shape.model_validate_json(line)
        decoder = TRANSLATOR.stream_decoder(numbered())
        assert answer_of([*decoder.feed(stream), *decoder.rest()]) == answer, slug


ANSWERS = [
    # slug, finish reason, characters of thinking, text
    ("api-chat-stream-gemma3-1b-testclient-generatechat-42ab5", "length", 0, "Hello there! I"),
    ("api-chat-stream-gemma3-1b-testclient-generatechatstream-c101a", "stop", 0, "Okay, here we go!"),
    ("api-chat-stream-gemma3-1b-testwithformat-404df", "stop", 0, '{"answer": "600"}'),
    ("api-chat-stream-gemma3-1b-testwithpullmodel-01-e3ccf", "stop", 0, "Hello there! How can I he"),
    ("api-chat-stream-gemma4-e2b-gemma4-e2b-genstream-stop-f4ae9", "stop", 0, "Canada "),
    ("api-chat-stream-gemma4-e2b-gemma4-e2b-thinking-genstream-jsonschema-68bf0", "stop", 534, '{"is_fruit": true}'),
    ("api-chat-stream-gemma4-e2b-gemma4-e2b-thinking-genstream-maxtokens-a4b9e", "length", 67, ""),
    ("api-chat-stream-qwen3.5-2b-qwen3.5-2b-genstream-maxtokens-13562", "length", 0, "# The Theory of Relativit"),
    ("api-chat-stream-qwen3.5-2b-qwen3.5-2b-genstream-stop-21816", "stop", 0, "Canada"),
    (
        "api-chat-stream-qwen3.5-2b-qwen3.5-2b-genstreammultimodal-image-webp-inline-1a080",
        "stop",
        0,
        " Banana",
    ),
    ("api-chat-stream-qwen3.5-2b-qwen3.5-2b-thinking-genstream-stop-570a9", "stop", 163, ""),
    ("api-chat-stream-qwen3.5-2b-qwen3.5-2b-thinking-genstream-text-8f202", "stop", 759, "Hello"),
    ("api-chat-stream-qwen3.5-2b-qwen3.5-2b-thinking-genstream-tools-squareroot-2-any-27044", "stop", 6, "363.89"),
    ("api-chat-sync-gemma4-e2b-textoutputdocinput-stdin-01-61d46", "stop", 410, "The capital of Quackiland"),
    ("api-chat-sync-llama3-test-ollama-chat-legacy-a0ee4", "stop", 0, "A joke about OpenTelemetr"),
    ("api-chat-sync-qwen3.6-latest-test-chat-a525a", "stop", 1430, "The sky appears blue beca"),
    ("api-generate-stream-gemma3-1b-testclient-generatestream-4e827", "stop", 0, "Okay, here we go!"),
    (
        "api-generate-stream-llama3-test-ollama-streaming-generation-legacy-92733",
        "stop",
        0,
        "A joke about OpenTelemetr",
    ),
    ("api-generate-sync-llama3.1-test-converter-with-llama3-1-model-04-ed0e4", "stop", 0, '{"name": "SimpleModel", "'),
    ("api-generate-sync-llama3-test-ollama-generation-legacy-9d8a2", "stop", 0, "A niche topic!"),
]


@pytest.mark.parametrize(("slug", "reason", "thought", "text"), ANSWERS, ids=[case[0] for case in ANSWERS])
def test_an_answer_is_read_as_a_reader_finds_it(
    exchanges: dict[str, Exchange], slug: str, reason: str, thought: int, text: str
) -> None:
    choice = answer_to(exchanges[slug]).choices[0]
    assert choice.finish_reason == reason
    assert sum(len(part.text) for part in choice.content if isinstance(part, Thinking)) == thought
    said = "".join(part.text for part in choice.content if isinstance(part, Text))
    assert said.startswith(text)
    assert bool(said) == bool(text)


CALLS = [
    (
        "api-chat-stream-qwen3.5-2b-qwen3.5-2b-thinking-genstream-tools-squareroot-1-any-dea5a",
        ToolCall("call_nixabbbq", "square_root", '{"number":132413}'),
    ),
    (
        "api-chat-stream-qwen3.5-2b-qwen3.5-2b-thinking-genstream-tools-toolbias-canada-2f175",
        ToolCall("call_iychmdxx", "best_country", '{"country":"Canada"}'),
    ),
    (
        "api-chat-sync-gemma4-e2b-gemma4-e2b-thinking-gensync-tools-toolbias-usa-4d956",
        ToolCall("call_npwdx1po", "best_country", '{"country":"USA"}'),
    ),
    (
        "api-chat-sync-qwen3.6-latest-test-chat-with-tool-call-1dd20",
        ToolCall("call_gsiiy8py", "get_current_weather", '{"city":"Paris"}'),
    ),
]


@pytest.mark.parametrize(("slug", "call"), CALLS, ids=[case[0] for case in CALLS])
def test_facts_22_a_call_is_an_object_in_one_line_and_its_reason_stop(
    exchanges: dict[str, Exchange], slug: str, call: ToolCall
) -> None:
    exchange = exchanges[slug]
    assert b'"done_reason":"stop"' in exchange.recorded
    choice = answer_to(exchange).choices[0]
    assert (choice.finish_reason, choice.content[-1]) == ("tool_calls", call)


@pytest.mark.parametrize(
    "slug",
    [
        "api-chat-stream-gemma4-e2b-gemma4-e2b-thinking-genstream-tools-squareroot-2-any-8dd29",
        "api-chat-sync-gemma4-e2b-gemma4-e2b-thinking-gensync-tools-squareroot-2-any-2d0a9",
        "api-chat-sync-qwen3.5-2b-qwen3.5-2b-thinking-gensync-tools-squareroot-2-any-9bf4e",
    ],
)
def test_a_tools_result_belongs_to_its_call(exchanges: dict[str, Exchange], slug: str) -> None:
    request = request_of(exchanges[slug])
    assert [message.role for message in request.messages] == ["user", "assistant", "tool"]
    call, result = request.messages[1].content[-1], request.messages[2].content[0]
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("square_root", '{"number":132413}')
    assert result == ToolResult(call.id, (Text("363.89"),), "square_root")
    assert [tool.name for tool in request.tools] == ["square_root"]


@pytest.mark.parametrize(("kind", "slug"), [
    ("image/webp", "api-chat-sync-qwen3.5-2b-qwen3.5-2b-gensyncmultimodal-image-webp-inline-6eadc"),
    ("image/jpeg", "api-chat-sync-qwen3.5-2b-qwen3.5-2b-gensyncmultimodal-image-jpg-inline-88497"),
    ("image/gif", "api-chat-sync-qwen3.5-2b-qwen3.5-2b-gensyncmultimodal-image-gif-inline-55823"),
])  # fmt: skip
def test_a_pictures_type_is_told_by_its_first_bytes(exchanges: dict[str, Exchange], kind: str, slug: str) -> None:
    exchange = exchanges[slug]
    data = exchange.body["messages"][1]["images"][0]
    assert request_of(exchange).messages[1] == Message("user", (Image(Inline(kind, data)),))
    assert request_of(exchange).reasoning == Reasoning(off=True)


def test_a_format_is_a_schema_or_any_object_or_nothing(exchanges: dict[str, Exchange]) -> None:
    json_ = request_of(exchanges["api-chat-sync-gemma4-e2b-gemma4-e2b-gensync-json-6e8f5"])
    schema = request_of(exchanges["api-chat-sync-gemma4-e2b-gemma4-e2b-gensync-jsonschema-f6dc9"])
    none = request_of(exchanges["api-chat-stream-gemma3-1b-testclient-generatechat-42ab5"])
    assert json_.shape == AnswerShape()
    assert schema.shape is not None
    assert json.loads(schema.shape.schema or b"")["required"] == ["is_fruit"]
    assert (none.shape, none.max_output_tokens, none.temperature) == (None, 50, 0)


@pytest.mark.parametrize(
    ("slug", "tokens"),
    [
        ("api-chat-stream-qwen3.5-2b-qwen3.5-2b-genstream-toplogprobs-631ca", ["Hello"]),
        ("api-chat-sync-qwen3.5-2b-qwen3.5-2b-gensync-toplogprobs-3ccc7", ["Hi", "!"]),
        ("api-chat-stream-gemma4-e2b-gemma4-e2b-genstream-toplogprobs-fee38", ["Hello", "."]),
    ],
)
def test_log_probabilities_have_openais_shape(exchanges: dict[str, Exchange], slug: str, tokens: list[str]) -> None:
    request = request_of(exchanges[slug])
    assert (request.logprobs, request.top_logprobs) == (True, 2)
    listed = json.loads(answer_to(exchanges[slug]).choices[0].logprobs or b"")
    assert [token["token"] for token in listed] == tokens
    for token in listed:
        assert bytes(token["bytes"]).decode() == token["token"]
        assert len(token["top_logprobs"]) == 2


def test_the_probabilities_of_thinking_are_told_too(exchanges: dict[str, Exchange]) -> None:
    slug = "api-chat-sync-gemma4-e2b-gemma4-e2b-thinking-gensync-toplogprobs-e3260"
    listed = json.loads(answer_to(exchanges[slug]).choices[0].logprobs or b"")
    assert len(listed) > 10
    assert listed[-1]["token"] == "Hello"


def test_a_legacy_clients_empty_members_are_no_losses(exchanges: dict[str, Exchange]) -> None:
    request = request_of(exchanges["api-generate-sync-llama3-test-ollama-generation-legacy-9d8a2"])
    assert request == ChatRequest(
        origin="ollama",
        model="llama3",
        messages=(Message("user", (Text("Tell me a joke about OpenTelemetry"),)),),
        raw_prompt=True,
    )


def test_think_among_the_options_does_nothing_and_is_named(exchanges: dict[str, Exchange]) -> None:
    request = request_of(exchanges["api-chat-stream-gemma3-1b-testwiththink-8b0c2"])
    assert (request.reasoning, request.extra) == (None, {"options.think": b"true"})

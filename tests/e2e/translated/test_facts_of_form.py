"""What providers really do with framing, errors, calls and signatures, and what a client of another format sees of it.

The facts of cost are in `test_facts.py`, which says more.
"""

import itertools
import json
import os

import pytest

from farthing.gateway.formats import FORMATS
from farthing.providers.error_mapping import advice_to_client, read_error
from farthing.types.chat import Part, Signature, Text, Thinking, ToolCall
from farthing.types.providers import WireFormat
from farthing.types.usage import UsageHabits
from farthing.wire.translators.assembly import answer_of
from farthing.wire.translators.registry import CHAT_FORMATS, translator
from tests.e2e.translated.crossing import (
    answer_to,
    chats,
    numbered,
    objects_in,
    on_face,
    parts_of,
    reading_of,
    recorded,
    request_of,
    streamed_on_face,
    told_to,
    usage_of,
    wire_of,
)

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]
faces = pytest.mark.parametrize("face", CHAT_FORMATS)
AZURE = "grok-4-1-fast-non-reasoning"
GEMINI_REFUSES = (
    "gemini/streamgeneratecontent-stream-gemini-pro-latest-gemini-pro-latest-thinking-genstream-toplogprobs-08493"
)
DEEPSEEK_REFUSES = (
    "deepseek/chat.completions-stream-deepseek-v4-pro-deepseek-v4-pro-thinking-genstream-tools-squareroot-1-790e7"
)


def error_told(face: WireFormat, told: bytes) -> str:
    """Return the message of the error that a stream ends in, as a client of the face reads it."""
    meter = FORMATS[face].stream_meter(lambda _: None, UsageHabits(), strip_usage=False)
    meter.feed(told)
    meter.rest()
    assert meter.failed, told[-300:]
    return meter.reading().error_message or ""


# ---- framing


@faces
def test_fact_16_an_error_inside_a_200_is_told_as_an_error_on_every_face(face: WireFormat) -> None:
    exchange = recorded(
        "openrouter/chat.completions-stream-qwen3.5-35b-a3b-qwen3.5-35b-a3b-thinking-genstream-jsonschema-e4952"
    )
    told, meter = streamed_on_face(face, exchange)
    assert meter.failed
    assert error_told(face, told) == "Provider returned error"


def test_fact_16_an_error_is_the_whole_body_of_a_200() -> None:
    exchange = recorded(
        "openrouter/chat.completions-sync-qwen3.5-122b-a10b-qwen3.5-122b-a10b-thinking-gensync-jsonschema-de550"
    )
    reading = reading_of(exchange)
    assert (reading.error_message, reading.error_status) == ("Provider returned error", 400)
    assert answer_to(exchange)[0].choices == ()


@faces
def test_fact_17_groq_ends_a_stream_with_a_named_error_after_it_has_thought(face: WireFormat) -> None:
    exchange = recorded("groq/chat.completions-stream-gpt-oss-120b-test-tool-use-failed-error-streaming-00-33031")
    told, meter = streamed_on_face(face, exchange)
    assert meter.reading().error_code == "tool_use_failed"
    assert error_told(face, told).startswith("Tool call validation failed")
    thought = parts_of(exchange)[0]
    assert isinstance(thought, Thinking)
    if face != "openai_completions":  # it has no thoughts
        decoder = translator(face).stream_decoder(numbered())
        (choice,) = answer_of([*decoder.feed(told), *decoder.rest()]).choices
        assert "".join([part.text for part in choice.content if isinstance(part, Thinking)]) == thought.text


@pytest.mark.parametrize(
    ("face", "end"),
    [
        ("openai_chat", b"data: [DONE]\n\n"),
        ("openai_completions", b"data: [DONE]\n\n"),
        ("openai_responses", b"}\n\n"),
        ("anthropic_messages", b'data: {"type":"message_stop"}\n\n'),
        ("gemini", b"}\r\n\r\n"),
        ("ollama", b"}\n"),
    ],
)
def test_fact_18_streams_end_and_break_their_lines_as_each_format_does(face: WireFormat, end: bytes) -> None:
    exchange = recorded(
        "perplexity/chat.completions-stream-sonar-chat-streaming-responses-perplexity-sonar-supports-streaming-"
        "responses-a31fe"
    )
    assert b"[DONE]" not in exchange.recorded
    assert b"\r\n" in exchange.recorded
    told, meter = streamed_on_face(face, exchange)
    assert meter.reading().finished
    assert told.endswith(end)
    assert (b"\r\n" in told) == (face == "gemini")
    assert (b"[DONE]" in told) == face.endswith(("chat", "completions"))


@pytest.mark.parametrize("face", ["anthropic_messages", "gemini", "openai_responses", "ollama"])
def test_fact_19_comments_between_events_are_nobodys_words(face: WireFormat) -> None:
    exchange = recorded("openrouter/chat.completions-stream-claude-haiku-4.5-simple-streaming-d5ab0")
    assert exchange.recorded.startswith(b": OPENROUTER PROCESSING")
    told, _ = streamed_on_face(face, exchange)
    assert b"PROCESSING" not in told
    assert "Olá" in told.decode()


def test_fact_19_a_body_may_begin_with_whitespace_that_kept_the_line_open() -> None:
    exchange = recorded("openrouter/chat.completions-sync-gpt-oss-120b-completion-openrouter-4650e")
    assert exchange.recorded[:1].isspace()
    assert usage_of(exchange).input_tokens == 74
    assert on_face("anthropic_messages", exchange)["content"]


@pytest.mark.parametrize(
    ("slug", "code", "words"),
    [
        (
            GEMINI_REFUSES,
            "INVALID_ARGUMENT",
            "LogProbs is not supported in streaming mode",
        ),
        (
            DEEPSEEK_REFUSES,
            "invalid_request_error",
            "Thinking mode does not support this tool_choice",
        ),
    ],
)
def test_fact_20_the_content_type_of_an_error_lies(slug: str, code: str, words: str) -> None:
    exchange = recorded(slug)
    assert "json" not in exchange.answer["headers"]["content-type"]
    error = read_error(wire_of(exchange), exchange.status, exchange.recorded)
    assert (error.code, error.message) == (code, words)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (422, b'{"detail":"Unknown model"}', "Unknown model"),
        (404, b'{"error":"model \'x\' not found"}', "model 'x' not found"),
        (400, b'{"success":false,"errors":[{"code":7003,"message":"Could not route"}]}', "Could not route"),
        (400, b'{"message":"Bad model","code":"BAD"}', "Bad model"),
        (403, b'{"message":"The security token is invalid"}', "The security token is invalid"),
    ],
)
def test_fact_21_errors_have_no_common_shape(status: int, body: bytes, words: str) -> None:
    assert words in read_error("openai_chat", status, body).message


def test_fact_21_errors_that_were_recorded_say_what_is_wrong() -> None:
    mistral = recorded(
        "mistral/chat.completions-stream-ministral-3b-2512-ministral-3b-2512-genstream-tools-websearch-4f688"
    )
    assert "Input should be 'function'" in read_error("openai_chat", 422, mistral.recorded).message
    xai = recorded(
        "xai/responses-sync-grok-4.3-chat-error-handling-with-xai-grok-4-1-fast-non-reasoning-raises-appropriate-auth-"
        "error-1ede6"
    )
    error = read_error("openai_responses", xai.status, xai.recorded)
    assert (xai.status, error.in_shape) == (400, False)
    assert error.message.startswith("Incorrect API key provided")


# ---- translation


def test_fact_22_ollama_gives_arguments_as_an_object_and_stops_as_if_nothing_were_called() -> None:
    exchange = recorded("ollama/api-chat-stream-qwen3.5-2b-qwen3.5-2b-thinking-genstream-tools-squareroot-1-any-dea5a")
    call = parts_of(exchange)[-1]
    assert isinstance(call, ToolCall)
    assert (call.name, json.loads(call.arguments)) == ("square_root", {"number": 132413})
    for told in told_to(translator("openai_chat"), exchange):
        assert told.choices[0].finish_reason == "tool_calls"
    assert on_face("anthropic_messages", exchange)["stop_reason"] == "tool_use"


def test_fact_22_gemini_calls_several_tools_at_once_without_ids_and_stops() -> None:
    exchange = recorded(
        "gemini/streamgeneratecontent-stream-gemini-2.0-flash-test-response-with-multiple-tool-calls-true-14955"
    )
    (choice,) = on_face("openai_chat", exchange)["choices"]
    calls = choice["message"]["tool_calls"]
    assert [json.loads(call["function"]["arguments"])["location"] for call in calls] == ["Boston", "New Delhi"]
    assert len({call["id"] for call in calls}) == 2
    assert choice["finish_reason"] == "tool_calls"


def test_fact_22_openrouter_leaves_out_arguments_that_are_empty() -> None:
    exchange = recorded(
        "openrouter/chat.completions-sync-claude-sonnet-4.5-test-openrouter-tool-optional-parameters-d2b1c"
    )
    assert b'"arguments"' not in exchange.recorded
    assert on_face("anthropic_messages", exchange)["content"][-1]["input"] == {}
    assert on_face("openai_responses", exchange)["output"][-1]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("provider", "member"),
    [
        *[(name, b'"reasoning_content"') for name in ("deepseek", "zai", "xai", "alibaba", "baseten", "llamacpp")],
        *[(name, b'"reasoning"') for name in ("groq", "ollama", "together", "cerebras")],
        *[(name, b'"reasoning_details"') for name in ("openrouter", "vercel-gateway")],
    ],
)
def test_fact_23_thoughts_have_four_names(provider: str, member: bytes) -> None:
    found = [
        exchange
        for exchange in chats(RECORDINGS)
        if exchange.provider == provider and member in exchange.recorded and wire_of(exchange) == "openai_chat"
    ]
    thinking = [exchange for exchange in found if any(isinstance(part, Thinking) for part in parts_of(exchange))]
    assert thinking
    for exchange in thinking:
        shown = [block for block in on_face("anthropic_messages", exchange)["content"] if block["type"] == "thinking"]
        assert shown, exchange.slug


def test_fact_23_mistral_puts_its_thoughts_into_a_list_in_the_content() -> None:
    exchange = recorded(
        "mistral/chat.completions-sync-magistral-medium-latest-mistral-v1-chat-completions-post-20aaaaf3-1a222"
    )
    thought, text = on_face("anthropic_messages", exchange)["content"]
    assert thought["thinking"].startswith("Okay, the user has asked")
    assert text["text"].startswith("What is 2+2?")
    told = on_face("ollama", exchange)["message"]
    assert told["thinking"] == thought["thinking"]


def test_fact_24_anthropics_signature_comes_back_and_no_other_face_takes_it_for_its_own() -> None:
    exchange = recorded("anthropic/messages-stream-claude-sonnet-4-20250514-thinking-streaming-00-93558")
    (signed,) = [part for part in parts_of(exchange) if isinstance(part, Thinking)]
    assert signed.signature is not None
    assert signed.signature.value in exchange.recorded.decode()
    own, _ = streamed_on_face("anthropic_messages", exchange)
    assert signed.signature.value.encode() in own
    for face in CHAT_FORMATS:
        told = told_to(translator(face), exchange)[1].choices[0].content
        seals = [part.signature for part in told if isinstance(part, Thinking) and part.signature]
        assert all(seal.origin == face or seal.value != signed.signature.value for seal in seals), face


def test_fact_24_geminis_signature_sits_on_a_text_that_is_empty() -> None:
    exchange = recorded("gemini/streamgeneratecontent-stream-gemini-3-pro-preview-simple-streaming-68caa")
    signatures = [part.signature for part in parts_of(exchange) if isinstance(part, Text) and part.signature]
    assert [seal.origin for seal in signatures] == ["gemini"]
    value = signatures[0].value
    told, _ = streamed_on_face("gemini", exchange)
    assert value in "".join(json.dumps(event) for event in objects_in(told))
    foreign, _ = streamed_on_face("openai_chat", exchange)
    assert value.encode() not in foreign
    assert b"Oi" in foreign


def test_fact_24_redacted_thinking_comes_back_as_it_was() -> None:
    exchange = recorded(
        "anthropic/messages-sync-claude-sonnet-4-5-20250929-test-anthropic-model-thinking-part-redacted-00-dee94"
    )
    (redacted,) = [part for part in parts_of(exchange) if isinstance(part, Thinking)]
    assert redacted.redacted
    assert redacted.signature is not None
    block = on_face("anthropic_messages", exchange)["content"][0]
    assert block == {"type": "redacted_thinking", "data": redacted.signature.value}
    for face in ("openai_chat", "gemini", "ollama"):
        assert redacted.signature.value not in json.dumps(on_face(face, exchange))


def test_fact_24_encrypted_reasoning_comes_back_as_it_was() -> None:
    sealed = 0
    for exchange in chats(RECORDINGS):
        if wire_of(exchange) == "openai_responses" and "encrypted_reasoning" in exchange.features:
            for part in parts_of(exchange):
                if isinstance(part, Thinking) and isinstance(part.signature, Signature):
                    sealed += 1
                    again = told_to(translator("openai_responses"), exchange)
                    assert [part.signature in [_seal(got) for got in told.choices[0].content] for told in again]
    assert sealed >= 20


def _seal(part: Part) -> Signature | None:
    return part.signature if isinstance(part, Thinking) else None


@pytest.mark.parametrize(
    ("headers", "status", "body", "told"),
    [
        ({"retry-after": "1", "retry-after-ms": "0"}, 429, b"{}", []),  # Azure's own word is left as it is
        ({"x-ratelimit-reset": "1754667660000"}, 429, b"{}", [(b"retry-after", b"60")]),  # epoch milliseconds
        (
            {},
            429,
            b'{"error":{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"22s"}]}}',
            [(b"retry-after", b"22")],
        ),
        ({"x-ratelimit-reset-tokens": "1m26.4s"}, 429, b"{}", [(b"retry-after", b"87")]),
        ({"x-ratelimit-reset-requests": "120ms"}, 429, b"{}", [(b"retry-after", b"1")]),
        ({}, 429, b'{"error":{"code":"insufficient_quota","message":"no"}}', [(b"x-should-retry", b"false")]),
        ({"retry-after": "5"}, 529, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', []),
    ],
)
def test_fact_25_hints_when_to_try_again_differ(
    headers: dict[str, str], status: int, body: bytes, told: list[tuple[bytes, bytes]]
) -> None:
    error = read_error("openai_chat", status, body)
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert advice_to_client(error, sent, body, 1_754_667_600_000_000) == told


def test_fact_25_hints_that_were_recorded_are_read() -> None:
    azure = recorded(f"azure/chat.completions-sync-{AZURE}-chat-real-error-scenarios-azure-{AZURE}--90663")
    assert azure.answer["headers"]["retry-after"] == "1"
    openrouter = recorded(
        "openrouter/chat.completions-sync-llama-3.2-3b-instruct-free-testopenrouterstreaming-01-76272"
    )
    error = read_error("openai_chat", 429, openrouter.recorded)
    reset_us = 1_754_667_660_000_000
    # The header is gone once a proxy has eaten it; the body repeats it.
    assert advice_to_client(error, [], openrouter.recorded, reset_us - 5_000_000) == [(b"retry-after", b"5")]


def test_fact_extra_padding_against_listeners_is_not_told_on() -> None:
    padded = [
        exchange
        for exchange in chats(RECORDINGS)
        if exchange.kind == "sse" and b'"obfuscation"' in exchange.recorded and wire_of(exchange).startswith("openai_")
    ]
    assert len(padded) >= 100
    for exchange, face in zip(padded, itertools.cycle(CHAT_FORMATS), strict=False):
        told, _ = streamed_on_face(face, exchange)
        assert b"obfuscation" not in told, exchange.slug


def test_fact_extra_a_response_that_is_incomplete_has_ended_and_says_its_usage() -> None:
    exchange = recorded("openai/responses-stream-gpt-5.6-terra-gpt-5.6-terra-thinking-genstream-maxtokens-05710")
    reading = reading_of(exchange)
    assert reading.finished
    assert reading.usage is not None
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (16, 16)
    told, _ = streamed_on_face("anthropic_messages", exchange)
    (end,) = [event for event in objects_in(told) if event["type"] == "message_delta"]
    assert (end["delta"]["stop_reason"], end["usage"]["output_tokens"]) == ("max_tokens", 16)


def test_fact_extra_ollama_streams_unless_it_is_told_not_to() -> None:
    silent = [
        exchange
        for exchange in chats(RECORDINGS)
        if wire_of(exchange) == "ollama" and "stream" not in exchange.body and exchange.status == 200
    ]
    assert {exchange.kind for exchange in silent} <= {"ndjson"}
    for exchange in chats(RECORDINGS):
        if exchange.api == "messages" and exchange.status == 200:
            request = request_of(exchange)
            body = json.loads(translator("ollama").write_request(request, numbered()))
            assert body["stream"] is request.streamed, exchange.slug

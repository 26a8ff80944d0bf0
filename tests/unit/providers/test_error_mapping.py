import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.providers.error_mapping import MAX_MESSAGE_CHARS, MAX_WAIT_S, advice_to_client, read_error
from farthing.types.providers import WireFormat

OPENAI: WireFormat = "openai_chat"
ANTHROPIC: WireFormat = "anthropic_messages"


@pytest.mark.parametrize(
    ("wire", "status", "body", "code", "message", "in_shape"),
    [
        (OPENAI, 401, b'{"error":{"message":"bad key","code":"invalid_api_key"}}', "invalid_api_key", "bad key", True),
        (OPENAI, 429, b'{"error":{"message":"slow","code":429,"metadata":{}},"user_id":"u"}', "429", "slow", True),
        (OPENAI, 401, b'{"detail":"Unauthorized"}', "http_401", "Unauthorized", False),
        (OPENAI, 422, b'{"detail":[{"loc":["body"],"msg":"missing"},{"msg":"x"}]}', "http_422", "missing; x", False),
        (OPENAI, 400, b'{"object":"error","message":"no","type":"invalid","code":"1800"}', "1800", "no", False),
        (OPENAI, 402, b'{"error":"pay"}', "http_402", "pay", False),
        (
            OPENAI,
            502,
            b"<html><head><title>502 Bad Gateway</title></head></html>",
            "http_502",
            "502 Bad Gateway",
            False,
        ),
        (OPENAI, 500, b"", "http_500", "the provider answered 500 without a word", False),
        (OPENAI, 500, b"[]", "http_500", "the provider answered 500", False),
        (
            ANTHROPIC,
            529,
            b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}',
            "overloaded_error",
            "busy",
            True,
        ),
        (ANTHROPIC, 500, b'{"error":{"type":"x","message":"y"}}', "x", "y", False),
    ],
)
def test_every_shape_of_error_tells_its_code_and_message(
    wire: WireFormat, status: int, body: bytes, code: str, message: str, in_shape: bool
) -> None:
    error = read_error(wire, status, body)
    assert (error.code, error.message, error.in_shape, error.status) == (code, message, in_shape, status)


def test_a_page_of_text_is_cut() -> None:
    assert len(read_error(OPENAI, 500, b"x" * 100_000).message) == MAX_MESSAGE_CHARS


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (
            400,
            b'{"code":"invalid-argument","error":"Incorrect API key provided."}',
            "invalid-argument",
            "Incorrect API",
        ),
        (402, b'{"error":"You have depleted your monthly included credits."}', "http_402", "You have depleted"),
        (400, b'{"code":400,"reason":"INVALID_REQUEST_BODY","message":"vision not support"}', "400", "vision not"),
        (422, b'{"detail":[{"type":"enum","loc":["body"],"msg":"Input should be \'function\'"}]}', "http_422", "Input"),
        (500, b'{"object":"error","message":"Service unavailable.","type":"x","code":"1000"}', "1000", "Service una"),
        (400, b'{"success":false,"errors":[{"code":7000,"message":"No route"}],"result":null}', "7000", "No route"),
        (403, b'{"message":"The security token included in the request is invalid."}', "http_403", "The security"),
        (400, b'{"message":"no images","type":"Bad Request","code":400}', "400", "no images"),
        (403, b'{"error":"please check the api-key you provided"}', "http_403", "please check"),
        (404, b'{"id":"94ed","message":"model \'bad\' not found"}', "http_404", "model 'bad'"),
        (400, b'{"error":{"code":"400","message":"Param Incorrect","type":""}}', "400", "Param Incorrect"),
        (500, b'{"errors":[7]}', "http_500", "7"),
    ],
)
def test_the_vendors_own_shapes_are_read(status: int, body: bytes, code: str, message: str) -> None:
    error = read_error(OPENAI, status, body)
    assert (error.status, error.code) == (status, code)
    assert error.message.startswith(message)


NOW_US = 1_741_305_500_000_000


def advice(body: Any = None, status: int = 429, code: str = "rate_limit_exceeded", **headers: str) -> dict[str, str]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    raw = json.dumps(body or {"error": {"message": "slow down", "code": code}}).encode()
    told = advice_to_client(read_error(OPENAI, status, raw), sent, raw, NOW_US)
    return {name.decode(): value.decode() for name, value in told}


def test_a_retry_after_of_the_providers_own_is_left_as_it_is() -> None:
    assert advice(retry_after="7", retry_after_ms="500") == {}
    assert advice(retry_after="Wed, 21 Oct 2026 07:28:00 GMT") == {}


def test_milliseconds_are_rounded_up_to_seconds() -> None:
    assert advice(retry_after_ms="1500") == {"retry-after": "2"}


def test_openrouters_reset_is_the_time_in_milliseconds() -> None:
    assert advice(x_ratelimit_reset="1741305560000") == {"retry-after": "60"}
    assert advice(x_ratelimit_reset="1741305560") == {"retry-after": "60"}
    assert advice(x_ratelimit_reset="12") == {"retry-after": "12"}
    assert advice(x_ratelimit_reset="1741305000000") == {"retry-after": "0"}


def test_openrouters_reset_may_stand_in_the_body_alone() -> None:
    metadata = {"headers": {"X-RateLimit-Limit": "1", "X-RateLimit-Reset": "1741305560000"}}
    assert advice({"error": {"message": "Rate limit", "code": 429, "metadata": metadata}}) == {"retry-after": "60"}


def test_geminis_retry_info_is_a_duration() -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.Help"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22s"},
    ]
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota", "details": details}}
    assert advice(body) == {"retry-after": "22"}
    details[1]["retryDelay"] = "22.25s"
    assert advice(body) == {"retry-after": "23"}


def test_openais_resets_are_durations_and_the_exhausted_one_counts() -> None:
    both: dict[str, Any] = {"x_ratelimit_reset_requests": "120ms", "x_ratelimit_reset_tokens": "1m26.4s"}
    assert advice(**both, x_ratelimit_remaining_tokens="0") == {"retry-after": "87"}
    assert advice(**both) == {"retry-after": "1"}
    assert advice(x_ratelimit_reset_requests="1h0m2s") == {"retry-after": "3602"}


def test_an_empty_purse_is_not_to_be_asked_again() -> None:
    assert advice(code="insufficient_quota", retry_after_ms="10") == {"x-should-retry": "false"}
    assert advice(code="insufficient_quota", x_should_retry="true") == {"x-should-retry": "false"}


def test_who_gives_no_hint_gets_none_and_no_hint_is_believed_for_longer_than_a_day() -> None:
    assert advice() == {}
    assert advice(status=400, retry_after_ms="10") == {}
    assert advice(x_ratelimit_reset="9999999999999") == {"retry-after": str(MAX_WAIT_S)}
    assert advice(retry_after_ms="soon", x_ratelimit_reset="tomorrow", x_ratelimit_reset_tokens="") == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["error", "errors", "details", "metadata", "headers", "code", "message", "retryDelay"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.text(st.characters(max_codepoint=255), max_size=8),
)
def test_no_error_however_malformed_makes_the_reading_raise(body: Any, hint: str) -> None:
    raw = json.dumps(body).encode()
    error = read_error(OPENAI, 429, raw)
    names = (b"retry-after-ms", b"x-ratelimit-reset", b"x-ratelimit-reset-tokens")
    advice_to_client(error, [(name, hint.encode("latin-1")) for name in names], raw, NOW_US)

import pytest

from farthing.providers.error_mapping import MAX_MESSAGE_CHARS, read_error
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

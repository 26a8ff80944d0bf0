"""What an error says is found in every shape that was seen, and nothing is found where there is none."""

import json
from typing import Any

import pytest

from farthing.wire.error_words import MAX_TEXT, error_inside, error_status, error_text


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("boom", "error", "boom"),
        ({"message": "boom", "code": "x", "type": "y"}, "x", "boom"),
        ({"message": "boom", "code": None, "type": "y"}, "y", "boom"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}, "overloaded_error", "boom"),
        ({"detail": [{"msg": "one"}, {"msg": "two"}]}, "error", "one; two"),
        ({"errors": [{"code": 7, "message": "boom"}]}, "error", "boom"),
        ([{"error": {"code": 429, "message": "boom"}}], "429", "boom"),
        ({"code": 10**30, "message": "boom"}, "1" + "0" * 30, "boom"),
        ({}, "error", ""),
        (None, "error", ""),
    ],
)
def test_code_and_message(error: Any, code: str, message: str) -> None:
    assert error_text(error) == (code, message)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 503}, 503),
        ({"code": "502"}, 502),
        ({"code": "tool_use_failed", "status_code": 400}, 400),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"type": "overloaded_error"}, 529),
        ({"status": "RESOURCE_EXHAUSTED"}, 429),
        ({"status": "UNAUTHENTICATED", "code": 200}, 401),
        ({"type": "rate_limit_error", "code": 400}, 400),
        ({"error": {"type": "not_found_error"}, "type": "error"}, 404),
        ({"error": "rate_limit_exceeded"}, 429),
        ("overloaded_error", 529),
        ({"type": "invalid_request_error"}, None),
        ({"code": 200}, None),
        ({"code": 600}, None),
        ({"code": True}, None),
        (None, None),
    ],
)
def test_the_status_that_an_error_names(error: Any, status: int | None) -> None:
    assert error_status(error) == status


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"{}", b"[]", b"5", b'"text"', b"<html>", b'{"error":null}', b'{"error":""}',
     b'{"message":{"role":"x"}}',
     b'{"detail":', b"[" * 5_000, b'[{"error":"a"},{"error":"b"}]'],
)  # fmt: skip
def test_what_does_not_speak_as_errors_do(body: bytes) -> None:
    assert error_inside(body) is None


def test_words_without_end_are_cut_and_depth_without_end_is_survived() -> None:
    told = error_inside(json.dumps({"error": {"message": "x" * 9_000}}).encode())
    assert told is not None
    assert told.error_message == "x" * MAX_TEXT
    deep: Any = "boom"
    for _ in range(300):
        deep = {"error": deep}
    assert error_text(deep) == ("error", "")
    assert error_status(deep) is None

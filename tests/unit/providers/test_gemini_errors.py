"""Google's errors: alone, in an array of one, and those of proxies in front of it that speak otherwise."""

import json
from typing import Any

import pytest

from farthing.providers.error_mapping import advice_to_client, read_error

QUOTA = {
    "code": 429,
    "message": "You exceeded your current quota",
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22.4s"}],
}


@pytest.mark.parametrize("body", [{"error": QUOTA}, [{"error": QUOTA}]])
def test_google_s_shape_passes_alone_and_in_an_array(body: Any) -> None:
    sent = json.dumps(body).encode()
    error = read_error("gemini", 429, sent)
    assert (error.code, error.message, error.in_shape) == ("RESOURCE_EXHAUSTED", QUOTA["message"], True)
    assert advice_to_client(error, [], sent, 0) == [(b"retry-after", b"23")]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no", "type": "invalid_request_error", "code": "x"}},
        {"error": {"message": "no", "code": 400}},
        {"error": {"message": "no", "code": "400", "status": "X"}},
        {"error": {"message": 5, "code": 400, "status": "X"}},
        {"error": "no"},
        {"detail": "no"},
        [],
        [1, 2],
        "no",
    ],
)
def test_another_shape_is_not_google_s(body: Any) -> None:
    error = read_error("gemini", 400, json.dumps(body).encode())
    assert not error.in_shape
    assert error.message

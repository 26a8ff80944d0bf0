"""Providers that promise a stream and send none: the client is told by a status, and pays for what is known of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.support import Gateway, running_gateway
from tests.e2e.upstream import Script, streamed, upstream

CHAT = "/v1/chat/completions"
STREAM = {"model": "up:m", "stream": True}


@contextmanager
def gateway_of(home: Path, *scripts: Script) -> Iterator[tuple[Gateway, str]]:
    with ExitStack() as stack:
        provider = stack.enter_context(upstream(*scripts))
        row = f"providers:\n  up: {{kind: openai-compatible, base_url: {provider.url}/v1, credential: env:KEY}}\n"
        prices = 'prices:\n  - {model: "up:m", input: 1, output: 2}\n'
        gateway = stack.enter_context(running_gateway(home, row + prices, KEY="sk-upstream"))
        yield gateway, gateway.new_key()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"error":{"code":429,"message":"slow down"}}', 429, "slow down"),
        (b'\n{"error":{"message":"no such model","type":"invalid_request_error","code":404}}\n', 404, "no such model"),
        (b'{"detail":"the worker is gone"}', 502, "the worker is gone"),
    ],
)
def test_an_error_that_comes_bare_where_events_were_promised_is_told_by_its_status(
    tmp_path: Path, body: bytes, status: int, said: str
) -> None:
    with gateway_of(tmp_path / "home", streamed(body)) as (gateway, key):
        answer = gateway.post(CHAT, STREAM, key)
        assert (answer.status, answer.json()["error"]["message"]) == (status, said)
        attempt = gateway.only_attempt()
        assert (attempt.outcome, attempt.http_status, attempt.error_message) == ("provider_error", 200, said)
        assert attempt.cost_nanousd == 0
        gateway.verify()


@pytest.mark.parametrize("body", [b": hello\n\n", b"<html>It works!</html>", b"event: ping\ndata: {}\n\n"])
def test_a_stream_that_ends_before_it_says_anything_is_no_whole_answer(tmp_path: Path, body: bytes) -> None:
    with gateway_of(tmp_path / "home", streamed(body)) as (gateway, key):
        answer = gateway.post(CHAT, STREAM, key)
        assert answer.status == 502
        assert "ended before it said anything" in answer.json()["error"]["message"]
        attempt = gateway.only_attempt()
        assert attempt.outcome == "provider_cut"
        assert attempt.cost_basis != "reported", "nobody said what was used"
        gateway.verify()

"""Odd providers and odd clients, against the running gateway: no 500, no open attempt, no lie."""

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.support import Gateway, free_port, running_gateway
from tests.e2e.upstream import Script, streamed, upstream, whole

ANSWER = b'{"model":"m","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
SAID = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"some words"},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}\n\n'
STREAM = {"model": "openai:m", "stream": True}

Serve = Callable[..., tuple[Gateway, str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as opened:

        def start(*scripts: Script) -> tuple[Gateway, str]:
            server = opened.enter_context(upstream(*scripts))
            text = f"""
providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY, hold_s: 0.5}}
prices:
  - {{model: "openai:m", input: 1, output: 2}}
"""
            gateway = opened.enter_context(running_gateway(tmp_path / "home", text, KEY="sk-operators-secret"))
            return gateway, gateway.new_key()

        yield start
    assert "Traceback" not in (tmp_path / "home" / "serve.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model":"openai:\xff"}', "missing or no text"),
        (b'{"\xff":1,"model":"openai:m"}', "not a JSON object"),
        (b'{"model":"openai:' + b"A" * 3000 + b'"}', "at most 512 characters"),
        (b'{"model":"openai:m\\r\\nset-cookie: evil=1"}', "all of them printable"),
        (b'{"model":"openai:m","stream":1}', "send true or false"),
        (b'{"model":"openai:m","stream":"true"}', "send true or false"),
    ],
)
def test_an_odd_request_is_refused_in_words(serve: Serve, body: bytes, words: str) -> None:
    gateway, key = serve(whole(ANSWER))
    answer = gateway.post("/v1/chat/completions", body, key)
    assert answer.status == 400
    assert words in answer.json()["error"]["message"]
    assert "set-cookie" not in answer.headers


def test_a_deeply_nested_request_is_refused_or_passed_on_but_breaks_nothing(serve: Serve) -> None:
    gateway, key = serve(whole(ANSWER))
    for depth in (500, 5_000, 500_000):  # how deep is too deep differs between versions of Python
        body = b'{"model":"openai:m","messages":' + b"[" * depth + b"]" * depth + b"}"
        assert gateway.post("/v1/chat/completions", body, key).status in (200, 400)


def test_half_a_surrogate_pair_in_a_request_is_passed_on_as_it_is(serve: Serve) -> None:
    gateway, key = serve(whole(ANSWER))
    body = rb'{"messages":[{"role":"user","content":"cut \ud83d"}],"model":"openai:m"}'
    assert gateway.post("/v1/chat/completions", body, key).status == 200


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (streamed(b'data: {"choices":[{"delta":{"content":"a\xff"},"finish_reason":"stop"}]}\n\n' + USAGE), 200),
        (whole(b"[" * 450, "400 Bad Request"), 400),
        (whole(b"", "302 Found", location="http://evil.invalid/"), 502),
        (whole(gzip.compress(ANSWER)[:-9], content_encoding="gzip"), 502),
        (whole(gzip.compress(ANSWER[:30]) + gzip.compress(ANSWER[30:]), content_encoding="gzip"), 200),
        (whole(b"  \n " + ANSWER), 200),
        (streamed(b"\n\n", b'{"error":{"message":"late"}}'), 502),
        (streamed(0.8, SAID + USAGE + b"data: [DONE]\n\n"), 200),
        (whole(b"<html>hello</html>"), 502),
    ],
    ids=["bad utf-8", "deep error", "redirect", "cut gzip", "two gzips", "blanks", "blanks first", "slow", "html"],
)
def test_every_odd_answer_is_settled_once_and_told_truly(serve: Serve, script: Script, status: int) -> None:
    gateway, key = serve(script)
    for request in (STREAM, {"model": "openai:m"}):
        answer = gateway.post("/v1/chat/completions", request, key)
        assert answer.status == status or (request is not STREAM and answer.status in (200, 502))
        assert "location" not in answer.headers
    assert len(gateway.attempts()) == 2
    assert all(attempt.outcome != "crashed" for attempt in gateway.attempts())
    gateway.verify()


def test_an_answer_that_is_no_completion_is_the_providers_error_and_of_unknown_cost(serve: Serve) -> None:
    gateway, key = serve(whole(b"<html>hello</html>"))
    gateway.post("/v1/chat/completions", {"model": "openai:m"}, key)
    attempt = gateway.only_attempt()
    assert (attempt.outcome, attempt.cost_nanousd, attempt.error_code) == ("provider_error", None, "no_completion")


def test_events_that_nobody_asked_for_are_metered_all_the_same(serve: Serve) -> None:
    gateway, key = serve(streamed(SAID + USAGE + b"data: [DONE]\n\n"))
    assert gateway.post("/v1/chat/completions", {"model": "openai:m"}, key).body.startswith(SAID)
    assert gateway.only_attempt().cost_nanousd == 20_000


def test_neither_the_clients_key_nor_ours_comes_out_anywhere(serve: Serve) -> None:
    echo = json.dumps({"error": {"message": "Incorrect API key provided: sk-operators-secret"}}).encode()
    seen: list[bytes] = []

    def answers(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        whole(echo, "401 Unauthorized")(connection, request)

    gateway, key = serve(answers)
    headers = {"ocp-apim-subscription-key": key, "referer": f"http://x/k/{key}/v1", "x-kept": "yes"}
    answer = gateway.post("/v1/chat/completions", {"model": "openai:m"}, key, headers)
    assert b"sk-operators-secret" not in answer.body
    assert "***" in answer.json()["error"]["message"]
    assert key.encode() not in seen[0]
    assert b"x-kept: yes" in seen[0].lower()
    assert "sk-operators-secret" not in (gateway.only_attempt().error_message or "")


def test_what_small_bodies_unpack_to_counts_against_the_servers_bound(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"model":"openai:m","x":"' + b"0" * 900_000 + b'"}')
    with upstream(whole(ANSWER)) as server:
        text = f"""
server: {{port: {free_port()}, max_buffered_mb: 1, max_body_mb: 1}}
providers: {{openai: {{base_url: "{server.url}/v1", credential: env:KEY}}}}
"""
        home = tmp_path / "home"
        with running_gateway(home, text, KEY="sk") as gateway:
            key = gateway.new_key()
            packings = {"content-encoding": "gzip"}
            assert gateway.post("/v1/chat/completions", packed, key, packings).status == 200
            larger = gzip.compress(b'{"model":"openai:m","x":"' + b"0" * (1 << 20) + b'"}')
            assert gateway.post("/v1/chat/completions", larger, key, packings).status == 413
            for _ in range(3):  # what was held is given back
                assert gateway.post("/v1/chat/completions", packed, key, packings).status == 200

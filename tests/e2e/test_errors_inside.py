"""Errors that come inside a 200, what refused clients are told, and calls that name no model."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Gateway, running_gateway
from tests.e2e.upstream import Script, Upstream, streamed, upstream, whole

CHAT = "/v1/chat/completions"
STREAM = {"model": "up:m", "stream": True}
SAID = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"

Serve = Callable[..., tuple[Gateway, str, Upstream]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def serve(*scripts: Script, kind: str = "openrouter", more: str = "") -> tuple[Gateway, str, Upstream]:
            provider = stack.enter_context(upstream(*scripts))
            row = f"up: {{kind: {kind}, base_url: {provider.url}/v1, credential: env:KEY}}"
            gateway = stack.enter_context(
                running_gateway(tmp_path / "home", f"providers:\n  {row}\n{more}", KEY="sk-upstream")
            )
            return gateway, gateway.new_key(), provider

        yield serve


def event(**content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def test_a_stream_whose_first_real_thing_is_an_error_is_told_by_its_status(serve: Serve) -> None:
    comments = b": OPENROUTER PROCESSING\n\n"
    opening = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
    error = event(choices=[], error={"code": 429, "message": "Provider returned error"})
    gateway, key, _ = serve(streamed(comments, opening, 0.05, error))
    answer = gateway.post(CHAT, STREAM, key)
    assert answer.status == 429
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()["error"]
    assert (told["message"], told["code"]) == ("Provider returned error", "429")
    attempt = gateway.only_attempt()
    assert (attempt.outcome, attempt.http_status) == ("provider_error", 200)
    assert (attempt.cost_nanousd, attempt.error_message) == (0, "Provider returned error")
    gateway.verify()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 503, "message": "busy"}, 503),
        ({"code": "502", "message": "gone"}, 502),
        ({"code": "tool_use_failed", "status_code": 400, "message": "no"}, 400),
        ({"code": "invalid_parameter_error", "type": "invalid_request_error", "message": "timed out"}, 502),
        ({"code": 200, "message": "odd"}, 502),
        ("all is lost", 502),
    ],
)
def test_the_status_is_the_errors_own_or_502(serve: Serve, error: Any, status: int) -> None:
    gateway, key, _ = serve(streamed(event(error=error) + DONE), whole(json.dumps({"error": error}).encode()))
    for body in (STREAM, {"model": "up:m"}):
        answer = gateway.post(CHAT, body, key)
        assert answer.status == status
        assert answer.json()["error"]["message"] == (error if isinstance(error, str) else error["message"])
    assert [attempt.outcome for attempt in gateway.attempts()] == ["provider_error"] * 2
    gateway.verify()


def test_a_whole_answer_whose_body_is_an_error_keeps_the_providers_bytes(serve: Serve) -> None:
    body = b'\n  \n{"error":{"message":"Provider returned error","code":400,"metadata":{"provider_name":"x"}}}'
    gateway, key, _ = serve(whole(body, x_request_id="req-7"))
    answer = gateway.post(CHAT, {"model": "up:m"}, key)
    assert (answer.status, answer.body) == (400, body)
    assert answer.headers["x-upstream-request-id"] == "req-7"
    assert gateway.only_attempt().cost_nanousd == 0


def test_an_error_without_its_name_in_a_200_is_one_too(serve: Serve) -> None:
    gateway, key, _ = serve(whole(b'{"success":false,"errors":[{"code":7000,"message":"No route"}]}'))
    answer = gateway.post(CHAT, {"model": "up:m"}, key)
    assert answer.status == 502
    assert answer.json()["error"]["message"] == "No route"


def test_an_error_with_usage_is_billed_as_the_provider_says(serve: Serve) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10, "cost": 0.001}
    gateway, key, _ = serve(streamed(event(choices=[], error={"code": 500, "message": "late"}, usage=usage)))
    assert gateway.post(CHAT, STREAM, key).status == 500
    attempt = gateway.only_attempt()
    assert (attempt.usage.input_tokens, attempt.reported_cost_nanousd) == (10, 1_000_000)


def test_an_error_after_output_stays_in_the_stream_as_the_providers_own_event(serve: Serve) -> None:
    error = b'event: error\ndata: {"error":{"message":"failed","code":"tool_use_failed","status_code":400}}\n\n'
    gateway, key, _ = serve(streamed(SAID, error))
    answer = gateway.post(CHAT, STREAM, key)
    assert answer.status == 200
    assert answer.body == SAID + error
    attempt = gateway.only_attempt()
    assert attempt.outcome == "provider_error"
    assert attempt.usage.output_tokens
    gateway.verify()


def test_our_credential_in_an_error_inside_a_200_is_not_repeated(serve: Serve) -> None:
    error = {"message": "bad key sk-upstream", "code": 401}
    gateway, key, _ = serve(streamed(event(error=error)), whole(json.dumps({"error": error}).encode()))
    for body in (STREAM, {"model": "up:m"}):
        answer = gateway.post(CHAT, body, key)
        assert answer.status == 401
        assert b"sk-upstream" not in answer.body
        assert b"bad key ***" in answer.body


def test_a_refused_client_is_told_when_to_come_back_or_not_to(serve: Serve) -> None:
    slow = b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}'
    poor = b'{"error":{"message":"no money","type":"insufficient_quota","code":"insufficient_quota"}}'
    gateway, key, _ = serve(
        whole(slow, "429 Too Many Requests", retry_after_ms="2500"),
        whole(poor, "429 Too Many Requests", x_should_retry="true"),
    )
    answer = gateway.post(CHAT, {"model": "up:m"}, key)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "3", slow)
    answer = gateway.post(CHAT, {"model": "up:m"}, key)
    assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")


def test_white_space_that_keeps_a_connection_warm_goes_on_to_the_client(serve: Serve) -> None:
    body = b'\n         \n{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}'
    gateway, key, provider = serve(whole(body), more="")
    answer = gateway.post(CHAT, {"model": "up:m"}, key)
    assert (answer.status, answer.body) == (200, body)
    assert gateway.only_attempt().usage.input_tokens == 3
    assert b"x-title" not in provider.requests[-1].lower()


def test_a_call_without_a_model_goes_to_the_only_provider_that_speaks_its_format(serve: Serve) -> None:
    answer = (
        b'{"model":"qwen3.5-2b.gguf","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
    )
    gateway, key, provider = serve(whole(answer), kind="llamacpp")
    sent = b'{"messages":[{"role":"user","content":"hi"}]}'
    assert gateway.post(CHAT, sent, key).status == 200
    assert provider.requests[-1].endswith(b"\r\n\r\n" + sent)
    attempt = gateway.only_attempt()
    assert (attempt.opening.provider, attempt.opening.model_asked, attempt.opening.model) == (
        "up",
        "default",
        "default",
    )
    assert attempt.model_served == "qwen3.5-2b.gguf"
    assert attempt.cost_nanousd == 0


def test_a_call_without_a_model_that_several_providers_could_take_is_refused(serve: Serve) -> None:
    more = "  other: {kind: openai-compatible, base_url: http://127.0.0.1:9/v1}\n"
    gateway, key, _ = serve(whole(b"{}"), more=more)
    answer = gateway.post(CHAT, {"messages": []}, key)
    assert answer.status == 400
    assert answer.json()["error"]["message"].startswith(
        '"model" is missing or empty, and several providers could be meant: up, other'
    )


def test_a_stream_that_finishes_with_an_error_and_says_nothing_costs_nothing(serve: Serve) -> None:
    finish = event(choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}])
    gateway, key, _ = serve(streamed(finish + DONE))
    answer = gateway.post(CHAT, STREAM, key)
    assert answer.status == 502
    assert "ended its stream with an error" in answer.json()["error"]["message"]
    attempt = gateway.only_attempt()
    assert (attempt.outcome, attempt.cost_nanousd) == ("provider_error", 0)
    gateway.verify()


def test_a_provider_that_repeats_our_credential_tells_it_to_nobody(serve: Serve, tmp_path: Path) -> None:
    error = {"code": 401, "message": "bad key sk-upstream"}
    gateway, key, _ = serve(
        streamed(event(error=error)),
        whole(json.dumps({"error": error}).encode()),
        streamed(SAID, 0.05, event(error=error), DONE),
    )
    for body in (STREAM, {"model": "up:m"}, STREAM):
        assert b"sk-upstream" not in gateway.post(CHAT, body, key).body
    told = [attempt.error_message for attempt in gateway.attempts()]
    assert told == ["bad key ***"] * 3
    for file in (tmp_path / "home").rglob("*"):
        assert not file.is_file() or b"sk-upstream" not in file.read_bytes(), file


@pytest.mark.parametrize("name", ["KEY", "api_key", "x"])
def test_the_clients_key_in_the_query_stays_here_whatever_its_name(serve: Serve, name: str) -> None:
    gateway, key, provider = serve(whole(b'{"choices":[{"message":{"content":"hi"}}]}'))
    escaped = "".join(f"%{ord(letter):02x}" for letter in key)
    gateway.post(f"{CHAT}?a=1&{name}={key}&{name}={escaped}&b=2", {"model": "up:m"}, key)
    assert provider.requests[0].startswith(b"POST /v1/chat/completions?a=1&b=2 HTTP/1.1\r\n")

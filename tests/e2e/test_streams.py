"""A stream never lies, and is billed for what it produced."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Gateway, running_gateway
from tests.e2e.upstream import Script, Upstream, hang_up, streamed, upstream, whole

PRICES = """
prices:
  - {model: "openai:m", input: 1, output: 2}
  - {model: "claude:m", input: 1, output: 2}
"""


def settings(server: Upstream, more: str = "") -> str:
    return f"""
providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY, hold_s: 0.4, timeouts: {{idle_s: 1, first_byte_s: 1}}}}
  claude: {{kind: anthropic, base_url: {server.url}, credential: env:KEY, hold_s: 0.4}}
{more}{PRICES}"""


@contextmanager
def serving(tmp_path: Path, *scripts: Script) -> Iterator[tuple[Gateway, str, Upstream]]:
    with upstream(*scripts) as server, running_gateway(tmp_path / "home", settings(server), KEY="sk") as gateway:
        yield gateway, gateway.new_key(), server


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    content = {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def claude(kind: str, **content: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()


OPENING = b'data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}\n\n'
DONE = b"data: [DONE]\n\n"
ASK = {"model": "openai:m", "stream": True, "stream_options": {"include_usage": True}, "messages": []}
ASK_CLAUDE = {"model": "claude:m", "stream": True, "max_tokens": 10, "messages": []}


def last_event(body: bytes) -> Any:
    return json.loads(body.rstrip().rpartition(b"data: ")[2])


@pytest.mark.parametrize("close", [True, False], ids=["connection cut", "body ended in order"])
def test_a_stream_that_breaks_off_ends_in_an_error_and_is_estimated(tmp_path: Path, close: bool) -> None:
    script = streamed(OPENING + chunk("some words "), chunk("and more"), end=not close, close=close)
    with serving(tmp_path, script) as (gateway, key, _):
        answer = gateway.post("/v1/chat/completions", ASK, key)
        assert answer.status == 200
        assert answer.body.startswith(OPENING + chunk("some words ") + chunk("and more"))
        assert last_event(answer.body)["error"]["code"] == "provider_cut"
        attempt = gateway.only_attempt()
    assert (attempt.outcome, attempt.cost_basis) == ("provider_cut", "estimated")
    assert 2 <= (attempt.usage.output_tokens or 0) <= 8
    assert (attempt.cost_nanousd or 0) > 0


def test_a_cut_in_the_middle_of_an_event_leaves_no_half_event(tmp_path: Path) -> None:
    with serving(tmp_path, streamed(chunk("a"), chunk("b")[:25], close=True, end=False)) as (gateway, key, _):
        body = gateway.post("/v1/chat/completions", ASK, key).body
    assert body.startswith(chunk("a") + b"data: {")
    assert last_event(body)["error"]["code"] == "provider_cut"


def test_an_anthropic_stream_that_breaks_off_ends_in_its_own_error_event(tmp_path: Path) -> None:
    start = claude("message_start", message={"model": "m", "usage": {"input_tokens": 50, "output_tokens": 1}})
    text = claude("content_block_delta", index=0, delta={"type": "text_delta", "text": "some words and more"})
    with serving(tmp_path, streamed(start, text, close=True, end=False)) as (gateway, key, _):
        body = gateway.post("/v1/messages", ASK_CLAUDE, key).body
        attempt = gateway.only_attempt()
    assert b"event: error\n" in body
    assert last_event(body)["type"] == "error"
    assert (attempt.usage.input_tokens or 0) == 50
    assert attempt.cost_nanousd == 50 * 1000 + (attempt.usage.output_tokens or 0) * 2000


@pytest.mark.parametrize(
    "script",
    [
        hang_up,
        streamed(end=True),
        streamed(b": PROCESSING\n\n", end=True),
        streamed(OPENING, close=True, end=False),
        streamed(OPENING, end=True),
    ],
    ids=["no answer", "empty", "comment only", "cut after the opening", "ended after the opening"],
)
def test_a_failure_before_the_first_real_output_is_told_by_its_status(tmp_path: Path, script: Script) -> None:
    with serving(tmp_path, script) as (gateway, key, server):
        answer = gateway.post("/v1/chat/completions", ASK, key)
        assert answer.status == 502
        assert answer.json()["error"]["code"] == "provider_cut"
        assert len(server.requests) == 1  # what was sent may be billed: it is not sent again


def test_an_opening_is_held_until_the_first_output_but_not_for_ever(tmp_path: Path) -> None:
    held = streamed(OPENING, 0.1, chunk("a", "stop") + DONE)
    slow = streamed(OPENING, 0.8, chunk("a", "stop") + DONE)
    with serving(tmp_path, held, slow) as (gateway, key, _):
        for waits_s, first in ((0.1, OPENING + chunk("a", "stop") + DONE), (0.4, OPENING)):
            body = json.dumps(ASK).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            with socket.create_connection(("127.0.0.1", gateway.port)) as client:
                began = time.monotonic()
                client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                client.settimeout(5)
                got = client.recv(65_536)
                assert time.monotonic() - began >= waits_s
                assert got.endswith((b"\r\n%b\r\n" % first, b"%b\r\n0\r\n\r\n" % first))
                while not got.endswith(b"0\r\n\r\n"):
                    got += client.recv(65_536)
                assert chunk("a", "stop") in got


def test_an_error_inside_a_stream_passes_and_is_the_providers(tmp_path: Path) -> None:
    error = b'data: {"choices":[],"error":{"code":502,"message":"upstream broke"}}\n\n'
    with serving(tmp_path, streamed(chunk("a"), error)) as (gateway, key, _):
        assert gateway.post("/v1/chat/completions", ASK, key).body == chunk("a") + error
        attempt = gateway.only_attempt()
    assert (attempt.outcome, attempt.error_message) == ("provider_error", "upstream broke")


def test_a_stream_without_done_is_whole_once_it_has_finished(tmp_path: Path) -> None:
    with serving(tmp_path, streamed(chunk("a"), chunk(finish="stop"), USAGE)) as (gateway, key, _):
        assert gateway.post("/v1/chat/completions", ASK, key).body == chunk("a") + chunk(finish="stop") + USAGE
        attempt = gateway.only_attempt()
    assert (attempt.outcome, attempt.cost_basis, attempt.cost_nanousd) == ("ok", "reported", 20_000)


def test_a_silent_stream_is_ended_with_an_error_in_time(tmp_path: Path) -> None:
    with serving(tmp_path, streamed(chunk("a"), end=False)) as (gateway, key, _):
        began = time.monotonic()
        body = gateway.post("/v1/chat/completions", ASK, key).body
        assert time.monotonic() - began < 5
        assert last_event(body)["error"]["code"] == "provider_timeout"
        assert gateway.only_attempt().outcome == "timeout"


def test_a_json_answer_to_a_streamed_request_is_passed_and_metered(tmp_path: Path) -> None:
    body = b'{"model":"m","choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    with serving(tmp_path, whole(body)) as (gateway, key, _):
        assert gateway.post("/v1/chat/completions", ASK, key).body == body
        assert gateway.only_attempt().cost_nanousd == 3000


def test_a_client_that_leaves_cancels_the_provider_and_pays_for_what_arrived(tmp_path: Path) -> None:
    with serving(tmp_path, streamed(chunk("some words and more"), end=False)) as (gateway, key, server):
        body = json.dumps(ASK).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            assert b"some words" in client.recv(65_536)
        deadline = time.monotonic() + 5
        while not gateway.calls() and time.monotonic() < deadline:
            time.sleep(0.02)
        attempt = gateway.only_attempt()
        assert (attempt.outcome, attempt.cost_basis) == ("cancelled", "estimated")
        assert (attempt.usage.output_tokens or 0) >= 2
        assert len(server.requests) == 1


def test_events_arrive_as_they_are_produced(tmp_path: Path) -> None:
    pieces: list[bytes | float] = []
    for n in range(5):
        pieces += [chunk(str(n)), 0.15]
    with serving(tmp_path, streamed(*pieces, chunk(finish="stop") + DONE)) as (gateway, key, _):
        body = json.dumps(ASK).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        seen: list[float] = []
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            got = b""
            while not got.endswith(b"0\r\n\r\n"):
                got += client.recv(65_536)
                seen.append(time.monotonic())
        assert len(seen) >= 5
        assert seen[4] - seen[0] > 0.4

"""What reaches the provider, and what comes back: byte for byte."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support import Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, streamed, upstream, whole

USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
ANSWER = (
    b'{ "id":"x", "model":"gpt-5-mini-2025-08-07",\n "choices":[{"message":{"content":"h\\u00e9"}}], "unknown": [1.50],'
)
ANSWER += b'"usage":' + json.dumps(USAGE).encode() + b"}"
CLAUDE = b'{"type":"message","model":"mock-claude","content":[],"usage":{"input_tokens":100,"output_tokens":10}}'


def settings(server: Upstream) -> str:
    return f"""
providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY}}
  claude: {{kind: anthropic, base_url: {server.url}, credential: env:KEY}}
  lab: {{kind: openai-compatible, base_url: {server.url}/lab/v1, credential: none, free: true}}
models:
  fast: openai:gpt-5-mini
prices:
  - {{model: "claude:mock-claude", input: 300, output: 1500, cache_read: 30, cache_write_5m: 375, cache_write_1h: 600}}
"""


@pytest.fixture(scope="module")
def scripted() -> Iterator[Upstream]:
    with upstream(whole(ANSWER, content_type="application/json", x_request_id="req_9", set_cookie="a=b")) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("home"), settings(scripted), KEY="sk-ours") as running:
        yield running


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key("app")


def test_an_answer_comes_back_byte_for_byte(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/v1/chat/completions", {"model": "gpt-5-mini", "messages": []}, key)
    assert (answer.status, answer.body) == (200, ANSWER)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-upstream-request-id"] == "req_9"
    assert answer.headers["x-farthing-provider"] == "openai"
    assert answer.headers["x-farthing-call-id"].startswith("call_")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("model", ["fast", "openai:gpt-5-mini", "openai/gpt-5-mini", "gpt-5-mini"])
def test_only_the_model_is_replaced_and_every_other_byte_reaches_the_provider(
    gateway: Gateway, key: str, scripted: Upstream, model: str
) -> None:
    template = b' {"messages" : [{"role":"user","content":"a\\u0041\\n","cache_control":{"type":"ephemeral"}}],\n'
    template += b'"temperature":1e0,"model" :%b,"z":{"model":"inner"} } '
    gateway.post("/v1/chat/completions", template % json.dumps(model).encode(), key, {"x-client": "v1", "cookie": "c"})
    head, _, body = scripted.requests[-1].partition(b"\r\n\r\n")
    assert body == template % b'"gpt-5-mini"'
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat/completions http/1.1"
    assert b"authorization: bearer sk-ours" in lines
    assert b"accept-encoding: identity" in lines
    assert b"x-client: v1" in lines
    assert not [line for line in lines if line.startswith((b"cookie", b"x-farthing"))]
    assert key.encode().lower() not in head.lower()


def test_a_compressed_request_is_sent_on_plain(gateway: Gateway, key: str, scripted: Upstream) -> None:
    body = b'{"model":"gpt-5-mini","messages":[]}'
    answer = gateway.post("/v1/chat/completions", gzip.compress(body), key, {"content-encoding": "gzip"})
    assert answer.status == 200
    assert scripted.requests[-1].endswith(b"\r\n\r\n" + body)
    assert b"content-encoding" not in scripted.requests[-1]
    assert gateway.post("/v1/chat/completions", b"x", key, {"content-encoding": "br"}).status == 415


def test_an_unknown_model_of_a_named_provider_is_sent_as_it_is(gateway: Gateway, key: str, scripted: Upstream) -> None:
    answer = gateway.post("/v1/chat/completions", {"model": "lab:qwen3:8b/x", "messages": []}, key)
    assert answer.status == 200
    head, _, body = scripted.requests[-1].partition(b"\r\n\r\n")
    assert json.loads(body)["model"] == "qwen3:8b/x"
    assert head.startswith(b"POST /lab/v1/chat/completions ")
    assert b"authorization" not in head.lower()


def test_anthropics_query_betas_and_version_reach_it(key: str, gateway: Gateway, scripted: Upstream) -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b-2", "x-api-key": key}
    body = json.dumps({"model": "claude:mock-claude", "max_tokens": 5, "messages": []}).encode()
    assert request(gateway.port, "POST", "/v1/messages?beta=true", body, headers).status == 200
    head = scripted.requests[-1].partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post /v1/messages?beta=true ")
    assert b"\r\nx-api-key: sk-ours\r\n" in head
    assert b"\r\nanthropic-beta: a-1,b-2\r\n" in head
    assert head.count(b"anthropic-version:") == 1
    assert b"authorization" not in head


def test_a_key_in_the_path_serves_clients_that_cannot_send_a_header(gateway: Gateway, key: str) -> None:
    body = b'{"model":"mock-claude","max_tokens":5,"messages":[]}'
    assert request(gateway.port, "POST", f"/k/{key}/v1/messages", body).status == 200
    assert request(gateway.port, "POST", "/k/ft-wrong/v1/messages", body).status == 401


def test_a_stream_is_asked_for_usage_and_the_client_does_not_see_it(tmp_path: Path) -> None:
    def chunk(**content: object) -> bytes:
        return b"data: " + json.dumps(content).encode() + b"\n\n"

    said = chunk(model="gpt-5-mini", choices=[{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}])
    finish = chunk(model="gpt-5-mini", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    usage, done = chunk(choices=[], usage=USAGE), b"data: [DONE]\n\n"
    with (
        upstream(streamed(said + finish[:20], finish[20:] + usage, done)) as server,
        running_gateway(tmp_path / "home", settings(server), KEY="sk") as gateway,
    ):
        key = gateway.new_key()
        body = b'{"model":"gpt-5-mini","stream":true,"messages":[]}'
        answer = gateway.post("/v1/chat/completions", body, key)
        assert answer.body == said + finish + done
        assert server.requests[-1].endswith(body[:-1] + b',"stream_options":{"include_usage":true}}')
        asked = b'{"model":"gpt-5-mini","stream":true,"messages":[],"stream_options":{"include_usage":true}}'
        assert gateway.post("/v1/chat/completions", asked, key).body == said + finish + usage + done
        assert server.requests[-1].endswith(b"\r\n\r\n" + asked)
        partly = b'{"stream":true,"stream_options":{"x":1},"model":"gpt-5-mini"}'
        assert gateway.post("/v1/chat/completions", partly, key).body == said + finish + done
        assert json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])["stream_options"] == {
            "x": 1,
            "include_usage": True,
        }
        # gpt-5-mini: 0.25 and 2 dollars per million: 1000 and 200 tokens cost 650,000 nanodollars, three times.
        assert gateway.costs()["total"]["nanousd"] == 3 * 650_000


def test_the_cost_is_exact_to_the_nanodollar(tmp_path: Path) -> None:
    usage = {
        "input_tokens": 7,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "output_tokens": 3,
    }
    body = json.dumps({"type": "message", "model": "mock-claude", "content": [], "usage": usage}).encode()
    with upstream(whole(body)) as server, running_gateway(tmp_path / "home", settings(server), KEY="sk") as gateway:
        key = gateway.new_key()
        ask = {"model": "claude:mock-claude", "max_tokens": 9, "messages": []}
        call_id = gateway.post("/v1/messages", ask, key).headers["x-farthing-call-id"]
        exact = 7 * 300_000 + 1000 * 30_000 + 20 * 375_000 + 10 * 600_000 + 3 * 1_500_000
        assert gateway.costs()["total"]["nanousd"] == exact
        assert gateway.calls()[0]["call_id"] == call_id
        gateway.verify()

"""What is refused, how, and that a refusal has the shape that the client's SDK understands."""

import json
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.support import Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, hang_up, upstream, whole

ANSWER = b'{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


@pytest.fixture(scope="module")
def scripted() -> Iterator[Upstream]:
    with upstream(whole(ANSWER)) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = f"""
providers:
  openai: {{base_url: {scripted.url}/v1, credential: env:KEY}}
  anthropic: {{base_url: {scripted.url}, credential: env:NOT_SET}}
  dead: {{kind: openai-compatible, base_url: http://127.0.0.1:9/v1, credential: none}}
unpriced: refuse
prices:
  - {{model: "openai:m", input: 1, output: 1}}
  - {{model: "dead:m", input: 1, output: 1}}
  - {{model: "anthropic:c", input: 1, output: 1}}
"""
    with running_gateway(tmp_path_factory.mktemp("home"), text, KEY="sk") as running:
        yield running


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key()


ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/v1/models"),
    ("GET", "/models"),
]
WRONG_KEYS: list[dict[str, str]] = [
    {},
    {"authorization": "Bearer "},
    {"authorization": "Bearer sk-proj-foreign"},
    {"authorization": "Bearer ft-" + "A" * 49},
    {"authorization": "Basic ft-"},
    {"x-api-key": "' OR '1'='1"},
    {"x-api-key": "ft-" + "é" * 49},
    {"authorization": "Bearer ft-x", "host": "localhost", "x-forwarded-for": "127.0.0.1"},
    {"x-api-key": "\x00" * 52},
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_refuses_every_wrong_key(gateway: Gateway, scripted: Upstream, method: str, path: str) -> None:
    before = len(scripted.requests)
    for headers in WRONG_KEYS:
        body = b'{"model":"openai:m"}' if method == "POST" else None
        encoded = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
        answer = request(gateway.port, method, path, body, encoded)
        assert answer.status in (400, 401), headers
        assert "message" in answer.json()["error"]
    assert len(scripted.requests) == before


def test_no_refusal_repeats_the_key_that_was_sent(gateway: Gateway) -> None:
    secret = "ft-" + "Z" * 49
    answer = request(gateway.port, "POST", "/v1/messages", b"{}", {"x-api-key": secret})
    assert answer.status == 401
    assert "Z" * 20 not in answer.body.decode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_request"),
        (b"not json", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'{"messages":[]}', 400, "invalid_request"),
        (b'{"model":"nobody-has-this"}', 404, "model_not_found"),
        (b'{"model":"unknown:m"}', 404, "model_not_found"),
        (b'{"model":"openai:unpriced-model"}', 402, "unpriced_model"),
        (b'{"model":"anthropic:c"}', 400, "invalid_request"),
        (
            b'{"model":"anthropic:c","messages":[{"role":"user","content":"x"}],"logprobs":true}',
            400,
            "lost_in_translation",
        ),
        (b'{"model":"dead:m"}', 502, "provider_unreachable"),
        (b'{"model":"openai/m","model":"openai/m"}', 400, "invalid_request"),
    ],
)
def test_a_refusal_says_who_must_act(gateway: Gateway, key: str, body: bytes, status: int, code: str) -> None:
    answer = gateway.post("/v1/chat/completions", body, key)
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert "hint:" in error["message"]


def test_a_failed_call_names_its_line_in_the_ledger(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/v1/chat/completions", {"model": "dead:m"}, key)
    call_id = answer.headers["x-farthing-call-id"]
    assert answer.headers["x-request-id"] == call_id
    assert [one.error_code for one in gateway.attempts() if one.opening.call_id == call_id] == ["provider_unreachable"]
    assert "x-farthing-call-id" not in gateway.post("/v1/chat/completions", {"model": "nobody"}, key).headers


@pytest.mark.parametrize(
    ("path", "headers", "where"),
    [
        ("/v1/chat/completions", {}, ("error", "code")),
        ("/v1/messages", {}, ("error", "type")),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, ("error", "type")),
        ("/v1beta/models/gemini-x:generateContent", {}, ("error", "status")),
        ("/k/ft-secret/api/chat", {}, ("error",)),
        ("/nowhere", {}, ("error", "code")),
    ],
)
def test_a_body_over_the_bound_is_refused_in_the_shape_of_the_face(
    gateway: Gateway, path: str, headers: dict[str, str], where: tuple[str, ...]
) -> None:
    answer = request(gateway.port, "POST", path, None, {"content-length": str(1 << 30), **headers})
    told = answer.json()
    for name in where:
        told = told[name]
    assert answer.status == 413
    assert isinstance(told, str)
    assert "max_body_mb" in answer.body.decode()
    assert "ft-secret" not in answer.body.decode()


def test_a_wrong_method_is_told_with_the_right_one(gateway: Gateway) -> None:
    assert request(gateway.port, "GET", "/v1/messages").headers["allow"] == "POST"


def test_a_provider_without_its_credential_is_the_operators_to_mend(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/v1/messages", {"model": "anthropic:c", "max_tokens": 1, "messages": []}, key)
    assert answer.status == 503
    assert answer.json()["error"]["code"] == "credential_missing"
    assert "NOT_SET" in answer.json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 501),
        ("GET", "/v1/messages", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/images/generations", 501),
        ("POST", "/v1/audio/speech", 501),
        ("POST", "/v1/assistants", 501),
        ("GET", "/v1/realtime", 501),
        ("POST", "/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v1/../health", 404),
        ("GET", "/%2e%2e/admin", 404),
        ("GET", "/admin", 401),
        ("GET", "/admin/login?token=wrong", 401),
    ],
)
def test_unknown_paths_and_methods_are_told_so(gateway: Gateway, method: str, path: str, status: int) -> None:
    assert request(gateway.port, method, path).status == status


def test_the_admin_page_opens_with_its_link_only_and_by_its_own_name(gateway: Gateway) -> None:
    link = gateway.farthing("admin", "link").stdout.strip()
    token = re.search(r"token=(\S+)", link)
    assert token
    login = request(gateway.port, "GET", f"/admin/login?token={token.group(1)}")
    assert login.status == 303
    cookie = login.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    sent = {"cookie": cookie.partition(";")[0]}
    page = request(gateway.port, "GET", "/admin", None, sent)
    assert page.status == 200
    assert "By model" in page.body.decode()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert request(gateway.port, "GET", "/admin", None, {**sent, "host": "evil.example"}).status == 421
    assert token.group(1).encode() not in b"".join(p.read_bytes() for p in gateway.home.rglob("*") if p.is_file())
    gateway.farthing("admin", "link")
    assert request(gateway.port, "GET", "/admin", None, sent).status == 401


def test_the_official_clients_raise_their_own_errors(gateway: Gateway, key: str) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="ft-wrong", max_retries=0)
    messages: Any = [{"role": "user", "content": "x"}]
    with pytest.raises(openai.AuthenticationError, match=r"not a Farthing key|mistyped"):
        client.chat.completions.create(model="openai:m", messages=messages)
    client = client.with_options(api_key=key)
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.chat.completions.create(model="nobody", messages=messages)
    claude = anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0)
    with pytest.raises(anthropic.NotFoundError, match="nobody"):
        claude.messages.create(model="nobody", max_tokens=1, messages=messages)


@pytest.mark.parametrize(
    ("status", "body", "shape"),
    [
        ("401 Unauthorized", b'{"detail":"Unauthorized"}', "rendered"),
        ("429 Too Many Requests", b'{"error":{"message":"slow down","type":"rate_limit"}}', "as it came"),
        ("502 Bad Gateway", b"<html><title>502 Bad Gateway</title></html>", "rendered"),
    ],
)
def test_a_providers_error_keeps_status_message_retry_after_and_request_id(
    tmp_path_factory: pytest.TempPathFactory, status: str, body: bytes, shape: str
) -> None:
    script = whole(body, status, retry_after="7", x_request_id="req_3", content_type="application/octet-stream")
    with upstream(script) as server:
        text = f"providers: {{openai: {{base_url: '{server.url}/v1', credential: env:KEY}}}}"
        with running_gateway(tmp_path_factory.mktemp("home"), text, KEY="sk") as gateway:
            answer = gateway.post("/v1/chat/completions", {"model": "openai:m"}, gateway.new_key())
            assert answer.status == int(status[:3])
            assert answer.headers["retry-after"] == "7"
            assert answer.headers["x-upstream-request-id"] == "req_3"
            if shape == "rendered":
                assert json.loads(answer.body)["error"]["message"] in body.decode()
            else:
                assert answer.body == body
            # A proxy's 502 says nothing of what became of the request, so nor does the ledger.
            assert gateway.costs()["total"]["nanousd"] == (None if status.startswith("502") else 0)


def test_a_provider_that_hangs_up_costs_an_unknown_amount_and_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    with upstream(hang_up) as server:
        text = f"providers: {{openai: {{base_url: '{server.url}/v1', credential: env:KEY}}}}"
        with running_gateway(tmp_path_factory.mktemp("home"), text, KEY="sk") as gateway:
            answer = gateway.post("/v1/chat/completions", {"model": "openai:gpt-5-mini"}, gateway.new_key())
            assert answer.status == 502
            total = gateway.costs()["total"]
            assert total["unknown_cost_attempts"] == 1
            assert total["nanousd"] is None

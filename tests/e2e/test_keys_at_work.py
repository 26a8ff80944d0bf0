"""What is done to a key beside a running gateway, and what its calls are and cost after that."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from farthing.cli.books import change_keys, make_key, rotate_key
from farthing.config.paths import Home
from tests.e2e.support import Answer, Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, upstream, whole

ANSWER = b'{"model":"m","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
COST = 10 * 1000 + 5 * 2000


@pytest.fixture(scope="module")
def provider() -> Iterator[Upstream]:
    with upstream(whole(ANSWER)) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(provider: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = f"""
providers:
  lab: {{kind: vllm, base_url: {provider.url}/v1}}
  other: {{kind: vllm, base_url: {provider.url}/v1}}
models: {{fast: "lab:small"}}
prices:
  - {{model: "*:*", input: 1, output: 2}}
"""
    with running_gateway(tmp_path_factory.mktemp("home"), text) as running:
        yield running


def make(gateway: Gateway, name: str, **fields: Any) -> str:
    _, secret = make_key(Home(gateway.home), lambda ring: ring.create(name, **fields))
    return secret.reveal()


def ask(gateway: Gateway, key: str, model: str | None = "lab:m", **more: Any) -> Answer:
    body = {"messages": [{"role": "user", "content": "x"}], **({} if model is None else {"model": model}), **more}
    return gateway.post("/v1/chat/completions", body, key)


def within_a_second(gateway: Gateway, key: str, status: int) -> Answer:
    """Ask until the answer has this status; raise where it has not a second after the change."""
    deadline = time.monotonic() + 1.0
    while (answer := ask(gateway, key)).status != status:
        assert time.monotonic() < deadline, (answer.status, answer.body)
    return answer


def test_a_rotated_key_and_the_one_before_are_one_until_the_grace_is_over(gateway: Gateway) -> None:
    home, old = Home(gateway.home), make(gateway, "rotated")
    assert ask(gateway, old).status == 200
    _, new = rotate_key(home, lambda ring: ring.rotate("rotated", grace_s=60))
    assert ask(gateway, new.reveal()).status == 200
    assert ask(gateway, old).status == 200
    _, newest = rotate_key(home, lambda ring: ring.rotate("rotated", grace_s=0))
    assert "key_expired" in within_a_second(gateway, old, 403).body.decode()
    assert ask(gateway, new.reveal()).status == 403
    assert ask(gateway, newest.reveal()).status == 200
    total = gateway.costs("--key", "rotated")["total"]
    assert total["calls"] >= 4
    assert total["nanousd"] == total["calls"] * COST


def test_a_disabled_key_is_refused_within_a_second_and_taken_again_at_once(gateway: Gateway) -> None:
    home, key = Home(gateway.home), make(gateway, "switched")
    change_keys(home, lambda ring: ring.disable("switched"))
    within_a_second(gateway, key, 403)
    change_keys(home, lambda ring: ring.enable("switched"))
    assert ask(gateway, key).status == 200


def test_a_key_whose_time_is_over_says_so_until_it_is_given_more(gateway: Gateway) -> None:
    home, key = Home(gateway.home), make(gateway, "guest", expires_at_us=1)
    refused = ask(gateway, key)
    assert (refused.status, refused.json()["error"]["code"]) == (403, "key_expired")
    assert refused.json()["error"]["type"] == "permission_error"
    change_keys(home, lambda ring: ring.expire("guest", None))
    assert ask(gateway, key).status == 200


def test_a_deleted_keys_spend_stays_under_its_name_and_the_name_is_free(gateway: Gateway) -> None:
    home, key = Home(gateway.home), make(gateway, "leaver")
    assert ask(gateway, key).status == 200
    change_keys(home, lambda ring: ring.rename("leaver", "left"))
    change_keys(home, lambda ring: ring.delete("left"))
    within_a_second(gateway, key, 401)
    groups = {row["key"]: row["nanousd"] for row in gateway.costs("--by", "key")["groups"]}
    assert groups["left"] >= COST
    assert "leaver" not in groups
    assert make(gateway, "left") != key
    assert ask(gateway, key).status == 401


def test_a_bound_key_uses_its_model_whatever_is_asked_for(gateway: Gateway, provider: Upstream) -> None:
    key = make(gateway, "bound", bound_model="fast")
    for model in ("other:m", "nobody-has-this", None, "gpt-5"):
        assert ask(gateway, key, model).status == 200
        assert json.loads(provider.requests[-1].partition(b"\r\n\r\n")[2])["model"] == "small"
    assert {row["model"] for row in gateway.costs("--by", "model", "--key", "bound")["groups"]} == {"lab:small"}
    listed = request(gateway.port, "GET", "/v1/models", None, {"authorization": f"Bearer {key}"}).json()["data"]
    assert [row["id"] for row in listed] == ["fast"]
    told = {
        (one.opening.model_asked, one.opening.reasons)
        for one in gateway.attempts()
        if one.opening.attribution.key_name == "bound"
    }
    why = "and the key is bound to 'fast', which means 'lab:small'"
    assert told == {
        ("fast", None),
        *((name, f"'{name}' was asked for, {why}") for name in ("other:m", "nobody-has-this", "gpt-5")),
    }
    call = next(one for one in gateway.calls() if one["model_asked"] == "gpt-5")["call_id"]
    assert f"'gpt-5' was asked for, {why}" in " ".join(gateway.farthing("calls", "show", str(call)).stdout.split())


@pytest.mark.parametrize("asked", ["lab:m", "lab/m", "fast", "lab:small", "other:big-7b"])
def test_a_list_of_models_allows_names_aliases_and_patterns(gateway: Gateway, asked: str) -> None:
    key = make(gateway, f"list {asked.replace('/', ' or ')}", models=("lab:m", "fast", "other:big-*"))
    assert ask(gateway, key, asked).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"model":"other:m"}', 403, "model_not_allowed"),
        (b'{"model":"lab:m2"}', 403, "model_not_allowed"),
        (b'{"model":"nobody-has-this"}', 403, "model_not_allowed"),
        (b"{}", 403, "model_not_allowed"),
        (b'{"model":"lab:m","models":["other:m"]}', 403, "model_not_allowed"),
        (b'{"model":"lab:m","Model":"other:m"}', 403, "model_not_allowed"),
        (b'{"model":"other:m","model":"lab:m"}', 400, "invalid_request"),
        (b'{"m\\u006fdel":"other:m","model":"lab:m"}', 400, "invalid_request"),
    ],
)
def test_another_model_is_refused_before_anything_is_sent(
    gateway: Gateway, provider: Upstream, body: bytes, status: int, code: str
) -> None:
    key = make(gateway, f"strict {body!r}"[:60], models=("lab:m",))
    before = len(provider.requests)
    answer = gateway.post("/v1/chat/completions", body, key)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)
    if status == 403:
        assert "lab:m" in answer.json()["error"]["message"]
        assert "other:big" not in answer.body.decode()
    assert [one for one in provider.requests[before:] if one.startswith(b"POST")] == []


def test_lists_show_a_key_only_what_it_may_use(gateway: Gateway) -> None:
    key = make(gateway, "narrow", models=("fast",))
    shown = {}
    for path in ("/v1/models", "/v1beta/models", "/api/tags"):
        told = request(gateway.port, "GET", path, None, {"authorization": f"Bearer {key}"}).json()
        shown[path] = [row.get("id") or row["name"] for row in told.get("data") or told["models"]]
    both = ["fast", "small"]  # the alias and what it means
    assert shown == {"/v1/models": both, "/v1beta/models": [f"models/{name}" for name in both], "/api/tags": both}


def test_what_a_key_says_of_its_calls_is_on_each_line_and_every_report_can_ask_for_it(gateway: Gateway) -> None:
    who = {"organisation": "acme", "team": "core", "project": "search", "user": "ann", "tags": ("nightly", "ci")}
    key = make(gateway, "owner", **who)
    body = {"model": "lab:m", "messages": []}
    said = {"x-farthing-tags": "ci, release", "x-farthing-task": "t-1", "x-farthing-user": "bob"}
    gateway.post("/v1/chat/completions", body, key)
    gateway.post("/v1/chat/completions", body, key, said)
    assert [line.opening.attribution.tags for line in gateway.attempts()][-2:] == ["nightly,ci", "nightly,ci,release"]
    for by, groups in {
        "organisation": {"acme"},
        "team": {"core"},
        "user": {"ann", "bob"},
        "tag": {"nightly", "ci", "release"},
        "task": {None, "t-1"},
        "face": {"openai"},
    }.items():
        report = gateway.costs("--by", by, "--team", "core", "--since", "24h")
        assert {row[by] for row in report["groups"]} == groups
        assert report["total"]["nanousd"] == 2 * COST
    told = gateway.farthing("costs", "--by", "tag", "--project", "search")
    assert "A call with several tags stands under each of them, and in the total once." in told.stderr


def test_on_one_connection_each_request_is_its_own_keys(gateway: Gateway) -> None:
    first, second = make(gateway, "first"), make(gateway, "second")
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=10)) as connection:
        talk(gateway, connection, first, second)


def talk(gateway: Gateway, connection: HTTPConnection, first: str, second: str) -> None:
    def say(key: str, text: str = "x", **headers: str) -> int:
        body = json.dumps({"model": "lab:m", "messages": [{"role": "user", "content": text}]})
        headers |= {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert [say(first), say(first, "longer"), say(second), say(second), say(first)] == [200] * 5
    assert say(first, **{"x-farthing-project": "p"}) == 200
    assert say(first) == 200
    calls = {row["key"]: row["calls"] for row in gateway.costs("--by", "key")["groups"]}
    assert (calls["first"], calls["second"]) == (5, 2)
    assert gateway.costs("--project", "p")["total"]["calls"] == 1
    change_keys(Home(gateway.home), lambda ring: ring.disable("first"))
    deadline = time.monotonic() + 1.0
    while (status := say(first)) != 403:
        assert time.monotonic() < deadline, status
    assert say(second) == 200

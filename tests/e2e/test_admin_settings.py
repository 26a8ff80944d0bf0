"""What is set through the admin API: prices, providers, other names of models, single values; beside the file."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving import ANSWER, ASK, COST, held_until, said, serving, settings, until
from tests.e2e.support import Answer, Gateway, request, running_gateway, start_gateway
from tests.e2e.upstream import Upstream, whole

TOKEN = "an-admin-token-of-the-tests"
SECRET = "sk-set-through-the-api-0123456789abcdef"
WITHOUT_MODEL = ANSWER.replace(b'"model":"m",', b"")
"""An answer that does not say which model it is of, so that the price of the one that was asked for counts."""
USAGE_COST = 10 * 3000 + 5 * 7000
"""Of the usual answer at 3 and 7 dollars for a million."""


def api(gateway: Gateway, method: str, path: str, body: Any = None, token: str = TOKEN) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    return request(gateway.port, method, f"/admin/v1/{path}", data, {"authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream(whole(WITHOUT_MODEL))
    yield server
    server.close()


def text_of(upstream: Upstream) -> str:
    return settings(upstream).removeprefix("version: 1\n")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    with running_gateway(home, text_of(upstream), KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN) as running:
        yield running
        assert SECRET not in said(home)


def last_call(gateway: Gateway) -> Any:
    call = api(gateway, "GET", "calls?limit=1").json()["calls"][0]
    return api(gateway, "GET", f"calls/{call['id']}").json()["attempts"][0]


def test_a_price_that_is_set_prices_the_next_call_and_no_call_before_it(gateway: Gateway) -> None:
    key, ask = gateway.new_key("prices"), {**ASK, "model": "openai:own"}
    assert gateway.post("/v1/chat/completions", ask, key).status == 200
    assert last_call(gateway)["nanousd"] is None
    put = api(gateway, "PUT", "prices", {"model": "openai:own", "input": "3", "output": 7.0, "request": "0"})
    assert put.status == 200, put.body
    assert (put.json()["input"], put.json()["output"], put.json()["origin"]) == ("3.00", "7.00", "admin-api")
    assert gateway.post("/v1/chat/completions", ask, key).status == 200
    first = last_call(gateway)
    assert (first["nanousd"], first["price_id"].partition("#")[0]) == (USAGE_COST, "admin-api:openai:own")
    assert api(gateway, "PUT", "prices", {"model": "openai:own", "input": "6", "output": "14"}).status == 200
    assert gateway.post("/v1/chat/completions", ask, key).status == 200
    second = last_call(gateway)
    assert second["nanousd"] == 2 * USAGE_COST
    assert second["price_id"] != first["price_id"]
    assert api(gateway, "DELETE", "prices?model=openai:own").status == 204
    assert gateway.post("/v1/chat/completions", ask, key).status == 200
    assert last_call(gateway)["nanousd"] is None
    assert api(gateway, "DELETE", "prices?model=openai:own").status == 404
    costs = [one["nanousd"] for one in api(gateway, "GET", "calls?limit=4").json()["calls"]]
    assert costs == [None, 2 * USAGE_COST, USAGE_COST, None]
    lines = api(gateway, "GET", "audit?subject=prices.openai:own&limit=10").json()["changes"]
    told = [(one["action"], one["before"] and one["before"]["value"]["input"]) for one in lines if one["status"] < 300]
    assert told == [("prices.remove", "6"), ("prices.put", "3"), ("prices.put", None)]


def test_a_models_own_price_comes_before_a_patterns(gateway: Gateway) -> None:
    for model, amount in (("openai:fam-*", "1"), ("openai:fam-large", "9"), ("openai:fam-l*", "5")):
        assert api(gateway, "PUT", "prices", {"model": model, "input": amount, "output": amount}).status == 200
    own = [row["model"] for row in api(gateway, "GET", "prices/own").json()["prices"]]
    assert own == ["openai:m", "openai:fam-large", "openai:fam-l*", "openai:fam-*"]
    found = api(gateway, "GET", "prices?model=openai:fam-large").json()["prices"]
    assert [one["bands"][0]["input"] for one in found] == ["9.00"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "prices", {"model": "openai:m", "input": "1", "output": "1"}),
        ("DELETE", "prices?model=openai:m", None),
        ("PUT", "providers/openai", {"credential": "vault"}),
        ("DELETE", "providers/openai", None),
    ],
)
def test_what_the_file_names_is_answered_with_its_line(gateway: Gateway, method: str, path: str, body: Any) -> None:
    answer = api(gateway, method, path, body)
    assert answer.status == 409
    assert "settings.yaml names" in answer.json()["error"]["message"]
    assert "line " in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("prices", {"model": "nobody:m", "input": "1", "output": "1"}, "names no provider"),
        ("prices", {"model": "openai:x", "input": "2000000", "output": "1"}, "above 1000000"),
        ("prices", {"model": "openai:x", "input": "-1", "output": "1"}, "decimal amount"),
        ("models", {"id": "x y", "model": "openai:m"}, "is not a name"),
        ("models", {"id": "quick", "model": "openai"}, "is not provider:model"),
        ("providers/mine", {}, "not a known provider"),
        ("providers/mine", {"kind": "openai-compatible", "base_url": "ftp://x"}, "http"),
        ("providers/mine", {"kind": "openai", "credential": "env:HOME"}, "credential"),
        ("providers/mine", {"kind": "openai", "credential": "file:/etc/passwd"}, "credential"),
        ("providers/mine", {"kind": "openai", "ca_file": "/etc/passwd"}, "ca_file"),
        ("providers/mine", {"kind": "openai", "key": SECRET, "credential": "none"}, "credential"),
        ("settings/server.max_body_mb", {"value": 0}, "from 1 up to"),
        ("settings/unpriced", {"value": "maybe"}, "allow, refuse"),
        ("settings/translation.meaning", {"value": True}, "refuse"),
    ],
)
def test_what_cannot_be_is_told_and_not_kept(gateway: Gateway, path: str, body: Any, told: str) -> None:
    answer = api(gateway, "PUT", path, body)
    assert answer.status == 422, answer.body
    assert told in answer.body.decode()
    assert SECRET not in answer.body.decode()
    assert api(gateway, "GET", "settings").json()["left_out"] == []


def test_a_provider_is_added_with_its_key_called_and_removed(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.new_key("providers")
    assert gateway.post("/v1/chat/completions", {**ASK, "model": "mine:m"}, key).status == 404
    body = {"kind": "openai-compatible", "base_url": f"{upstream.url}/v1", "key": SECRET, "timeouts": {"idle_s": 5}}
    put = api(gateway, "PUT", "providers/mine", body)
    assert put.status == 200, put.body
    assert (put.json()["origin"], put.json()["credential"]) == ("admin-api", "vault")
    assert put.json()["credentials"] == [{"name": "vault:mine", "missing": None}]
    assert gateway.post("/v1/chat/completions", {**ASK, "model": "mine:m"}, key).status == 200
    assert f"bearer {SECRET}".encode() in upstream.requests[-1].lower().replace(
        SECRET.lower().encode(), SECRET.encode()
    )
    assert api(gateway, "PUT", "models", {"id": "quick", "model": "mine:m"}).json()["provider"] == "mine"
    assert gateway.post("/v1/chat/completions", {**ASK, "model": "quick"}, key).status == 200
    refused = api(gateway, "DELETE", "providers/mine")
    assert refused.status == 409
    assert "models.quick" in refused.json()["error"]["message"]
    assert api(gateway, "DELETE", "models?id=quick").status == 204
    assert api(gateway, "DELETE", "providers/mine").status == 204
    assert gateway.post("/v1/chat/completions", {**ASK, "model": "mine:m"}, key).status == 404
    for path in ("audit", "providers", "settings", "calls"):
        assert SECRET not in api(gateway, "GET", path).body.decode()


def test_a_key_that_is_given_again_takes_the_place_of_the_one_before(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.new_key("rotated")
    for secret in (SECRET, f"{SECRET}-2"):
        body = {"kind": "openai-compatible", "base_url": f"{upstream.url}/v1", "key": secret}
        put = api(gateway, "PUT", "providers/again", body)
        assert [one["name"] for one in put.json()["credentials"]] == ["vault:again"]
        assert gateway.post("/v1/chat/completions", {**ASK, "model": "again:m"}, key).status == 200
        assert f" {secret}\r\n".encode() in upstream.requests[-1]


def test_a_value_is_set_holds_at_once_and_is_taken_back(gateway: Gateway) -> None:
    key, unknown = gateway.new_key("values"), {**ASK, "model": "openai:without-a-price"}
    before = api(gateway, "GET", "settings?path=unpriced").json()["settings"]
    assert before == [{"path": "unpriced", "value": "allow", "origin": "default", "changeable": True}]
    put = api(gateway, "PUT", "settings/unpriced", {"value": "refuse"}).json()
    assert (put["value"], put["origin"]) == ("refuse", "admin-api (admin)")
    assert gateway.post("/v1/chat/completions", unknown, key).status == 402
    assert api(gateway, "DELETE", "settings/unpriced").status == 204
    assert gateway.post("/v1/chat/completions", unknown, key).status == 200
    assert api(gateway, "DELETE", "settings/unpriced").status == 404
    assert api(gateway, "PUT", "settings/server.max_body_mb", {"value": 1}).status == 200
    assert gateway.post("/v1/chat/completions", {**ASK, "x": "y" * (2 << 20)}, key).status == 413
    assert api(gateway, "DELETE", "settings/server.max_body_mb").status == 204
    assert gateway.post("/v1/chat/completions", {**ASK, "x": "y" * (2 << 20)}, key).status == 200


@pytest.mark.parametrize("path", ["server.port", "storage.url", "log.level", "version", "find_local"])
def test_what_is_read_at_the_start_alone_is_not_set_while_it_runs(gateway: Gateway, path: str) -> None:
    answer = api(gateway, "PUT", f"settings/{path}", {"value": "1"})
    assert answer.status in (404, 409), answer.body
    told = answer.body.decode()
    assert answer.status == 404 or "farthing config set" in told or "the file wins" in told


def test_what_was_set_outlives_a_crash_prices_it_and_gives_way_to_the_file(tmp_path: Path, upstream: Upstream) -> None:
    home, environment = tmp_path / "home", {"KEY": "sk-real", "FARTHING_ADMIN_TOKEN": TOKEN}
    own, go_on = {**ASK, "model": "openai:own"}, threading.Event()
    first = start_gateway(home, text_of(upstream), **environment)
    assert api(first, "PUT", "prices", {"model": "openai:own", "input": "3", "output": "7"}).status == 200
    assert api(first, "PUT", "settings/unpriced", {"value": "refuse"}).status == 200
    key, before = first.new_key(), len(upstream.requests)
    upstream.now(held_until(go_on))
    with ThreadPoolExecutor() as calling:
        cut = calling.submit(first.post, "/v1/chat/completions", {**own, "stream": True}, key)
        until(lambda: len(upstream.requests) > before, "the call is under way")
        first.kill()
        go_on.set()
        with suppress(OSError, HTTPException):
            cut.result()
    upstream.now(whole(WITHOUT_MODEL))
    with running_gateway(home, text_of(upstream), **environment) as again:
        crashed = last_call(again)
        assert crashed["price_id"].startswith("admin-api:openai:own#")
        assert crashed["nanousd"] is not None
        assert again.post("/v1/chat/completions", own, key).status == 200
        assert last_call(again)["nanousd"] == USAGE_COST
        again.verify()
        origins = again.farthing("config", "show", "--origin").stdout.splitlines()
        assert [line.split() for line in origins if line.startswith("unpriced")] == [
            ["unpriced", "admin-api", "(admin)", "refuse"]
        ]
        assert "admin-api:openai:own" in again.farthing("prices", "show", "openai:own", "--json").stdout
        (row,) = api(again, "GET", "settings?path=unpriced").json()["settings"]
        assert (row["value"], row["origin"]) == ("refuse", "admin-api (admin)")
        path = home / "settings.yaml"
        path.write_text(path.read_text() + "  - {model: 'openai:own', input: 1, output: 2}\nunpriced: allow\n")
        until(lambda: "unpriced" in str(api(again, "GET", "settings").json()["left_out"]), "the file wins")
        assert api(again, "GET", "settings?path=unpriced").json()["settings"][0]["value"] == "allow"
        assert again.post("/v1/chat/completions", own, key).status == 200
        assert last_call(again)["nanousd"] == COST


def test_what_one_worker_is_told_all_of_them_do(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "home", settings(upstream), "--workers", "3") as gateway:
        token = "fta-" + gateway.farthing("admin", "link").stdout.partition("fta-")[2].split()[0]
        put = api(gateway, "PUT", "prices", {"model": "openai:own", "input": "3", "output": "7"}, token)
        assert put.status == 200, put.body
        key = gateway.new_key()

        def everywhere() -> bool:
            for _ in range(12):  # each on a connection of its own, so by any of the three
                assert gateway.post("/v1/chat/completions", {**ASK, "model": "openai:own"}, key).status == 200
            calls = api(gateway, "GET", "calls?limit=12", None, token).json()["calls"]
            return all(one["nanousd"] == USAGE_COST for one in calls)

        until(everywhere, "every worker prices by it")

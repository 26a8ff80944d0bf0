"""The admin API at work: what is written down of changes, what is told live, several workers, and no secrets."""

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving import ANSWER, ASK, COST, settings, until
from tests.e2e.support import Answer, Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, whole

TOKEN = "an-admin-token-of-the-tests"
BUDGETS = """budgets:
  house: {usd: 20, period: day}
limits:
  polite: {requests_per_minute: 100000}
"""


def api(gateway: Gateway, method: str, path: str, body: Any = None, token: str = TOKEN) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    return request(gateway.port, method, path, data, {"authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream(whole(ANSWER))
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    text = settings(upstream, BUDGETS).removeprefix("version: 1\n")
    with running_gateway(home, text, KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN) as running:
        yield running


def test_every_change_has_a_line_that_says_who_and_what_it_was_before_and_after(gateway: Gateway) -> None:
    manager = api(gateway, "POST", "/admin/tokens", {"name": "rita", "role": "manager", "team": "red"}).json()
    key = api(gateway, "POST", "/admin/keys", {"name": "first"}, manager["token"]).json()
    changed = api(gateway, "PATCH", f"/admin/keys/{key['id']}", {"name": "second", "tags": ["a"]}, manager["token"])
    refused = api(gateway, "PATCH", f"/admin/keys/{key['id']}", {"team": "blue"}, manager["token"])
    assert (changed.status, refused.status) == (200, 403)
    lines = api(gateway, "GET", f"/admin/audit?who={manager['id']}").json()["changes"]
    assert [(one["action"], one["outcome"], one["status"]) for one in lines] == [
        ("keys.change", "refused", 403),
        ("keys.change", "done", 200),
        ("keys.create", "done", 201),
    ]
    done = lines[1]
    assert (done["who_name"], done["role"], done["team"]) == ("rita", "manager", "red")
    assert done["request_id"] == changed.headers["x-request-id"]
    assert (done["before"]["name"], done["after"]["name"], done["after"]["tags"]) == ("first", "second", ["a"])
    assert lines[0]["after"] is None
    page = api(gateway, "GET", "/admin/audit?limit=1").json()
    older = api(gateway, "GET", f"/admin/audit?limit=1&before={page['next']}").json()
    assert older["changes"][0]["id"] < page["changes"][0]["id"]


def test_a_key_lives_its_whole_life_over_http(gateway: Gateway) -> None:
    def works(secret: str) -> int:
        return gateway.post("/v1/chat/completions", ASK, secret).status

    key = api(gateway, "POST", "/admin/keys", {"name": "life", "models": ["openai:*"]}).json()
    path = f"/admin/keys/{key['id']}"
    assert works(key["key"]) == 200
    rotated = api(gateway, "POST", f"{path}/rotate", {"grace_s": 0}).json()
    assert rotated["id"] == key["id"]
    assert (works(key["key"]), works(rotated["key"])) == (403, 200)
    assert api(gateway, "POST", f"{path}/disable").json()["state"] == "disabled"
    assert works(rotated["key"]) == 403
    assert api(gateway, "POST", f"{path}/enable").json()["state"] == "active"
    assert works(rotated["key"]) == 200
    assert api(gateway, "POST", f"{path}/expire").json()["state"] == "expired"
    assert api(gateway, "POST", f"{path}/expire", {"at": None}).json()["state"] == "active"
    assert api(gateway, "PATCH", path, {"models": ["other:*"]}).json()["models"] == ["other:*"]
    assert works(rotated["key"]) == 403
    assert api(gateway, "PATCH", path, {"models": None}).json()["models"] == []
    assert works(rotated["key"]) == 200
    assert api(gateway, "POST", "/admin/keys", {"name": "life"}).status == 409
    assert api(gateway, "POST", f"{path}/revoke").json()["state"] == "revoked"
    assert api(gateway, "POST", f"{path}/revoke").status == 409
    assert api(gateway, "GET", f"{path}/spend").json()["nanousd"] == 4 * COST
    assert api(gateway, "DELETE", path).status == 204
    assert api(gateway, "GET", path).status == 404
    assert api(gateway, "GET", "/admin/spend?by=key&key=life").json()["groups"][0]["nanousd"] == 4 * COST


def test_a_call_of_a_bound_key_tells_what_was_asked_for_and_what_the_key_is_bound_to(gateway: Gateway) -> None:
    key = api(gateway, "POST", "/admin/keys", {"name": "tied", "bound_model": "openai:m"}).json()["key"]
    assert gateway.post("/v1/chat/completions", {**ASK, "model": "zzz"}, key).status == 200
    call = api(gateway, "GET", "/admin/calls?limit=1").json()["calls"][0]["id"]
    reasons = api(gateway, "GET", f"/admin/calls/{call}").json()["reasons"]
    assert reasons == ["'zzz' was asked for, and the key is bound to 'openai:m'"]


def test_a_key_is_shown_and_rotated_with_its_own_budget_and_limit(gateway: Gateway) -> None:
    own = {"budget": {"usd": 1, "period": "day"}, "limits": {"requests_per_minute": 60}}
    made = api(gateway, "POST", "/admin/keys", {"name": "ruled", **own}).json()
    path, ids = f"/admin/keys/{made['id']}", (made["budget_id"], made["limit_id"])
    assert None not in ids
    shown, rotated = api(gateway, "GET", path).json(), api(gateway, "POST", f"{path}/rotate").json()
    assert (shown["budget_id"], shown["limit_id"]) == ids
    assert (rotated["budget_id"], rotated["limit_id"]) == ids
    api(gateway, "PATCH", path, {"budget": None})
    assert (api(gateway, "GET", path).json()["budget_id"], api(gateway, "GET", path).json()["limit_id"]) == (
        None,
        ids[1],
    )


def test_a_key_for_what_nobody_has_is_taken_and_said_so(gateway: Gateway) -> None:
    refused = (
        "No router, alias or model of the price list has the name 'carefull' (routers: none): unless a provider of"
        " yours lists it itself, which only a running gateway asks, its calls are refused."
    )
    made = api(gateway, "POST", "/admin/keys", {"name": "misspelt", "bound_model": "carefull"})
    assert (made.status, made.json()["warnings"]) == (201, [refused])
    path = f"/admin/keys/{made.json()['id']}"
    assert api(gateway, "POST", f"{path}/rotate").json()["warnings"] == [refused]
    changed = api(gateway, "PATCH", path, {"bound_model": None, "models": ["opneai:*", "openai:*", "m"]}).json()
    assert [one.partition(" (")[0] for one in changed["warnings"]] == [
        "No router, alias or model of the price list has the name 'opneai:*'"
    ]
    assert changed["warnings"][0].endswith("that allows nothing.")
    assert api(gateway, "PATCH", path, {"models": ["openai:*", "m"]}).json()["warnings"] == []
    assert "warnings" not in api(gateway, "GET", path).json()


def test_a_change_that_is_refused_leaves_everything_as_it_was(gateway: Gateway) -> None:
    api(gateway, "POST", "/admin/keys", {"name": "taken"})
    key = api(gateway, "POST", "/admin/keys", {"name": "as it was", "user": "ada"}).json()
    path = f"/admin/keys/{key['id']}"
    before = api(gateway, "GET", path).json()
    more = {"user": "bob", "expires_at": "2030-01-01T00:00:00Z", "budget": {"usd": 1}}
    for wrong, status in (({"name": "taken"}, 409), ({"tags": ["a,b"]}, 400), ({"name": " x"}, 400)):
        assert api(gateway, "PATCH", path, more | wrong).status == status
        assert api(gateway, "GET", path).json() == before
        assert api(gateway, "GET", f"/admin/budgets?key_id={key['id']}").json()["budgets"] == []


def test_nobody_escapes_a_projects_budget_by_naming_another_project(gateway: Gateway) -> None:
    limits = {"usd": "0.00001", "period": "day", "scope": {"project": "tight"}}
    assert api(gateway, "POST", "/admin/budgets", {"name": "tight", **limits}).status == 201
    key = api(gateway, "POST", "/admin/keys", {"project": "tight"}).json()
    assert key["fixed"] == ["project"]
    asked = {**ASK, "max_tokens": 5}
    elsewhere = {"x-farthing-project": "loose"}
    assert gateway.post("/v1/chat/completions", asked, key["key"]).status == 402
    assert gateway.post("/v1/chat/completions", asked, key["key"], {"x-farthing-project": "tight"}).status == 402
    before = len(gateway.attempts())
    for path, body in (
        ("/v1/chat/completions", asked),
        ("/v1/responses", {"model": ASK["model"], "input": "hi"}),
        ("/v1/messages", asked),
        (f"/v1beta/models/{ASK['model']}:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
        ("/api/chat", asked),
    ):
        refused = gateway.post(path, body, key["key"], elsewhere)
        assert refused.status == 403, (path, refused.body)
        assert "is for the project 'tight' alone" in refused.body.decode()
    assert len(gateway.attempts()) == before
    opened = api(gateway, "PATCH", f"/admin/keys/{key['id']}", {"fixed": []}).json()
    assert opened["fixed"] == []
    assert gateway.post("/v1/chat/completions", asked, key["key"], elsewhere).status == 200
    assert api(gateway, "POST", "/admin/keys", {"project": "p", "fixed": []}).json()["fixed"] == []
    wrong = api(gateway, "POST", "/admin/keys", {"project": "p", "fixed": ["team"]})
    assert wrong.status == 422


def test_a_budget_is_made_told_and_changed_and_the_files_own_are_not(gateway: Gateway) -> None:
    made = api(
        gateway, "POST", "/admin/budgets", {"name": "site", "usd": "0.5", "period": "day", "scope": {"project": "site"}}
    ).json()
    key = api(gateway, "POST", "/admin/keys", {"project": "site"}).json()
    assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200
    (account,) = api(gateway, "GET", f"/admin/budgets/{made['id']}/accounts").json()["accounts"]
    assert account["subject"] == {"project": "site"}
    assert (account["spent_nanousd"], account["held_nanousd"], account["state"]) == (COST, 0, "open")
    assert account["left_usd"] == "0.499980000"
    assert account["resets_at"].endswith("Z")
    lowered = api(gateway, "PATCH", f"/admin/budgets/{made['id']}", {"usd": "0.00002"}).json()
    assert lowered["nanousd"] == 20_000
    assert gateway.post("/v1/chat/completions", {**ASK, "max_tokens": 5}, key["key"]).status == 402
    assert api(gateway, "POST", "/admin/budgets", {"name": "site", "usd": 1, "period": "day"}).status == 409
    wrong = api(gateway, "POST", "/admin/budgets", {"name": "x", "usd": 1, "period": "day", "time_zone": "Mars"})
    assert wrong.status == 400
    house = next(one for one in api(gateway, "GET", "/admin/budgets").json()["budgets"] if one["name"] == "house")
    assert house["from_file"]
    for method, body in (("PATCH", {"usd": 1}), ("DELETE", None)):
        answer = api(gateway, method, f"/admin/budgets/{house['id']}", body)
        assert answer.status == 409
        assert "settings.yaml:" in answer.json()["error"]["message"]
    assert api(gateway, "DELETE", f"/admin/budgets/{made['id']}").status == 204
    assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200


def test_a_keys_limit_holds_from_its_first_call_on(gateway: Gateway) -> None:
    key = api(gateway, "POST", "/admin/keys", {"limits": {"requests_per_minute": 2}}).json()
    assert [gateway.post("/v1/chat/completions", ASK, key["key"]).status for _ in range(4)] == [200, 200, 429, 429]
    until(lambda: [one["used"] for one in _used(gateway, key)] == [2], "what is used is told")
    (used,) = _used(gateway, key)
    assert (used["rate"], used["limit"], used["left"]) == ("requests_per_minute", 2, 0)
    assert used["resets_at"] > datetime.now(UTC).isoformat()
    shown = api(gateway, "GET", f"/admin/limits/{key['limit_id']}").json()
    assert (shown["target"], shown["rates"]) == ({"key_id": key["id"]}, {"requests_per_minute": 2})
    path = f"/admin/keys/{key['id']}"
    assert api(gateway, "PATCH", path, {"limits": {"requests_per_minute": 4, "usd_per_day": "0.5"}}).status == 200
    (limit,) = api(gateway, "GET", f"/admin/limits?key_id={key['id']}").json()["limits"]
    assert limit["rates"] == {"requests_per_minute": 4, "usd_per_day": "0.500000000"}
    assert api(gateway, "PATCH", path, {"limits": None}).status == 200
    assert api(gateway, "GET", f"/admin/limits?key_id={key['id']}").json()["limits"] == []
    assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200


def _used(gateway: Gateway, key: dict[str, Any]) -> list[dict[str, Any]]:
    (limit,) = api(gateway, "GET", f"/admin/limits?key_id={key['id']}").json()["limits"]
    used: list[dict[str, Any]] = limit["used"]
    return used


def test_a_limit_is_made_and_changed_and_the_files_own_is_not(gateway: Gateway) -> None:
    wanted = {"name": "each", "rates": {"concurrency": 4}, "target": {"key_id": "*", "provider": "openai"}}
    made = api(gateway, "POST", "/admin/limits", wanted).json()
    assert made["target"] == {"key_id": "*", "provider": "openai"}
    path = f"/admin/limits/{made['id']}"
    changed = api(gateway, "PATCH", path, {"enabled": False, "rates": {"tokens_per_day": 5}}).json()
    assert (changed["enabled"], changed["rates"]) == (False, {"tokens_per_day": 5})
    assert api(gateway, "POST", "/admin/limits", wanted).status == 409
    assert api(gateway, "POST", "/admin/limits", {"name": "none", "rates": {}}).status == 400
    house = next(one for one in api(gateway, "GET", "/admin/limits").json()["limits"] if one["name"] == "polite")
    answer = api(gateway, "DELETE", f"/admin/limits/{house['id']}")
    assert answer.status == 409
    assert "settings.yaml:" in answer.json()["error"]["message"]
    assert api(gateway, "DELETE", path).status == 204


def test_a_setting_is_the_files_and_its_line_is_told(gateway: Gateway) -> None:
    answer = api(gateway, "PUT", "/admin/settings/providers.openai.base_url", {"value": "http://evil.example"})
    assert answer.status == 409
    assert "settings.yaml:" in answer.json()["error"]["message"]
    assert api(gateway, "PUT", "/admin/settings/nothing", {"value": 1}).status == 404
    (row,) = api(gateway, "GET", "/admin/settings?path=providers.openai.credential").json()["settings"]
    assert row["value"] == "env:KEY"


def test_calls_spending_and_prices_are_told_exactly(gateway: Gateway) -> None:
    key = api(gateway, "POST", "/admin/keys", {"name": "told", "team": "told", "user": "ada"}).json()
    for _ in range(3):
        assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200
    page = api(gateway, "GET", f"/admin/calls?limit=2&key_id={key['id']}").json()
    rest = api(gateway, "GET", f"/admin/calls?limit=2&key_id={key['id']}&before={page['next']}").json()
    calls = page["calls"] + rest["calls"]
    assert [call["nanousd"] for call in calls] == [COST] * 3
    assert (calls[0]["user"], calls[0]["usd"]) == ("ada", "0.000020000")
    details = api(gateway, "GET", f"/admin/calls/{calls[0]['id']}").json()
    assert details["attempts"][0]["usage"]["output_tokens"] == 5
    assert details["reasons"] == ["'openai:m' means 'openai:m'"]
    spent = api(gateway, "GET", "/admin/spend?team=told&by=user,model").json()
    assert spent["total"]["usd"] == "0.000060000"
    assert spent["groups"][0]["groups"] == {"user": "ada", "model": "m"}
    assert api(gateway, "GET", "/admin/spend?by=tag").status == 200
    assert {one["field"] for one in api(gateway, "GET", "/admin/spend?by=age").json()["error"]["problems"]} == {"by"}
    (price,) = api(gateway, "GET", "/admin/prices?model=openai:m").json()["prices"]
    assert (price["bands"][0]["input"], price["bands"][0]["output"]) == ("1.00", "2.00")
    assert {one["id"] for one in api(gateway, "GET", "/admin/prices?model=*").json()["prices"]} >= {"openai:m"}
    metrics = api(gateway, "GET", "/admin/metrics").json()["metrics"]
    assert "farthing_attempts_in_flight" in {one["name"] for one in metrics}
    (provider,) = api(gateway, "GET", "/admin/providers").json()["providers"]
    assert provider["credential"] == "env:KEY"
    assert provider["last_hour"]["attempts"] >= 3


def test_the_first_key_of_a_home_has_a_line_as_well(gateway: Gateway) -> None:
    (line,) = api(gateway, "GET", "/admin/audit?action=serve").json()["changes"]
    assert (line["outcome"], line["after"]["name"]) == ("done", "my-app-1")
    assert line["who"].startswith("cli:")
    assert api(gateway, "GET", f"/admin/keys/{line['subject']}").json()["name"] == "my-app-1"


def test_calls_are_told_live_to_whom_they_concern(gateway: Gateway) -> None:
    key = api(gateway, "POST", "/admin/keys", {"name": "live", "team": "live"}).json()
    viewer = api(gateway, "POST", "/admin/tokens", {"name": "other", "role": "viewer", "team": "other"}).json()
    connections = []
    for token in (TOKEN, viewer["token"]):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        connection.request("GET", "/admin/v1/events?seconds=2", headers={"authorization": f"Bearer {token}"})
        connections.append(connection)
    answers = [connection.getresponse() for connection in connections]
    assert [answer.readline() for answer in answers] == [b": farthing\n"] * 2
    assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200
    told, others = (answer.read() for answer in answers)
    for connection in connections:
        connection.close()
    (data,) = [line for line in told.split(b"\n") if line.startswith(b"data: ")]
    event = json.loads(data[6:])
    assert (event["type"], event["key_name"], event["nanousd"]) == ("call", "live", COST)
    assert b"data:" not in others


def test_no_answer_holds_a_secret_but_the_one_that_shows_it(gateway: Gateway) -> None:
    key = api(gateway, "POST", "/admin/keys", {"name": "secret"}).json()
    token = api(gateway, "POST", "/admin/tokens", {"name": "secret", "role": "viewer"}).json()
    assert gateway.post("/v1/chat/completions", {**ASK, "user": "canary"}, key["key"]).status == 200
    call = api(gateway, "GET", "/admin/calls?limit=1").json()["calls"][0]["id"]
    paths = [
        "",
        "/keys",
        f"/keys/{key['id']}",
        f"/keys/{key['id']}/spend",
        "/tokens",
        "/audit",
        "/settings",
        "/metrics",
    ]
    paths += ["/providers", "/models", "/prices", "/calls", f"/calls/{call}", "/spend?by=key", "/budgets", "/me"]
    wrong = api(gateway, "POST", "/admin/keys", {"name": key["key"], "team": 1, "user": [key["key"]]})
    bodies = [api(gateway, "GET", f"/admin/v1{path}").body for path in paths] + [wrong.body]
    for body in bodies:
        for secret in (key["key"], token["token"], TOKEN, "sk-real"):
            assert secret.encode() not in body
    database = (gateway.home / "farthing.db").read_bytes() + (gateway.home / "farthing.db-wal").read_bytes()
    assert token["token"].encode() not in database
    assert TOKEN.encode() not in (gateway.home / "serve.log").read_bytes()


def test_a_revoked_token_opens_nothing_from_then_on(gateway: Gateway) -> None:
    token = api(gateway, "POST", "/admin/tokens", {"name": "short", "role": "viewer"}).json()
    assert api(gateway, "GET", "/admin/me", token=token["token"]).json()["name"] == "short"
    assert api(gateway, "DELETE", f"/admin/tokens/{token['id']}").status == 200
    assert api(gateway, "GET", "/admin/me", token=token["token"]).status == 401


def test_a_reader_of_events_does_not_keep_the_gateway_from_stopping(tmp_path: Path, upstream: Upstream) -> None:
    text = settings(upstream).removeprefix("version: 1\n")
    with running_gateway(tmp_path / "home", text, KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        connection.request("GET", "/admin/v1/events", headers={"authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        assert answer.readline() == b": farthing\n"
        gateway.process.terminate()
        assert answer.read() == b"\n"
        assert gateway.process.wait(10) == 0
        connection.close()

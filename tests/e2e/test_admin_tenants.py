"""Two organisations with a team of the same name, each with a manager: neither sees nor changes what is the other's.

And what an admin has set for a team, its manager cannot loosen.
"""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from farthing.server.admin.routes import Route
from farthing.server.admin.table import ADMIN_TABLE
from tests.e2e.serving import ANSWER, ASK, said, settings
from tests.e2e.support import Answer, Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, whole

TOKEN = "an-admin-token-of-the-tests"
ORGANISATIONS = ("acme", "globex")
WITH_IDS = [route for route in ADMIN_TABLE.routes if "{id}" in route.path and "manager" in route.roles]
LISTS = ("keys", "budgets", "limits", "calls", "alerts", "alerts/conditions")
FILE = """budgets:
  of-the-file: {usd: 90, period: day, organisation: acme, team: core}
limits:
  of-the-file: {requests_per_day: 1000, organisation: acme, team: core}
  of-the-named: {requests_per_day: 1000, key: named}
"""


class House:
    """A gateway with two teams `core`, of different organisations, and of each one thing of every kind."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.tokens = {"admin": TOKEN}
        self.things: dict[str, dict[str, dict[str, Any]]] = {}
        for name in ORGANISATIONS:
            for role in ("manager", "viewer"):
                whose = {"organisation": name, "team": "core"}
                made = self.make("tokens", {"name": f"{role} of {name}", "role": role, **whose})
                self.tokens[name if role == "manager" else f"{name} viewer"] = made["token"]
        for name in ORGANISATIONS:
            key = self.make("keys", {"name": f"key of {name}"}, name)
            reached = {"name": f"reached {name}", "usd": "0.000000001", "period": "day", "policy": "soft"}
            budget = self.make("budgets", reached, name)
            limit = self.make("limits", {"name": f"limit {name}", "rates": {"requests_per_day": 900}}, name)
            assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200
            call = self.get("calls", "admin")["calls"][0]
            assert call["key_name"] == f"key of {name}"
            alerts = self.get("alerts", "admin")["alerts"]
            alert = next(one for one in alerts if one["about"]["budget"] == f"reached {name}")
            self.things[name] = {"keys": key, "budgets": budget, "limits": limit, "calls": call, "alerts": alert}

    def make(self, what: str, wanted: dict[str, Any], who: str = "admin") -> dict[str, Any]:
        answer = self.ask("POST", what, wanted, who)
        assert answer.status == 201, answer.body
        found: dict[str, Any] = answer.json()
        return found

    def get(self, path: str, who: str) -> Any:
        answer = self.ask("GET", path, None, who)
        assert answer.status == 200, (path, who, answer.body)
        return answer.json()

    def ask(self, method: str, path: str, body: Any, who: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.tokens[who]}"}
        return request(self.gateway.port, method, f"/admin/v1/{path}", data, headers)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = Upstream(whole(ANSWER))
    home = tmp_path_factory.mktemp("home")
    text = settings(server, FILE).removeprefix("version: 1\n")
    with running_gateway(home, text, KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN) as gateway:
        yield House(gateway)
        assert "an error nobody expected" not in said(home)
    server.close()


@pytest.mark.parametrize("who", [*ORGANISATIONS, "acme viewer", "globex viewer"])
@pytest.mark.parametrize("route", WITH_IDS, ids=[route.name for route in WITH_IDS])
def test_what_the_other_organisations_team_has_is_neither_shown_nor_changed(
    house: House, route: Route, who: str
) -> None:
    (other,) = {*ORGANISATIONS} - {who.split(maxsplit=1)[0]}
    path = route.path.strip("/").replace("{id}", house.things[other][route.parts[0]]["id"])
    body = {"name": "stolen"} if route.method == "PATCH" else None
    assert house.ask(route.method, path, body, who).status == 403


def test_no_list_and_no_sum_has_anything_of_the_other_organisation(house: House) -> None:
    for name in ORGANISATIONS:
        (other,) = {*ORGANISATIONS} - {name}
        for who in (name, f"{name} viewer"):
            told = {path: house.ask("GET", path, None, who).body.decode() for path in LISTS}
            told["reports"] = house.ask("GET", "reports/day?by=key,organisation", None, who).body.decode()
            told["spend"] = house.ask("GET", "spend?by=key,organisation", None, who).body.decode()
            told["key"] = house.ask("GET", f"keys?name=key%20of%20{other}", None, who).body.decode()
            for path, body in told.items():
                assert other not in body, path
                assert (name in body) == (path != "key"), path
            assert house.get("spend", who)["total"]["calls"] == 1
            assert house.get("me", who)["organisation"] == name
            for path in (f"spend?organisation={other}", f"reports/day?organisation={other}"):
                assert house.ask("GET", path, None, who).status == 403
    assert house.get("spend?team=core", "admin")["total"]["calls"] == 2


def test_a_team_cannot_make_anything_in_another_organisation(house: House) -> None:
    assert house.ask("POST", "keys", {"organisation": "globex"}, "acme").status == 403
    key = house.make("keys", {"name": "stays"}, "acme")
    assert (key["organisation"], key["team"]) == ("acme", "core")
    assert house.ask("PATCH", f"keys/{key['id']}", {"organisation": "globex"}, "acme").status == 403
    assert house.ask("PATCH", f"keys/{key['id']}", {"organisation": "acme", "project": "p"}, "acme").status == 200
    scope = {"organisation": "globex", "team": "core"}
    assert (
        house.ask("POST", "budgets", {"name": "b", "usd": "1", "period": "day", "scope": scope}, "acme").status == 403
    )
    rates = {"requests_per_day": 1}
    assert house.ask("POST", "limits", {"name": "l", "rates": rates, "target": scope}, "acme").status == 403
    of_theirs = {"key_id": house.things["globex"]["keys"]["id"]}
    wanted = {"name": "b", "usd": "0", "period": "day", "scope": of_theirs}
    assert house.ask("POST", "budgets", wanted, "acme").status == 403


def test_what_is_about_both_teams_at_once_is_neithers_to_see(house: House) -> None:
    wanted = {"name": "both", "usd": "50", "period": "day", "scope": {"team": "core"}}
    both = house.make("budgets", wanted)
    assert house.gateway.post("/v1/chat/completions", ASK, house.things["acme"]["keys"]["key"]).status == 200
    for name in ORGANISATIONS:
        assert house.ask("GET", f"budgets/{both['id']}/accounts", None, name).status == 403
        assert "both" not in [one["name"] for one in house.get("budgets", name)["budgets"]]
        assert "both" not in [one["name"] for one in house.get("reports/day", name)["budgets"]]
    assert house.ask("DELETE", f"budgets/{both['id']}", None, "admin").status == 204


def test_who_is_refused_by_what_is_about_both_teams_is_not_told_of_the_other(house: House) -> None:
    shared = {"name": "with globex", "usd": "0.0000001", "period": "day", "scope": {"team": "core"}}
    own = {"name": "of acme", "usd": "0.0000002", "period": "day", "scope": {"organisation": "acme", "team": "core"}}
    made = [house.make("budgets", one) for one in (shared, own)]
    key = house.things["acme"]["keys"]["key"]
    answer = house.gateway.post("/v1/chat/completions", ASK, key)
    unpriced = house.gateway.post("/v1/chat/completions", {**ASK, "model": "openai:unheard-of"}, key)
    lists = [house.ask("GET", path, None, who).body for path in LISTS for who in ("acme", "acme viewer")]
    for one in made:
        assert house.ask("DELETE", f"budgets/{one['id']}", None, "admin").status == 204
    assert (answer.status, unpriced.status) == (402, 402)
    told = answer.json()["error"]["message"]
    assert "a budget that other organisations share: what is left of it does not suffice" in told
    assert "budget 'of acme' (organisation 'acme', team 'core'): $" in told
    assert "it begins anew on 20" in told
    assert "a budget that other organisations share" in unpriced.json()["error"]["message"]
    for body in (answer.body, unpriced.body, *lists):
        assert b"globex" not in body
        assert b"0.0000001" not in body


def test_calls_are_told_live_to_their_own_organisation_alone(house: House) -> None:
    connections = []
    for name in ORGANISATIONS:
        connection = http.client.HTTPConnection("127.0.0.1", house.gateway.port, timeout=20)
        headers = {"authorization": f"Bearer {house.tokens[name]}"}
        connection.request("GET", "/admin/v1/events?seconds=1", headers=headers)
        connections.append(connection)
    answers = [connection.getresponse() for connection in connections]
    assert [answer.readline() for answer in answers] == [b": farthing\n"] * 2
    assert house.gateway.post("/v1/chat/completions", ASK, house.things["acme"]["keys"]["key"]).status == 200
    acme, globex = (answer.read() for answer in answers)
    for connection in connections:
        connection.close()
    assert acme.count(b"data:") == 1
    assert b"data:" not in globex


def test_the_audit_log_says_of_which_organisation_a_change_was(house: House) -> None:
    key = house.make("keys", {"name": "audited"}, "globex")
    (line,) = house.get(f"audit?subject={key['id']}", "admin")["changes"]
    assert (line["role"], line["organisation"], line["team"]) == ("manager", "globex", "core")
    assert house.ask("GET", "audit", None, "globex").status == 403


def test_outcomes_are_a_teams_own(house: House) -> None:
    for name, result in (("acme", "success"), ("globex", "failure")):
        told = house.ask("PUT", "outcomes", {"task": "T-1", "result": result}, name)
        assert told.status == 200
        assert (told.json()["organisation"], told.json()["team"]) == (name, "core")
    for name in ORGANISATIONS:
        assert [one["organisation"] for one in house.get("outcomes", f"{name} viewer")["outcomes"]] == [name]
    assert len(house.get("outcomes", "admin")["outcomes"]) == 2
    assert (
        house.ask("PUT", "outcomes", {"task": "T", "result": "success", "organisation": "acme"}, "globex").status == 403
    )
    assert house.ask("PUT", "outcomes", {"task": "T-1", "result": "success"}, "acme viewer").status == 403
    ours = {"task": "T", "result": "success", "organisation": "acme"}
    assert house.ask("PUT", "outcomes", ours, "admin").status == 422, "of which team is to be said"
    for wrong in ({"result": "success"}, {"result": "success", "task": "a", "session": "b"}, {"task": "a"}):
        assert house.ask("PUT", "outcomes", wrong, "admin").status == 422
    (line, *_) = house.get("audit?action=outcomes.tell", "admin")["changes"]
    assert line["outcome"] in ("done", "refused")


def test_a_token_for_a_team_of_several_organisations_must_say_which(house: House) -> None:
    refused = house.ask("POST", "tokens", {"name": "whose", "role": "viewer", "team": "core"}, "admin")
    assert refused.status == 400
    assert "acme" in refused.json()["error"]["hint"]
    assert house.ask("POST", "tokens", {"name": "x", "role": "viewer", "organisation": "acme"}, "admin").status == 400
    house.make("keys", {"name": "of one", "team": "lone", "organisation": "acme"})
    assert house.make("tokens", {"name": "lone", "role": "viewer", "team": "lone"})["organisation"] == "acme"
    assert house.make("tokens", {"name": "new", "role": "viewer", "team": "new"})["organisation"] == "default"


@pytest.mark.parametrize("what", ["budgets", "limits"])
def test_what_an_admin_has_set_no_manager_loosens(house: House, what: str) -> None:
    whose = {"organisation": "acme", "team": "core"}
    new: dict[str, Any] = (
        {"name": "of the admin", "usd": "40", "period": "day", "scope": whose}
        if what == "budgets"
        else {"name": "of the admin", "rates": {"requests_per_day": 800}, "target": whose}
    )
    looser: dict[str, Any] = {"usd": "4000"} if what == "budgets" else {"rates": {"requests_per_day": 8000}}
    rule = house.make(what, new)
    assert rule["set_by"] == "admin"
    path = f"{what}/{rule['id']}"
    assert house.get(path, "acme") == {**rule, **_used(house.get(path, "acme"))}, "it is shown: it is about the team"
    for body in (looser, {"enabled": False}, {"name": "mine"}):
        refused = house.ask("PATCH", path, body, "acme")
        assert refused.status == 403
        assert "set by the admin" in refused.json()["error"]["message"]
    assert house.ask("DELETE", path, None, "acme").status == 403
    if what == "budgets":
        assert house.ask("POST", f"{path}/resume", None, "acme").status == 403
    tighter = house.make(what, {**new, "name": "tighter"}, "acme")
    assert tighter["set_by"] == "manager"
    own = f"{what}/{tighter['id']}"
    assert house.ask("PATCH", own, looser, "acme").status == 200, "it is the team's own"
    assert house.ask("PATCH", own, {"name": "the admin's now"}, "admin").json()["set_by"] == "admin"
    assert house.ask("PATCH", own, looser, "acme").status == 403
    assert house.ask("DELETE", path, None, "admin").status == 204
    assert house.ask("DELETE", own, None, "admin").status == 204


def _used(shown: Any) -> dict[str, Any]:
    return {"used": shown["used"]} if "used" in shown else {}


def test_a_keys_own_budget_and_limits_are_who_set_thems(house: House) -> None:
    rules = {"budget": {"usd": "2", "period": "day"}, "limits": {"requests_per_minute": 5}}
    admins = house.make("keys", {"name": "bound", "organisation": "acme", "team": "core", **rules})
    path = f"keys/{admins['id']}"
    looser: tuple[dict[str, Any], ...] = ({"budget": None}, {"limits": None}, {"limits": {"requests_per_minute": 50}})
    for body in looser:
        assert house.ask("PATCH", path, {"project": "moved", **body}, "acme").status == 403
    assert house.get(path, "acme")["project"] is None, "what is refused changes nothing"
    for rule in (f"budgets/{admins['budget_id']}", f"limits/{admins['limit_id']}"):
        assert house.get(rule, "acme")["set_by"] == "admin"
        assert house.ask("DELETE", rule, None, "acme").status == 403
    managers = house.make("keys", {"name": "loose", **rules}, "acme")
    for body in looser:
        assert house.ask("PATCH", f"keys/{managers['id']}", body, "acme").status == 200
    assert house.ask("PATCH", path, {"budget": None, "limits": None}, "admin").status == 200
    assert house.ask("PATCH", path, {"budget": {"usd": "1"}}, "acme").status == 200, "now there is none but theirs"


@pytest.mark.parametrize("what", ["budgets", "limits"])
def test_what_the_file_says_of_a_team_no_manager_changes(house: House, what: str) -> None:
    (rule,) = [one for one in house.get(what, "acme")[what] if one["from_file"]]
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/resume")):
        if what == "budgets" or path == "":
            body = {"enabled": False} if method == "PATCH" else None
            assert house.ask(method, f"{what}/{rule['id']}{path}", body, "acme").status == 403


def test_a_manager_renames_no_key_out_of_a_limit_that_names_it(house: House) -> None:
    key = house.make("keys", {"name": "named"}, "acme")
    assert house.ask("PATCH", f"keys/{key['id']}", {"name": "nameless"}, "acme").status == 403
    assert house.ask("PATCH", f"keys/{key['id']}", {"name": "nameless"}, "admin").status == 200
    assert house.ask("PATCH", f"keys/{key['id']}", {"name": "other"}, "acme").status == 200

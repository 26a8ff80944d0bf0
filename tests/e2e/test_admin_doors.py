"""Every route of the admin API, and everybody who might knock: a route that nobody decided about is found here."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from farthing.server.admin.routes import Route
from farthing.server.admin.table import ADMIN_TABLE
from farthing.types.admin import ROLES, Role
from tests.e2e.serving import ANSWER, ASK, said, settings
from tests.e2e.support import Answer, Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, whole

TOKEN = "an-admin-token-of-the-tests"
ROUTES = ADMIN_TABLE.routes
WITH_IDS = [route for route in ROUTES if "{id}" in route.path]
OF_TEAMS = [route for route in WITH_IDS if route.parts[0] in ("keys", "budgets", "limits", "calls", "alerts")]
by_name = pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])


class House:
    """A running gateway with somebody of each role, and a thing of one team for each kind of path."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.tokens: dict[str, str] = {"admin": TOKEN}
        for name, role, team in (
            ("viewer", "viewer", None),
            ("red", "manager", "red"),
            ("blue", "manager", "blue"),
            ("blue-viewer", "viewer", "blue"),
            ("gone", "manager", "red"),
            ("red-of-acme", "manager", "red"),
            ("red-viewer-of-acme", "viewer", "red"),
        ):
            wanted = {"name": name, "role": role, "team": team}
            if name.endswith("of-acme"):
                wanted["organisation"] = "acme"
            made = self.ask("POST", "/admin/v1/tokens", wanted).json()
            self.tokens[name] = made["token"]
        gone = next(one for one in self.ask("GET", "/admin/v1/tokens").json()["tokens"] if one["name"] == "gone")
        assert self.ask("DELETE", f"/admin/v1/tokens/{gone['id']}").status == 200
        self.key = self.ask("POST", "/admin/v1/keys", {"name": "of-red", "team": "red"}).json()
        scope = {"team": "red"}
        budget = {"name": "of-red", "usd": "5", "period": "day", "scope": scope}
        self.budget = self.ask("POST", "/admin/v1/budgets", budget).json()
        reached = {"name": "reached", "usd": "0.000000001", "period": "day", "policy": "soft", "scope": scope}
        assert self.ask("POST", "/admin/v1/budgets", reached).status == 201
        limit = {"name": "of-red", "rates": {"requests_per_day": 1000}, "target": scope}
        self.limit = self.ask("POST", "/admin/v1/limits", limit).json()
        assert gateway.post("/v1/chat/completions", ASK, self.key["key"]).status == 200
        self.call = self.ask("GET", "/admin/v1/calls").json()["calls"][0]
        self.alert = next(one for one in self.alerts() if one["about"]["budget"] == "reached")

    def alerts(self, who: str = "admin") -> list[Any]:
        found: list[Any] = self.ask("GET", "/admin/v1/alerts", None, who).json()["alerts"]
        return found

    def path(self, route: Route, thing: str | None = None) -> str:
        ids = {"keys": self.key, "budgets": self.budget, "limits": self.limit, "calls": self.call, "alerts": self.alert}
        own = ids.get(route.parts[0], {"id": "tok_none"})["id"]
        path = route.path.replace("{id}", thing or own).replace("{path}", "unpriced").replace("{name}", "lab")
        return "/admin/v1" + ("" if path == "/" else path) + ("?seconds=1" if route.streams else "")

    def ask(self, method: str, path: str, body: Any = None, who: str | None = "admin", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["authorization"] = f"Bearer {self.tokens[who]}"
        data = None if body is None else json.dumps(body).encode()
        return request(self.gateway.port, method, path, data, sent)

    def knock(self, route: Route, **headers: str) -> Answer:
        return self.ask(route.method, self.path(route), None, None, **headers)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = Upstream(whole(ANSWER))
    home = tmp_path_factory.mktemp("home")
    text = settings(server).removeprefix("version: 1\n")
    with running_gateway(home, text, KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN) as gateway:
        yield House(gateway)
        assert "an error nobody expected" not in said(home)
    server.close()


def test_every_route_says_who_may_use_it_and_nobody_without_a_role_may() -> None:
    assert set(get_args(Role)) == set(ROLES)
    for route in ROUTES:
        assert route.roles, route.name
        assert "admin" in route.roles, route.name
        assert "viewer" not in route.roles or not route.changes, f"{route.name} changes things and lets viewers in"
    names = [route.name for route in ROUTES]
    assert len(set(names)) == len(names)


@by_name
def test_whoever_is_not_known_is_told_the_same_at_every_door(house: House, route: Route) -> None:
    client_key = house.key["key"]
    gone = house.tokens["gone"]
    strangers: list[dict[str, str]] = [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {gone}"},
        {"authorization": f"Bearer {client_key}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": f"Bearer {TOKEN}\xff"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": "Bearer ' OR 1=1 --"},
        {"x-api-key": TOKEN},
        {"cookie": "farthing_admin=0123"},
        {"cookie": f"farthing_admin={TOKEN}", "origin": "http://evil.example"},
        {"host": "evil.example", "x-forwarded-for": "127.0.0.1", "x-forwarded-host": "localhost"},
        {"forwarded": "for=127.0.0.1;host=localhost", "x-real-ip": "127.0.0.1"},
        {"origin": "http://localhost:3000", "sec-fetch-site": "same-origin"},
    ]
    for headers in strangers:
        answer = house.knock(route, **{name.replace("-", "_"): value for name, value in headers.items()})
        assert answer.status in (401, 403, 421), (headers, answer.body)
        assert TOKEN.encode() not in answer.body
        assert client_key.encode() not in answer.body
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@by_name
def test_a_token_opens_what_its_role_may_and_nothing_else(house: House, route: Route) -> None:
    for who, role in (("viewer", "viewer"), ("red", "manager"), ("blue-viewer", "viewer")):
        if role not in route.roles:
            assert house.ask(route.method, house.path(route), None, who).status == 403
    if "manager" not in route.roles:
        assert house.ask(route.method, house.path(route), None, "blue-viewer").status == 403


@pytest.mark.parametrize("route", OF_TEAMS, ids=[route.name for route in OF_TEAMS])
def test_what_is_another_teams_is_neither_shown_nor_changed(house: House, route: Route) -> None:
    body = {"name": "stolen"} if route.method == "PATCH" else None
    for who in ("blue", "blue-viewer", "red-of-acme", "red-viewer-of-acme"):
        assert house.ask(route.method, house.path(route), body, who).status == 403
    if not route.changes:
        assert house.ask(route.method, house.path(route), body, "red").status == 200
    assert house.ask("GET", f"/admin/v1/keys/{house.key['id']}").json()["name"] == "of-red"


@pytest.mark.parametrize("route", WITH_IDS, ids=[route.name for route in WITH_IDS])
def test_an_id_that_is_nobodys_is_not_there(house: House, route: Route) -> None:
    for thing in ("key_01nobody", "of-red", "%00", "..%2f..", "%27%20OR%201=1", "%ff", "x" * 300):
        answer = house.ask(route.method, house.path(route, thing), {} if route.changes else None)
        assert answer.status == 404, (thing, answer.body)


def test_a_manager_sees_and_makes_the_teams_own_alone(house: House) -> None:
    other = house.ask("POST", "/admin/keys", {"name": "of-blue", "team": "blue"}).json()
    nobodys = house.ask("POST", "/admin/keys", {"name": "of-nobody"}).json()
    mine = house.ask("POST", "/admin/keys", {"name": "made-by-red"}, "red").json()
    assert mine["team"] == "red"
    assert {one["name"] for one in house.ask("GET", "/admin/keys", None, "red").json()["keys"]} == {
        "of-red",
        "made-by-red",
    }
    assert house.ask("POST", "/admin/keys", {"team": "blue"}, "red").status == 403
    assert house.ask("PATCH", f"/admin/keys/{mine['id']}", {"team": "blue"}, "red").status == 403
    assert house.ask("PATCH", f"/admin/keys/{mine['id']}", {"team": None}, "red").status == 403
    assert house.ask("GET", "/admin/keys?team=blue", None, "red").status == 403
    for key in (other, nobodys):
        assert house.ask("GET", f"/admin/keys/{key['id']}", None, "red").status == 403
        scope = {"key_id": key["id"]}
        wanted = {"name": f"on {key['name']}", "usd": "1", "period": "day", "scope": scope}
        assert house.ask("POST", "/admin/budgets", wanted, "red").status == 403
    made = house.ask("POST", "/admin/budgets", {"name": "reds", "usd": "1", "period": "day"}, "red").json()
    assert made["scope"] == {"organisation": "default", "team": "red"}
    assert {one["name"] for one in house.ask("GET", "/admin/budgets", None, "red").json()["budgets"]} == {
        "of-red",
        "reached",
        "reds",
    }
    assert house.ask("GET", "/admin/spend?by=team", None, "red").json()["groups"][0]["groups"] == {"team": "red"}
    assert house.ask("GET", "/admin/spend?team=blue", None, "red").status == 403
    report = house.ask("GET", "/admin/reports/day", None, "red").json()
    assert {one["name"] for one in report["budgets"]} == {"of-red", "reached"}
    assert house.ask("GET", "/admin/spend", None, "blue").json()["total"]["calls"] == 0
    assert house.ask("GET", "/admin/calls", None, "blue").json()["calls"] == []
    assert [one["about"]["budget"] for one in house.alerts("red")] == ["reached"]
    assert house.alerts("blue") == []
    held = {
        who: house.ask("GET", "/admin/alerts/conditions", None, who).json()["conditions"] for who in ("red", "blue")
    }
    assert [one["about"]["subject"] for one in held["red"]] == [{"team": "red"}]
    assert held["blue"] == []


def test_a_manager_keeps_to_the_organisation_of_the_team(house: House) -> None:
    first = house.ask("POST", "/admin/keys", {"name": "of-green", "team": "green", "organisation": "acme"})
    assert first.status == 201
    token = house.ask("POST", "/admin/tokens", {"name": "gina", "role": "manager", "team": "green"}).json()["token"]
    house.tokens["green"] = token
    made = house.ask("POST", "/admin/keys", {"name": "green-too"}, "green").json()
    assert made["organisation"] == "acme", "else it would be outside of acme's budgets"
    assert house.ask("POST", "/admin/keys", {"name": "escaped", "organisation": "other"}, "green").status == 403
    path = f"/admin/keys/{made['id']}"
    assert house.ask("PATCH", path, {"organisation": "other"}, "green").status == 403
    assert house.ask("PATCH", path, {"organisation": "acme", "project": "p"}, "green").status == 200
    assert house.ask("PATCH", path, {"organisation": "other"}).status == 200
    house.ask("PATCH", path, {"organisation": "acme"})
    assert house.ask("POST", "/admin/keys", {"name": "of-new-team", "team": "new"}).json()["organisation"] == "default"


def test_the_links_cookie_counts_for_pages_of_ours_alone(house: House) -> None:
    login = request(house.gateway.port, "GET", f"/admin/login?token={TOKEN}")
    cookie = login.headers["set-cookie"].partition(";")[0]
    ours = f"http://127.0.0.1:{house.gateway.port}"
    asked = [
        ("GET", {}, 200),
        ("GET", {"host": "evil.example"}, 421),
        ("GET", {"sec_fetch_site": "cross-site"}, 403),
        ("POST", {}, 403),
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": ours, "sec_fetch_site": "same-site"}, 403),
        ("POST", {"origin": ours}, 201),
        ("POST", {"origin": ours, "sec_fetch_site": "same-origin"}, 201),
    ]
    for method, headers, status in asked:
        answer = house.ask(method, "/admin/v1/keys", None, None, cookie=cookie, **headers)
        assert answer.status == status, (method, headers, answer.body)


def test_no_page_elsewhere_is_given_leave(house: House) -> None:
    for who in (None, "admin"):
        answer = house.ask("OPTIONS", "/admin/v1/keys", None, who, origin="http://evil.example")
        assert answer.status in (401, 405)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_what_there_is_not_and_other_methods_are_told_to_those_who_are_known(house: House) -> None:
    assert house.ask("GET", "/admin/v1/nothing").status == 404
    assert house.ask("GET", "/admin/v1/keys/a/b/c/d").status == 404
    answer = house.ask("DELETE", "/admin/v1/keys")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, GET")
    assert house.ask("HEAD", "/admin/v1/keys").status == 200
    assert house.ask("POST", "/admin/v1/keys", None, content_encoding="gzip").status == 415
    assert house.ask("POST", "/admin/v1/keys", {"name": "x" * 300_000}).status == 413
    assert house.ask("GET", "/admin/v1/keys?limit=0").status == 422
    assert house.ask("GET", "/admin/v1/keys?limit=1&limit=2").status == 422
    assert house.ask("GET", "/admin/v1/keys?limt=1").status == 422


def test_the_page_for_browsers_is_where_it_was(house: House) -> None:
    for path in ("/admin", "/admin/login?token=x"):
        answer = request(house.gateway.port, "GET", path)
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (401, "text/html")
    assert request(house.gateway.port, "GET", "/admin/style.css").status == 200

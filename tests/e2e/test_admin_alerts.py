"""Alerts over the admin API: what was told, channels that are tried, and what nobody took sent again."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.alerts import Fact, Sighting, UnusualSpend
from farthing.types.budgets import Scope
from tests.contracts.ledger_samples import NOON_US
from tests.e2e.serving import by_what_is_asked, settings
from tests.e2e.support import Answer, Gateway, request, running_gateway
from tests.e2e.test_alerts import Heard, receiver
from tests.e2e.upstream import Upstream

TOKEN = "an-admin-token-of-the-tests"
ALERTS = """
alerts:
  channels:
    ops: {kind: webhook, url: env:OPS_URL, secret: env:OPS_SECRET, facts: [threshold]}
    gone: {kind: slack, url: env:GONE_URL, facts: [threshold]}
    unset: {kind: slack, url: env:NOT_SET, facts: [errors]}
  reports:
    weekly: {period: week, channels: [gone]}
"""
SECRETS = {"OPS_SECRET": "s1gn-with-this", "GONE_URL": "http://127.0.0.1:1/t0k3n"}
MADE = {"team": "red", "user": "ole"}


class Side:
    """A gateway with alerts of a team and of a user that no channel took, and a receiver that listens again."""

    def __init__(self, gateway: Gateway, heard: Heard, facts: dict[str, Fact]) -> None:
        self.gateway = gateway
        self.heard = heard
        self.facts = facts
        self.tokens = {"admin": TOKEN}
        for name, role, team in (("red", "manager", "red"), ("blue", "manager", "blue"), ("viewer", "viewer", None)):
            made = self.ask("POST", "/tokens", {"name": name, "role": role, "team": team}).json()
            self.tokens[name] = made["token"]

    def ask(self, method: str, path: str, body: Any = None, who: str = "admin") -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.tokens[who]}"}
        return request(self.gateway.port, method, f"/admin/v1{path}", data, headers)


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    home = tmp_path_factory.mktemp("home")
    facts = asyncio.run(dead_alerts(home))
    with receiver() as (url, heard), closing(Upstream(by_what_is_asked)) as upstream:
        text = settings(upstream, ALERTS).removeprefix("version: 1\n")
        with running_gateway(home, text, KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN, OPS_URL=url, **SECRETS) as gateway:
            yield Side(gateway, heard, facts)


async def dead_alerts(home: Path) -> dict[str, Fact]:
    offload = ThreadOffload()
    store = SqliteStore(home / "farthing.db", offload)
    await store.open()
    told = {}
    for number, (by, name) in enumerate(MADE.items()):
        about = UnusualSpend(
            scope=f"{by} {name!r}",
            subject=Scope(**{by: name}),
            hour_us=NOON_US,
            spent_nanousd=9 * 10**9,
            usual_nanousd=10**9,
            bound_nanousd=3 * 10**9,
            sample_hours=40,
        )
        seen = Sighting(condition=f"unusual {by} {name}", level=1, at_us=NOON_US + number, about=about)
        (told[by],) = await store.alerts.note([seen])
        await store.alerts.route(told[by].id, ["ops"], NOON_US)
        await store.alerts.failed(told[by].id, "ops", "status 500: it fell over", None)
    await store.close()
    await offload.close()
    return told


def test_what_nobody_took_is_shown_and_sent_again_to_who_may_ask(side: Side) -> None:
    dead = side.ask("GET", "/alerts?dead=true").json()
    assert [one["id"] for one in dead["alerts"]] == [side.facts["user"].id, side.facts["team"].id]
    shown = side.ask("GET", f"/alerts/{side.facts['team'].id}", None, "red").json()
    assert (shown["kind"], shown["state"], shown["about"]["spent_usd"]) == ("unusual", "began", "9.000000000")
    assert shown["title"] == "Unusual spending of team 'red'"
    assert (shown["deliveries"][0]["state"], shown["deliveries"][0]["error"]) == ("dead", None)
    assert dead["alerts"][0]["deliveries"][0]["error"] == "status 500: it fell over"
    for who, by, status in (("blue", "team", 403), ("red", "user", 403), ("viewer", "team", 403), ("red", "team", 200)):
        assert side.ask("POST", f"/alerts/{side.facts[by].id}/retry", None, who).status == status, who
    side.heard.wait_for(1)
    assert side.heard.bodies()[0]["id"] == side.facts["team"].id
    assert side.ask("POST", f"/alerts/{side.facts['team'].id}/retry").json() == {"deliveries": 0}
    assert side.ask("POST", "/alerts/retry", None, "red").status == 403
    assert side.ask("POST", "/alerts/retry").json() == {"deliveries": 1}
    side.heard.wait_for(2)
    line = side.ask("GET", "/audit?action=alerts.retry_all").json()["changes"][0]
    assert (line["subject"], line["after"], line["outcome"]) == ("all alerts", {"deliveries": 1}, "done")


def test_alerts_come_in_pages(side: Side) -> None:
    first = side.ask("GET", "/alerts?limit=1").json()
    second = side.ask("GET", f"/alerts?limit=1&before={first['next']}").json()
    assert [page["alerts"][0]["id"] for page in (first, second)] == [side.facts["user"].id, side.facts["team"].id]
    assert second["next"] is None
    assert side.ask("GET", "/alerts?limit=1", None, "red").json()["next"] is None


def test_a_channel_is_tried_and_says_what_came_of_it(side: Side) -> None:
    before = len(side.heard.posts)
    every = {one["channel"]: one for one in side.ask("POST", "/alerts/test").json()["channels"]}
    assert [(name, one["taken"]) for name, one in every.items()] == [("ops", True), ("gone", False), ("unset", False)]
    assert "NOT_SET" in every["unset"]["error"]
    assert side.heard.bodies()[before]["kind"] == "test"
    (one,) = side.ask("POST", "/alerts/test", {"channel": "ops"}).json()["channels"]
    assert (one["channel"], one["taken"], one["error"]) == ("ops", True, None)
    assert side.ask("POST", "/alerts/test", {"channel": "opps"}).status == 404
    for who in ("red", "viewer"):
        assert side.ask("POST", "/alerts/test", None, who).status == 403


def test_no_address_and_no_secret_is_in_anything_that_is_answered(side: Side) -> None:
    listed = side.ask("GET", "/alerts/channels", None, "viewer")
    assert listed.json()["channels"][1] == {
        "name": "gone",
        "kind": "slack",
        "facts": ["threshold"],
        "reports": ["weekly"],
    }
    tried = side.ask("POST", "/alerts/test")
    audit = side.ask("GET", "/audit")
    told = listed.body + tried.body + audit.body + side.ask("GET", "/alerts").body
    for secret in ("t0k3n", *SECRETS.values()):
        assert secret.encode() not in told

"""Where the operator keeps things is told to the operator alone: addresses, paths and accounts are canaries.

The store breaks, a provider is away, a credential is missing, the journal cannot be written: clients and viewers are
told what is the matter, and the log says where.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.errors import (
    CredentialMissing,
    FarthingError,
    LedgerAway,
    OperatorError,
    ProviderUnreachable,
    in_public,
)
from tests.e2e.serving import ANSWER, ASK, said, serving, until
from tests.e2e.support import Answer, Gateway, free_port, request
from tests.e2e.upstream import upstream, whole
from tests.postgres_server import new_schema, psql

TOKEN = "an-admin-token-of-the-tests"
STREAMED = {**ASK, "stream": True}


class House:
    """A gateway whose every place has a name that is nowhere else."""

    def __init__(self, gateway: Gateway, places: list[str], store: str) -> None:
        self.gateway, self.places, self.store = gateway, places, store
        self.key = gateway.new_key()
        limits = {"budget": {"usd": "5"}, "limits": {"requests_per_minute": 50}}
        self.bound = self.admin("POST", "keys", limits).json()["key"]
        told = {"kind": "openai-compatible", "base_url": "http://canary-address.example/v1", "key": "sk-of-the-vault-1"}
        assert self.admin("PUT", "providers/told", told).status == 200
        self.tokens = {}
        for name, role, team in (("viewer", "viewer", None), ("manager", "manager", "core")):
            made = self.admin("POST", "tokens", {"name": name, "role": role, "team": team}).json()
            self.tokens[name] = made["token"]

    def admin(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        return request(self.gateway.port, method, f"/admin/v1/{path}", data, {"authorization": f"Bearer {token}"})

    def told(self, answer: Answer) -> list[str]:
        text = (answer.body + repr(answer.headers).encode()).decode("utf-8", "replace")
        return [place for place in self.places if place in text]

    def break_store(self) -> None:
        if self.store == "postgres":
            url = (self.gateway.home / "canary.url").read_text()
            psql(url, f"DROP SCHEMA {url.rpartition('=')[2]} CASCADE;")
        else:
            (self.gateway.home / "farthing.db").rename(self.gateway.home / "elsewhere")


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    home = tmp_path / "canary-home"
    home.mkdir(mode=0o700)
    away = free_port()
    places = ["canary-", str(tmp_path), f"127.0.0.1:{away}"]
    storage = ""
    if request.param == "postgres":
        url = new_schema()
        (home / "canary.url").write_text(url)
        (home / "canary.url").chmod(0o600)
        storage = f"storage: {{url: 'file:{home}/canary.url'}}\n"
        places += [url, url.partition("://")[2].partition("/")[0], url.rpartition("=")[2]]
    with upstream(whole(ANSWER)) as server:
        text = f"""version: 1
{storage}providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY}}
  away: {{kind: openai-compatible, base_url: "http://127.0.0.1:{away}/v1", credential: env:KEY}}
  file: {{kind: openai-compatible, base_url: {server.url}/v1, credential: "file:{home}/canary-secret.key"}}
prices:
  - {{model: "*:m", input: 1, output: 2}}
"""
        with serving(home, text, FARTHING_ADMIN_TOKEN=TOKEN) as gateway:
            yield House(gateway, [place for place in places if place], request.param)


def test_nothing_says_where_anything_is(house: House) -> None:
    for model, code in (("away:m", "provider_unreachable"), ("file:m", "credential_missing")):
        for ask in (ASK, STREAMED):
            answer = house.gateway.post("/v1/chat/completions", {**ask, "model": model}, house.key)
            assert answer.json()["error"]["code"] == code
            assert not house.told(answer), answer.body
    assert "canary-secret.key" in said(house.gateway.home)
    for who in house.tokens.values():
        for path in ("providers", "settings", "calls", "audit", "metrics", "models", "alerts", "reports/day"):
            assert not house.told(house.admin("GET", path, token=who)), path
    for path in ("providers", "audit"):
        assert "canary-address" in house.admin("GET", path).body.decode(), "the admin is told"
    assert "canary-secret.key" in house.admin("GET", "providers").body.decode()
    lines = house.admin("GET", "audit", token=house.tokens["viewer"]).json()["changes"]
    assert {"value": "(for the admin)"} in [one["after"] for one in lines if one["action"] == "providers.put"]
    assert "viewer" not in [(one["after"] or {}).get("name") for one in lines], "tokens are the admin's, too"
    assert any((one["after"] or {}).get("shown") for one in lines if one["action"] == "keys.create")

    house.break_store()
    until(lambda: request(house.gateway.port, "GET", "/ready").status == 503, "the gateway has noticed")
    broken = [house.admin("GET", path, token=who) for who in house.tokens.values() for path in ("keys", "spend", "me")]
    if house.store == "postgres":  # of a file, what is open may be read on
        assert {answer.status for answer in broken} == {503}
    broken += [house.gateway.post("/v1/chat/completions", ask, house.bound) for ask in (ASK, STREAMED)]
    broken += [request(house.gateway.port, "GET", path) for path in ("/ready", "/health")]
    broken.append(house.gateway.post("/v1/chat/completions", ASK, "ft-" + "x" * 43))
    for answer in broken:
        assert not house.told(answer), answer.body
    if house.store == "postgres":
        assert house.told(house.admin("GET", "keys")), "the admin is told where it is"
        assert "is answered with 503 store_error" in said(house.gateway.home)

    journal = house.gateway.home / "journal"
    journal.rename(house.gateway.home / "away")
    journal.write_bytes(b"somebody's file")
    asked = [house.gateway.post("/v1/chat/completions", ASK, house.key)]
    until(lambda: _refused(house, asked), "the gateway has noticed")
    assert asked[-1].json()["error"]["code"] == "journal_unwritable"
    assert not house.told(asked[-1]), asked[-1].body


def _refused(house: House, asked: list[Answer]) -> bool:
    asked.append(house.gateway.post("/v1/chat/completions", ASK, house.key))
    return asked[-1].status == 503


def _operators(kind: type[FarthingError] = OperatorError) -> Iterator[type[FarthingError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _operators(one)


@pytest.mark.parametrize("kind", sorted(_operators(), key=str))
def test_what_is_the_operators_to_mend_is_told_in_words_without_a_place(kind: type[FarthingError]) -> None:
    told = in_public(kind("It is at canary-place.", hint="look at canary-place", retry_after_s=3))
    assert (told.status, told.code, told.retry_after_s, type(told)) == (kind.status, kind.code, 3, kind)
    if kind.__name__ in ("Overloaded", "Draining", "LedgerAway"):
        assert told.message == "It is at canary-place.", "these are made of nothing but our own words"
    elif kind is CredentialMissing:
        assert "canary" not in told.message
    else:
        assert "canary" not in str(told)


def test_what_is_told_of_a_call_stays_with_it() -> None:
    error = ProviderUnreachable("Cannot connect to http://canary-place:1.", hint="check base_url")
    error.public, error.call_id = "Cannot connect to the provider.", "call_1"
    told = in_public(error)
    assert (str(told), told.call_id) == ("Cannot connect to the provider. (hint: check base_url)", "call_1")
    away = LedgerAway("It is away.")
    assert in_public(away) is away

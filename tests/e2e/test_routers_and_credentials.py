"""Models of a router whose providers have several credentials: each is tried as for a call that names the model.

Every try is held, settled and counted, and has a line of its own; and nothing counts twice.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from farthing.types.calls import Attempt
from tests.e2e.budget_load import TOKENS, ask, calls_at_once
from tests.e2e.serving import serving
from tests.e2e.support import Answer, Gateway, running_gateway
from tests.e2e.test_credentials import Accounts
from tests.e2e.upstream import upstream
from tests.e2e.watched import watched

CHAT = "/v1/chat/completions"
COST = 1_000 + 2_000
"""Of one token read and one written, in nanodollars."""
KEYS = {f"K{number}": f"sk-{number}" for number in (1, 2, 3, 4)}
Said = tuple[str, dict[str, str]]
FULL: Said = ("429 Too Many Requests", {"retry-after": "600"})
REFUSED: Said = ("401 Unauthorized", {})
FORBIDDEN: Said = ("403 Forbidden", {})


class House:
    """A gateway with a router of two models, whose providers have two credentials each, and what was asked of those."""

    def __init__(self, gateway: Gateway, accounts: Accounts) -> None:
        self.gateway = gateway
        self.accounts = accounts
        self.key = gateway.new_key()

    def ask(self, model: str = "pair", session: str | None = None, path: str = CHAT, **more: Any) -> Answer:
        body = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], **more}
        headers = {"x-farthing-explain": "1", **({"x-farthing-session": session} if session else {})}
        return self.gateway.post(path, body, self.key, headers)

    def now(self, **says: Said) -> None:
        """Have keys be answered so from here on, the others well."""
        self.accounts.says = {f"sk-{name[1:]}": said for name, said in says.items()}
        self.accounts.asked.clear()

    def tried(self, model: str = "pair", session: str | None = None, path: str = CHAT) -> tuple[list[str], int]:
        """Return which keys a call was made with, and its status; each of them has a line, and no other is there."""
        before = len(self.gateway.attempts())
        self.accounts.asked.clear()
        status = self.ask(model, session, path).status
        lines = self.gateway.attempts()[before:]
        keys = list(self.accounts.asked)
        assert [line.opening.credential for line in lines] == [f"env:K{key[3:]}" for key in keys]
        see_that_they_are_of_one_call(lines)
        return keys, status

    def spent(self) -> int:
        """Return what the budget has spent."""
        (told,) = json.loads(self.gateway.farthing("budget", "list", "--json").stdout)
        return sum(int(account["spent_nanousd"]) for account in told["accounts"])

    def used(self) -> dict[str, int]:
        """Return what is used of each limit and quota."""
        listed = json.loads(self.gateway.farthing("limits", "list", "--json").stdout)
        return {
            one["id"] if one["name"] == "quota" else one["name"]: one["used"][0]["used"]
            for one in listed
            if one["used"]
        }


def see_that_they_are_of_one_call(lines: list[Attempt]) -> None:
    assert len({line.opening.call_id for line in lines}) <= 1
    assert [line.opening.ordinal for line in lines] == list(range(1, len(lines) + 1))
    assert all((line.outcome == "ok") == (line.cost_nanousd == COST) for line in lines)
    assert all((line.outcome == "provider_error") == (line.cost_nanousd == 0) for line in lines)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    accounts = Accounts()
    with ExitStack() as stack:
        server = stack.enter_context(upstream(accounts))
        each = "requests_per_day: 500"
        text = f"""
providers:
  work:
    kind: openai
    base_url: {server.url}/v1
    credentials: [{{source: env:K1, weight: 3, {each}}}, {{source: env:K2, {each}}}]
  spare:
    kind: openai-compatible
    base_url: {server.url}/v1
    credentials: [{{source: env:K3, {each}}}, {{source: env:K4, {each}}}]
prices:
  - {{model: "work:m", input: 1, output: 2}}
  - {{model: "spare:m", input: 1, output: 2}}
routers:
  pair: {{models: [work:m, spare:m]}}
budgets:
  all: {{usd: 1, period: total}}
limits:
  calls: {{router: pair, requests_per_day: 500}}
  tokens: {{router: pair, output_tokens_per_day: 500}}
  at once: {{router: pair, concurrency: 1}}
  tries at work: {{provider: work, requests_per_day: 500}}
"""
        gateway = stack.enter_context(running_gateway(tmp_path, text, **KEYS))
        yield House(gateway, accounts)
        gateway.verify()


def test_every_credential_of_the_first_model_is_tried_before_the_next_model(house: House) -> None:
    house.now(K1=REFUSED, K2=FULL)
    keys, status = house.tried()
    assert (sorted(keys[:2]), keys[2:], status) == (["sk-1", "sk-2"], ["sk-3"], 200)
    assert house.spent() == COST
    until_used(house, {"calls": 1, "tokens": 1, "at once": 0, "tries at work": 2}, {1: 1, 2: 1, 3: 1, 4: 0})
    # Both rest now, so nobody asks them, and there is no line of it.
    answer = house.ask()
    assert (answer.status, answer.headers["x-farthing-provider"]) == (200, "spare")
    assert "'work:m': " in answer.headers["x-farthing-reasons"]
    assert "K1" not in answer.headers["x-farthing-reasons"]
    assert house.accounts.asked[-1] == "sk-4", "they take turns"
    until_used(house, {"calls": 2, "tokens": 2, "at once": 0, "tries at work": 2}, {1: 1, 2: 1, 3: 1, 4: 1})
    assert house.spent() == 2 * COST


def test_one_refused_credential_does_not_cost_a_model_its_turn(house: House) -> None:
    house.now(K1=FULL)
    tried = [house.tried() for _ in range(4)]
    assert {status for _, status in tried} == {200}
    assert sum("sk-1" in keys for keys, _ in tried) == 1, "it rests"
    assert all(keys[-1] == "sk-2" for keys, _ in tried)
    until_used(house, {"calls": 4, "tokens": 4, "at once": 0, "tries at work": 5}, {1: 1, 2: 4, 3: 0, 4: 0})
    assert house.spent() == 4 * COST


def test_where_every_credential_of_every_model_is_refused_the_last_word_is_the_answer(house: House) -> None:
    house.now(K1=REFUSED, K2=REFUSED, K3=REFUSED, K4=FULL)
    keys, status = house.tried()
    assert (sorted(keys[:2]), sorted(keys[2:])) == (["sk-1", "sk-2"], ["sk-3", "sk-4"])
    assert status in (401, 429)
    assert house.spent() == 0
    until_used(house, {"calls": 1, "tokens": 0, "at once": 0, "tries at work": 2}, {1: 1, 2: 1, 3: 1, 4: 1})
    # All of them rest; nobody is asked, and the client is told when to come again, or that the operator must act.
    keys, status = house.tried()
    assert (keys, status in (429, 503)) == ([], True)
    until_used(house, {"calls": 1, "tokens": 0, "at once": 0, "tries at work": 2}, {1: 1, 2: 1, 3: 1, 4: 1})


def test_a_403_lets_a_credential_rest_only_where_another_one_is_let_in(house: House) -> None:
    house.now(K1=FORBIDDEN, K2=FORBIDDEN)
    for _ in range(2):
        keys, status = house.tried()
        assert (sorted(keys[:2]), status) == (["sk-1", "sk-2"], 200)
        assert keys[2] in ("sk-3", "sk-4")
    house.now(K1=FORBIDDEN)
    tried = [house.tried()[0] for _ in range(4)]
    assert sum("sk-1" in keys for keys in tried) <= 1
    assert all(keys[-1] == "sk-2" for keys in tried)


def test_weights_and_conversations_choose_a_routers_credentials_as_a_direct_calls(house: House) -> None:
    house.now()
    turns = [house.ask().status for _ in range(8)]
    assert turns == [200] * 8
    assert Counter(house.accounts.asked) == {"sk-1": 6, "sk-2": 2}
    sessions = [f"s{number}" for number in range(12)]
    direct = [house.tried("work:m", session)[0] for session in sessions]
    assert [house.tried("pair", session)[0] for session in sessions] == direct
    assert {keys[0] for keys in direct} == {"sk-1", "sk-2"}


def test_calls_in_another_format_and_streams_try_credentials_too(house: House) -> None:
    house.now(K1=REFUSED)
    tried = [house.tried(path="/v1/messages") for _ in range(2)]
    assert {status for _, status in tried} == {200}
    assert all(keys[-1] == "sk-2" for keys, _ in tried)
    house.now(K1=REFUSED, K2=REFUSED)
    keys, status = house.tried(path="/v1/messages")
    assert (keys[-1] in ("sk-3", "sk-4"), status) == (True, 200)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_a_crowd_fills_the_quotas_of_every_model_and_none_beyond(tmp_path: Path, workers: int) -> None:
    quotas = {1: 20, 2: 10, 3: 30, 4: 5}

    def credentials(*numbers: int) -> str:
        return ", ".join(f"{{source: env:K{number}, requests_per_day: {quotas[number]}}}" for number in numbers)

    with watched() as fake:
        text = f"""version: 1
providers:
  work: {{kind: openai, base_url: {fake.url}, credentials: [{credentials(1, 2)}]}}
  spare: {{kind: openai-compatible, base_url: {fake.url}, credentials: [{credentials(3, 4)}]}}
prices:
  - {{model: "work:*", input: 1, output: 4}}
  - {{model: "spare:*", input: 1, output: 4}}
routers:
  pair: {{models: [work:fake-model, spare:fake-model]}}
budgets:
  all: {{usd: 1, period: total}}
"""
        with serving(tmp_path, text, "--workers", str(workers), **KEYS) as gateway:
            bodies = [ask(number, limit=TOKENS) | {"model": "pair"} for number in range(150)]
            seen = asyncio.run(calls_at_once(gateway.port, gateway.new_key(), bodies))
            assert set(seen) == {200, 429}, seen
            assert 0.9 * sum(quotas.values()) <= seen[200] <= sum(quotas.values()), seen
            for number, most in quotas.items():
                assert 0 < fake.served[f"sk-{number}"] <= most
            assert sum(fake.served.values()) == seen[200] == len(gateway.attempts())
            gateway.verify()


def until_used(house: House, limits: dict[str, int], quotas: dict[int, int]) -> None:
    """See that this is used of every limit, and of the quota of each key; another process is told a moment later."""
    providers = {1: "work", 2: "work", 3: "spare", 4: "spare"}
    expected = limits | {f"quota:{providers[number]}:env:K{number}": used for number, used in quotas.items() if used}
    deadline = time.monotonic() + 5
    while (found := {name: used for name, used in house.used().items() if used or name in expected}) != expected:
        assert time.monotonic() < deadline, (found, expected)
        time.sleep(0.1)

"""Quotas and limits of credentials over a real gateway: none is used beyond its own, and a full one is passed over."""

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import ANY

from farthing.testing.fake_provider import FakeProvider
from farthing.testing.fakes.script import Reply
from tests.e2e.budget_load import PRICES, TOKENS, ask
from tests.e2e.serving import serving, until
from tests.e2e.support import Gateway
from tests.e2e.watched import CHAT, crowd, usage, watched

KEYS = {f"K{number}": f"sk-{number}" for number in (1, 2, 3)}


def settings(fake: FakeProvider, credentials: str, more: str = "") -> str:
    provider = f"openai: {{base_url: {fake.url}, credentials: [{credentials}]}}"
    return f"version: 1\nproviders:\n  {provider}\n{PRICES}{more}\n"


def test_a_crowd_fills_every_credential_and_none_beyond_its_quota(tmp_path: Path) -> None:
    credentials = "{source: env:K1, requests_per_day: 20}, {source: env:K2, requests_per_day: 40, weight: 2}"
    with (
        watched() as fake,
        serving(tmp_path, settings(fake, credentials), "--workers", "3", **KEYS) as gateway,
    ):
        key = gateway.new_key()
        heard = crowd(gateway, key, 200)
        assert {one.status for one in heard} == {200, 429}
        assert 19 <= fake.served["sk-1"] <= 20
        assert 38 <= fake.served["sk-2"] <= 40
        until(lambda: gateway.post(CHAT, ask(1), key).status == 429, "both are full")
        refused = gateway.post(CHAT, ask(1), key)
        assert refused.json()["error"]["code"] == "credentials_spent"
        assert "each of the 2 credentials that could be used for provider 'openai'" in refused.body.decode()
        assert not re.search(r"K1|K2|sk-", refused.body.decode())
        assert 86_000 < int(refused.headers["retry-after"]) <= 86_400 + 1_440
        assert fake.served == {"sk-1": 20, "sk-2": 40}
        until(lambda: _told(gateway, "env:K2") == ("requests_per_day", 40, 40, 0), "what is used is told")
        gateway.verify()


def test_quotas_of_tokens_of_money_and_of_calls_at_once_hold_too(tmp_path: Path) -> None:
    kinds = {"by-tokens": "tokens_per_day: 1200", "by-money": "usd_per_hour: 0.002", "by-calls": "concurrency: 7"}
    with watched(0.2) as fake:
        reached = f"kind: openai-compatible, base_url: {fake.url}"
        providers = "".join(
            f"  {name}: {{{reached}, credentials: [{{source: env:K{number}, {most}}}]}}\n"
            for number, (name, most) in enumerate(kinds.items(), 1)
        )
        prices = "".join(f'  - {{model: "{name}:fake-model", input: 1, output: 4}}\n' for name in kinds)
        with serving(tmp_path, f"version: 1\nproviders:\n{providers}prices:\n{prices}", **KEYS) as gateway:
            key = gateway.new_key()
            crowd(gateway, key, 60, "by-calls")
            used: dict[str, list[tuple[int, int]]] = {"by-tokens": [], "by-money": []}
            for name, found in used.items():
                # What a call may use is more than what it does; what is left over by one crowd is for the next.
                while heard := usage(crowd(gateway, key, 40, name)):
                    found.extend(heard)
    assert 1200 * 0.8 <= sum(read + written for read, written in used["by-tokens"]) <= 1200
    assert 2_000_000 * 0.8 <= sum(read * 1000 + written * 4000 for read, written in used["by-money"]) <= 2_000_000
    assert fake.most["sk-3"] == 7


def test_a_limit_of_a_credential_moves_calls_and_one_of_a_key_refuses_them(tmp_path: Path) -> None:
    more = "limits:\n  first: {credential: 'env:K1', requests_per_hour: 3}\n  mine: {key: me, requests_per_hour: 8}"
    with (
        watched(0) as fake,
        serving(tmp_path, settings(fake, "env:K1, env:K2", more), **KEYS) as gateway,
    ):
        key = gateway.new_key("me")
        answers = [gateway.post(CHAT, ask(number), key) for number in range(9)]
        assert [one.status for one in answers] == [200] * 8 + [429]
        assert fake.served == {"sk-1": 3, "sk-2": 5}
        assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
        assert "'mine'" in answers[-1].body.decode()
        left = [int(one.headers["x-ratelimit-remaining-requests"]) for one in answers[:8]]
        assert left == [7, 6, 5, 4, 3, 2, 1, 0], "clients are told of their own limits alone"
        until(lambda: "3     0" in gateway.farthing("limits", "list").stdout, "what is used is told")
        assert [line.split() for line in gateway.farthing("limits", "list").stdout.splitlines()[1:]] == [
            ["first", "(credential", "'env:K1')", "3", "requests", "per", "hour", "3", "0", ANY, "settings.yaml"],
            ["mine", "(key", "'me')", "8", "requests", "per", "hour", "8", "0", ANY, "settings.yaml"],
        ]


def test_a_conversation_moves_while_its_credential_is_full_and_a_call_too_large_for_one_is_made_with_another(
    tmp_path: Path,
) -> None:
    credentials = "{source: env:K1, tokens_per_hour: 500}, {source: env:K2, tokens_per_hour: 5000}"
    with (
        watched(0) as fake,
        serving(tmp_path, settings(fake, credentials), **KEYS) as gateway,
    ):
        key = gateway.new_key()
        assert [gateway.post(CHAT, ask(number, limit=1000), key).status for number in range(4)] == [200] * 4
        assert fake.served == {"sk-2": 4}
        too_large = gateway.post(CHAT, ask(9, limit=5001), key)
        assert too_large.status == 429
        assert "retry-after" not in too_large.headers
        assert too_large.headers["x-should-retry"] == "false"
        assert "of a credential" in too_large.body.decode()
        session = {"x-farthing-session": "one"}
        for number in range(30):
            assert gateway.post(CHAT, ask(number, limit=TOKENS), key, session).status == 200
        assert fake.served["sk-2"] > 4 + 20 if "sk-1" in fake.served else fake.served["sk-2"] == 34


def test_a_try_that_failed_leaves_nothing_held(tmp_path: Path) -> None:
    more = "budgets:\n  all: {usd: 0.0013, period: total, policy: hard}\n"
    with watched(0) as fake:
        each = "tokens_per_hour: 300, concurrency: 1"
        credentials = ", ".join(f"{{source: env:K{number}, {each}}}" for number in (1, 2))
        with serving(tmp_path, settings(fake, credentials, more), **KEYS) as gateway:
            key = gateway.new_key()
            fake.next(Reply(fault="rate_limited", retry_after_s=1))
            assert gateway.post(CHAT, ask(1, limit=150), key).status == 200
            assert fake.served == {"sk-1": 1, "sk-2": 1}
            # Had the first try kept its tokens, its money or its place, so large a call would not fit there.
            until(lambda: gateway.post(CHAT, ask(2, limit=200), key).status == 200, "the first one is back")
            assert fake.served["sk-1"] == 2
            assert [one.outcome for one in gateway.attempts()] == ["provider_error", "ok", "ok"]


def test_what_was_used_of_a_quota_outlives_a_kill(tmp_path: Path) -> None:
    credentials = "{source: env:K1, requests_per_day: 64}"
    with watched(0) as fake:
        with serving(tmp_path, settings(fake, credentials), **KEYS) as gateway:
            key = gateway.new_key()
            assert {gateway.post(CHAT, ask(number), key).status for number in range(20)} == {200}
            gateway.kill()
        with serving(tmp_path, settings(fake, credentials), **KEYS) as gateway:
            crowd(gateway, key, 80)
            assert 20 < fake.served["sk-1"] <= 64, "what was leased ahead, twice the pace, counts as used"


def _told(gateway: Gateway, credential: str) -> tuple[Any, ...]:
    """Return what the command line tells of a quota: which it is, its amount, what is used and what is left."""
    listed = {one["id"]: one for one in json.loads(gateway.farthing("limits", "list", "--json").stdout)}
    (told,) = listed[f"quota:openai:{credential}"]["used"]
    return told["rate"], told["limit"], told["used"], told["left"]

"""`farthing alerts` and `farthing budget show|forecast`, on a home that has something to show."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.clock import SystemClock
from farthing.config.paths import Home
from farthing.ledger.budget_rules import period_of
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.history import HOUR_US
from tests.contracts.ledger_samples import attempt

USD = 10**9


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A month of a dollar an hour, and a budget of which more than that is spent already."""

    async def fill() -> None:
        made = Home(tmp_path / "home")
        made.create()
        now_us = SystemClock().now_us()
        offload = ThreadOffload()
        store = SqliteStore(made.database, offload)
        await store.open()
        past = range(now_us - 30 * 24 * HOUR_US, now_us - HOUR_US, HOUR_US)
        await store.append(
            [attempt(n, started_at_us=at, ended_at_us=at + 1, cost_nanousd=USD) for n, at in enumerate(past)]
        )
        rule = Budget(id="bud_1", name="total", scope=Scope(), limit_nanousd=10 * USD, period="total")
        for one in (rule, Budget(id="bud_2", name="idle", scope=Scope(user="*"), limit_nanousd=USD, period="week")):
            await store.budgets.put(one)
        start_us, end_us = period_of(rule, now_us)
        ask = LeaseAsk(key=AccountKey("bud_1", 1, Scope(), start_us), end_us=end_us)
        await store.budgets.exchange("a", [ask], now_us=now_us, until_us=now_us + HOUR_US)
        await store.append([attempt(9_999, started_at_us=now_us, ended_at_us=now_us, cost_nanousd=9 * USD)])
        (fact,) = await store.alerts.unrouted(9)
        await store.alerts.route(fact.id, ["ops"], now_us)
        await store.alerts.failed(fact.id, "ops", "status 410: gone", None)
        await store.close()
        await offload.close()

    asyncio.run(fill())
    return tmp_path / "home"


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["--home", str(home), *arguments], catch_exceptions=False)


def data(home: Path, *arguments: str) -> Any:
    return json.loads(run(home, *arguments, "--json").stdout)


def test_an_alert_is_listed_in_words_with_where_it_went(home: Path) -> None:
    shown = run(home, "alerts", "list")
    assert "Budget 'total': less than 25 % is left" in shown.stdout
    assert "ops: dead, status 410: gone" in shown.stdout
    assert "alerts retry --all" in shown.stderr
    (told,) = data(home, "alerts", "list", "--dead")
    assert (told["about"]["spent_usd"], told["deliveries"][0]["state"]) == ("9.000000000", "dead")


def test_an_alert_about_a_key_names_it_as_it_is_called(home: Path) -> None:
    key_id = json.loads(run(home, "keys", "create", "laptop", "--json").stdout)["id"]
    run(home, "budget", "set", "small-one", "--usd", "1", "--period", "total", "--key", "laptop")
    rule_id = next(one["id"] for one in data(home, "budget", "list") if one["name"] == "small-one")

    async def spend() -> None:
        now_us, offload = SystemClock().now_us(), ThreadOffload()
        store = SqliteStore(Home(home).database, offload)
        await store.open()
        (rule,) = [one for one in await store.budgets.all() if one.id == rule_id]
        ask = LeaseAsk(key=AccountKey(rule_id, rule.version, rule.scope, period_of(rule, now_us)[0]), end_us=None)
        await store.budgets.exchange("a", [ask], now_us=now_us, until_us=now_us + HOUR_US)
        mine = {"key_id": key_id, "key_name": "laptop", "started_at_us": now_us, "ended_at_us": now_us}
        await store.append([attempt(10_000, cost_nanousd=USD * 99 // 100, **mine)])
        await store.close()
        await offload.close()

    asyncio.run(spend())
    assert "Budget 'small-one' (key 'laptop'): less than 5 % is left" in run(home, "alerts", "list").stdout
    (told,) = [one for one in data(home, "alerts", "list") if one["about"]["budget"] == "small-one"]
    assert (told["title"].partition(":")[0], told["about"]["scope"]) == (
        "Budget 'small-one' (key 'laptop')",
        "key 'laptop'",
    )
    assert told["about"]["subject"] == {"key_id": key_id}


def test_what_no_channel_took_is_sent_again_by_its_ids_beginning(home: Path) -> None:
    (told,) = data(home, "alerts", "list")
    assert "will be tried again" in run(home, "alerts", "retry", told["id"][:12]).stderr
    assert "none to try again" in run(home, "alerts", "retry", "--all").stderr
    assert run(home, "alerts", "retry", "alert_none").exit_code == 1
    assert run(home, "alerts", "retry").exit_code == 2


def test_a_test_needs_a_channel(home: Path) -> None:
    (home / "settings.yaml").write_text("version: 1\nalerts:\n  channels:\n    ops: {kind: slack, url: env:NO_URL}\n")
    assert "ops" in run(home, "alerts", "test", "other").stderr
    tried = run(home, "alerts", "test")
    assert tried.exit_code == 1
    assert "NO_URL is not set" in tried.stdout


def test_a_budget_is_shown_with_its_state_and_pace(home: Path) -> None:
    shown = run(home, "budget", "show", "total").stdout
    assert "limit  10.00 USD, once, hard" in shown
    assert "left   1.00" in shown
    assert "free and cheaper models are preferred" in shown
    assert "at this pace $10.00 is reached at" in shown
    (told,) = data(home, "budget", "show", "total")
    assert (told["state"], told["account"]["left_nanousd"]) == ("prefer_cheaper", USD)
    assert told["forecast"]["reached_at"] is not None


def test_a_budget_of_which_nothing_was_spent_says_so(home: Path) -> None:
    assert "nothing in this period yet" in run(home, "budget", "show", "idle").stdout
    assert run(home, "budget", "show", "none").exit_code == 1


def test_what_is_leased_is_told_unless_it_is_all_that_is_left(home: Path) -> None:
    async def lease(nanousd: int) -> None:
        now_us, offload = SystemClock().now_us(), ThreadOffload()
        store = SqliteStore(Home(home).database, offload)
        await store.open()
        (account,) = await store.budgets.accounts("bud_1", now_us=now_us)
        ask = LeaseAsk(key=account.key, end_us=account.end_us, need_nanousd=nanousd)
        await store.budgets.exchange("b", [ask], now_us=now_us, until_us=now_us + HOUR_US)
        await store.close()
        await offload.close()

    asyncio.run(lease(USD // 4))
    told = run(home, "budget", "show", "total").stdout
    assert "  left   1.00, 0.25 of it leased by gateways for their calls\n" in told
    asyncio.run(lease(USD * 3 // 4))
    assert "  left   1.00\n" in run(home, "budget", "show", "total").stdout


def test_a_budget_without_a_period_speaks_of_none(home: Path) -> None:
    for period in ("total", "session"):
        run(home, "budget", "set", period + "-own", "--usd", "1", "--period", period, "--session", "*")
        for how in ("show", "forecast"):
            told = run(home, "budget", how, period + "-own").stdout
            assert "spent" in told
            assert "nothing yet\n" in told


def test_a_forecast_tells_its_interval_and_what_it_is_drawn_from(home: Path) -> None:
    shown = run(home, "budget", "forecast").stdout
    assert "80 % between" in shown
    assert "days of this account" in shown
    assert "no period is over by which a forecast could be judged" in shown

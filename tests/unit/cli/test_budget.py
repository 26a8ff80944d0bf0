"""`farthing budget` as somebody meets it who makes the first one."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.clock import SystemClock
from farthing.config.paths import Home
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from tests.contracts.ledger_samples import attempt

USD = 10**9


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which a call for $2 ended just now, and no budget was made."""

    async def fill() -> None:
        made = Home(tmp_path / "home")
        made.create()
        now_us = SystemClock().now_us()
        offload = ThreadOffload()
        store = SqliteStore(made.database, offload)
        await store.open()
        await store.append([attempt(1, started_at_us=now_us, ended_at_us=now_us, cost_nanousd=2 * USD)])
        await store.close()
        await offload.close()

    asyncio.run(fill())
    return tmp_path / "home"


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["--home", str(home), "budget", *arguments], catch_exceptions=False)


def test_what_was_made_is_said_as_a_person_would_say_it(home: Path) -> None:
    said = run(home, "set", "daily", "--usd", "10", "--period", "day", "--at", "25:warn", "--at", "5:pause").stderr
    assert "Made the budget 'daily': $10.00 every day for all calls, hard. It begins anew at 20" in said
    assert "00:00 (UTC). With less left: warn below 25 %, pause below 5 %." in said
    said = run(home, "set", "each", "--usd", "1", "--period", "total", "--user", "*", "--soft").stderr
    assert "Made the budget 'each': $1.00 once for each user, soft. With less left: prefer_cheaper" in said
    said = run(home, "set", "each", "--off").stderr
    assert "Changed the budget 'each': $1.00 once for each user, soft, switched off." in said


def test_a_budget_of_every_byte_is_shown_as_one_and_can_be_made_another(home: Path) -> None:
    said = run(home, "set", "sure", "--usd", "10", "--period", "day", "--holds", "every_byte").stderr
    assert "$10.00 every day for all calls, hard to the byte." in said
    assert "limit        10.00 USD, every day, hard to the byte" in run(home, "show").stdout
    assert [json.loads(run(home, how, "--json").stdout)[0]["holds"] for how in ("show", "list")] == ["every_byte"] * 2
    assert ", hard. It begins" in run(home, "set", "sure", "--holds", "estimate").stderr
    refused = run(home, "set", "sure", "--holds", "bytes")
    assert "'estimate', 'every_byte'" in refused.stderr


def test_what_was_spent_before_a_budget_was_made_is_not_shown_as_left(home: Path) -> None:
    run(home, "set", "monthly", "--usd", "10", "--period", "month")
    shown = run(home, "show").stdout
    assert "spent        2.00 by earlier calls, which count from the next one on" in shown
    assert "left         8.00" in shown
    assert "begins anew  20" in shown
    (_, row) = run(home, "list").stdout.splitlines()
    assert row.split() == ["monthly", "8.00", "10.00", "2.00", "month"]
    run(home, "set", "monthly", "--user", "*")
    assert "nothing in this period yet" in run(home, "show").stdout


def test_long_names_and_exact_amounts_end_within_100_columns_and_nothing_is_cut(home: Path) -> None:
    run(home, "set", "of-the-search-team", "--usd", "12345.678901", "--period", "month", "--team", "a-rather-long-team")
    run(home, "set", "b" * 40, "--usd", "12345.678901", "--period", "day", "--user", "someone@example.com", "--soft")
    lines = run(home, "list").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert "\n".join(lines).count("12,345.678901") == 4
    (at,) = (number for number, line in enumerate(lines) if line.startswith("of-the-search-team"))
    assert lines[at].split()[-4:] == ["12,345.678901", "12,345.678901", "0.00", "month"]
    assert "(team 'a-rather-long-team')" in " ".join(" ".join(lines[at : at + 3]).split())
    assert f"{'b' * 40} (user" in lines[1]
    assert lines[2].strip() == "'someone@example.com')"


def test_amounts_stand_below_each_other_with_their_points_aligned(home: Path) -> None:
    run(home, "set", "all", "--usd", "1000.5", "--period", "total", "--soft")
    run(home, "set", "core", "--usd", "0.000123", "--period", "day", "--team", "core")
    assert run(home, "list").stdout.splitlines() == [
        "BUDGET                    LEFT            OF  SPENT  PERIOD",
        "all                 998.50      1,000.50       2.00  total   soft",
        "core (team 'core')    0.000123      0.000123   0.00  day",
    ]


def test_what_is_not_paused_does_not_go_on(home: Path) -> None:
    run(home, "set", "daily", "--usd", "10", "--period", "day", "--at", "5:pause")
    assert "is not paused; nothing was changed" in run(home, "resume", "daily").stderr


def test_of_a_budget_that_is_not_there_yet_only_what_lacks_is_asked_for(home: Path) -> None:
    assert "to make it, give --period too." in run(home, "set", "new", "--usd", "1", "--team", "x").stderr
    assert "to make it, give --usd too." in run(home, "set", "new", "--period", "day").stderr
    assert "to make it, give --usd and --period." in run(home, "set", "new", "--soft").stderr


def test_the_actions_of_a_threshold_are_in_the_help_and_in_the_refusal(home: Path) -> None:
    assert "prefer_cheaper" in run(home, "set", "--help").stdout
    assert "'shout' is no action; one of: warn, prefer_cheaper" in run(home, "set", "x", "--at", "5:shout").stderr
    assert json.loads(run(home, "list", "--json").stdout) == []

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.clock import SystemClock
from farthing.config.paths import Home
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.limits import WindowAsk
from farthing.types.windows import sub_window_us


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"FARTHING_HOME": str(tmp_path / "home")})


def test_a_limit_is_made_changed_listed_and_removed(runner: CliRunner) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    made = runner.invoke(
        root, ["limits", "set", "polite", "requests_per_minute=60", "usd_per_day=2.5", "--key", "laptop"]
    )
    assert made.exit_code == 0, made.stderr
    assert "Made the limit 'polite' (key 'laptop'): 60 requests per minute, $2.50 per day." in made.stderr
    runner.invoke(root, ["keys", "rename", "laptop", "desk"])
    changed = runner.invoke(root, ["limits", "set", "polite", "usd_per_day=none", "concurrency=4"])
    assert changed.exit_code == 0, changed.stderr
    assert "Changed the limit 'polite' (key 'desk'): 60 requests per minute, 4 at once." in changed.stderr
    assert runner.invoke(root, ["limits", "list"]).stdout.splitlines() == [
        "LIMIT                AT MOST                 USED  LEFT  ALL BACK IN",
        "polite (key 'desk')  60 requests per minute     0    60",
        "                     4 at once                  0     4",
    ]
    (told,) = json.loads(runner.invoke(root, ["limits", "list", "--json"]).stdout)
    assert told["rates"] == {"requests_per_minute": 60, "concurrency": 4}
    assert told["target"]["calls"] == "key 'desk'"
    assert runner.invoke(root, ["limits", "remove", "polite"]).exit_code == 0
    assert json.loads(runner.invoke(root, ["limits", "list", "--json"]).stdout) == []


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (["requests_per_second=1"], "is no rate; one of requests_per_minute"),
        (["requests_per_minute=1.5"], "says no whole number"),
        (["usd_per_day=0.0000000001"], "at most nine decimals"),
        ([], "limits nothing"),
        (["concurrency=1", "--key", "nobody"], "Unknown key 'nobody'"),
        (["concurrency=1", "--credential", "work"], "the source of one credential: env:NAME, file:/path or vault:NAME"),
    ],
)
def test_what_is_no_limit_is_refused_with_the_way_out(runner: CliRunner, told: list[str], why: str) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    refused = runner.invoke(root, ["limits", "set", "x", *told])
    assert refused.exit_code != 0
    assert why in refused.stderr + str(refused.exception)


def use(home: Path, window: str, limit: int, used: int) -> None:
    """Have so much used of a window of requests a minute, now."""

    async def tell() -> None:
        offload, now_us = ThreadOffload(), SystemClock().now_us()
        store = SqliteStore(Home(home).database, offload)
        await store.open()
        counts = ((now_us // sub_window_us(60_000_000), used),)
        ask = WindowAsk(window=window, window_us=60_000_000, limit=limit, counts=counts)
        await store.windows.exchange("one", [ask], now_us=now_us, lease_us=10_000_000)
        await store.close()
        await offload.close()

    asyncio.run(tell())


def test_a_limit_of_four_rates_is_named_once_and_ends_within_100_columns(runner: CliRunner, tmp_path: Path) -> None:
    rates = ("requests_per_minute=1000", "tokens_per_hour=1000000", "usd_per_day=12345.67", "concurrency=4")
    runner.invoke(root, ["keys", "create", "laptop"])
    told = runner.invoke(root, ["limits", "set", "for-everybody-who-asks", *rates, "--user", "*", "--team", "search"])
    assert told.exit_code == 0, told.stderr
    (limit,) = json.loads(runner.invoke(root, ["limits", "list", "--json"]).stdout)
    use(tmp_path / "home", f"{limit['id']}/requests/60|team 'search', user 'someone@example.com'", 1, 1)
    lines = runner.invoke(root, ["limits", "list"]).stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("for-everybody-who-asks" in line for line in lines) == 1
    assert " ".join(" ".join(lines).split()).count(" per ") == 3


def test_who_uses_most_of_a_limit_of_each_stands_in_a_column_of_its_own(runner: CliRunner, tmp_path: Path) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    runner.invoke(root, ["limits", "set", "polite", "requests_per_minute=1", "tokens_per_hour=1000000", "--user", "*"])
    (limit,) = json.loads(runner.invoke(root, ["limits", "list", "--json"]).stdout)
    use(tmp_path / "home", f"{limit['id']}/requests/60|user 'ann'", 1, 1)
    head, requests, tokens = runner.invoke(root, ["limits", "list"]).stdout.splitlines()
    assert head == "LIMIT               AT MOST                    USED       LEFT  ALL BACK IN  MOST BY"
    assert requests.startswith("polite (each user)  1 request per minute          1          0  ")
    assert requests.endswith("  user 'ann'")
    assert tokens == "                    1,000,000 tokens per hour     0  1,000,000"


def test_a_limit_about_a_provider_that_there_is_not_is_made_and_said_so(runner: CliRunner, tmp_path: Path) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    (tmp_path / "home" / "settings.yaml").write_text("version: 1\nproviders: {openai: {credential: env:K}}\n")
    made = runner.invoke(root, ["limits", "set", "home", "concurrency=2", "--provider", "olama"])
    assert "No provider is called 'olama' (there are: openai), so it is about no call until one is." in made.stderr
    assert "No provider" not in runner.invoke(root, ["limits", "set", "home", "--provider", "openai"]).stderr

import asyncio
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.ledger.journal import Journal
from farthing.ledger.journal_reader import segments
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.database import open_database, shipped_migrations
from farthing.storage.sqlite.inspection import migrations_wait
from farthing.types.calls import Attempt
from farthing.types.usage import Usage

Make = Callable[..., Attempt]

PRICE = "settings.yaml:openai:gpt-5-mini#18ca751c"
"""The row below."""

SETTINGS = """\
providers:
  openai: {credential: none}
  lab: {kind: openai-compatible, base_url: "http://127.0.0.1:1", free: true}
prices: [{model: "openai:gpt-5-mini", input: 0.25, output: 2, cache_read: 0.025}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    home.settings.write_text(SETTINGS)
    return home


@pytest.fixture
def runner(home: Home) -> CliRunner:
    return CliRunner(env={"FARTHING_HOME": str(home.path)})


def keep(home: Home, *attempts: Attempt) -> None:
    """Put attempts into the store, as a server's batch does."""

    async def append() -> None:
        offload = ThreadOffload()
        store = SqliteStore(home.database, offload)
        await store.open()
        await store.append(attempts)
        await store.close()
        await offload.close()

    asyncio.run(append())


def journal(home: Home, *attempts: Attempt, ended: bool = True) -> None:
    """Leave a journal behind, as a server does that was killed before its batch."""
    keep(home)  # it made the database before
    written = Journal(home.journal, f"{attempts[0].ended_at_us}-1")
    for attempt in attempts:
        segment = written.begin(attempt.opening)
        if ended:
            written.end(attempt, segment)
    written.close()


def answer(runner: CliRunner, *arguments: str) -> Any:
    told = runner.invoke(root, arguments)
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def test_a_home_without_a_ledger_reads_as_an_empty_one_and_stays_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "new"
    runner = CliRunner(env={"FARTHING_HOME": str(home)})
    assert runner.invoke(root, ["config", "set", "server.port", "3001"]).exit_code == 0
    assert answer(runner, "costs", "--json")["groups"] == []
    assert answer(runner, "calls", "--json") == []
    assert answer(runner, "keys", "list", "--json") == []
    assert runner.invoke(root, ["ledger", "verify"]).exit_code == 0
    assert not (home / "farthing.db").exists()


def test_costs_are_exact_in_every_form(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(home, make_attempt(1), make_attempt(2, cost_nanousd=1))
    told = answer(runner, "costs", "--json")
    assert (told["by"], told["since_us"], told["total"]["nanousd"]) == ("model", None, 1_478_251)
    (group,) = told["groups"]
    assert (group["model"], group["usd"], group["nanousd"], group["calls"]) == (
        "openai:gpt-5-mini",
        "0.001478251",
        1_478_251,
        2,
    )
    (row,) = csv.DictReader(io.StringIO(runner.invoke(root, ["costs", "--by", "key", "--csv"]).stdout))
    assert (row["key"], row["usd"], row["nanousd"]) == ("laptop", "0.001478251", "1478251")
    table = runner.invoke(root, ["costs", "--by", "day"])
    assert "2026-11-06" in table.stdout
    assert table.stderr == ""


def test_calls_of_unknown_cost_are_listed_with_what_to_do(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(home, make_attempt(1), make_attempt(2, cost_nanousd=None, cost_basis="unknown"), make_attempt(3))
    (found,) = answer(runner, "calls", "--unknown", "--json")
    assert found["nanousd"] is None
    told = runner.invoke(root, ["calls", "--unknown", "--limit", "1"])
    assert len(told.stdout.splitlines()) == 2
    for command in (["calls", "--unknown"], ["calls", "show", found["call_id"]], ["prices", "show", "none-such"]):
        assert 'A price of your own goes under "prices:" in settings.yaml' in runner.invoke(root, command).stderr
    assert "A price of your own" not in runner.invoke(root, ["calls", "show", "call_" + "1".zfill(26)]).stderr


def test_since_leaves_out_what_began_before(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(home, make_attempt(1), make_attempt(200))
    assert answer(runner, "costs", "--since", "2026-11-10", "--json")["total"]["calls"] == 1
    told = runner.invoke(root, ["costs", "--since", "soon"])
    assert told.exit_code == 2
    assert "'soon' is no moment; write 2026-11-01, 2026-11-01T09:30, 24h, 7d or today (UTC)." in told.stderr


def test_a_call_of_unknown_cost_shows_as_unknown(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(home, make_attempt(1, model="lab:x", cost_nanousd=None, cost_basis="unknown"))
    told = runner.invoke(root, ["costs"])
    assert told.stdout.splitlines()[1].split() == ["lab:x", "1", "12,345", "10,000", "0", "321", "unknown", "1"]
    assert "1 of 1 attempt is of unknown cost" in told.stderr
    assert answer(runner, "costs", "--json")["total"]["usd"] is None
    assert answer(runner, "calls", "--json")[0]["usd"] is None


def test_an_answered_call_that_only_the_journal_knows_is_not_missing(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    keep(home, make_attempt(1))
    journal(home, make_attempt(1), make_attempt(2))
    assert answer(runner, "costs", "--json")["total"]["nanousd"] == 2 * 1_478_250
    assert segments(home.journal) == []
    assert answer(runner, "costs", "--json")["total"]["calls"] == 2


def test_what_was_in_flight_at_a_crash_is_priced_from_the_settings(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    journal(home, make_attempt(1), ended=False)
    (call,) = answer(runner, "calls", "--json")
    assert (call["outcome"], call["cost_basis"], call["nanousd"]) == ("crashed", "estimated", 12_000 * 250)
    assert runner.invoke(root, ["ledger", "verify"]).exit_code == 0


def test_beside_a_server_the_journal_is_left_alone_and_what_is_missing_is_told(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    keep(home, make_attempt(1))
    journal(home, make_attempt(2))
    with HomeLock.acquire(home.lock):
        told = runner.invoke(root, ["costs", "--json"])
    assert json.loads(told.stdout)["total"]["calls"] == 1
    assert told.stderr == (
        "warning: 1 ended attempts are in the journal and not yet in the ledger; they are not shown.\n"
    )
    assert len(segments(home.journal)) == 1


def test_beside_a_server_that_has_posted_nothing_is_waited_for(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    keep(home, make_attempt(1))
    journal(home, make_attempt(1))
    with HomeLock.acquire(home.lock):
        told = runner.invoke(root, ["costs", "--json"])
    assert told.stderr == ""
    assert json.loads(told.stdout)["total"]["calls"] == 1


def test_a_damaged_journal_is_told_and_hides_nothing(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    journal(home, make_attempt(1), make_attempt(2))
    (path,) = segments(home.journal)
    path.write_bytes(b"{nonsense}\n" + path.read_bytes())
    told = runner.invoke(root, ["costs", "--json"])
    assert json.loads(told.stdout)["total"]["calls"] == 2
    assert told.stderr.startswith(f"warning: {path.name}:1: cannot be read")
    assert runner.invoke(root, ["ledger", "verify"]).exit_code == 1


def test_calls_are_listed_youngest_first(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(home, *(make_attempt(n) for n in range(30)), make_attempt(40, call=29, ordinal=2, cost_basis="estimated"))
    told = runner.invoke(root, ["calls", "--limit", "2"])
    lines = told.stdout.splitlines()
    assert lines[0].split() == ["CALL", "BEGAN", "(UTC)", "OUTCOME", "INPUT", "OUTPUT", "USD"]
    assert lines[1].startswith(f"call_{29:026d} openai:gpt-5-mini  2026-11-08 02:20:00  ok (2 tries)")
    assert lines[1].endswith("~0.0029565")
    assert len(lines) == 3
    assert told.stderr == "~ marks an estimate: the answer was cut, or came without usage.\n"
    assert len(answer(runner, "calls", "--json")) == 20


def test_a_call_is_shown_with_the_lines_of_its_price(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(
        home,
        make_attempt(1, price_id=PRICE, first_output_us=345_000, session="s-1", model_served="gpt-5-mini"),
    )
    told = runner.invoke(root, ["calls", "show", "call_"])
    assert told.stderr == ""
    assert told.stdout.splitlines() == [
        "call          call_00000000000000000000000001",
        "asked for     fast (openai chat, stream)",
        "began         2026-11-06 22:20:00 UTC",
        "cost          0.00147825 USD",
        "key           laptop (key_1)",
        "organisation  default",
        "project       site",
        "session       s-1",
        "",
        "attempt 1  att_00000000000000000000000001",
        "  model         openai:gpt-5-mini",
        "  outcome       ok (status 200)",
        "  took          1,234 ms, first output after 345 ms",
        "  input         12,345 tokens",
        "    cache read  10,000",
        "  output        321 tokens",
        "    reasoning   64",
        "  cost          0.00147825 USD, from the usage that the provider reported",
        f"  price         {PRICE}",
        "",
        "  WHAT        QUANTITY    USD                MAKES USD",
        "  input          2,345  0.25   per million  0.00058625",
        "  cache read    10,000  0.025  per million  0.00025",
        "  output           257  2.00   per million  0.000514",
        "  reasoning         64  2.00   per million  0.000128",
    ]
    shown = answer(runner, "calls", "show", f"call_{1:026d}", "--json")
    assert (shown["usd"], shown["attempts"][0]["nanousd"]) == ("0.001478250", 1_478_250)
    assert shown["attempts"][0]["price_lines"][0] == {
        "what": "input",
        "quantity": 2345,
        "picodollars": 250_000_000_000,
        "per": 1_000_000,
    }


def test_a_price_that_changed_since_is_not_made_up(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(home, make_attempt(1, price_id=PRICE))
    home.settings.write_text(SETTINGS.replace("0.25", "0.30"))
    told = runner.invoke(root, ["calls", "show", "call_"])
    assert told.stdout.splitlines()[-1] == "  (that price has changed since, so its lines cannot be shown)"
    home.settings.write_text("providers: 3\n")
    told = runner.invoke(root, ["calls", "show", "call_"])
    assert told.exit_code == 0
    check = f'"farthing --home {home.path} config check"'
    assert told.stderr == f"warning: the settings are wrong ({check}), so prices are not explained.\n"


def test_an_id_that_is_nobodys_or_several_calls_is_told(runner: CliRunner, home: Home, make_attempt: Make) -> None:
    keep(home, make_attempt(1), make_attempt(2))
    told = runner.invoke(root, ["calls", "show", "nothing"])
    assert told.exit_code == 1
    assert told.stderr.startswith("farthing: No call or attempt has an id that begins with 'nothing'.\nhint: ")
    assert runner.invoke(root, ["calls", "show", "call_"]).stderr.startswith("farthing: Several calls' ids begin with")


def test_verify_says_that_the_books_agree_or_where_they_do_not(
    runner: CliRunner, home: Home, make_attempt: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(home, make_attempt(1, price_id=PRICE))
    told = runner.invoke(root, ["ledger", "verify"])
    assert (told.exit_code, told.stdout) == (0, "")
    assert told.stderr.startswith("The books agree: every attempt is in the ledger once, and costs, totals and journal")
    assert answer(runner, "ledger", "verify", "--json") == []
    monkeypatch.setattr("farthing.cli.ledger._TOLD_EVERY_S", 0.0)  # as if each step took its time
    assert "checking single attempts, 1 so far ...\n" in runner.invoke(root, ["ledger", "verify"]).stderr
    monkeypatch.undo()
    keep(
        home,
        make_attempt(2, cost_nanousd=None),
        make_attempt(3, price_id="gone", usage=Usage(input_tokens=1, output_tokens=1, web_search_requests=-1)),
    )
    told = runner.invoke(root, ["ledger", "verify"])
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [
        f"cost and basis: att_{2:026d}: costs None nanodollars, and that is 'reported'",
        f"negative: att_{3:026d}: web_search_requests is -1",
    ]
    assert told.stderr == (
        "1 cost was not checked: made with prices that are not known any more: gone (1).\n"
        "The books do not agree: 2 findings.\n"
    )


def test_a_cost_by_a_row_of_the_settings_is_checked_wherever_the_row_stands(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    keep(home, make_attempt(1, price_id=PRICE))
    home.settings.write_text(f"# a line more\n{SETTINGS}")
    assert runner.invoke(root, ["ledger", "verify"]).exit_code == 0
    assert "MAKES USD" in runner.invoke(root, ["calls", "show", "call_"]).stdout
    keep(home, make_attempt(2, price_id=PRICE, cost_nanousd=1_478_251))
    told = runner.invoke(root, ["ledger", "verify"])
    assert told.exit_code == 1
    assert told.stdout == (
        f"cost not reproducible: att_{2:026d}: costs 1478251 nanodollars, its usage at {PRICE!r} comes to 1478250\n"
    )


def test_costs_whose_price_is_not_known_any_more_are_counted_by_verify(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    keep(home, make_attempt(1, price_id=PRICE), make_attempt(2, price_id=PRICE), make_attempt(3, price_id="old-list:x"))
    home.settings.write_text(SETTINGS.replace("0.25", "0.30"))
    told = runner.invoke(root, ["ledger", "verify"])
    assert told.exit_code == 0
    assert told.stderr.splitlines() == [
        f"3 costs were not checked: made with prices that are not known any more: {PRICE} (2), old-list:x (1).",
        "The books agree: every attempt is in the ledger once, and totals, journal and the other costs tell the same.",
    ]


def test_a_cost_without_a_price_is_found_unless_it_is_nothing(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    keep(home, make_attempt(1, cost_nanousd=0), make_attempt(2, cost_nanousd=999_000_000_000))
    told = runner.invoke(root, ["ledger", "verify"])
    assert told.stdout == f"cost not reproducible: att_{2:026d}: costs 999000000000 nanodollars, and has no price\n"


def test_wrong_settings_do_not_keep_the_books_from_being_verified(
    runner: CliRunner, home: Home, make_attempt: Make
) -> None:
    keep(home, make_attempt(1, price_id=PRICE))
    home.settings.write_text("providers: 3\n")
    told = runner.invoke(root, ["ledger", "verify"])
    assert (told.exit_code, told.stdout) == (0, "")
    warning = told.stderr.splitlines()[0]
    assert warning.startswith("warning: the settings are wrong (")
    assert warning.endswith("so costs are not checked against prices.")


def test_an_older_gateways_ledger_is_not_brought_up_to_date_under_it(home: Home, runner: CliRunner) -> None:
    shipped = shipped_migrations()
    open_database(home.database, shipped[:-1]).close()
    with HomeLock.acquire(home.lock):
        refused = runner.invoke(root, ["costs"])
        assert refused.exit_code == 1
        assert "is of an older Farthing, which is still running" in refused.output
    assert migrations_wait(home.database)
    assert runner.invoke(root, ["costs"]).exit_code == 0
    assert not migrations_wait(home.database)

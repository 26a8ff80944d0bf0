"""`farthing export`, `chargeback`, `report` and `reconcile`: what is printed, and where."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.cli.report_page import print_report
from farthing.ledger.budget_use import BudgetUse
from farthing.ledger.money_by_kind import MoneyByKind
from farthing.ledger.spending_report import SpendingReport, period_of
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import Period
from farthing.types.calls import Attempt
from farthing.types.spending import none_spent
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import attempt

Make = Callable[..., Attempt]
SETTINGS = "providers: {openai: {credential: none}}\nfixed_costs: [{name: power, usd: 0.9, per: day}]\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_attempt: Make) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.setenv("FARTHING_HOME", str(home))
    made = [
        make_attempt(1, project="=cmd"),
        make_attempt(2, project=None, cost_nanousd=None, cost_basis="unknown"),
        make_attempt(3, model="openai:gpt-5", cost_nanousd=2_000_000_000),
    ]

    keep(home, *made)
    return home


def keep(home: Path, *attempts: Attempt) -> None:
    async def append() -> None:
        offload = ThreadOffload()
        store = SqliteStore(home / "farthing.db", offload)
        await store.open()
        await store.append(attempts)
        await store.close()
        await offload.close()

    asyncio.run(append())


def call(*words: str) -> Result:
    return CliRunner().invoke(root, words)


@pytest.mark.usefixtures("home")
def test_an_export_is_data_on_stdout_and_what_is_unknown_is_said_beside_it() -> None:
    told = call("export", "attempts")
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert [(row["project"], row["usd"]) for row in rows] == [
        ("'=cmd", "0.001478250"),
        ("", ""),
        ("site", "2.000000000"),
    ]
    assert told.stderr == "1 attempt of unknown cost: in it, with no cost.\n"
    known = call("export", "attempts", "--known-only", "--format", "jsonl")
    assert len(known.stdout.splitlines()) == 2
    assert known.stderr == "1 attempt of unknown cost: left out.\n"


@pytest.mark.usefixtures("home")
def test_a_file_is_whole_and_its_owners_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "focus.csv"
    told = call("export", "attempts", "--format", "focus", "--out", str(out))
    assert told.stdout == ""
    assert told.stderr.startswith(f"3 lines in {out}\n")
    assert out.stat().st_mode & 0o777 == 0o600
    failed = call("export", "costs", "--out", str(tmp_path / "none" / "x.csv"))
    assert failed.exit_code == 1
    assert "cannot be written: No such file or directory." in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["focus.csv", "home"]


@pytest.mark.usefixtures("home")
def test_a_device_is_written_and_not_replaced() -> None:
    assert call("export", "costs", "--out", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.usefixtures("home")
def test_chargeback_shows_what_nobody_was_named_for_and_adds_up() -> None:
    told = call("chargeback", "2026-11", "--with-fixed")
    assert told.stdout.splitlines() == [
        "PROJECT           CALLS   INPUT  CACHE READ  WRITTEN  OUTPUT         USD  UNKNOWN  FIXED USD",
        "site                  1  12,345      10,000        0     321  2.00                      9.00",
        "=cmd                  1  12,345      10,000        0     321  0.00147825                9.00",
        "(not attributed)      1  12,345      10,000        0     321     unknown        1       9.00",
        "--------------------------------------------------------------------------------------------",
        "total                 3  37,035      30,000        0     963  2.00147825        1      27.00",
    ]
    assert told.stderr == "1 attempt of 3 of unknown cost: in no sum.\n"
    data = json.loads(call("chargeback", "2026-11", "--format", "json").stdout)
    assert [line["project"] for line in data["lines"]] == ["site", "=cmd", None]
    assert sum(line["nanousd"] or 0 for line in data["lines"]) == data["total"]["nanousd"] == 2_001_478_250
    rows = list(csv.DictReader(io.StringIO(call("chargeback", "2026-11", "--format", "csv").stdout)))
    assert [(row["project"], row["usd"]) for row in rows][1:] == [("'=cmd", "0.001478250"), ("", "")]


def test_sums_are_exported_by_whatever_is_named_and_say_where_they_count_twice(home: Path) -> None:
    keep(home, attempt(11, tags="eval,nightly", session="s", cost_nanousd=5), attempt(12, session="s", cost_nanousd=7))
    told = call(
        "export", "costs", "--by", "session, tag", "--since", "2026-11-18", "--until", "2026-11-19", "--format", "json"
    )
    rows = [{name: row[name] for name in ("day", "session", "tag", "nanousd")} for row in json.loads(told.stdout)]
    assert [row for row in rows if row["session"] == "s"] == [
        {"day": "2026-11-18", "session": "s", "tag": None, "nanousd": 7},
        {"day": "2026-11-18", "session": "s", "tag": "eval", "nanousd": 5},
        {"day": "2026-11-18", "session": "s", "tag": "nightly", "nanousd": 5},
    ]
    assert "by tags, it stands once" in told.stderr
    assert '"eval,nightly"' in call("export", "costs", "--by", "tags").stdout
    assert "eval,nightly" in call("chargeback", "2026-11", "--by", "tags").stdout


@pytest.mark.usefixtures("home")
def test_a_month_without_calls_says_so_and_what_is_no_month_is_refused() -> None:
    assert call("chargeback", "2026-12").stderr == "Nothing was called in 2026-12.\n"
    assert re.match(r"20\d\d-\d\d, which is not over yet\.\n", call("chargeback").stderr)
    told = call("chargeback", "2026-13")
    assert told.exit_code == 2
    assert "'2026-13' is no month; write 2026-11." in told.stderr


def test_a_report_is_a_page_and_the_same_as_data(home: Path) -> None:
    january_us = 1_736_942_400_000_000  # 2025-01-15T12:00Z, which is over whenever this runs
    usage = Usage(input_tokens=9_000, output_tokens=100, cache_read_input_tokens=3_000)
    keep(
        home,
        attempt(1, started_at_us=january_us, project="site", usage=usage, cost_nanousd=2_000_000_000),
        attempt(2, started_at_us=january_us, usage=usage, cost_nanousd=None, cost_basis="unknown"),
    )
    page = call("report", "day", "--of", "2025-01-15")
    assert page.exit_code == 0, page.output
    assert page.stdout.splitlines() == [
        "Report of 2025-01-15 (UTC)",
        "  spent         2.00 USD; nothing in the day before",
        "  beside it     0.90 USD of fixed costs",
        "  unknown cost  1 attempt, in no sum",
        "  calls         2",
        "  tokens        18,000 read, 200 written",
        "  from cache    33.3 % of what was read",
        "  free          0.0 % of tokens, 0 attempts",
        "",
        "What it went into",
        "KIND               TOKENS   USD",
        "input read afresh  12,000     -",
        "read from cache     6,000     -",
        "written to cache        0  0.00",
        "output                200     -",
        "not split                  2.00",
        "-------------------------------",
        "total              18,200  2.00",
        "",
        "By model",
        "MODEL              CALLS   INPUT  OUTPUT  CACHED   USD  UNKNOWN",
        "openai:gpt-5-mini      2  18,000     200  33.3 %  2.00        1",
        "",
        "By project",
        "PROJECT       CALLS  INPUT  OUTPUT  CACHED      USD  UNKNOWN",
        "site              1  9,000     100  33.3 %     2.00",
        "(no project)      1  9,000     100  33.3 %  unknown        1",
        "",
        "Fixed costs in that time, whatever was called",
        "NAME         PAID   USD",
        "power  0.90 a day  0.90",
        "-----------------------",
        "total              0.90",
        "",
        "Recommendations",
        "  None that the ledger has enough calls for.",
    ]
    data = json.loads(call("report", "month", "--of", "2025-01-15", "--json").stdout)
    assert (data["total"]["usd"], data["fixed_costs"][0]["usd"]) == ("2.000000000", "27.900000000")
    assert [row["usd"] for row in data["by_project"]] == ["2.000000000", None]
    by = call("report", "month", "--of", "2025-01-15", "--by", "tag", "--by", "user", "--zone", "Asia/Tokyo").stdout
    assert "Report of 2025-01 (Asia/Tokyo)" in by
    assert "TAG       CALLS   INPUT  OUTPUT  CACHED" in by
    assert "(no user)" in by
    nobodys = ["report", "month", "--of", "2025-01-15", "--scope", "project=", "--json"]
    assert json.loads(call(*nobodys).stdout)["total"]["nanousd"] is None


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "day", "--scope", "colour=red"), "'colour=red' is no scope; write project=site"),
        (("report", "day", "--of", "2126-01-01"), "2126-01-01 is still to come"),
        (("report", "day", "--by", "colour"), "'colour' is not one of 'team'"),
        (("export", "costs", "--by", "day,colour"), "'colour' is nothing to make sums by; known: day, provider"),
        (("reconcile", "x.csv", "--provider", "generic"), "--columns belongs to --provider generic"),
        (("reconcile", "x.csv", "--provider", "generic", "--columns", "day=D,usd=U"), "needs --name"),
        (("reconcile", "x.csv", "--provider", "generic", "--columns", "Date=D"), "write day=COLUMN"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told_why(words: tuple[str, ...], said: str) -> None:
    told = call(*words)
    assert told.exit_code == 2
    assert said in told.stderr


def used(
    name: str, subject: str, period: Period, periods: int, limit_usd: int, spent_usd: int, fullest: int
) -> BudgetUse:
    return BudgetUse(
        name=name,
        subject=subject,
        period=period,
        periods=periods,
        limit_nanousd=limit_usd * 10**9,
        spent_nanousd=spent_usd * 10**9,
        fullest_permille=fullest,
    )


def test_budgets_stand_on_the_page_with_how_much_of_them_was_used(capsys: pytest.CaptureFixture[str]) -> None:
    report = SpendingReport(
        period=period_of("day", 0, 10**15),
        scope=(),
        total=none_spent(),
        before=none_spent(),
        kinds=MoneyByKind(),
        by_model=(),
        by_project=(),
        fixed=(),
        groups=(),
        budgets=(
            used("daily", "all calls", "day", 7, 140, 40, 910),
            used("core", "team 'core'", "month", 1, 20, 5, 250),
        ),
        recommendations=(),
    )
    print_report(report)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "daily               7 x day  28.5 %   91.0 %  40.00  140.00",
        "core (team 'core')  month    25.0 %            5.00   20.00",
    ]


@pytest.mark.usefixtures("home")
def test_a_reconciliation_tells_the_capture_rate_and_why_it_differs(tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    bill.write_text("Day,Model,USD,N\n2026-11-06,gpt-5-mini,0.00295650,2\n2026-11-07,gpt-5,4.5,2\n", encoding="utf-8")
    columns = "day=Day,model=Model,usd=USD,requests=N"
    told = call("reconcile", str(bill), "--provider", "generic", "--name", "openai", "--columns", columns)
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[1:4] == [
        "FIGURE       THEIRS        OURS  CAPTURED",
        "USD       4.5029565  2.00147825   44.44 %",
        "requests          4           3   75.00 %",
    ]
    assert "2026-11-07  gpt-5\n    USD            2.00 against 4.50 (-2.50)" in told.stdout
    assert "likely: calls around the gateway" in told.stdout
    assert told.stderr == "Compared with openai in the ledger, by UTC day.\n"
    refused = call("reconcile", str(bill), "--provider", "generic", "--name", "opnai", "--columns", columns)
    assert refused.exit_code == 1
    assert "Unknown provider 'opnai': the settings have" in refused.stderr
    whole = [str(bill), "--provider", "generic", "--name", "openai", "--columns", columns, "--json"]
    data = json.loads(call("reconcile", *whole).stdout)
    assert data["captured"]["requests"] == {"theirs": 4, "ours": 3, "captured": 3, "percent": "75.00"}


def test_lines_that_are_gone_are_told_and_their_sums_are_there(home: Path) -> None:
    def told(*arguments: str) -> Result:
        return CliRunner().invoke(root, arguments, catch_exceptions=False)

    nothing = told("ledger", "retention")
    assert nothing.stdout.splitlines() == ["kept     for ever", "gone     nothing yet"]
    before = {name: told("export", name) for name in ("costs", "attempts")}
    costs = told("costs", "--json")
    assert json.loads(costs.stdout)["lines_gone_before_us"] is None

    async def expire() -> None:
        offload = ThreadOffload()
        store = SqliteStore(home / "farthing.db", offload)
        await store.open()
        await store.roll_up(100)
        assert await store.retention.expire(1_794_096_000_000_000, 100, 1_794_600_000_000_000) == 2
        await store.close()
        await offload.close()

    asyncio.run(expire())
    exported = told("export", "costs")
    assert exported.stdout == before["costs"].stdout
    assert "gone" not in exported.stderr
    attempts = told("export", "attempts")
    assert len(attempts.stdout.splitlines()) == len(before["attempts"].stdout.splitlines()) - 2
    assert "Lines before 2026-11-08 are gone by retention:" in attempts.stderr
    after = told("costs", "--json")
    assert json.loads(after.stdout)["total"] == json.loads(costs.stdout)["total"]
    assert json.loads(after.stdout)["lines_gone_before_us"] == 1_794_096_000_000_000
    assert "Lines before 2026-11-08 are gone by retention" in told("costs").stderr
    assert "gone" not in told("costs", "--since", "2026-11-08").stderr
    (home / "settings.yaml").write_text(SETTINGS + "retention: {calls: 7d}\n", encoding="utf-8")
    shown = told("ledger", "retention")
    assert shown.stdout.splitlines()[:2] == [
        "kept     7d",
        "gone     2 attempts before 2026-11-08, the last on 2026-11-13",
    ]
    data = json.loads(told("ledger", "retention", "--json").stdout)
    assert (data["calls"], data["expired_attempts"], data["kept_from_us"]) == ("7d", 2, 1_794_096_000_000_000)

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.clock import SystemClock
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.calls import Attempt
from tests.unit.cli.conftest import FIRST_US, HOUR_US, MakeAttempt

DAY_HOURS = 24


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    assert CliRunner().invoke(root, ["--home", str(made), "keys", "create"]).exit_code == 0
    return made


def keep(home: Path, attempts: Sequence[Attempt]) -> None:
    async def append(store: SqliteStore) -> None:
        await store.append(attempts)

    with_store(home, append)


def with_store(home: Path, work: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def run() -> None:
        offload = ThreadOffload()
        store = SqliteStore(home / "farthing.db", offload)
        await store.open()
        await work(store)
        await store.close()
        await offload.close()

    asyncio.run(run())


def hours_from_first(hours_ago: float) -> int:
    """Return the number of an attempt that began so long ago, as the fixture counts."""
    return int((SystemClock().now_us() - hours_ago * HOUR_US - FIRST_US) // HOUR_US)


def said(home: Path, *arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farthing", "status", "--home", str(home), *arguments]
    return subprocess.run(command, input=told, capture_output=True, text=True, timeout=20, check=True)


def test_what_is_left_of_the_scarcest_budget_stands_beside_it(home: Path, make_attempt: MakeAttempt) -> None:
    now_us = SystemClock().now_us()

    async def budgets(store: SqliteStore) -> None:
        asks = []
        for name, limit, scope in (
            ("all", 3_000_000, Scope()),
            ("wide", 9_000_000, Scope()),
            ("each", 2_000_000, Scope(session="*")),
        ):
            rule = Budget(id=f"bud_{name}", name=name, scope=scope, limit_nanousd=limit, period="total")
            await store.budgets.put(rule)
            subject = Scope(session="s1") if name == "each" else scope
            asks.append(LeaseAsk(key=AccountKey(rule.id, 1, subject, 0), end_us=None))
        await store.budgets.exchange("a", asks, now_us=now_us, until_us=now_us + HOUR_US)

    with_store(home, budgets)
    keep(home, [make_attempt(hours_from_first(0), session="s1")])
    assert said(home).stdout == "0.0015 USD today | 0.0015 left of all | openai:gpt-5-mini\n"
    assert "| 0.0005 left of each |" in said(home, "--session", "s1").stdout
    assert json.loads(said(home, "--json").stdout)["budget"] == {
        "name": "all",
        "left_usd": "0.001521750",
        "left_nanousd": 1_521_750,
        "limit_nanousd": 3_000_000,
    }


def test_one_line_says_what_was_spent_today_and_the_last_model(home: Path, make_attempt: MakeAttempt) -> None:
    now = hours_from_first(0)
    keep(home, [make_attempt(now - 1_000), make_attempt(now, session="s1"), make_attempt(now, call=1)][:2])
    assert said(home).stdout == "0.0015 USD today | openai:gpt-5-mini\n"
    found = json.loads(said(home, "--json").stdout)
    assert (found["today"]["nanousd"], found["today"]["usd"]) == (1_478_250, "0.001478250")
    assert found["session"] is None


def test_the_session_that_claude_code_tells_on_stdin_is_shown(home: Path, make_attempt: MakeAttempt) -> None:
    now = hours_from_first(0)
    yesterday = make_attempt(now - 2 * DAY_HOURS, session="s1", model="claude:opus")
    keep(home, [yesterday, make_attempt(now, session="other", cost_nanousd=None, cost_basis="unknown")])
    told = json.dumps({"session_id": "s1", "model": {"id": "claude-opus"}})
    assert said(home, told=told).stdout == "0.00+? USD today | 0.0015 session | claude:opus\n"
    assert said(home, "--session", "s1").stdout == "0.00+? USD today | 0.0015 session | claude:opus\n"
    assert said(home, told="{broken").stdout == "0.00+? USD today | openai:gpt-5-mini\n"
    assert said(home, "--session", "unknown").stdout == "0.00+? USD today\n"


def test_it_ends_well_whatever_is_wrong(home: Path, tmp_path: Path) -> None:
    assert said(tmp_path / "nowhere").stdout == "farthing: no home\n"
    assert json.loads(said(tmp_path / "nowhere", "--json").stdout)["problem"] == "no home"
    (home / "farthing.db").write_bytes(b"no database" * 1000)
    assert said(home).stdout == "farthing: ledger unreadable\n"
    for file in home.glob("farthing.db*"):
        file.unlink()
    assert said(home).stdout == "farthing: ledger unreadable\n"


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(home: Path) -> None:
    read, write = os.pipe()
    try:
        command = [sys.executable, "-m", "farthing", "status", "--home", str(home)]
        ran = subprocess.run(command, stdin=read, capture_output=True, text=True, timeout=20, check=True)
    finally:
        os.close(read)
        os.close(write)
    assert ran.stdout == "0.00 USD today\n"


def test_it_is_fast_enough_for_a_prompt(home: Path, make_attempt: MakeAttempt) -> None:
    keep(home, [make_attempt(hours_from_first(0))])
    ours = min(processor_s(lambda: said(home)) for _ in range(7))
    alone = min(processor_s(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) for _ in range(3))
    # The processor's time, because other tests share the machine; where Python itself takes over 12 ms, so do we.
    assert ours < 0.12 * max(1.0, alone / 0.012)


def processor_s(work: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_under_farthing_run_claude_codes_session_is_a_conversation_and_found_as_well(
    home: Path, make_attempt: MakeAttempt
) -> None:
    kept = make_attempt(hours_from_first(0), session="run-claude-5e1f0a")
    who = msgspec.structs.replace(kept.opening.attribution, conversation="cc-1")
    keep(home, [msgspec.structs.replace(kept, opening=msgspec.structs.replace(kept.opening, attribution=who))])
    for session in ("cc-1", "run-claude-5e1f0a"):
        assert json.loads(said(home, "--session", session, "--json").stdout)["session"]["nanousd"] == 1_478_250

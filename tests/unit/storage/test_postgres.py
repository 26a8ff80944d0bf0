import asyncio
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from farthing.errors import StoreError
from farthing.ledger.rebuild import rebuild
from farthing.storage.postgres import PostgresStore
from farthing.storage.postgres.address import Address
from farthing.storage.postgres.connections import Session
from farthing.storage.postgres.database import Migration, shipped_migrations
from farthing.storage.postgres.sql import query
from farthing.storage.protocols import RowsRefused
from farthing.storage.rows import COLUMNS
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.ledger import CostsFilter, CostsRow, DailyTotal
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt
from tests.postgres_server import control, new_schema, psql, server

NEXT = Migration(len(shipped_migrations()) + 1, "next.sql", "ALTER TABLE keys ADD COLUMN note text;")
MOST = (1 << 63) - 1


@pytest.fixture
def url() -> str:
    return new_schema()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    await store.open()
    yield store
    await store.close()


async def test_hosts_that_start_at_once_make_the_tables_once(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    assert len({store.connections.installation for store in stores}) == 1
    for store in stores:
        await store.close()


async def test_hosts_that_append_the_same_attempts_at_once_keep_each_once(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    several = [attempt(n, model=f"m{n % 7}", started_at_us=NOON_US + n % 3 * DAY_US) for n in range(60)]
    batches = [several[n : n + 20] for n in range(40)] + [several[n : n + 20][::-1] for n in range(40)]
    new = await asyncio.gather(*(stores[n % 3].append(batch) for n, batch in enumerate(batches)))
    assert sum(new) == len(several) - 1  # the last batch begins at 39
    totals = await stores[0].daily_totals()
    assert totals == await stores[0].daily_totals_recomputed()
    assert sum(total.attempts for total in totals) == len(several) - 1
    for store in stores:
        await store.close()


async def test_totals_are_made_again_while_others_append(store: PostgresStore, url: str) -> None:
    await store.append([attempt(n) for n in range(20)])
    psql(url, "UPDATE daily_totals SET cost_nanousd = 1")
    other = PostgresStore(url)
    await other.open()
    remade = asyncio.create_task(rebuild(store))
    await asyncio.gather(*(other.append([attempt(n)]) for n in range(20, 60)))
    done = await remade
    assert [one.kind for one in done.differed] == ["totals"]
    assert await store.daily_totals() == await store.daily_totals_recomputed()
    await other.close()


async def test_a_total_that_no_longer_fits_stops_at_the_largest_and_refuses_nothing(store: PostgresStore) -> None:
    assert await store.append([attempt(1, cost_nanousd=MOST), attempt(2, cost_nanousd=MOST), attempt(3)]) == 3
    assert await store.append([attempt(4, cost_nanousd=10_000)]) == 1
    (total,) = await store.daily_totals()
    assert (total.cost_nanousd, total.attempts) == (MOST, 4)
    (again,) = await store.daily_totals_recomputed()
    assert again.cost_nanousd == 2 * MOST + 1003 + 10_000
    (costs,), (of_lines,) = await store.costs(None), await store.costs("session", only=CostsFilter(key="key_1"))
    assert (costs.cost_nanousd, of_lines.cost_nanousd) == (MOST, again.cost_nanousd)
    assert "sums of day" in (await store.damage())[0]


async def test_rows_that_cannot_be_kept_are_told_from_a_store_that_is_away(store: PostgresStore) -> None:
    wrong = [
        attempt(2, error_message="\ud800"),
        attempt(2, outcome=None),
        attempt(2, http_status="x"),
        attempt(2, cost_nanousd=1 << 63),
        attempt(2, cost_nanousd=1 << 64),
    ]
    for one in wrong:
        with pytest.raises(RowsRefused, match="refuses these attempts"):
            await store.append([attempt(3), one])
    assert await store.known(["att_000003"]) == set()


async def test_a_character_that_postgresql_refuses_is_kept_all_the_same(store: PostgresStore) -> None:
    odd = attempt(1, session="a\0b", model="m\x010\x01\0", model_asked="\x01", error_message="\\u0000")
    assert await store.append([odd, attempt(2)]) == 2
    assert await store.call("call_000001") == [odd]
    assert {row.group for row in await store.costs("session")} == {"a\0b", None}
    assert (await store.daily_totals())[1].model == "m\x010\x01\0"
    assert await store.known(["a\0"]) == set()


async def test_names_longer_than_an_index_takes_are_kept_and_told_apart(store: PostgresStore) -> None:
    long = "x" * 9_000
    assert await store.append(
        [attempt(1, model=long + "a"), attempt(2, model=long + "b"), attempt(3, model=long + "a")]
    )
    assert [total.attempts for total in await store.daily_totals()] == [2, 1]


async def test_a_store_newer_than_the_program_is_refused(url: str) -> None:
    newer = PostgresStore(url, migrations=[*shipped_migrations(), NEXT])
    await newer.open()
    await newer.close()
    told = rf"has version {NEXT.number}; this program knows versions up to {NEXT.number - 1}.*newer Farthing"
    with pytest.raises(StoreError, match=told):
        await PostgresStore(url).open()


async def test_a_host_of_the_older_program_stops_posting_when_a_newer_one_has_migrated(
    store: PostgresStore, url: str
) -> None:
    await store.append([attempt(1)])
    newer = PostgresStore(url, migrations=[*shipped_migrations(), NEXT])
    await newer.open()
    assert not await store.intact()
    with pytest.raises(StoreError, match=r"by now; this program writes.*restart this host") as error:
        await store.append([attempt(2)])
    assert not isinstance(error.value, RowsRefused)
    assert await newer.known(["att_000001", "att_000002"]) == {"att_000001"}
    await newer.close()


async def test_a_command_does_not_migrate_under_the_servers(store: PostgresStore, url: str) -> None:
    command = PostgresStore(url, migrations=[*shipped_migrations(), NEXT], upgrades=False)
    with pytest.raises(StoreError, match=r"is of an older Farthing.*farthing serve"):
        await command.open()
    assert await store.intact()


async def test_a_migration_that_fails_leaves_the_tables_as_they_were(store: PostgresStore, url: str) -> None:
    broken = Migration(NEXT.number, "broken.sql", "CREATE TABLE half (x integer); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(StoreError, match="nowhere"):
        await PostgresStore(url, migrations=[*shipped_migrations(), broken]).open()
    assert "half" not in psql(url, r"\dt")
    assert await store.intact()


async def test_another_programs_tables_are_refused(url: str) -> None:
    psql(url, "CREATE TABLE attempts (theirs integer)")
    with pytest.raises(StoreError, match=r"tables of another program: 'attempts'.*search_path"):
        await PostgresStore(url).open()


async def test_tables_that_were_dropped_or_made_anew_are_noticed(store: PostgresStore, url: str) -> None:
    schema = url.rpartition("=")[2]
    assert await store.intact()
    psql(url, f"DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}")
    assert not await store.intact()
    with pytest.raises(StoreError, match="the tables are gone"):
        await store.append([attempt(1)])
    anew = PostgresStore(url)
    await anew.open()
    assert not await store.intact()
    await anew.close()


async def test_a_server_that_was_restarted_is_found_again(store: PostgresStore) -> None:
    await store.append([attempt(1)])
    await asyncio.to_thread(control, "restart", "-m", "immediate")
    assert await store.append([attempt(1), attempt(2)]) == 1
    assert await store.change_counter() == 0


async def test_a_server_that_is_down_says_who_must_act_and_is_used_again_when_it_is_back(store: PostgresStore) -> None:
    await asyncio.to_thread(control, "stop", "-m", "fast")
    try:
        with pytest.raises(StoreError, match=r"see that the server runs.*wait in the journal"):
            await store.append([attempt(1)])
        with pytest.raises(StoreError, match="cannot be reached"):
            await PostgresStore(str(server().get_uri())).open()
    finally:
        await asyncio.to_thread(control, "start", "-o", f'-h "" -k {server().pgdata}')
    assert await store.append([attempt(1)]) == 1


async def test_a_database_that_is_not_there_says_how_it_is_made() -> None:
    url = server().get_uri(database="nowhere")
    with pytest.raises(StoreError, match=r'"nowhere" does not exist.*createdb'):
        await PostgresStore(url).open()


async def test_a_schema_that_is_not_there_says_how_it_is_made() -> None:
    with pytest.raises(StoreError, match=r"schema .* does not exist.*CREATE SCHEMA"):
        await PostgresStore(f"{server().get_uri()}&search_path=nowhere").open()


async def test_a_server_that_only_reads_says_so(store: PostgresStore, url: str) -> None:
    standby = PostgresStore(f"{url}&default_transaction_read_only=on")
    await standby.open()
    with pytest.raises(StoreError, match="name the primary"):
        await standby.append([attempt(1)])
    await standby.close()
    assert await store.known(["att_000001"]) == set()


async def test_what_reads_or_makes_the_whole_ledger_has_more_time_than_a_question(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farthing.storage.postgres.connections.STATEMENT_TIMEOUT_S", 0.3)
    slow = f"SELECT pg_sleep(1); {NEXT.script}"
    store = PostgresStore(url, migrations=[*shipped_migrations(), Migration(NEXT.number, NEXT.name, slow)])
    await store.open()

    held = asyncio.Event()

    async def hold(session: Session) -> None:
        await session.connection.execute("LOCK TABLE attempts")
        held.set()
        await asyncio.sleep(1)

    locked = asyncio.create_task(store.connections.transaction(hold))
    await held.wait()
    with pytest.raises(StoreError, match="does not answer in time"):
        await store.call("call_000001")
    sums, damage, accounts = await asyncio.gather(
        store.daily_totals_recomputed(), store.damage(), store.budgets.accounts_recomputed()
    )
    assert not any((sums, damage, accounts)), "an empty ledger, told after the lock was gone"
    await locked
    await store.close()


async def test_a_store_that_is_not_open_says_so(url: str) -> None:
    with pytest.raises(StoreError, match="is not open"):
        await PostgresStore(url).known([])


def test_a_password_is_never_shown() -> None:
    for url in (
        "postgresql://ann:s3cret@db.example:5433/books?sslmode=require",
        "postgres://ann:s3%40cret@db.example/books",
        "postgresql://db.example/books?user=ann&password=s3cret",
        "postgresql://[::1",
        "mysql://ann:s3cret@x/y",
    ):
        try:
            shown = f"{Address(url)} {Address(url)!r}"
        except StoreError as error:
            shown = str(error)
        assert "cret" not in shown
    assert str(Address("postgresql://ann:pw@h:5433/b?sslmode=require")) == "'postgresql://ann@h:5433/b?sslmode=require'"


def test_without_the_extra_the_way_out_is_told() -> None:
    program = (
        "import sys, asyncio; sys.modules['asyncpg'] = None\n"
        "from farthing.storage.postgres import PostgresStore\n"
        "asyncio.run(PostgresStore('postgresql://h/b').open())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert 'hint: pip install "farthing[postgres]"' in done.stderr


def test_every_column_of_an_attempt_has_its_place_in_the_table() -> None:
    table = re.search(r"CREATE TABLE attempts \((.*?)\n\);", shipped_migrations()[0].script, re.DOTALL)
    assert table is not None
    columns = re.findall(r'^    "?(\w+)"? (?:text|bigint|boolean)', table[1], re.MULTILINE)
    later = [
        name for one in shipped_migrations()[1:] for name in re.findall(r"attempts ADD COLUMN \"?(\w+)", one.script)
    ]
    assert {*columns, *later} == {*COLUMNS}
    told = re.search(r"SELECT\s(.*?)\sFROM", query("attempts_after"), re.DOTALL)
    assert told is not None
    assert tuple(name.strip().strip('"') for name in told[1].split(",")) == COLUMNS


def test_every_query_says_what_it_is() -> None:
    folder = Path(query.__wrapped__.__code__.co_filename).parent / "queries"
    files = sorted(folder.glob("*.sql"))
    assert len(files) > 15
    assert [file.name for file in files if not file.read_text().startswith("-- ")] == []


def test_sums_in_sql_stand_in_the_types_order() -> None:
    costs = re.findall(r" AS (\w+),?$", query("costs"), re.MULTILINE)
    short = {"cost": "cost_nanousd", "label": "group", "reported_only": "reported_only_nanousd"}
    short |= {"reported_cost": "reported_cost_nanousd", "comparable_cost": "comparable_cost_nanousd"}
    assert tuple(short.get(name, name) for name in costs) == CostsRow.__struct_fields__
    totals = re.findall(r" AS (\w+),?$", query("daily_totals_recomputed"), re.MULTILINE)
    assert tuple(totals) == DailyTotal.__struct_fields__[4:]


async def test_hosts_that_lease_and_post_at_once_never_pass_a_limit_and_charge_every_attempt(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    start_us = NOON_US // 60_000_000 * 60_000_000
    rule = Budget(
        id="bud_1", name="one", scope=Scope(user="*"), limit_nanousd=30_000, period="total", counts_from_us=start_us
    )
    await stores[0].budgets.put(rule)
    seeded = random.Random(7)

    async def host(number: int) -> None:
        """Lease for a call, make it, post it; the account is born while others post."""
        store, holder = stores[number], f"host-{number}"
        for turn in range(40):
            user = seeded.choice(["ann", "bob", "cid"])
            key = AccountKey("bud_1", 1, Scope(user=user), start_us)
            ask = LeaseAsk(key=key, end_us=None, need_nanousd=900, give_nanousd=0)
            (answer,) = await store.budgets.exchange(holder, [ask], now_us=NOON_US, until_us=NOON_US + DAY_US)
            if answer.granted_nanousd:
                made = attempt(number * 1000 + turn, cost_nanousd=seeded.randrange(900), user=user)
                await store.append([made, attempt(5000 + number * 1000 + turn, user="ann", cost_nanousd=0)], holder)

    await asyncio.gather(*(host(number) for number in range(3)))
    accounts = await stores[0].budgets.accounts(now_us=NOON_US)
    assert len(accounts) == 3
    assert all(one.spent_nanousd > 0 and one.left_nanousd >= 0 for one in accounts)
    assert await stores[1].budgets.accounts_recomputed() == {
        one.key.id: (one.posted_nanousd, one.unknown_nanousd) for one in accounts
    }
    for store in stores:
        await store.close()


async def test_leases_and_wants_go_by_the_servers_clock_whatever_hosts_take_for_the_time(store: PostgresStore) -> None:
    start_us, minute_us = NOON_US // 60_000_000 * 60_000_000, 60_000_000
    rule = Budget(id="bud_1", name="one", scope=Scope(), limit_nanousd=30_000, period="total", counts_from_us=start_us)
    await store.budgets.put(rule)
    key = AccountKey("bud_1", 1, Scope(), start_us)

    async def granted(holder: str, now_us: int, need: int) -> int:
        ask = LeaseAsk(key=key, end_us=None, need_nanousd=need)
        (answer,) = await store.budgets.exchange(holder, [ask], now_us=now_us, until_us=now_us + minute_us)
        return answer.granted_nanousd

    assert await granted("behind", NOON_US, 20_000) == 20_000
    assert await granted("ahead", NOON_US + DAY_US, 20_000) == 0, "what the other has leased is his"
    assert await store.budgets.wanted(NOON_US + 2 * DAY_US) == [key.id], "and he sees that it is wanted"
    await store.budgets.hold("behind", now_us=NOON_US - DAY_US, until_us=NOON_US - DAY_US + minute_us)
    assert await granted("ahead", NOON_US + DAY_US, 20_000) == 0
    await store.budgets.hold("behind", now_us=NOON_US, until_us=NOON_US)
    assert await granted("ahead", NOON_US, 20_000) == 20_000, "it has ended"


async def test_an_account_is_born_with_what_others_are_about_to_post(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(2)]
    await asyncio.gather(*(store.open() for store in stores))
    start_us = NOON_US // 60_000_000 * 60_000_000
    for turn in range(20):
        rule = Budget(
            id=f"bud_{turn}",
            name=f"n{turn}",
            scope=Scope(),
            limit_nanousd=10**9,
            period="total",
            counts_from_us=NOON_US,
        )
        await stores[0].budgets.put(rule)
        ask = LeaseAsk(key=AccountKey(rule.id, 1, Scope(), start_us), end_us=None, need_nanousd=1)
        posting = [asyncio.create_task(stores[1].append([attempt(turn * 10 + n)])) for n in range(3)]
        await stores[0].budgets.exchange("h", [ask], now_us=NOON_US, until_us=NOON_US + DAY_US)
        await asyncio.gather(*posting)
    accounts = await stores[0].budgets.accounts(now_us=NOON_US)
    assert await stores[0].budgets.accounts_recomputed() == {
        one.key.id: (one.posted_nanousd, one.unknown_nanousd) for one in accounts
    }
    for store in stores:
        await store.close()


async def test_an_account_whose_names_are_long_is_kept_and_found(store: PostgresStore) -> None:
    long: dict[str, Any] = {
        name: chr(0x4E00 + n) * 200 for n, name in enumerate(("session", "user", "task", "project", "team"))
    }
    start_us = NOON_US // 60_000_000 * 60_000_000
    scope = Scope(**long)
    await store.budgets.put(
        Budget(id="b", name="b", scope=scope, limit_nanousd=10**6, period="total", counts_from_us=start_us)
    )
    ask = LeaseAsk(key=AccountKey("b", 1, scope, start_us), end_us=None, need_nanousd=2_000)
    (answer,) = await store.budgets.exchange("h", [ask], now_us=NOON_US, until_us=NOON_US + DAY_US)
    assert answer.granted_nanousd == 2_000
    await store.append([attempt(1, **long)], "h")
    (account,) = await store.budgets.accounts(now_us=NOON_US)
    assert (account.posted_nanousd, account.leased_nanousd) == (1_001, 999)


async def test_who_failed_is_found_by_an_index_of_those_that_did(store: PostgresStore, url: str) -> None:
    failed = [attempt(n, outcome="timeout") for n in range(3)]
    await store.append([*failed, *(attempt(n) for n in range(3, 900))])
    statement = query("outcomes_since").replace("$1", str(NOON_US)).replace("$2", "1").replace("$3", "20")
    plan = psql(url, f"ANALYZE attempts; SET enable_seqscan = off; EXPLAIN {statement}")
    assert "attempts_failed" in plan
    assert "attempts_by_start" in plan

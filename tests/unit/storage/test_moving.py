"""Everything one store keeps is in the other afterwards, whichever way it goes."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from farthing.errors import StoreError
from farthing.storage.moving import copy_attempts, finish
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import KeyRecord
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt, full_attempt
from tests.postgres_server import new_schema

START_US = NOON_US // 60_000_000 * 60_000_000
UNTIL_US = NOON_US + DAY_US


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[SqliteStore, PostgresStore]]:
    offload = ThreadOffload()
    one, other = SqliteStore(tmp_path / "farthing.db", offload), PostgresStore(new_schema())
    await one.open()
    await other.open()
    yield one, other
    await one.close()
    await other.close()
    await offload.close()


async def fill(store: SqliteStore | PostgresStore) -> None:
    made = KeyRecord(id="key_1", name="läp\0top", shown="ft-1", digest=b"\0\x01\xff" * 9, created_at_us=5)
    kept = await store.add_key(msgspec.structs.replace(made, tags=("a", "b")))
    assert kept is not None
    await store.change_key(msgspec.structs.replace(kept, revoked_at_us=9))
    await store.budgets.put(
        Budget(id="b", name="all", scope=Scope(user="*"), limit_nanousd=10**9, period="total", counts_from_us=START_US)
    )
    await store.budgets.put(Budget(id="c", name="gone", scope=Scope(), limit_nanousd=1, period="total"))
    await store.budgets.remove("c")
    key = AccountKey("b", 1, Scope(user="ann"), START_US)
    await store.budgets.exchange(
        "h", [LeaseAsk(key=key, end_us=None, need_nanousd=5_000)], now_us=NOON_US, until_us=UNTIL_US
    )
    await store.append([attempt(n, user="ann", session="s\0") for n in range(30, 3, -1)], "h")
    await store.append([full_attempt(1), attempt(2, started_at_us=NOON_US + DAY_US)])


@pytest.mark.parametrize("way", ["to postgres", "to sqlite"])
async def test_a_move_takes_everything(way: str, stores: tuple[SqliteStore, PostgresStore]) -> None:
    source, target = stores if way == "to postgres" else stores[::-1]
    await fill(source)
    told: list[int] = []
    assert await finish(source, target, "", lambda new, _: told.append(new)) == 29
    assert sum(told) == 29
    assert await target.attempts_after("", 100) == await source.attempts_after("", 100)
    assert await target.keys() == await source.keys()
    assert await target.budgets.changes(0) == await source.budgets.changes(0)
    moved = await target.budgets.accounts(now_us=UNTIL_US)
    assert moved == await source.budgets.accounts(now_us=UNTIL_US)
    assert {one.key.id: (one.posted_nanousd, one.unknown_nanousd) for one in moved} == (
        await target.budgets.accounts_recomputed()
    )
    await target.append([attempt(99, user="ann")])
    assert (await target.budgets.accounts(now_us=UNTIL_US))[0].posted_nanousd == moved[0].posted_nanousd + 1_099


async def test_a_move_goes_on_where_it_was_interrupted_and_takes_what_came_late(
    stores: tuple[SqliteStore, PostgresStore],
) -> None:
    source, target = stores
    await fill(source)
    place = await copy_attempts(source, target, "", lambda *_: None)
    await source.append([attempt(0)])  # born before all of them, and posted now
    await finish(source, target, place, lambda *_: None)  # and killed before the switch
    key = await source.key("key_1")
    assert key is not None
    await source.change_key(msgspec.structs.replace(key, name="new"))
    await source.append([attempt(200, user="ann")])
    told: list[int] = []
    assert await finish(source, target, place, lambda new, _: told.append(new)) == 31
    assert told == [1]
    assert await target.keys() == await source.keys()
    assert await target.budgets.accounts(now_us=UNTIL_US) == await source.budgets.accounts(now_us=UNTIL_US)


async def test_a_target_that_holds_something_else_is_not_taken_for_a_copy(
    stores: tuple[SqliteStore, PostgresStore],
) -> None:
    source, target = stores
    await fill(source)
    await target.append([attempt(5_000)])
    with pytest.raises(StoreError, match="does not add up to the same"):
        await finish(source, target, "", lambda *_: None)


async def test_every_table_has_its_like_in_the_other_backend(stores: tuple[SqliteStore, PostgresStore]) -> None:
    # What is rolled up is made again by whoever has it.
    ours, theirs = [
        {table: columns for table, columns in (await store.tables()).items() if not table.startswith("rollup")}
        for store in stores
    ]
    assert ours.keys() == theirs.keys()
    only_there = {"accounts": {"number"}, "leases": {"account"}}
    only_here = {"leases": {"account_id"}}
    for table, columns in ours.items():
        assert set(theirs[table]) - set(columns) == only_there.get(table, set()), table
        assert set(columns) - set(theirs[table]) == only_here.get(table, set()), table


@pytest.mark.parametrize("way", ["to postgres", "to sqlite"])
async def test_a_move_takes_what_has_expired_also_where_it_did_after_it_was_copied(
    way: str, stores: tuple[SqliteStore, PostgresStore]
) -> None:
    source, target = stores if way == "to postgres" else stores[::-1]
    await fill(source)
    await copy_attempts(source, target, "", lambda *_: None)
    await source.roll_up(1_000)
    assert await source.retention.expire(NOON_US + 1_000, 5, UNTIL_US) == 5
    assert await source.retention.expire(NOON_US + 1_000, 1_000, UNTIL_US) == 23
    assert await finish(source, target, "", lambda *_: None) == 29
    assert await target.attempts_after("", 100) == await source.attempts_after("", 100) != []
    assert await target.retention.retained() == await source.retention.retained()
    assert await target.daily_totals_recomputed() == await target.daily_totals() == await source.daily_totals()
    for by in ("model", "session", "day"):
        assert await target.costs(by) == await source.costs(by)
    assert await target.budgets.accounts_recomputed() == await source.budgets.accounts_recomputed()
    assert await target.append([attempt(7)]) == 0
    while await target.roll_up(1_000):
        pass
    assert await target.damage() == []
    assert await target.retention.expire(NOON_US + 2 * DAY_US, 1_000, UNTIL_US) >= 0

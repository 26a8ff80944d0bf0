import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from farthing.auth import KeyRing
from farthing.errors import InvalidKey, InvalidRequest, StoreError
from farthing.storage.memory import MemoryStore
from farthing.storage.protocols import KeyRecord, KeyStore
from farthing.storage.sqlite import SqliteStore
from farthing.types.identity import IdSource
from farthing.types.principal import Principal
from tests.contracts.ledger_samples import NOON_US, InPlace, SetClock, seeded_bytes, until

PEPPER = b"p" * 32


def ring(store: KeyStore, seed: int = 1) -> KeyRing:
    random_bytes = seeded_bytes(seed)
    clock = SetClock()
    return KeyRing(store, PEPPER, clock=clock, ids=IdSource(clock, random_bytes), random_bytes=random_bytes)


async def test_a_key_verifies_as_its_owner() -> None:
    keys = ring(MemoryStore())
    record, token = await keys.create("laptop", organisation="acme", team="blue", project="web", user="ann")
    owner = Principal(record.id, "laptop", "acme", "blue", "web", "ann")
    assert keys.verify(token.reveal()) == owner
    assert keys.verify(token.reveal().encode()) == owner
    assert record.created_at_us == NOON_US
    assert token.reveal().startswith(record.shown)


async def test_the_store_does_not_hold_the_key(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    _, token = await ring(store).create()
    await store.close()
    assert token.reveal()[9:].encode() not in (tmp_path / "farthing.db").read_bytes()


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", "No key was sent"),
        (b"", "No key was sent"),
        ("sk-proj-abc", "not a Farthing key"),
        ("Bearer ' OR '1'='1", "not a Farthing key"),
        ("ft-" + "0" * 49, "mistyped"),
        ("ft-" + "é" * 49, "mistyped"),
        ("ft-" + "\ud800" * 49, "mistyped"),
        (b"ft-" + b"\xff" * 49, "mistyped"),
        ("ft-" + "0" * 100_000, "mistyped"),
    ],
)
async def test_what_is_no_key_is_refused_without_repeating_it(token: str | bytes, message: str) -> None:
    keys = ring(MemoryStore())
    with pytest.raises(InvalidKey, match=message) as refused:
        keys.verify(token)
    assert refused.value.status == 401
    if len(token) > 20:
        assert str(token)[:20] not in str(refused.value)


async def test_a_well_formed_key_of_somebody_else_is_unknown() -> None:
    _, foreign = await ring(MemoryStore(), seed=2).create()
    with pytest.raises(InvalidKey, match="unknown or revoked"):
        ring(MemoryStore()).verify(foreign.reveal())


async def test_another_pepper_knows_no_key() -> None:
    store = MemoryStore()
    _, token = await ring(store).create()
    clock = SetClock()
    other = KeyRing(store, b"q" * 32, clock=clock, ids=IdSource(clock, seeded_bytes(1)), random_bytes=seeded_bytes(1))
    await other.refresh()
    with pytest.raises(InvalidKey):
        other.verify(token.reveal())


async def test_a_revoked_key_stops_at_once_and_its_name_stays_in_the_list() -> None:
    keys = ring(MemoryStore())
    record, token = await keys.create("laptop")
    assert (await keys.revoke("laptop")).revoked_at_us == NOON_US
    with pytest.raises(InvalidKey, match="revoked"):
        keys.verify(token.reveal())
    with pytest.raises(InvalidRequest, match="revoked already"):
        await keys.revoke(record.id)
    assert [one.name for one in await keys.keys()] == ["laptop"]


async def test_a_key_revoked_by_another_process_stops_at_the_next_poll(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "farthing.db", InPlace()) for _ in range(2)]
    for store in stores:
        await store.open()
    server, command = ring(stores[0]), ring(stores[1], seed=2)
    _, token = await command.create("laptop")
    follow = asyncio.create_task(server.follow(interval_s=0.001))
    await until(lambda: server._owners)
    server.verify(token.reveal())
    await command.revoke("laptop")
    await until(lambda: not server._owners)
    follow.cancel()
    await asyncio.wait([follow])
    with pytest.raises(InvalidKey):
        server.verify(token.reveal())
    for store in stores:
        await store.close()


class Away(MemoryStore):
    """A store that can be taken away."""

    away = False

    async def change_counter(self) -> int:
        if self.away:
            raise StoreError("away")
        return await super().change_counter()


async def test_keys_go_on_counting_while_the_store_is_away() -> None:
    store = Away()
    keys = ring(store)
    _, token = await keys.create()
    store.away = True
    follow = asyncio.create_task(keys.follow(interval_s=0.001))
    await until(lambda: keys.failed_polls >= 3)
    assert keys.verify(token.reveal()).key_name == "my-app-1"
    store.away = False
    await store.revoke_key((await store.keys())[0].id, 1)
    await until(lambda: not keys._owners)
    follow.cancel()
    await asyncio.wait([follow])


async def test_keys_without_a_name_are_numbered() -> None:
    keys = ring(MemoryStore())
    await keys.create("my-app-2")
    names = [(await keys.create())[0].name for _ in range(3)]
    assert names == ["my-app-1", "my-app-3", "my-app-4"]


class Racing(MemoryStore):
    """A store where another process always makes a key in the very moment between looking and adding."""

    races = 2

    async def keys(self) -> list[KeyRecord]:
        seen = await super().keys()
        if self.races:
            self.races -= 1
            number = len(seen) + 1
            name = f"my-app-{number}"
            await self.add_key(KeyRecord(id=name, name=name, shown="", digest=name.encode(), created_at_us=0))
        return seen


async def test_a_number_that_another_process_takes_is_passed_over() -> None:
    assert (await ring(Racing()).create())[0].name == "my-app-2"


async def test_a_name_that_is_taken_is_refused() -> None:
    keys = ring(MemoryStore())
    await keys.create("laptop")
    await keys.create("server")
    with pytest.raises(InvalidRequest, match="'laptop' exists already"):
        await keys.create("laptop")
    with pytest.raises(InvalidRequest, match="'laptop' exists already"):
        await keys.rename("server", "laptop")


@pytest.mark.parametrize("name", ["", " x", "x\n", "x" * 65, "\x1b[31m"])
async def test_a_name_that_would_spoil_a_table_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="no name for a key"):
        await ring(MemoryStore()).create(name)


async def test_a_renamed_key_verifies_under_its_new_name() -> None:
    keys = ring(MemoryStore())
    record, token = await keys.create("laptop")
    assert (await keys.rename(record.id, "desk")).name == "desk"
    assert keys.verify(token.reveal()).key_name == "desk"


async def test_an_unknown_key_names_the_nearest() -> None:
    keys = ring(MemoryStore())
    await keys.create("laptop")
    with pytest.raises(InvalidRequest, match=r"Unknown key 'latpop'; nearest: laptop\."):
        await keys.revoke("latpop")
    with pytest.raises(InvalidRequest, match=r"Unknown key 'zzz'\."):
        await keys.revoke("zzz")


def _messages(errors: Sequence[BaseException]) -> str:
    return " ".join(str(error) for error in errors)


async def test_a_key_pasted_instead_of_its_name_is_not_repeated() -> None:
    keys = ring(MemoryStore())
    _, token = await keys.create("laptop")
    with pytest.raises(InvalidRequest) as revoked:
        await keys.revoke(token.reveal())
    with pytest.raises(InvalidRequest) as created:
        await keys.create(token.reveal())
    assert token.reveal() not in _messages([revoked.value, created.value])


async def test_a_key_for_a_time_ends_by_itself_without_a_call_comparing_times() -> None:
    store, clock, dice = MemoryStore(), SetClock(), seeded_bytes(1)
    keys = KeyRing(store, PEPPER, clock=clock, ids=IdSource(clock, dice), random_bytes=dice)
    record, token = await keys.create("run-claude-1", session="s", branch="main", pull_request="12", lifetime_s=60)
    _, stays = await keys.create("laptop")
    assert record.expires_at_us == NOON_US + 60_000_000
    owner = keys.verify(token.reveal())
    assert (owner.session, owner.branch, owner.pull_request) == ("s", "main", "12")
    clock.time_us += 59_999_999
    await keys.refresh()
    assert keys.verify(token.reveal()) == owner
    clock.time_us += 1
    await keys.refresh()  # `follow` does it twice a second, whether or not anything changed
    with pytest.raises(InvalidKey, match="for a time, which is over"):
        keys.verify(token.reveal())
    with pytest.raises(InvalidKey, match="for a time, which is over"):
        await keys.look_again(token.reveal())
    assert keys.verify(stays.reveal()).key_name == "laptop"
    later = KeyRing(store, PEPPER, clock=clock, ids=IdSource(clock, dice), random_bytes=dice)
    await later.refresh()
    with pytest.raises(InvalidKey, match="for a time, which is over"):
        later.verify(token.reveal())

"""What every store does with the settings that are made through the admin API."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.settings import StoredSetting
from tests.contracts.ledger_samples import NOON_US
from tests.postgres_server import new_schema


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    offload = ThreadOffload()
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "farthing.db", offload),
        "postgres": lambda: PostgresStore(new_schema()),
    }
    made = makers[request.param]()
    await made.open()
    yield made
    await made.close()
    await offload.close()


def setting(path: str, value: object, who: str = "admin") -> StoredSetting:
    return StoredSetting(path=path, value=value, changed_at_us=NOON_US, changed_by=who)


async def test_settings_are_kept_by_their_path_in_order(store: Store) -> None:
    kept = [
        setting("models.quick", "lab:Ä"),
        setting("prices.lab:*", {"input": "0.000000001", "output": "2"}),
        setting("server.drain_s", 2.5),
        setting("unpriced", "refuse"),
    ]
    for one in reversed(kept):
        await store.settings.put(one)
    assert await store.settings.all() == kept


async def test_one_that_is_kept_again_takes_the_place_of_the_one_before(store: Store) -> None:
    await store.settings.put(setting("unpriced", "refuse"))
    await store.settings.put(setting("unpriced", "allow", who="rita"))
    assert await store.settings.all() == [setting("unpriced", "allow", who="rita")]
    assert await store.settings.remove("unpriced")
    assert not await store.settings.remove("unpriced")
    assert await store.settings.all() == []


async def test_every_change_of_a_setting_is_counted_and_nothing_else_is_needed_to_see_it(store: Store) -> None:
    seen = [await store.settings.counter()]
    for change in (
        store.settings.put(setting("unpriced", "refuse")),
        store.settings.put(setting("unpriced", "allow")),
        store.settings.remove("unpriced"),
    ):
        await change
        seen.append(await store.settings.counter())
    assert sorted(set(seen)) == seen

"""A whole house takes other settings: what is kept, what is made anew, and that nothing of the old stays behind."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from farthing.app import Farthing
from farthing.config.load import load_settings
from farthing.config.paths import Home
from farthing.config.schema import Settings
from farthing.errors import ModelNotFound, PriceListUnusable
from farthing.providers.registry import known_providers
from farthing.types.principal import Principal

TEXT = "providers:\n  lab: {kind: vllm}\n  other: {kind: vllm, base_url: 'http://127.0.0.1:1/v1'}\n"
ALIAS = "models: {fast: 'lab:m'}\n"


class House:
    def __init__(self, tmp_path: Path) -> None:
        self.home = Home(tmp_path / "home")
        self.home.create()
        self.farthing = Farthing(self.settings(TEXT), self.home, environment={})

    def settings(self, text: str) -> Settings:
        self.home.settings.write_text(text)
        return load_settings(self.home.settings, known=known_providers(), environment={})

    async def reload(self, text: str) -> None:
        await self.farthing.reload(self.settings(text))

    def means(self, name: str) -> str:
        return str(self.farthing.catalog.resolve(name, "openai_chat"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.farthing.open()
    yield house
    await house.farthing.close()


async def test_names_providers_and_prices_are_those_of_the_new_settings(house: House) -> None:
    with pytest.raises(ModelNotFound):
        house.means("fast")
    await house.reload(TEXT + ALIAS + "prices: [{model: 'lab:*', input: 3, output: 4}]\nunpriced: refuse\n")
    assert house.means("fast") == "lab:m"
    sheet = house.farthing.prices.find("lab", None, "m", 0, free=True)
    assert sheet is not None
    assert sheet.id.startswith("settings.yaml:lab:*#")
    assert house.farthing.gateway.lineup.refuse_unpriced
    await house.reload("providers: {lab: {kind: vllm}}\n")
    assert list(house.farthing.providers) == ["lab"]
    with pytest.raises(ModelNotFound):
        house.means("other:m")


async def test_connections_and_what_providers_told_are_kept_where_nothing_about_the_way_there_changed(
    house: House,
) -> None:
    pools = dict(house.farthing.pools)
    house.farthing.catalog.learn("lab", ["a-model-of-its-own"])
    ratios = house.farthing.gateway.lineup.attempts.ratios
    await house.reload(TEXT.replace("{kind: vllm}", "{kind: vllm, hold_s: 3, free: false}") + ALIAS)
    assert dict(house.farthing.pools) == pools
    assert house.farthing.providers["lab"].hold_s == 3
    assert house.means("a-model-of-its-own") == "lab:a-model-of-its-own"
    assert house.farthing.gateway.lineup.attempts.ratios is ratios
    await house.reload(
        TEXT.replace("127.0.0.1:1/", "127.0.0.1:2/").replace("{kind: vllm}", "{kind: vllm, max_connections: 9}")
    )
    assert house.farthing.pools["lab"] is not pools["lab"]
    assert house.farthing.pools["other"] is not pools["other"]
    with pytest.raises(ModelNotFound):
        house.means("a-model-of-its-own")


async def test_settings_that_cannot_be_used_change_nothing(house: House) -> None:
    house.home.prices.mkdir()
    (house.home.prices / "state.json").write_text("broken")
    before = (house.farthing.gateway.lineup, house.farthing.settings, house.farthing.prices)
    with pytest.raises(PriceListUnusable):
        await house.reload(TEXT + "prices: [{model: 'lab:*', input: 3, output: 4}]\n")
    assert (house.farthing.gateway.lineup, house.farthing.settings, house.farthing.prices) == before


async def test_nothing_of_the_old_settings_stays_in_memory(house: House) -> None:
    old: list[weakref.ref[object]] = []
    tasks = len(asyncio.all_tasks())
    for number in range(30):
        old += [weakref.ref(house.farthing.catalog), weakref.ref(house.farthing.prices)]
        await house.reload(
            TEXT.replace("127.0.0.1:1/", f"127.0.0.1:{number + 2}/")
            + f"prices: [{{model: 'lab:*', input: {number}, output: 4}}]\n"
        )
    await asyncio.wait(house.farthing._draining, timeout=20)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks
    gc.collect()
    # The ledger keeps the first prices, for attempts that a crash left.
    assert [found for found in old[2:] if found() is not None] == []


async def test_a_reload_falls_between_two_asks_for_the_models(house: House) -> None:
    """A name that is not known makes us ask the providers; the settings that hold when they have answered decide."""
    asked = asyncio.Event()
    going_on = asyncio.Event()

    async def refresh() -> bool:
        asked.set()
        await going_on.wait()
        return True

    lineup = house.farthing.gateway.lineup
    lineup.live_models.refresh = refresh  # type: ignore[method-assign]
    found = asyncio.create_task(house.farthing.gateway.model("fast", "openai_chat", Principal("key_1", "k")))
    await asked.wait()
    await house.reload(TEXT + ALIAS)
    going_on.set()
    assert str((await found).ref) == "lab:m"


def test_settings_of_a_reload_may_be_taken_before_the_first_call(tmp_path: Path) -> None:
    house = House(tmp_path)
    bigger = msgspec.structs.replace(house.farthing.settings.server, max_body_mb=64)

    async def run() -> None:
        await house.farthing.open()
        await house.farthing.reload(msgspec.structs.replace(house.farthing.settings, server=bigger))
        assert house.farthing.gateway.lineup.max_body_bytes == 64 << 20
        await house.farthing.close()

    asyncio.run(run())

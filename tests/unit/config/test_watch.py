import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from farthing.config.changes import changes, needs_restart
from farthing.config.schema import ServerSettings, Settings
from farthing.config.watch import SettingsWatch, Taken, stamp_of
from farthing.errors import ConfigError, PriceListUnusable
from farthing.server.bounds import bounds_of
from farthing.server.listener import Bounds

T = TypeVar("T")
PLAIN = Settings(providers={}, models={})


class Inline:
    """Runs what it is given in place."""

    async def run(self, work: Callable[[], T]) -> T:
        return work()

    async def close(self) -> None:
        return


class House:
    """What a watch works on: a file that says `unpriced`, and what was taken up of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("allow")
        self.taken: list[str] = []
        self.told: list[Taken] = []
        self.while_reading: Callable[[], None] = lambda: None
        self.refusal: Exception | None = None
        self.watch = SettingsWatch(
            path, read=self.read, take=self.take, tell=self.told.append, offload=Inline(), seen=stamp_of(path)
        )

    def read(self) -> Settings:
        text = self.path.read_text()
        self.while_reading()
        if text not in ("allow", "refuse"):
            raise ConfigError(f"{text!r} is not allowed.")
        return msgspec.structs.replace(PLAIN, unpriced=text)

    async def take(self, settings: Settings) -> Taken:
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(settings.unpriced)
        return Taken(changes=(settings.unpriced,))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "settings.yaml")


async def test_a_change_is_read_when_two_looks_have_seen_the_same(house: House) -> None:
    changed = house.watch._changed
    assert not changed()
    house.path.write_text("half of")
    assert not changed()
    house.path.write_text("refuse")
    assert not changed()
    assert changed()
    await house.watch.look()
    assert house.taken == ["refuse"]
    assert not changed()
    assert not changed()


async def test_a_mistake_is_told_once_and_changes_nothing(house: House) -> None:
    house.path.write_text("maybe")
    house.watch._changed()
    assert house.watch._changed()
    await house.watch.look()
    assert [told.problem for told in house.told] == ["'maybe' is not allowed."]
    assert house.taken == []
    assert not house.watch._changed()
    house.path.write_text("refuse")
    house.watch._changed()
    assert house.watch._changed()
    await house.watch.look()
    assert house.told[-1].problem is None


async def test_what_is_written_while_it_is_read_is_read_again(house: House) -> None:
    house.path.write_text("refuse")

    def meanwhile() -> None:
        house.path.write_text("allow again")

    house.while_reading = meanwhile
    await house.watch.look()
    assert (house.taken, house.told) == ([], [])
    house.while_reading = lambda: None
    house.path.write_text("allow")
    house.watch._changed()
    assert house.watch._changed()
    await house.watch.look()
    assert house.taken == ["allow"]


async def test_a_file_that_is_gone_changes_nothing_until_it_is_back(house: House) -> None:
    house.path.unlink()
    house.watch._changed()
    assert house.watch._changed()
    await house.watch.look()
    assert "is gone" in str(house.told[-1].problem)
    assert not house.watch._changed()
    house.path.write_text("refuse")
    house.watch._changed()
    assert house.watch._changed()


@pytest.mark.parametrize("refusal", [PriceListUnusable("the list is broken"), RuntimeError("nobody expected it")])
async def test_whatever_goes_wrong_the_watch_goes_on(house: House, refusal: Exception) -> None:
    house.refusal = refusal
    await house.watch.look()
    assert str(refusal) in str(house.told[-1].problem)
    house.refusal = None
    await house.watch.look()
    assert house.told[-1].problem is None


async def test_who_asks_is_not_made_to_wait_for_a_change(house: House) -> None:
    taken = asyncio.Event()
    tell: Callable[[Taken], object] = house.told.append

    def told(one: Taken) -> None:
        tell(one)
        taken.set()

    house.watch._tell = told
    following: Awaitable[None] = asyncio.ensure_future(house.watch.follow(interval_s=60))
    try:
        house.watch.ask()
        await asyncio.wait_for(taken.wait(), 10)
        assert house.taken == ["allow"]
    finally:
        following.cancel()  # type: ignore[attr-defined]


def test_what_changed_is_told_without_what_stands_in_it() -> None:
    before = msgspec.structs.replace(PLAIN, models={"a": "x", "b": "y"})
    server = ServerSettings(port=3001, behind_proxy=True)
    after = msgspec.structs.replace(PLAIN, models={"b": "z", "c": "x"}, server=server, unpriced="refuse")
    assert changes(before, after) == (
        "server.port: 3000 -> 3001",
        "server.behind_proxy: false -> true",
        "alias a removed",
        "alias b changed",
        "alias c added",
        "unpriced: allow -> refuse",
    )
    assert changes(before, before) == ()


def test_an_address_needs_a_restart_unless_the_command_line_has_decided_it() -> None:
    now = ServerSettings(host="::1", port=3001, max_body_mb=1, drain_s=1)
    assert needs_restart(ServerSettings(), now) == (
        "server.host: 127.0.0.1 holds, ::1 needs a restart",
        "server.port: 3000 holds, 3001 needs a restart",
    )
    assert needs_restart(ServerSettings(), now, ("port",)) == ("server.host: 127.0.0.1 holds, ::1 needs a restart",)
    assert needs_restart(now, now) == ()


def test_the_listeners_bounds_are_the_settings() -> None:
    assert bounds_of(ServerSettings()) == Bounds()
    changed = bounds_of(ServerSettings(max_body_mb=3, max_buffered_mb=4, keep_alive_s=5, max_headers=60))
    assert (changed.max_body_bytes, changed.max_buffered_bytes) == (3 << 20, 4 << 20)
    assert (changed.keep_alive_s, changed.max_headers) == (5, 60)

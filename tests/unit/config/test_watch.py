import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from farthing.config.changes import changes, losses, needs_restart
from farthing.config.schema import CredentialSource, ProviderSettings, RouterSettings, ServerSettings, Settings
from farthing.config.watch import CUT_LOOKS, SettingsWatch, Taken, stamp_of
from farthing.errors import ConfigError, PriceListUnusable
from farthing.server.bounds import bounds_of
from farthing.server.listener import Bounds
from farthing.types.money import UnitPrice
from farthing.types.prices import PriceOverride

T = TypeVar("T")
PLAIN = Settings(providers={}, models={})
LAB: dict[str, Any] = {
    "kind": "vllm",
    "wire": "openai_chat",
    "base_url": "http://127.0.0.1:1/v1",
    "credential": CredentialSource("none"),
}


class Inline:
    """Runs what it is given in place."""

    async def run(self, work: Callable[[], T]) -> T:
        return work()

    async def close(self) -> None:
        return


class House:
    """What a watch works on: a file that says `unpriced`, and what was taken up of it."""

    def __init__(self, path: Path, before: str = "allow") -> None:
        self.path = path
        path.write_text(before)
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
        said = text.split()[-1] if text.strip() else "allow"
        if said in ("version:", "1", "#"):
            said = "allow"
        if said not in ("allow", "refuse"):
            raise ConfigError(f"{text!r} is not allowed.")
        return msgspec.structs.replace(PLAIN, unpriced=said)

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


WHOLE = "version: 1\n# a comment\nunpriced: refuse"


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff", "\0" * 40])
async def test_a_file_that_is_empty_changes_nothing_as_one_that_is_gone(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path / "settings.yaml", WHOLE)
    house.path.write_text(text)
    for _ in range(2):  # asked or not
        await house.watch.look()
        await house.watch.look(asked=False)
    assert house.taken == []
    assert "is empty; what it said still holds" in str(house.told[-1].problem)
    assert "is empty" in caplog.text
    house.path.write_text("version: 1\nunpriced: allow")
    await house.watch.look()
    assert house.taken == ["allow"]


async def test_a_file_that_has_lost_its_version_is_not_believed(tmp_path: Path) -> None:
    house = House(tmp_path / "settings.yaml", WHOLE)
    house.path.write_text("# a comment\nunpriced: allow")
    await house.watch.look()
    assert house.taken == []
    assert "has lost its" in str(house.told[-1].problem)


async def test_a_file_that_never_had_a_version_needs_none(house: House) -> None:
    house.path.write_text("unpriced: refuse")
    await house.watch.look()
    assert house.taken == ["refuse"]


def looks_until_changed(house: House) -> int:
    return next(number for number in range(1, 100) if house.watch._changed())


async def test_a_file_that_is_cut_in_place_is_waited_for_until_its_second_half_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path / "settings.yaml", WHOLE)
    for half in ("version: 1\n", "version: 1\n# a comment\n"):  # as a slow editor writes it
        house.path.write_text(half)
        assert looks_until_changed(house) == 2
        await house.watch.look(asked=False)
        assert house.taken == []
        assert "may be half written" in str(house.told[-1].problem)
    assert "may be half written" in caplog.text
    house.path.write_text(WHOLE.replace("refuse", "allow"))
    assert looks_until_changed(house) == 2
    await house.watch.look(asked=False)
    assert house.taken == ["allow"]
    assert house.told[-1].problem is None


async def test_a_file_that_stays_cut_is_meant(tmp_path: Path) -> None:
    house = House(tmp_path / "settings.yaml", WHOLE)
    house.path.write_text("version: 1\n")
    assert looks_until_changed(house) == 2
    await house.watch.look(asked=False)
    assert looks_until_changed(house) == CUT_LOOKS
    await house.watch.look(asked=False)
    assert house.taken == ["allow"]


async def test_who_asks_waits_for_no_second_half(tmp_path: Path) -> None:
    house = House(tmp_path / "settings.yaml", WHOLE)
    house.path.write_text("version: 1\n")
    await house.watch.look()
    assert house.taken == ["allow"]


async def test_what_was_put_there_by_a_rename_is_whole(tmp_path: Path) -> None:
    house = House(tmp_path / "settings.yaml", WHOLE)
    draft = tmp_path / "draft"
    draft.write_text("version: 1\n")  # as "farthing config unset" leaves it
    draft.replace(house.path)
    assert looks_until_changed(house) == 2
    await house.watch.look(asked=False)
    assert house.taken == ["allow"]


async def test_a_watch_that_begins_while_the_file_is_written_believes_no_half(tmp_path: Path) -> None:
    # A worker that comes back is handed the settings that held, and the file they were read from.
    path = tmp_path / "settings.yaml"
    path.write_text(WHOLE)
    seen = stamp_of(path)
    house = House(path, "version: 1\n")
    house.watch = SettingsWatch(
        path, read=house.read, take=house.take, tell=house.told.append, offload=Inline(), seen=seen
    )
    looks_until_changed(house)
    await house.watch.look(asked=False)
    assert house.taken == []


async def test_what_protects_money_and_is_gone_is_warned_of(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async def take(_: Settings) -> Taken:
        return Taken(losses=("unpriced: allow",))

    house.watch._take = take
    await house.watch.look()
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage().endswith("says less than before, and that holds now: unpriced: allow")


def test_losses_are_providers_prices_and_the_refusal_of_calls_without_a_price() -> None:
    lab, other = (ProviderSettings(**{**LAB, "name": name}) for name in ("lab", "other"))
    prices = tuple(
        PriceOverride(pattern=f"lab:{number}", input=UnitPrice(1), output=UnitPrice(1)) for number in "1234567"
    )
    before = Settings(
        providers={"lab": lab, "other": other}, providers_named=True, models={}, prices=prices, unpriced="refuse"
    )
    after = msgspec.structs.replace(before, providers={"other": other}, prices=prices[:1], unpriced="allow")
    assert losses(before, after) == (
        "no provider lab",
        "no price of your own for lab:2, lab:3, lab:4, lab:5, lab:6 and 1 more",
        "unpriced: allow",
    )
    found = msgspec.structs.replace(after, providers={}, providers_named=False)
    assert losses(after, found) == (
        "no provider other",
        "no provider is named, so those are used whose key is in the environment",
    )
    assert losses(after, before) == losses(before, before) == ()


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
    routers = {"r": RouterSettings(models=())}
    other = {"b": "z", "c": "x"}
    after = msgspec.structs.replace(PLAIN, models=other, routers=routers, server=server, unpriced="refuse")
    assert changes(before, after) == (
        "server.port: 3000 -> 3001",
        "server.behind_proxy: false -> true",
        "alias a removed",
        "alias b changed",
        "alias c added",
        "router r added",
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

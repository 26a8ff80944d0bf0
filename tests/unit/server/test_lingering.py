"""Calls whose client left and that go on for what they cost: how many, how long, and beside how much in memory."""

import asyncio
from collections.abc import Coroutine
from typing import cast

import pytest

from farthing.server.exchange import Exchange
from farthing.server.listener import LINGER_S, MAX_LINGERING, MAX_LINGERING_EACH, Bounds, Listener
from farthing.testing.simulator.virtual_time import VirtualLoop
from tests.contracts.ledger_samples import SetClock


class Left:
    """As much of an exchange as is looked at; it ends when it is cancelled."""

    def __init__(self, listener: Listener, whose: str) -> None:
        self.listener = listener
        self.whose = whose
        self.cancelled_s: list[float] = []

    def cancel(self) -> None:
        self.cancelled_s.append(asyncio.get_running_loop().time())
        self.listener.ends(cast("Exchange", self))


async def nothing(_: Exchange) -> None:
    raise AssertionError("nobody asks")


@pytest.fixture
def listener() -> Listener:
    return Listener(nothing, Bounds(max_buffered_bytes=1_000), SetClock())


def left(listener: Listener, count: int, whose: str | None = None) -> list[tuple[Left, bool]]:
    """Have so many leave; each with a key of its own, or all with that of `whose`."""
    exchanges = [Left(listener, whose or f"key_{number}") for number in range(count)]
    return [(one, listener.lingers(cast("Exchange", one))) for one in exchanges]


def test_only_so_many_go_on_and_the_end_of_one_makes_room(listener: Listener) -> None:
    async def run() -> None:
        found = left(listener, MAX_LINGERING + 1)
        assert [goes_on for _, goes_on in found] == [True] * MAX_LINGERING + [False]
        assert listener.lingering == MAX_LINGERING
        listener.ends(cast("Exchange", found[0][0]))
        assert left(listener, 2)[0][1]
        assert listener.lingering == MAX_LINGERING

    play(run())


def test_one_key_leaves_half_of_them_to_the_others(listener: Listener) -> None:
    async def run() -> None:
        found = left(listener, MAX_LINGERING, "key_of_one")
        assert sum(goes_on for _, goes_on in found) == MAX_LINGERING_EACH
        assert all(goes_on for _, goes_on in left(listener, MAX_LINGERING - MAX_LINGERING_EACH))
        listener.ends(cast("Exchange", found[0][0]))
        assert left(listener, 1, "key_of_one")[0][1]

    play(run())


def test_they_end_after_ten_minutes(listener: Listener) -> None:
    async def run() -> None:
        ((exchange, _),) = left(listener, 1)
        await asyncio.sleep(LINGER_S - 1)
        assert exchange.cancelled_s == []
        await asyncio.sleep(2)
        assert len(exchange.cancelled_s) == 1
        assert listener.lingering == 0

    play(run())


def test_none_goes_on_where_bodies_fill_half_of_what_there_is_for_them(listener: Listener) -> None:
    async def run() -> None:
        listener.buffered_bytes = 501
        assert not left(listener, 1)[0][1]
        listener.buffered_bytes = 500
        assert left(listener, 1)[0][1]

    play(run())


def play(what: Coroutine[None, None, None]) -> None:
    loop = VirtualLoop(0, 10_000)
    try:
        loop.run_until_complete(what)
    finally:
        loop.close()

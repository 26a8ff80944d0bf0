"""Limits in one process and in several, over a clock that only the test moves."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest

from farthing.errors import RateLimited, StoreError
from farthing.ledger.limit_windows import LimitHold, Taking
from farthing.ledger.limits import LEASE_S, Limits
from farthing.storage.memory import MemoryStore
from farthing.storage.memory.limits import MemoryWindows
from farthing.types.budgets import Scope
from farthing.types.calls import Attribution
from farthing.types.limits import Exchanged, Limit, LimitTarget, LimitUnit, Rate, Units, WindowAsk

ONE: Units = (1, 100, 50, 150, 7, 1, 1)
WHO = Attribution(key_id="key_1", key_name="laptop", team="a", tags="x,y")


class HandClock:
    """Two clocks that a test moves: the wall's, which may step, and the monotonic one."""

    def __init__(self) -> None:
        self.wall_us = 1_790_000_000_000_000
        self.mono_s = 1_000.0

    def now_us(self) -> int:
        return self.wall_us

    def monotonic(self) -> float:
        return self.mono_s

    def pass_s(self, seconds: float) -> None:
        self.mono_s += seconds
        self.wall_us += round(seconds * 1e6)


class Store(MemoryStore):
    """A memory store whose windows can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.slow = asyncio.Event()
        self.slow.set()
        self._kept = self.windows
        self.windows = self  # type: ignore[assignment]

    def lose(self) -> None:
        self._kept = MemoryWindows()

    async def exchange(self, holder: str, asks: Sequence[WindowAsk], *, now_us: int, lease_us: int) -> Exchanged:
        if self.away:
            raise StoreError("away")
        try:
            await self.slow.wait()
        except asyncio.CancelledError:  # as a client's library does that takes it for a timeout of its own
            raise StoreError("slow") from None
        return await self._kept.exchange(holder, asks, now_us=now_us, lease_us=lease_us)

    async def wanted(self, since_us: int) -> list[str]:
        return await self._kept.wanted(since_us)


class House:
    """Processes that share a store; `settle` lets each tell the store what it must."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.store = Store()
        self.all: list[Limits] = []
        self.made = 0

    async def limit(self, *rates: Rate, **target: str) -> None:
        about = LimitTarget(scope=Scope(team="a"), **target)
        await self.store.limits.put(Limit(id="lim_1", name="one", target=about, rates=rates))

    async def process(self, *, of: int = 1) -> Limits:
        number, self.made = self.made, self.made + 1
        made = Limits(self.store.limits, self.store.windows, f"h:{number}", self.clock, processes=of)
        await made.start()
        self.all.append(made)
        return made

    async def let_in(self, limits: Limits, calls: int, units: Units = ONE) -> int:
        """Make so many calls at once, and let time pass while they wait; return how many were let in."""
        made = asyncio.gather(*(enter(limits, units) for _ in range(calls)), return_exceptions=True)
        while not made.done():
            await asyncio.sleep(0.005)
            if not made.done():
                self.clock.pass_s(0.1)
                for other in self.all:
                    if other is not limits:
                        with suppress(StoreError):
                            await other.tick()
        found = await made
        assert all(isinstance(one, LimitHold | RateLimited) for one in found), found
        return sum(isinstance(one, LimitHold) for one in found)

    async def refused(self, limits: Limits) -> RateLimited:
        """Make a call that is refused, after as much time as it waits; return what it is told."""
        made = asyncio.create_task(enter(limits))
        while not made.done():
            await asyncio.sleep(0.005)
            if not made.done():
                self.clock.pass_s(0.1)
        error = made.exception()
        assert isinstance(error, RateLimited), error
        return error

    async def kill(self, limits: Limits) -> None:
        """Let it never be heard of again."""
        self.all.remove(limits)
        assert limits._task is not None
        limits._task.cancel()
        await asyncio.wait([limits._task])

    async def settle(self) -> None:
        for limits in self.all:
            await limits.tick()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    for limits in made.all:
        await limits.close()


def taking(limits: Limits, who: Attribution = WHO, provider: str = "openai") -> Taking:
    found = limits.taking_for(who, provider, "env:KEY")
    assert found is not None
    return found


async def enter(limits: Limits, units: Units = ONE, who: Attribution = WHO) -> LimitHold:
    found = taking(limits, who)
    at_us = found.take(units)
    return await limits.acquire(found, units) if at_us is None else LimitHold(found, units, at_us)


async def test_a_crowd_gets_all_that_there_is_in_a_few_exchanges(house: House) -> None:
    await house.limit(Rate("requests", 60, 50))
    limits = await house.process()
    assert await house.let_in(limits, 200) == 50
    assert await house.let_in(limits, 200) == 0
    assert limits.exchanges <= 4, "who is refused does not make the store answer again"


async def test_calls_that_come_while_the_store_is_asked_take_nothing_from_those_it_was_asked_for(house: House) -> None:
    await house.limit(Rate("requests", 60, 50))
    limits = await house.process()
    first = asyncio.gather(*(enter(limits) for _ in range(30)), return_exceptions=True)
    await asyncio.sleep(0)
    house.store.slow.clear()
    await asyncio.sleep(0.01)
    second = asyncio.gather(*(enter(limits) for _ in range(100)), return_exceptions=True)
    await asyncio.sleep(0.01)
    house.store.slow.set()
    found = [*await first, *await second]
    assert sum(isinstance(one, LimitHold) for one in found[:30]) == 30
    assert sum(isinstance(one, LimitHold) for one in found) == 50


async def test_the_time_that_a_refused_call_is_told_to_wait_is_the_shortest(house: House) -> None:
    await house.limit(Rate("requests", 60, 2))
    limits = await house.process()
    await enter(limits)
    house.clock.pass_s(20.3)
    await enter(limits)
    await house.settle()
    with pytest.raises(RateLimited) as told:
        await enter(limits)
    wait_s = told.value.retry_after_s
    assert wait_s is not None
    house.clock.pass_s(wait_s - 1)
    with pytest.raises(RateLimited):
        await enter(limits)
    house.clock.pass_s(1)
    await enter(limits)
    assert 39 <= wait_s <= 41


@pytest.mark.parametrize("step_s", [-3_600, 3_600, 86_400])
async def test_a_step_of_the_machines_clock_moves_no_window(house: House, step_s: int) -> None:
    await house.limit(Rate("requests", 60, 10))
    limits = await house.process()
    assert await house.let_in(limits, 10) == 10
    house.clock.wall_us += step_s * 1_000_000
    await house.settle()
    assert await house.let_in(limits, 1) == 0
    house.clock.pass_s(61)
    assert await house.let_in(limits, 20) == 10


async def test_tokens_and_money_are_corrected_by_what_was_used(house: House) -> None:
    await house.limit(Rate("tokens", 60, 1_000), Rate("nanousd", 3_600, 100))
    limits = await house.process()
    held = await enter(limits, (1, 500, 400, 900, 90, 1, 1))
    assert "1,000 tokens in any minute" in (await house.refused(limits)).message
    held.settle(100, 50, 5)
    held.settle(900, 900, 900)  # once is enough
    assert await house.let_in(limits, 20) == 5
    over = await enter(limits, (1, 1, 1, 2, 1, 1, 1))
    over.settle(400, 400, 500)
    assert await house.let_in(limits, 1, (1, 0, 1, 1, 1, 1, 1)) == 0


async def test_a_refusal_says_how_much_the_call_may_use_and_who_can_help(house: House) -> None:
    await house.limit(Rate("tokens", 60, 1_000))
    limits = await house.process()
    with pytest.raises(RateLimited, match="may use 1,001 tokens") as too_large:
        await enter(limits, (1, 1_001, 0, 1_001, 0, 1, 1))
    assert "ask for a shorter answer" in (too_large.value.hint or "")
    assert too_large.value.headers == (), "nobody asked the store yet what is left, and unknown is not 0"
    (await enter(limits, (1, 990, 0, 990, 0, 1, 1))).settle(990, 0, 0)
    with pytest.raises(RateLimited) as refused:
        await enter(limits, (1, 40, 0, 40, 0, 1, 1))
    assert "10 tokens left, the call may use 40 tokens and fits in 1m" in refused.value.message
    assert (b"x-ratelimit-remaining-tokens", b"10") in refused.value.headers


async def test_a_limit_of_nothing_tells_nobody_to_send_less(house: House) -> None:
    await house.limit(Rate("requests", 60, 0))
    with pytest.raises(RateLimited, match=r"0 requests in any minute, and this call may use 1 request\.") as refused:
        await enter(await house.process())
    assert refused.value.hint == "waiting does not help: the operator raises the limit, or takes it away."


async def test_a_call_waits_for_what_calls_under_way_hold_and_will_not_use(house: House) -> None:
    await house.limit(Rate("tokens", 60, 1_000))
    limits = await house.process()
    held = await enter(limits, (1, 500, 400, 900, 0, 1, 1))
    waits = asyncio.create_task(enter(limits))
    await asyncio.sleep(0.02)
    assert not waits.done()
    held.settle(100, 50, 0)
    (await waits).void()
    began_s = house.clock.mono_s
    await enter(limits, (1, 500, 350, 850, 0, 1, 1))
    await house.refused(limits)
    assert 1.3 <= house.clock.mono_s - began_s < 10, "and not for ever"


async def test_what_is_not_known_stays_counted_and_what_was_not_sent_does_not(house: House) -> None:
    await house.limit(Rate("requests", 60, 2), Rate("tokens", 60, 300))
    limits = await house.process()
    (await enter(limits)).settle(None, None, None)
    (await enter(limits)).void()
    assert await house.let_in(limits, 5) == 1


async def test_calls_under_way_are_counted_until_they_end(house: House) -> None:
    await house.limit(Rate("concurrency", 0, 3))
    limits = await house.process()
    held = [await enter(limits) for _ in range(3)]
    with pytest.raises(RateLimited) as told:
        await enter(limits)
    assert told.value.retry_after_s == 1
    for _ in range(10):  # an hour of telling the store
        house.clock.pass_s(LEASE_S / 2)
        await house.settle()
    assert await house.let_in(limits, 1) == 0
    held[0].settle(None, None, None)
    held[1].void()
    assert await house.let_in(limits, 5) == 2


async def test_a_call_that_never_fits_is_told_so(house: House) -> None:
    await house.limit(Rate("output_tokens", 60, 49))
    limits = await house.process()
    with pytest.raises(RateLimited, match="this call may use 50 output tokens") as told:
        await enter(limits)
    assert told.value.retry_after_s is None
    assert (told.value.limit, told.value.word, told.value.left) == ("one", "output_tokens_per_minute", 0)


async def test_several_processes_share_one_limit_and_use_all_of_it(house: House) -> None:
    await house.limit(Rate("requests", 3_600, 100))
    processes = [await house.process(of=4) for _ in range(4)]
    crowds = await asyncio.gather(*(house.let_in(limits, 10) for limits in processes))
    assert crowds == [10] * 4
    house.clock.pass_s(0.5)
    await house.settle()
    assert await house.let_in(processes[0], 200) == 60


async def test_what_a_dead_process_had_leased_counts_as_used_and_comes_back(house: House) -> None:
    await house.limit(Rate("requests", 60, 160))
    first = await house.process()
    assert await house.let_in(first, 20) == 20
    await house.kill(first)
    second = await house.process()
    house.clock.pass_s(LEASE_S + 1)
    usable = await house.let_in(second, 200)
    assert 160 - 20 - 160 // 16 - 1 <= usable <= 140
    house.clock.pass_s(75)
    assert await house.let_in(second, 200) == 160


async def test_a_process_that_was_stopped_for_long_does_not_use_what_it_had_leased(house: House) -> None:
    await house.limit(Rate("requests", 3_600, 32))
    first, second = await house.process(), await house.process()
    assert await house.let_in(first, 1) == 1
    house.clock.pass_s(LEASE_S)
    assert await house.let_in(second, 100) == 29
    assert await house.let_in(first, 100) == 0


async def test_alone_and_without_its_store_a_process_goes_on_to_the_limit(house: House) -> None:
    await house.limit(Rate("requests", 60, 100))
    limits = await house.process()
    assert await house.let_in(limits, 30) == 30
    house.clock.pass_s(0.5)
    await house.settle()
    house.store.away = True
    house.clock.pass_s(LEASE_S)
    assert await house.let_in(limits, 200) == 70
    assert limits.failures > 0
    house.clock.pass_s(62)
    assert await house.let_in(limits, 200) == 100
    house.store.away = False
    house.clock.pass_s(1)
    assert await house.let_in(limits, 200) == 0
    assert not limits.away
    house.clock.pass_s(62)
    assert await house.let_in(limits, 200) == 100


async def test_several_without_their_store_stay_within_the_limit_together(house: House) -> None:
    await house.limit(Rate("requests", 60, 160))
    first, second = await house.process(of=2), await house.process(of=2)
    used = await house.let_in(first, 60) + await house.let_in(second, 20)
    house.clock.pass_s(0.5)
    await house.settle()
    house.store.away = True
    for _ in range(60):
        used += await house.let_in(first, 20) + await house.let_in(second, 20)
        house.clock.pass_s(1)
    assert 80 < used <= 160
    house.clock.pass_s(30)
    shares = [await house.let_in(limits, 200) for limits in (first, second)]
    assert shares == [80, 80]


async def test_a_store_that_lost_its_data_is_told_again_what_was_used(house: House) -> None:
    await house.limit(Rate("requests", 3_600, 100))
    limits = await house.process()
    assert await house.let_in(limits, 60) == 60
    house.clock.pass_s(100)
    await house.settle()
    house.store.lose()
    assert await house.let_in(limits, 1) == 1
    for _ in range(2):
        house.clock.pass_s(0.5)
        await house.settle()
    other = await house.process()
    assert await house.let_in(other, 100) <= 39


async def test_a_window_that_nobody_has_heard_of_waits_for_the_store(house: House) -> None:
    await house.limit(Rate("requests", 60, 10))
    limits = await house.process()
    house.store.away = True
    with pytest.raises(StoreError, match="'one'"):
        await enter(limits)
    house.store.away = False
    house.clock.pass_s(1)
    assert await house.let_in(limits, 20) == 10


async def test_a_changed_limit_holds_and_one_that_is_gone_does_not(house: House) -> None:
    await house.limit(Rate("requests", 60, 10))
    limits = await house.process()
    assert await house.let_in(limits, 10) == 10
    await house.limit(Rate("requests", 60, 12))
    await house.settle()
    assert await house.let_in(limits, 10) == 2
    await house.limit(Rate("requests", 60, 5))
    await house.settle()
    assert await house.let_in(limits, 10) == 0
    await house.store.limits.remove("lim_1")
    await house.settle()
    assert limits.taking_for(WHO, "openai") is None


async def test_who_a_limit_is_about_is_told_by_its_target(house: House) -> None:
    await house.store.limits.put(
        Limit(
            id="lim_2",
            name="each",
            target=LimitTarget(scope=Scope(tag="*"), key_name="laptop", provider="openai"),
            rates=(Rate("requests", 60, 1),),
        )
    )
    limits = await house.process()
    assert len(taking(limits).windows) == 2, "one for each tag"
    assert limits.taking_for(WHO, "anthropic") is None
    assert limits.taking_for(Attribution(key_id="key_1", key_name="laptop"), "openai") is None
    assert limits.taking_for(Attribution(key_id="key_2", key_name="desk", tags="x"), "openai") is None


async def test_a_further_try_is_no_request_but_of_its_credential(house: House) -> None:
    await house.limit(Rate("requests", 60, 3))
    target = LimitTarget(credential="env:KEY")
    await house.store.limits.put(Limit(id="lim_2", name="c", target=target, rates=(Rate("requests", 60, 2),)))
    limits = await house.process()
    (await enter(limits, (1, 0, 0, 0, 0, 1, 1))).settle(0, 0, 0)
    (await enter(limits, (0, 0, 0, 0, 0, 1, 1))).settle(0, 0, 0)
    with pytest.raises(RateLimited, match="'c'"):
        await enter(limits, (0, 0, 0, 0, 0, 1, 1))
    found = {window.name: window.remaining for window in taking(limits).windows}
    assert found == {"one": 2, "c": 0}


async def test_a_store_that_takes_the_end_for_a_timeout_does_not_hold_it_up(house: House) -> None:
    await house.limit(Rate("requests", 60, 10))
    limits = await house.process()
    house.store.slow.clear()
    waiting = asyncio.create_task(enter(limits))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(limits.close())
    await asyncio.sleep(0.01)
    house.store.slow.set()
    async with asyncio.timeout(5):
        await closing
    with pytest.raises(StoreError):
        await waiting
    house.all.remove(limits)


KINDS = {"requests": 1, "input_tokens": 100, "output_tokens": 50, "tokens": 150, "nanousd": 7}


@pytest.mark.parametrize("kind", list(KINDS))
async def test_who_waits_as_long_as_told_is_let_in_whatever_is_limited(house: House, kind: LimitUnit) -> None:
    await house.limit(Rate(kind, 60, KINDS[kind] * 5), Rate(kind, 3_600, KINDS[kind] * 40))
    limits = await house.process()
    dice = random.Random(kind)
    waited = 0
    for _ in range(60):
        try:
            held = await enter(limits)
        except RateLimited as refused:
            house.clock.pass_s(refused.retry_after_s or 0)
            held = await enter(limits)
            waited += 1
        held.settle(None, None, None)
        house.clock.pass_s(dice.choice((0, 0.4, 3, 17)))
        await house.settle()
    assert waited >= 5


async def test_a_quota_is_a_limit_of_one_credential_that_all_processes_share(house: House) -> None:
    first, second = [await house.process(of=2) for _ in range(2)]
    target = LimitTarget(provider="openai", credential="env:KEY")
    rates = (Rate("requests", 60, 4), Rate("concurrency", 0, 3))
    for limits in (first, second):
        limits.set_quotas([Limit(id="quota:openai:env:KEY", name="quota", target=target, rates=rates)])
        assert limits.taking_for(WHO, "openai", "env:OTHER") is None
        assert limits.taking_for(WHO, "groq", "env:KEY") is None
        assert limits.full_for_us("openai", "env:KEY") is None
    assert await house.let_in(first, 2) == 2
    assert await house.let_in(second, 2) == 1, "three are under way"
    assert second.full_for_us("openai", "env:KEY") in (None, 1_000_000)
    with pytest.raises(RateLimited, match="'quota' of a credential") as refused:
        await enter(second)
    assert refused.value.of_credential
    assert taking(second).headers(0) == [], "clients are told of their own limits alone"
    second.set_quotas([])
    assert second.taking_for(WHO, "openai", "env:KEY") is None


async def test_who_has_another_credential_does_not_wait_for_what_other_processes_hold(house: House) -> None:
    limits = await house.process(of=2)
    target = LimitTarget(provider="openai", credential="env:KEY")
    limits.set_quotas([Limit(id="q", name="quota", target=target, rates=(Rate("requests", 60, 20),))])
    found = taking(limits)
    elsewhere = WindowAsk(window=found.windows[0].id, window_us=60_000_000, limit=20, need=15)
    now_us = house.clock.now_us()
    await house.store.exchange("another", [elsewhere], now_us=now_us, lease_us=int(LEASE_S * 1e6))
    assert await house.let_in(limits, 5) == 5
    began_s = house.clock.mono_s
    with pytest.raises(RateLimited) as refused:
        await limits.acquire(found, ONE, patient=False)
    assert house.clock.mono_s == began_s
    assert refused.value.held_elsewhere
    assert limits.full_for_us("openai", "env:KEY") is None, "it may come back at any moment"

"""From the outbox to a receiver: each fact once, whatever happens on the way."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from farthing.monitoring.notify.channel import TAKEN, Message, Outcome
from farthing.monitoring.notify.notifier import BEGUN_S, LEAD_S, MAX_TRIES, RENEW_S, Notifier, Route, wait_s
from farthing.monitoring.notify.webhook import Webhook
from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import KeyRecord, Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.alerts import FACT_KINDS, ErrorBurst, Sighting
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.secret import Secret
from tests.contracts.ledger_samples import NOON_US, SetClock, attempt
from tests.unit.monitoring.receivers import Receiver

HOUR_US = 3_600_000_000
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as made:
        yield made


def webhook(receiver: Receiver, clock: SetClock) -> Webhook:
    return Webhook(Secret(receiver.url), None, receiver.post, clock, ca_file=None)


def notifier(store: Store, receiver: Receiver, clock: SetClock, holder: str = "a") -> Notifier:
    return Notifier(store.alerts, clock, holder, {"ops": Route(webhook(receiver, clock), FACT_KINDS)}, keys=store)


async def cross_a_line(store: Store, scope: Scope = Scope()) -> None:  # noqa: B008  (it is frozen)
    """Make a budget of which a call then spends nearly all."""
    rule = Budget(id="bud_1", name="one", scope=scope, limit_nanousd=1_000_000, period="total")
    await store.budgets.put(rule)
    ask = LeaseAsk(key=AccountKey("bud_1", 1, scope, 0), end_us=None)
    await store.budgets.exchange("a", [ask], now_us=NOON_US, until_us=NOON_US + 1)
    await store.append([attempt(1, cost_nanousd=990_000)])


def burst(number: int) -> Sighting:
    about = ErrorBurst(provider=f"p{number}", since_us=NOON_US, attempts=9, failed=9, usual_ppm=1, sample_attempts=900)
    return Sighting(condition=f"errors p{number}", level=1, at_us=NOON_US + number, about=about)


async def step(*notifiers: Notifier) -> None:
    for one in notifiers:
        await one.tick()
    for one in notifiers:
        await one.settle()


async def test_a_threshold_that_is_crossed_reaches_the_receiver_once(receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    await cross_a_line(store)
    here = notifier(store, receiver, clock)
    for _ in range(4):
        await step(here)
        clock.time_us += HOUR_US
    (body,) = receiver.bodies()
    assert (body["kind"], body["state"]) == ("threshold", "began")
    assert (body["about"]["left_percent"], body["about"]["spent_usd"]) == (5, "0.000990000")
    assert receiver.ids() == [body["id"]] == [receiver.requests[0].headers["idempotency-key"]]
    (told,) = await store.alerts.told(9)
    assert told.deliveries[0].state == "delivered"


async def test_a_key_is_told_by_the_name_that_it_has_and_its_id_stays_for_programs(receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    await store.add_key(KeyRecord(id="key_1", name="laptop", shown="ft-abcdef", digest=b"d" * 32, created_at_us=1))
    await cross_a_line(store, Scope(key_id="key_1"))
    await step(notifier(store, receiver, clock))
    (body,) = receiver.bodies()
    assert body["title"] == "Budget 'one' (key 'laptop'): less than 5 % is left"
    assert (body["about"]["scope"], body["about"]["subject"]) == ("key 'laptop'", {"key_id": "key_1"})


async def test_only_one_of_several_processes_tells(receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    await cross_a_line(store)
    await step(*(notifier(store, receiver, clock, holder) for holder in ("a", "b", "c")))
    assert len(receiver.requests) == 1


async def test_another_process_tells_once_the_first_is_gone(receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    first, second = (notifier(store, receiver, clock, holder) for holder in ("a", "b"))
    await step(first, second)
    await cross_a_line(store)
    clock.time_us += int(RENEW_S * 1e6)
    await step(second)
    assert receiver.requests == []
    clock.time_us += int((LEAD_S - RENEW_S) * 1e6)
    await step(second)
    assert len(receiver.requests) == 1


async def test_who_stops_in_order_hands_over_at_once(receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    first, second = (notifier(store, receiver, clock, holder) for holder in ("a", "b"))
    await step(first, second)
    await cross_a_line(store)
    await first.close()
    clock.time_us += int(RENEW_S * 1e6)
    await step(second)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [500, 404, 302, 0])
async def test_what_is_not_taken_is_sent_again_under_its_id(status: int, receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    await cross_a_line(store)
    receiver.statuses = [status, status]
    here = notifier(store, receiver, clock)
    for _ in range(4):
        await step(here)
        clock.time_us += HOUR_US
    assert len(receiver.ids()) == 3
    assert len(set(receiver.ids())) == 1
    assert "token" not in str(await store.alerts.told(9))


async def test_a_channel_that_never_takes_it_is_given_up_and_can_be_tried_anew(receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    await cross_a_line(store)
    receiver.statuses = [503] * MAX_TRIES
    here = notifier(store, receiver, clock)
    for _ in range(MAX_TRIES + 3):
        await step(here)
        clock.time_us += HOUR_US
    assert len(receiver.requests) == MAX_TRIES
    (dead,) = await store.alerts.told(9, dead_only=True)
    assert dead.deliveries[0].error == "status 503: what a receiver says"
    assert await store.alerts.retry(dead.fact.id, clock.time_us) == 1
    await step(here)
    assert len(receiver.requests) == MAX_TRIES + 1
    assert await store.alerts.told(9, dead_only=True) == []


def test_waiting_doubles_within_bounds_and_heeds_the_channel() -> None:
    assert [wait_s(tries, Outcome("no")) for tries in (1, 2, 3, 11, 12)] == [5, 10, 20, 3600, 3600]
    assert wait_s(1, Outcome("no", 77.0)) == 77
    assert wait_s(1, Outcome("no", 10.0**6)) == 3600


async def test_a_channel_that_hangs_keeps_no_other_waiting(receiver: Receiver) -> None:
    class Hanging:
        async def send(self, message: Message) -> Outcome:
            del message
            await asyncio.Event().wait()
            return TAKEN

    store, clock = MemoryStore(), SetClock()
    here = notifier(store, receiver, clock)
    here.routes = {"hangs": Route(Hanging(), FACT_KINDS), **here.routes}
    await store.alerts.note([burst(number) for number in range(8)])
    running = asyncio.create_task(here.run())
    async with asyncio.timeout(20):
        while len(receiver.requests) < 8:
            await here.tick()
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert receiver.ids() == [told.fact.id for told in reversed(await store.alerts.told(9))]


async def test_facts_go_where_they_are_wanted_and_to_no_channel_that_is_gone(receiver: Receiver) -> None:
    store, clock = MemoryStore(), SetClock()
    here = notifier(store, receiver, clock)
    here.routes = {"ops": msgspec.structs.replace(here.routes["ops"], facts=("unusual",))}
    await store.alerts.note([burst(1)])
    await step(here)
    (told,) = await store.alerts.told(9)
    assert (told.routed, told.deliveries) == (True, ())
    (fact,) = await store.alerts.note([burst(2)])
    await store.alerts.route(fact.id, ["gone"], NOON_US)
    await step(here)
    (dead,) = await store.alerts.told(9, dead_only=True)
    assert dead.deliveries[0].error == "the settings name no such channel"


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("point", ["before-send", "sent", "noted"])
async def test_a_process_killed_around_sending_loses_nothing_and_the_id_tells_a_repetition(
    point: str, receiver: Receiver, tmp_path: Path
) -> None:
    command = [sys.executable, str(Path(__file__).with_name("notifier_victim.py")), str(tmp_path), receiver.url, point]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with (tmp_path / "said").open("wb") as said:
        victim = await asyncio.create_subprocess_exec(*command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        async with asyncio.timeout(30):
            assert await victim.wait() == -signal.SIGKILL, (tmp_path / "said").read_text(encoding="utf-8")
    offload, clock = ThreadOffload(), SetClock()
    store = SqliteStore(tmp_path / "farthing.db", offload)
    await store.open()
    here = notifier(store, receiver, clock, "b")
    clock.time_us += int((max(LEAD_S, BEGUN_S) + 1) * 1e6)
    for _ in range(3):
        await step(here)
        clock.time_us += HOUR_US
    assert len(receiver.ids()) == {"before-send": 1, "sent": 2, "noted": 1}[point]
    assert len(set(receiver.ids())) == 1
    (told,) = await store.alerts.told(9)
    assert told.deliveries[0].state == "delivered"
    await store.close()
    await offload.close()

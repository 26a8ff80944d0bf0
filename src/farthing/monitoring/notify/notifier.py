"""Carries facts from the outbox to the channels: one process of all that share a store does, each fact once.

A delivery is begun in the store before anything is sent, and noted afterwards. A process that dies in between leaves
it begun; it is sent again when its time is over, with the same id, by whoever leads then. So nothing is lost, and who
looks at the id sees each fact once. A channel that does not take a fact is tried again, ever more rarely, and given up
in the end: such a delivery is dead, is shown, and can be begun anew.

Each channel has one task at most, and sends one message after the other: a channel that hangs keeps no other waiting.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from farthing.clock import Clock
from farthing.errors import StoreError
from farthing.monitoring.notify.channel import Channel, Message, Outcome
from farthing.monitoring.notify.key_names import with_key_names
from farthing.monitoring.notify.words import message_of
from farthing.storage.alert_protocols import AlertStore
from farthing.storage.protocols import KeyStore
from farthing.types.alerts import Delivery, Fact, FactKind
from farthing.types.report_facts import ReportMade

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often the outbox is looked at: two reads of an index, 50 us."""
LEAD_S = 60.0
"""For so long a process leads that is not heard of; another takes over then."""
RENEW_S = 20.0
"""How often it says that it goes on; each time is a write to the disk."""
SEND_TIMEOUT_S = 60.0
"""Within this a message is sent, or given up until its next try; three steps with a slow mail server."""
AT_ONCE = 4
"""Deliveries that are begun together; what is sent to one channel goes one after the other."""
BEGUN_S = 300.0
"""So long a begun batch is nobody else's: four messages that take as long as they may, and then some."""
MAX_ROUTED = 256
"""Facts that are routed in a tick; a crowd of accounts crosses its line over several."""
MAX_TRIES = 12
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0
"""5 s doubled eleven times, at most an hour each: a channel may be away for three hours."""
KEEP_S, KEEP_FACTS = 90 * 86_400.0, 100_000
"""Facts that are kept: a quarter of a year, and at most 50 MB of them."""
TIDY_S = 3600.0


class Route(msgspec.Struct, frozen=True):
    """A channel, and what goes there."""

    channel: Channel
    facts: tuple[FactKind, ...]


class Notifier:
    """The way out of one process; it sends only while it leads."""

    def __init__(
        self,
        store: AlertStore,
        clock: Clock,
        holder: str,
        routes: Mapping[str, Route],
        *,
        keys: KeyStore,
        watch: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """`keys` knows them by name.

        `watch` is called with the time in every tick while this process leads, to look for what is to be told.
        """
        self._store = store
        self._keys = keys
        self._clock = clock
        self._holder = holder
        self.routes = routes
        self._watch = watch
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._leads = False
        self._renew_at = clock.monotonic()
        self._tidy_at = clock.monotonic()

    async def run(self) -> None:
        """Look after the outbox until cancelled."""
        try:
            while True:
                try:
                    await self.tick()
                except StoreError as error:
                    log.info("the outbox of alerts could not be looked at: %s", error)
                except Exception:  # alerts must never end because one of them is odd
                    log.exception("an error nobody expected in the alerts")
                await asyncio.sleep(TICK_S)
        finally:
            for task in self._sending.values():
                task.cancel()

    async def close(self) -> None:
        """Let another process lead at once."""
        if self._leads:
            self._leads = False
            now_us = self._clock.now_us()
            await self._store.lead(self._holder, now_us=now_us, until_us=now_us)

    async def tick(self) -> None:
        """Route what is new and begin what is due, where this process leads."""
        now_us = self._clock.now_us()
        if self._clock.monotonic() >= self._renew_at:
            self._leads = await self._store.lead(self._holder, now_us=now_us, until_us=now_us + _us(LEAD_S))
            self._renew_at = self._clock.monotonic() + RENEW_S
        if not self._leads:
            return
        if self._watch is not None:
            await self._watch(now_us)
        for fact in await self._store.unrouted(MAX_ROUTED):
            await self._store.route(fact.id, self._wanting(fact), now_us)
        await self._begin_due(now_us)
        if self._clock.monotonic() >= self._tidy_at:
            await self._store.forget(now_us - _us(KEEP_S), keep=KEEP_FACTS)
            self._tidy_at = self._clock.monotonic() + TIDY_S

    def _wanting(self, fact: Fact) -> list[str]:
        if isinstance(fact.about, ReportMade):
            return [name for name in fact.about.channels if name in self.routes]
        return [name for name, route in self.routes.items() if fact.kind in route.facts]

    async def settle(self) -> None:
        """Wait until what is being sent is sent."""
        while self._sending:
            await asyncio.wait(list(self._sending.values()))

    async def _begin_due(self, now_us: int) -> None:
        due = await self._store.take(
            now_us=now_us, until_us=now_us + _us(BEGUN_S), limit=AT_ONCE, but=list(self._sending)
        )
        batches: dict[str, list[Delivery]] = {}
        for delivery in due:
            batches.setdefault(delivery.channel, []).append(delivery)
        for name, batch in batches.items():
            route = self.routes.get(name)
            if route is None:
                for one in batch:
                    await self._store.failed(one.fact.id, name, "the settings name no such channel", None)
                continue
            task = asyncio.create_task(self._send_all(name, route.channel, batch), name=f"alerts-{name}")
            self._sending[name] = task
            task.add_done_callback(partial(self._sent_all, name))

    async def _send_all(self, name: str, channel: Channel, batch: Sequence[Delivery]) -> None:
        try:
            for delivery in batch:
                (fact,) = await with_key_names(self._keys, [delivery.fact])
                outcome = await send(channel, message_of(fact))
                await self._note(name, delivery, outcome)
        except StoreError as error:
            # What was sent and not noted is sent again, under its id.
            log.info("what came of an alert could not be noted: %s", error)

    def _sent_all(self, name: str, _: asyncio.Task[None]) -> None:
        del self._sending[name]

    async def _note(self, name: str, delivery: Delivery, outcome: Outcome) -> None:
        fact, now_us = delivery.fact, self._clock.now_us()
        if outcome.error is None:
            await self._store.delivered(fact.id, name, now_us)
            return
        if delivery.tries >= MAX_TRIES:
            log.error("the alert %s is given up for channel %r: %s", fact.id, name, outcome.error)
            await self._store.failed(fact.id, name, outcome.error, None)
            return
        log.warning("channel %r did not take the alert %s: %s", name, fact.id, outcome.error)
        await self._store.failed(fact.id, name, outcome.error, now_us + _us(wait_s(delivery.tries, outcome)))


def wait_s(tries: int, outcome: Outcome) -> float:
    """Return how long to wait after so many tries; longer where the channel asked for it, within bounds."""
    doubled = FIRST_WAIT_S * 2.0 ** min(tries - 1, MAX_TRIES)
    return min(max(doubled, outcome.wait_s or 0.0), LONGEST_WAIT_S)


async def send(channel: Channel, message: Message) -> Outcome:
    """Send a message once, within a bound; whatever goes wrong is an outcome."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            return await channel.send(message)
    except TimeoutError:
        return Outcome(f"it took longer than {SEND_TIMEOUT_S:g} s")
    except StoreError as error:  # the thread for blocking work is closed: the program is stopping
        return Outcome(error.message)
    except Exception as error:  # noqa: BLE001 - a channel of any kind may fail in any way; it is noted and tried again
        return Outcome(f"{type(error).__name__}")


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)

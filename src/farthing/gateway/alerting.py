"""Alerts of one process, put together: what looks for news, what carries it, and the connections it goes over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from farthing.catalog.known_prices import KnownPrices
from farthing.clock import Clock
from farthing.config.schema import AlertSettings
from farthing.errors import StoreError
from farthing.ledger.alerts import AlertWatch
from farthing.ledger.scheduled_reports import ScheduledReports
from farthing.monitoring.notify.channel import Message
from farthing.monitoring.notify.channels import make_channel
from farthing.monitoring.notify.notifier import Notifier, Route, send
from farthing.providers.pool import Connect, Pool, PoolLimits, Poster
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import Store
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 4
"""To one place that alerts go to; a channel sends one message after the other."""


class Alerting:
    """`start` it when the store is open, and `close` it before the store; `take_up` other settings in between."""

    def __init__(
        self,
        settings: AlertSettings,
        store: Store,
        holder: str,
        clock: Clock,
        *,
        environment: Mapping[str, str],
        connect: Connect,
        offload: Offload | None,
        books: Callable[[], Awaitable[Store]],
        known: Callable[[], KnownPrices],
    ) -> None:
        """Mail and forecasts run on a thread of their own, unless an `offload` is handed in; it stays the caller's.

        `books` opens the store for the long questions of reports, and `known` has the prices of now.
        """
        self._clock = clock
        self._environment = environment
        self._offload: Offload = offload or ThreadOffload("farthing-alerts")
        self._is_ours = offload is None
        self._pool = Pool(connect=connect, limits=PoolLimits(max_connections=MAX_CONNECTIONS))
        self._settings = settings
        self._watch = AlertWatch(store, self._offload, lambda: self._settings.quiet_s)
        self._reports = ScheduledReports(store.alerts, books, known)
        routes = self._routes(settings)
        self._notifier = Notifier(store.alerts, clock, holder, routes, keys=store, watch=self._look)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after the outbox from now on."""
        self._task = asyncio.create_task(self._notifier.run(), name="alerts")

    def take_up(self, settings: AlertSettings) -> None:
        """Go by other settings; what is secret of the channels is read again."""
        self._settings = settings
        self._notifier.routes = self._routes(settings)

    async def close(self) -> None:
        """Send no more, and let another process tell."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        await self._reports.close()
        await self._pool.close()
        try:
            await self._notifier.close()
        except StoreError as error:
            log.info("another process can tell of alerts in a minute only: %s", error)
        if self._is_ours:
            await self._offload.close()

    async def test(self, names: Sequence[str], message_id: str) -> list[str | None]:
        """Send a message to these channels, now; return for each why it did not take it, or `None`."""
        message = Message(message_id, "A test", "This channel works.", self._clock.now_us())
        channels = [self._notifier.routes[name].channel for name in names]
        outcomes = await asyncio.gather(*(send(channel, message) for channel in channels))
        return [outcome.error for outcome in outcomes]

    async def _look(self, now_us: int) -> None:
        self._reports.look(now_us)
        await self._watch.look(now_us)

    def _routes(self, settings: AlertSettings) -> dict[str, Route]:
        made = partial(
            make_channel,
            environment=self._environment,
            post=Poster(self._pool),
            offload=self._offload,
            clock=self._clock,
        )
        return {one.name: Route(made(one), one.facts) for one in settings.channels}

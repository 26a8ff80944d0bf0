"""Learn from the providers themselves which models they have.

The price list knows the big vendors' models; a local server's are known to nobody else. All providers are asked at the
same time, each within a few seconds; what they tell teaches the catalogue, so that a bare name resolves and
`/v1/models` lists it. A provider that does not answer keeps the names it had.
"""

import asyncio
import logging
from collections.abc import Mapping

from farthing.catalog.catalog import Catalog
from farthing.errors import FarthingError
from farthing.providers.pool import Pool, Timeouts
from farthing.providers.protocol import Provider
from farthing.wire.lenient import UNREADABLE
from farthing.wire.peek import MAX_MODEL_CHARS

log = logging.getLogger(__name__)

KEEP_S = 300.0
"""Providers add models weekly; a local server changes while somebody tries things, hence not longer."""
ASK_S = 3.0
"""A provider that takes longer is left out: a client that starts up waits for the slowest."""
MAX_LIST_BYTES = 8 << 20
"""OpenRouter's list, the longest known, is 600 KB."""
MAX_NAMES = 5_000
"""Ten times the longest known list."""

_TIMEOUTS = Timeouts(connect_s=ASK_S, first_byte_s=ASK_S, idle_s=ASK_S, total_s=ASK_S)


class LiveModels:
    """Asks the providers for their models, at most every `KEEP_S` seconds."""

    def __init__(self, catalog: Catalog, providers: Mapping[str, Provider], pools: Mapping[str, Pool]) -> None:
        self._catalog = catalog
        self._providers = providers
        self._pools = pools
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def refresh(self) -> bool:
        """Ask, unless that was done lately; whether anything may have been learned. Callers at once share one round."""
        loop = asyncio.get_running_loop()
        if self._asking is None:
            if loop.time() - self._asked_at < KEEP_S:
                return False
            self._asked_at = loop.time()
            self._asking = loop.create_task(self._ask_all())
            self._asking.add_done_callback(self._asked)
        await asyncio.shield(self._asking)
        return True

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("asking the providers for their models failed", exc_info=error)

    async def _ask_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for provider in self._providers.values():
                group.create_task(self._ask(provider))

    async def _ask(self, provider: Provider) -> None:
        try:
            head = provider.request_head("models", b"", b"accept: application/json\r\n", 0)
            answer = await self._pools[provider.name].send(provider.origin, head, [], _TIMEOUTS)
            try:
                body = await answer.read(MAX_LIST_BYTES)
            finally:
                answer.cancel()
            if answer.status == 200:
                names = provider.model_names(body)
                self._catalog.learn(provider.name, [name for name in names[:MAX_NAMES] if len(name) <= MAX_MODEL_CHARS])
        except (FarthingError, *UNREADABLE) as error:
            log.info("provider %s did not list its models: %s", provider.name, error)

"""Learn from the providers themselves which models they have.

The price list knows the big vendors' models; a local server's are known to nobody else. All providers are asked at the
same time, each within a few seconds; what they tell teaches the catalogue, so that a bare name resolves and
`/v1/models` lists it. A provider that does not answer keeps the names it had.
"""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from farthing.catalog.catalog import Catalog
from farthing.errors import FarthingError
from farthing.providers.pool import Pool, Timeouts
from farthing.providers.protocol import Provider
from farthing.wire.lenient import UNREADABLE
from farthing.wire.peek import is_model_name

log = logging.getLogger(__name__)

KEEP_S = 300.0
"""Providers add models weekly; a local server changes while somebody tries things, hence not longer."""
ASK_S = 3.0
"""A provider that takes longer is left out: a client that starts up waits for the slowest."""
MAX_LIST_BYTES = 8 << 20
"""OpenRouter's list, the longest known, is 600 KB."""
MAX_NAMES = 5_000
"""Ten times the longest known list."""
MAX_PAGES = 10
"""Of a list that comes in pages, a thousand names in each; the longest known has one such."""

_TIMEOUTS = Timeouts(connect_s=ASK_S, first_byte_s=ASK_S, idle_s=ASK_S, total_s=ASK_S)


class ModelList(msgspec.Struct, frozen=True):
    """What a provider answered: a status, the body of its last page, and the names, where they were a list."""

    status: int
    body: bytes
    names: list[str] | None


async def ask_for_models(provider: Provider, pool: Pool, timeouts: Timeouts) -> ModelList:
    """Ask a provider for its list of models, page after page; raises `FarthingError` where it cannot be asked."""
    names: list[str] = []
    query = body = b""
    for _ in range(MAX_PAGES):
        head = provider.request_head("models", query, b"accept: application/json\r\n", 0)
        answer = await pool.send(provider.origin, head, [], timeouts)
        try:
            body = await answer.read(MAX_LIST_BYTES)
        finally:
            answer.cancel()
        if answer.status != 200:
            return ModelList(answer.status, body, None)
        try:
            names += provider.model_names(body)
            query = provider.next_page(body)
        except UNREADABLE:
            return ModelList(answer.status, body, None)
        if not query or len(names) > MAX_NAMES:
            break
    return ModelList(200, body, names)


class LiveModels:
    """Asks the providers for their models, at most every `keep_s` seconds."""

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        pools: Mapping[str, Pool],
        *,
        keep_s: float = KEEP_S,
    ) -> None:
        self._catalog = catalog
        self._keep_s = keep_s
        self._providers = providers
        self._pools = pools
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._complained: set[str] = set()  # at most one entry for each provider

    @property
    def fresh(self) -> bool:
        """Whether asking again would teach nothing."""
        return self._asking is None and asyncio.get_running_loop().time() - self._asked_at < self._keep_s

    async def refresh(self) -> bool:
        """Ask, unless that was done lately; whether anything may have been learned. Callers at once share one round."""
        loop = asyncio.get_running_loop()
        if self._asking is None:
            if self.fresh:
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
            async with asyncio.timeout(ASK_S):
                listed = await ask_for_models(provider, self._pools[provider.name], _TIMEOUTS)
        except (FarthingError, TimeoutError) as error:
            log.info("provider %s did not list its models within %.0f s: %s", provider.name, ASK_S, error)
            return
        if listed.names is None:
            log.info("provider %s answers with status %d and no list of models", provider.name, listed.status)
            return
        good = [name for name in listed.names if is_model_name(name)]
        if len(good) < len(listed.names) and provider.name not in self._complained:
            self._complained.add(provider.name)
            bad = next(name for name in listed.names if not is_model_name(name))
            log.warning("provider %s lists names that are none, such as %a; they are left out", provider.name, bad[:60])
        self._catalog.learn(provider.name, good[:MAX_NAMES])

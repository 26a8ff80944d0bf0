"""Puts the house together: builds every part from the settings, opens and closes them.

The only file that names concrete backends. Time, randomness and connections are handed in, so that a simulator can
build the same house with its own.
"""

import asyncio
import os
from collections.abc import Mapping

from farthing.auth.key_ring import KeyRing
from farthing.auth.keys import load_pepper
from farthing.catalog.catalog import Catalog, CatalogProvider
from farthing.catalog.price_follower import PriceFollower
from farthing.catalog.prices import PriceBook, price_book
from farthing.catalog.pricing import price_nanousd
from farthing.clock import Clock, SystemClock
from farthing.config.credentials import read_credential
from farthing.config.paths import Home
from farthing.config.schema import CredentialSource, Settings
from farthing.errors import CredentialMissing
from farthing.gateway.attempts import Attempts
from farthing.gateway.gateway import Gateway
from farthing.gateway.live_models import LiveModels
from farthing.ledger import Ledger
from farthing.ledger.recovery import PriceAtCrash
from farthing.providers.pool import Connect, Dialer, Pool, PoolLimits, Proxies
from farthing.providers.protocol import Credential, Provider
from farthing.providers.registry import create_provider, known_providers
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Opening
from farthing.types.identity import IdSource, RandomBytes
from farthing.types.usage import Usage


class Farthing:
    """The whole gateway of one home: build it, `open` it, serve with its parts, `close` it."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        *,
        environment: Mapping[str, str],
        clock: Clock | None = None,
        random_bytes: RandomBytes = os.urandom,
        connect: Connect | None = None,
    ) -> None:
        self.settings = settings
        self.home = home
        self.clock = clock or SystemClock()
        self.random_bytes = random_bytes
        self.ids = IdSource(self.clock, random_bytes)
        self.pepper = load_pepper(home.pepper, random_bytes)
        self.offload = ThreadOffload()
        self.store = SqliteStore(home.database, self.offload)
        self._price_follower = PriceFollower(home.prices, self.offload)
        self.prices = price_book(settings.prices, home.prices)
        self.keys = KeyRing(self.store, self.pepper, ids=self.ids, clock=self.clock, random_bytes=random_bytes)
        self.ledger = Ledger(
            self.store, home.journal, self.clock, self.offload, price_at_crash=price_at_crash(settings, self.prices)
        )
        connect = connect or Dialer(Proxies(environment))
        self.providers: dict[str, Provider] = {
            name: create_provider(provider, _credential(provider.credential, environment))
            for name, provider in settings.providers.items()
        }
        # A pool of its own for each: one provider's jam must not take another's connections.
        self.pools = {
            name: Pool(connect=connect, limits=PoolLimits(max_connections=provider.max_connections))
            for name, provider in settings.providers.items()
        }
        self.catalog = _catalog(settings, self.prices)
        self._live_models = LiveModels(self.catalog, self.providers, self.pools)
        self._following: list[asyncio.Task[None]] = []
        self.gateway = Gateway(
            catalog=self.catalog,
            providers=self.providers,
            pools=self.pools,
            attempts=Attempts(self.ledger, self.prices, self.ids, self.clock),
            live_models=self._live_models,
            ids=self.ids,
            refuse_unpriced=settings.unpriced == "refuse",
            max_body_bytes=settings.server.max_body_mb << 20,
        )

    async def open(self) -> None:
        """Open the store, complete what an earlier process left in the journal, and load the keys."""
        await self.store.open()
        await self.ledger.start()
        await self.keys.refresh()
        self._following = [
            asyncio.create_task(self.keys.follow()),
            asyncio.create_task(self._price_follower.follow(self.prices, self.catalog.forget)),
        ]

    async def close(self) -> None:
        """Finish: no call is in flight any more when this is called."""
        await self._live_models.close()
        for pool in self.pools.values():
            await pool.close()
        for task in self._following:
            task.cancel()
        if self._following:
            await asyncio.wait(self._following)
        await self.ledger.close()
        await self.store.close()
        await self.offload.close()

    def readiness(self) -> dict[str, bool]:
        """Say what must hold before calls are taken, and whether it does."""
        return {"journal_writable": self.ledger.journal_writable, "store_reachable": self.ledger.store_ok}


def _catalog(settings: Settings, prices: PriceBook) -> Catalog:
    named: dict[str, list[str]] = {name: [] for name in settings.providers}
    for override in settings.prices:
        provider, _, model = override.pattern.partition(":")
        if provider in named and "*" not in model:
            named[provider].append(model)
    for ref in settings.models.values():
        named[ref.provider].append(ref.model)
    kinds = known_providers()
    providers = [
        CatalogProvider(
            name=name,
            kind=provider.kind,
            price_key=provider.price_key,
            models=tuple(named[name]),
            foreign=kinds[provider.kind].foreign,
        )
        for name, provider in settings.providers.items()
    ]
    configured = {provider.kind for provider in settings.providers.values()}
    return Catalog(
        aliases=settings.models,
        providers=providers,
        knows=prices.knows,
        names=prices.names,
        not_configured=[kind for kind in kinds.values() if kind.maker and kind.kind not in configured],
    )


def _credential(source: CredentialSource, environment: Mapping[str, str]) -> Credential:
    try:
        return Credential(secret=read_credential(source, environment))
    except CredentialMissing as error:
        return Credential(missing=error.message)


def price_at_crash(settings: Settings, prices: PriceBook) -> PriceAtCrash:
    """Return what prices an attempt whose process died before its first checkpoint."""

    def price(opening: Opening, usage: Usage) -> tuple[int | None, str | None]:
        provider = settings.providers.get(opening.provider) or settings.local.get(opening.provider)
        if provider is None:
            return None, None
        sheet = prices.find(
            opening.provider, provider.price_key, opening.model, opening.started_at_us, free=provider.free
        )
        return (None, None) if sheet is None else (price_nanousd(usage, sheet), sheet.id)

    return price

"""Puts the house together: builds every part from the settings, opens and closes them.

The only file that names concrete backends. Time, randomness, connections, threads, store and journal files are handed
in where somebody has his own, so that a simulator can build the same house.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import TypeGuard

import msgspec

from farthing.auth.admin_tokens import AdminTokens
from farthing.auth.key_ring import KeyRing
from farthing.auth.keys import agree_on_pepper, load_pepper
from farthing.auth.known_keys import POLL_S
from farthing.auth.master_key import MasterKeys
from farthing.auth.vault import Held, Vault
from farthing.catalog.catalog import Catalog
from farthing.catalog.known_prices import KnownPrices
from farthing.catalog.price_follower import PriceFollower
from farthing.catalog.prices import PriceBook, price_book
from farthing.clock import Clock, SystemClock
from farthing.config.paths import Home
from farthing.config.redis_place import redis_url
from farthing.config.schema import ProviderSettings, Settings
from farthing.config.storage_place import database_url, home_name, refuse_two_ledgers
from farthing.errors import FarthingError, StoreError
from farthing.gateway.accounts import Account, Accounts, opened
from farthing.gateway.admission import Admission
from farthing.gateway.alerting import Alerting
from farthing.gateway.attempts import Attempts
from farthing.gateway.catalogs import RememberingCatalog, catalog_of
from farthing.gateway.crash_prices import price_at_crash
from farthing.gateway.credential_limits import all_quotas, may_use_by
from farthing.gateway.gateway import Gateway
from farthing.gateway.layers import Layers
from farthing.gateway.limiting import Limiting
from farthing.gateway.limits_note import keep_note
from farthing.gateway.lineup import Lineup
from farthing.gateway.live_models import LiveModels
from farthing.gateway.shared_calls import SharedCalls
from farthing.gateway.shared_seals import SharedSeals
from farthing.ledger import Ledger
from farthing.ledger.budgets import Budgets
from farthing.ledger.declared_budgets import declare_budgets
from farthing.ledger.declared_limits import declare_limits
from farthing.ledger.housekeeping import Housekeeping
from farthing.ledger.journal import MAX_JOURNAL_BYTES, Files
from farthing.ledger.limits import Limits
from farthing.ledger.recovery import THIS_HOME
from farthing.providers.pool import Connect, Dialer, Pool, PoolLimits, Proxies
from farthing.providers.protocol import Provider
from farthing.providers.registry import create_provider
from farthing.storage.chosen import store_of
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import Store
from farthing.storage.redis.cache import RedisCache
from farthing.storage.redis.channel import RedisChannel
from farthing.storage.redis.windows import RedisWindows
from farthing.storage.sqlite.database import make_database
from farthing.storage.sqlite.inspection import keys_in_use
from farthing.types.calls import Opening
from farthing.types.identity import IdSource, RandomBytes
from farthing.types.offload import Offload
from farthing.types.usage import Usage

log = logging.getLogger(__name__)

_LOOK_S = 0.5
"""How often a pool that a reload took away is asked whether its last call has ended; it takes no new ones."""


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
        offload: Offload | None = None,
        store: Store | None = None,
        journal_files: Files | None = None,
        workers: int = 1,
    ) -> None:
        """One of several `workers` of a home leaves the journals of others alone, and has its share of their bound."""
        self.settings = settings
        self.home = home
        self.clock = clock or SystemClock()
        self.began_us = self.clock.now_us()
        self.settings_taken_up = True
        self.workers = workers
        self.random_bytes = random_bytes
        self.ids = IdSource(self.clock, random_bytes)
        url = database_url(settings.storage, environment) if store is None else None
        knew_a_database = bool(home.outlived_the_database())
        if url is not None:
            refuse_two_ledgers(home)
        elif store is None:
            make_database(home.database)  # before the pepper: one without a database tells that this was lost
        self._pepper_is_new = url is not None and not home.pepper.exists()
        in_the_home = store is None and url is None
        self.pepper = load_pepper(home.pepper, random_bytes, lambda: keys_in_use(home.database) if in_the_home else 0)
        self.offload: Offload = offload or ThreadOffload()
        self.store: Store = store or store_of(url, home.database, self.offload, makes=not knew_a_database)
        self.reading: Offload = offload or ThreadOffload("farthing-books")
        """The thread for questions that may take long."""
        self._books: Store | None = store if url is None else self.store
        self._opening_books = asyncio.Lock()
        self._price_follower = PriceFollower(home.prices, self.offload)
        self.prices = price_book(settings.prices, home.prices)
        self.keys = KeyRing(self.store, self.pepper, ids=self.ids, clock=self.clock, random_bytes=random_bytes)
        self.admin_tokens = AdminTokens(
            self.store.admin, self.pepper, clock=self.clock, ids=self.ids, random_bytes=random_bytes
        )
        self.ledger = Ledger(
            self.store,
            home.journal,
            self.clock,
            self.offload,
            price_at_crash=self._price_at_crash,
            files=journal_files,
            max_journal_bytes=MAX_JOURNAL_BYTES // workers,
            recovers=workers == 1,
            budgets=self.store.budgets,
            home=THIS_HOME if url is None else home_name(home, random_bytes),
        )
        self.budgets = Budgets(
            self.store.budgets, self.ledger.holder, self.clock, processes=workers, shared=url is not None
        )
        self._environment = environment
        self._connect = connect or Dialer(Proxies(environment))
        self.vault = Vault(
            self.store.credentials,
            MasterKeys(home.master_key, environment, random_bytes),
            self.offload,
            clock=self.clock,
            ids=self.ids,
            random_bytes=random_bytes,
        )
        self.held: list[Held] = []
        """What the vault has, as it was read last."""
        self._vault_counter: int | None = None
        self._following: list[asyncio.Task[None]] = []
        self._following_prices: asyncio.Task[None] | None = None
        self._draining: dict[asyncio.Task[None], Pool] = {}
        self.alerting = Alerting(
            settings.alerts,
            self.store,
            self.ledger.holder,
            self.clock,
            environment=environment,
            connect=self._connect,
            offload=offload,
            books=self.books,
            known=lambda: KnownPrices(self.settings, self.prices),
        )
        self._declaring: asyncio.Task[None] | None = None
        self.layers = Layers(settings, self.store, environment, self.offload)
        self.shared_windows = _redis(settings, environment)
        self.shared_calls = _shared_calls(settings, environment, home, random_bytes)
        self.limits = Limits(
            self.store.limits,
            self.shared_windows or self.store.windows,
            self.ledger.holder if self.shared_windows is None else f"{self.ledger.holder}:{random_bytes(4).hex()}",
            self.clock,
            processes=workers,
            shared=self.shared_windows is not None or url is not None,
        )
        admission = Admission(self.budgets, self.clock, self.store)
        lineup = self._lineup(settings, self.prices)
        # Other hosts have the same keys, so a conversation's next call may come to any of them.
        self.shared_seals = _shared_seals(settings, environment, self.pepper, alone=workers == 1 and url is None)
        self.gateway = Gateway(
            *(lineup, self.ids, admission, Limiting(self.limits, admission)),
            alone=workers == 1 and url is None,
            seals=self.shared_seals,
        )
        self.limits.set_quotas(all_quotas(lineup.accounts))

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers that calls go to now."""
        return self.gateway.lineup.providers

    @property
    def pools(self) -> Mapping[str, Pool]:
        """Their connections."""
        return self.gateway.lineup.pools

    @property
    def catalog(self) -> Catalog:
        """What names mean now."""
        return self.gateway.lineup.catalog

    async def open(self) -> None:
        """Open the store, complete what an earlier process left in the journal, and load the keys.

        Raises:
            StoreError: the store cannot be used, or hosts that share it made their keys under another pepper.
        """
        try:
            await self.store.open()
            await agree_on_pepper(self.store, self.pepper, self.home.pepper)
        except BaseException:
            if self._pepper_is_new:  # one that nothing was made under; left here, it would tell of a lost database
                self.home.pepper.unlink(missing_ok=True)
            await self.store.close()
            raise
        self._pepper_is_new = False
        await self.look_into_settings()  # before the ledger: what a crash left is priced by them
        await self.ledger.start()
        await self.keys.refresh()
        await self.budgets.start()
        await self.limits.start()
        await self._declare_rules()
        await self._follow_rules()
        self.keys.beforehand = self._follow_rules
        self.budgets.rules.elsewhere = self.keys.elsewhere
        await self.look_into_vault()
        self._following = [asyncio.create_task(self.keys.follow()), asyncio.create_task(self._follow_store())]
        noting = keep_note(self.home.limits, self._accounts_now, self.clock, self.offload, shared=self.workers > 1)
        self._following.append(asyncio.create_task(noting, name="note of limits"))
        house = Housekeeping(self.store, self.clock, self.ledger.holder, lambda: self.settings.retention.calls_us)
        self._following.append(asyncio.create_task(house.keep(), name="housekeeping"))
        self.alerting.start()
        if self.shared_calls is not None:
            self.shared_calls.start(self.ledger.call_finished)
        if self.shared_seals is not None:
            self.shared_seals.start()
        self._follow_prices()

    async def look_into_vault(self) -> None:
        """Serve with the credentials that the vault has now; a call in flight ends with the one it began with.

        What cannot be opened is told in the log, and each call that would need it is told so; but a credential that was
        open already stays in use, so that a key which is gone stops nobody before the next start.

        Raises:
            StoreError: the store cannot be read; nothing was changed.
        """
        counter = await self.vault.counter()  # before the records: a change in between is seen at the next look
        if counter == self._vault_counter:
            return
        held = await self.vault.held()
        # From here on nothing is awaited, so no reload falls in between.
        before = {one.record.id: one for one in self.held if one.secret is not None}
        for number, one in enumerate(held):
            if one.problem is not None:
                log.error("the credential %s of the vault cannot be used: %s", one.record.name, one.problem)
                held[number] = before.get(one.record.id, one)
        self._vault_counter = counter
        if held != self.held:
            self.held = held
            self.gateway.lineup = lineup = self._lineup(self.settings, self.prices, self.gateway.lineup)
            self.limits.set_quotas(all_quotas(lineup.accounts))

    async def _follow_store(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.look_into_vault()
                await self.look_into_settings()
            except StoreError:
                pass  # the ledger's own trouble with the store is told, and this is the same
            except FarthingError as error:
                log.error("the settings stay what they were: %s", error)  # noqa: TRY400 - it says all

    async def reload(self, settings: Settings) -> None:
        """Serve by other settings from the next call on; a call in flight ends with what it began with.

        Credentials are read again. A provider whose address is the same keeps its connections; the connections of one
        that is gone are closed when the last call over them has ended. What the server itself bounds is not changed
        here.

        Raises:
            ConfigError: the settings cannot be used; nothing was changed.
            PriceListUnusable: the price list in the home cannot; nothing was changed.
        """
        async with self.layers.taking_up:
            await self._take_up(await self.layers.together(settings))
            self.layers.file = settings

    async def look_into_settings(self) -> None:
        """Serve by what the admin API has made of the settings by now, in whichever process.

        Raises:
            FarthingError: the store cannot be read, or the settings cannot be used; nothing was changed.
        """
        async with self.layers.taking_up:
            if await self.layers.changed():
                await self._take_up(await self.layers.together(self.layers.file))
                self.layers.on_taken(self.settings)

    async def _take_up(self, settings: Settings) -> None:
        prices, follower = self.prices, self._price_follower
        if settings.prices != self.settings.prices:
            follower = PriceFollower(self.home.prices, self.offload)
            prices = await self.offload.run(partial(price_book, settings.prices, self.home.prices))
        old = self.gateway.lineup
        lineup = self._lineup(settings, prices, old)
        # From here on nothing can fail and nothing is awaited.
        before = self.settings
        self.gateway.lineup, self.settings, self.prices = lineup, settings, prices
        self.limits.set_quotas(all_quotas(lineup.accounts))
        if follower is not self._price_follower:
            self._price_follower = follower
            self._follow_prices()
        self.alerting.take_up(settings.alerts)
        if (settings.budgets, settings.limits) != (before.budgets, before.limits):
            self._declaring = asyncio.create_task(self._declare())
        for name, pool in old.pools.items():
            if lineup.pools.get(name) is not pool:
                # As many as providers are changed while their answers last; `total_s` ends each of those.
                task = asyncio.create_task(_close_when_idle(pool))
                self._draining[task] = pool
                task.add_done_callback(self._draining.pop)

    async def books(self) -> Store:
        """Return the store for questions that may take long; they keep neither calls nor their ledger waiting.

        Raises:
            StoreError: it cannot be opened.
        """
        async with self._opening_books:
            if self._books is None:
                books = store_of(None, self.home.database, self.reading)
                await books.open()
                self._books = books
        return self._books

    async def close(self) -> None:
        """Finish: no call is in flight any more when this is called."""
        await self.gateway.lineup.live_models.close()
        for pool in (*self.pools.values(), *self._draining.values()):
            await pool.close()
        ending = [*self._following, *self._draining]
        if self._following_prices is not None:
            ending.append(self._following_prices)
        if self._declaring is not None:
            ending.append(self._declaring)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        await self.ledger.close()
        ledger = self.ledger
        await self.budgets.close(all_posted=not (ledger.queued or ledger.spilled or ledger.in_flight))
        await self.alerting.close()
        await self.limits.close()
        if self.shared_windows is not None:
            await self.shared_windows.close()
        if self.shared_calls is not None:
            await self.shared_calls.close()
        if self.shared_seals is not None:
            await self.shared_seals.close()
        if self._books is not None and self._books is not self.store:
            await self._books.close()
        await self.store.close()
        if self.reading is not self.offload:
            await self.reading.close()
        await self.offload.close()

    def readiness(self) -> dict[str, bool]:
        """Say what must hold before calls are taken, and whether it does."""
        return {"journal_writable": self.ledger.journal_writable, "store_reachable": self.ledger.store_ok}

    def _price_at_crash(self, opening: Opening, usage: Usage) -> tuple[int | None, str | None]:
        return price_at_crash(self.settings, self.prices)(opening, usage)

    async def _follow_rules(self) -> None:
        await self.budgets.follow_rules()
        await self.limits.follow_rules()

    async def _declare_rules(self) -> None:
        await self._follow_rules()  # so that what is known here is what the store has
        await declare_budgets(self.store, self.budgets.rules, self.settings.budgets, self.clock.now_us())
        await declare_limits(self.store.limits, self.limits.book.stored, self.settings.limits)

    async def _declare(self) -> None:
        """Have the store say what the settings do; where it is away the next change or start does it."""
        try:
            await self._declare_rules()
        except StoreError as error:
            log.error("budgets and limits of the settings are not taken up yet: %s", error)  # noqa: TRY400 - it says all

    def _follow_prices(self) -> None:
        if self._following_prices is not None:
            self._following_prices.cancel()
        self._following_prices = asyncio.create_task(self._price_follower.follow(self.prices, self._forget))

    def _forget(self) -> None:
        self.catalog.forget()  # the catalogue of that moment: a reload makes another

    def _accounts_now(self) -> Mapping[str, Accounts]:
        return self.gateway.lineup.accounts

    def _lineup(self, settings: Settings, prices: PriceBook, old: Lineup | None = None) -> Lineup:
        """Return what calls are served by, with the connections and the knowledge of `old` that still hold."""
        providers: dict[str, Provider] = {}
        pools: dict[str, Pool] = {}
        catalog = catalog_of(settings, prices)
        accounts: dict[str, Accounts] = {}
        for name, provider in settings.providers.items():
            accounts[name] = self._accounts(provider, old)
            providers[name] = next(
                (one.provider for one in accounts[name].all if one.opened.credential.missing is None),
                accounts[name].all[0].provider,
            )
            before = self.settings.providers.get(name)
            if old is not None and before is not None and _reached_alike(before, provider):
                pools[name] = old.pools[name]
                if isinstance(old.catalog, RememberingCatalog):
                    catalog.learn(name, old.catalog.heard.get(name, ()))
            else:  # a pool of its own for each: one provider's jam must not take another's connections
                limits = PoolLimits(max_connections=provider.max_connections)
                pools[name] = Pool(connect=self._connect, limits=limits)
        attempts = Attempts(self.ledger, prices, self.clock)
        if old is not None:
            attempts.ratios = old.attempts.ratios
        return Lineup(
            catalog=catalog,
            providers=providers,
            accounts=accounts,
            pools=pools,
            attempts=attempts,
            live_models=LiveModels(catalog, providers, pools),
            refuse_unpriced=settings.unpriced == "refuse",
            translation=settings.translation,
            max_body_bytes=settings.server.max_body_mb << 20,
            routers=settings.routers,
        )

    def _accounts(self, provider: ProviderSettings, old: Lineup | None) -> Accounts:
        """Return the provider once for each of its credentials, with what is known already of those that stay."""
        known = {one.opened.name: one for one in old.accounts[provider.name].all} if _has(old, provider.name) else {}
        accounts = []
        for one in opened(provider, self.held, self._environment):
            told = msgspec.structs.replace(provider, credential=one.source)
            account = Account(one, create_provider(told, one.credential), self.clock.now_us())
            before = known.get(one.name)
            if before is not None and before.opened.credential == one.credential:
                account.inherit(before)
            accounts.append(account)
        return Accounts(accounts, may_use_by(self.limits))


def _has(lineup: Lineup | None, name: str) -> TypeGuard[Lineup]:
    return lineup is not None and name in lineup.accounts


def _redis(settings: Settings, environment: Mapping[str, str]) -> RedisWindows | None:
    url = redis_url(settings.storage, environment)
    return None if url is None else RedisWindows(url)


def _shared_calls(
    settings: Settings, environment: Mapping[str, str], home: Home, random_bytes: RandomBytes
) -> SharedCalls | None:
    url = redis_url(settings.storage, environment)
    return None if url is None else SharedCalls(RedisChannel(url), home_name(home, random_bytes))


def _shared_seals(
    settings: Settings, environment: Mapping[str, str], pepper: bytes, *, alone: bool
) -> SharedSeals | None:
    url = None if alone else redis_url(settings.storage, environment)
    return None if url is None else SharedSeals(RedisCache(url), pepper)


def _reached_alike(before: ProviderSettings, now: ProviderSettings) -> bool:
    """Whether connections made for the one serve the other."""
    return (before.base_url, before.ca_file, before.max_connections) == (now.base_url, now.ca_file, now.max_connections)


async def _close_when_idle(pool: Pool) -> None:
    while pool.stats.in_use or pool.stats.waiting:  # noqa: ASYNC110 - a signal from the pool would cost every call
        await asyncio.sleep(_LOOK_S)
    await pool.close()

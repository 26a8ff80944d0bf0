"""One process of the real gateway, put together as `farthing serve` does it, but for sockets, threads and time."""

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import cast

from farthing.app import Farthing
from farthing.auth.keys import SHOWN_LENGTH, Hasher, new_token
from farthing.config.paths import Home
from farthing.config.schema import CredentialSource, ProviderSettings, RetentionSettings, Settings, Timeouts
from farthing.server.app import HotApp
from farthing.server.exchange import Exchange
from farthing.server.listener import Bounds, Listener
from farthing.storage.memory import MemoryStore
from farthing.storage.protocols import KeyRecord, Store
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.database import make_database
from farthing.testing.simulator.budgets import TroubledBudgets, rules_of
from farthing.testing.simulator.dialects import MODELS
from farthing.testing.simulator.disk import Files, Process, TroubledStore
from farthing.testing.simulator.expiry import TroubledRetention
from farthing.testing.simulator.providers import Providers
from farthing.testing.simulator.rates import RATES
from farthing.testing.simulator.routers import SECOND, routers_of
from farthing.testing.simulator.schedule import Schedule
from farthing.testing.simulator.virtual_time import EPOCH_US, VirtualClock, VirtualOffload
from farthing.types.identity import RandomBytes
from farthing.types.money import UnitPrice
from farthing.types.prices import PriceOverride
from farthing.types.providers import WireFormat

_PEPPER = bytes(range(32))
TOKEN = new_token(Random(0).randbytes)
_KEY = KeyRecord(
    id="key_simulated",
    name="simulated",
    shown=TOKEN[:SHOWN_LENGTH],
    digest=Hasher(_PEPPER).digest(TOKEN.encode()),
    created_at_us=EPOCH_US,
)
_KINDS: dict[str, tuple[str, WireFormat]] = {
    "alpha": ("openai", "openai_chat"),
    "home": ("vllm", "openai_chat"),
    "claude": ("anthropic", "anthropic_messages"),
    "gem": ("gemini", "gemini"),
    "llama": ("ollama", "ollama"),
}
_KINDS_OF_SECONDS = {second: _KINDS[first] for first, second in SECOND.items()}
TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=30.0, idle_s=20.0, total_s=90.0)
_BOUNDS = Bounds(header_timeout_s=6.0, body_timeout_s=10.0, keep_alive_s=8.0, write_timeout_s=15.0)
_HOLD_S = 3.0
_CUT_WAIT_S = 2.0
_LOOK_S = 0.02
_GOODBYE_S = 1.0


def settings_of(schedule: Schedule) -> Settings:
    """Return the settings of a simulated house."""
    kinds = _KINDS | (_KINDS_OF_SECONDS if schedule.routers else {})
    providers = {
        name: ProviderSettings(
            name=name,
            kind=kind,
            wire=wire,
            base_url=f"http://{name}.sim" + ("/v1" if wire == "openai_chat" else ""),
            credential=CredentialSource("env", "SIM_KEY"),
            free=name == "home",
            timeouts=TIMEOUTS,
            max_connections=schedule.max_connections,
            stream_usage="ask" if wire == "openai_chat" else "always",
            hold_s=_HOLD_S,
        )
        for name, (kind, wire) in kinds.items()
    }
    rows = [
        PriceOverride(
            pattern=f"{provider}:{MODELS[model]}",
            input=_price(rates[0]),
            output=_price(rates[1]),
            cache_read=_price(rates[2]),
        )
        for provider, rates in RATES.items()
        if provider in providers
        for model in ("priced", "free")
    ]
    kept = None if schedule.expiry is None else f"{schedule.expiry.kept_days}d"
    return Settings(
        providers=providers,
        models={},
        routers=routers_of(schedule),
        prices=tuple(rows),
        retention=RetentionSettings(calls=kept),
    )


class Keep:
    """What outlives a process: the files of the home, and what its clock and its randomness have come to."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        self.home = Home(folder)
        self.home.create()
        if schedule.store == "sqlite":
            make_database(self.home.database)  # before the pepper, as a gateway does
        self.home.pepper.write_bytes(_PEPPER)
        self.home.pepper.chmod(0o600)
        self.settings = settings_of(schedule)
        self.clock = VirtualClock()
        self.random_bytes: RandomBytes = Random(schedule.seed).randbytes
        self._memory = MemoryStore()

    def store(self, offload: VirtualOffload) -> Store:
        """Return the store that outlives processes, for one of them."""
        return self._memory if self.schedule.store == "memory" else SqliteStore(self.home.database, offload)


class House:
    """The gateway of one process. `start` it, let clients call, `stop` it; or let it die and `bury` it."""

    def __init__(self, keep: Keep, process: Process) -> None:
        self._keep = keep
        self._process = process
        self.files = Files(process)
        self.providers = Providers(process)
        self.offload = VirtualOffload(process.loop, lambda: keep.schedule.offload_s)
        self.store = keep.store(self.offload)
        self.farthing = Farthing(
            keep.settings,
            keep.home,
            environment={"SIM_KEY": "sk-sim"},
            clock=keep.clock,
            random_bytes=keep.random_bytes,
            connect=self.providers.connect,
            offload=self.offload,
            store=cast(
                "Store",
                TroubledStore(
                    self.store,
                    process,
                    TroubledBudgets(self.store.budgets, process),
                    TroubledRetention(self.store.retention, process),
                ),
            ),
            journal_files=self.files,
        )
        app = HotApp(gateway=self.farthing.gateway, keys=self.farthing.keys, pages=_no_page)
        self.listener = Listener(app, _BOUNDS, keep.clock, app.render, app.knows)

    async def start(self) -> None:
        """Open, and be ready for clients.

        Raises:
            StoreError: the store is away; the process ends, and whoever watches over it starts another.
        """
        await self.store.open()
        await self.store.add_key(_KEY)
        for rule in rules_of(self._keep.schedule):
            await self.store.budgets.put(rule)
        await self.farthing.open()
        self._process.note("process", "serves")

    async def stop(self, drain_s: float) -> None:
        """Stop in order, as `farthing.server.live` does."""
        listener = self.listener
        self._process.note("process", "stops")
        listener.drain()
        await self._until_idle(drain_s)
        if listener.exchanges:
            self._process.note("process", f"cuts {len(listener.exchanges)} calls")
            listener.cut()
            await self._until_idle(_CUT_WAIT_S)
        listener.close()
        await self.farthing.close()
        await asyncio.sleep(_GOODBYE_S)

    def bury(self) -> None:
        """Close what a dead process had open, as the kernel does."""
        self.files.give_back()
        self.offload.at_once = True
        with suppress(StopIteration):
            self.store.close().send(None)  # it waits for nothing any more

    async def _until_idle(self, seconds: float) -> None:
        until_s = self._process.loop.time() + seconds
        while not self.listener.idle and self._process.loop.time() < until_s:  # noqa: ASYNC110 - as the server looks
            await asyncio.sleep(_LOOK_S)


def _price(nanodollars: int) -> UnitPrice:
    return UnitPrice(nanodollars * 1_000, 1)


async def _no_page(exchange: Exchange) -> None:
    exchange.respond(404, [], b"")

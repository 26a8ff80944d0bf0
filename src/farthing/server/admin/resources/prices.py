"""Whom we call, which models there are, and what they cost. A credential is told by its place, never itself."""

from typing import Annotated

import msgspec
from msgspec import Meta

from farthing.catalog.known_prices import KnownPrices
from farthing.catalog.name_patterns import fits
from farthing.catalog.price_search import FoundSheet, find_sheets
from farthing.catalog.prices import price_book
from farthing.config.stored import PLACE
from farthing.gateway.accounts import Account
from farthing.gateway.layers import Layers
from farthing.server.admin.ask import Ask, House
from farthing.server.admin.routes import READ, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Text
from farthing.types.prices import Rates
from farthing.types.spending import none_spent

_HOUR_US = 3_600_000_000
_PICOUSD_PER_USD = 10**12


class Connections(msgspec.Struct, frozen=True):
    """Connections to a provider from the process that answers, and calls that wait for one."""

    idle: int
    in_use: int
    waiting: int


class LastHour(msgspec.Struct, frozen=True):
    """What the ledger says of the last hour, of every process."""

    attempts: int
    failed_attempts: int


class CredentialShown(msgspec.Struct, frozen=True):
    """A credential; of several it has a name. `missing` says why it cannot be used, and is `null` where it can."""

    name: str | None
    missing: str | None


class ProviderShown(msgspec.Struct, frozen=True, kw_only=True):
    """A provider; `credential` is where its key is read from, `credentials` are those that calls are made with.

    `origin` is a line of the file, `admin-api`, or `found`: its key is in the environment, or it is on this machine.
    Addresses, and the names of files and variables, are for the admin: to others they are `null`.
    """

    name: str
    kind: str
    wire: str
    base_url: str | None
    credential: str | None
    credentials: tuple[CredentialShown, ...]
    free: bool
    price_key: str | None
    origin: str
    connections: Connections
    last_hour: LastHour


class ProviderList(msgspec.Struct, frozen=True):
    """The providers that calls go to now."""

    providers: tuple[ProviderShown, ...]


class ModelShown(msgspec.Struct, frozen=True):
    """A model: the name that a client sends, and what it stands for."""

    id: str
    provider: str
    model: str
    alias: bool


class ModelQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which models; `after` is the id of the last one of the page before, `*` in a name stands for any text."""

    limit: Limit = 100
    after: Text | None = None
    name: Text | None = None


class ModelPage(msgspec.Struct, frozen=True):
    """Models by id; `next` is the `after` of the next page, `null` on the last one."""

    models: tuple[ModelShown, ...]
    next: str | None


class PriceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which prices: of a model's name or a pattern with `*`, at all providers or one."""

    model: Annotated[str, Meta(min_length=1, max_length=200)] = "*"
    provider: Text | None = None
    limit: Limit = 100
    after: Text | None = None


class BandShown(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars for a million tokens (a single request, a single search) of calls that read at least so many tokens.

    `null` is unknown.
    """

    from_input_tokens: int
    input: str | None
    output: str | None
    cache_read: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    reasoning: str | None
    request: str
    web_search: str | None


class PriceShown(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a model now; `price_id` names the source, as the ledger does."""

    id: str
    provider: str
    model: str
    price_id: str
    free: bool
    bands: tuple[BandShown, ...]


class PricePage(msgspec.Struct, frozen=True):
    """Prices by `provider:model`; `next` is the `after` of the next page, `null` on the last one."""

    prices: tuple[PriceShown, ...]
    next: str | None


async def providers(ask: Ask[Nothing, Nothing]) -> Answer:
    """List the providers."""
    return Answer(ProviderList(tuple(await providers_shown(ask.house, places=ask.caller.role == "admin"))))


async def providers_shown(house: House, *, places: bool = True) -> list[ProviderShown]:
    """Return the providers as they are shown, with the `places` of the operator or without."""
    farthing, store = house.farthing, await house.books()
    rows = await store.spending(("provider",), since_us=house.now_us() - _HOUR_US)
    heard = {row.groups[0]: row for row in rows}
    lineup = farthing.gateway.lineup
    shown = []
    for name, settings in farthing.settings.providers.items():
        if name not in lineup.providers:
            continue  # a reload is under way
        stats, last = lineup.pools[name].stats, heard.get(name, none_spent())
        shown.append(
            ProviderShown(
                name=name,
                kind=settings.kind,
                wire=settings.wire,
                base_url=settings.base_url if places else None,
                credential=str(settings.credential) if places else None,
                credentials=tuple(_credential(one, places=places) for one in lineup.accounts[name].all),
                free=settings.free,
                price_key=settings.price_key,
                origin=_origin(farthing.layers, f"providers.{name}"),
                connections=Connections(stats.idle, stats.in_use, stats.waiting),
                last_hour=LastHour(last.attempts, last.failed_attempts),
            )
        )
    return shown


def _credential(account: Account, *, places: bool) -> CredentialShown:
    name, missing = account.opened.name, account.opened.credential.missing
    if places:
        return CredentialShown(name, missing)
    return CredentialShown(None, None if missing is None else "It cannot be used.")


def _origin(layers: Layers, path: str) -> str:
    line = layers.file.said.lines.get(path)
    if line is not None:
        return f"settings.yaml:{line}"
    return PLACE if any(one.path == path for one in layers.stored) else "found"


async def models(ask: Ask[Nothing, ModelQuery]) -> Answer:
    """List the models that clients may ask for, with their other names."""
    query, aliases = ask.query, ask.house.farthing.settings.models
    rows = sorted(ask.house.farthing.catalog.listing(), key=lambda row: row.id)
    found = [
        ModelShown(row.id, row.ref.provider, row.ref.model, row.id in aliases)
        for row in rows
        if row.id > (query.after or "") and (query.name is None or fits(query.name, row.id))
    ]
    page = tuple(found[: query.limit])
    return Answer(ModelPage(page, page[-1].id if len(found) > query.limit else None))


async def prices(ask: Ask[Nothing, PriceQuery]) -> Answer:
    """Find prices, as a call made now would be priced."""
    query, farthing = ask.query, ask.house.farthing
    wanted = query.model if query.provider is None else f"{query.provider}:{query.model}"
    now_us = ask.house.now_us()

    def find() -> list[FoundSheet]:
        # Lists of its own: reading all of one takes 50 ms of a thread, and those of the calls belong to the loop.
        book = price_book(farthing.settings.prices, farthing.home.prices)
        return find_sheets(KnownPrices(farthing.settings, book), wanted, now_us)

    found = await farthing.reading.run(find)
    shown = sorted((_price(one) for one in found), key=lambda one: one.id)
    shown = [one for one in shown if one.id > (query.after or "")]
    page = tuple(shown[: query.limit])
    return Answer(PricePage(page, page[-1].id if len(shown) > query.limit else None))


def _price(found: FoundSheet) -> PriceShown:
    return PriceShown(
        id=f"{found.provider}:{found.model}",
        provider=found.provider,
        model=found.model,
        price_id=found.sheet.id,
        free=found.sheet.free,
        bands=tuple(_band(band.from_input_tokens, band.rates) for band in found.sheet.bands),
    )


def _band(from_input_tokens: int, rates: Rates) -> BandShown:
    names = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")
    return BandShown(
        from_input_tokens=from_input_tokens,
        request=usd_of_picodollars(rates.request // 1_000_000) or "0",
        web_search=usd_of_picodollars(None if rates.web_search is None else rates.web_search // 1_000_000),
        **{name: usd_of_picodollars(getattr(rates, name)) for name in names},
    )


def usd_of_picodollars(picodollars: int | None) -> str | None:
    """Return an amount in dollars exactly, with at least two decimals."""
    if picodollars is None:
        return None
    whole, rest = divmod(picodollars, _PICOUSD_PER_USD)
    return f"{whole}.{f'{rest:012d}'.rstrip('0'):0<2}"


ROUTES = (
    Route(
        method="GET",
        path="/providers",
        name="providers.list",
        about="List the providers and how they do.",
        roles=READ,
        handler=providers,
        gives=ProviderList,
    ),
    Route(
        method="GET",
        path="/models",
        name="models.list",
        about="List the models that clients may ask for.",
        roles=READ,
        handler=models,
        query=ModelQuery,
        gives=ModelPage,
    ),
    Route(
        method="GET",
        path="/prices",
        name="prices.find",
        about="Find prices, by a model's name or a pattern.",
        roles=READ,
        handler=prices,
        query=PriceQuery,
        gives=PricePage,
    ),
)

"""Prices and other names of models that are the operator's own: listed, and set through the admin API.

What was priced keeps its price, with the id of what it was priced by; the audit log has what a price was before.
"""

from typing import Any

import msgspec

from farthing.catalog.name_patterns import fits
from farthing.config.price_rows import PER_MILLION, PER_ONE
from farthing.errors import Conflict
from farthing.server.admin.ask import Ask
from farthing.server.admin.reading import Usd
from farthing.server.admin.resources.prices import ModelShown, usd_of_picodollars
from farthing.server.admin.resources.stored import forget, keep, tried
from farthing.server.admin.routes import ADMIN, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Text
from farthing.types.prices import PriceOverride


class NewPrice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A price in dollars for a million tokens, or for a single request or search.

    `model` is `provider:model`, where `*` stands for any text. What is left out costs what `input` or `output` costs.
    """

    model: Text
    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write_5m: Usd | None = None
    cache_write_1h: Usd | None = None
    input_audio: Usd | None = None
    output_audio: Usd | None = None
    input_image: Usd | None = None
    output_image: Usd | None = None
    reasoning: Usd | None = None
    request: Usd | None = None
    web_search: Usd | None = None


class OwnPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price of one's own, in dollars as exact text; `origin` is a line of the file, or `admin-api`."""

    model: str
    input: str
    output: str
    cache_read: str | None
    cache_write_5m: str | None
    cache_write_1h: str | None
    input_audio: str | None
    output_audio: str | None
    input_image: str | None
    output_image: str | None
    reasoning: str | None
    request: str | None
    web_search: str | None
    origin: str


assert set(NewPrice.__struct_fields__) == {"model", *PER_MILLION, *PER_ONE}, "an amount is missing"


class OwnPriceList(msgspec.Struct, frozen=True):
    """Every price of one's own; the first that fits a model is its price."""

    prices: tuple[OwnPrice, ...]


class PriceName(msgspec.Struct, frozen=True, kw_only=True):
    """Which price: its `provider:model`, as it was given."""

    model: Text


class NewModel(msgspec.Struct, frozen=True, kw_only=True):
    """Another name for a model: `id` is what clients ask for, `model` the `provider:model` that it stands for."""

    id: Text
    model: Text


class ModelName(msgspec.Struct, frozen=True, kw_only=True):
    """Which other name."""

    id: Text


async def own(ask: Ask[Nothing, Nothing]) -> Answer:
    """List the prices of one's own."""
    return Answer(OwnPriceList(tuple(_own(row) for row in ask.house.farthing.settings.prices)))


async def put_price(ask: Ask[NewPrice, Nothing]) -> Answer:
    """Set the price of a model, or of those that a pattern fits."""
    wanted = ask.body
    pattern = wanted.model
    wider = next((row for row in ask.house.farthing.layers.file.prices if fits(row.pattern, pattern)), None)
    if wider is not None and wider.pattern != pattern:  # it would be kept and never used
        raise Conflict(
            f"The price of {wider.pattern!r} in {wider.origin} is that of {pattern!r} too, and the file wins.",
            hint="write this one there, before it.",
        )
    amounts = {
        name: f"{amount:f}" for name in (*PER_MILLION, *PER_ONE) if (amount := getattr(wanted, name)) is not None
    }
    await keep(ask, await tried(ask, f"prices.{pattern}", amounts))
    return Answer(_own(next(row for row in ask.house.farthing.settings.prices if row.pattern == pattern)))


async def remove_price(ask: Ask[Nothing, PriceName]) -> Answer:
    """Remove a price that was set so; from then on the price list's holds, where it has one."""
    await forget(ask, f"prices.{ask.query.model}", "price", ask.query.model)
    return Answer(None, 204)


async def put_model(ask: Ask[NewModel, Nothing]) -> Answer:
    """Give a model another name, or have a name that was given so stand for another model."""
    wanted = ask.body
    await keep(ask, await tried(ask, f"models.{wanted.id}", wanted.model))
    ref = ask.house.farthing.settings.models[wanted.id]
    return Answer(ModelShown(wanted.id, ref.provider, ref.model, alias=True))


async def remove_model(ask: Ask[Nothing, ModelName]) -> Answer:
    """Take away a name that was given so."""
    await forget(ask, f"models.{ask.query.id}", "model", ask.query.id)
    return Answer(None, 204)


def _own(row: PriceOverride) -> OwnPrice:
    amounts: dict[str, Any] = {}
    for name in (*PER_MILLION, *PER_ONE):
        price = getattr(row, name)
        per = 1_000_000 if name in PER_MILLION else 1
        amounts[name] = None if price is None else usd_of_picodollars(price.picodollars * per // price.per)
    place = row.origin.partition(":")[0]
    return OwnPrice(model=row.pattern, origin=row.origin if place.endswith(".yaml") else place, **amounts)


ROUTES = (
    Route(
        method="GET",
        path="/prices/own",
        name="prices.own",
        about="List the prices of one's own, of the file and of this API.",
        roles=READ,
        handler=own,
        gives=OwnPriceList,
    ),
    Route(
        method="PUT",
        path="/prices",
        name="prices.put",
        about="Set the price of a model, or of those that a pattern fits.",
        roles=ADMIN,
        handler=put_price,
        takes=NewPrice,
        gives=OwnPrice,
        refusals=(409,),
    ),
    Route(
        method="DELETE",
        path="/prices",
        name="prices.remove",
        about="Remove a price that was set so.",
        roles=ADMIN,
        handler=remove_price,
        query=PriceName,
        gives=None,
        status=204,
        refusals=(404, 409),
    ),
    Route(
        method="PUT",
        path="/models",
        name="models.put",
        about="Give a model another name.",
        roles=ADMIN,
        handler=put_model,
        takes=NewModel,
        gives=ModelShown,
        refusals=(409,),
    ),
    Route(
        method="DELETE",
        path="/models",
        name="models.remove",
        about="Take away another name of a model.",
        roles=ADMIN,
        handler=remove_model,
        query=ModelName,
        gives=None,
        status=204,
        refusals=(404, 409),
    ),
)

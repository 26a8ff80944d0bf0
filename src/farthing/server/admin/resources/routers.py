"""Routers: names that stand for several models, of which one answers; those of settings.yaml, and others set here."""

from typing import Annotated

import msgspec
from msgspec import Meta

from farthing.config.schema import MAX_ROUTER_MODELS, RouterSettings, Strategy
from farthing.config.stored import PLACE
from farthing.errors import Conflict
from farthing.server.admin.ask import Ask, House, not_there
from farthing.server.admin.resources.stored import forget, keep, tried
from farthing.server.admin.routes import ADMIN, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Text

Models = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_ROUTER_MODELS)]


class RouterShown(msgspec.Struct, frozen=True):
    """A router: clients ask for its `id`, and the models are tried by the strategy, each as `provider:model`."""

    id: str
    models: tuple[str, ...]
    strategy: Strategy
    origin: str


class RouterList(msgspec.Struct, frozen=True):
    """Every router, by name."""

    routers: tuple[RouterShown, ...]


class RouterRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a router is: models, each as `provider:model` or by another name of it, and which is tried first."""

    models: Models
    strategy: Strategy = "order"


class NewRouter(RouterRules, frozen=True, kw_only=True):
    """A router that is not there yet; `id` is what clients ask for."""

    id: Text


async def listed(ask: Ask[Nothing, Nothing]) -> Answer:
    """List the routers."""
    routers = ask.house.farthing.settings.routers
    return Answer(RouterList(tuple(_shown(ask.house, name, routers[name]) for name in sorted(routers))))


async def one(ask: Ask[Nothing, Nothing]) -> Answer:
    """Return a router."""
    return Answer(_found(ask.house, ask.params["name"]))


async def create(ask: Ask[NewRouter, Nothing]) -> Answer:
    """Make a router."""
    name = ask.body.id
    if name in ask.house.farthing.settings.routers:
        raise Conflict(f"There is a router {name!r} already.", hint=f"PUT /admin/v1/routers/{name} changes it.")
    return Answer(await _kept(ask, name, ask.body), 201)


async def put(ask: Ask[RouterRules, Nothing]) -> Answer:
    """Make a router, or have one be another."""
    return Answer(await _kept(ask, ask.params["name"], ask.body))


async def remove(ask: Ask[Nothing, Nothing]) -> Answer:
    """Remove a router that was set so."""
    name = ask.params["name"]
    await forget(ask, f"routers.{name}", "router", name)
    return Answer(None, 204)


async def _kept(
    ask: Ask[NewRouter, Nothing] | Ask[RouterRules, Nothing], name: str, wanted: RouterRules
) -> RouterShown:
    value = {"models": [*wanted.models], "strategy": wanted.strategy}
    await keep(ask, await tried(ask, f"routers.{name}", value))
    return _found(ask.house, name)


def _found(house: House, name: str) -> RouterShown:
    router = house.farthing.settings.routers.get(name)
    if router is None:
        raise not_there("router", name)
    return _shown(house, name, router)


def _shown(house: House, name: str, router: RouterSettings) -> RouterShown:
    line = house.farthing.layers.file.said.lines.get(f"routers.{name}")
    origin = PLACE if line is None else f"settings.yaml:{line}"
    return RouterShown(name, tuple(map(str, router.models)), router.strategy, origin)


ROUTES = (
    Route(
        method="GET",
        path="/routers",
        name="routers.list",
        about="List the routers.",
        roles=READ,
        handler=listed,
        gives=RouterList,
    ),
    Route(
        method="POST",
        path="/routers",
        name="routers.create",
        about="Make a router.",
        roles=ADMIN,
        handler=create,
        takes=NewRouter,
        gives=RouterShown,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="GET",
        path="/routers/{name}",
        name="routers.show",
        about="Show a router.",
        roles=READ,
        handler=one,
        gives=RouterShown,
        refusals=(404,),
    ),
    Route(
        method="PUT",
        path="/routers/{name}",
        name="routers.put",
        about="Make a router, or have one be another.",
        roles=ADMIN,
        handler=put,
        takes=RouterRules,
        gives=RouterShown,
        refusals=(404, 409),
    ),
    Route(
        method="DELETE",
        path="/routers/{name}",
        name="routers.remove",
        about="Remove a router that was set so.",
        roles=ADMIN,
        handler=remove,
        gives=None,
        status=204,
        refusals=(404, 409),
    ),
)

"""The house as a whole: where things are, its figures, and what it does not have yet."""

from typing import Any

import msgspec

from farthing import __version__
from farthing.errors import NotServed
from farthing.monitoring.exposition import Family
from farthing.server.admin.ask import Ask
from farthing.server.admin.openapi import document
from farthing.server.admin.routes import MANAGE, OVERSEE, READ, Answer, Method, Nothing, Route
from farthing.types.admin import Role


class Index(msgspec.Struct, frozen=True):
    """Where things are."""

    name: str
    version: str
    workers: int
    openapi: str
    paths: tuple[str, ...]


class Sample(msgspec.Struct, frozen=True):
    """One number; `labels` are as Prometheus writes them."""

    name: str
    labels: str
    value: float


class Metric(msgspec.Struct, frozen=True):
    """A figure with its samples."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


class MetricList(msgspec.Struct, frozen=True):
    """The figures of `/metrics`, of every process."""

    metrics: tuple[Metric, ...]


async def index(ask: Ask[Nothing, Nothing]) -> Answer:
    """Tell where things are."""
    from farthing.server.admin.table import ADMIN_TABLE  # noqa: PLC0415 - the table names this file

    paths = tuple(dict.fromkeys(route.path for route in ADMIN_TABLE.routes))
    return Answer(Index("farthing", __version__, ask.house.workers, "/admin/v1/openapi.json", paths))


async def openapi(_ask: Ask[Nothing, Nothing]) -> Answer:
    """Return the description of this API."""
    from farthing.server.admin.table import ADMIN_TABLE  # noqa: PLC0415 - the table names this file

    return Answer(document(ADMIN_TABLE.routes))


async def metrics(ask: Ask[Nothing, Nothing]) -> Answer:
    """Return the figures."""
    return Answer(MetricList(tuple(_metric(family) for family in await ask.house.families())))


def _metric(family: Family) -> Metric:
    samples = tuple(Sample(family.name + suffix, labels, value) for suffix, labels, value in family.samples)
    return Metric(family.name, family.kind, family.help, samples)


def _not_yet(what: str, instead: str) -> Any:
    async def refuse(_ask: Ask[Nothing, Nothing]) -> Answer:
        raise NotServed(f"This version has no {what} yet.", hint=instead)

    return refuse


_NOT_YET = (("routers", "a name for one model is set at /admin/v1/models, and a key's only model is its bound_model."),)

_BOTH: tuple[tuple[Method, str, tuple[Role, ...]], ...] = (("GET", "list", READ), ("POST", "create", MANAGE))

ROUTES = (
    Route(
        method="GET",
        path="/",
        name="index",
        about="Tell where things are.",
        roles=READ,
        handler=index,
        gives=Index,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        name="openapi",
        about="Describe this API.",
        roles=READ,
        handler=openapi,
        gives=dict[str, Any],
    ),
    Route(
        method="GET",
        path="/metrics",
        name="metrics",
        about="Return the figures of every process.",
        roles=OVERSEE,
        handler=metrics,
        gives=MetricList,
    ),
    *(
        Route(
            method=method,
            path=f"/{what}",
            name=f"{what}.{verb}",
            about=f"Not there yet: {what}.",
            roles=roles,
            handler=_not_yet(what, instead),
            gives=None,
            refusals=(501,),
        )
        for what, instead in _NOT_YET
        for method, verb, roles in _BOTH
    ),
)

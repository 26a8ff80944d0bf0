"""The house as a whole: where things are, and its figures."""

from typing import Any

import msgspec

from farthing import __version__
from farthing.monitoring.exposition import Family
from farthing.server.admin.ask import Ask
from farthing.server.admin.openapi import document
from farthing.server.admin.routes import OVERSEE, READ, Answer, Nothing, Route


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
)

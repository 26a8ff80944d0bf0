"""Every route of the admin API."""

from farthing.server.admin.resources import (
    alerts,
    audit,
    budgets,
    calls,
    events,
    house,
    keys,
    limits,
    outcomes,
    price_changes,
    prices,
    provider_changes,
    reports,
    routers,
    settings,
    spend,
    tokens,
)
from farthing.server.admin.routes import Route, Table

_RESOURCES: tuple[tuple[Route, ...], ...] = (
    house.ROUTES,
    keys.ROUTES,
    budgets.ROUTES,
    limits.ROUTES,
    tokens.ROUTES,
    audit.ROUTES,
    calls.ROUTES,
    spend.ROUTES,
    reports.ROUTES,
    outcomes.ROUTES,
    prices.ROUTES,
    price_changes.ROUTES,
    provider_changes.ROUTES,
    routers.ROUTES,
    settings.ROUTES,
    events.ROUTES,
    alerts.ROUTES,
)
ADMIN_TABLE = Table([route for routes in _RESOURCES for route in routes])

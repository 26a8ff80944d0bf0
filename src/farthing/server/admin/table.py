"""Every route of the admin API."""

from farthing.server.admin.resources import (
    audit,
    budgets,
    calls,
    events,
    house,
    keys,
    prices,
    reports,
    settings,
    spend,
    tokens,
)
from farthing.server.admin.routes import Table

ADMIN_TABLE = Table(
    (
        *house.ROUTES,
        *keys.ROUTES,
        *budgets.ROUTES,
        *tokens.ROUTES,
        *audit.ROUTES,
        *calls.ROUTES,
        *spend.ROUTES,
        *reports.ROUTES,
        *prices.ROUTES,
        *settings.ROUTES,
        *events.ROUTES,
    )
)

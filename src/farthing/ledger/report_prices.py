"""Prices as a report asks for them, and which models it may compare: those in use, and smaller siblings of one."""

from collections.abc import Sequence

from farthing.catalog.known_prices import KnownPrices
from farthing.ledger.recommendations import Priced
from farthing.ledger.spending_report import Period, Prices
from farthing.types.prices import PriceSheet
from farthing.types.spending import SpendingRow

MOST_CANDIDATES = 50
"""Models one is compared with; a busy home uses twenty."""
SMALLER = ("-mini", "-nano", "-lite", "-flash")
"""How makers end the name of a model's smaller sibling."""


def report_prices(pricing: KnownPrices, period: Period, now_us: int) -> Prices:
    """Return what `spending_report` asks."""

    def booked(provider: str, served: str, model: str) -> PriceSheet | None:
        return pricing.sheet(provider, served, period.until_us - 1, asked=model)

    def today(provider: str, model: str) -> PriceSheet | None:
        return pricing.sheet(provider, model, now_us)

    def candidates(rows: Sequence[SpendingRow]) -> dict[str, Sequence[Priced]]:
        used = {(row.groups[0] or "", row.groups[1] or "") for row in rows if row.attempts > row.failed_attempts}
        aliases = {(ref.provider, ref.model) for ref in pricing.settings.models.values()}
        found: dict[str, Sequence[Priced]] = {}
        for provider, model in used:
            names = pricing.names(provider)
            smaller = {(provider, name) for name in names if name in {model + ending for ending in SMALLER}}
            named = sorted(used | aliases | smaller)[:MOST_CANDIDATES]
            sheets = [(f"{a}:{b}", today(a, b)) for a, b in named]
            found[f"{provider}:{model}"] = [Priced(name, sheet) for name, sheet in sheets if sheet is not None]
        return found

    return Prices(booked, today, candidates)

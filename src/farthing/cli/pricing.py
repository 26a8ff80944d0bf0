"""Prices attempts again from the settings and the price list of today, for whoever wants to see how a cost came about.

An attempt keeps the id of its price and not the price. Where the same id is still found, the sum can be shown line by
line; where the operator has changed a row since, or a newer list has come, it cannot, and nothing is made up.
"""

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price
from farthing.config.schema import Settings
from farthing.types.calls import Attempt, Opening
from farthing.types.prices import Cost, PriceSheet


class Pricing:
    """Finds the price of an attempt as the gateway found it."""

    def __init__(self, settings: Settings) -> None:
        self._providers = settings.providers
        self._rows = {row.origin for row in settings.prices}
        self._book = PriceBook(settings.prices)

    def explain(self, attempt: Attempt) -> Cost | None:
        """Return the cost line by line, `None` where the price it was made with is not the one that is known now."""
        opening = attempt.opening
        at_us = opening.started_at_us if attempt.outcome == "crashed" else attempt.ended_at_us
        sheet = self._sheet(opening, attempt.model_served or opening.model, at_us)
        if sheet is None or sheet.id != attempt.price_id:
            return None
        cost = price(attempt.usage, sheet, service_tier=attempt.service_tier)
        # A row's id is the line it stands on, so a row that was edited in its place has its id still.
        return None if sheet.id in self._rows and cost.nanousd != attempt.cost_nanousd else cost

    def again(self, attempt: Attempt) -> int | None:
        """Return what the attempt costs in nanodollars, `None` where that cannot be said any more."""
        cost = self.explain(attempt)
        return None if cost is None else cost.nanousd

    def _sheet(self, opening: Opening, model: str, at_us: int) -> PriceSheet | None:
        provider = self._providers.get(opening.provider)
        return self._book.find(
            opening.provider,
            provider.price_key if provider else None,
            model,
            at_us,
            free=provider.free if provider else False,
            asked=opening.model,
        )

"""Prices attempts again from the settings and the price lists of today, for whoever wants to see how a cost came about.

An attempt keeps the id of its price and not the price. Where the same id is still found, the sum can be shown line by
line; where the operator has changed a row since, or a newer list has come, it cannot, and nothing is made up. The id of
an operator's row holds a digest of what it says: so a row that only moved is found again, and one that says something
else is never taken for it.
"""

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price
from farthing.config.schema import Settings
from farthing.types.calls import Attempt
from farthing.types.prices import Cost, PriceSheet


class KnownPrices:
    """Finds the price of an attempt as the gateway found it."""

    def __init__(self, settings: Settings, book: PriceBook) -> None:
        self.settings = settings
        self.book = book

    def explain(self, attempt: Attempt) -> Cost | None:
        """Return the cost line by line, `None` where the price it was made with is not the one that is known now."""
        sheet = self.sheet_of(attempt)
        if sheet is None or sheet.id != attempt.price_id:
            return None
        return price(attempt.usage, sheet, service_tier=attempt.service_tier)

    def again(self, attempt: Attempt) -> int | None:
        """Return what the attempt costs in nanodollars, `None` where that cannot be said any more."""
        cost = self.explain(attempt)
        return None if cost is None else cost.nanousd

    def by_todays_lists(self, attempt: Attempt) -> int | None:
        """Return what the attempt costs by what is known today about the time of the call; `None` where nothing is."""
        sheet = self.sheet_of(attempt)
        return None if sheet is None else price(attempt.usage, sheet, service_tier=attempt.service_tier).nanousd

    def by_prices_at(self, attempt: Attempt, at_us: int) -> int | None:
        """Return what the attempt would cost at another time."""
        sheet = self.sheet_of(attempt, at_us)
        return None if sheet is None else price(attempt.usage, sheet, service_tier=attempt.service_tier).nanousd

    def sheet_of(self, attempt: Attempt, at_us: int | None = None) -> PriceSheet | None:
        """Return the price that is known today of an attempt, at the time it ended unless another is given."""
        opening = attempt.opening
        if at_us is None:
            at_us = opening.started_at_us if attempt.outcome == "crashed" else attempt.ended_at_us
        return self.sheet(opening.provider, attempt.model_served or opening.model, at_us, asked=opening.model)

    def sheet(self, provider: str, model: str, at_us: int, *, asked: str | None = None) -> PriceSheet | None:
        """Return the price of a model of a configured provider; other names are taken for those of the price list."""
        settings = self.settings.providers.get(provider) or self.settings.local.get(provider)
        free = settings.free if settings else False
        return self.book.find(provider, self._key(provider), model, at_us, free=free, asked=asked)

    def names(self, provider: str) -> tuple[str, ...]:
        """Return the list's names of a provider's models."""
        return self.book.names(self._key(provider))

    def knows(self, provider: str, model: str) -> bool:
        """Whether the list or a row of the operator's has this very name."""
        own = f"{provider}:{model}"
        return self.book.knows(self._key(provider), model) or any(row.pattern == own for row in self.settings.prices)

    def _key(self, provider: str) -> str | None:
        settings = self.settings.providers.get(provider) or self.settings.local.get(provider)
        return settings.price_key if settings else provider

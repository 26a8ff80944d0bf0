"""The prices that are known in a home, for commands."""

from farthing.catalog.known_prices import KnownPrices
from farthing.catalog.prices import price_book
from farthing.config.paths import Home
from farthing.config.schema import Settings


class Pricing(KnownPrices):
    """Opens the price lists of the home."""

    def __init__(self, settings: Settings, home: Home) -> None:
        super().__init__(settings, price_book(settings.prices, home.prices))

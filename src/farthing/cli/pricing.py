"""The prices that are known in a home, for commands."""

from farthing.catalog.known_prices import KnownPrices
from farthing.catalog.prices import price_book
from farthing.config.paths import Home
from farthing.config.schema import Settings


def pricing_of(home: Home) -> "Pricing":
    """Return the prices that hold in a home, those of the admin API too.

    Raises:
        ConfigError: the settings are wrong.
        PriceListUnusable: the price list in the home is.
    """
    from farthing.cli.books import settings_that_hold  # noqa: PLC0415  (opens the database)

    settings, _ = settings_that_hold(home)
    return Pricing(settings, home)


class Pricing(KnownPrices):
    """Opens the price lists of the home."""

    def __init__(self, settings: Settings, home: Home) -> None:
        super().__init__(settings, price_book(settings.prices, home.prices))

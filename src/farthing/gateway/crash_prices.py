"""What an attempt is priced by whose process died over it."""

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price_nanousd
from farthing.config.schema import Settings
from farthing.ledger.recovery import PriceAtCrash
from farthing.providers.registry import known_providers
from farthing.types.calls import Opening
from farthing.types.usage import Usage


def price_at_crash(settings: Settings, prices: PriceBook) -> PriceAtCrash:
    """Return what prices an attempt whose process died.

    The settings may lack its provider: who looks first after a crash may have another environment, and a provider that
    needs nothing but its key is in the settings where the key is. Then it is priced as its kind is, which has its name;
    but never as free, because nobody knows where it was.
    """
    kinds = known_providers()

    def price(opening: Opening, usage: Usage) -> tuple[int | None, str | None]:
        provider = settings.providers.get(opening.provider) or settings.local.get(opening.provider)
        kind = kinds.get(opening.provider)
        if provider is not None:
            price_key, free = provider.price_key, provider.free
        elif kind is not None:
            price_key, free = kind.price_key, False
        else:
            return None, None
        sheet = prices.find(opening.provider, price_key, opening.model, opening.started_at_us, free=free)
        return (None, None) if sheet is None else (price_nanousd(usage, sheet), sheet.id)

    return price

"""Finds the prices that a person means: a name, `provider:name`, or a pattern with `*`.

Configured providers come first, because their prices are the ones that calls are billed by. Only what none of them has
is looked for in the rest of the list.
"""

import msgspec

from farthing.catalog.known_prices import KnownPrices
from farthing.catalog.name_patterns import fits
from farthing.types.prices import PriceSheet


class FoundSheet(msgspec.Struct, frozen=True):
    """A model's price; `provider` is a configured one's name, or the list's."""

    provider: str
    model: str
    sheet: PriceSheet


def find_sheets(pricing: KnownPrices, wanted: str, at_us: int) -> list[FoundSheet]:
    """Return what fits, in order of name; a name that needs no pattern is found as a call would find it."""
    configured = pricing.settings.providers
    listed = [name for name in pricing.book.providers() if name not in configured]
    for providers in ([*configured], listed):
        found = _in_providers(pricing, providers, wanted, at_us)
        if found:
            return found
    return []


def _in_providers(pricing: KnownPrices, providers: list[str], wanted: str, at_us: int) -> list[FoundSheet]:
    named, _, rest = wanted.partition(":")
    found: list[FoundSheet] = []
    for provider in providers:
        pattern = rest if named == provider or (rest and fits(named, provider)) else wanted
        if "*" in pattern:
            names = [name for name in _names(pricing, provider) if fits(pattern.lower(), name.lower())]
        elif pattern is rest or pricing.knows(provider, pattern):
            names = [pattern]
        else:
            names = []
        for name in names:
            sheet = pricing.sheet(provider, name, at_us)
            if sheet is not None:
                found.append(FoundSheet(provider, name, sheet))
    return found


def _names(pricing: KnownPrices, provider: str) -> list[str]:
    """Return the list's names, and those that the operator's own rows name."""
    own = [row.pattern.partition(":") for row in pricing.settings.prices]
    rows = [model for name, _, model in own if name == provider and "*" not in model]
    return sorted({*pricing.names(provider), *rows})

"""Which names that a key is bound to, or allowed, nothing is known by: they are taken, and probably not meant.

A name may be misspelled, be made later, or be a local model's. What a provider lists itself only the gateway learns,
and that when it is asked for a name that it does not know; so what is told here never says that nothing has the name.
"""

from collections.abc import Callable, Iterable, Iterator

from farthing.catalog.prices import PriceBook
from farthing.config.schema import Settings
from farthing.providers.registry import known_providers


def told_of_nobodys_names(
    settings: Settings,
    prices: PriceBook,
    *,
    bound: str | None,
    models: Iterable[str],
    listed: Callable[[str], bool] = lambda _: False,
) -> Iterator[str]:
    """Yield a sentence about each such name; `listed` says whether a provider itself has told of a model."""
    names = dict.fromkeys((*models, *((bound,) if bound else ())))
    routers = ", ".join(settings.routers) or "none"
    for name in _nobodys_names(settings, prices, names):
        if not listed(name):
            otherwise = "its calls are refused" if name == bound else "that allows nothing"
            yield (
                f"No router, alias or model of the price list has the name {name!r} (routers: {routers}): unless a"
                f" provider of yours lists it itself, which only a running gateway asks, {otherwise}."
                f"{_with_its_provider(settings, name)}"
            )


def _with_its_provider(settings: Settings, name: str) -> str:
    """Return how to name it for certain, where there is a provider whose models no price list has."""
    own = next((one.name for one in settings.providers.values() if one.price_key is None), None)
    if own is None or any(sign in name for sign in ":/*"):
        return ""
    return f" Where you mean the one of {own!r}, '{own}:{name}' is certain."


def _nobodys_names(settings: Settings, prices: PriceBook, names: Iterable[str]) -> Iterator[str]:
    """Yield those of the names and patterns which no model, alias or router is known by.

    A terminal may lack variables of the gateway's, so every provider that we know counts as configured.
    """
    kinds = known_providers()
    providers = {*settings.providers, *kinds}
    keys = {*(one.price_key for one in settings.providers.values()), *(one.price_key for one in kinds.values())}
    for name in names:
        start = name.partition("*")[0]
        if name in settings.models or name in settings.routers or any(prices.knows(key, name) for key in keys):
            continue
        if not any(
            start.startswith((f"{one}:", f"{one}/")) or (start != name and f"{one}:".startswith(start))
            for one in providers
        ):
            yield name

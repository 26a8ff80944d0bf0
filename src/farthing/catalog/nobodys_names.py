"""Which names that a key is bound to, or allowed, nothing is known by: they are taken, and probably not meant.

A name may be misspelled, be made later, or be a local model's. What a local server has is not looked up for it: it may
be off.
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
            unless = f"unless a server of yours has it, {otherwise}"
            yield f"Nothing is known by the name {name!r} (routers: {routers}): {unless}."


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

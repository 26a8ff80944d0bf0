"""What names mean by the settings and the price list, before any provider was asked."""

from collections.abc import Iterable
from typing import Any

from farthing.catalog.catalog import Catalog, CatalogProvider
from farthing.catalog.prices import PriceBook
from farthing.config.schema import Settings
from farthing.providers.registry import known_providers


class RememberingCatalog(Catalog):
    """A catalogue that can hand on what the providers listed, so that a reload does not have to ask them again."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.heard: dict[str, tuple[str, ...]] = {}

    def learn(self, provider: str, names: Iterable[str]) -> None:
        """See `Catalog.learn`."""
        self.heard[provider] = tuple(names)  # as many as the settings have providers
        super().learn(provider, self.heard[provider])


def catalog_of(settings: Settings, prices: PriceBook) -> RememberingCatalog:
    """Return what names mean by the settings and the price list, before any provider was asked."""
    named: dict[str, list[str]] = {name: [] for name in settings.providers}
    for override in settings.prices:
        provider, _, model = override.pattern.partition(":")
        if provider in named and "*" not in model:
            named[provider].append(model)
    for ref in (*settings.models.values(), *(ref for one in settings.routers.values() for ref in one.models)):
        named[ref.provider].append(ref.model)
    kinds = known_providers()
    providers = [
        CatalogProvider(
            name=name,
            kind=provider.kind,
            price_key=provider.price_key,
            models=tuple(named[name]),
            foreign=kinds[provider.kind].foreign,
        )
        for name, provider in settings.providers.items()
    ]
    configured = {provider.kind for provider in settings.providers.values()}
    return RememberingCatalog(
        aliases=settings.models,
        routers=settings.routers.keys(),
        providers=providers,
        knows=prices.knows,
        names=prices.names,
        not_configured=[kind for kind in kinds.values() if kind.maker and kind.kind not in configured],
        named=settings.providers_named,
    )

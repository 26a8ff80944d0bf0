"""What works and is probably not meant, and only shows with the environment and the price list at hand."""

from collections.abc import Collection, Iterator, Mapping

from farthing.catalog.prices import PriceBook
from farthing.clock import SystemClock
from farthing.config.addresses import port_on_this_machine
from farthing.config.problems import nearest, quoted
from farthing.config.schema import Settings
from farthing.providers.registry import known_providers

_ADDRESSES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "anthropic": ("ANTHROPIC_BASE_URL",),
    "gemini": ("GOOGLE_GEMINI_BASE_URL",),
}
"""Where the official clients are told to call. They are for clients: the gateway's own may well stand there."""


def unused_addresses(settings: Settings, environment: Mapping[str, str], own_ports: Collection[int]) -> Iterator[str]:
    """Yield each variable that sends a client elsewhere, and that people may expect to send Farthing there too.

    One that names one of `own_ports` on this machine is a client's way to us. The value is not repeated: it may hold a
    key in its path.
    """
    for kind, variables in _ADDRESSES.items():
        provider = settings.providers.get(kind)
        usual = known_providers()[kind].base_url
        if provider is None or provider.base_url != usual:
            continue  # nobody is called, or the settings say where
        for variable in variables:
            said = environment.get(variable, "").strip()
            if said and said.rstrip("/") != usual and port_on_this_machine(said) not in own_ports:
                yield (
                    f"{variable} is for clients and not used here: {kind} is called at {usual}. If another address is"
                    f' meant: "farthing providers add {kind} --base-url URL --credential {provider.credential}".'
                )


def unknown_models(settings: Settings, prices: PriceBook) -> Iterator[str]:
    """Yield each name for a model that its provider's price list does not know; most likely that is misspelled."""
    now_us = SystemClock().now_us()
    aliases = [(f"models.{alias}", ref) for alias, ref in settings.models.items()]
    routed = [(f"routers.{name}.models", ref) for name, one in settings.routers.items() for ref in one.models]
    for path, ref in aliases + routed:
        provider = settings.providers[ref.provider]
        names = prices.names(provider.price_key)
        if not names or prices.knows(provider.price_key, ref.model):
            continue
        if prices.find(provider.name, provider.price_key, ref.model, now_us, free=provider.free) is not None:
            continue
        yield (
            f"{path}: {provider.name} is not known to have a model {quoted(ref.model)}"
            f"{nearest(ref.model, names)}; it is asked for all the same, and what it costs is not known."
        )

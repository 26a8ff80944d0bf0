"""Which configured provider stands for each recorded one.

An entry's base address and its kind's own paths make up exactly the recorded path: what the gateway sends is compared
with what the recorded client sent. A provider recorded at several addresses (Azure's deployments) is configured once
for each.
"""

import collections
from collections.abc import Iterable
from dataclasses import dataclass

from farthing.providers.registry import known_providers
from farthing.types.providers import KnownProvider
from tests.e2e.recordings.exchanges import Asked, Exchange

_GENERIC = "openai-compatible"
_SAID_BY_KIND = {
    ("ollama", "openai_chat"): "/v1",
    ("ollama", "openai_embeddings"): "/v1",
    ("perplexity", "openai_embeddings"): "/v1",
}
"""What a kind's own paths begin with, where that is more than the format's path."""


@dataclass(frozen=True)
class Entry:
    """One line of `providers:` in the settings."""

    name: str
    known: KnownProvider
    provider: str
    base: str

    def line(self, replay_port: int) -> str:
        """Return it as the settings write it."""
        base = f"http://127.0.0.1:{replay_port}/{self.provider}{self.base}"
        return f'  {self.name}: {{kind: {self.known.kind}, base_url: "{base}", credential: env:KEY}}'


class Entries:
    """The entries that a set of exchanges needs."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        counts = collections.Counter(place for exchange in exchanges if (place := _place(exchange)) is not None)
        self._by_place: dict[tuple[str, str, str], Entry] = {}
        taken: collections.Counter[str] = collections.Counter()
        for (provider, kind, base), _ in counts.most_common():
            taken[provider] += 1
            name = provider if taken[provider] == 1 else f"{provider}-{taken[provider]}"
            self._by_place[provider, kind, base] = Entry(name, known_providers()[kind], provider, base)

    def of(self, exchange: Exchange) -> Entry | None:
        """Return the entry through which an exchange is played; `None` where no kind of provider speaks its format."""
        place = _place(exchange)
        return None if place is None else self._by_place[place]

    def settings(self, replay_port: int) -> str:
        """Return the settings' `providers:` section."""
        return "providers:\n" + "".join(f"{entry.line(replay_port)}\n" for entry in self._by_place.values())


def _place(exchange: Exchange) -> tuple[str, str, str] | None:
    if exchange.asked is None:
        return None
    for kind in (exchange.provider, _GENERIC):
        known = known_providers().get(kind)
        if known is not None and known.speaks(exchange.asked.wire):
            return exchange.provider, kind, _base(kind, exchange.asked)
    return None


def _base(kind: str, asked: Asked) -> str:
    return asked.base.removesuffix(_SAID_BY_KIND.get((kind, asked.wire), ""))

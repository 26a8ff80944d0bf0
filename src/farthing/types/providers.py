"""What is known of a provider before anybody configures it."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from farthing.types.usage import UsageHabits

WireFormat = Literal[
    "openai_chat",
    "openai_responses",
    "openai_completions",
    "openai_embeddings",
    "anthropic_messages",
    "gemini",
    "ollama",
]
"""A format that providers speak; a path that speaks one of a provider's own formats is passed through."""


class KnownProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of provider: its defaults, which settings may overrule.

    `wire` is the format it is at home in, `also` are further ones that it speaks. `stream_usage` says whether a stream
    reports usage only when asked (`ask`: we ask, and keep the extra chunk from a client that did not) or always.
    `free` says that its calls cost nothing unless the settings say otherwise: a program on one's own machine.
    `price_key` is the provider's name in the price snapshot, `None` where there is no price list for it. `maker` says
    that the models in that list are its own, so that who asks for one can be told whose it is.
    """

    kind: str
    wire: WireFormat
    base_url: str | None
    credential_env: str | None
    stream_usage: Literal["ask", "always"] = "always"
    credential_env_first: str | None = None
    """A further variable that its own clients take before that one."""
    price_key: str | None = None
    maker: bool = False
    free: bool = False
    also: tuple[WireFormat, ...] = ()
    guessed: tuple[WireFormat, ...] = ()
    """Those of `also` that not every server of this kind has: where one has not, calls are translated."""
    habits: UsageHabits = UsageHabits()
    foreign: tuple[str, ...] = ()
    """Beginnings of names that stand in its price list and are not served at its address."""

    def variable(self, environment: Mapping[str, str]) -> str | None:
        """Return the variable that its credential is read from: the first that is set, the usual one where none is."""
        first = self.credential_env_first
        return first if first and environment.get(first, "").strip() else self.credential_env

    def speaks(self, wire: WireFormat) -> bool:
        """Whether calls in this format can be passed through to it."""
        return wire == self.wire or wire in self.also

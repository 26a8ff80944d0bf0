"""What is known of a provider before anybody configures it."""

from typing import Literal

import msgspec

WireFormat = Literal["openai_chat", "anthropic_messages"]
"""The format a provider speaks; a face that speaks the same one is passed through."""


class KnownProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of provider: its defaults, which settings may overrule.

    `stream_usage` says whether a stream reports usage only when asked (`ask`: we ask, and keep the extra chunk from a
    client that did not) or always. `price_key` is the provider's name in the price snapshot, `None` where there is no
    price list for it.
    """

    kind: str
    wire: WireFormat
    base_url: str | None
    credential_env: str | None
    stream_usage: Literal["ask", "always"] = "always"
    price_key: str | None = None

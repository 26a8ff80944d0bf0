"""Prices as the operator writes them, as a call is priced with them, and what comes out.

Between the border and the ledger every price is a whole number of picodollars for 1,000,000 units, so that a call is a
few multiplications and one rounding. Fallbacks are already filled in: whoever holds a `Rates` multiplies and adds.
"""

from typing import Literal

import msgspec

from farthing.types.money import UnitPrice
from farthing.types.usage import UsageFlag

RATE_PER = 1_000_000
"""Every number in `Rates` is for this many units; 1 and 1,000 divide it."""


class PriceOverride(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `prices:` in settings.yaml; it wins over the snapshot.

    `pattern` is `provider:model`, where `*` matches any text (`lab:*`). A part that is not given costs what `input`
    or `output` costs (Anthropic's cache writes: its list's multiples of `input`); `origin` says where the row stands
    (`settings.yaml:14`), for messages.
    """

    pattern: str
    input: UnitPrice
    output: UnitPrice
    cache_read: UnitPrice | None = None
    cache_write_5m: UnitPrice | None = None
    cache_write_1h: UnitPrice | None = None
    input_audio: UnitPrice | None = None
    output_audio: UnitPrice | None = None
    input_image: UnitPrice | None = None
    output_image: UnitPrice | None = None
    reasoning: UnitPrice | None = None
    request: UnitPrice | None = None
    web_search: UnitPrice | None = None
    origin: str = "settings"


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What each kind of unit costs: picodollars for 1,000,000 tokens, requests or searches; `None` is unknown.

    No `request` fee in the list means there is none (0); no `web_search` fee means that nobody knows it.
    """

    input: int | None
    output: int | None
    cache_read: int | None
    cache_write_5m: int | None
    cache_write_1h: int | None
    input_audio: int | None
    cache_read_audio: int | None
    reasoning: int | None
    output_audio: int | None
    input_image: int | None = None
    output_image: int | None = None
    request: int = 0
    web_search: int | None = None


class Band(msgspec.Struct, frozen=True):
    """The rates of calls that read at least `from_input_tokens`; all of the call costs that, not what lies above."""

    from_input_tokens: int
    rates: Rates


class PriceSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one model at one time.

    `id` names the source for the ledger (`genai-prices-0.2.3:openai/gpt-5`, with `@2026-03-13` where the price is
    dated, or `settings.yaml:openai:gpt-5#1f0c33a9`). `bands` is ascending and begins at 0; `service_tiers` has the
    bands of each tier that is priced differently. `free` says that input and output cost nothing and no fee is listed
    either.
    """

    id: str
    bands: tuple[Band, ...]
    service_tiers: dict[str, tuple[Band, ...]] = {}
    free: bool = False


CostFlag = (
    UsageFlag
    | Literal[
        "parts_disagree",  # audio or image tokens do not fit into the total they are parts of
        "service_tier_unpriced",  # no price is listed for that tier; priced as the standard one
        "tokens_unpriced",  # tokens of a kind whose price is unknown: no cost can be told
        "web_search_unpriced",  # searches were made and their price is unknown: no cost can be told
        "usage_unknown",  # a total is missing: no cost can be told
    ]
)


class CostLine(msgspec.Struct, frozen=True):
    """`quantity` units of `what`, at `price`."""

    what: str
    quantity: int
    price: UnitPrice


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt cost and why; `nanousd` is the exact sum of `lines`, rounded once, or `None` where unknown.

    `service_tier` is the tier whose prices were taken (`None`: the standard ones), `from_input_tokens` where the band
    of lengths begins that `context_tokens`, everything the model read, fell into.
    """

    nanousd: int | None
    lines: tuple[CostLine, ...]
    flags: tuple[CostFlag, ...]
    price_id: str
    service_tier: str | None = None
    context_tokens: int | None = None
    from_input_tokens: int = 0

"""How much of a time's money went into input, cache and output: from sums of tokens and the prices they were booked by.

The ledger keeps one cost for an attempt, not one for each kind. A price that is the same at every length makes costs
add up as tokens do, so sums over a model are split exactly. Where calls were long enough for a second price, where the
price has changed since, and for sound and images, the money stays whole and is shown as not split. What is split and
what is not add up to the ledger's total, always.
"""

from collections.abc import Callable, Sequence

import msgspec

from farthing.types.money import round_half_even
from farthing.types.prices import RATE_PER, PriceSheet, Rates
from farthing.types.spending import SpendingBy, SpendingRow

PRICED_BY: tuple[SpendingBy, ...] = ("provider", "model", "model_served", "price_id", "service_tier")
"""By what sums must be asked for to be split."""

SheetOf = Callable[[str, str, str], PriceSheet | None]
"""Returns the price of (provider, model that answered, model that was sent) in the time that is looked at."""

_PICO_TO_NANO = RATE_PER * 1_000


class MoneyByKind(msgspec.Struct, frozen=True, kw_only=True):
    """Nanodollars by kind; `fees` are for requests, and `unsplit` is what cannot be told apart."""

    input_nanousd: int = 0
    cache_read_nanousd: int = 0
    cache_write_nanousd: int = 0
    output_nanousd: int = 0
    fees_nanousd: int = 0
    unsplit_nanousd: int = 0


def money_by_kind(rows: Sequence[SpendingRow], sheet_of: SheetOf) -> MoneyByKind:
    """Return the split of sums that were asked for by `PRICED_BY`; it adds up to their costs."""
    exact = dict.fromkeys(MoneyByKind.__struct_fields__[:-1], 0)
    unsplit = rounded_attempts = 0
    for row in rows:
        parts = _parts(row, sheet_of)
        if parts is None:
            unsplit += row.cost_nanousd
            continue
        rounded_attempts += row.attempts
        for name, amount in parts.items():
            exact[name] += amount
    split = {name: round_half_even(amount, _PICO_TO_NANO) for name, amount in exact.items()}
    booked = sum(row.cost_nanousd for row in rows) - unsplit
    rest = booked - sum(split.values())
    # An attempt is rounded by half a nanodollar at most; what is more is no rounding, but usage that disagrees.
    if abs(rest) <= rounded_attempts + len(split):
        split[max(split, key=split.__getitem__)] += rest
        rest = 0
    found = MoneyByKind(**split, unsplit_nanousd=unsplit + rest)
    assert sum(msgspec.structs.astuple(found)) == sum(row.cost_nanousd for row in rows)
    return found


def _parts(row: SpendingRow, sheet_of: SheetOf) -> dict[str, int] | None:
    """Return picodollars times a million by kind; `None` where the sums do not say."""
    provider, model, served, price_id, tier = row.groups
    if price_id is None or row.unknown_cost_attempts or row.media_tokens or row.web_search_requests:
        return None
    sheet = sheet_of(provider or "", served or "", model or "")
    if sheet is None or sheet.id != price_id:
        return None
    bands = sheet.service_tiers.get(tier or "", sheet.bands)
    if len(bands) > 1 and row.largest_input_tokens >= bands[1].from_input_tokens:
        return None
    return _split(row, bands[0].rates)


def _split(row: SpendingRow, rates: Rates) -> dict[str, int] | None:
    afresh = row.input_tokens - row.cache_read_input_tokens - row.cache_creation_input_tokens
    plain = row.output_tokens - row.reasoning_output_tokens
    parts = {
        "input_nanousd": _times(afresh, rates.input),
        "cache_read_nanousd": _times(row.cache_read_input_tokens, rates.cache_read),
        "cache_write_nanousd": _sum(
            _times(row.cache_creation_5m_input_tokens, rates.cache_write_5m),
            _times(row.cache_creation_1h_input_tokens, rates.cache_write_1h),
        ),
        "output_nanousd": _sum(_times(plain, rates.output), _times(row.reasoning_output_tokens, rates.reasoning)),
        "fees_nanousd": row.attempts * rates.request,
    }
    known = {name: amount for name, amount in parts.items() if amount is not None}
    return known if len(known) == len(parts) and afresh >= 0 and plain >= 0 else None


def _times(quantity: int, rate: int | None) -> int | None:
    return 0 if quantity == 0 else None if rate is None else quantity * rate


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def estimated_nanousd(row: SpendingRow, sheet: PriceSheet) -> int | None:
    """Return what a group's tokens would cost by another price, taking its calls to be of one length.

    An estimate, for comparing models: a call longer than the mean may fall into a dearer band.
    """
    mean_input = row.input_tokens // max(1, row.attempts)
    rates = max(
        (band for band in sheet.bands if band.from_input_tokens <= mean_input), key=lambda band: band.from_input_tokens
    ).rates
    parts = None if row.media_tokens or row.web_search_requests else _split(row, rates)
    return None if parts is None else round_half_even(sum(parts.values()), _PICO_TO_NANO)

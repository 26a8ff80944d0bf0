"""The highest rates that a call may be billed by: of each band of a price, over all that is read and written."""

from typing import Literal

import msgspec

from farthing.types.prices import PriceSheet, Rates

Kind = Literal["audio", "image", "marked", "tiers"]
"""Why a call may cost more than its plain tokens: sound, pictures, parts that are marked for the cache, and tiers."""


class DearestRates(msgspec.Struct, frozen=True, gc=False):
    """A band's highest rates for anything that is read and written."""

    from_input_tokens: int
    input: int
    output: int
    request: int
    search: int


def dearest_rates(sheet: PriceSheet, kinds: frozenset[Kind]) -> tuple[DearestRates, ...]:
    """Return for each band the highest rates up to it: of every kind, and of every tier where one may be asked for."""
    every = [sheet.bands, *(sheet.service_tiers.values() if "tiers" in kinds else ())]
    starts = sorted({band.from_input_tokens for bands in every for band in bands})
    found = []
    for start in starts:
        reached = [band.rates for bands in every for band in bands if band.from_input_tokens <= start]
        found.append(_dearest_among(start, reached, kinds))
    return tuple(found)


def _dearest_among(start: int, rates: list[Rates], kinds: frozenset[Kind]) -> DearestRates:
    # To read from the cache costs more than to read afresh at one model (OpenRouter, 2026-11).
    # What is not marked is cached at the price for the default lifetime, where it costs anything.
    names = ["input", "cache_read", "cache_write_5m", *(["cache_write_1h"] if "marked" in kinds else [])]
    if "marked" not in kinds and any((one.cache_write_1h or 0) > (one.cache_write_5m or 0) for one in rates):
        names.remove("cache_write_5m")  # prices like Anthropic's, where only what is marked is cached
    names += [f"input_{kind}" for kind in ("audio", "image") if kind in kinds]
    written = ["output", "reasoning", *(f"output_{kind}" for kind in ("audio", "image") if kind in kinds)]
    return DearestRates(
        from_input_tokens=start,
        input=max((rate for one in rates for name in names if (rate := getattr(one, name)) is not None), default=0),
        output=max((rate for one in rates for name in written if (rate := getattr(one, name)) is not None), default=0),
        request=max(one.request for one in rates),
        search=max(one.web_search or 0 for one in rates),
    )


def rates_at(bands: tuple[DearestRates, ...], reads: int) -> DearestRates:
    """Return the dearest of the bands that a call which reads so many tokens may fall into."""
    if len(bands) == 1:
        return bands[0]
    return max((band for band in bands if band.from_input_tokens <= reads), key=lambda band: band.input)

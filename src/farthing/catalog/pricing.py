"""Price usage with a sheet: exact, in whole numbers, rounded once; never raises, whatever a provider reports.

`price_nanousd` is what the hot path calls; `price` tells the same amount line by line. Usage is inclusive, so what was
read afresh is the input less what came from or went into the cache. Parts that do not fit into their total happen
(a vendor reported 163 cached tokens of 7 read). Then the dearest reading that makes sense is charged and the line is
flagged:

- a part larger than its total: the total was meant without it, so both are charged in full;
- cache reads and writes that only together are larger: the same tokens were read and written, both are charged,
  and what was read afresh is the input less the larger of the two (OpenRouter bills Gemini like that);
- audio or images that leave too little room for what was cached: all of it counts as read afresh.
"""

from msgspec.structs import astuple

from farthing.types.money import UnitPrice, round_half_even, total_nanousd
from farthing.types.prices import RATE_PER, Band, Cost, CostFlag, CostLine, PriceSheet
from farthing.types.usage import NO_PARTS, Usage

_NANOUSD = RATE_PER * 1_000  # picodollars per million units, to nanodollars

STANDARD_TIERS = frozenset({"standard", "default", "auto", "on_demand", "scale", "standard_only"})
"""Names of service tiers that cost the list price, so that not finding them in a sheet says nothing."""


def price_nanousd(usage: Usage, sheet: PriceSheet, *, service_tier: str | None = None) -> int | None:
    """Return the cost in nanodollars, or `None` where a total or a price is unknown; see `price`."""
    if sheet.free:
        return 0
    read, written = usage.input_tokens, usage.output_tokens
    bands = sheet.bands
    if service_tier is not None and service_tier in sheet.service_tiers:
        bands = sheet.service_tiers[service_tier]
    if read is None or written is None:
        return None
    rates = bands[0].rates if len(bands) == 1 else _band_at(bands, read).rates
    fresh, answered = rates.input, rates.output
    if astuple(usage)[2:-1] == NO_PARTS and fresh is not None and answered is not None and read >= 0 <= written:
        return round_half_even(read * fresh + written * answered + rates.request, _NANOUSD)
    cached, write_5m, write_1h = (
        usage.cache_read_input_tokens,
        usage.cache_creation_5m_input_tokens,
        usage.cache_creation_1h_input_tokens,
    )
    reasoning, searches = usage.reasoning_output_tokens, usage.web_search_requests
    afresh = read - cached - write_5m - write_1h
    if (
        # One test for the signs of all: bits of a negative number reach past those of any other.
        afresh | cached | write_5m | write_1h | reasoning < 0
        or reasoning > written
        or searches
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or usage.cache_read_audio_tokens
        or usage.input_image_tokens
        or usage.output_image_tokens
        or fresh is None
        or answered is None
        or rates.reasoning != answered
    ):
        return price(usage, sheet, service_tier=service_tier).nanousd
    exact = afresh * fresh + written * answered + rates.request
    if cached:
        exact += cached * rates.cache_read  # type: ignore[operator]  # known wherever input is known
    if write_5m:
        exact += write_5m * rates.cache_write_5m  # type: ignore[operator]  # likewise
    if write_1h:
        exact += write_1h * rates.cache_write_1h  # type: ignore[operator]  # likewise
    return round_half_even(exact, _NANOUSD)


def price(usage: Usage, sheet: PriceSheet, *, service_tier: str | None = None) -> Cost:
    """Return the cost with its explanation; `nanousd` is `None` where a total or a price is unknown."""
    flags: list[CostFlag] = list(usage.flags)
    bands = sheet.service_tiers.get(service_tier or "", sheet.bands)
    if bands is sheet.bands and service_tier and service_tier not in STANDARD_TIERS and not sheet.free:
        flags.append("service_tier_unpriced")
    if usage.input_tokens is None or usage.output_tokens is None:
        flags.append("usage_unknown")
        return Cost(nanousd=0 if sheet.free else None, lines=(), flags=_once(flags), price_id=sheet.id)
    context, counted = _counted(usage, flags)
    band = _band_at(bands, context)
    rates = band.rates
    lines: list[CostLine] = []
    known = True
    for what, quantity in counted:
        rate = getattr(rates, what)
        if not quantity:
            continue
        if rate is None and sheet.free:
            continue
        if rate is None:
            known = False
            flags.append("web_search_unpriced" if what == "web_search" else "tokens_unpriced")
            continue
        if rate or what != "request":
            lines.append(CostLine(what, quantity, unit_price(rate)))
    total = total_nanousd((line.quantity, line.price) for line in lines) if known else None
    return Cost(
        nanousd=total,
        lines=tuple(lines),
        flags=_once(flags),
        price_id=sheet.id,
        service_tier=None if bands is sheet.bands else service_tier,
        context_tokens=context,
        from_input_tokens=band.from_input_tokens,
    )


def unit_price(rate: int) -> UnitPrice:
    """Return a rate as a price for one where it is whole for one and reads better so, else for a million."""
    whole, rest = divmod(rate, RATE_PER)
    return UnitPrice(whole, 1) if rest == 0 and whole >= 1_000_000_000 else UnitPrice(rate, RATE_PER)


def _band_at(bands: tuple[Band, ...], context: int) -> Band:
    found = bands[0]
    for band in bands:
        if context >= band.from_input_tokens:
            found = band
    return found


def _counted(usage: Usage, flags: list[CostFlag]) -> tuple[int, list[tuple[str, int]]]:
    """Return the length of the context and how many of each kind in `Rates` are charged; flags what does not fit."""
    read = _natural(usage.input_tokens, flags)
    cached = _natural(usage.cache_read_input_tokens, flags)
    write_5m = _natural(usage.cache_creation_5m_input_tokens, flags)
    write_1h = _natural(usage.cache_creation_1h_input_tokens, flags)
    stored = write_5m + write_1h
    context, afresh = read, read - cached - stored
    if cached > read or stored > read:
        flags.append("cache_exceeds_input")
        context, afresh = read + cached + stored, read
    elif afresh < 0:
        flags.append("cache_classes_overlap")
        afresh = read - max(cached, stored)

    heard = _natural(usage.input_audio_tokens, flags)
    heard_cached = _natural(usage.cache_read_audio_tokens, flags)
    if heard_cached > cached or heard_cached > heard:
        flags.append("parts_disagree")
        heard, heard_cached = max(heard, heard_cached), min(heard_cached, cached)
    heard -= heard_cached
    if heard > afresh:
        flags.append("parts_disagree")
        context, text = (context + heard, afresh) if heard > context else (context, 0)
    else:
        text = afresh - heard
    seen = _natural(usage.input_image_tokens, flags)
    if seen > text:
        flags.append("parts_disagree")
        context, text = (context + seen, text) if seen > context else (context, 0)
    else:
        text -= seen

    return context, [
        ("input", text),
        ("input_audio", heard),
        ("input_image", seen),
        ("cache_read", cached - heard_cached),
        ("cache_read_audio", heard_cached),
        ("cache_write_5m", write_5m),
        ("cache_write_1h", write_1h),
        *_counted_output(usage, flags),
        ("request", 1),
        ("web_search", _natural(usage.web_search_requests, flags)),
    ]


def _counted_output(usage: Usage, flags: list[CostFlag]) -> list[tuple[str, int]]:
    written = _natural(usage.output_tokens, flags)
    reasoning = _natural(usage.reasoning_output_tokens, flags)
    spoken = _natural(usage.output_audio_tokens, flags)
    plain = written
    if reasoning > written:
        flags.append("reasoning_exceeds_output")
    else:
        plain -= reasoning
    drawn = _natural(usage.output_image_tokens, flags)
    for part in (spoken, drawn):
        if part > plain:
            flags.append("parts_disagree")
            plain = plain if part > written else 0
        else:
            plain -= part
    return [("output", plain), ("reasoning", reasoning), ("output_audio", spoken), ("output_image", drawn)]


def _natural(count: int | None, flags: list[CostFlag]) -> int:
    if count is None or count >= 0:
        return count or 0
    flags.append("negative_count")
    return 0


def _once(flags: list[CostFlag]) -> tuple[CostFlag, ...]:
    return tuple(dict.fromkeys(flags))

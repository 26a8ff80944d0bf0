"""The dearest that a model may cost while a call lasts, where its price changes by the hour or on a day to come.

A call is charged by the price at its end, as at DeepSeek, whose prices change four times a day; and nobody knows that
end when it begins. So what is held for it is held by the dearest price until the end of the longest call.
"""

from collections.abc import Sequence

import msgspec

from farthing.types.prices import Band, PriceSheet, Rates

HORIZON_US = 4_200 * 1_000_000
"""The longest that a call waits for money and lasts, with ten minutes to spare; leases last as long."""


def dearest(sheets: Sequence[PriceSheet]) -> PriceSheet:
    """Return a sheet with the highest rates of several, from each length on; for bounds, and not for the ledger."""
    if len(sheets) == 1:
        return sheets[0]
    tiers = dict.fromkeys(name for sheet in sheets for name in sheet.service_tiers)
    return PriceSheet(
        id=" or ".join(dict.fromkeys(sheet.id for sheet in sheets)),
        bands=_highest([sheet.bands for sheet in sheets]),
        service_tiers={
            name: _highest([sheet.service_tiers.get(name, sheet.bands) for sheet in sheets]) for name in tiers
        },
        free=all(sheet.free for sheet in sheets),
    )


def _highest(several: Sequence[tuple[Band, ...]]) -> tuple[Band, ...]:
    starts = sorted({band.from_input_tokens for bands in several for band in bands})
    return tuple(Band(start, _most([_rates_at(bands, start) for bands in several])) for start in starts)


def _rates_at(bands: tuple[Band, ...], tokens: int) -> Rates:
    return next(band.rates for band in reversed(bands) if band.from_input_tokens <= tokens)


def _most(several: Sequence[Rates]) -> Rates:
    names = Rates.__struct_fields__
    known = {name: [rate for one in several if (rate := getattr(one, name)) is not None] for name in names}
    return msgspec.structs.replace(several[0], **{name: max(rates) for name, rates in known.items() if rates})

"""Tables and records of prices: one model's sheet, many models, what a new list changes, what other prices say."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click
import msgspec

from farthing.catalog.corrections import Correction
from farthing.catalog.price_diff import FlatPrices, ModelName, PriceDiff
from farthing.catalog.pricing import unit_price
from farthing.cli.call_sheet import PER
from farthing.cli.tables import Column, grouped, print_table, printable, trimmed, usd
from farthing.ledger.repricing import RepricedReport, RepricedRow
from farthing.types.money import UnitPrice, usd_text
from farthing.types.prices import RATE_PER, Band, Cost, PriceSheet, Rates

_PICO_DIGITS = 12
_FEES = ("request", "web_search")


def amount(price: UnitPrice) -> str:
    """Return a price's dollars, exact."""
    return trimmed(f"{Decimal(price.picodollars).scaleb(-_PICO_DIGITS):f}")


def rate(value: int | None) -> str:
    """Return what a million cost."""
    return "unknown" if value is None else amount(UnitPrice(value, RATE_PER))


def print_sheet(name: str, sheet: PriceSheet, correction: Correction | None) -> None:
    """Print every price of one model, now."""
    click.echo(printable(f"{name}  {sheet.id}"))
    if correction is not None:
        click.echo(f"corrected: {correction.why} ({correction.source}, {correction.checked})")
    if sheet.free:
        click.echo("free")
        return
    rows = list(_band_rows(sheet.bands, ""))
    for tier, bands in sheet.service_tiers.items():
        rows += _band_rows(bands, f"{tier}: ", beside=sheet.bands)
    print_table([Column("PRICE OF", "left"), Column("USD", "point"), Column("", "left")], rows)


def sheet_as_data(provider: str, model: str, sheet: PriceSheet) -> dict[str, Any]:
    """Return a sheet for programs: picodollars for a million of each kind."""
    return {
        "provider": provider,
        "model": model,
        "price_id": sheet.id,
        "free": sheet.free,
        "picodollars_per_million": _bands_as_data(sheet.bands),
        "service_tiers": {tier: _bands_as_data(bands) for tier, bands in sheet.service_tiers.items()},
    }


def print_sheets(sheets: Sequence[tuple[str, PriceSheet]]) -> None:
    """Print one line for each model."""
    columns = [
        Column("MODEL", "left"),
        Column("INPUT", "point"),
        Column("CACHED", "point"),
        Column("OUTPUT", "point"),
        Column("ALSO PRICED", "left"),
    ]
    rows = []
    for name, sheet in sheets:
        rates = sheet.bands[0].rates
        also = [*sheet.service_tiers, *(f">{band.from_input_tokens - 1:,}" for band in sheet.bands[1:])]
        rows.append((name, rate(rates.input), rate(rates.cache_read), rate(rates.output), " ".join(also)))
    print_table(columns, rows)


def print_explained(cost: Cost, correction: Correction | None) -> None:
    """Print where a price comes from and why it is this one."""
    click.echo(f"price    {printable(cost.price_id)}")
    if correction is not None:
        click.echo(f"         corrected: {correction.why} ({correction.source}, {correction.checked})")
    tier = f"the prices of {cost.service_tier!r}, as the answer says" if cost.service_tier else "the standard prices"
    click.echo(f"tier     {printable(tier)}")
    if cost.context_tokens is not None:
        over = f", over {cost.from_input_tokens - 1:,}: the prices of long contexts" if cost.from_input_tokens else ""
        click.echo(f"context  {cost.context_tokens:,} tokens{over}")
    if cost.flags:
        click.echo(f"note     {', '.join(cost.flags).replace('_', ' ')}")
    click.echo(f"cost     {usd(cost.nanousd)}{' USD' if cost.nanousd is not None else ''}")


def explained_as_data(cost: Cost) -> dict[str, Any]:
    """Return an explanation for programs."""
    return {
        "price_id": cost.price_id,
        "service_tier": cost.service_tier,
        "context_tokens": cost.context_tokens,
        "from_input_tokens": cost.from_input_tokens,
        "flags": list(cost.flags),
        "nanousd": cost.nanousd,
        "usd": None if cost.nanousd is None else usd_text(cost.nanousd),
        "lines": [
            {"what": line.what, "quantity": line.quantity, "picodollars": line.price.picodollars, "per": line.price.per}
            for line in cost.lines
        ],
    }


def print_diff(diff: PriceDiff, limit: int) -> None:
    """Print what changes, the largest change first, then what comes and goes; of each at most `limit` models."""
    if diff.changed:
        columns = [
            Column(f"CHANGED ({len(diff.changed):,})", "left"),
            Column("PRICE OF", "left"),
            Column("OLD USD", "point"),
            Column("NEW USD", "point"),
            Column("", "left"),
            Column("CHANGE"),
        ]
        rows = []
        for change in diff.changed[:limit]:
            for number, part in enumerate(change.parts):
                per = (part.new or part.old or UnitPrice(0)).per
                old, new = (amount(price) if price else "-" for price in (part.old, part.new))
                name = _name(change.name) if number == 0 else ""
                rows.append((name, part.what, old, new, PER[per], _percent(part.factor)))
        print_table(columns, rows)
        _more(len(diff.changed), limit)
    for title, models in (("ADDED", diff.added), ("REMOVED", diff.removed)):
        if models:
            click.echo()
            columns = [
                Column(f"{title} ({len(models):,})", "left"),
                Column("INPUT", "point"),
                Column("OUTPUT", "point"),
            ]
            print_table(columns, [(_name(name), *_main_prices(prices)) for name, prices in models[:limit]])
            _more(len(models), limit)


def diff_as_data(diff: PriceDiff) -> dict[str, Any]:
    """Return a diff for programs."""
    return {
        "changed": [
            {
                "provider": change.name[0],
                "model": change.name[1],
                "prices": [
                    {"what": part.what, "old": _price_as_data(part.old), "new": _price_as_data(part.new)}
                    for part in change.parts
                ],
            }
            for change in diff.changed
        ],
        "added": [_alone_as_data(name, prices) for name, prices in diff.added],
        "removed": [_alone_as_data(name, prices) for name, prices in diff.removed],
    }


def print_repriced(by: str, report: RepricedReport) -> None:
    """Print what the ledger says beside what other prices say."""
    columns = [
        Column(by.upper(), "left"),
        Column("ATTEMPTS"),
        Column("LEDGER USD", "point"),
        Column("REPRICED USD", "point"),
        Column("DIFFERENCE", "point"),
    ]
    if report.total.unpriced:
        columns.append(Column("UNPRICED"))

    def cells(row: RepricedRow, name: str) -> list[str]:
        sign = "-" if row.difference_nanousd < 0 else "+" if row.difference_nanousd else ""
        found = [name, grouped(row.attempts)]
        if row.compared:
            found += [usd(row.ledger_nanousd), usd(row.repriced_nanousd), sign + usd(abs(row.difference_nanousd))]
        else:
            found += ["unknown", "unknown", ""]
        if report.total.unpriced:
            found.append(grouped(row.unpriced) if row.unpriced else "")
        return found

    table = [cells(row, row.group if row.group is not None else f"(no {by})") for row in report.rows]
    print_table(columns, table, total=cells(report.total, "total"))


def repriced_as_data(by: str, row: RepricedRow) -> dict[str, Any]:
    """Return a row for programs."""
    data = msgspec.structs.asdict(row)
    del data["group"]
    return {by: row.group, **data, "difference_nanousd": row.difference_nanousd}


def _band_rows(
    bands: tuple[Band, ...], prefix: str, *, beside: tuple[Band, ...] | None = None
) -> list[tuple[str, str, str]]:
    """Return a row for each price; those that another says already are left out."""
    rows = []
    said: Rates | None = None
    for band in bands:
        over = f" over {band.from_input_tokens - 1:,}" if band.from_input_tokens else ""
        if beside is not None:
            said = next((b.rates for b in reversed(beside) if b.from_input_tokens <= band.from_input_tokens), None)
        for part in Rates.__struct_fields__:
            value = getattr(band.rates, part)
            if value is None or value == _default(part, band.rates) or (said and value == getattr(said, part)):
                continue
            price = unit_price(value)
            if part in _FEES:
                price = UnitPrice(value // RATE_PER, 1)
            rows.append((f"{prefix}{part.replace('_', ' ')}{over}", amount(price), PER[price.per]))
        said = band.rates
    return rows


def _default(part: str, rates: Rates) -> int | None:
    """What a part costs when nothing is said of it; such a line would say nothing."""
    if part in ("cache_read", "cache_write_5m", "input_audio", "input_image"):
        return rates.input
    if part == "cache_write_1h":
        return rates.cache_write_5m
    if part == "cache_read_audio":
        return rates.cache_read if rates.input_audio == rates.input else rates.input_audio
    if part in ("reasoning", "output_audio", "output_image"):
        return rates.output
    return 0 if part == "request" else None


def _bands_as_data(bands: tuple[Band, ...]) -> list[dict[str, Any]]:
    return [{"from_input_tokens": band.from_input_tokens, **msgspec.structs.asdict(band.rates)} for band in bands]


def _name(name: ModelName) -> str:
    return ":".join(name)


def _main_prices(prices: FlatPrices) -> tuple[str, str]:
    newest = [
        [price for what, price in prices.items() if what == part or what.startswith(f"{part} @")]
        for part in ("input", "output")
    ]
    return amount(newest[0][-1]) if newest[0] else "-", amount(newest[1][-1]) if newest[1] else "-"


def _percent(factor: Any) -> str:
    if factor is None:
        return ""
    percent = (factor - 1) * 100
    return f"{'+' if percent > 0 else '-'}{float(abs(percent)):,.3g} %"


def _more(number: int, limit: int) -> None:
    if number > limit:
        click.echo(f"... and {number - limit:,} more (--limit)")


def _price_as_data(price: UnitPrice | None) -> dict[str, int] | None:
    return None if price is None else {"picodollars": price.picodollars, "per": price.per}


def _alone_as_data(name: ModelName, prices: FlatPrices) -> dict[str, Any]:
    listed = {what: _price_as_data(price) for what, price in prices.items()}
    return {"provider": name[0], "model": name[1], "prices": listed}

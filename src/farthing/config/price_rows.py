"""Reads `prices:`: dollars as decimal text become whole picodollars, exactly, or the row is refused."""

import re
from collections.abc import Collection
from decimal import Decimal
from pathlib import PurePath

from farthing.config.problems import Problems, listed, nearest, quoted
from farthing.config.sections import as_text, described, unknown_key
from farthing.config.yaml_tree import Listing, Node, Scalar, Table
from farthing.types.money import UnitPrice
from farthing.types.prices import PriceOverride

PER_MILLION = (
    *("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"),
    *("input_audio", "output_audio", "input_image", "output_image", "reasoning"),
)
PER_ONE = ("request", "web_search")
_AMOUNT = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,30})?", re.ASCII)
_HIGHEST_USD = 1_000_000
"""A dollar per token; two thousand times the dearest model, so whoever writes more has mixed up the unit."""
_PICO_DIGITS = 12


def read_prices(
    node: Node, providers: Collection[str], kinds: Collection[str], problems: Problems
) -> tuple[PriceOverride, ...]:
    """Return the rows in the order of the file.

    `providers` are the names under providers: and `kinds` the known ones, to tell a typing error from a provider that
    is not switched on.
    """
    if not isinstance(node, Listing):
        if not (isinstance(node, Scalar) and node.empty):
            problems.error(node.line, "prices", f'must be a list of rows ("- {{model: ...}}"), not {described(node)}.')
        return ()
    rows: dict[str, PriceOverride] = {}
    for index, item in enumerate(node.items):
        path = f"prices[{index}]"
        row = _read_row(item, path, problems)
        if row is None:
            continue
        if row.pattern in rows:
            problems.error(
                item.line, path, f"a price for {quoted(row.pattern)} stands at {rows[row.pattern].origin} already."
            )
            continue
        rows[row.pattern] = row
        _check_provider(row.pattern, item.line, f"{path}.model", providers, kinds, problems)
    return tuple(rows.values())


def _read_row(node: Node, path: str, problems: Problems) -> PriceOverride | None:
    amounts: dict[str, UnitPrice] = {}
    pattern: str | None = None
    if not isinstance(node, Table):
        problems.error(
            node.line, path, f"must be a mapping (model: ..., input: ..., output: ...), not {described(node)}."
        )
        return None
    for key, (line, value) in node.entries.items():
        if key == "model":
            pattern = as_text(value, f"{path}.model", problems)
        elif key in PER_MILLION or key in PER_ONE:
            price = _read_price(value, 1_000_000 if key in PER_MILLION else 1, f"{path}.{key}", problems)
            if price is not None:
                amounts[key] = price
        else:
            unknown_key(key, line, path, ("model", *PER_MILLION, *PER_ONE), problems)
    missing = [key for key in ("model", "input", "output") if key not in node.entries]
    if missing:
        problems.error(node.line, path, f"a price needs model, input and output; missing: {listed(missing)}.")
    if pattern is None or "input" not in amounts or "output" not in amounts:
        return None
    return PriceOverride(
        pattern=pattern,
        origin=f"{PurePath(problems.file).name}:{node.line}",
        **amounts,
    )


def _read_price(node: Node, per: int, path: str, problems: Problems) -> UnitPrice | None:
    text = as_text(node, path, problems)
    if text is None:
        return None
    unit = "USD per million tokens" if per > 1 else "USD each"
    if not _AMOUNT.fullmatch(text):
        problems.error(node.line, path, f"{quoted(text)} is not a price; {unit} in digits, such as 0.25.")
        return None
    usd = Decimal(text)
    picodollars = usd.scaleb(_PICO_DIGITS)
    if text.startswith("-"):
        problems.error(node.line, path, f"{quoted(text)} is negative; a price is 0 or more.")
    elif usd > _HIGHEST_USD:
        problems.error(node.line, path, f"{quoted(text)} is above {_HIGHEST_USD}; the unit is {unit}.")
    elif picodollars != int(picodollars):
        problems.error(node.line, path, f"{quoted(text)} is finer than a picodollar; at most {_PICO_DIGITS} decimals.")
    else:
        return UnitPrice(int(picodollars), per)
    return None


def _check_provider(
    pattern: str, line: int, path: str, providers: Collection[str], kinds: Collection[str], problems: Problems
) -> None:
    """A price for nobody is a typing error, and a typing error here is wrong money."""
    name, colon, model = pattern.partition(":")
    if not colon or not name or not model:
        problems.error(line, path, f"{quoted(pattern)} is not provider:model, such as 'lab:*' or 'openai:gpt-5*'.")
    elif "*" in name or name in providers:
        return
    elif name in kinds:
        problems.warning(line, path, f"the provider {quoted(name)} is not configured, so this price is never used.")
    else:
        known = listed(sorted(providers))
        problems.error(
            line, path, f"{quoted(pattern)} names no provider{nearest(name, providers)}; configured: {known}."
        )

"""Money without floats.

A price is an integer number of picodollars per `per` units; an amount at rest is an integer number of nanodollars
(1 USD = 1,000,000,000). Sums are exact and rounded once, half to even, at the end.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import lcm

import msgspec

NANOUSD_PER_USD = 1_000_000_000
PICOUSD_PER_NANOUSD = 1_000
ALLOWED_PER = (1, 1_000, 1_000_000, 3_600)
_COMMON = lcm(*ALLOWED_PER)  # 9,000,000: every price is whole in units of 1/_COMMON picodollar


class UnitPrice(msgspec.Struct, frozen=True, array_like=True):
    """`picodollars` for `per` units; `per` is 1, 1,000, 1,000,000 (tokens, requests) or 3,600 (seconds)."""

    picodollars: int
    per: int = 1_000_000


def total_nanousd(lines: Iterable[tuple[int, UnitPrice]]) -> int:
    """Return the exact sum of `quantity x price`, rounded once to nanodollars, half to even."""
    exact = 0
    for quantity, price in lines:
        exact += quantity * price.picodollars * (_COMMON // price.per)
    return round_half_even(exact, _COMMON * PICOUSD_PER_NANOUSD)


def round_half_even(numerator: int, denominator: int) -> int:
    """Divide, rounding to the nearest whole number and ties to the even one; `denominator` is positive."""
    quotient, rest = divmod(numerator, denominator)
    doubled = 2 * rest
    return quotient + (doubled > denominator or (doubled == denominator and quotient & 1 == 1))


def usd_text(nanousd: int) -> str:
    """Return the whole amount as text with nine decimals, such as `0.000012345`."""
    sign = "-" if nanousd < 0 else ""
    whole, rest = divmod(abs(nanousd), NANOUSD_PER_USD)
    return f"{sign}{whole}.{rest:09d}"


def trimmed_usd(nanousd: int) -> str:
    """Return an amount with as many decimals as it needs, at least two: `0.10`, `0.000012`."""
    whole, _, decimals = usd_text(nanousd).partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def rough_usd(nanousd: int) -> str:
    """Return an estimate to three digits, and to the cent at most: `12.35`, `0.0123`."""
    drop = 10 ** min(max(len(str(abs(nanousd))) - 3, 0), 7)
    return trimmed_usd(round_half_even(nanousd, drop) * drop)


def nanousd_from_usd(usd: Decimal | str) -> int:
    """Return a decimal amount of dollars in nanodollars, rounded half to even."""
    return int((Decimal(usd) * NANOUSD_PER_USD).to_integral_value())

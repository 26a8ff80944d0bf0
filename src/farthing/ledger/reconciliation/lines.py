"""One line of a provider's export in one shape for all of them, and how texts become exact numbers."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec

from farthing.errors import ExportUnreadable
from farthing.types.ledger import US_PER_DAY, utc_day

_DATED = re.compile(r"-?(20[0-9]{2}-?(0[1-9]|1[0-2])-?[0-3][0-9]|latest)$")
_MOST_DIGITS = 40
"""OpenAI writes dollars with thirty decimals; more digits are no amount."""


class BilledLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of one UTC day, and one model where it tells it. `None` is what the export does not tell.

    `input_tokens` is inclusive, as in the ledger: cached and written parts are in it.
    """

    day: str
    model: str | None
    usd: Fraction | None = None
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None


def amount(text: object, what: str, where: str) -> Fraction | None:
    """Return an exact amount; `None` for an empty cell.

    Raises:
        ExportUnreadable: it is no number.
    """
    if text is None or text == "":
        return None
    written = str(text).strip().replace(",", "").removeprefix("$")
    try:
        found = Decimal(written)
    except InvalidOperation:
        found = Decimal("NaN")
    digits = found.as_tuple()
    if not found.is_finite() or len(digits.digits) > _MOST_DIGITS or abs(int(digits.exponent)) > _MOST_DIGITS:
        raise ExportUnreadable(f"{where}: {what} {_short(text)} is no number.")
    return Fraction(found)


def count(text: object, what: str, where: str) -> int | None:
    """Return a whole number; `None` for an empty cell. OpenAI's dashboard writes requests as `3.0`.

    Raises:
        ExportUnreadable: it is no whole number, or below 0.
    """
    found = amount(text, what, where)
    if found is None:
        return None
    if found.denominator != 1 or found < 0:
        raise ExportUnreadable(f"{where}: {what} {_short(text)} is no count.")
    return int(found)


def day_of(text: object, what: str, where: str) -> str:
    """Return the UTC day of `2026-11-18`, an ISO moment, or seconds since 1970.

    Raises:
        ExportUnreadable: it is none of these.
    """
    written = str(text).strip()
    if re.fullmatch(r"[0-9]{9,10}", written):
        return utc_day(int(written) * 1_000_000)
    try:
        at = datetime.fromisoformat(written.removesuffix(" UTC"))
    except ValueError:
        raise ExportUnreadable(
            f"{where}: {what} {_short(text)} is no day.",
            hint="days are written 2026-11-18, moments 2026-11-18T09:30:00Z.",
        ) from None
    return (at if at.tzinfo is None else at.astimezone(UTC)).date().isoformat()


def one_day(begins_s: int, ends_s: int, where: str) -> str:
    """Return the day of a bucket of time.

    Raises:
        ExportUnreadable: it is longer than a day, so that nobody could say which.
    """
    if ends_s - begins_s > US_PER_DAY // 1_000_000:
        raise ExportUnreadable(
            f"{where}: a bucket is longer than a day.", hint="export it by the day (bucket_width=1d)."
        )
    return utc_day(begins_s * 1_000_000)


def same_model(name: str | None) -> str | None:
    """Return the name by which a model's two spellings are one: `Claude Haiku 4.5`, `claude-haiku-4-5-20251001`.

    Providers' exports name dated versions, or models as people call them; clients ask for either. What stands before a
    slash is a reseller's maker and stays; what stands behind a colon (`:free`) is how it is served, and goes.
    """
    if not name or not name.strip():
        return None
    plain = re.sub(r"[ ._]+", "-", name.strip().lower().partition(":")[0])
    return _DATED.sub("", plain) or plain


def usd_only(currency: object, where: str) -> None:
    """Refuse amounts in another currency: we have no rate of exchange, and guess none.

    Raises:
        ExportUnreadable: it is another one.
    """
    if currency not in (None, "") and str(currency).strip().upper() != "USD":
        raise ExportUnreadable(f"{where}: the currency is {_short(currency)}; amounts must be in USD.")


def _short(text: object) -> str:
    written = repr(str(text))
    return written if len(written) <= 60 else written[:57] + "...'"

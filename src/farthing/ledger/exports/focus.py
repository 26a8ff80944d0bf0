"""Attempts as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification: one row for each kind of unit priced.

Providers price tokens by kind, so that is what a row is: quantity x unit price = ListCost, exactly. The ledger rounds
an attempt once to a nanodollar, so BilledCost and EffectiveCost are what was booked, with the rounding put on the
attempt's largest row: their sum is the ledger's. Where the price of then is not known any more an attempt is one row,
booked cost and no unit price. An attempt that cost nothing because nothing was served is no charge, and no row.

We are no provider and write no invoice: the costs are ours, by the price list, before any discount of the account.
A cost that nobody knows stays null, although FOCUS wants a number there: 0 would be a lie. The columns, their types and
which may be null follow https://focus.finops.org/focus-specification/v1-2/ (read 2026-11). 1.3 and later add columns
and rename ProviderName; importers take 1.2 as it is.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec

from farthing.ledger.reports import Record
from farthing.types.calls import Attempt
from farthing.types.money import UnitPrice, usd_text
from farthing.types.prices import Cost, CostLine

FOCUS_VERSION = "1.2"

Explain = Callable[[Attempt], Cost | None]
"""Returns how an attempt's cost came about, line by line; `None` where the price of then is not known any more."""

FOCUS_COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_AttemptId",
    "x_CallId",
    "x_CostBasis",
    "x_Model",
    "x_Outcome",
)

_METERS = {
    "input": "Input Tokens",
    "input_audio": "Audio Input Tokens",
    "input_image": "Image Input Tokens",
    "cache_read": "Cache Read Tokens",
    "cache_read_audio": "Audio Cache Read Tokens",
    "cache_write_5m": "Cache Write Tokens (5 Minutes)",
    "cache_write_1h": "Cache Write Tokens (1 Hour)",
    "output": "Output Tokens",
    "reasoning": "Reasoning Tokens",
    "output_audio": "Audio Output Tokens",
    "output_image": "Image Output Tokens",
    "request": "Requests",
    "web_search": "Web Searches",
}
_ATTO_DIGITS = 18
"""A picodollar for a million tokens is 10^-18 dollars for one, so every amount of a row is whole in those."""
_ATTO_PER_PICO = 1_000_000
_ATTO_PER_NANO = 1_000_000_000


def is_charge(attempt: Attempt) -> bool:
    """Whether anything was, or may have been, charged: a refusal that cost nothing at any price is no charge."""
    return attempt.cost_nanousd != 0 or attempt.price_id is not None


def focus_rows(attempt: Attempt, explain: Explain) -> Iterator[Record]:
    """Yield an attempt's rows; together they cost what the ledger says."""
    if not is_charge(attempt):
        return
    common = _common(attempt)
    cost = explain(attempt) if attempt.cost_nanousd is not None else None
    if cost is None or not cost.lines or cost.nanousd != attempt.cost_nanousd:
        yield _in_order(common | _unsplit(attempt))
        return
    booked = _booked(cost.lines, attempt.cost_nanousd or 0)
    for line, billed in zip(cost.lines, booked, strict=True):
        yield _in_order(common | _priced(attempt, cost, line, billed))


def _booked(lines: tuple[CostLine, ...], total_nanousd: int) -> list[int]:
    """Return each line's share in 10^-18 USD; what rounding the attempt added or took stands on the largest line."""
    exact = [line.quantity * _unit_atto(line.price) for line in lines]
    rest = total_nanousd * _ATTO_PER_NANO - sum(exact)
    largest = max(range(len(exact)), key=exact.__getitem__)
    return [amount + rest if place == largest else amount for place, amount in enumerate(exact)]


def _unit_atto(price: UnitPrice) -> int:
    """Return the price of one unit; exact, because lines of a cost are priced for 1 or for a million."""
    assert _ATTO_PER_PICO % price.per == 0, f"a price for {price.per} units is no whole number for one"
    return price.picodollars * (_ATTO_PER_PICO // price.per)


def _common(attempt: Attempt) -> Record:
    opening = attempt.opening
    who = opening.attribution
    begins = datetime.fromtimestamp(opening.started_at_us // 1_000_000, UTC)
    # The end is exclusive and whole seconds are what the format has, so it is rounded up, and never the beginning.
    ends_s = max(-(-attempt.ended_at_us // 1_000_000), opening.started_at_us // 1_000_000 + 1)
    month = begins.replace(day=1, hour=0, minute=0, second=0)
    next_month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    model = attempt.model_served or opening.model
    maker, slash, _ = model.partition("/")
    return {
        "BillingAccountId": who.organisation,
        "BillingAccountName": who.organisation,
        "BillingAccountType": "Organisation",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _moment(next_month),
        "BillingPeriodStart": _moment(month),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _moment(datetime.fromtimestamp(ends_s, UTC)),
        "ChargePeriodStart": _moment(begins),
        "InvoiceIssuerName": opening.provider,
        "ProviderName": opening.provider,
        "PublisherName": maker if slash and maker else opening.provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{opening.provider} API",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": who.project,
        "SubAccountName": who.project,
        "SubAccountType": None if who.project is None else "Project",
        "Tags": _tags(attempt),
        "x_AttemptId": opening.attempt_id,
        "x_CallId": opening.call_id,
        "x_CostBasis": attempt.cost_basis,
        "x_Model": model,
        "x_Outcome": attempt.outcome,
    }


def _priced(attempt: Attempt, cost: Cost, line: CostLine, billed_atto: int) -> Record:
    unit = "Requests" if line.what in ("request", "web_search") else "Tokens"
    price = _unit_atto(line.price)
    listed = line.quantity * price
    sku = _sku(attempt)
    tier = f"@{cost.service_tier}" if cost.service_tier else ""
    band = f">={cost.from_input_tokens}" if cost.from_input_tokens else ""
    details: dict[str, str | int] = {}
    if cost.service_tier:
        details["x_ServiceTier"] = cost.service_tier
    if cost.from_input_tokens:
        details["x_FromInputTokens"] = cost.from_input_tokens
    return {
        "BilledCost": _usd(billed_atto),
        "ChargeDescription": f"{_METERS[line.what]} of {sku}",
        "ConsumedQuantity": line.quantity,
        "ConsumedUnit": unit,
        "ContractedCost": _usd(listed),
        "ContractedUnitPrice": _usd(price),
        "EffectiveCost": _usd(billed_atto),
        "ListCost": _usd(listed),
        "ListUnitPrice": _usd(price),
        "PricingCategory": "Standard",
        "PricingQuantity": line.quantity,
        "PricingUnit": unit,
        "SkuId": f"{sku}/{line.what}",
        "SkuMeter": _METERS[line.what],
        "SkuPriceDetails": msgspec.json.encode(details).decode() if details else None,
        "SkuPriceId": f"{cost.price_id}/{line.what}{tier}{band}",
    }


def _unsplit(attempt: Attempt) -> Record:
    """Return what is known where no unit price is: the booked cost, if any, and the tokens, if any."""
    usage = attempt.usage
    cost = None if attempt.cost_nanousd is None else usd_text(attempt.cost_nanousd)
    tokens = None if not usage.known else (usage.input_tokens or 0) + (usage.output_tokens or 0)
    sku = _sku(attempt)
    return {
        "BilledCost": cost,
        "ChargeDescription": f"Call of {sku}" if cost is not None else f"Call of {sku}, of unknown cost",
        "ConsumedQuantity": tokens,
        "ConsumedUnit": None if tokens is None else "Tokens",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "SkuId": sku,
        "SkuPriceId": attempt.price_id,
    }


def _sku(attempt: Attempt) -> str:
    return f"{attempt.opening.provider}:{attempt.opening.model}"


def _tags(attempt: Attempt) -> str | None:
    """Return tags as JSON: the client's `a=1,b` as they are, what we know of whom it was for under our own prefix."""
    who = attempt.opening.attribution
    tags: dict[str, str | bool] = {}
    for tag in (who.tags or "").split(","):
        name, has_value, value = tag.strip().partition("=")
        if name and not name.startswith(_OUR_TAGS):  # the prefix is ours, whatever a client sends
            tags[name] = value if has_value else True
    for name in ("key_name", "team", "user", "session", "task", "branch", "pull_request", "sub_agent"):
        if value := getattr(who, name):
            tags[_OUR_TAGS + name.removesuffix("_name")] = value
    return msgspec.json.encode(tags).decode() if tags else None


_OUR_TAGS = "farthing/"


def _usd(atto: int) -> str:
    """Return dollars as FOCUS writes a number: no exponent, and no zeros that say nothing."""
    whole, rest = divmod(abs(atto), 10**_ATTO_DIGITS)
    text = f"{whole}.{rest:0{_ATTO_DIGITS}d}".rstrip("0").rstrip(".")
    return f"-{text}" if atto < 0 else text


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_order(told: Record) -> Record:
    return {name: told.get(name) for name in FOCUS_COLUMNS}

"""What providers say that an answer cost: the ledger must have it, and our own cost must agree or the reason be here.

Most that report a cost do so because no price list could tell it: they resell, or search the web as they answer.
"""

from decimal import Decimal
from typing import Any

from farthing.types.calls import Attempt
from tests.e2e.recordings.exchanges import Exchange

_NANO, _TICKS = Decimal(10) ** 9, Decimal(10) ** 10

_SOLD_OTHERWISE = (
    "openai/gpt-oss-120b",
    "openai/gpt-oss-20b",
    "moonshotai/kimi-k2.5",
    "qwen/qwen3.5-35b-a3b",
    "qwen/qwen3.5-397b-a17b",
    "openai/gpt-5.6-sol",
)
"""OpenRouter charges what the chosen seller takes on that day, and its list names one price for all: the first five are
open models that many sell, and the last one became cheaper after it was recorded."""


def expected_report(exchange: Exchange) -> int | None:
    """Return the cost that the recording reports in nanodollars; `None` where it reports none."""
    usage: dict[str, Any] = exchange.usage or {}
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    if cost is not None:
        # The decoded number is the shortest that reads back the same, which is how it was written.
        dollars = Decimal(repr(cost))
        if usage.get("is_byok"):
            dollars += Decimal(repr((usage.get("cost_details") or {}).get("upstream_inference_cost") or 0))
        return int((dollars * _NANO).to_integral_value())
    ticks = usage.get("cost_in_usd_ticks")
    return int((Decimal(ticks) / _TICKS * _NANO).to_integral_value()) if ticks else None


def _unit_nanousd(exchange: Exchange) -> int:
    """Return the last digit that Perplexity's parts of a cost are rounded to: a tenth of a cent, or of a thousandth."""
    parts = ((exchange.usage or {}).get("cost") or {}).values()
    smallest = min(Decimal(repr(part)).normalize().as_tuple().exponent for part in parts if isinstance(part, float))
    assert isinstance(smallest, int)
    return int(Decimal(10) ** smallest * _NANO)


def compare(exchange: Exchange, attempt: Attempt) -> tuple[str, bool]:
    """Return how our cost stands to the provider's own, in words, and whether that is as it must be."""
    reported, ours = expected_report(exchange), attempt.cost_nanousd
    if attempt.reported_cost_nanousd != reported:
        return f"the ledger says that {attempt.reported_cost_nanousd} was reported, the recording {reported}", False
    if reported is None:
        return "", True
    provider, model = exchange.provider, attempt.model_served or attempt.opening.model
    if ours is None:
        return f"{provider}: no price is known", True
    if abs(ours - reported) <= 1:  # the last digit of ours
        return f"{provider}: equal", True
    if provider == "perplexity" and abs(ours - reported) <= _unit_nanousd(exchange):
        return "perplexity: equal but for its own rounding", True
    if provider == "openrouter" and model.startswith(_SOLD_OTHERWISE):
        return "openrouter: the seller, or the day, had another price", True
    if attempt.usage.web_search_requests:
        return f"{provider}: searches", True
    return f"we say {ours}, {provider} says {reported} ({model}, {attempt.price_id})", False

"""Our prices beside LiteLLM's table: every model that both know, and every way in which they differ with its reason.

The table is read from the installed package without importing it (its imports are not installed). It gives one price
for one model, without days or times of day, so it is compared with ours of one day in the afternoon.
"""

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

from farthing.catalog.prices import PriceBook
from farthing.types.prices import Rates

PACKAGE = importlib.util.find_spec("litellm")
pytestmark = pytest.mark.skipif(
    PACKAGE is None and "FARTHING_CI" not in os.environ, reason="no litellm: install requirements/oracles.txt"
)

AFTERNOON = int(datetime(2026, 11, 21, 15, 0, tzinfo=UTC).timestamp()) * 1_000_000
PEAK = int(datetime(2026, 11, 21, 2, 30, tzinfo=UTC).timestamp()) * 1_000_000  # at DeepSeek

PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "groq": "groq",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "xai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "cerebras": "cerebras",
    "moonshot": "moonshotai",
    "zai": "zai",
    "perplexity": "perplexity",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "openrouter": "openrouter",
}
MODES = ("chat", "completion", "responses", "embedding")
PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "input_cost_per_token_batches": "batch input",
    "output_cost_per_token_batches": "batch output",
}

Reason = Literal[
    "what makes no output has no price for it, and not the price 0",
    "a write to the cache is said to be free where none is ever reported; ours would be input",
    "the table has DeepSeek's price at peak time",
    "our list has no price for cached input and takes input, which is dearer",
    "the name is one that moves, and the lists do not mean the same model by it",
    "the lists contradict each other; ours stays until the vendor's page was read",
    "a batch price is in the table and not in our list, which takes the standard one, which is dearer",
]

EXPECTED: dict[Reason, int] = {
    "what makes no output has no price for it, and not the price 0": 16,
    "a write to the cache is said to be free where none is ever reported; ours would be input": 14,
    "the table has DeepSeek's price at peak time": 18,
    "our list has no price for cached input and takes input, which is dearer": 8,
    "the name is one that moves, and the lists do not mean the same model by it": 30,
    "the lists contradict each other; ours stays until the vendor's page was read": 34,
    "a batch price is in the table and not in our list, which takes the standard one, which is dearer": 16,
}
"""How often, with the two versions that are locked: other numbers are news, and to be read."""

MOVING = {
    "deepseek": {"deepseek-chat", "deepseek-reasoner"},  # answered by deepseek-v4-flash, and priced by that name
    "mistral": {"magistral-medium-latest", "mistral-large-latest", "mistral-medium"},
    "x-ai": {"grok-code-fast", "grok-code-fast-1", "grok-code-fast-1-0825"},
}
CONTRADICTED = {
    "deepseek": {"deepseek-v3.2"},
    "fireworks": {
        "accounts/fireworks/models/deepseek-v4-flash-0731",
        "accounts/fireworks/models/deepseek-v4-pro",
        "accounts/fireworks/models/gemma-3-27b-it",
        "accounts/fireworks/models/llama-v3p1-8b-instruct",
    },
    "google": {"gemini-2.5-pro-preview-tts"},
    "groq": {"openai/gpt-oss-safeguard-20b"},
    "mistral": {"mistral-large-4", "mistral-large-4-0", "open-mistral-nemo"},
    "together": {
        "NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO",
        "Qwen/Qwen3.7-Max",
        "Qwen/Qwen3.8-2.4T-A95B",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
    },
}


@dataclass(frozen=True)
class Listed:
    provider: str
    model: str
    part: str
    theirs: int


def listed() -> Iterator[Listed]:
    book = PriceBook()
    for name, entry in table().items():
        provider = PROVIDERS.get(entry.get("litellm_provider"))
        if provider is None or entry.get("mode") not in MODES:
            continue
        prefix, _, rest = name.partition("/")
        model = rest if prefix in PROVIDERS and rest else name
        if not book.knows(provider, model) or book.find(provider, provider, model, AFTERNOON) is None:
            continue
        for field, part in PRICES.items():
            if entry.get(field) is not None:
                yield Listed(provider, model, part, picodollars(entry[field]))


@cache
def table() -> dict[str, Any]:
    assert PACKAGE is not None, "CI compares with LiteLLM's table: install requirements/oracles.txt"
    assert PACKAGE.origin is not None
    path = Path(PACKAGE.origin).with_name("model_prices_and_context_window_backup.json")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # what json returns


def picodollars(usd_per_token: float | str) -> int:
    # Their floats carry noise in the 17th digit.
    return int((Decimal(repr(float(usd_per_token))) * 10**18).to_integral_value())


def ours(one: Listed, at_us: int = AFTERNOON) -> int | None:
    sheet = PriceBook().find(one.provider, one.provider, one.model, at_us)
    assert sheet is not None
    bands = sheet.bands
    if one.part.startswith("batch "):
        bands = sheet.service_tiers.get("batch", bands)
    rate: int | None = getattr(bands[0].rates, one.part.removeprefix("batch "))
    return rate


def test_every_price_that_both_lists_have_is_the_same_or_differs_for_a_named_reason() -> None:
    seen: Counter[Reason] = Counter()
    same = 0
    unexplained: list[object] = []
    models: set[tuple[str, str]] = set()
    for one in listed():
        models.add((one.provider, one.model))
        if ours(one) == one.theirs:
            same += 1
            continue
        reason = why(one)
        if reason is None:
            unexplained.append((one, ours(one)))
        else:
            seen[reason] += 1
    assert unexplained == []
    assert seen == EXPECTED
    assert (len(models), same) == (341, 1091)


def why(one: Listed) -> Reason | None:
    rates = standard(one)
    mine = ours(one)
    if one.part.endswith("output") and mine is None and one.theirs == 0:
        return "what makes no output has no price for it, and not the price 0"
    if one.part == "cache_write_5m" and one.theirs == 0 and mine == rates.input:
        return "a write to the cache is said to be free where none is ever reported; ours would be input"
    if one.provider == "deepseek" and ours(one, PEAK) == one.theirs:
        return "the table has DeepSeek's price at peak time"
    if one.model in MOVING.get(one.provider, ()):
        return "the name is one that moves, and the lists do not mean the same model by it"
    if one.model in CONTRADICTED.get(one.provider, ()):
        return "the lists contradict each other; ours stays until the vendor's page was read"
    if one.part == "cache_read" and mine == rates.input and rates.input is not None and one.theirs < rates.input:
        return "our list has no price for cached input and takes input, which is dearer"
    if one.part.startswith("batch "):
        plain = getattr(rates, one.part.removeprefix("batch "))
        if mine == plain and plain is not None and one.theirs < plain:
            return "a batch price is in the table and not in our list, which takes the standard one, which is dearer"
    return None


def standard(one: Listed) -> Rates:
    sheet = PriceBook().find(one.provider, one.provider, one.model, AFTERNOON)
    assert sheet is not None
    return sheet.bands[0].rates

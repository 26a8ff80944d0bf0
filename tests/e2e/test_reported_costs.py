"""Our prices beside what providers reported for the answers that were recorded, and usage that contradicts itself.

The answers are read by the gateway's own meters and priced by its own list, at the time they were made. OpenRouter
tells a cost with every answer; a unit of its rounding is a nanodollar.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price, price_nanousd
from farthing.types.prices import PriceSheet
from farthing.wire import openai_chat
from farthing.wire.meter import Reading

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

Why = Literal[
    "the provider that OpenRouter chose has another price than the one that is listed for the model",
    "a search was made, and the list has no price for one at that model",
]


@dataclass(frozen=True)
class Priced:
    slug: str
    reading: Reading
    usage: dict[str, Any]
    sheet: PriceSheet
    ours: int | None

    @property
    def theirs(self) -> int:
        assert self.reading.reported_cost_nanousd is not None
        return self.reading.reported_cost_nanousd


def recorded(provider: str) -> Iterator[dict[str, Any]]:
    index = json.loads((Path(RECORDINGS) / "index.json").read_text(encoding="utf-8"))
    for row in index:
        if row["provider"] == provider and row["api"] == "chat.completions" and row["status"] == 200:
            path = Path(RECORDINGS) / "exchanges" / f"{row['slug']}.json"
            yield json.loads(path.read_text(encoding="utf-8"))


def read(exchange: dict[str, Any]) -> Reading:
    response = exchange["response"]
    if response["body_kind"] == "json":
        text = response.get("body_text") or json.dumps(response["body"])
        return openai_chat.read_answer(text.encode(), lambda _text: None)
    meter = openai_chat.stream_meter(lambda _text: None)
    meter.feed((response["body"] or "").encode())
    meter.rest()
    return meter.reading()


def made_at_us(exchange: dict[str, Any]) -> int:
    body = exchange["response"]["body"]
    found = re.search(r'"created": ?(\d+)', body if isinstance(body, str) else json.dumps(body))
    assert found, exchange["slug"]
    return int(found[1]) * 1_000_000


def priced(provider: str) -> Iterator[Priced]:
    book = PriceBook()
    for exchange in recorded(provider):
        reading = read(exchange)
        if reading.reported_cost_nanousd is None or reading.usage is None:
            continue
        asked = exchange["request"]["body"]["model"]
        sheet = book.find(provider, provider, reading.model_served or asked, made_at_us(exchange), asked=asked)
        assert sheet is not None, exchange["slug"]
        ours = price_nanousd(reading.usage, sheet, service_tier=reading.service_tier)
        yield Priced(exchange["slug"], reading, exchange["usage"], sheet, ours)


def test_our_cost_is_openrouters_within_a_unit_of_its_rounding_or_the_difference_is_explained() -> None:
    seen: Counter[Why] = Counter()
    same = 0
    for one in priced("openrouter"):
        if one.ours is not None and abs(one.ours - one.theirs) <= 1:
            same += 1
        else:
            seen[why(one)] += 1
    assert seen == {
        "the provider that OpenRouter chose has another price than the one that is listed for the model": 7,
        "a search was made, and the list has no price for one at that model": 3,
    }
    assert same == 119


def why(one: Priced) -> Why:
    """Return why the costs differ; each reason is proven from what OpenRouter tells beside the cost."""
    assert one.reading.usage is not None
    upstream = one.usage.get("cost_details") or {}
    prompt, completion, whole = (
        Decimal(str(upstream.get(f"upstream_inference_{part}cost", 0))) for part in ("prompt_", "completions_", "")
    )
    if one.reading.usage.web_search_requests:
        assert price(one.reading.usage, one.sheet).flags == ("web_search_unpriced",), one.slug
        return "a search was made, and the list has no price for one at that model"
    # What was charged is tokens by a round price of somebody else: whole thousandths of a dollar for a million.
    rates = one.sheet.bands[0].rates
    written = Decimal(one.reading.usage.output_tokens or 0)
    charged = completion * 10**6 / written
    assert prompt + completion == whole, one.slug
    assert abs(int(whole * 10**9) - one.theirs) <= 1, one.slug
    assert charged == charged.quantize(Decimal("0.001")), one.slug
    assert charged * 10**12 != rates.output, one.slug
    return "the provider that OpenRouter chose has another price than the one that is listed for the model"


INCONSISTENT = sorted(
    exchange["slug"]
    for provider in ("azure", "openrouter")
    for exchange in (recorded(provider) if RECORDINGS else ())
    for reading in [read(exchange)]
    if reading.usage and {"cache_exceeds_input", "cache_classes_overlap"} & {*reading.usage.flags}
)


@pytest.mark.parametrize("slug", INCONSISTENT)
def test_cache_classes_that_contradict_the_input_are_priced_in_full_and_marked(slug: str) -> None:
    reading = read(json.loads((Path(RECORDINGS) / "exchanges" / f"{slug}.json").read_text(encoding="utf-8")))
    usage = reading.usage
    assert usage is not None
    assert usage.input_tokens is not None
    sheet = PriceBook().find("openai", "openai", "gpt-4.1-mini", 1_795_000_000_000_000)
    assert sheet is not None
    cost = price(usage, sheet)
    charged = {line.what: line.quantity for line in cost.lines}
    cached, stored = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    assert {"cache_exceeds_input", "cache_classes_overlap"} & {*cost.flags}
    assert charged["cache_read"] == cached
    # Nothing that was read is given away: with the cached part beside it, or over it, the input is there in full.
    assert charged.get("input", 0) >= usage.input_tokens - max(cached, stored)
    assert sum(q for what, q in charged.items() if what not in ("output", "reasoning")) >= usage.input_tokens
    assert cost.nanousd == price_nanousd(usage, sheet)


def test_azure_grok_reports_more_cached_than_read_and_every_such_recording_is_among_these() -> None:
    assert len(INCONSISTENT) >= 12
    assert all("azure/chat.completions-" in slug and "grok" in slug for slug in INCONSISTENT)


def test_openrouters_gemini_reports_the_same_tokens_as_read_and_as_written_and_both_are_charged() -> None:
    usage = {
        "prompt_tokens": 2_172,
        "completion_tokens": 9,
        "total_tokens": 2_181,
        "prompt_tokens_details": {"cached_tokens": 2_161, "cache_write_tokens": 2_161},
    }
    body = {"model": "google/gemini-2.5-flash", "choices": [{"index": 0, "finish_reason": "stop"}], "usage": usage}
    reading = openai_chat.read_answer(json.dumps(body).encode(), lambda _text: None)
    assert reading.usage is not None
    sheet = PriceBook().find("openrouter", "openrouter", "google/gemini-2.5-flash", 1_795_000_000_000_000)
    assert sheet is not None
    cost = price(reading.usage, sheet)
    assert {line.what: line.quantity for line in cost.lines} == {
        "input": 11,
        "cache_read": 2_161,
        "cache_write_5m": 2_161,
        "output": 9,
    }
    assert "cache_classes_overlap" in cost.flags

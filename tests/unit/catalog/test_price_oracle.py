"""Our prices beside those of genai-prices itself: every model of its list, and every way in which we differ on purpose.

The reasons are at `Difference`. Both sides are exact: nothing is compared "about".
"""

import dataclasses
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pytest
from genai_prices import data_snapshot
from genai_prices import types as oracle
from genai_prices.data import providers
from genai_prices.data_units import unit_data

from farthing.catalog import published
from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price
from farthing.catalog.published import CompiledList, compile_list
from farthing.types.money import total_nanousd
from farthing.types.prices import Cost
from farthing.types.usage import Usage
from tools import compile_prices

Difference = Literal[
    # The list has no price for tokens of that kind (models billed by hour or page): it says 0, we say unknown.
    "tokens without a price are unknown, not free",
    # The list has no price for a search at that model: it says 0, we say unknown.
    "searches without a price are unknown, not free",
    # Old Claude models have no cache prices in the list, which then charges input; Anthropic states 1.25x and 2x.
    "Anthropic's cache writes are dearer than input",
    # Prices with float noise are rounded to 12 digits, and to whole picodollars.
    "float noise is rounded away",
]

VERSION = version("genai-prices")

TIMES = [
    datetime(2026, 11, 20, 12, 0, tzinfo=UTC),
    datetime(2026, 11, 20, 2, 30, tzinfo=UTC),  # peak time at DeepSeek
    datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC),  # the last second of Claude Opus 4.6's long-context price
    datetime(2026, 3, 13, 0, 0, tzinfo=UTC),
    datetime(2025, 1, 1, 16, 30, tzinfo=UTC),
]

USAGES = [
    Usage(input_tokens=1_234, output_tokens=567),
    Usage(input_tokens=1, output_tokens=0),
    Usage(input_tokens=90_001, output_tokens=4_096, cache_read_input_tokens=80_000),
    Usage(
        input_tokens=12_345,
        output_tokens=7_001,
        cache_read_input_tokens=4_000,
        cache_creation_5m_input_tokens=3_003,
        cache_creation_1h_input_tokens=2_002,
        reasoning_output_tokens=6_999,
    ),
    Usage(
        input_tokens=5_000,
        output_tokens=900,
        input_audio_tokens=3_000,
        cache_read_input_tokens=2_000,
        cache_read_audio_tokens=1_500,
        output_audio_tokens=333,
    ),
    Usage(input_tokens=50, output_tokens=60, web_search_requests=7),
]

LONG_USAGES = [
    Usage(input_tokens=read, output_tokens=999, cache_read_input_tokens=17, cache_creation_5m_input_tokens=13)
    for limit in (32_000, 100_000, 128_000, 200_000, 256_000, 272_000, 512_000, 524_288)
    for read in (limit - 1, limit, limit + 1)
]
"""Around every length of context at which a price of the list changes; for models that have such a price."""

TIER_USAGES = [USAGES[3], LONG_USAGES[-1]]


@dataclasses.dataclass(frozen=True)
class Case:
    provider: oracle.Provider
    model: oracle.ModelInfo
    name: str
    usage: Usage
    at: datetime
    tier: tuple[str, str] | None = None


def cases() -> Iterator[Case]:
    for provider in providers:
        for model in provider.models:
            if (name := name_of(provider, model)) is None:
                continue
            dated = not isinstance(model.prices, oracle.ModelPrice)
            usages = USAGES + LONG_USAGES if "Tier(" in repr(model.prices) else USAGES
            for at in TIMES if dated else TIMES[:1]:
                for usage in usages:
                    yield Case(provider, model, name, usage, at)
            for variant in model.price_variants or ():
                (kind, value) = next(iter(variant.when.items()))
                if kind in ("service_tier", "processing", "speed"):
                    for at in TIMES:
                        for usage in TIER_USAGES:
                            yield Case(provider, model, name, usage, at, (kind, value))


def test_every_model_costs_what_genai_prices_says_or_differs_for_a_named_reason() -> None:
    book = PriceBook()
    seen: Counter[str] = Counter()
    for case in cases():
        tier = case.tier[1] if case.tier else None
        sheet = book.find("any", case.provider.id, case.name, int(case.at.timestamp()) * 1_000_000)
        if sheet is None:
            assert not has_token_prices(case.model), case
            seen["tokens without a price are unknown, not free"] += 1
            continue
        ours = price(case.usage, sheet, service_tier=tier)
        theirs = oracle_nanousd(case)
        if ours.nanousd == theirs:
            seen["the same"] += 1
            continue
        reason = why(case, ours, theirs)
        assert reason is not None, (case.provider.id, case.name, case.at, case.usage, tier, ours, theirs)
        seen[reason] += 1
    assert seen["the same"] > 15_000, seen
    assert seen["Anthropic's cache writes are dearer than input"] < 20
    assert seen["float noise is rounded away"] < 20


def why(case: Case, ours: Cost, theirs: int) -> Difference | None:
    if ours.nanousd is None:
        if total_nanousd((line.quantity, line.price) for line in ours.lines) != theirs:
            return None  # unknown as a whole, and the rest disagrees: two differences, one of them unnamed
        if "tokens_unpriced" in ours.flags:
            return "tokens without a price are unknown, not free"
        return "searches without a price are unknown, not free" if "web_search_unpriced" in ours.flags else None
    writes = case.usage.cache_creation_input_tokens
    if case.provider.id == "anthropic" and case.model.id in {"claude-2", "claude-v1"} and writes:
        return "Anthropic's cache writes are dearer than input" if ours.nanousd > theirs else None
    if f"{case.provider.id}/{case.model.id}" in models_with_noise() and abs(ours.nanousd - theirs) <= 1:
        return "float noise is rounded away"
    return None


def test_every_literal_name_and_many_derived_ones_find_the_same_model() -> None:
    book = PriceBook()
    everything = data_snapshot.get_snapshot()
    asked = 0
    for provider in providers:
        for literal in names_to_try(provider):
            try:
                owner, model = everything.find_provider_model(literal, provider, None, None)
            except LookupError:
                expected = None
            else:
                # A fallback provider's model comes back with the provider that was asked; its sheet names the owner.
                owner = next((p for p in providers if any(m is model for m in p.models)), owner)
                # A model that is billed by the hour, or by nobody knows what, is found and has no price.
                expected = f"genai-prices-{VERSION}:{owner.id}/{model.id}" if has_token_prices(model) else None
            sheet = book.find("any", provider.id, literal, 1_795_000_000_000_000)
            found = None if sheet is None else re.sub(r"@[0-9:-]+$|\+2026-[0-9-]+(?=:)", "", sheet.id)
            assert found == (expected and re.sub(r"@[0-9:-]+$", "", expected)), (provider.id, literal)
            asked += 1
    assert asked > 10_000


def test_the_committed_snapshot_is_what_the_installed_list_compiles_to() -> None:
    assert compile_prices.differences(compile_prices.compiled_files(compiled())) == []


def test_a_rounded_price_moved_by_less_than_a_picodollar_for_a_million() -> None:
    assert compiled().rounded
    for line in compiled().rounded:
        *_, before, _, after = line.split()
        assert abs(Decimal(before) - Decimal(after)) < Decimal(10) ** -12, line


@cache
def compiled() -> CompiledList:
    return compile_list(compile_prices.published(providers))


def test_every_kind_of_price_is_carried_or_left_out_for_a_reason_that_is_told() -> None:
    kinds = {price_key: unit["per"] for unit in unit_data.values() for price_key in [unit["price_key"]]}
    listed: Counter[str] = Counter()
    for provider in providers:
        for model in provider.models:
            conditional = model.prices if isinstance(model.prices, list) else [model]
            for priced in (*conditional, *(model.price_variants or ())):
                listed.update(key for key, value in vars(priced.prices).items() if value is not None)
    assert listed.keys() <= published.CARRIED.keys() | published.NOT_COUNTED.keys()
    told = {what.split(":")[0]: times for what, times in compiled().left_out.items()}
    assert {kind: listed[kind] for kind in published.NOT_COUNTED} == {k: v for k, v in told.items() if k in listed}
    assert {k: v for k, v in told.items() if k not in listed} == {"variant by route": 2, "variant by search_type": 2}
    assert all(kinds[key] == next(per for end, per in published._PER.items() if key.endswith(end)) for key in listed)


def oracle_nanousd(case: Case) -> int:
    usage = case.usage
    reported = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_input_tokens,
        "cache_write_tokens": usage.cache_creation_input_tokens,
        "cache_write_5m_tokens": usage.cache_creation_5m_input_tokens,
        "cache_write_1h_tokens": usage.cache_creation_1h_input_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "cache_audio_read_tokens": usage.cache_read_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "output_reasoning_tokens": usage.reasoning_output_tokens,
        "web_searches": usage.web_search_requests,
    }
    context = {case.tier[0]: case.tier[1]} if case.tier else None
    usd = case.model.calc_price(
        oracle.Usage(**{key: value for key, value in reported.items() if value}),
        case.provider,
        genai_request_timestamp=case.at,
        price_context=context,
    ).total_price
    return int(usd.scaleb(9).to_integral_value(ROUND_HALF_EVEN))


def name_of(provider: oracle.Provider, model: oracle.ModelInfo) -> str | None:
    """A name that finds this model and no earlier one."""
    for name in (model.id, *literals(model.match)):
        if provider.find_model(name) is model:
            return name
    return None


def has_token_prices(model: oracle.ModelInfo) -> bool:
    conditional = [model.prices] if isinstance(model.prices, oracle.ModelPrice) else [c.prices for c in model.prices]
    return model.id.endswith(":free") or any(
        prices.input_mtok is not None or prices.output_mtok is not None for prices in conditional
    )


def names_to_try(provider: oracle.Provider) -> Iterator[str]:
    for model in provider.models:
        for name in (model.id, *literals(model.match)):
            yield name
            yield name.upper()
            yield f"{name}-20251211"
            yield f"{name}-2026-01-31"
            yield f"{name}-20261341"
            yield f"vendor/{name}:free"
    yield from ("", "-", "no-such-model", "gpt-4o", "claude-sonnet-4-5", "gpt-5.2-20251211", "deepseek-chat")


def literals(clause: object) -> Iterator[str]:
    for field in ("equals", "starts_with", "ends_with", "contains"):
        if (text := getattr(clause, field, None)) is not None:
            yield text
    for inner in getattr(clause, "or_", None) or getattr(clause, "and_", None) or ():
        yield from literals(inner)


@cache
def models_with_noise() -> frozenset[str]:
    return frozenset(line.split()[1] for line in compiled().rounded)


def test_the_compiler_removes_what_it_wrote_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_prices, "DATA", tmp_path)
    monkeypatch.setattr(sys, "argv", ["compile_prices.py"])
    index = {"version": "0", "date": "2020-01-01", "providers": ["gone"]}
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (tmp_path / "gone.json").write_text("{}", encoding="utf-8")
    (tmp_path / "not_ours.json").write_text("{}", encoding="utf-8")
    assert compile_prices.main() == 0
    assert not (tmp_path / "gone.json").exists()
    assert (tmp_path / "not_ours.json").exists()
    assert compile_prices.differences(compile_prices.compiled_files(compiled())) == []


def test_the_check_names_a_file_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_prices, "DATA", tmp_path)
    monkeypatch.setattr(sys, "argv", ["compile_prices.py"])
    assert compile_prices.main() == 0
    (tmp_path / "groq.json").write_text("{}", encoding="utf-8")
    assert [line.split()[0] for line in compile_prices.differences(compile_prices.compiled_files(compiled()))] == [
        "groq.json"
    ]
    monkeypatch.setattr(sys, "argv", ["compile_prices.py", "--check"])
    assert compile_prices.main() == 1

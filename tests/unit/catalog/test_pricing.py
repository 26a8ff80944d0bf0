from typing import Any

import pytest

from farthing.catalog.pricing import price, price_nanousd, unit_price
from farthing.types.money import UnitPrice
from farthing.types.prices import Band, PriceSheet, Rates
from farthing.types.usage import Usage

K = 1_000_000_000  # a rate of K is a nanodollar for 1,000 tokens, so that 1,000 tokens cost whole nanodollars

RATES: dict[str, Any] = {
    "input": 1_000 * K,
    "output": 5_000 * K,
    "cache_read": 100 * K,
    "cache_write_5m": 1_250 * K,
    "cache_write_1h": 2_000 * K,
    "input_audio": 8_000 * K,
    "cache_read_audio": 700 * K,
    "reasoning": 5_000 * K,
    "output_audio": 20_000 * K,
}


def sheet(**changes: Any) -> PriceSheet:
    return PriceSheet(id="test", bands=(Band(0, Rates(**{**RATES, **changes})),))


def priced(usage: Usage, on: PriceSheet | None = None) -> tuple[int | None, dict[str, int], tuple[str, ...]]:
    """The amount, the quantities of the explanation, and the flags."""
    on = on or sheet()
    cost = price(usage, on)
    assert cost.nanousd == price_nanousd(usage, on)
    return cost.nanousd, {line.what: line.quantity for line in cost.lines}, cost.flags


def test_input_is_inclusive_so_cached_tokens_are_taken_out_of_it() -> None:
    usage = Usage(
        input_tokens=1_000,
        output_tokens=10,
        cache_read_input_tokens=500,
        cache_creation_5m_input_tokens=200,
        cache_creation_1h_input_tokens=100,
    )
    nanousd, lines, flags = priced(usage)
    assert nanousd == 200 * 1_000 + 500 * 100 + 200 * 1_250 + 100 * 2_000 + 10 * 5_000
    assert lines == {"input": 200, "cache_read": 500, "cache_write_5m": 200, "cache_write_1h": 100, "output": 10}
    assert flags == ()


def test_reasoning_is_part_of_the_output_and_costs_its_own_price_where_it_has_one() -> None:
    usage = Usage(input_tokens=0, output_tokens=100, reasoning_output_tokens=60)
    assert priced(usage)[0] == 100 * 5_000
    assert priced(usage, sheet(reasoning=3_000 * K))[0] == 40 * 5_000 + 60 * 3_000


def test_audio_is_part_of_input_and_output_and_of_what_was_cached() -> None:
    usage = Usage(
        input_tokens=1_000,
        output_tokens=100,
        cache_read_input_tokens=400,
        input_audio_tokens=500,
        cache_read_audio_tokens=300,
        output_audio_tokens=70,
    )
    _, lines, flags = priced(usage)
    assert lines == {
        "input": 400,
        "input_audio": 200,
        "cache_read": 100,
        "cache_read_audio": 300,
        "output": 30,
        "output_audio": 70,
    }
    assert flags == ()


def test_a_long_context_changes_the_price_of_the_whole_call_from_its_first_token() -> None:
    bands = (Band(0, Rates(**RATES)), Band(201, Rates(**{**RATES, "input": 2_000 * K, "output": 7_000 * K})))
    long = PriceSheet(id="test", bands=bands)
    assert priced(Usage(input_tokens=200, output_tokens=1), long)[0] == 200 * 1_000 + 5_000
    assert priced(Usage(input_tokens=201, output_tokens=1), long)[0] == 201 * 2_000 + 7_000
    cached = Usage(input_tokens=201, output_tokens=1, cache_read_input_tokens=200)
    assert priced(cached, long)[0] == 2_000 + 200 * 100 + 7_000


def test_searches_and_requests_cost_a_fee_each() -> None:
    fees = sheet(request=5_000_000_000 * 1_000_000, web_search=10_000_000_000 * 1_000_000)
    nanousd, lines, _ = priced(Usage(input_tokens=0, output_tokens=0, web_search_requests=3), fees)
    assert nanousd == 5_000_000 + 3 * 10_000_000
    assert lines == {"request": 1, "web_search": 3}


def test_searches_at_an_unknown_price_make_the_cost_unknown_not_lower() -> None:
    usage = Usage(input_tokens=1_000, output_tokens=0, web_search_requests=1)
    assert priced(usage) == (None, {"input": 1_000}, ("web_search_unpriced",))


@pytest.mark.parametrize("missing", ["input_tokens", "output_tokens"])
def test_a_total_that_is_unknown_makes_the_cost_unknown(missing: str) -> None:
    usage = Usage(**{"input_tokens": 5, "output_tokens": 5, missing: None})  # type: ignore[arg-type]
    assert priced(usage) == (None, {}, ("usage_unknown",))


def test_what_is_free_costs_nothing_even_where_the_usage_is_unknown() -> None:
    nothing = dict.fromkeys(RATES, 0)
    free = PriceSheet(id="free", bands=(Band(0, Rates(**nothing)),), free=True)
    assert priced(Usage(), free)[0] == 0
    assert priced(Usage(input_tokens=5, output_tokens=5, web_search_requests=2), free)[0] == 0


def test_a_model_without_an_output_price_has_a_cost_while_it_writes_nothing() -> None:
    embeds = sheet(output=None, reasoning=None, output_audio=None)
    assert priced(Usage(input_tokens=1_000, output_tokens=0), embeds)[0] == 1_000_000
    nanousd, _, flags = priced(Usage(input_tokens=1_000, output_tokens=1), embeds)
    assert (nanousd, flags) == (None, ("tokens_unpriced",))


def test_more_cached_than_read_means_that_the_input_was_meant_without_it() -> None:
    # As recorded: 163 cached tokens of 7 read.
    nanousd, lines, flags = priced(Usage(input_tokens=7, output_tokens=0, cache_read_input_tokens=163))
    assert nanousd == 7 * 1_000 + 163 * 100
    assert (lines, flags) == ({"input": 7, "cache_read": 163}, ("cache_exceeds_input",))


def test_tokens_read_and_written_at_once_are_charged_as_both() -> None:
    # As recorded: the same 2,161 tokens reported as read and as written.
    usage = Usage(
        input_tokens=2_165, output_tokens=0, cache_read_input_tokens=2_161, cache_creation_5m_input_tokens=2_161
    )
    nanousd, lines, flags = priced(usage)
    assert nanousd == 4 * 1_000 + 2_161 * 100 + 2_161 * 1_250
    assert lines == {"input": 4, "cache_read": 2_161, "cache_write_5m": 2_161}
    assert flags == ("cache_classes_overlap",)


def test_more_reasoning_than_output_means_that_the_output_was_meant_without_it() -> None:
    nanousd, _, flags = priced(Usage(input_tokens=0, output_tokens=16, reasoning_output_tokens=18))
    assert (nanousd, flags) == (34 * 5_000, ("reasoning_exceeds_output",))


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ({"input_audio_tokens": 90, "cache_read_input_tokens": 50}, {"input_audio": 90, "cache_read": 50}),
        ({"input_audio_tokens": 300}, {"input": 100, "input_audio": 300}),
        ({"cache_read_audio_tokens": 30}, {"input": 70, "input_audio": 30}),
        ({"cache_read_input_tokens": 40, "cache_read_audio_tokens": 30}, None),
    ],
)
def test_audio_that_does_not_fit_is_charged_in_full(parts: dict[str, Any], lines: dict[str, int] | None) -> None:
    _, quantities, flags = priced(Usage(input_tokens=100, output_tokens=0, **parts))
    assert quantities == (lines or {"input": 60, "cache_read": 10, "cache_read_audio": 30})
    assert flags == ("parts_disagree",)


def test_more_audio_than_output_means_that_the_output_was_meant_without_it() -> None:
    _, lines, flags = priced(Usage(input_tokens=0, output_tokens=10, output_audio_tokens=11))
    assert (lines, flags) == ({"output": 10, "output_audio": 11}, ("parts_disagree",))


def test_audio_and_reasoning_that_only_together_exceed_the_output_are_both_charged() -> None:
    usage = Usage(input_tokens=0, output_tokens=10, reasoning_output_tokens=6, output_audio_tokens=7)
    _, lines, flags = priced(usage)
    assert (lines, flags) == ({"reasoning": 6, "output_audio": 7}, ("parts_disagree",))


def test_counts_below_zero_count_as_zero_and_are_flagged() -> None:
    nanousd, lines, flags = priced(Usage(input_tokens=10, output_tokens=-4, cache_read_input_tokens=-3))
    assert (nanousd, lines, flags) == (10_000, {"input": 10}, ("negative_count",))


def test_a_service_tier_has_its_price_and_one_without_a_price_is_flagged() -> None:
    batch = (Band(0, Rates(**{**RATES, "input": 500 * K})),)
    tiered = PriceSheet(id="test", bands=sheet().bands, service_tiers={"batch": batch})
    usage = Usage(input_tokens=1_000, output_tokens=0)
    for tier, expected, flags in [
        (None, 1_000_000, ()),
        ("default", 1_000_000, ()),
        ("batch", 500_000, ()),
        ("turbo", 1_000_000, ("service_tier_unpriced",)),
        ("", 1_000_000, ()),
    ]:
        cost = price(usage, tiered, service_tier=tier)
        assert (cost.nanousd, cost.flags) == (expected, flags)
        assert price_nanousd(usage, tiered, service_tier=tier) == expected


def test_flags_of_the_meter_are_kept_and_none_comes_twice() -> None:
    usage = Usage(
        input_tokens=1, output_tokens=1, cache_read_input_tokens=2, flags=("total_disagrees", "cache_exceeds_input")
    )
    assert price(usage, sheet()).flags == ("total_disagrees", "cache_exceeds_input")


def test_the_sum_is_rounded_once_and_half_to_even() -> None:
    # Half a nanodollar for each token: 1 -> 0, 3 -> 2, 5 -> 2 (rounding each part would give 0).
    half = sheet(input=K // 2, output=K // 2, reasoning=K // 2)
    results = [priced(Usage(input_tokens=n - 1, output_tokens=1), half)[0] for n in (1, 2, 3, 5, 7)]
    assert results == [0, 1, 2, 2, 4]


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (3 * 10**12, UnitPrice(3 * 10**12, 1_000_000)),
        (10 * 10**15, UnitPrice(10 * 10**9, 1)),
        (10**15 + 1, UnitPrice(10**15 + 1, 1_000_000)),
        (0, UnitPrice(0, 1_000_000)),
    ],
)
def test_a_rate_is_shown_for_a_million_tokens_and_a_fee_for_one(rate: int, shown: UnitPrice) -> None:
    assert unit_price(rate) == shown

import json
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price, price_nanousd
from farthing.types.money import round_half_even
from farthing.types.prices import Band, PriceSheet, Rates
from farthing.types.usage import Usage
from farthing.wire import anthropic_messages, openai_chat

COUNTS = [field for field in Usage.__struct_fields__ if field != "flags"]
PARTS = COUNTS[2:]

count = st.integers(0, 10**7)
anything = st.one_of(st.integers(-5, 5), count, st.integers(-(10**30), 10**30))
rate = st.integers(0, 10**14)

TIERS = st.sampled_from(["flex", "batch"])


def any_usage() -> st.SearchStrategy[Usage]:
    totals = st.fixed_dictionaries({name: st.none() | anything for name in COUNTS[:2]})
    parts = st.fixed_dictionaries({}, optional=dict.fromkeys(PARTS, anything))
    return st.builds(lambda t, p: Usage(**t, **p), totals, parts)


@st.composite
def fitting_usage(draw: st.DrawFn) -> Usage:
    """A usage whose parts fit into their totals, made from disjoint pieces."""
    text, heard, cached, cached_heard, write_5m, write_1h, plain, thought, spoken = (draw(count) for _ in range(9))
    seen, drawn = draw(count), draw(count)
    return Usage(
        input_tokens=text + heard + seen + cached + cached_heard + write_5m + write_1h,
        output_tokens=plain + thought + spoken + drawn,
        cache_read_input_tokens=cached + cached_heard,
        cache_creation_5m_input_tokens=write_5m,
        cache_creation_1h_input_tokens=write_1h,
        input_audio_tokens=heard + cached_heard,
        cache_read_audio_tokens=cached_heard,
        reasoning_output_tokens=thought,
        output_audio_tokens=spoken,
        input_image_tokens=seen,
        output_image_tokens=drawn,
        web_search_requests=draw(st.integers(0, 20)),
    )


@st.composite
def rates(draw: st.DrawFn, *, unknown: bool = True) -> Rates:
    """Rates as a sheet has them: a part is known wherever its total is."""
    absent = st.none() | rate if unknown else rate
    read, written = draw(absent), draw(absent)
    values: dict[str, Any] = {"input": read, "output": written}
    for name in ("cache_read", "cache_write_5m", "cache_write_1h", "input_audio", "cache_read_audio", "input_image"):
        values[name] = None if read is None else draw(st.just(read) | rate)
    for name in ("reasoning", "output_audio", "output_image"):
        values[name] = None if written is None else draw(st.just(written) | rate)
    return Rates(**values, request=draw(st.just(0) | rate), web_search=draw(absent))


@st.composite
def sheets(draw: st.DrawFn) -> PriceSheet:
    starts = sorted({0, *draw(st.lists(st.integers(1, 10**6), max_size=2))})
    bands = tuple(Band(start, draw(rates())) for start in starts)
    tiers: dict[str, tuple[Band, ...]] = {name: (Band(0, draw(rates())),) for name in draw(st.sets(TIERS))}
    return PriceSheet(id="test", bands=bands, service_tiers=tiers)


@given(any_usage(), sheets(), st.sampled_from([None, "default", "flex", "batch", "turbo"]))
def test_nothing_raises_and_the_fast_way_and_the_explained_way_agree(
    usage: Usage, sheet: PriceSheet, tier: str | None
) -> None:
    cost = price(usage, sheet, service_tier=tier)
    assert price_nanousd(usage, sheet, service_tier=tier) == cost.nanousd
    assert cost.nanousd is None or cost.nanousd >= 0
    if not usage.known:
        assert cost.nanousd is None
    assert len(set(cost.flags)) == len(cost.flags)


@given(fitting_usage(), rates(unknown=False))
def test_parts_that_fit_partition_their_totals_and_are_not_flagged(usage: Usage, on: Rates) -> None:
    cost = price(usage, PriceSheet(id="test", bands=(Band(0, on),)))
    tokens = {line.what: line.quantity for line in cost.lines if line.what not in ("request", "web_search")}
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    assert sum(tokens.values()) == usage.input_tokens + usage.output_tokens
    assert cost.flags == ()


@dataclass
class Exact:
    nanousd: int
    millionths: int  # of a picodollar: the sum before it is rounded


def exact(usage: Usage, on: Rates) -> Exact:
    cost = price(usage, PriceSheet(id="test", bands=(Band(0, on),)))
    assert cost.nanousd is not None
    whole = sum(line.quantity * line.price.picodollars * (1_000_000 // line.price.per) for line in cost.lines)
    return Exact(cost.nanousd, whole)


@given(fitting_usage(), fitting_usage(), rates(unknown=False))
def test_the_price_of_a_sum_is_the_sum_of_the_prices_before_rounding(one: Usage, other: Usage, on: Rates) -> None:
    on = msgspec.structs.replace(on, request=0)  # the sum of two usages is one request, so its fee is left out
    both = Usage(**{name: getattr(one, name) + getattr(other, name) for name in COUNTS})
    parts = exact(one, on), exact(other, on)
    assert exact(both, on).millionths == parts[0].millionths + parts[1].millionths
    assert exact(both, on).nanousd == round_half_even(parts[0].millionths + parts[1].millionths, 10**9)
    assert abs(exact(both, on).nanousd - parts[0].nanousd - parts[1].nanousd) <= 1


@given(count, count, count, st.integers(0, 10**7), rate, rate, rate)
def test_cache_classes_that_do_not_fit_never_cost_less_than_any_way_to_make_them_fit(
    read: int, cached: int, stored: int, overlap: int, input_rate: int, cached_rate: int, stored_rate: int
) -> None:
    on = Rates(
        input=input_rate,
        output=0,
        cache_read=cached_rate,
        cache_write_5m=stored_rate,
        cache_write_1h=stored_rate,
        input_audio=input_rate,
        cache_read_audio=cached_rate,
        reasoning=0,
        output_audio=0,
    )
    usage = Usage(
        input_tokens=read, output_tokens=0, cache_read_input_tokens=cached, cache_creation_5m_input_tokens=stored
    )
    charged = exact(usage, on).millionths
    # Any overlap of the two classes that leaves room in the input, both charged.
    overlap = min(overlap, cached, stored)
    afresh = read - (cached + stored - overlap)
    if afresh >= 0 and cached + stored > read:
        assert charged >= afresh * input_rate + cached * cached_rate + stored * stored_rate
    # Nothing is taken from what was read afresh unless it was reported as cached.
    assert charged >= max(read - cached - stored, 0) * input_rate + cached * cached_rate + stored * stored_rate


NAMES = [
    *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens"),
    *("prompt_tokens_details", "completion_tokens_details", "cache_creation", "ephemeral_1h_input_tokens"),
    *("cache_read_input_tokens", "cache_creation_input_tokens", "reasoning_tokens", "audio_tokens", "image_tokens"),
    *(
        "cost",
        "is_byok",
        "cost_details",
        "cache_write_tokens",
        "server_tool_use",
        "web_search_requests",
        "service_tier",
    ),
    *("prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cost_in_usd_ticks", "search_context_size", "speed"),
]
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9) | st.just("1e999"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(NAMES), odd) | odd, st.sampled_from([None, "batch", "fast", "low", "x" * 300]))
def test_no_usage_object_however_malformed_makes_accounting_raise(usage: object, tier: str | None) -> None:
    body = {"model": "m", "service_tier": tier, "usage": usage, "choices": [{"index": 0, "message": {}}]}
    data = json.dumps(body).encode()
    streamed = openai_chat.stream_meter(lambda _text: None)
    streamed.feed(b"data: " + data + b"\n\ndata: [DONE]\n\n")
    readings = [
        reader(data, lambda _text: None) for reader in (openai_chat.read_answer, anthropic_messages.read_answer)
    ]
    for reading in (*readings, streamed.reading()):
        for model in ("gpt-5.4", "gpt-4o-audio-preview", "gpt-image-1"):
            sheet = PriceBook().find("openai", "openai", model, 1_795_000_000_000_000)
            if sheet is not None and reading.usage is not None:
                cost = price(reading.usage, sheet, service_tier=reading.service_tier)
                assert cost.nanousd is None or cost.nanousd >= 0
                assert price_nanousd(reading.usage, sheet, service_tier=reading.service_tier) == cost.nanousd


@given(any_usage(), st.sampled_from(["openai", "anthropic", "openrouter", "groq", "deepseek", "mistral"]), st.data())
def test_any_usage_can_be_priced_on_any_model_of_the_list(usage: Usage, price_key: str, data: st.DataObject) -> None:
    book = PriceBook()
    model = data.draw(st.sampled_from(book.names(price_key)))
    at_us = data.draw(st.integers(0, 2 * 10**15))
    sheet = book.find("any", price_key, model, at_us)
    if sheet is None:
        return  # billed by the hour or the page
    tier = data.draw(st.sampled_from([None, "priority", *sheet.service_tiers]))
    assert price_nanousd(usage, sheet, service_tier=tier) == price(usage, sheet, service_tier=tier).nanousd


@given(st.text(max_size=40), st.text(max_size=40), st.integers(-(10**18), 10**18))
def test_any_name_can_be_asked_about(provider: str, model: str, at_us: int) -> None:
    for price_key in (provider, "openai", "openrouter", "google"):
        PriceBook().find(provider, price_key, model, at_us)
        PriceBook().knows(price_key, model)

"""What is counted of calls, and how it is written for Prometheus."""

import asyncio
import time

import msgspec
import pytest

from farthing.events import BATCH, News
from farthing.monitoring.exposition import Histogram, exposition, labels_text
from farthing.monitoring.metrics import MAX_CELLS, OTHERS, CallMetrics
from farthing.monitoring.process import process_families
from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.usage import Usage
from tests.unit.monitoring.exposition_reader import Scrape

AT_US = 1_763_700_000_000_000


def attempt(provider: str = "openai", model: str = "m", took_us: int = 20_000, **changes: object) -> Attempt:
    opening = Opening(
        attempt_id="att_1",
        call_id="call_1",
        ordinal=1,
        started_at_us=AT_US,
        face="openai",
        operation="chat",
        provider=provider,
        model_asked=model,
        model=model,
        streamed=False,
        input_tokens_estimate=1,
        attribution=Attribution(key_id="key_1", key_name="laptop"),
    )
    made = Attempt(
        opening=opening,
        ended_at_us=AT_US + took_us,
        outcome="ok",
        http_status=200,
        usage=Usage(input_tokens=10, output_tokens=5),
        cost_nanousd=20_000,
        cost_basis="reported",
        price_id="p",
    )
    return msgspec.structs.replace(made, **changes)


def scrape(metrics: CallMetrics) -> Scrape:
    return Scrape(exposition(metrics.families()).decode())


def test_attempts_tokens_and_money_add_up_by_provider_model_and_outcome() -> None:
    metrics = CallMetrics()
    metrics.add([attempt(), attempt(), attempt(model="n", outcome="timeout", cost_nanousd=None, cost_basis="unknown")])
    told = scrape(metrics)
    assert told.value("farthing_attempts_total", gen_ai_request_model="m", outcome="ok") == 2
    assert told.value("farthing_attempts_total", gen_ai_request_model="n", outcome="timeout") == 1
    assert told.value("farthing_attempts_total", cost_basis="unknown") == 1
    assert told.value("farthing_tokens_total", gen_ai_request_model="m", gen_ai_token_type="input") == 20
    assert told.value("farthing_tokens_total", gen_ai_request_model="m", gen_ai_token_type="output") == 10
    assert told.value("farthing_cost_nanodollars_total") == 40_000


def test_an_unknown_cost_is_no_cost_of_0() -> None:
    metrics = CallMetrics()
    metrics.add([attempt(cost_nanousd=None, cost_basis="unknown", usage=Usage())])
    told = scrape(metrics)
    assert "farthing_cost_nanodollars_total" not in told.kinds
    assert told.value("farthing_unknown_usage_attempts_total") == 1


def test_parts_of_the_tokens_stand_apart_so_that_the_totals_can_be_summed() -> None:
    metrics = CallMetrics()
    usage = Usage(input_tokens=100, output_tokens=50, cache_read_input_tokens=80, reasoning_output_tokens=30)
    metrics.add([attempt(usage=usage), attempt(usage=usage)])
    told = scrape(metrics)
    assert told.value("farthing_tokens_total") == 300
    assert told.value("farthing_token_parts_total", kind="cache_read") == 160
    assert told.value("farthing_token_parts_total", kind="reasoning") == 60


def test_times_are_counted_into_cumulated_buckets_up_to_and_including_their_bound() -> None:
    metrics = CallMetrics()
    metrics.add([attempt(took_us=20_000, first_output_us=1_000), attempt(took_us=20_001), attempt(took_us=10**9)])
    metrics.add([attempt(took_us=-5)])  # the clock was set back
    told = scrape(metrics)
    name = "farthing_attempt_duration_seconds"
    assert [told.value(f"{name}_bucket", le=le) for le in ("0.01", "0.02", "0.04", "655.36", "+Inf")] == [1, 2, 3, 3, 4]
    assert told.value(f"{name}_sum") == pytest.approx(1000.040001)
    assert told.value(f"{name}_count") == 4
    assert told.value("farthing_time_to_first_output_seconds_bucket", le="0.001") == 1


def test_names_that_a_client_makes_up_end_in_one_series() -> None:
    metrics = CallMetrics()
    metrics.add([attempt(model=f"made-up-{number}") for number in range(MAX_CELLS * 3)])
    metrics.add([attempt(model="x" * 300)])
    told = scrape(metrics)
    assert len(told.label_values("gen_ai_request_model")) == MAX_CELLS + 1
    assert told.value("farthing_attempts_total", gen_ai_request_model=OTHERS) == MAX_CELLS * 2 + 1
    assert told.value("farthing_attempts_total") == MAX_CELLS * 3 + 1


@pytest.mark.parametrize("name", ['"quoted"', "back\\slash", "two\nlines", "möchte", "tab\tand\x00nul", "\u2028", "{}"])
def test_a_name_cannot_leave_its_label(name: str) -> None:
    metrics = CallMetrics()
    metrics.add([attempt(model=name)])
    (told,) = scrape(metrics).label_values("gen_ai_request_model")
    assert told == "".join(c if c.isprintable() or c == "\n" else "?" for c in name)


def test_a_scrape_with_the_most_series_takes_about_a_millisecond() -> None:
    metrics = CallMetrics()
    metrics.add([attempt(provider=f"p{n % 8}", model=f"m{n}") for n in range(MAX_CELLS * 2)])
    took_s = []
    for _ in range(20):
        began = time.perf_counter()
        exposition([*metrics.families(), *process_families(AT_US)])
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < 0.003  # measured 0.4 ms on a quiet core; the bound leaves room for a busy one


def test_to_publish_a_call_costs_less_than_half_a_microsecond() -> None:
    async def measure() -> float:
        metrics, news = CallMetrics(), News[Attempt]()
        end = news.subscribe(metrics.add)
        one, rounds, best = attempt(), 20, 1.0
        for _ in range(rounds):
            began = time.perf_counter()
            for _ in range(BATCH - 1):
                news.publish(one)
            best = min(best, (time.perf_counter() - began) / (BATCH - 1))
            news.deliver()
        end()
        return best

    assert asyncio.run(measure()) < 1e-6  # measured 0.11 us; twice the target leaves room for a busy core


def test_process_figures_are_those_of_this_process() -> None:
    told = Scrape(exposition(process_families(AT_US)).decode())
    assert told.value("process_start_time_seconds") == AT_US / 1_000_000
    assert 5e6 < told.value("process_resident_memory_bytes") < 4e9
    assert told.value("process_cpu_seconds_total") > 0
    assert 3 <= told.value("process_open_fds") < told.value("process_max_fds")


def test_a_histogram_without_samples_tells_zeros() -> None:
    told = dict.fromkeys(("a",), "b")
    assert [value for _, _, value in Histogram([1], told).samples()] == [0, 0, 0, 0]
    assert labels_text({}) == ""

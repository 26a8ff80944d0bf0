"""How each provider's chat counts what it read and wrote, one habit a test; the numbers are recorded answers' own."""

import json
from typing import Any

import pytest

from farthing.providers.registry import known_providers
from farthing.types.usage import Usage, UsageHabits
from farthing.wire.meter import MAX_COUNT, Reading
from farthing.wire.openai_chat import ChatStreamMeter, read_answer
from farthing.wire.openai_usage import read_usage, reported_cost_nanousd


def of(kind: str) -> UsageHabits:
    return known_providers()[kind].habits


def counted(usage: dict[str, Any], kind: str = "openai") -> Usage:
    """Return the usage as read from a whole answer, which has a quick way for what is plain, and as read alone."""
    body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
    reading = read_answer(body, lambda _text: None, of(kind))
    assert reading.usage == read_usage(usage, of(kind))
    assert reading.usage is not None
    return reading.usage


def streamed(*chunks: dict[str, Any], kind: str = "openai") -> Reading:
    meter = ChatStreamMeter(lambda _text: None, of(kind))
    for chunk in chunks:
        meter.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    return meter.reading()


def said(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}


XAI = {
    "prompt_tokens": 496,
    "completion_tokens": 77,
    "total_tokens": 829,
    "prompt_tokens_details": {"text_tokens": 496, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 320},
    "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 0},
    "num_sources_used": 0,
    "cost_in_usd_ticks": 5411000,
}


def test_xai_leaves_reasoning_out_of_the_output_and_bills_it() -> None:
    assert counted(XAI, "xai") == Usage(
        input_tokens=496, output_tokens=333, cache_read_input_tokens=320, reasoning_output_tokens=256
    )


def test_xai_reports_its_cost_in_ticks_of_a_ten_billionth_of_a_dollar() -> None:
    # 176 x 0.20 + 320 x 0.02 + 333 x 1.50 USD a million: what grok-code-fast-1 costs.
    assert reported_cost_nanousd(XAI) == 541_100
    assert reported_cost_nanousd({"cost_in_usd_ticks": 15}) == 2  # half to even, as all money here
    assert reported_cost_nanousd({"cost_in_usd_ticks": 25}) == 2


def test_azures_grok_reports_more_from_the_cache_than_it_read_and_no_cost() -> None:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 1,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 163, "text_tokens": 7},
        "cost_in_usd_ticks": 0,
    }
    assert counted(usage, "azure").flags == ("cache_exceeds_input",)
    assert reported_cost_nanousd(usage) is None


@pytest.mark.parametrize("kind", ["openai", "deepseek", "groq", "cerebras", "alibaba", "baseten", "zai", "openrouter"])
def test_reasoning_is_inside_the_output_of_nearly_everybody(kind: str) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 53}}
    usage = counted({"prompt_tokens": 79, "completion_tokens": 64, "total_tokens": 143, **details}, kind)
    assert usage == Usage(input_tokens=79, output_tokens=64, reasoning_output_tokens=53)


@pytest.mark.parametrize(
    "ending",
    [
        [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": "here"}],
        [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": "here"}],
        [
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}], "usage": "here"},
        ],
    ],
    ids=["openai azure xai together", "deepseek mistral cerebras groq zai", "openrouter"],
)
def test_wherever_usage_sits_at_the_end_of_a_stream_it_is_found(ending: list[dict[str, Any]]) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    chunks = [{**chunk, **({"usage": usage} if "usage" in chunk else {"usage": None})} for chunk in ending]
    reading = streamed(said("a", usage=None), *chunks)
    assert reading.usage == Usage(input_tokens=7, output_tokens=3)
    assert (reading.finished, reading.usage_final) == (True, True)


def test_together_has_reasoning_on_the_top_level_inside_the_output() -> None:
    usage = counted(
        {"prompt_tokens": 112, "completion_tokens": 76, "total_tokens": 188, "reasoning_tokens": 68}, "together"
    )
    assert usage == Usage(input_tokens=112, output_tokens=76, reasoning_output_tokens=68)


def test_togethers_reasoning_beyond_its_output_is_cut_and_flagged() -> None:
    usage = counted(
        {"prompt_tokens": 21, "completion_tokens": 16, "total_tokens": 37, "reasoning_tokens": 18}, "together"
    )
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (16, 16)
    assert usage.flags == ("reasoning_exceeds_output",)


def test_together_and_moonshot_have_the_cached_part_on_the_top_level() -> None:
    usage = {"prompt_tokens": 198, "completion_tokens": 24, "total_tokens": 222, "cached_tokens": 128}
    assert counted(usage, "moonshot").cache_read_input_tokens == 128


def test_perplexitys_usage_adds_up_in_every_chunk_and_the_last_one_counts() -> None:
    def chunk(n: int, text: str, **cost: float) -> dict[str, Any]:
        usage = {"prompt_tokens": 8, "completion_tokens": n, "total_tokens": 8 + n, "cost": cost}
        return said(text, "stop" if n == 3 else None, usage=usage)

    reading = streamed(
        chunk(1, "1", total_cost=0), chunk(2, " 2", total_cost=0), chunk(3, "", request_cost=0.006, total_cost=0.00605)
    )
    assert reading.usage == Usage(input_tokens=8, output_tokens=3)
    assert reading.usage_final
    assert reading.finished
    assert reading.reported_cost_nanousd == 6_050_000


def test_perplexitys_cost_holds_a_fee_for_the_request() -> None:
    cost = {"input_tokens_cost": 1e-05, "output_tokens_cost": 6e-05, "request_cost": 0.005, "total_cost": 0.00507}
    body = json.dumps({"choices": [{}], "usage": {"prompt_tokens": 11, "completion_tokens": 62, "cost": cost}})
    assert read_answer(body.encode(), lambda _text: None, of("perplexity")).reported_cost_nanousd == 5_070_000


def test_perplexitys_deep_research_bills_citations_searches_and_reasoning_beside_its_total() -> None:
    usage = counted(
        {
            "prompt_tokens": 33,
            "completion_tokens": 7163,
            "total_tokens": 7196,
            "citation_tokens": 20016,
            "num_search_queries": 18,
            "reasoning_tokens": 73997,
        },
        "perplexity",
    )
    assert (usage.input_tokens, usage.output_tokens) == (20049, 81160)
    assert (usage.reasoning_output_tokens, usage.web_search_requests) == (73997, 18)
    assert usage.flags == ("total_disagrees",)


def test_basetens_usage_adds_up_too() -> None:
    chunks = [said("a", usage={"prompt_tokens": 41, "completion_tokens": n, "total_tokens": 41 + n}) for n in (1, 2)]
    assert streamed(*chunks, kind="baseten").usage == Usage(input_tokens=41, output_tokens=2)


def test_vercels_reasoning_is_outside_of_output_and_total_and_is_billed() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 232}, "cost": 0.003426}
    usage = counted({"prompt_tokens": 9, "completion_tokens": 52, "total_tokens": 61, **details}, "vercel-gateway")
    # 9 x 2 + 284 x 12 USD a million are the 0.003426 that it reports.
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (284, 232)
    assert usage.flags == ("total_disagrees",)


def test_vercels_quick_way_knows_its_habit_as_well() -> None:
    plain = {"prompt_tokens": 9, "completion_tokens": 52, "total_tokens": 61}
    inside = {**plain, "completion_tokens_details": {"reasoning_tokens": 50}}
    assert counted(inside, "vercel-gateway").output_tokens == 102
    assert counted(inside, "openai").output_tokens == 52


def test_deepseeks_hits_and_misses_are_the_prompt() -> None:
    usage = {"completion_tokens": 5, "prompt_cache_hit_tokens": 384, "prompt_cache_miss_tokens": 163}
    expected = Usage(input_tokens=547, output_tokens=5, cache_read_input_tokens=384)
    assert counted({**usage, "prompt_tokens": 547, "total_tokens": 552}, "deepseek") == expected
    assert counted(usage, "deepseek") == expected


def test_old_groq_has_usage_in_a_member_of_its_own() -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    assert streamed(said("a"), said("", "stop", x_groq={"usage": usage})).usage == counted(usage, "groq")


def test_moonshots_stream_has_usage_inside_its_choice() -> None:
    usage = {"prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32}
    finish = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}]}
    reading = streamed(said("a"), finish, kind="moonshot")
    assert reading.usage == Usage(input_tokens=19, output_tokens=13)
    assert reading.usage_final
    assert reading.finished


def test_usage_beside_the_choice_wins_over_usage_inside_it() -> None:
    inside = {"index": 0, "delta": {"content": "a"}, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert streamed({"choices": [inside], "usage": usage}).usage == Usage(input_tokens=3, output_tokens=2)


def test_mistrals_sound_is_in_the_total_only_and_was_read() -> None:
    usage = counted(
        {"prompt_audio_seconds": 0, "prompt_tokens": 16, "total_tokens": 393, "completion_tokens": 2}, "mistral"
    )
    assert (usage.input_tokens, usage.output_tokens, usage.input_audio_tokens) == (391, 2, 375)
    assert usage.flags == ("total_disagrees",)
    told = counted(
        {
            "prompt_tokens": 9,
            "total_tokens": 585,
            "completion_tokens": 201,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375},
        },
        "mistral",
    )
    assert (told.input_tokens, told.output_tokens, told.input_audio_tokens) == (384, 201, 375)


def test_geminis_compatible_address_hides_its_thinking_in_the_total() -> None:
    usage = read_usage(
        {"completion_tokens": 12, "prompt_tokens": 35, "total_tokens": 109}, UsageHabits(hidden_in_total="reasoning")
    )
    assert usage == Usage(input_tokens=35, output_tokens=74, reasoning_output_tokens=62, flags=("total_disagrees",))


def test_what_hides_in_a_total_of_somebody_without_that_habit_is_flagged_and_not_guessed() -> None:
    usage = counted({"prompt_tokens": 25, "completion_tokens": 2, "total_tokens": 32}, "cerebras")
    assert usage == Usage(input_tokens=25, output_tokens=2, flags=("total_disagrees",))


def test_openrouters_cost_is_its_whole_price_and_with_a_key_of_ones_own_its_fee() -> None:
    usage: dict[str, Any] = {"cost": 0.0133176, "cost_details": {"upstream_inference_cost": 0.0133176}}
    body = json.dumps({"choices": [{}], "usage": {**usage, "is_byok": False}}).encode()
    assert read_answer(body, lambda _text: None).reported_cost_nanousd == 13_317_600
    usage = {"cost": 0.0005, "cost_details": {"upstream_inference_cost": 0.01}, "is_byok": True}
    body = json.dumps({"choices": [{}], "usage": usage}).encode()
    assert read_answer(body, lambda _text: None).reported_cost_nanousd == 10_500_000


def test_openrouters_searches_and_cache_writes_are_counted() -> None:
    usage = counted(
        {
            "prompt_tokens": 2572,
            "completion_tokens": 40,
            "total_tokens": 2612,
            "prompt_tokens_details": {"cache_write_tokens": 2569},
            "server_tool_use_details": {"web_search_requests": 1, "tool_calls_executed": 1},
        },
        "openrouter",
    )
    assert (usage.cache_creation_5m_input_tokens, usage.web_search_requests) == (2569, 1)


def test_images_are_parts_of_what_was_read_and_written() -> None:
    usage = counted(
        {
            "prompt_tokens": 300,
            "completion_tokens": 1300,
            "total_tokens": 1600,
            "prompt_tokens_details": {"image_tokens": 258},
            "completion_tokens_details": {"image_tokens": 1290},
        }
    )
    assert (usage.input_image_tokens, usage.output_image_tokens) == (258, 1290)


def test_llamacpp_reports_no_usage_unless_asked_and_that_is_unknown_not_zero() -> None:
    reading = streamed(said("a"), said("", "stop", timings={"prompt_n": 4}), kind="llamacpp")
    assert reading.usage is None
    assert reading.finished


def test_usage_reported_before_the_last_word_is_not_final() -> None:
    early = said("a", usage={"prompt_tokens": 41, "completion_tokens": 1, "total_tokens": 42})
    assert not streamed(early, said("b", "stop")).usage_final


def test_with_several_choices_the_stream_is_finished_when_all_are() -> None:
    def of_choice(index: int, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": finish}]}

    chunks = [of_choice(0), of_choice(1), of_choice(0, "stop")]
    assert not streamed(*chunks).finished
    assert streamed(*chunks, of_choice(1, "stop")).finished


def test_the_model_that_served_is_the_answers() -> None:
    assert streamed(said("a", model="deepseek-v4-flash"), said("", "stop"), kind="deepseek").model_served == (
        "deepseek-v4-flash"
    )


def test_absurd_costs_are_no_costs() -> None:
    absurd: tuple[Any, ...] = (
        {"cost": -1},
        {"cost": True},
        {"cost": "0.1"},
        {"cost": {"total_cost": None}},
        {"cost": []},
        {"cost_in_usd_ticks": -5},
        {"cost_in_usd_ticks": 10**40},
        {"cost_in_usd_ticks": True},
        {"cost_in_usd_ticks": "5"},
        {"is_byok": True, "cost_details": []},
        {},
        None,
        [],
    )
    for usage in absurd:
        assert reported_cost_nanousd(usage) is None
    assert reported_cost_nanousd({"cost": 0}) == 0
    assert reported_cost_nanousd({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": "x"}}) == 0
    assert (reported_cost_nanousd({"cost_in_usd_ticks": MAX_COUNT}) or 0) > 0


def test_mistral_counts_what_it_had_cached_on_the_top_level() -> None:
    usage = read_usage({"prompt_tokens": 175, "num_cached_tokens": 174, "completion_tokens": 9, "total_tokens": 184})
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.flags) == (175, 174, ())

"""The usage of a chat completion, as OpenAI means it and as the many that speak like it count.

What surprised us: the cached part is inside `prompt_tokens`, OpenRouter's cache writes too; xAI, Vercel and Perplexity
count reasoning beside `completion_tokens`, everybody else inside; on the top level Together writes `reasoning_tokens`,
Moonshot `cached_tokens` and Mistral `num_cached_tokens`; Mistral's sound and Gemini's thinking are in the total only;
and four spell what the answer cost in four ways, one of them in ticks of a ten-billionth of a dollar.
"""

from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from farthing.types.money import round_half_even
from farthing.types.usage import Usage, UsageHabits
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import ABSENT, MAX_COUNT, Counts, check_parts, cost_nanousd, what_remains

USUAL = UsageHabits()
"""What the format means: everything is inside its total."""

TICKS_PER_NANOUSD = 10
"""xAI's `cost_in_usd_ticks`: 5,411,000 ticks were 0.0005411 USD (176 x 0.20 + 320 x 0.02 + 333 x 1.50 a million)."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class PlainUsage(msgspec.Struct, gc=False):
    """The usage that nearly every answer has; whatever else is in it goes the long way."""

    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: msgspec.Raw = ABSENT
    cached_tokens: msgspec.Raw = ABSENT
    num_cached_tokens: msgspec.Raw = ABSENT
    cache_creation_input_tokens: msgspec.Raw = ABSENT
    reasoning_tokens: msgspec.Raw = ABSENT
    citation_tokens: msgspec.Raw = ABSENT
    search_context_size: msgspec.Raw = ABSENT
    num_search_queries: msgspec.Raw = ABSENT
    server_tool_use: msgspec.Raw = ABSENT
    server_tool_use_details: msgspec.Raw = ABSENT
    cost: msgspec.Raw = ABSENT
    cost_in_usd_ticks: msgspec.Raw = ABSENT


_plain_usages = msgspec.json.Decoder(PlainUsage)
_NOTHING_READ, _NOTHING_WRITTEN = _PromptDetails(), _CompletionDetails()
_USUAL_MEMBERS = 5
_NOTHING_ODD = (ABSENT,) * (len(PlainUsage.__struct_fields__) - _USUAL_MEMBERS)


def read_usage(usage: Any, habits: UsageHabits = USUAL) -> Usage | None:
    """Return the usage in our shape; `None` where there is nothing to read. Never raises."""
    if not isinstance(usage, dict) or not usage:
        return None
    counts = Counts()
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = (
        counts.part(prompt, "cached_tokens")
        or counts.part(usage, "prompt_cache_hit_tokens")
        or counts.part(usage, "cached_tokens")
        or counts.part(usage, "num_cached_tokens")
    )
    written = counts.part(prompt, "cache_write_tokens") or counts.part(usage, "cache_creation_input_tokens")
    heard = counts.part(prompt, "audio_tokens")
    input_tokens, output_tokens, total = _totals(usage, counts)
    reasoning = counts.part(completion, "reasoning_tokens") or counts.part(usage, "reasoning_tokens")
    if habits.reasoning_outside and output_tokens is not None:
        output_tokens += reasoning
    if total is not None and (input_tokens or 0) + (output_tokens or 0) != total:
        counts.flag("total_disagrees")
        hidden = total - (input_tokens or 0) - (output_tokens or 0)
        if hidden > 0 and input_tokens is not None and output_tokens is not None:
            if habits.hidden_in_total == "input_audio":
                input_tokens += hidden
                heard = heard or hidden
            elif habits.hidden_in_total == "reasoning":
                output_tokens += hidden
                reasoning += hidden
    elif total is not None and output_tokens is not None and reasoning > output_tokens:
        # The total confirms that reasoning is inside the output: its count is another tokenizer's, and is cut.
        # OpenRouter charges exactly the output then (reported costs of three recorded answers, 2026), and Together's
        # counts once went to 18 of 16.
        counts.flag("reasoning_exceeds_output")
        reasoning = output_tokens
    if output_tokens is not None and reasoning > output_tokens:
        counts.flag("reasoning_exceeds_output")
    cited = counts.part(usage, "citation_tokens")
    if cited and input_tokens is not None:
        input_tokens += cited  # Perplexity's deep research bills what it read from pages as input, outside the total
    check_parts(counts, input_tokens, cached, written)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        input_audio_tokens=heard,
        reasoning_output_tokens=reasoning,
        output_audio_tokens=counts.part(completion, "audio_tokens"),
        input_image_tokens=counts.part(prompt, "image_tokens"),
        output_image_tokens=counts.part(completion, "image_tokens"),
        web_search_requests=_searches(usage, counts),
        flags=tuple(counts.flags),
    )


def plain_usage(raw: msgspec.Raw, habits: UsageHabits = USUAL) -> Usage | None:
    """Return a usage without anything odd in it, in a tenth of the time that `read_usage` takes; else `None`."""
    try:
        return usage_of(_plain_usages.decode(raw), habits)
    except UNREADABLE:
        return None


def usage_of(plain: PlainUsage, habits: UsageHabits = USUAL) -> Usage | None:
    """Return a plain usage in our shape; `None` where its parts do not fit, and `read_usage` tells."""
    prompt = plain.prompt_tokens_details or _NOTHING_READ
    completion = plain.completion_tokens_details or _NOTHING_WRITTEN
    input_tokens, output_tokens = plain.prompt_tokens, plain.completion_tokens
    fits = input_tokens + output_tokens == plain.total_tokens and astuple(plain)[_USUAL_MEMBERS:] == _NOTHING_ODD
    if fits and not any(astuple(prompt)) and not any(astuple(completion)):  # as most that are short
        return Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    reasoning = completion.reasoning_tokens or 0
    cached, written = prompt.cached_tokens or 0, prompt.cache_write_tokens or 0
    if (
        not fits
        or cached + written > input_tokens
        or reasoning > output_tokens
        or (reasoning and habits.reasoning_outside)
    ):
        return None
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        input_audio_tokens=prompt.audio_tokens or 0,
        reasoning_output_tokens=reasoning,
        output_audio_tokens=completion.audio_tokens or 0,
        input_image_tokens=prompt.image_tokens or 0,
        output_image_tokens=completion.image_tokens or 0,
    )


def reported_cost_nanousd(usage: Any) -> int | None:
    """Return what the provider says that the answer cost, in nanodollars; `None` where it does not say. Never raises.

    It is a number of dollars (OpenRouter, Vercel), an object with `total_cost` (Perplexity), or ticks (xAI). Azure's
    Grok always says 0 ticks, which is no report. With a key of one's own, OpenRouter's number is its fee alone, and
    what the provider behind it takes stands in the details.
    """
    if not isinstance(usage, dict):
        return None
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return cost_nanousd(cost.get("total_cost"))
    told = cost_nanousd(cost)
    if told is not None and usage.get("is_byok") is True:
        details = usage.get("cost_details")
        behind = cost_nanousd(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
        return told if behind is None else told + behind
    ticks = usage.get("cost_in_usd_ticks")
    if told is None and isinstance(ticks, int) and not isinstance(ticks, bool) and 0 < ticks < MAX_COUNT * 10**10:
        return round_half_even(ticks, TICKS_PER_NANOUSD)
    return told


def search_tier(usage: Any) -> str | None:
    """Return how far Perplexity searched, by which its fee for a request is priced: low, medium or high."""
    size = usage.get("search_context_size") if isinstance(usage, dict) else None
    return size if isinstance(size, str) else None


def _totals(usage: dict[str, Any], counts: Counts) -> tuple[int | None, int | None, int | None]:
    """Return what was read, what was written, and the total; of two that are there the third follows."""
    input_tokens = counts.total(usage, "prompt_tokens")
    hit, miss = counts.total(usage, "prompt_cache_hit_tokens"), counts.total(usage, "prompt_cache_miss_tokens")
    if input_tokens is None and hit is not None and miss is not None:
        input_tokens = hit + miss
    output_tokens = counts.total(usage, "completion_tokens")
    total = counts.total(usage, "total_tokens")
    if total is not None and input_tokens is not None and output_tokens is None:
        output_tokens = what_remains(total - input_tokens, usage.get("completion_tokens"))
    return input_tokens, output_tokens, total


def _searches(usage: dict[str, Any], counts: Counts) -> int:
    """Return the searches that are billed one by one: OpenRouter's, and those of Perplexity's deep research."""
    server_tools = usage.get("server_tool_use") or usage.get("server_tool_use_details")
    return counts.part(server_tools, "web_search_requests") or counts.part(usage, "num_search_queries")

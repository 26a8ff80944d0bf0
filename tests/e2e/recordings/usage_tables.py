"""The usage that the ledger must say, read from the recording by code that shares nothing with the gateway's.

It is a table of how each format and each provider counts. `None` stands for an answer that reported no usage.
"""

from typing import Any

from tests.e2e.recordings.exchanges import Exchange

Table = dict[str, int]
"""Fields of `Usage` and what they must be; a field that is not in it may be anything."""

_REASONING_OUTSIDE = {"xai", "vercel-gateway", "perplexity"}
"""Providers whose `completion_tokens` leave reasoning out: the costs that they report say so."""


def expected_usage(exchange: Exchange) -> Table | None:
    """Return what an answer reported, in our names."""
    asked, usage = exchange.asked, exchange.usage
    assert asked is not None
    if not usage or not (set(usage) - {"total_tokens"} or usage["total_tokens"]):
        return None
    if {usage.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")} == {0}:
        return None  # 0 of everything, beside two calls of tools: an answer that nobody counted
    match asked.wire:
        case "anthropic_messages":
            return _anthropic(usage, [row.get("usage", row) for row in exchange.usage_events])
        case "openai_responses":
            return _responses(usage)
        case "openai_embeddings":
            return {"input_tokens": usage.get("prompt_tokens", usage["total_tokens"]), "output_tokens": 0}
        case "gemini":
            return _gemini(usage)
        case "ollama":
            return _ollama(usage, asked.operation)
        case _:
            return _chat(usage, exchange.provider)


def _anthropic(usage: dict[str, Any], events: list[dict[str, Any]]) -> Table:
    merged: dict[str, Any] = {}
    for event in [*events, usage]:
        merged |= {name: value for name, value in event.items() if value is not None}
    read = merged.get("cache_read_input_tokens", 0)
    written = merged.get("cache_creation_input_tokens", 0)
    hour = (merged.get("cache_creation") or {}).get("ephemeral_1h_input_tokens", 0)
    return {
        "input_tokens": merged["input_tokens"] + read + written,
        "output_tokens": merged["output_tokens"],
        "cache_read_input_tokens": read,
        "cache_creation_1h_input_tokens": hour,
        "cache_creation_5m_input_tokens": written - hour,
    }


def _chat(usage: dict[str, Any], provider: str) -> Table:
    prompt = usage.get("prompt_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else {}
    completion = usage.get("completion_tokens_details")
    completion = completion if isinstance(completion, dict) else {}
    read, written = (
        usage["prompt_tokens"],
        usage.get("completion_tokens", usage["total_tokens"] - usage["prompt_tokens"]),
    )
    reasoning = completion.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0
    if provider in _REASONING_OUTSIDE:
        written += reasoning
    if provider == "mistral":  # sound that was heard stands in the total only
        read = usage["total_tokens"] - written
    names = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
    cached = prompt.get("cached_tokens") or next((usage[name] for name in names if usage.get(name)), 0)
    return {
        "input_tokens": read,
        "output_tokens": written,
        "cache_read_input_tokens": cached,
        "cache_creation_5m_input_tokens": prompt.get("cache_write_tokens") or 0,
        "cache_creation_1h_input_tokens": 0,
        # A count of reasoning above the whole output is another tokenizer's; the total says what counts.
        "reasoning_output_tokens": min(reasoning, written),
    }


def _responses(usage: dict[str, Any]) -> Table:
    details = usage.get("input_tokens_details") or {}
    return {
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "cache_read_input_tokens": details.get("cached_tokens") or 0,
        "cache_creation_5m_input_tokens": details.get("cache_write_tokens") or 0,
        "reasoning_output_tokens": (usage.get("output_tokens_details") or {}).get("reasoning_tokens") or 0,
    }


def _gemini(usage: dict[str, Any]) -> Table:
    def tokens(details: str, modality: str) -> int:
        return sum(row.get("tokenCount", 0) for row in usage.get(details, ()) if row.get("modality") == modality)

    thoughts = usage.get("thoughtsTokenCount", 0)
    # A count of 0 is left out, but no prompt has none: where it is missing, it is unknown and anything may be said.
    asked = {"input_tokens": usage["promptTokenCount"]} if "promptTokenCount" in usage else {}
    if asked:
        asked["input_tokens"] += usage.get("toolUsePromptTokenCount", 0)
    return {
        **asked,
        "output_tokens": usage.get("candidatesTokenCount", 0) + thoughts,
        "reasoning_output_tokens": thoughts,
        "cache_read_input_tokens": usage.get("cachedContentTokenCount", 0),
        "input_audio_tokens": tokens("promptTokensDetails", "AUDIO"),
        "output_audio_tokens": tokens("candidatesTokensDetails", "AUDIO"),
    }


def _ollama(usage: dict[str, Any], operation: str) -> Table:
    table = {"output_tokens": usage.get("eval_count", 0)}
    if "embed" in operation:
        table["output_tokens"] = 0
    if "prompt_eval_count" in usage:
        table["input_tokens"] = usage["prompt_eval_count"]
    return table

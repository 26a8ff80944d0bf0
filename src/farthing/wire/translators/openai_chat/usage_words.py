"""Usage as chat completions tell it: cached tokens inside the prompt's, reasoning inside the completion's."""

from typing import Any

from farthing.types.usage import Usage


def written_usage(usage: Usage | None) -> dict[str, Any] | None:
    """Return usage for a client; `None` where a total is not known, for 0 would be believed."""
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    prompt = {"cached_tokens": usage.cache_read_input_tokens, "audio_tokens": usage.input_audio_tokens}
    if usage.cache_creation_input_tokens:
        prompt["cache_write_tokens"] = usage.cache_creation_input_tokens
    if usage.input_image_tokens:
        prompt["image_tokens"] = usage.input_image_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_output_tokens,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }

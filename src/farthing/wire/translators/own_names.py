"""What the members of the neutral form are called in a client's own format, so that a refusal names what was sent."""

from collections.abc import Mapping

from farthing.types.providers import WireFormat

_MESSAGES: Mapping[WireFormat, str] = {
    "openai_responses": "input",
    "openai_completions": "prompt",
    "gemini": "contents",
}
_OPTIONS = ("temperature", "top_p", "top_k", "seed", "stop", "presence_penalty", "frequency_penalty")
_NAMES: Mapping[WireFormat, Mapping[str, str]] = {
    "openai_chat": {
        "shape": "response_format",
        "shape.name": "response_format.json_schema.name",
        "shape.strict": "response_format.json_schema.strict",
        "reasoning": "reasoning_effort",
        "max_output_tokens": "max_completion_tokens",
    },
    "openai_completions": {"max_output_tokens": "max_tokens"},
    "openai_responses": {
        "shape": "text.format",
        "shape.name": "text.format.name",
        "shape.strict": "text.format.strict",
        "verbosity": "text.verbosity",
        "logprobs": "include",
    },
    "anthropic_messages": {
        "shape": "output_config.format",
        "reasoning": "thinking",
        "reasoning.budget_tokens": "thinking.budget_tokens",
        "max_output_tokens": "max_tokens",
        "stop": "stop_sequences",
        "user": "metadata.user_id",
        "cached": "cache_control",
    },
    "gemini": {
        "shape": "generationConfig.responseMimeType",
        "reasoning": "generationConfig.thinkingConfig",
        "reasoning.budget_tokens": "generationConfig.thinkingConfig.thinkingBudget",
        "n": "generationConfig.candidateCount",
        "stop": "generationConfig.stopSequences",
        "logprobs": "generationConfig.responseLogprobs",
        "max_output_tokens": "generationConfig.maxOutputTokens",
        "temperature": "generationConfig.temperature",
        "top_p": "generationConfig.topP",
        "top_k": "generationConfig.topK",
        "seed": "generationConfig.seed",
        "presence_penalty": "generationConfig.presencePenalty",
        "frequency_penalty": "generationConfig.frequencyPenalty",
        "tool_choice": "toolConfig.functionCallingConfig",
    },
    "ollama": {
        "shape": "format",
        "reasoning": "think",
        "max_output_tokens": "options.num_predict",
        "context_tokens": "options.num_ctx",
        **{name: f"options.{name}" for name in _OPTIONS},
    },
}


def own_name(field: str, face: WireFormat) -> str:
    """Return what a client of `face` calls a member of the neutral form."""
    named = _NAMES.get(face, {}).get(field)
    if named is not None:
        return named
    if field.startswith("messages[") and face in _MESSAGES:
        return _MESSAGES[face] + field.removeprefix("messages")
    return field.replace("server_tools[", "tools[", 1) if field.startswith("server_tools[") else field

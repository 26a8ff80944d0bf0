"""What clients of each format call what a request may have, and what the formats are called: for what people are told.

Features know their places in the neutral form only, which no client has ever seen; whoever is told what is wrong must
find it in what was sent.
"""

from collections.abc import Mapping

from farthing.types.features import Feature
from farthing.types.providers import WireFormat

FORMATS_IN_WORDS: Mapping[WireFormat, str] = {
    "openai_chat": "OpenAI's chat",
    "openai_responses": "OpenAI's responses",
    "openai_completions": "OpenAI's completions",
    "openai_embeddings": "OpenAI's embeddings",
    "anthropic_messages": "Anthropic's messages",
    "gemini": "Gemini's format",
    "ollama": "Ollama's format",
}


def member_names(wire: WireFormat) -> Mapping[Feature, str]:
    """Return the members of a format that are called otherwise than in the neutral form."""
    return _NAMES[wire]


_EVERYWHERE = {
    **dict.fromkeys(
        (
            Feature.TOOLS,
            Feature.STRICT_TOOLS,
            Feature.CUSTOM_TOOLS,
            Feature.TOOL_GRAMMAR,
            Feature.TOOL_NAMESPACES,
        ),
        "tools",
    ),
    Feature.CACHE_MARKS: "cache_control",
    Feature.RAW_PROMPT: "prompt",
    Feature.TOKEN_INPUT: "input",
    Feature.TASK_TYPE: "taskType",
    Feature.TITLE: "title",
}
_NAMES: Mapping[WireFormat, Mapping[Feature, str]] = {
    "openai_chat": {
        **_EVERYWHERE,
        Feature.MAX_OUTPUT_TOKENS: "max_tokens",
        Feature.REASONING: "reasoning_effort",
        Feature.JSON_OBJECT: "response_format",
        Feature.JSON_SCHEMA: "response_format",
        Feature.STRICT_SCHEMA: "response_format.json_schema.strict",
    },
    "openai_responses": {
        **_EVERYWHERE,
        Feature.LOGPROBS: "top_logprobs",
        Feature.VERBOSITY: "text.verbosity",
        Feature.JSON_OBJECT: "text.format",
        Feature.JSON_SCHEMA: "text.format",
        Feature.STRICT_SCHEMA: "text.format.strict",
    },
    "openai_completions": {**_EVERYWHERE, Feature.MAX_OUTPUT_TOKENS: "max_tokens"},
    "openai_embeddings": _EVERYWHERE,
    "anthropic_messages": {
        **_EVERYWHERE,
        Feature.MAX_OUTPUT_TOKENS: "max_tokens",
        Feature.STOP: "stop_sequences",
        Feature.MANY_STOPS: "stop_sequences",
        Feature.REASONING: "thinking",
        Feature.REASONING_BUDGET: "thinking.budget_tokens",
        Feature.JSON_OBJECT: "output_config.format",
        Feature.JSON_SCHEMA: "output_config.format",
        Feature.STRICT_SCHEMA: "output_config.format",
        Feature.PARALLEL_TOOL_CALLS: "tool_choice.disable_parallel_tool_use",
        Feature.USER: "metadata.user_id",
    },
    "gemini": {
        **_EVERYWHERE,
        Feature.SEVERAL: "generationConfig.candidateCount",
        Feature.LOGPROBS: "generationConfig.responseLogprobs",
        Feature.JSON_OBJECT: "generationConfig.responseMimeType",
        Feature.JSON_SCHEMA: "generationConfig.responseJsonSchema",
        Feature.MAX_OUTPUT_TOKENS: "generationConfig.maxOutputTokens",
        Feature.STOP: "generationConfig.stopSequences",
        Feature.MANY_STOPS: "generationConfig.stopSequences",
        Feature.TEMPERATURE: "generationConfig.temperature",
        Feature.HIGH_TEMPERATURE: "generationConfig.temperature",
        Feature.TOP_P: "generationConfig.topP",
        Feature.TOP_K: "generationConfig.topK",
        Feature.SEED: "generationConfig.seed",
        Feature.PENALTIES: "generationConfig.presencePenalty",
        Feature.REASONING: "generationConfig.thinkingConfig",
        Feature.REASONING_BUDGET: "generationConfig.thinkingConfig.thinkingBudget",
        Feature.TOOL_CHOICE: "toolConfig.functionCallingConfig",
        Feature.ALLOWED_TOOLS: "toolConfig.functionCallingConfig",
        Feature.SERVICE_TIER: "serviceTier",
    },
    "ollama": {
        **_EVERYWHERE,
        Feature.JSON_OBJECT: "format",
        Feature.JSON_SCHEMA: "format",
        Feature.REASONING: "think",
        Feature.MAX_OUTPUT_TOKENS: "options.num_predict",
        Feature.STOP: "options.stop",
        Feature.MANY_STOPS: "options.stop",
        Feature.TEMPERATURE: "options.temperature",
        Feature.HIGH_TEMPERATURE: "options.temperature",
        Feature.TOP_P: "options.top_p",
        Feature.TOP_K: "options.top_k",
        Feature.SEED: "options.seed",
        Feature.PENALTIES: "options.presence_penalty",
        Feature.CONTEXT_TOKENS: "options.num_ctx",
    },
}

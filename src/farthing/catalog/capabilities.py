"""How much a model can read and write at most: what a call's highest cost follows from.

No price list says how long an answer can be, so the makers' documents do (2026-11), by the beginnings of names. A model
that is not here is taken to be able to write as much as the longest writer there is: a bound that is too high holds
money for a while, and one that is too low would lose it.
"""

import re
from functools import lru_cache

MOST_OUTPUT_TOKENS = 131_072
"""The longest answer of any known model (128,000 tokens), rounded up."""
MOST_INPUT_TOKENS = 2_097_152
"""The largest context that was sold; of a request whose size does not tell what it makes the model read."""

_OUTPUT: tuple[tuple[str, int], ...] = (
    (r"gpt-4o|chatgpt-4o|gpt-4-turbo|gpt-4\.5", 16_384),
    (r"gpt-4\.1", 32_768),
    (r"gpt-4$|gpt-4-(0|32k|1)|gpt-3\.5", 8_192),
    (r"gpt-5|gpt-oss|codex", 128_000),
    (r"o[134]\b", 100_000),
    (r"claude-(3-(opus|sonnet|haiku)|2|instant)", 8_192),
    (r"claude-3[-.]5", 8_192),
    (r"claude-3[-.]7", 128_000),
    (r"claude-(opus-4-[01]\b|opus-4-2|4-opus)", 32_000),
    (r"claude-(sonnet|haiku|opus)-4|claude-4", 64_000),
    (r"gemini-(1|2\.0)", 8_192),
    (r"gemini", 65_536),
    (r"deepseek-(chat|v3)", 8_192),
)
_INPUT: tuple[tuple[str, int], ...] = (
    (r"gpt-4o|chatgpt-4o|gpt-4-turbo", 128_000),
    (r"gpt-4\.1", 1_047_576),
    (r"gpt-4$|gpt-4-(0|32k)", 32_768),
    (r"gpt-3\.5", 16_385),
    (r"gpt-5|codex", 400_000),
    (r"gpt-oss", 131_072),
    (r"o[134]\b", 200_000),
    (r"claude-(3|2)", 200_000),
    (r"claude", 1_000_000),
    (r"gemini-1\.5-pro", 2_097_152),
    (r"gemini", 1_048_576),
    (r"deepseek", 163_840),
)


@lru_cache(maxsize=1_024)  # as many models as ratios of tokens are remembered for
def most_output_tokens(model: str) -> int:
    """Return how many tokens one answer of the model can have at most."""
    return _first(_OUTPUT, model) or MOST_OUTPUT_TOKENS


@lru_cache(maxsize=1_024)  # likewise
def most_input_tokens(model: str) -> int:
    """Return how many tokens the model can read at most."""
    return _first(_INPUT, model) or MOST_INPUT_TOKENS


def _first(table: tuple[tuple[str, int], ...], model: str) -> int | None:
    name = model.lower().rpartition("/")[2]
    return next((tokens for pattern, tokens in table if re.match(pattern, name)), None)

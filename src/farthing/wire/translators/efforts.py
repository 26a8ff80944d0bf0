"""Efforts of thinking and budgets of thinking in tokens: one table, so that every pair of formats agrees.

OpenAI's clients name an effort, Anthropic's older models and Gemini 2.5 take a budget. No provider publishes what an
effort is in tokens. What bounds the table: Anthropic refuses a budget under 1,024, Gemini 2.5 Flash one above 24,576,
and a budget has to leave room in the longest answer (32,000 and 64,000 tokens at Anthropic). Each budget is read back
as the effort that it was written for.
"""

from types import MappingProxyType

from farthing.types.chat import Effort

_BUDGETS = MappingProxyType[Effort, int](
    {
        "none": 0,
        "minimal": 1_024,
        "low": 2_048,
        "medium": 8_192,
        "high": 16_384,
        "xhigh": 24_576,
        "max": 31_999,
    }
)


def budget_of(effort: Effort) -> int:
    """Return the tokens of thinking that an effort stands for; 0 for none."""
    return _BUDGETS[effort]


def effort_of(budget_tokens: int) -> Effort:
    """Return the least effort that is worth a budget: `medium` for all from 2,049 to 8,192 tokens."""
    return next((effort for effort, tokens in _BUDGETS.items() if budget_tokens <= tokens), "max")

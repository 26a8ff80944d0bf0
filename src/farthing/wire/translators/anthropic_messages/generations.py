"""What Claude's generations accept of thinking, sampling and length; nothing but a model's name tells.

What surprised us: from 4.7 on a budget of thinking, a temperature, `top_p` and `top_k` are each refused; 4.6 and later
want `adaptive` thinking with an effort, which 4.5 and earlier refuse; Sonnet 5 thinks unless that is disabled
(recorded), while Fable and Mythos refuse to have it disabled; from 4.1 on a temperature and `top_p` exclude each other;
with thinking on, no tool can be forced. Models that are no Claudes speak this format as well, and take all of it.
"""

import re
from functools import lru_cache
from typing import Literal

import msgspec

from farthing.types.chat import ChatRequest, Effort, Reasoning
from farthing.wire.translators.efforts import budget_of, effort_of
from farthing.wire.translators.features import Feature, Used

LEAST_BUDGET_TOKENS = 1_024
"""Anthropic refuses less."""
ANSWER_TOKENS = 8_192
"""Room for an answer, where the client named no limit and this format wants one: 30 KB of text or code."""
_MODERN_ANSWER_TOKENS = 32_000
"""What every Claude from 4.0 on can write in one answer: a limit that nobody asked for should cut nothing off."""
_LONGEST_TOKENS = 64_000
"""What most of them can write, thinking included."""
_KEPT_NAMES = 256
"""Names of models that are remembered; an installation uses a dozen."""
_NAME_CHARS = 200

_VERSION = re.compile(r"claude(?:-[a-z]+)*-(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")
_NEWEST = (99, 0)


class Generation(msgspec.Struct, frozen=True, gc=False):
    """What a model accepts. `version` is `None` where it is no Claude."""

    version: tuple[int, int] | None
    thinks: Literal["never", "budget", "either", "adaptive"]
    always_thinks: bool
    """Whether it refuses to have its thinking disabled."""
    thinks_unasked: bool
    samples: Literal["freely", "one", "never"]
    """Whether a temperature and `top_p` are taken both, either or neither."""
    longest_tokens: int
    answer_tokens: int
    strict_tools: bool


@lru_cache(maxsize=_KEPT_NAMES)
def generation_of(model: str) -> Generation:
    """Return what a model accepts, by its name."""
    name = model[:_NAME_CHARS].lower()
    if "claude" not in name:
        return Generation(None, "budget", False, False, "freely", _LONGEST_TOKENS, ANSWER_TOKENS, True)  # noqa: FBT003
    found = _VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    return Generation(
        version,
        _thinks(version),
        always_thinks="fable" in name or "mythos" in name,
        thinks_unasked=version >= (5, 0),
        samples="freely" if version < (4, 1) else "one" if version < (4, 7) else "never",
        longest_tokens=_longest(version, opus="opus" in name),
        answer_tokens=min(_longest(version, opus=False), ANSWER_TOKENS if version < (4, 0) else _MODERN_ANSWER_TOKENS),
        strict_tools=version >= (4, 5),
    )


def _thinks(version: tuple[int, int]) -> Literal["never", "budget", "either", "adaptive"]:
    if version < (3, 7):
        return "never"
    if version < (4, 6):
        return "budget"
    return "either" if version < (4, 7) else "adaptive"


def _longest(version: tuple[int, int], *, opus: bool) -> int:
    if version < (3, 5):
        return 4_096
    if version < (3, 7):
        return 8_192
    return _MODERN_ANSWER_TOKENS if opus and version < (4, 5) else _LONGEST_TOKENS


class Settled(msgspec.Struct, kw_only=True):
    """What a request says of thinking, sampling and length, as its model takes it; `left_out` is what it does not."""

    max_tokens: int
    thinking: dict[str, str | int] | None = None
    effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    left_out: list[Used] = msgspec.field(default_factory=list)


def settled(request: ChatRequest, *, loop_without_thoughts: bool) -> Settled:
    """Return what a model takes of a request.

    `loop_without_thoughts`: tools are being called in a turn that does not begin with a signed thought, which is
    refused where a budget is set.
    """
    generation = generation_of(request.model)
    limit = request.max_output_tokens
    found = Settled(max_tokens=generation.answer_tokens if limit is None else limit)
    if request.reasoning is not None:
        _think(request, request.reasoning, generation, found, loop_without_thoughts=loop_without_thoughts)
    _sample(request, generation, found)
    return found


def _think(
    request: ChatRequest, wanted: Reasoning, generation: Generation, found: Settled, *, loop_without_thoughts: bool
) -> None:
    if wanted.off or wanted.effort == "none":
        if generation.always_thinks:
            found.effort = "low"
            found.left_out.append(Used(Feature.REASONING, "reasoning.off"))
        elif generation.thinks != "never":
            found.thinking = {"type": "disabled"}
        return
    choice = request.tool_choice
    forced = generation.version is not None and choice is not None and choice.mode == "required"
    if generation.thinks == "never" or forced:
        found.left_out.append(Used(Feature.REASONING, "reasoning"))
        if forced and generation.thinks_unasked and not generation.always_thinks:
            found.thinking = {"type": "disabled"}
        return
    if _adapts(wanted, generation):
        found.thinking = {"type": "adaptive"}
        effort = wanted.effort or (None if wanted.budget_tokens is None else effort_of(wanted.budget_tokens))
        found.effort = None if effort is None else _effort_word(effort, generation)
        if wanted.budget_tokens is not None:
            found.left_out.append(Used(Feature.REASONING_BUDGET, "reasoning.budget_tokens"))
    else:
        budget = None if loop_without_thoughts else _budget(request, wanted, generation, found)
        if budget is None:
            found.left_out.append(Used(Feature.REASONING, "reasoning"))
            return
        found.thinking = {"type": "enabled", "budget_tokens": budget}
    if wanted.shown is not None:
        found.thinking["display"] = "summarized" if wanted.shown else "omitted"


def _adapts(wanted: Reasoning, generation: Generation) -> bool:
    match generation.thinks:
        case "adaptive":
            return True
        case "either":
            return wanted.budget_tokens is None
        case _:
            return generation.version is None and wanted.adaptive


def _effort_word(effort: Effort, generation: Generation) -> str:
    if effort in ("none", "minimal"):
        return "low"
    return "high" if effort == "xhigh" and generation.thinks == "either" else effort


def _budget(request: ChatRequest, wanted: Reasoning, generation: Generation, found: Settled) -> int | None:
    """Return the budget that fits into the longest answer; `None` where none does. Makes room where it may."""
    budget = wanted.budget_tokens
    if budget is None:
        # An adaptive model thinks with high effort unless it is told otherwise.
        budget = budget_of(wanted.effort or ("high" if wanted.adaptive else "medium"))
        if request.max_output_tokens is not None:
            budget = min(budget, request.max_output_tokens // 2)
    if request.max_output_tokens is None:
        budget = min(budget, generation.longest_tokens - ANSWER_TOKENS)
        found.max_tokens = max(found.max_tokens, budget + ANSWER_TOKENS)
    budget = min(budget, found.max_tokens - 1)
    return budget if budget >= LEAST_BUDGET_TOKENS else None


def _sample(request: ChatRequest, generation: Generation, found: Settled) -> None:
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if temperature is not None:
        temperature = min(temperature, 1)
    if generation.version is not None:
        thinks = found.thinking is not None and found.thinking["type"] != "disabled"
        never = generation.samples == "never"
        if temperature is not None and (never or (thinks and temperature != 1)):
            if temperature != 1:
                found.left_out.append(Used(Feature.TEMPERATURE, "temperature"))
            temperature = None
        both = temperature is not None and generation.samples == "one"
        if top_p is not None and (never or both or (thinks and top_p < 0.95)):
            found.left_out.append(Used(Feature.TOP_P, "top_p"))
            top_p = None
        if top_k is not None and (never or thinks):
            found.left_out.append(Used(Feature.TOP_K, "top_k"))
            top_k = None
    found.temperature, found.top_p, found.top_k = temperature, top_p, top_k

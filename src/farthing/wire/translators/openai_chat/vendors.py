"""What can be told from a model's name, because the format is spoken by many and they do not agree.

Only what is certain is here: OpenAI's reasoning models take `max_completion_tokens` and refuse `max_tokens`, everybody
knows `max_tokens`; its other models refuse an effort. DeepSeek, z.ai and Xiaomi have a switch for thinking. Mistral
refuses ids of calls that are not nine letters or digits, OpenAI those of over 40 characters, and names of users and
keys of over 64.
"""

import hashlib
import re
from typing import Any

from farthing.types.chat import Effort, Reasoning
from farthing.wire.translators.efforts import effort_of

_REASONERS = re.compile(r"(gpt-[5-9]|o[1-9])(?![0-9a-z])")
_OTHERS = re.compile(
    r"gpt-3\.5|gpt-4|chatgpt-|gpt-5-chat|llama|(?:open-)?(?:mis|minis|mix|codes|devs|pix|vox)tral|gemma|phi-|command|qwen-?2"
)
"""Models that do not think; those of OpenAI, Groq and Mistral refuse to be told how much."""
_SWITCHED = ("deepseek-", "glm-", "mimo-")
"""Their makers' own names: who serves these models to others puts a name before them, and has another switch."""
_MISTRALS = re.compile(r"(open-)?(mis|minis|magis|codes|devs|pix|vox|mix)tral")
_MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")

MAX_ID_CHARS = 40
MAX_NAME_CHARS = 64


def is_openai_reasoner(model: str) -> bool:
    """Whether a model is one of OpenAI's that think, with or without a vendor's name before it."""
    return _REASONERS.match(_bare(model)) is not None


def add_reasoning(members: dict[str, Any], model: str, reasoning: Reasoning) -> None:
    """Add what tells a model how much to think, where it would not refuse that."""
    effort = _effort_for(model, reasoning)
    if effort is not None:
        members["reasoning_effort"] = effort
    elif (reasoning.off or reasoning.adaptive) and model.startswith(_SWITCHED):
        members["thinking"] = {"type": "disabled" if reasoning.off else "enabled"}


def _effort_for(model: str, reasoning: Reasoning) -> Effort | None:
    """Return the effort to ask a model for; `None` where it is left to the model, or it would refuse any."""
    bare = _bare(model)
    if _OTHERS.match(bare):
        return None
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.budget_tokens is not None:
        return effort_of(reasoning.budget_tokens)
    if reasoning.off and _REASONERS.match(bare):
        # Those since GPT-5.1 can be told not to think, and those before only to think little.
        if bare.startswith("gpt-5") and not bare.startswith("gpt-5."):
            return "minimal"
        return "low" if bare.startswith("o") else "none"
    return None


def fitting_id(call_id: str, model: str) -> str:
    """Return a call's id, or what stands for it wherever it is named, should the vendor refuse it."""
    if _MISTRALS.match(_bare(model)):
        return call_id if _MISTRAL_ID.fullmatch(call_id) else _digest(call_id)[:9]
    return call_id if len(call_id) <= MAX_ID_CHARS else f"call_{_digest(call_id)[:32]}"


def fitting_name(name: str) -> str:
    """Return a user's name or a key, or what stands for it, should it be too long: Claude Code's has 150 characters."""
    return name if len(name) <= MAX_NAME_CHARS else _digest(name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _bare(model: str) -> str:
    return model.rpartition("/")[2].lower()

"""How long an answer a request allows, in each format: the limit that its client set, and how many answers it asks for.

What surprised us: providers take numbers that are none. Gemini reads its whole numbers from texts ("8000"), servers in
Python take "8000" and 8000.0, and legacy completions write one answer for each prompt of a list. Where two names mean
the same limit, the larger is believed, as nobody knows which one a server reads.
"""

from typing import Any, Final

import msgspec

from farthing.providers.protocol import Provider
from farthing.types.providers import WireFormat
from farthing.wire.peek import MAX_DIGITS, Envelope

MOST_CANDIDATES = 8
"""Answers that Gemini gives at most; counted where its settings cannot be read."""
_NOTHING = (None, b"null")
_CONFIGS = ("generationConfig", "generation_config")
_GEMINI_LIMITS = ("maxOutputTokens", "max_output_tokens")
LIMITS: Final[dict[WireFormat, tuple[str, ...]]] = {
    "openai_chat": ("max_completion_tokens", "max_tokens"),
    "openai_responses": ("max_output_tokens",),
    "openai_completions": ("max_tokens",),
    "anthropic_messages": ("max_tokens",),
}
_KNOWN_TO_OPENAI, _KNOWN_TO_ALL = LIMITS["openai_chat"]
_OPENAIS = frozenset({"openai", "azure"})
"""Kinds of providers that know both names of that limit, and refuse two of them."""
_CHOICES: dict[WireFormat, tuple[str, ...]] = {
    "openai_chat": ("n", "best_of"),
    "openai_completions": ("n", "best_of"),
}
SEVERAL = frozenset({"n", "best_of", "prompt"})
"""Members that may ask for more than one answer."""


def limit_of(envelope: Envelope, wire: WireFormat) -> int | None:
    """Return how many tokens one answer may have by what the client asked for; `None` where it set no limit."""
    most: int | None = None
    found: list[Any] = []
    names = LIMITS.get(wire)
    if names is not None:
        members = envelope.members
        for name in names:
            if name not in members:
                continue
            number = envelope.whole(name)  # which nearly all are
            if number is None:
                found.append(envelope.value(name))
            elif most is None or number > most:
                most = number
        if not found:
            return most
    elif wire == "gemini":
        found = [config.get(name) for config in _configs(envelope) for name in _GEMINI_LIMITS]
    elif wire == "ollama":
        options = envelope.value("options")
        found = [options.get("num_predict")] if isinstance(options, dict) else []
    for value in found:
        number = _number(value)
        if number is None and value is not None:
            return None  # -1 is any length to some servers
        if number is not None and (most is None or number > most):
            most = number
    return most


def choices_of(envelope: Envelope, wire: WireFormat) -> int:
    """Return how many answers a request asks for."""
    if wire == "gemini":
        present = [name for name in _CONFIGS if envelope.raw(name) not in _NOTHING]
        configs = _configs(envelope)
        if len(configs) < len(present):
            return MOST_CANDIDATES
        found = [_number(config.get(name)) for config in configs for name in ("candidateCount", "candidate_count")]
        return max((one for one in found if one is not None), default=1)
    names = _CHOICES.get(wire, ())
    if not names or envelope.has_none(SEVERAL):
        return 1
    each = max((one for name in names if (one := _number(envelope.value(name))) is not None), default=1)
    return each * _prompts(envelope) if wire == "openai_completions" else each


def unheeded_limit(envelope: Envelope, provider: Provider, model: str) -> int | None:
    """Return the limit of a chat whose client named it as OpenAI alone is certain to know it; `None` of any other.

    DeepSeek passes over `max_completion_tokens` without a word and writes as long an answer as it likes (told by
    https://github.com/earendil-works/pi/issues/8018, 2026-08), others refuse it. Who serves a model that OpenAI knows
    by no other name knows it.
    """
    if _KNOWN_TO_OPENAI not in envelope.members or provider.known.kind in _OPENAIS:
        return None
    if _number(envelope.value(_KNOWN_TO_ALL)) is not None:
        return None
    from farthing.wire.translators.openai_chat.vendors import is_openai_reasoner  # noqa: PLC0415 - seldom needed

    return None if is_openai_reasoner(model) else limit_of(envelope, "openai_chat")


def answer_limit(envelope: Envelope, wire: WireFormat) -> int | None:
    """Return how many tokens all choices of an answer may have by what the client asked for; `None` where any."""
    limit = limit_of(envelope, wire)
    return None if limit is None else limit * choices_of(envelope, wire)


def refuse_settings_twice(envelope: Envelope) -> None:
    """Raise where a limit may stand twice in Gemini's settings of an answer: nobody knows which one counts."""
    for name in _CONFIGS:
        raw = envelope.raw(name)
        if raw is not None and raw.startswith(b"{"):
            Envelope(raw).spliced({})


def with_limit(envelope: Envelope, wire: WireFormat, provider: Provider, tokens: int) -> dict[str, bytes]:
    """Return the members that limit an answer to so many tokens, in the client's format, under every name it used."""
    number = msgspec.json.encode(tokens)
    if wire == "gemini":
        name = "generation_config" if "generation_config" in envelope else "generationConfig"
        return {name: msgspec.json.encode(_but(envelope.value(name), _GEMINI_LIMITS) | {"maxOutputTokens": tokens})}
    if wire == "ollama":
        return {"options": msgspec.json.encode(_but(envelope.value("options"), ()) | {"num_predict": tokens})}
    names = LIMITS.get(wire, ())
    used = [name for name in names if envelope.raw(name) not in _NOTHING]  # OpenAI refuses two of them
    if wire == "openai_chat" and provider.known.kind not in _OPENAIS:
        return dict.fromkeys([_KNOWN_TO_ALL, *used], number)
    return dict.fromkeys([*names[:1], *used], number)


def _configs(envelope: Envelope) -> list[dict[str, Any]]:
    """Return Gemini's settings of an answer that can be read, by either name."""
    return [value for name in _CONFIGS if isinstance(value := envelope.value(name), dict)]


def _but(value: Any, without: tuple[str, ...]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name not in without} if isinstance(value, dict) else {}


def _prompts(envelope: Envelope) -> int:
    """Return how many prompts there are: each is answered. One may also be a list of tokens."""
    raw = envelope.raw("prompt") or b""
    if raw[:1] != b"[" or raw[1:64].lstrip()[:1].isdigit():
        return 1
    prompts = envelope.value("prompt")
    if prompts is None:  # too large to be decoded: each of several has a comma behind it
        return raw.count(b",") + 1
    return max(1, sum(1 for one in prompts if isinstance(one, (str, list))))


def _number(value: Any) -> int | None:
    """Return the whole number above 0 that a server may read; `None` where none does."""
    if isinstance(value, str) and 0 < len(value) <= MAX_DIGITS:
        try:
            value = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            return None
    if isinstance(value, float) and 0 < value < 10**MAX_DIGITS:
        value = -int(-value // 1)  # some round up, and some refuse it
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None

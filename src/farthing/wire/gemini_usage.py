"""What Gemini reports of its use: tokens, tiers, and searches with Google.

What surprised us: counts that are 0 are left out, and so are whole prompts made of a PDF or a video, which show in the
total alone. Thoughts, and what server tools gave the model to read, stand beside the two main counts and not in them.

A search with Google is a fee of its own. Up to Gemini 2.5 it is one per answer that searched, however often; from
Gemini 3 on one per distinct query that is not empty (ai.google.dev/gemini-api/docs/pricing, read in November 2026). The
list prices for searches are for exactly these units. What Google gives away per day or month we cannot know, so that
the fee is at most what we say. Grounding with Maps has no price in the list and is not counted.
"""

import re
from collections.abc import Collection
from typing import Annotated, Any

import msgspec

from farthing.types.usage import Usage
from farthing.wire.error_words import MAX_TEXT
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import MAX_COUNT, Counts, check_parts

_WRITTEN = ("candidatesTokenCount", "thoughtsTokenCount")
_PER_PROMPT = re.compile(r"(?:models/)?gemini-[12](?:\.|-)")
"""Models whose searches are one fee per answer."""
_IMAGES = ("IMAGE", "DOCUMENT", 2, 5)
"""Modalities whose tokens cost what a picture's cost; a document is read as pictures of its pages."""
_AUDIO = ("AUDIO", 4)
_TIERS = {
    "on_demand": "standard",
    "unspecified": "standard",
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
    "1": "standard",
    "2": "provisioned_throughput",
}
"""Vertex calls its tiers kinds of traffic, and numbers them where a client asks for numbers."""


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
_Few = Annotated[int, msgspec.Meta(gt=0, le=MAX_COUNT)]


class _Text(msgspec.Struct, tag_field="modality", tag="TEXT", gc=False):
    tokenCount: _Count = 0  # noqa: N815 - the wire's names here and below


_Texts = Annotated[list[_Text], msgspec.Meta(max_length=1)]


class _PlainUsage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The usage that nearly every answer has; whatever else is in it goes the long way."""

    promptTokenCount: _Few  # noqa: N815
    candidatesTokenCount: _Few  # noqa: N815
    totalTokenCount: _Few  # noqa: N815
    thoughtsTokenCount: _Count = 0  # noqa: N815
    promptTokensDetails: _Texts | None = None  # noqa: N815
    candidatesTokensDetails: _Texts | None = None  # noqa: N815
    serviceTier: str | None = None  # noqa: N815
    trafficType: str | None = None  # noqa: N815


_plain_usages = msgspec.json.Decoder(_PlainUsage)


def plain_usage(raw: msgspec.Raw) -> tuple[Usage | None, str | None]:
    """Return a usage without anything odd in it and its tier, in a fifth of the long way's time; else twice `None`."""
    try:
        plain = _plain_usages.decode(raw)
    except UNREADABLE:
        return None, None
    written = plain.candidatesTokenCount + plain.thoughtsTokenCount
    if plain.promptTokenCount + written != plain.totalTokenCount:
        return None, None
    named = plain.serviceTier or plain.trafficType
    tier = None if named is None else service_tier({"trafficType": named})
    return Usage(
        input_tokens=plain.promptTokenCount, output_tokens=written, reasoning_output_tokens=plain.thoughtsTokenCount
    ), tier


def read_usage(usage: Any, searches: int = 0, *, silent: bool = False) -> Usage | None:
    """Return the usage in our shape; `None` where it counts nothing. Never raises.

    `silent` says that nothing was written (an embedding, a blocked prompt), so that a count of it may be left out.
    """
    if not isinstance(usage, dict):
        return None
    counts = Counts()
    prompt, tools = counts.total(usage, "promptTokenCount"), counts.total(usage, "toolUsePromptTokenCount")
    said, thoughts = counts.total(usage, "candidatesTokenCount"), counts.total(usage, "thoughtsTokenCount")
    total = counts.total(usage, "totalTokenCount")
    if prompt is None and said is None and thoughts is None and tools is None and not counts.flags:
        return None
    unread = any(
        usage.get(name) is not None and count is None for name, count in zip(_WRITTEN, (said, thoughts), strict=True)
    )
    nothing, written = said is None and thoughts is None, (said or 0) + (thoughts or 0)
    read = None if prompt is None else prompt + (tools or 0)
    if total is not None and total != (read or 0) + written:
        counts.flag("total_disagrees")
        if read is None and total > written:
            # A prompt of a PDF or a video is left out and is in the total (693 = 1 written + 117 thought + 575).
            read = total - written
        elif read is not None and nothing:
            written = max(0, total - read)
    cached = counts.part(usage, "cachedContentTokenCount")
    check_parts(counts, read, cached, 0)
    details = usage.get("promptTokensDetails") or usage.get("promptTokenDetails")
    in_tools, in_cache = usage.get("toolUsePromptTokensDetails"), usage.get("cacheTokensDetails")
    made = usage.get("candidatesTokensDetails")
    seen = _tokens(counts, details, _IMAGES) + _tokens(counts, in_tools, _IMAGES)
    return Usage(
        input_tokens=read,
        # A prompt's count alone says nothing of what was written, and neither does a count that is none.
        output_tokens=None if unread or (nothing and total is None and not silent) else written,
        cache_read_input_tokens=cached,
        input_audio_tokens=_tokens(counts, details, _AUDIO) + _tokens(counts, in_tools, _AUDIO),
        cache_read_audio_tokens=_tokens(counts, in_cache, _AUDIO),
        # Pictures in the cache cost what the cache costs, so only those read afresh are told apart.
        input_image_tokens=max(0, seen - _tokens(counts, in_cache, _IMAGES)),
        reasoning_output_tokens=thoughts or 0,
        output_audio_tokens=_tokens(counts, made, _AUDIO),
        output_image_tokens=_tokens(counts, made, _IMAGES),
        web_search_requests=searches,
        flags=tuple(counts.flags),
    )


def billed_searches(queries: Collection[str], model: str | None) -> int:
    """Return how many fees the distinct queries of an answer are."""
    if queries and model is not None and _PER_PROMPT.match(model):
        return 1
    return len(queries)


def service_tier(usage: dict[str, Any]) -> str | None:
    """Return the service tier, under the name that price lists use."""
    for name in ("serviceTier", "trafficType"):
        tier = usage.get(name)
        if isinstance(tier, str | int) and not isinstance(tier, bool) and tier:
            lowered = str(tier)[:MAX_TEXT].lower()
            return _TIERS.get(lowered, lowered)
    return None


def _tokens(counts: Counts, details: Any, modalities: tuple[str | int, ...]) -> int:
    """Return the tokens of these modalities in a list of `{"modality": ..., "tokenCount": ...}`."""
    if not isinstance(details, list):
        return 0
    found = 0
    for row in details:
        if isinstance(row, dict):
            modality = row.get("modality")
            if isinstance(modality, str | int) and not isinstance(modality, bool) and modality in modalities:
                found += counts.part(row, "tokenCount")
    return found

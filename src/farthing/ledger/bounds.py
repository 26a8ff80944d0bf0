"""What may enter the ledger: counts, costs and texts so bounded that nothing which is written can spoil what follows.

Whatever a provider can cause is mended and shows as unknown; refusing it here would lose the attempt, and an assertion
would take the call down with it. What surprised us: counts that are each harmless add up past 64 bits within a day's
total, and a store that refuses one sum refuses every batch after it.
"""

import msgspec
from msgspec.structs import astuple

from farthing.types.calls import Attempt, Progress
from farthing.types.usage import NO_PARTS, Usage

MAX_COUNT = (1 << 32) - 1
"""Four thousand million tokens in one attempt, a thousand times the largest context. Two thousand million such attempts
fit a total's 64 bits: as many as 10,000 calls a second make in two and a half days."""

MAX_COST_NANOUSD = 10**13
"""10,000 US dollars. A context of ten million tokens at 600 dollars a million, the dearest that was ever listed, comes
to 6,000; what is beyond is nonsense. 900,000 such attempts fit 64 bits."""

MAX_MESSAGE = 2_000
"""Characters of an error's message that are kept when a record is too long."""
MAX_TEXT = 512
"""Characters of any other text that are kept then."""

_COUNTS = tuple(name for name in Usage.__struct_fields__ if name != "flags")
_TOTALS = ("input_tokens", "output_tokens")


def bounded(attempt: Attempt) -> Attempt:
    """Return the attempt with counts and costs that nobody can mean made unknown; most are returned as they are."""
    cost, reported = attempt.cost_nanousd, attempt.reported_cost_nanousd
    if all_counts(attempt.usage) > MAX_COUNT:
        usage = bounded_usage(attempt.usage)
        attempt = msgspec.structs.replace(attempt, usage=usage, cost_nanousd=None, cost_basis="unknown")
    elif cost is not None and cost > MAX_COST_NANOUSD:
        attempt = msgspec.structs.replace(attempt, cost_nanousd=None, cost_basis="unknown")
    if reported is not None and reported > MAX_COST_NANOUSD:
        attempt = msgspec.structs.replace(attempt, reported_cost_nanousd=None)
    return attempt


def bounded_progress(progress: Progress) -> Progress:
    """Return the checkpoint with its counts and cost mended in the same way."""
    cost = progress.cost_nanousd
    if all_counts(progress.usage) > MAX_COUNT:
        return msgspec.structs.replace(progress, usage=bounded_usage(progress.usage), cost_nanousd=None)
    if cost is not None and cost > MAX_COST_NANOUSD:
        return msgspec.structs.replace(progress, cost_nanousd=None)
    return progress


def bounded_usage(usage: Usage) -> Usage:
    """Return the usage without the counts beyond the bound: totals become unknown, parts nothing, and a flag tells."""
    changes: dict[str, int | None] = {
        name: None if name in _TOTALS else 0 for name in _COUNTS if (getattr(usage, name) or 0) > MAX_COUNT
    }
    if not changes:
        return usage
    flags = usage.flags if "malformed_count" in usage.flags else (*usage.flags, "malformed_count")
    return msgspec.structs.replace(usage, flags=flags, **changes)


def all_counts(usage: Usage) -> int:
    """Return the bits of all counts together: negative where one is, and beyond a power of two where one is.

    Spelled out, because every attempt passes here: `min` and `max` over them take five times as long.
    """
    if astuple(usage)[2:-1] == NO_PARTS:
        return (usage.input_tokens or 0) | (usage.output_tokens or 0)
    return (
        (usage.input_tokens or 0)
        | (usage.output_tokens or 0)
        | usage.cache_read_input_tokens
        | usage.cache_creation_5m_input_tokens
        | usage.cache_creation_1h_input_tokens
        | usage.input_audio_tokens
        | usage.cache_read_audio_tokens
        | usage.reasoning_output_tokens
        | usage.output_audio_tokens
        | usage.input_image_tokens
        | usage.output_image_tokens
        | usage.web_search_requests
    )


def with_plain_texts(attempt: Attempt) -> Attempt:
    """Return the attempt with its own texts cut, and question marks where they hold what UTF-8 cannot.

    For the rare record that cannot be written as it is; the opening's texts were refused at the beginning.
    """
    texts = {
        name: text[: MAX_MESSAGE if name == "error_message" else MAX_TEXT].encode("utf-8", "replace").decode()
        for name, text in msgspec.structs.asdict(attempt).items()
        if isinstance(text, str)
    }
    return msgspec.structs.replace(attempt, **texts)

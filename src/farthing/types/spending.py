"""Sums over a time, by any few of the things that an attempt is known by: what exports and reports are made of.

Integers only; money is nanodollars, and a sum is over what is known. How much it is silent about stands beside it.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

SpendingBy = Literal[
    "day",  # the UTC day an attempt began on
    "provider",
    "model",  # as it was sent
    "model_served",  # as the answer called it, else as it was sent
    "operation",
    "key",  # by its name of now
    "organisation",
    "team",
    "project",
    "user",
    "session",
    "conversation",
    "task",
    "sub_agent",
    "branch",
    "pull_request",
    "tag",  # each of an attempt's tags by itself: what has two stands in two groups
    "tags",  # all of them together, in order of the alphabet: `nightly,search`
    "face",
    "outcome",
    "price_id",
    "service_tier",
]


class SpendingRow(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one group. `groups` says which, in the order it was asked by; `None` is what has no such thing.

    `failed_attempts` ended with the provider's error, or never reached it; `free_attempts` ended well and cost 0, and
    `free_tokens` is what they read and wrote. Parts are inclusive, as everywhere: `input_tokens` counts what came from
    the cache and what went into it, and `largest_input_tokens` is that of the longest attempt. `media_tokens` are sound
    and images, read and written.
    """

    groups: tuple[str | None, ...]
    calls: int
    attempts: int
    failed_attempts: int
    free_attempts: int
    free_tokens: int
    input_tokens: int
    largest_input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_5m_input_tokens: int
    cache_creation_1h_input_tokens: int
    reasoning_output_tokens: int
    media_tokens: int
    web_search_requests: int
    cost_nanousd: int
    unknown_cost_attempts: int
    estimated_attempts: int
    unknown_usage_attempts: int

    @property
    def cache_creation_input_tokens(self) -> int:
        """Tokens written to the provider's prompt cache, whatever their lifetime."""
        return self.cache_creation_5m_input_tokens + self.cache_creation_1h_input_tokens

    @property
    def known_cost_nanousd(self) -> int | None:
        """The sum, `None` where it is silent about every attempt."""
        nothing_known = self.attempts > 0 and self.unknown_cost_attempts == self.attempts
        return None if nothing_known else self.cost_nanousd


class SpendingScope(msgspec.Struct, frozen=True):
    """Only what is known by this: `SpendingScope("project", "site")`; the value `None` is what has no project.

    By `tag`: what has this tag among its others.
    """

    by: SpendingBy
    value: str | None


def none_spent(groups: tuple[str | None, ...] = ()) -> SpendingRow:
    """Return the sums over nothing."""
    return SpendingRow(groups=groups, **dict.fromkeys(SpendingRow.__struct_fields__[1:], 0))


def together(rows: Sequence[SpendingRow], groups: tuple[str | None, ...] = ()) -> SpendingRow:
    """Return the sums of several groups as one; its `calls` is an upper bound, as one call may stand in two groups."""
    sums = {name: sum(getattr(row, name) for row in rows) for name in SpendingRow.__struct_fields__[1:]}
    sums["largest_input_tokens"] = max((row.largest_input_tokens for row in rows), default=0)
    return SpendingRow(groups=groups, **sums)

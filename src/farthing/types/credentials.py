"""What belongs to a credential beside its secret: how much of it may be used, and what its provider says is left."""

from typing import Annotated

import msgspec
from msgspec import Meta

Amount = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]
"""A trillion tokens a day is beyond every account; whoever writes more has slipped."""
Cost = Annotated[int, Meta(ge=1, le=1_000_000_000_000_000_000)]
"""Nanodollars: up to a billion dollars."""


class Quotas(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that may be used of one credential in a span of time; `None` is no limit of ours."""

    requests_per_minute: Amount | None = None
    requests_per_hour: Amount | None = None
    requests_per_day: Amount | None = None
    tokens_per_minute: Amount | None = None
    tokens_per_hour: Amount | None = None
    tokens_per_day: Amount | None = None
    nanousd_per_minute: Cost | None = None
    nanousd_per_hour: Cost | None = None
    nanousd_per_day: Cost | None = None
    concurrency: Amount | None = None
    """Calls under way at once."""


NO_QUOTAS = Quotas()


class Learned(msgspec.Struct, frozen=True):
    """One limit of an account as its provider's headers told it: of what, how many, how many are left, until when.

    `None` is what was not told.
    """

    kind: str
    limit: int | None = None
    remaining: int | None = None
    resets_at_us: int | None = None

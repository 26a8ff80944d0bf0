"""What was spent and what failed, hour by hour: what forecasts and alerts look back on.

Hours are UTC hours. What calls of unknown cost were held at counts as spent, as it does in budgets.
"""

from typing import Literal

import msgspec

HOUR_US = 3_600_000_000

GroupedBy = Literal["organisation", "team", "project", "key_id", "user"]
GROUPED_BY: tuple[GroupedBy, ...] = ("user", "key_id", "project", "team", "organisation")
"""The narrowest first."""


class HourTotal(msgspec.Struct, frozen=True, kw_only=True):
    """One hour's sums; an hour without attempts has none."""

    hour_us: int
    spent_nanousd: int
    attempts: int
    failed: int
    """Those that the provider failed: no answer, a broken one, or a status that is not the client's doing."""


class ProviderOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts at a provider there were in a time, and how many it failed."""

    provider: str
    attempts: int
    failed: int


CLIENTS_STATUSES = (400, 404, 405, 406, 410, 411, 413, 414, 415, 422)
"""With these a provider says that the request was wrong; it would be at any other time."""


def is_failed(outcome: str, http_status: int | None) -> bool:
    """Whether an attempt counts as the provider's failure."""
    if outcome == "provider_error":
        return http_status not in CLIENTS_STATUSES
    return outcome in ("provider_cut", "unreachable", "timeout")

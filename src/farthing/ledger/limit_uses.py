"""How much of limits is used now, over all processes, for people to look at.

What a process used in the last half second is not told yet. What it has leased ahead is told beside it: it may be used
without asking anybody, or come back.
"""

from collections.abc import Sequence

import msgspec

from farthing.storage.limit_protocols import WindowStore
from farthing.types.limits import Limit, Rate, WindowUse, name_of_rule, subject_in

MAX_LIMITS = 1_000
"""Limits whose windows are looked for at once, 0.3 ms each in a database over the network."""
FULLEST = 5
"""Windows of each rate that are told: a limit of each key has as many as there are keys."""


class RateUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a subject has used of one of a limit's rates, in the rate's unit.

    `held` is leased to processes beside it. `ends_us` is when nothing of what is used will count any more.
    """

    rate: Rate
    subject: str
    used: int
    held: int
    ends_us: int | None

    @property
    def left(self) -> int:
        """What may still be used, by whoever asks first."""
        return max(0, self.rate.amount - self.used)


async def uses_of(windows: WindowStore, limits: Sequence[Limit], *, now_us: int) -> dict[str, list[RateUse]]:
    """Return what is used of limits, by their ids: of each rate the fullest windows, of which anything is used.

    Raises:
        StoreError: the windows cannot be asked about.
    """
    rules = {name_of_rule(limit, rate): (limit, rate) for limit in limits[:MAX_LIMITS] for rate in limit.rates}
    found: dict[str, list[RateUse]] = {}
    for use in await windows.uses([*rules], at_most=FULLEST, now_us=now_us):
        rule, subject = subject_in(use.window)
        limit, rate = rules[rule]
        found.setdefault(limit.id, []).append(_of_rate(rate, subject, use))
    return found


def _of_rate(rate: Rate, subject: str, use: WindowUse) -> RateUse:
    return RateUse(rate=rate, subject=subject, used=use.used, held=use.held, ends_us=use.ends_us)

"""Old lines in memory: they are put aside, out of every list and still in every sum."""

from collections.abc import MutableMapping

import msgspec

from farthing.types.calls import Attempt
from farthing.types.retention import QUARTER_US, Retained, Waiting


class MemoryRetention:
    """See `RetentionStore`; `kept` are the lines, and `gone` those that have expired, as they are summed up."""

    def __init__(self, kept: MutableMapping[str, Attempt]) -> None:
        self._kept = kept
        self.gone: dict[str, Attempt] = {}
        self._leader = ("", 0)
        self._retained = Retained()

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """See `RetentionStore.lead`."""
        leads = self._leader[0] == holder or self._leader[1] <= now_us
        if leads:
            self._leader = (holder, until_us)
        return leads

    async def expire(self, before_us: int, limit: int, now_us: int) -> int:
        """See `RetentionStore.expire`."""
        lines = sorted(self._kept.values(), key=lambda one: one.opening.started_at_us)
        young = {one.opening.call_id for one in lines if one.opening.started_at_us >= before_us}
        old = {one.opening.call_id for one in lines[:limit]} - young
        expired = [one for one in lines if one.opening.call_id in old]
        for one in expired:
            opening = msgspec.structs.replace(
                one.opening, started_at_us=one.opening.started_at_us // QUARTER_US * QUARTER_US
            )
            self.gone[opening.attempt_id] = msgspec.structs.replace(one, opening=opening)
            del self._kept[opening.attempt_id]
        if expired:
            self._retained = Retained(
                kept_from_us=max(self._retained.kept_from_us or 0, before_us),
                expired=self._retained.expired + len(expired),
                expired_at_us=now_us,
            )
        return len(expired)

    async def retained(self) -> Retained:
        """See `RetentionStore.retained`."""
        return self._retained

    async def waiting(self, before_us: int) -> Waiting:
        """See `RetentionStore.waiting`."""
        starts = [at_us for one in self._kept.values() if (at_us := one.opening.started_at_us) < before_us]
        return Waiting(len(starts), min(starts, default=None))

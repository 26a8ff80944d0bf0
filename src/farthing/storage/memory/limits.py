"""Limits and their windows in memory: what a store must do with them, said as plainly as it can be."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from farthing.types.limits import (
    WANTED_US,
    Exchanged,
    Limit,
    LimitChanges,
    WindowAnswer,
    WindowAsk,
    WindowUse,
    by_use,
    grant_of,
    subject_in,
)
from farthing.types.windows import Ring, leaves_us


class MemoryLimits:
    """See `LimitStore`."""

    def __init__(self) -> None:
        self._rules: dict[str, Limit] = {}
        self._changes = 0
        self._changed: dict[str, int] = {}  # with those that were removed

    async def all(self) -> list[Limit]:
        """See `LimitStore.all`."""
        return sorted(self._rules.values(), key=lambda rule: rule.name)

    async def page(self, after: str, limit: int) -> list[Limit]:
        """See `LimitStore.page`."""
        return [one for one in await self.all() if one.name > after][:limit]

    async def found(self, name_or_id: str) -> Limit | None:
        """See `LimitStore.found`."""
        found = [one for one in await self.all() if name_or_id in (one.name, one.id)]
        return min(found, key=lambda one: one.id != name_or_id, default=None)

    async def put(self, limit: Limit) -> bool:
        """See `LimitStore.put`."""
        if any(rule.name == limit.name and rule.id != limit.id for rule in self._rules.values()):
            return False
        self._rules[limit.id] = limit
        self._note_change(limit.id)
        return True

    async def remove(self, limit_id: str) -> bool:
        """See `LimitStore.remove`."""
        if self._rules.pop(limit_id, None) is None:
            return False
        self._note_change(limit_id)
        return True

    async def changes(self, since: int) -> LimitChanges:
        """See `LimitStore.changes`."""
        changed = [name for name, at in self._changed.items() if at > since]
        return LimitChanges(
            counter=self._changes,
            put=tuple(self._rules[name] for name in changed if name in self._rules),
            removed=tuple(name for name in changed if name not in self._rules),
        )

    def _note_change(self, limit_id: str) -> None:
        self._changes += 1
        self._changed[limit_id] = self._changes


class _Lease(msgspec.Struct):
    amount: int
    until_us: int


class _Window(msgspec.Struct):
    window_us: int
    used: dict[str, Ring] = {}
    leases: dict[str, _Lease] = {}
    wanted_us: int = -WANTED_US
    wanted_by: str = ""


class MemoryWindows:
    """See `WindowStore`."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    async def exchange(self, holder: str, asks: Sequence[WindowAsk], *, now_us: int, lease_us: int) -> Exchanged:
        """See `WindowStore.exchange`."""
        return Exchanged(now_us, tuple(self._exchanged(holder, ask, now_us, now_us + lease_us) for ask in asks))

    async def wanted(self, since_us: int) -> list[str]:
        """See `WindowStore.wanted`."""
        return [name for name, window in self._windows.items() if window.wanted_us >= since_us]

    async def uses(self, rules: Sequence[str], *, at_most: int, now_us: int) -> list[WindowUse]:
        """See `WindowStore.uses`."""
        found: list[WindowUse] = []
        for rule in rules:
            of_rule = (_use(name, one, now_us) for name, one in self._windows.items() if subject_in(name)[0] == rule)
            found += sorted((one for one in of_rule if one.used or one.held), key=by_use)[:at_most]
        return found

    def _exchanged(self, holder: str, ask: WindowAsk, now_us: int, until_us: int) -> WindowAnswer:
        window = self._windows.setdefault(ask.window, _Window(ask.window_us))
        _end_leases(window, now_us, but=holder)
        told = window.used.setdefault(holder, Ring(max(ask.window_us, 1)))
        told.counts.update(ask.counts)
        slides = ask.window_us > 0
        if slides:
            for ring in window.used.values():
                ring.forget(now_us)
        used = sum(sum(ring.counts.values()) for ring in window.used.values())
        others = sum(lease.amount for name, lease in window.leases.items() if name != holder)
        granted = grant_of(ask, used, others)
        window.leases[holder] = _Lease(ask.keep + granted, until_us)
        short = granted < max(ask.need, ask.want)
        wanted = window.wanted_us > now_us - WANTED_US and window.wanted_by != holder
        if short:
            window.wanted_us, window.wanted_by = now_us, holder
        frees: Counter[int] = Counter()
        for ring in window.used.values() if short and slides else ():
            for at_us, amount in ring.frees(now_us):
                frees[at_us] += amount
        return WindowAnswer(
            held=ask.keep + granted,
            used=used,
            others=others,
            wanted=wanted,
            holders=len(window.leases),
            frees=tuple(sorted(frees.items())),
        )


def _use(name: str, window: _Window, now_us: int) -> WindowUse:
    slides = window.window_us > 0
    counts = [
        (leaves_us(sub_window, window.window_us) if slides else window.leases[holder].until_us, amount)
        for holder, ring in window.used.items()
        for sub_window, amount in ring.counts.items()
        if slides or holder in window.leases
    ]
    counts = [(ends_us, amount) for ends_us, amount in counts if ends_us > now_us and amount]
    return WindowUse(
        window=name,
        used=sum(amount for _, amount in counts),
        held=sum(lease.amount for lease in window.leases.values() if lease.until_us > now_us),
        ends_us=max((ends_us for ends_us, _ in counts), default=None) if slides else None,
    )


def _end_leases(window: _Window, now_us: int, *, but: str) -> None:
    for holder, lease in list(window.leases.items()):
        if lease.until_us <= now_us and holder != but:
            del window.leases[holder]
            if window.window_us == 0:
                window.used.pop(holder, None)
            elif lease.amount:
                gone = window.used.setdefault(f"{holder} (gone)", Ring(window.window_us))
                gone.add(lease.until_us, lease.amount)

"""The memory store: a dictionary of attempts, a dictionary of keys."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, groupby, islice

import msgspec

from farthing.storage.memory.admin import MemoryAdmin
from farthing.storage.memory.budgets import MemoryBudgets
from farthing.storage.memory.costs import costs_rows
from farthing.storage.memory.credentials import MemoryCredentials
from farthing.storage.memory.history import MemoryHistory
from farthing.storage.memory.keys import MemoryKeys
from farthing.storage.memory.limits import MemoryLimits, MemoryWindows
from farthing.storage.memory.outcomes import MemoryOutcomes
from farthing.storage.memory.retention import MemoryRetention
from farthing.storage.memory.settings import MemorySettings
from farthing.storage.memory.spending import spending_of
from farthing.storage.protocols import MAX_GROUPS
from farthing.types.calls import Attempt
from farthing.types.ledger import EVERYTHING, CostsBy, CostsFilter, CostsRow, DailyTotal, KeySpent, add_up
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_TotalKey = tuple[str, str, str, str]


class MemoryStore(MemoryKeys):
    """See `storage/protocols.py`; everything is gone with the object."""

    def __init__(self) -> None:
        super().__init__()
        self._attempts: dict[str, Attempt] = {}
        self._totals: dict[_TotalKey, DailyTotal] = {}
        self.admin = MemoryAdmin()
        self.retention = MemoryRetention(self._attempts)
        self.budgets = MemoryBudgets(self._ever)
        self.credentials = MemoryCredentials()
        self.limits = MemoryLimits()
        self.windows = MemoryWindows()
        self.alerts = self.budgets.alerts
        self.history = MemoryHistory(self._ever)
        self.settings = MemorySettings()
        self.outcomes = MemoryOutcomes()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do; what was kept can still be read."""

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """See `LedgerStore.append`."""
        new: dict[str, Attempt] = {}
        for attempt in attempts:
            attempt_id = attempt.opening.attempt_id
            if attempt_id not in self._attempts and attempt_id not in self.retention.gone:
                new.setdefault(attempt_id, attempt)
        self._attempts.update(new)
        for total in add_up(new.values()):
            key = _total_key(total)
            self._totals[key] = _merge(self._totals.get(key), total)
        self.budgets.charge(new.values(), holder)
        return len(new)

    async def intact(self) -> bool:
        """Nobody can take it away."""
        return True

    async def known(self, attempt_ids: Collection[str]) -> set[str]:
        """See `LedgerStore.known`."""
        return {one for one in attempt_ids if one in self._attempts or one in self.retention.gone}

    async def costs(
        self,
        by: CostsBy | None,
        since_us: int | None = None,
        until_us: int | None = None,
        only: CostsFilter = EVERYTHING,
        limit: int | None = None,
    ) -> list[CostsRow]:
        """See `LedgerStore.costs`."""
        names = {record.id: record.name for record in self._keys.values()}
        meant = [
            attempt
            for attempt in self._ever()
            if (since_us is None or attempt.opening.started_at_us >= since_us)
            and (until_us is None or attempt.opening.started_at_us < until_us)
        ]
        return costs_rows(meant, by, only, names)[:limit]

    async def roll_up(self, _limit: int) -> int:
        """See `LedgerStore.roll_up`. Nothing to do: what is in memory is added up at once."""
        return 0

    async def spending(
        self,
        by: Sequence[SpendingBy],
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        scope: Sequence[SpendingScope] = (),
        limit: int = MAX_GROUPS,
    ) -> list[SpendingRow]:
        """See `LedgerStore.spending`."""
        names = {record.id: record.name for record in self._keys.values()}
        return spending_of(
            self._ever(),
            by,
            scope,
            since_us=since_us,
            until_us=until_us,
            limit=limit,
            key_names=names,
        )

    async def attempts_begun(self, after_us: int, after_id: str, until_us: int, limit: int) -> list[Attempt]:
        """See `LedgerStore.attempts_begun`."""
        begun = ((attempt.opening.started_at_us, attempt.opening.attempt_id) for attempt in self._attempts.values())
        chosen = sorted(one for one in begun if (after_us, after_id) < one and one[0] < until_us)
        return [self._attempts[attempt_id] for _, attempt_id in chosen[:limit]]

    async def recent(self, limit: int, before_call_id: str | None = None) -> list[list[Attempt]]:
        """See `LedgerStore.recent`."""
        chosen = [
            attempt
            for attempt in self._attempts.values()
            if before_call_id is None or attempt.opening.call_id < before_call_id
        ]
        chosen.sort(key=_by_try)
        chosen.sort(key=lambda attempt: attempt.opening.call_id, reverse=True)
        calls = groupby(chosen, key=lambda attempt: attempt.opening.call_id)
        return [list(attempts) for _, attempts in islice(calls, limit)]

    async def call(self, call_id: str) -> list[Attempt]:
        """See `LedgerStore.call`."""
        return sorted((a for a in self._attempts.values() if a.opening.call_id == call_id), key=_by_try)

    async def call_ids(self, prefix: str, limit: int) -> list[str]:
        """See `LedgerStore.call_ids`."""
        openings = (attempt.opening for attempt in self._attempts.values())
        matching = {o.call_id for o in openings if o.call_id.startswith(prefix) or o.attempt_id.startswith(prefix)}
        return sorted(matching)[:limit]

    async def attempts_after(self, attempt_id: str, limit: int) -> list[Attempt]:
        """See `LedgerStore.attempts_after`."""
        return [self._attempts[one] for one in sorted(self._attempts) if one > attempt_id][:limit]

    async def attempts_of(self, attempt_ids: Collection[str]) -> list[Attempt]:
        """See `LedgerStore.attempts_of`."""
        return [self._attempts[one] for one in sorted(set(attempt_ids)) if one in self._attempts]

    async def repeated_tries(self, limit: int) -> list[tuple[str, int, int]]:
        """See `LedgerStore.repeated_tries`."""
        tries = Counter((a.opening.call_id, a.opening.ordinal) for a in self._attempts.values())
        return sorted((call_id, ordinal, times) for (call_id, ordinal), times in tries.items() if times > 1)[:limit]

    async def key_spent(self, key_id: str) -> KeySpent:
        """See `LedgerStore.key_spent`."""
        totals = [total for total in self._totals.values() if total.key_id == key_id]
        sums = {name: sum(getattr(total, name) for total in totals) for name in KeySpent.__struct_fields__}
        return KeySpent(**sums)

    async def daily_totals(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals`."""
        return sorted(self._totals.values(), key=_total_key)

    async def daily_totals_recomputed(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals_recomputed`."""
        return sorted(add_up(self._ever()), key=_total_key)

    async def rebuild_totals(self) -> tuple[list[DailyTotal], list[DailyTotal]]:
        """See `LedgerStore.rebuild_totals`."""
        before = await self.daily_totals()
        self._totals = {_total_key(total): total for total in add_up(self._ever())}
        return before, await self.daily_totals()

    async def damage(self) -> list[str]:
        """Nothing here can be damaged."""
        return []

    def _ever(self) -> Iterable[Attempt]:
        """Every attempt there ever was, also those that have expired."""
        return chain(self._attempts.values(), self.retention.gone.values())


def _by_try(attempt: Attempt) -> tuple[int, str]:
    return attempt.opening.ordinal, attempt.opening.attempt_id


def _total_key(total: DailyTotal) -> _TotalKey:
    return total.day, total.key_id, total.provider, total.model


def _merge(kept: DailyTotal | None, more: DailyTotal) -> DailyTotal:
    if kept is None:
        return more
    sums = {
        field: getattr(kept, field) + getattr(more, field) for field in DailyTotal.__struct_fields__[len(_KEY_FIELDS) :]
    }
    return msgspec.structs.replace(kept, **sums)


_KEY_FIELDS = ("day", "key_id", "provider", "model")

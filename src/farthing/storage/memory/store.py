"""The memory store: a dictionary of attempts, a dictionary of keys."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby, islice

import msgspec

from farthing.storage.memory.budgets import MemoryBudgets
from farthing.storage.memory.spending import spending_of
from farthing.storage.protocols import MAX_GROUPS, KeyRecord
from farthing.types.calls import Attempt
from farthing.types.ledger import CostsBy, CostsRow, DailyTotal, add_up, utc_day
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_TotalKey = tuple[str, str, str, str]


class MemoryStore:
    """See `storage/protocols.py`; everything is gone with the object."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempt] = {}
        self._totals: dict[_TotalKey, DailyTotal] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._changes = 0
        self.budgets = MemoryBudgets(self._attempts.values)

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do; what was kept can still be read."""

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """See `LedgerStore.append`."""
        new: dict[str, Attempt] = {}
        for attempt in attempts:
            attempt_id = attempt.opening.attempt_id
            if attempt_id not in self._attempts:
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
        return {attempt_id for attempt_id in attempt_ids if attempt_id in self._attempts}

    async def costs(self, by: CostsBy | None, since_us: int | None = None) -> list[CostsRow]:
        """See `LedgerStore.costs`."""
        groups: dict[str | None, list[Attempt]] = {} if by else {None: []}
        for attempt in self._attempts.values():
            if since_us is None or attempt.opening.started_at_us >= since_us:
                groups.setdefault(self._group(by, attempt), []).append(attempt)
        rows = [_costs_row(group, members) for group, members in groups.items()]
        rows.sort(key=lambda row: (row.group is None, row.group or ""))
        if by != "day":
            rows.sort(key=lambda row: -row.cost_nanousd)
        return rows

    def _group(self, by: CostsBy | None, attempt: Attempt) -> str | None:
        attribution = attempt.opening.attribution
        if by == "key" and attribution.key_id in self._keys:
            return self._keys[attribution.key_id].name
        return None if by is None else _GROUPS[by](attempt)

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
            self._attempts.values(),
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

    async def daily_totals(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals`."""
        return sorted(self._totals.values(), key=_total_key)

    async def daily_totals_recomputed(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals_recomputed`."""
        return sorted(add_up(self._attempts.values()), key=_total_key)

    async def rebuild_totals(self) -> tuple[list[DailyTotal], list[DailyTotal]]:
        """See `LedgerStore.rebuild_totals`."""
        before = await self.daily_totals()
        self._totals = {_total_key(total): total for total in add_up(self._attempts.values())}
        return before, await self.daily_totals()

    async def damage(self) -> list[str]:
        """Nothing here can be damaged."""
        return []

    async def keys(self) -> list[KeyRecord]:
        """See `KeyStore.keys`."""
        return sorted(self._keys.values(), key=lambda record: (record.created_at_us, record.id))

    async def add_key(self, record: KeyRecord) -> bool:
        """See `KeyStore.add_key`."""
        for other in self._keys.values():
            if record.name == other.name or record.id == other.id or record.digest == other.digest:
                return False
        self._keys[record.id] = record
        self._changes += 1
        return True

    async def revoke_key(self, key_id: str, at_us: int) -> bool:
        """See `KeyStore.revoke_key`."""
        record = self._keys.get(key_id)
        if record is None or record.revoked_at_us is not None:
            return False
        self._keys[key_id] = msgspec.structs.replace(record, revoked_at_us=at_us)
        self._changes += 1
        return True

    async def rename_key(self, key_id: str, name: str) -> bool:
        """See `KeyStore.rename_key`."""
        record = self._keys.get(key_id)
        if record is None or any(o.name == name for o in self._keys.values() if o.id != key_id):
            return False
        self._keys[key_id] = msgspec.structs.replace(record, name=name)
        self._changes += 1
        return True

    async def change_counter(self) -> int:
        """See `KeyStore.change_counter`."""
        return self._changes


_GROUPS: dict[CostsBy, Callable[[Attempt], str | None]] = {
    "model": lambda attempt: f"{attempt.opening.provider}:{attempt.opening.model}",
    "provider": lambda attempt: attempt.opening.provider,
    "key": lambda attempt: attempt.opening.attribution.key_name or attempt.opening.attribution.key_id,
    "session": lambda attempt: attempt.opening.attribution.session,
    "project": lambda attempt: attempt.opening.attribution.project,
    "task": lambda attempt: attempt.opening.attribution.task,
    "branch": lambda attempt: attempt.opening.attribution.branch,
    "day": lambda attempt: utc_day(attempt.opening.started_at_us),
}


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


def _costs_row(group: str | None, attempts: Iterable[Attempt]) -> CostsRow:
    members = list(attempts)
    usages = [attempt.usage for attempt in members]
    both = [a for a in members if a.reported_cost_nanousd is not None and a.cost_nanousd is not None]
    return CostsRow(
        group=group,
        calls=len({attempt.opening.call_id for attempt in members}),
        attempts=len(members),
        input_tokens=sum(usage.input_tokens or 0 for usage in usages),
        output_tokens=sum(usage.output_tokens or 0 for usage in usages),
        cache_read_input_tokens=sum(usage.cache_read_input_tokens for usage in usages),
        cache_creation_input_tokens=sum(usage.cache_creation_input_tokens for usage in usages),
        reasoning_output_tokens=sum(usage.reasoning_output_tokens for usage in usages),
        web_search_requests=sum(usage.web_search_requests for usage in usages),
        cost_nanousd=sum(attempt.cost_nanousd or 0 for attempt in members),
        unknown_cost_attempts=sum(attempt.cost_nanousd is None for attempt in members),
        estimated_attempts=sum(attempt.cost_basis == "estimated" for attempt in members),
        unknown_usage_attempts=sum(not usage.known for usage in usages),
        reported_cost_nanousd=sum(attempt.reported_cost_nanousd or 0 for attempt in both),
        comparable_cost_nanousd=sum(attempt.cost_nanousd or 0 for attempt in both),
        reported_only_nanousd=sum(a.reported_cost_nanousd or 0 for a in members if a.cost_nanousd is None),
        comparable_attempts=len(both),
        largest_difference_ppm=max((_difference_ppm(attempt) for attempt in both), default=0),
    )


def _difference_ppm(attempt: Attempt) -> int:
    """Return how far our cost is from the reported one; the same division, in floats, as SQLite's."""
    ours, theirs = attempt.cost_nanousd, attempt.reported_cost_nanousd
    if ours is None or not theirs or theirs < 0:
        return 0
    return min(int(abs(ours - theirs) * 1_000_000.0 / theirs), _LARGEST)


_LARGEST = (1 << 63) - 1

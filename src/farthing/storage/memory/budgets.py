"""Budgets in memory: what a store must do with them, said as plainly as it can be."""

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from farthing.storage.memory.alerts import MemoryAlerts
from farthing.types.alerts import Sighting, budget_level, budget_sighting
from farthing.types.budgets import (
    Account,
    AccountKey,
    Budget,
    BudgetChanges,
    LeaseAnswer,
    LeaseAsk,
    charge_of,
    earlier_spending,
    grant_of,
)
from farthing.types.calls import Attempt

Kept = Callable[[], Iterable[Attempt]]


class _Held(msgspec.Struct):
    left_nanousd: int
    until_us: int
    charged_nanousd: int = 0


class _Account(msgspec.Struct):
    key: AccountKey
    end_us: int | None
    posted_nanousd: int = 0
    unknown_nanousd: int = 0
    wanted_at_us: int = 0
    leases: dict[str, _Held] = {}

    def takes(self, attempt: Attempt) -> bool:
        """Whether the attempt belongs here."""
        at_us = attempt.opening.started_at_us
        if at_us < self.key.start_us or (self.end_us is not None and at_us >= self.end_us):
            return False
        return bool(self.key.subject.subjects_of(attempt.opening.attribution))


class MemoryBudgets:
    """See `BudgetStore`; `kept` tells which attempts there are."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.alerts = MemoryAlerts(self._sightings)
        self._rules: dict[str, Budget] = {}
        self._accounts: dict[str, _Account] = {}
        self._changes = 0
        self._changed: dict[str, int] = {}  # with those that were removed

    async def all(self) -> list[Budget]:
        """See `BudgetStore.all`."""
        return sorted(self._rules.values(), key=lambda budget: budget.name)

    async def page(self, after: str, limit: int) -> list[Budget]:
        """See `BudgetStore.page`."""
        return [one for one in await self.all() if one.name > after][:limit]

    async def found(self, name_or_id: str) -> Budget | None:
        """See `BudgetStore.found`."""
        found = [one for one in await self.all() if name_or_id in (one.name, one.id)]
        return min(found, key=lambda one: one.id != name_or_id, default=None)

    async def put(self, budget: Budget) -> bool:
        """See `BudgetStore.put`."""
        if any(one.name == budget.name and one.id != budget.id for one in self._rules.values()):
            return False
        self._rules[budget.id] = budget
        self._note_change(budget.id)
        self._forget_accounts(lambda key: key.budget_id == budget.id and key.version != budget.version)
        return True

    async def remove(self, budget_id: str) -> bool:
        """See `BudgetStore.remove`."""
        if self._rules.pop(budget_id, None) is None:
            return False
        self._forget_accounts(lambda key: key.budget_id == budget_id)
        self._note_change(budget_id)
        return True

    async def changes(self, since: int) -> BudgetChanges:
        """See `BudgetStore.changes`."""
        changed = [name for name, at in self._changed.items() if at > since]
        return BudgetChanges(
            counter=self._changes,
            put=tuple(self._rules[name] for name in changed if name in self._rules),
            removed=tuple(name for name in changed if name not in self._rules),
        )

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """See `BudgetStore.exchange`."""
        return [self._exchanged(holder, ask, now_us, until_us) for ask in asks]

    async def hold(self, holder: str, *, now_us: int, until_us: int) -> None:  # noqa: ARG002 - one clock for all
        """See `BudgetStore.hold`."""
        for account in self._accounts.values():
            if holder in account.leases:
                account.leases[holder].until_us = until_us

    async def release(self, holders: str, *, but: Collection[str] = ()) -> int:
        """See `BudgetStore.release`."""
        freed = 0
        for account in self._accounts.values():
            for holder in [one for one in account.leases if one.startswith(holders) and one not in but]:
                freed += max(account.leases.pop(holder).left_nanousd, 0)
        return freed

    async def wanted(self, since_us: int) -> list[str]:
        """See `BudgetStore.wanted`."""
        return [name for name, account in self._accounts.items() if 0 < account.wanted_at_us >= since_us]

    async def accounts(self, budget_id: str | None = None, *, at_us: int | None = None, now_us: int) -> list[Account]:
        """See `BudgetStore.accounts`."""
        found = [self._told(one, "", now_us) for one in self._accounts.values()]
        return sorted(
            (
                one
                for one in found
                if budget_id in (None, one.key.budget_id)
                and (at_us is None or (one.key.start_us <= at_us and (one.end_us is None or one.end_us > at_us)))
            ),
            key=lambda one: (one.key.budget_id, one.key.start_us, one.key.id),
        )

    async def accounts_recomputed(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.accounts_recomputed`."""
        return {name: self._added_up(account, self._kept()) for name, account in self._accounts.items()}

    async def rebuild_accounts(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.rebuild_accounts`."""
        before = {}
        for name, (posted, unknown) in (await self.accounts_recomputed()).items():
            account = self._accounts[name]
            if (account.posted_nanousd, account.unknown_nanousd) != (posted, unknown):
                before[name] = (account.posted_nanousd, account.unknown_nanousd)
                account.posted_nanousd, account.unknown_nanousd = posted, unknown
        return before

    def charge(self, attempts: Iterable[Attempt], holder: str) -> None:
        """Charge new attempts to their accounts, and to what their process had leased."""
        attempts = list(attempts)
        spent_before: dict[str, int] = {}
        for attempt in attempts:
            posted, unknown = charge_of(attempt.cost_nanousd, attempt.opening.held_nanousd)
            for account in self._accounts.values():
                if account.takes(attempt):
                    spent_before.setdefault(account.key.id, account.posted_nanousd + account.unknown_nanousd)
                    account.posted_nanousd += posted
                    account.unknown_nanousd += unknown
                    if holder in account.leases:
                        account.leases[holder].left_nanousd -= posted + unknown
                        account.leases[holder].charged_nanousd += posted + unknown

        at_us = max((one.ended_at_us for one in attempts), default=0)
        for name, before in sorted(spent_before.items()):
            seen = self._sighting(self._accounts[name], at_us)
            if seen.level != budget_level(self._rules[self._accounts[name].key.budget_id], before):
                self.alerts.see([seen])

    def _sightings(self, budget_id: str, now_us: int) -> list[Sighting] | None:
        """Return how a budget's accounts are found to be; `None` where there is no such budget."""
        if budget_id not in self._rules:
            return None
        return [
            self._sighting(one, now_us)
            for _, one in sorted(self._accounts.items())
            if one.key.budget_id == budget_id and (one.end_us is None or one.end_us > now_us)
        ]

    def _sighting(self, account: _Account, at_us: int) -> Sighting:
        key = account.key
        budget = self._rules[key.budget_id]
        posted, unknown = account.posted_nanousd, account.unknown_nanousd
        return budget_sighting(budget, key.id, key.subject, account.end_us, posted, unknown, at_us)

    def _note_change(self, budget_id: str) -> None:
        self._changes += 1
        self._changed[budget_id] = self._changes

    def _exchanged(self, holder: str, ask: LeaseAsk, now_us: int, until_us: int) -> LeaseAnswer:
        budget = self._rules.get(ask.key.budget_id)
        if budget is None or budget.version != ask.key.version or not budget.enabled:
            return LeaseAnswer(account=None)
        kept = self._accounts.get(ask.key.id)
        if kept is None:
            kept = self._accounts[ask.key.id] = _Account(ask.key, ask.end_us)
            span = earlier_spending(budget, ask.key, ask.end_us) or (0, 0)
            earlier = [one for one in self._kept() if span[0] <= one.opening.started_at_us < span[1]]
            kept.posted_nanousd, kept.unknown_nanousd = self._added_up(kept, earlier)
            self.alerts.see([self._sighting(kept, now_us)])
        if ask.give_nanousd:
            self._lend(kept, holder, -ask.give_nanousd, until_us)
        account = self._told(kept, holder, now_us)
        granted = grant_of(account, ask)
        if granted:
            self._lend(kept, holder, granted, until_us)
            account = self._told(kept, holder, now_us)
        elif ask.need_nanousd:
            kept.wanted_at_us = now_us
        held = kept.leases.get(holder)
        yours, charged = (0, 0) if held is None else (held.left_nanousd, held.charged_nanousd)
        return LeaseAnswer(account=account, granted_nanousd=granted, yours_nanousd=yours, charged_nanousd=charged)

    def _lend(self, account: _Account, holder: str, change: int, until_us: int) -> None:
        held = account.leases.setdefault(holder, _Held(0, until_us))
        held.left_nanousd += change
        held.until_us = until_us

    def _told(self, account: _Account, holder: str, now_us: int) -> Account:
        leased = [
            max(held.left_nanousd, 0)
            for name, held in account.leases.items()
            if held.until_us > now_us or name == holder
        ]
        return Account(
            key=account.key,
            end_us=account.end_us,
            limit_nanousd=self._rules[account.key.budget_id].limit_nanousd,
            posted_nanousd=account.posted_nanousd,
            unknown_nanousd=account.unknown_nanousd,
            leased_nanousd=sum(leased),
        )

    def _added_up(self, account: _Account, attempts: Iterable[Attempt]) -> tuple[int, int]:
        charges = [charge_of(one.cost_nanousd, one.opening.held_nanousd) for one in attempts if account.takes(one)]
        return sum(posted for posted, _ in charges), sum(unknown for _, unknown in charges)

    def _forget_accounts(self, which: Callable[[AccountKey], bool]) -> None:
        self._accounts = {name: one for name, one in self._accounts.items() if not which(one.key)}

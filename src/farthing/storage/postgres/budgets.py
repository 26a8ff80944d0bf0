"""Budgets in PostgreSQL: rules as JSON, accounts and leases as rows; see `storage/sqlite/budgets.py` for the idea.

Several hosts lease and post at the same moment, so every statement that looks at an account before it changes it has
the account's row locked, in the order of the accounts' numbers. What a batch of attempts adds is added by the statement
that keeps it (`queries/attempts_append.sql`).

Leases end by the server's clock. By the hosts' own, one that was an hour ahead of another took the other's for ended
and spent it again; and of one that was three seconds behind nobody saw what it wanted.

What surprised us is the birth of an account. It takes over what the ledger has, and a batch that another host is about
to commit is neither seen by it nor sees it: nobody would be charged. So while an account is made that takes something
over, no host keeps attempts; a batch waits for the milliseconds that takes.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from farthing.storage.postgres.connections import Connections, Session
from farthing.storage.postgres.sql import query
from farthing.types.budgets import (
    Account,
    AccountKey,
    Budget,
    BudgetChanges,
    LeaseAnswer,
    LeaseAsk,
    Scope,
    earlier_spending,
    grant_of,
)

_rule = msgspec.json.Decoder(Budget)
_SUBJECT = ("organisation", "team", "project", "key_id", "user", "session", "task", "tag")  # as the columns stand
_WANTED_US = 3_000_000
"""Processes look twice a second, and a call that waits asks again within one."""
_AFTER_EVERY_NAME = "\U0010ffff"


class PostgresBudgets:
    """See `BudgetStore`."""

    def __init__(self, connections: Connections, *, trusts_callers_clock: bool = False) -> None:
        self._connections = connections
        self._trusts_callers_clock = trusts_callers_clock

    async def all(self) -> list[Budget]:
        """See `BudgetStore.all`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("budgets")]

    async def page(self, after: str, limit: int) -> list[Budget]:
        """See `BudgetStore.page`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("budgets_page", after, limit)]

    async def found(self, name_or_id: str) -> Budget | None:
        """See `BudgetStore.found`."""
        rows = await self._connections.all("budget_found", name_or_id)
        return _rule.decode(rows[0][0]) if rows else None

    async def put(self, budget: Budget) -> bool:
        """See `BudgetStore.put`."""

        async def put(session: Session) -> bool:
            await session.change("budget_change_count")
            kept = await session.change("budget_put", budget.id, budget.name, msgspec.json.encode(budget).decode())
            if kept:
                await session.change("budget_accounts_remove", budget.id, budget.version)
            return kept > 0

        return await self._connections.transaction(put)

    async def remove(self, budget_id: str) -> bool:
        """See `BudgetStore.remove`."""

        async def remove(session: Session) -> bool:
            await session.change("budget_change_count")
            there = await session.change("budget_remove", budget_id)
            await session.change("budget_accounts_remove", budget_id, None)
            return there > 0

        return await self._connections.transaction(remove)

    async def changes(self, since: int) -> BudgetChanges:
        """See `BudgetStore.changes`."""

        async def changes(session: Session) -> BudgetChanges:
            row = await session.one("budget_change_counter")
            assert row is not None, "the tables were made with it"
            counter: int = row[0]
            if counter == since:
                return BudgetChanges(counter=counter)
            # What is changed after the counter was read may be among these, and will be told again: that is no harm.
            rows = await session.all("budgets_changed", since)
            put = tuple(_rule.decode(rule) for _, rule in rows if rule is not None)
            return BudgetChanges(counter=counter, put=put, removed=tuple(name for name, rule in rows if rule is None))

        return await self._connections.read(changes)

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """See `BudgetStore.exchange`."""
        keys = {ask.key.id: ask for ask in asks}
        there = {row[0] for row in await self._connections.all("accounts_there", list(keys))}
        new = [ask for account_id, ask in keys.items() if account_id not in there]
        if new:
            await self._connections.transaction(lambda session: _add_accounts(session, new))

        async def exchange(session: Session) -> list[LeaseAnswer]:
            rules = await _rules(session, asks)
            numbers = {account_id: number for number, account_id in await session.all("accounts_lock", list(keys))}
            at_us = await self._now_us(session, now_us)
            ends_us = at_us + until_us - now_us
            return [
                await _exchanged(session, rules.get(ask.key.budget_id), numbers, holder, ask, at_us, ends_us)
                for ask in asks
            ]

        return await self._connections.transaction(exchange)

    async def hold(self, holder: str, *, now_us: int, until_us: int) -> None:
        """See `BudgetStore.hold`."""

        async def hold(session: Session) -> None:
            await session.change("leases_hold", holder, await self._now_us(session, now_us) + until_us - now_us)

        await self._connections.transaction(hold)

    async def release(self, holders: str, *, but: Collection[str] = ()) -> int:
        """See `BudgetStore.release`."""

        async def release(session: Session) -> int:
            freed = await session.all("leases_end", holders, holders + _AFTER_EVERY_NAME, list(but))
            return sum(max(left, 0) for (left,) in freed)

        return await self._connections.transaction(release)

    async def wanted(self, since_us: int) -> list[str]:
        """See `BudgetStore.wanted`."""
        since = since_us if self._trusts_callers_clock else None
        return [row[0] for row in await self._connections.all("accounts_wanted", since, _WANTED_US)]

    async def _now_us(self, session: Session, told_us: int) -> int:
        """Return the server's time, by which all hosts go; or what the caller says, where that is trusted."""
        if self._trusts_callers_clock:
            return told_us
        row = await session.one("now_us")
        assert row is not None, "it asks for no table"
        now_us: int = row[0]
        return now_us

    async def accounts(self, budget_id: str | None = None, *, at_us: int | None = None, now_us: int) -> list[Account]:
        """See `BudgetStore.accounts`."""
        return [_account_of(row) for row in await self._connections.all("accounts", budget_id, at_us, now_us)]

    async def accounts_recomputed(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.accounts_recomputed`."""
        rows = await self._connections.whole(query("accounts_recomputed"))
        return {account_id: (int(posted), int(unknown)) for account_id, posted, unknown in rows}

    async def rebuild_accounts(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.rebuild_accounts`."""
        return await self._connections.transaction(_rebuilt)


async def _rebuilt(session: Session) -> dict[str, tuple[int, int]]:
    await session.run("attempts_lock")
    again = [
        (name, int(posted), int(unknown)) for name, posted, unknown in await session.whole(query("accounts_recomputed"))
    ]
    rows = (
        await session.all("accounts_rebuilt", *(list(column) for column in zip(*again, strict=True))) if again else []
    )
    return {account_id: (posted, unknown) for account_id, posted, unknown in rows}


async def _rules(session: Session, asks: Sequence[LeaseAsk]) -> dict[str, Budget]:
    """Return the rules that are asked about; nobody changes them until the end of the transaction."""
    rows = await session.all("budgets_of", list({ask.key.budget_id for ask in asks}))
    return {budget_id: _rule.decode(rule) for budget_id, rule in rows}


async def _add_accounts(session: Session, asks: Sequence[LeaseAsk]) -> None:
    """Make accounts; what another host was faster with stays as it is."""
    rules = await _rules(session, asks)
    known = [(ask, budget) for ask in asks if (budget := _valid(rules.get(ask.key.budget_id), ask)) is not None]
    spans = {ask.key.id: earlier_spending(budget, ask.key, ask.end_us) for ask, budget in known}
    if any(spans.values()):
        await session.run("attempts_lock")
    for ask, _ in sorted(known, key=lambda one: one[0].key.id):
        key, subject = ask.key, ask.key.subject
        named = subject.named
        anchor = named[0] if named else "all"
        await session.change(
            "account_add",
            *(key.id, key.budget_id, key.version, key.start_us, ask.end_us),
            *(anchor, getattr(subject, anchor) if named else ""),
            *(getattr(subject, dimension) for dimension in _SUBJECT),
            *(spans[key.id] or (0, 0)),
        )


async def _exchanged(
    session: Session,
    budget: Budget | None,
    numbers: dict[str, int],
    holder: str,
    ask: LeaseAsk,
    now_us: int,
    until_us: int,
) -> LeaseAnswer:
    budget = _valid(budget, ask)
    number = numbers.get(ask.key.id)
    if budget is None or number is None:  # it was changed or removed while the account was being made
        return LeaseAnswer(account=None)
    if ask.give_nanousd:
        await session.change("lease_change", number, holder, -ask.give_nanousd, until_us)
    account = _account(ask, budget, await session.one("account", number, holder, now_us))
    granted = grant_of(account, ask)
    if granted:
        await session.change("lease_change", number, holder, granted, until_us)
        account = _account(ask, budget, await session.one("account", number, holder, now_us))
        assert account.left_nanousd + ask.beyond_nanousd >= 0, f"{ask.key.id} is leased beyond its limit"
    elif ask.need_nanousd:
        await session.change("account_wanted", number, now_us)
    lease = await session.one("lease", number, holder)
    yours, charged = (lease[0], lease[1]) if lease else (0, 0)
    return LeaseAnswer(account=account, granted_nanousd=granted, yours_nanousd=yours, charged_nanousd=charged)


def _valid(budget: Budget | None, ask: LeaseAsk) -> Budget | None:
    """Return the rule where it is the one that was asked about, and holds."""
    return budget if budget is not None and budget.version == ask.key.version and budget.enabled else None


def _account(ask: LeaseAsk, budget: Budget, row: tuple[Any, ...] | None) -> Account:
    assert row is not None, "its row is locked"
    return Account(
        key=ask.key,
        end_us=ask.end_us,
        limit_nanousd=budget.limit_nanousd,
        posted_nanousd=row[0],
        unknown_nanousd=row[1],
        leased_nanousd=int(row[2]),
    )


def _account_of(row: tuple[Any, ...]) -> Account:
    subject = Scope(**dict(zip(_SUBJECT, row[4:12], strict=True)))
    return Account(
        key=AccountKey(row[0], row[1], subject, row[2]),
        end_us=row[3],
        limit_nanousd=_rule.decode(row[15]).limit_nanousd,
        posted_nanousd=row[12],
        unknown_nanousd=row[13],
        leased_nanousd=int(row[14]),
    )

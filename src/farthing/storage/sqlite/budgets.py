"""Budgets in SQLite: rules as JSON, accounts and leases as rows.

An exchange is one transaction that takes the writer's place at its beginning, so two processes that ask at the same
moment see each other's leases. Attempts are charged where they are kept (`charge`), in the same transaction, by a join
with the accounts there are: whatever a process believed when the call began, its cost lands where the store says, and
where it passes a threshold, so does the alert.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import apsw
import msgspec

from farthing.storage.sqlite.alerts import rule_of, see_account
from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.sql import query
from farthing.types.alerts import budget_level
from farthing.types.budgets import (
    DIMENSIONS,
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
_AFTER_EVERY_NAME = "\U0010ffff"


class SqliteBudgets:
    """See `BudgetStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def all(self) -> list[Budget]:
        """See `BudgetStore.all`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("budgets", ())]

    async def page(self, after: str, limit: int) -> list[Budget]:
        """See `BudgetStore.page`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("budgets_page", (after, limit))]

    async def found(self, name_or_id: str) -> Budget | None:
        """See `BudgetStore.found`."""
        rows = await self._connections.all("budget_found", {"wanted": name_or_id})
        return _rule.decode(rows[0][0]) if rows else None

    async def put(self, budget: Budget) -> bool:
        """See `BudgetStore.put`."""
        bindings = {"id": budget.id, "name": budget.name, "rule": msgspec.json.encode(budget).decode()}

        def put(connection: apsw.Connection) -> bool:
            connection.execute(query("budget_change_count"))
            connection.execute(query("budget_put"), bindings)
            kept = connection.changes() > 0
            if kept:
                _forget_accounts(connection, budget.id, budget.version)
            return kept

        return await self._connections.transaction(put)

    async def remove(self, budget_id: str) -> bool:
        """See `BudgetStore.remove`."""

        def remove(connection: apsw.Connection) -> bool:
            connection.execute(query("budget_change_count"))
            connection.execute(query("budget_remove"), (budget_id,))
            there = connection.changes() > 0
            _forget_accounts(connection, budget_id, None)
            return there

        return await self._connections.transaction(remove)

    async def changes(self, since: int) -> BudgetChanges:
        """See `BudgetStore.changes`."""

        def changes(connection: apsw.Connection) -> BudgetChanges:
            counter: Any = connection.execute(query("budget_change_counter")).get
            if counter == since:
                return BudgetChanges(counter=counter)
            rows: list[Any] = connection.execute(query("budgets_changed"), (since,)).fetchall()
            put = tuple(_rule.decode(rule) for _, rule in rows if rule is not None)
            return BudgetChanges(counter=counter, put=put, removed=tuple(name for name, rule in rows if rule is None))

        return await self._connections.read(changes)

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """See `BudgetStore.exchange`."""

        def exchange(connection: apsw.Connection) -> list[LeaseAnswer]:
            rules: dict[str, Budget | None] = {}
            return [_exchanged(connection, rules, holder, ask, now_us, until_us) for ask in asks]

        return await self._connections.transaction(exchange)

    async def hold(self, holder: str, *, now_us: int, until_us: int) -> None:  # noqa: ARG002 - one clock for all
        """See `BudgetStore.hold`."""
        await self._connections.change("leases_hold", {"holder": holder, "until": until_us})

    async def release(self, holders: str, *, but: Collection[str] = ()) -> int:
        """See `BudgetStore.release`."""
        bindings = {"low": holders, "high": holders + _AFTER_EVERY_NAME, "but": _json(but)}

        def release(connection: apsw.Connection) -> int:
            freed: list[Any] = connection.execute(query("leases_end"), bindings).fetchall()
            return sum(max(left, 0) for (left,) in freed)

        return await self._connections.transaction(release)

    async def wanted(self, since_us: int) -> list[str]:
        """See `BudgetStore.wanted`."""
        return [row[0] for row in await self._connections.all("accounts_wanted", (since_us,))]

    async def accounts(self, budget_id: str | None = None, *, at_us: int | None = None, now_us: int) -> list[Account]:
        """See `BudgetStore.accounts`."""
        bindings = {"budget": budget_id, "at": at_us, "now": now_us}
        statement = query("accounts").format(which="TRUE" if budget_id is None else "a.budget_id = :budget")
        rows = await self._connections.read(lambda connection: connection.execute(statement, bindings).fetchall())
        return [_account_of(row) for row in rows]

    async def accounts_recomputed(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.accounts_recomputed`."""
        rows = await self._connections.all("accounts_recomputed", ())
        return {account_id: (posted, unknown) for account_id, posted, unknown in rows}

    async def rebuild_accounts(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.rebuild_accounts`."""
        return await self._connections.transaction(_rebuilt)


def _rebuilt(connection: apsw.Connection) -> dict[str, tuple[int, int]]:
    before: dict[str, tuple[int, int]] = {}
    recomputed: list[Any] = connection.execute(query("accounts_recomputed")).fetchall()
    for account_id, posted, unknown in recomputed:
        kept: Any = connection.execute(query("account_charged"), (account_id,)).fetchone()
        if tuple(kept) != (posted, unknown):
            before[account_id] = (kept[0], kept[1])
            change = {"account": account_id, "posted": posted - kept[0], "unknown": unknown - kept[1]}
            connection.execute(query("account_charge"), change)
    return before


def charge(connection: apsw.Connection, first: int, last: int, holder: str) -> None:
    """Charge the attempts in the rows after `first` up to `last` to their accounts, inside of a transaction.

    In few statements of one row each: with every row the interpreter's lock is given away and has to be won back.
    """
    anchors: Any = connection.execute(query("accounts_anchors")).get
    if anchors is None:
        return
    charges: Any = connection.execute(_charges_statement(anchors), {"first": first, "last": last}).get
    if charges == "[]":
        return
    charged = {"charges": charges, "holder": holder}
    connection.execute(query("accounts_charge"), charged)
    connection.execute(query("leases_charge"), charged)
    told: Any = connection.execute(query("accounts_charged"), (charges,)).get
    passed = [(budget, one.account_id) for one, budget in _with_rules(connection, told) if _passes(budget, one)]
    if passed:
        at_us: Any = connection.execute(query("attempts_latest_end"), {"first": first, "last": last}).get
        for budget, account_id in passed:
            see_account(connection, budget, account_id, at_us)


class _Charged(msgspec.Struct, array_like=True, frozen=True):
    """What an account holds now, and what was added to it."""

    account_id: str
    budget_id: str
    spent_nanousd: int
    added_nanousd: int


_charged = msgspec.json.Decoder(list[_Charged])


def _with_rules(connection: apsw.Connection, told: str) -> list[tuple[_Charged, Budget]]:
    """Return the accounts that were charged with their budgets' rules, but for those that are removed."""
    charged = _charged.decode(told)
    ids = _json({one.budget_id for one in charged})
    rules = {budget_id: rule_of(rule) for budget_id, rule in connection.execute(query("budgets_of"), (ids,))}
    return [(one, rules[one.budget_id]) for one in charged if one.budget_id in rules]


def _passes(budget: Budget, one: _Charged) -> bool:
    """Whether the charge took the account past a line; most pass none."""
    return budget_level(budget, one.spent_nanousd) != budget_level(budget, one.spent_nanousd - one.added_nanousd)


@cache
def _charges_statement(anchors: str) -> str:
    """Return the statement that tells what a batch adds to accounts, where there are some with these anchors.

    A line is known there by as much as an account may ask of it. Where none is of a session, a user or a task, many
    lines are alike: that takes a third of the time.
    """
    known = anchors.split(",")
    asked = [one for one in DIMENSIONS if one != "tag"]
    narrowest = min((asked.index(one) for one in asked if one in known), default=len(asked))
    columns = asked[min(narrowest, asked.index("organisation")) :]
    branches = [
        query("charges_of_anchor").format(
            which=_WHICH.get(anchor, f"a.anchor = '{anchor}' AND a.anchor_value = b.{anchor}"),
            alike=" ".join(f"AND (a.{one} IS NULL OR a.{one} = b.{one})" for one in columns),
        )
        for anchor in known
    ]
    return query("charges").format(columns=", ".join(columns), branches=" UNION ALL ".join(branches))


_WHICH = {
    "all": "a.anchor = 'all' AND a.anchor_value = ''",
    "tag": "a.anchor = 'tag' AND b.tag_list <> ',,'",
}


def _exchanged(
    connection: apsw.Connection, rules: dict[str, Budget | None], holder: str, ask: LeaseAsk, now_us: int, until_us: int
) -> LeaseAnswer:
    key = ask.key
    if key.budget_id not in rules:
        rule: Any = connection.execute(query("budget"), (key.budget_id,)).get
        rules[key.budget_id] = None if rule is None else _rule.decode(rule)
    budget = rules[key.budget_id]
    if budget is None or budget.version != key.version or not budget.enabled:
        return LeaseAnswer(account=None)
    account_id = key.id
    leased = {"account": account_id, "holder": holder, "until": until_us}
    if ask.give_nanousd:
        connection.execute(query("lease_change"), leased | {"change": -ask.give_nanousd})
    found = {"account": account_id, "holder": holder, "now": now_us}
    row: Any = connection.execute(query("account"), found).get
    if row is None:
        _add_account(connection, budget, key, ask.end_us)
        see_account(connection, budget, account_id, now_us)
        row = connection.execute(query("account"), found).get
    account = _account(ask, budget, row)
    granted = grant_of(account, ask)
    if granted:
        connection.execute(query("lease_change"), leased | {"change": granted})
        account = _account(ask, budget, connection.execute(query("account"), found).get)
        assert account.left_nanousd + ask.beyond_nanousd >= 0, f"{account_id} is leased beyond its limit"
    elif ask.need_nanousd:
        connection.execute(query("account_wanted"), {"account": account_id, "now": now_us})
    lease: Any = connection.execute(query("lease"), {"account": account_id, "holder": holder}).get
    yours, charged = lease or (0, 0)
    return LeaseAnswer(account=account, granted_nanousd=granted, yours_nanousd=yours, charged_nanousd=charged)


def _account(ask: LeaseAsk, budget: Budget, row: Any) -> Account:
    posted, unknown, leased = row
    return Account(
        key=ask.key,
        end_us=ask.end_us,
        limit_nanousd=budget.limit_nanousd,
        posted_nanousd=posted,
        unknown_nanousd=unknown,
        leased_nanousd=leased,
    )


def _add_account(connection: apsw.Connection, budget: Budget, key: AccountKey, end_us: int | None) -> None:
    named = key.subject.named
    span = earlier_spending(budget, key, end_us) or (0, 0)
    anchor = named[0] if named else "all"
    connection.execute(
        query("account_add"),
        {
            "account": key.id,
            "budget": key.budget_id,
            "version": key.version,
            "start": key.start_us,
            "end": end_us,
            "anchor": anchor,
            "anchor_value": getattr(key.subject, anchor) if named else "",
            "from": span[0],
            "until": span[1],
        }
        | {dimension: getattr(key.subject, dimension) for dimension in DIMENSIONS},
    )


def _forget_accounts(connection: apsw.Connection, budget_id: str, kept_version: int | None) -> None:
    bindings = {"id": budget_id, "version": kept_version}
    connection.execute(query("budget_leases_remove"), bindings)
    connection.execute(query("budget_accounts_remove"), bindings)


def _account_of(row: tuple[Any, ...]) -> Account:
    subject = Scope(**dict(zip(_SUBJECT, row[4:12], strict=True)))
    return Account(
        key=AccountKey(row[0], row[1], subject, row[2]),
        end_us=row[3],
        limit_nanousd=_rule.decode(row[15]).limit_nanousd,
        posted_nanousd=row[12],
        unknown_nanousd=row[13],
        leased_nanousd=row[14],
    )


def _json(values: Collection[str]) -> str:
    return msgspec.json.encode(list(values)).decode()

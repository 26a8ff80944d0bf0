"""How much of each budget was used in a time: what a report tells of budgets.

A budget that begins anew within the time is added up over its periods, and the fullest of them is told, because a week
at 40 % may have had a day at 100. Of one that lasts longer the whole period is told, up to now. What a session may
spend belongs to no time, and is left out.
"""

from collections.abc import Iterator, Sequence
from typing import get_args

import msgspec

from farthing.ledger.periods import period_at
from farthing.storage.protocols import Store
from farthing.types.budgets import Account, Budget, Dimension, Period, Scope, with_key_name
from farthing.types.spending import SpendingScope

MOST_USES = 100
"""Budgets that are told, the fullest first; each key's is one, and a page has room for fewer."""
_LENGTHS: tuple[Period, ...] = ("hour", "day", "week", "month", "total")


class BudgetUse(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent of a budget by one subject; amounts are sums over `periods` of its periods, in nanodollars."""

    name: str
    subject: str
    period: Period
    periods: int
    limit_nanousd: int
    spent_nanousd: int
    fullest_permille: int | None
    """How full the fullest period was; `None` where the limit is 0."""


async def budget_uses(
    store: Store, name: Period, since_us: int, until_us: int, scope: Sequence[SpendingScope] = (), *, running: bool
) -> list[BudgetUse]:
    """Return what was used in a day, a week or a month of budgets whose subject is in the scope, the fullest first.

    While it is `running`, `until_us` is now.
    """
    uses: list[tuple[Scope, BudgetUse]] = []
    meant = [await _by_key_id(store, one) for one in scope]
    for rule in await store.budgets.all():
        if not rule.enabled or rule.period == "session":
            continue
        moments = list(_moments(rule, name, since_us, until_us, running=running))
        found: dict[Scope, list[Account]] = {}
        for at_us in moments:
            for account in await store.budgets.accounts(rule.id, at_us=at_us, now_us=until_us):
                if _is_in(account.key.subject, meant):
                    found.setdefault(account.key.subject, []).append(account)
        uses += [(subject, _use(rule, subject, len(moments), accounts)) for subject, accounts in found.items()]
    uses.sort(key=lambda one: (-(one[1].fullest_permille or 0), one[1].name, one[1].subject))
    return [await _named(store, subject, use) for subject, use in uses[:MOST_USES]]


async def _by_key_id(store: Store, scope: SpendingScope) -> tuple[str, str | None]:
    """Return what a subject must have; sums know a key by its name, and subjects by its id."""
    if scope.by != "key" or scope.value is None:
        return scope.by, scope.value
    record = await store.key(scope.value)
    return "key_id", scope.value if record is None else record.id


async def _named(store: Store, subject: Scope, use: BudgetUse) -> BudgetUse:
    """Return a use with a key by its name: only those that are told are looked up, of perhaps a hundred thousand."""
    record = None if subject.key_id is None else await store.key(subject.key_id)
    if record is None:
        return use
    return msgspec.structs.replace(use, subject=with_key_name(use.subject, subject.key_id, record.name))


def _moments(rule: Budget, name: Period, since_us: int, until_us: int, *, running: bool) -> Iterator[int]:
    """Yield a moment of each period that is told: of shorter ones each that lies mostly in the time, else one.

    Zones differ: of a day that was reported in one zone, the budget's day that has most of it is meant.
    """
    if _LENGTHS.index(rule.period) >= _LENGTHS.index(name):
        yield (since_us + until_us) // 2 if rule.period == name and not running else until_us - 1
        return
    at_us = since_us
    while at_us < until_us:
        begins_us, ends_us = period_at(rule.period, at_us, rule.time_zone, rule.reset_day)
        assert ends_us is not None, "what is shorter than a month ends"
        if since_us <= (begins_us + ends_us) // 2 < until_us or (running and ends_us > until_us):
            yield at_us
        at_us = ends_us


def _is_in(subject: Scope, meant: Sequence[tuple[str, str | None]]) -> bool:
    return all(by in get_args(Dimension) and getattr(subject, by) == value for by, value in meant)


def _use(rule: Budget, subject: Scope, periods: int, accounts: Sequence[Account]) -> BudgetUse:
    spent = [account.spent_nanousd for account in accounts]
    limit = rule.limit_nanousd
    return BudgetUse(
        name=rule.name,
        subject=str(subject),
        period=rule.period,
        periods=periods,
        limit_nanousd=limit * periods,
        spent_nanousd=sum(spent),
        fullest_permille=max(spent) * 1000 // limit if limit else None,
    )

"""The budget and the limit that belong to one key: made with it, changed with it, gone with it."""

from typing import Any

import msgspec

from farthing.ledger.budget_rules import checked as checked_budget
from farthing.ledger.limit_rules import checked as checked_limit
from farthing.server.admin.ask import House
from farthing.server.admin.resources.key_shapes import KeyBudget
from farthing.server.admin.resources.limit_shapes import RateShape
from farthing.server.admin.shown import nanousd_of
from farthing.storage.protocols import KeyRecord
from farthing.types.budgets import Budget, Scope
from farthing.types.limits import Limit, LimitTarget
from farthing.types.tenant import Tenant

_LONGEST_NAME = 60


async def put_key_budget(house: House, key: KeyRecord, wanted: KeyBudget, set_by: Tenant | None) -> Budget:
    """Keep a budget about one key alone, and have it hold here; return it.

    Raises:
        InvalidRequest: it is no good.
        StoreError: the store cannot be used.
    """
    now_us = house.now_us()
    budget = checked_budget(
        Budget(
            id=house.farthing.ids.new("bud"),
            name=_name_for(key),
            scope=Scope(key_id=key.id),
            limit_nanousd=nanousd_of(wanted.usd),
            period=wanted.period,
            policy=wanted.policy,
            holds=wanted.holds,
            created_at_us=now_us,
            counts_from_us=now_us,
            set_by=set_by,
        )
    )
    kept = await _kept(house.store.budgets, budget)
    await house.farthing.budgets.follow_rules()
    assert isinstance(kept, Budget)
    return kept


async def put_key_limit(house: House, key: KeyRecord, wanted: RateShape, set_by: Tenant | None) -> Limit:
    """Keep a limit about one key alone, and have it hold here; return it. Raises as `put_key_budget`."""
    limit = checked_limit(
        Limit(
            id=house.farthing.ids.new("lim"),
            name=_name_for(key),
            target=LimitTarget(scope=Scope(key_id=key.id)),
            rates=wanted.rates(),
            set_by=set_by,
        )
    )
    kept = await _kept(house.store.limits, limit)
    await house.farthing.limits.follow_rules()
    assert isinstance(kept, Limit)
    return kept


async def key_budgets(house: House, key_id: str) -> list[Budget]:
    """Return the budgets of a key, which are about it alone and not the file's."""
    rules = await (await house.books()).budgets.all()
    return [one for one in rules if one.own_of(key_id)]


async def key_limits(house: House, key_id: str) -> list[Limit]:
    """Return the limits of a key, which are about it alone and not the file's."""
    rules = await (await house.books()).limits.all()
    return [one for one in rules if one.own_of(key_id)]


async def own_rules(house: House, key_id: str) -> dict[str, str]:
    """Return the ids of a key's own budget and limit, as they are shown with it; of several, the one made first."""
    budgets, limits = await key_budgets(house, key_id), await key_limits(house, key_id)
    found = {"budget_id": [one.id for one in budgets], "limit_id": [one.id for one in limits]}
    return {name: min(ids) for name, ids in found.items() if ids}  # ids are in the order in which they were made


async def remove_key_budgets(house: House, key_id: str) -> None:
    """Forget the budgets of a key, here at once."""
    for budget in await key_budgets(house, key_id):
        await house.store.budgets.remove(budget.id)
    await house.farthing.budgets.follow_rules()


async def remove_key_limits(house: House, key_id: str) -> None:
    """Forget the limits of a key, here at once."""
    for limit in await key_limits(house, key_id):
        await house.store.limits.remove(limit.id)
    await house.farthing.limits.follow_rules()


def _name_for(key: KeyRecord) -> str:
    return f"key {key.name if len(key.name) <= _LONGEST_NAME else key.id}"


async def _kept(store: Any, rule: Budget | Limit) -> Budget | Limit:
    """Keep a rule, under another name where its own is taken: a key of that name was before."""
    if not await store.put(rule):
        rule = msgspec.structs.replace(rule, name=f"{_name_of_key(rule)} {rule.id[-8:]}")
        kept = await store.put(rule)
        assert kept, f"the name {rule.name!r} holds random letters"
    return rule


def _name_of_key(rule: Budget | Limit) -> str:
    scope = rule.scope if isinstance(rule, Budget) else rule.target.scope
    return f"key {scope.key_id}"

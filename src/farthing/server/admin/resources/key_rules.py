"""The budget that belongs to one key: made with it, changed with it, gone with it."""

import msgspec

from farthing.ledger.budget_rules import checked
from farthing.server.admin.ask import House
from farthing.server.admin.resources.key_shapes import KeyBudget
from farthing.server.admin.shown import nanousd_of
from farthing.storage.protocols import KeyRecord
from farthing.types.budgets import Budget, Scope

_LONGEST_NAME = 60


async def put_key_budget(house: House, key: KeyRecord, wanted: KeyBudget) -> Budget:
    """Keep a budget about one key alone, and have it hold here; return it.

    Raises:
        InvalidRequest: it is no good.
        StoreError: the store cannot be used.
    """
    now_us = house.now_us()
    budget = checked(
        Budget(
            id=house.farthing.ids.new("bud"),
            name=_name_for(key),
            scope=Scope(key_id=key.id),
            limit_nanousd=nanousd_of(wanted.usd),
            period=wanted.period,
            policy=wanted.policy,
            created_at_us=now_us,
            counts_from_us=now_us,
        )
    )
    if not await house.store.budgets.put(budget):  # a key of that name was before, or somebody named a budget so
        budget = msgspec.structs.replace(budget, name=f"key {key.id} {budget.id[-8:]}")
        kept = await house.store.budgets.put(budget)
        assert kept, f"the name {budget.name!r} holds random letters"
    await house.farthing.budgets.follow_rules()
    return budget


async def remove_key_budgets(house: House, key_id: str) -> None:
    """Forget the budgets of a key, here at once."""
    for budget in await (await house.books()).budgets.all():
        if budget.scope == Scope(key_id=key_id) and not budget.from_file:
            await house.store.budgets.remove(budget.id)
    await house.farthing.budgets.follow_rules()


def _name_for(key: KeyRecord) -> str:
    return f"key {key.name if len(key.name) <= _LONGEST_NAME else key.id}"

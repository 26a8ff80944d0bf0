"""How the budgets of a call stand before its model is chosen: asked for calls through a router, and for no others."""

from collections.abc import Callable

from farthing.errors import LedgerAway, StoreError
from farthing.ledger.allotments import Allotment
from farthing.ledger.budget_rules import action_of
from farthing.ledger.budgets import Budgets
from farthing.types.calls import Attribution
from farthing.types.routing import NO_BUDGETS, BudgetStanding, Standing


async def standing_of(budgets: Budgets, attribution: Attribution, now_us: int, goes_on: Callable[[], bool]) -> Standing:
    """Return how every budget of a call stands; an account that is not known here yet is looked at first.

    What other processes spent in the last half second may not be known. `goes_on` tells whether the call finishes a
    turn, and is asked where a budget has grace for that.

    Raises:
        LedgerAway: nothing is known of an account, and the store is away.
    """
    purse = budgets.purse_of(attribution, now_us)
    if purse is None:
        return NO_BUDGETS
    unknown = [one for one in purse.all if one.account is None]
    if unknown:
        try:
            await budgets.look_at(unknown)
        except StoreError as error:
            raise LedgerAway("The budgets cannot be looked at.", retry_after_s=1) from error
    purse.empty()  # what calls of this attribution did is then in each of its accounts
    for one in purse.all:
        one.judge()  # so that what is said here is what admission goes by
    shared = budgets.rules.is_shared
    return Standing(
        tuple(_standing(one, goes_on, shared=shared(one.key.subject, attribution)) for one in purse.all),
        purse.every_byte,
    )


def _standing(allotment: Allotment, goes_on: Callable[[], bool], *, shared: bool) -> BudgetStanding:
    budget = allotment.budget
    action = action_of(budget, allotment.left_nanousd, allotment.key.start_us)
    if budget.policy == "soft":
        return BudgetStanding(budget.name, action, shared=shared)
    grace = budget.grace_nanousd if budget.grace_nanousd and goes_on() else 0
    leasable = 0 if allotment.account is None else allotment.account.left_nanousd  # below 0 where grace was used
    room = allotment.free + leasable + grace
    return BudgetStanding(budget.name, action, max(0, room), shared)

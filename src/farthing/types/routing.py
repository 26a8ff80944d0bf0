"""The words between the ledger, which knows how budgets stand, and routing, which chooses by it."""

import msgspec

from farthing.types.budgets import BudgetAction, called


class BudgetStanding(msgspec.Struct, frozen=True):
    """One budget that a call belongs to: what of it the call could hold now, and what its thresholds demand.

    `room_nanousd` is `None` for a soft budget, which refuses nothing for its amount. `shared`: other organisations
    spend of it.
    """

    name: str
    action: BudgetAction | None
    room_nanousd: int | None = None
    shared: bool = False

    def __str__(self) -> str:
        """Return how it is called to the client."""
        return called(self.name, shared=self.shared)


class Standing(msgspec.Struct, frozen=True):
    """Every budget that a call belongs to; `every_byte` says that one of them has a token held for every byte."""

    budgets: tuple[BudgetStanding, ...] = ()
    every_byte: bool = False


NO_BUDGETS = Standing()

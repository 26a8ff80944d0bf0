"""What one process holds of budgets, in plain numbers: no store, no waiting, no time but what it is told.

These few lines are passed twice by every call that a budget is about, so they compare and add and do nothing else.
"""

from collections.abc import Sequence
from typing import Protocol

from farthing.ledger.budget_rules import action_of
from farthing.types.budgets import Account, AccountKey, Budget

EVERYTHING = 1 << 62


class Keeper(Protocol):
    """Who looks after allotments: `Budgets`."""

    fenced: bool
    has_waiting: bool
    """Whether a call waits for money."""

    def look_again(self) -> None:
        """Have those who wait look whether there is enough now."""
        ...

    def touch(self, purse: "Purse") -> None:
        """Remember that it was used."""
        ...

    def note_overrun(self, by_nanousd: int) -> None:
        """Count a call that cost more than was held for it."""
        ...


class Allotment:
    """What this process holds of one account: `free` for the next call, `held` by calls under way."""

    __slots__ = (
        "account",
        "blocked",
        "budget",
        "end_us",
        "free",
        "held",
        "id",
        "key",
        "spent_since",
        "used_us",
    )

    def __init__(self, budget: Budget, key: AccountKey, end_us: int | None) -> None:
        self.budget = budget
        self.key = key
        self.id = key.id
        self.end_us = end_us
        self.free = 0
        self.held = 0
        self.spent_since = 0
        self.account: Account | None = None
        self.blocked = False
        self.used_us = 0

    @property
    def left_nanousd(self) -> int | None:
        """What is not spent, as far as is known here; what calls under way hold counts as left. `None`: not asked."""
        account = self.account
        if account is None:
            return None
        return self.budget.limit_nanousd - account.spent_nanousd - self.spent_since

    def note(self, account: Account, yours_nanousd: int) -> None:
        """Take over how the account stands; what is leased and neither free nor held is spent, and not posted yet."""
        self.account = account
        self.spent_since = yours_nanousd - self.free - self.held if self.budget.policy == "hard" else 0
        self.judge()

    def judge(self) -> None:
        """Decide anew whether a threshold keeps calls that cost money from it."""
        self.blocked = action_of(self.budget, self.left_nanousd, self.key.start_us) in ("local_only", "pause", "refuse")


class Purse:
    """The allotments that calls of one attribution draw on, until the first of their periods ends."""

    __slots__ = ("_keeper", "hard", "soft", "touched", "until_us", "used_us")

    def __init__(self, keeper: Keeper, allotments: Sequence[Allotment]) -> None:
        self._keeper = keeper
        self.hard = tuple(one for one in allotments if one.budget.policy == "hard")
        self.soft = tuple(one for one in allotments if one.budget.policy == "soft")
        self.until_us = min((one.end_us for one in allotments if one.end_us is not None), default=EVERYTHING)
        self.touched = False
        self.used_us = 0

    @property
    def all(self) -> tuple[Allotment, ...]:
        """Hard ones first."""
        return self.hard + self.soft

    def take(self, amount: int, now_us: int, *, times: int = 1) -> bool:
        """Take `amount` out of each where there is so many `times` as much; else nothing, and False.

        Where it is not so, it has to be asked for or thought about.
        """
        wanted = amount * times
        for allotment in self.hard:
            if allotment.free < wanted or allotment.blocked:
                return False
        for allotment in self.soft:
            if allotment.blocked or allotment.account is None:
                return False
        if self._keeper.fenced:
            return False
        self.reserve(amount, now_us)
        return True

    def reserve(self, amount: int, now_us: int) -> None:
        """Take so much out of each; the caller has seen that it is there."""
        for allotment in self.hard:
            allotment.free -= amount
            allotment.held += amount
        for allotment in self.soft:
            allotment.held += amount
        self.used_us = now_us
        if not self.touched:
            self._keeper.touch(self)

    def give_back(self, amount: int, charge: int) -> None:
        """Take back what was reserved, less what was spent of it."""
        for allotment in self.hard:
            allotment.free += amount - charge
            allotment.held -= amount
            allotment.spent_since += charge
            assert allotment.held >= 0, f"{allotment.id} holds {allotment.held}"
        for allotment in self.soft:
            allotment.held -= amount
            allotment.spent_since += charge
        keeper = self._keeper
        if charge > amount and self.hard:
            keeper.note_overrun(charge - amount)
        if keeper.has_waiting:
            keeper.look_again()


class Hold:
    """What one attempt holds in every budget that it belongs to, until it is settled or voided, once."""

    __slots__ = ("amount_nanousd", "purse")

    def __init__(self, purse: Purse, amount_nanousd: int) -> None:
        self.purse: Purse | None = purse
        self.amount_nanousd = amount_nanousd

    def settle(self, cost_nanousd: int | None) -> None:
        """Give back what was not spent; an attempt of unknown cost may have spent all that it held."""
        purse, self.purse = self.purse, None
        assert purse is not None, "a hold is settled once"
        amount = self.amount_nanousd
        purse.give_back(amount, amount if cost_nanousd is None else cost_nanousd)

    def void(self) -> None:
        """Give all of it back: nothing was sent."""
        self.settle(0)

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

    part: int
    fenced: bool

    @property
    def has_waiting(self) -> bool:
        """Whether a call waits for money."""
        ...

    def look_again(self) -> None:
        """Have those who wait look whether there is enough now."""
        ...

    def touch(self, allotment: "Allotment") -> None:
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
        "touched",
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
        self.touched = False
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

    __slots__ = ("_budgets", "hard", "soft", "until_us")

    def __init__(self, budgets: Keeper, allotments: Sequence[Allotment]) -> None:
        self._budgets = budgets
        self.hard = tuple(one for one in allotments if one.budget.policy == "hard")
        self.soft = tuple(one for one in allotments if one.budget.policy == "soft")
        self.until_us = min((one.end_us for one in allotments if one.end_us is not None), default=EVERYTHING)

    @property
    def all(self) -> tuple[Allotment, ...]:
        """Hard ones first."""
        return self.hard + self.soft

    def take(self, least: int, most: int, now_us: int) -> "Hold | None":
        """Hold `most`, or `None` where it has to be asked for or thought about."""
        wanted = most if least == most else most * self._budgets.part
        for allotment in self.hard:
            if allotment.free < wanted or allotment.blocked:
                return None
        for allotment in self.soft:
            if allotment.blocked or allotment.account is None:
                return None
        if self._budgets.fenced:
            return None
        return self.hold(most, now_us)

    def hold(self, amount: int, now_us: int) -> "Hold":
        """Hold so much of each; the caller has seen that it is there."""
        for allotment in self.hard:
            allotment.free -= amount
            allotment.held += amount
            allotment.used_us = now_us
            if not allotment.touched:
                self._budgets.touch(allotment)
        for allotment in self.soft:
            allotment.held += amount
            allotment.used_us = now_us
            if not allotment.touched:
                self._budgets.touch(allotment)
        return Hold(self._budgets, self, amount)


class Hold:
    """What one attempt holds in every budget that it belongs to, until it is settled or voided, once."""

    __slots__ = ("_budgets", "_purse", "amount_nanousd")

    def __init__(self, budgets: Keeper, purse: Purse, amount_nanousd: int) -> None:
        self._budgets = budgets
        self._purse: Purse | None = purse
        self.amount_nanousd = amount_nanousd

    def settle(self, cost_nanousd: int | None) -> None:
        """Give back what was not spent; an attempt of unknown cost may have spent all that it held."""
        purse, self._purse = self._purse, None
        assert purse is not None, "a hold is settled once"
        amount = self.amount_nanousd
        charge = amount if cost_nanousd is None else cost_nanousd
        for allotment in purse.hard:
            allotment.free += amount - charge
            allotment.held -= amount
            allotment.spent_since += charge
            assert allotment.held >= 0, f"{allotment.id} holds {allotment.held}"
        for allotment in purse.soft:
            allotment.held -= amount
            allotment.spent_since += charge
        if charge > amount and purse.hard:
            self._budgets.note_overrun(charge - amount)
        if self._budgets.has_waiting:
            self._budgets.look_again()

    def void(self) -> None:
        """Give all of it back: nothing was sent."""
        self.settle(0)

"""What one process holds of budgets, in plain numbers: no store, no waiting, no time but what it is told.

`Purse.take` and `Purse.give_back` are passed by every call that a budget is about, so they compare and add and do
nothing else.

What is free is never carried along with what was granted and given back: an answer of the store's may be lost, and then
nobody knows whether it did what it was asked. Each answer says all that was ever leased (`yours + charged`), and what
calls hold and have spent of that is known here, so the rest is free: whatever got lost is found with the next answer.
"""

from collections.abc import Sequence
from typing import Protocol

from farthing.ledger.budget_rules import action_of
from farthing.types.budgets import Account, AccountKey, Budget, LeaseAnswer, LeaseAsk

EVERYTHING = 1 << 62
POCKET = 8
"""What calls of one attribution set aside at once, of what is free: an eighth, so that others find nearly all of it."""


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
    """What this process holds of one account: `free` for the next call, `held` by calls under way, and what it `spent`.

    `beyond` is by how much all processes together are beyond the limit, because a turn was finished by grace, or the
    limit was lowered: so much of what is free is for nobody but a call that has grace, too.
    """

    __slots__ = (
        "account",
        "based",
        "beyond",
        "blocked",
        "budget",
        "charged",
        "end_us",
        "floor",
        "free",
        "held",
        "id",
        "key",
        "spent",
        "used_us",
    )

    def __init__(self, budget: Budget, key: AccountKey, end_us: int | None) -> None:
        self.budget = budget
        self.key = key
        self.id = key.id
        self.end_us = end_us
        self.free = 0
        self.held = 0
        self.beyond = 0
        self.spent = 0
        self.charged = 0
        self.based = False
        """Whether `spent` and `charged` were begun at the same moment, so that they can be compared."""
        self.account: Account | None = None
        self.blocked = False
        self.floor = 0
        """What of it is free for nobody: what is `beyond`, and all where a threshold keeps calls away."""
        self.used_us = 0

    @property
    def left_nanousd(self) -> int | None:
        """What is not spent, as far as is known here; what calls under way hold counts as left. `None`: not asked."""
        account = self.account
        if account is None:
            return None
        return self.budget.limit_nanousd - account.spent_nanousd - (self.spent - self.charged)

    @property
    def surplus(self) -> int:
        """What is to be given back in any case; below 0 where calls cost more than was held, and it is to be leased."""
        if self.free <= 0 or self.budget.policy == "soft":
            return self.free
        return min(self.free, self.beyond)

    @property
    def leasable_nanousd(self) -> int:
        """What the store still had to lease when it was last asked."""
        return 0 if self.account is None else max(0, self.account.left_nanousd)

    def giving(self, amount: int) -> LeaseAsk:
        """Ask for nothing, and give something back; where the answer is lost, nobody spends it twice."""
        self.free -= max(0, amount)
        return LeaseAsk(key=self.key, end_us=self.end_us, give_nanousd=amount)

    def note(self, account: Account, answer: LeaseAnswer) -> None:
        """Take over how the account stands, and find what is free."""
        self.account = account
        if self.budget.policy == "soft":
            self.charged = self.spent  # a soft budget knows of spending when it is posted
        else:
            charged = answer.charged_nanousd
            if self.based and charged >= self.charged:
                # What is charged and not known here was under way when the rule was made: it is spent, too.
                self.spent = max(self.spent, charged)
            else:
                self.spent = charged  # the first answer, or the budget was removed and made again
            self.based = True
            self.charged = charged
            self.free = answer.yours_nanousd + charged - self.held - self.spent
            self.beyond = max(0, -account.left_nanousd)
        self.judge()

    def judge(self) -> None:
        """Decide anew whether a threshold keeps calls that cost money from it."""
        self.blocked = action_of(self.budget, self.left_nanousd, self.key.start_us) in ("local_only", "pause", "refuse")
        self.floor = EVERYTHING if self.blocked else self.beyond


class Purse:
    """The allotments that calls of one attribution draw on, while all of their periods last.

    The clock may also be set back to before one of them. What a call takes and gives back is not carried to each of its
    allotments at once: where there is plenty, a portion of each is set aside in the `pocket`, and calls take from that
    until somebody looks at the allotments (`empty`): at every tick, with every answer of the store's, and as long as a
    call waits for money. So a call costs the same whether one budget is about it or ten.
    """

    __slots__ = (
        "_held",
        "_keeper",
        "_spent",
        "every_byte",
        "from_us",
        "hard",
        "pocket",
        "soft",
        "touched",
        "until_us",
        "used_us",
    )

    def __init__(self, keeper: Keeper, allotments: Sequence[Allotment]) -> None:
        self._keeper = keeper
        self.hard = tuple(one for one in allotments if one.budget.policy == "hard")
        self.soft = tuple(one for one in allotments if one.budget.policy == "soft")
        self.every_byte = any(one.budget.holds == "every_byte" for one in self.hard)
        """Whether one of them has its calls hold a token for every byte that they send; they do so in all of them."""
        self.from_us = max((one.key.start_us for one in allotments if one.end_us is not None), default=0)
        self.until_us = min((one.end_us for one in allotments if one.end_us is not None), default=EVERYTHING)
        self.pocket = 0
        """What is set aside of every hard allotment, for the calls that come next."""
        self._held = self._spent = 0
        """How much more calls hold, and have spent, than their allotments know."""
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
        pocket = self.pocket
        if pocket <= amount:  # a call that costs nothing is looked at, too
            pocket = self._filled(amount, now_us, times)
            if pocket < amount:
                return False
        self.pocket = pocket - amount
        self._held += amount
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
        self.pocket += amount - charge
        self._held -= amount
        self._spent += charge
        keeper = self._keeper
        if not self.touched:
            keeper.touch(self)
        if charge > amount and self.hard:
            keeper.note_overrun(charge - amount)
        if keeper.has_waiting:
            keeper.look_again()

    def empty(self) -> None:
        """Carry to the allotments what calls did, and what is left in the pocket."""
        pocket, held, spent = self.pocket, self._held, self._spent
        if not (pocket or held or spent):
            return
        self.pocket = self._held = self._spent = 0
        for allotment in self.hard:
            allotment.free += pocket
            allotment.held += held
            allotment.spent += spent
            assert allotment.held >= 0, f"{allotment.id} holds {allotment.held}"
        for allotment in self.soft:
            allotment.held += held
            allotment.spent += spent
            assert allotment.held >= 0, f"{allotment.id} holds {allotment.held}"
            if allotment.budget.policy == "hard":  # it became so meanwhile
                allotment.free -= held + spent

    def _filled(self, amount: int, now_us: int, times: int) -> int:
        """Return the pocket with at least `amount` in it, where there is so many `times` as much; else -1."""
        self.empty()
        keeper = self._keeper
        if keeper.fenced or any(one.blocked or one.account is None for one in self.soft):
            return -1
        room = min((one.free - one.floor for one in self.hard), default=EVERYTHING)
        if room < amount * times:
            return -1
        portion = amount if keeper.has_waiting else max(amount, room // POCKET)
        for allotment in self.hard:
            allotment.free -= portion
        self.pocket = portion
        self.used_us = now_us
        if not self.touched:
            keeper.touch(self)
        return portion


class Hold:
    """What one attempt holds in every budget that it belongs to, until it is settled or voided, once."""

    __slots__ = ("amount_nanousd", "at_us", "purse")

    def __init__(self, purse: Purse, amount_nanousd: int, at_us: int) -> None:
        self.purse: Purse | None = purse
        self.amount_nanousd = amount_nanousd
        self.at_us = at_us
        """When it was held. The attempt begins then: its cost is charged to the period that it begins in."""

    def settle(self, cost_nanousd: int | None) -> None:
        """Give back what was not spent; an attempt of unknown cost may have spent all that it held."""
        purse, self.purse = self.purse, None
        assert purse is not None, "a hold is settled once"
        amount = self.amount_nanousd
        purse.give_back(amount, amount if cost_nanousd is None else cost_nanousd)

    def void(self) -> None:
        """Give all of it back: nothing was sent."""
        self.settle(0)

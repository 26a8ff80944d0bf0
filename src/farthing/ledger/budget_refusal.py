"""Why a call does not fit a budget, in numbers and in words."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from farthing.errors import BudgetExceeded
from farthing.ledger.budget_rules import action_of
from farthing.ledger.periods import zone_of
from farthing.types.budgets import Budget, BudgetAction, called, with_key_name
from farthing.types.money import trimmed_usd

if TYPE_CHECKING:
    from farthing.ledger.allotments import Allotment
    from farthing.ledger.budget_rules import RuleBook
    from farthing.ledger.waiting import Waiter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """One budget that has not enough for a call."""

    budget: Budget
    subject: str
    needed_nanousd: int
    left_nanousd: int
    """What is not spent; calls under way may hold some of it."""
    room_nanousd: int
    """What a call could hold now."""
    resets_at_us: int | None
    action: BudgetAction | None
    """The threshold's action that forbids the call, where it is that."""
    shared: bool
    """Whether other organisations spend of it: their names and sums are none of the client's business."""

    @classmethod
    def of(cls, allotment: "Allotment", waiter: "Waiter", rules: "RuleBook") -> "Lack":
        """Return what an allotment lacks for a call."""
        budget, left = allotment.budget, allotment.left_nanousd or 0
        leasable = 0 if allotment.account is None else max(0, allotment.account.left_nanousd)
        about = waiter.attribution
        return cls(
            budget=budget,
            subject=with_key_name(str(allotment.key.subject), about.key_id, about.key_name),
            needed_nanousd=waiter.least,
            left_nanousd=max(0, left),
            room_nanousd=max(0, min(left, waiter.room_in(allotment) + leasable)),
            resets_at_us=allotment.end_us,
            action=action_of(budget, left, allotment.key.start_us) if allotment.blocked else None,
            shared=rules.is_shared(allotment.key.subject, about),
        )

    @property
    def held_by_others(self) -> bool:
        """Whether it would fit, if calls under way did not hold what is left."""
        return self.action is None and self.needed_nanousd <= self.left_nanousd

    def __str__(self) -> str:
        budget = self.budget
        if self.shared:
            why = "what is left of it does not suffice" if self.action is None else f"it says {self.action} now"
            return f"{called(budget.name, shared=True)}: {why}"
        left = f"${trimmed_usd(self.left_nanousd)} of ${trimmed_usd(budget.limit_nanousd)} is left"
        about = "" if self.subject == "all calls" else f" ({self.subject})"
        if self.action is not None:
            why = f"{left}, where it says {self.action}"
        elif self.held_by_others:
            room, needed = trimmed_usd(self.room_nanousd), trimmed_usd(self.needed_nanousd)
            why = f"{left}, calls under way hold all but ${room} of it, and this call may cost ${needed}"
        else:
            why = f"{left}, and this call may cost ${trimmed_usd(self.needed_nanousd)}"
        return f"{called(budget.name, shared=False)}{about}: {why}"


def never_fits(allotment: "Allotment", needed_nanousd: int, *, grace: Callable[[], bool]) -> bool:
    """Whether no call under way can give back enough: more is needed than is not spent."""
    left = allotment.left_nanousd
    if left is None:
        return False  # the store did not say; it may say next time
    budget = allotment.budget
    if needed_nanousd <= left:
        return False
    return not (budget.grace_nanousd and needed_nanousd <= left + budget.grace_nanousd and grace())


def refusal(lacks: Sequence[Lack], now_us: int) -> BudgetExceeded:
    """Return the error that refuses a call for what it lacks: which budgets, how much is left, when they begin anew."""
    first = max(lacks, key=lambda lack: lack.resets_at_us or (1 << 62))  # all of them must begin anew
    when = "it does not begin anew by itself" if first.resets_at_us is None else _when(first, now_us)
    told = "; ".join(str(lack) for lack in lacks)
    error = BudgetExceeded(f"Refused by {told}; {when}.")
    error.lacks = tuple(lacks)
    return error


def _when(lack: Lack, now_us: int) -> str:
    assert lack.resets_at_us is not None
    zone = zone_of(lack.budget.time_zone)
    at = (_EPOCH + timedelta(microseconds=lack.resets_at_us)).astimezone(zone)
    left_s = max(0, lack.resets_at_us - now_us) // 1_000_000
    hours, minutes = divmod(left_s // 60, 60)
    spell = f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{left_s} s"
    return f"it begins anew on {at:%Y-%m-%d at %H:%M} ({lack.budget.time_zone}), in {spell}"

"""Puts the models of a router into the order in which a call tries them, with the reasons.

First what the money forbids is left out: of a budget that lets only free models pass, and of one that has not enough.
Then the strategy orders the rest, unless a threshold of a budget does: `prefer_cheaper` takes free models first and
then the cheaper ones, and `emergency` does the same and tries nothing dearer after what it has tried. A model of
unknown price is dearer than every other one, because nobody can say that it is not.
"""

from collections.abc import Iterable
from typing import Literal, assert_never

import msgspec

from farthing.types.budgets import BudgetAction
from farthing.types.models import ModelRef
from farthing.types.money import trimmed_usd
from farthing.types.routing import BudgetStanding, Standing

Strategy = Literal["order", "cheapest"]
_ONLY_FREE: tuple[BudgetAction, ...] = ("local_only", "pause", "refuse")


class Candidate(msgspec.Struct, frozen=True):
    """One of a router's models, as it would serve this call.

    `price_nanousd` is what the call would cost by the model's price, to compare; `needs_nanousd` is the least that a
    hard budget would have to hold for it. Both are `None` where the price is not known. `free` models cost nothing and
    pass every budget; local ones are.
    """

    ref: ModelRef
    price_nanousd: int | None = None
    needs_nanousd: int | None = None
    free: bool = False


class Skipped(msgspec.Struct, frozen=True):
    """A model that is not tried because a budget is in its way, and which."""

    candidate: Candidate
    why: str


class Decision(msgspec.Struct, frozen=True):
    """The models to try, in this order; `because` is what decided it beside the router's own strategy."""

    tries: tuple[Candidate, ...]
    skipped: tuple[Skipped, ...] = ()
    because: tuple[str, ...] = ()
    emergency: bool = False

    def may_follow(self, failed: Candidate, candidate: Candidate) -> bool:
        """Whether a model may be tried after another one has been and failed: in an emergency, nothing dearer may."""
        if not self.emergency:
            return True
        if failed.price_nanousd is None or candidate.price_nanousd is None:
            return candidate.free
        return candidate.price_nanousd <= failed.price_nanousd

    @property
    def nearest(self) -> Candidate | None:
        """Of those that are skipped, the one that needs least: it would be the first to fit again."""
        return min((one.candidate for one in self.skipped), key=lambda one: _dearness(one.needs_nanousd), default=None)


def decide(strategy: Strategy, candidates: Iterable[Candidate], standing: Standing) -> Decision:
    """Return which of the candidates are tried, in which order."""
    able: list[Candidate] = []
    skipped: list[Skipped] = []
    for one in candidates:
        why = None if one.free else _in_the_way(one, standing)
        if why is None:
            able.append(one)
        else:
            skipped.append(Skipped(one, why))
    holding = _holding(standing, "emergency") or _holding(standing, "prefer_cheaper")
    because = () if holding is None else (f"{holding}: {holding.action}",)
    by_price = holding is not None or _by_price(strategy)
    tries = sorted(able, key=_price_of) if by_price else able  # stable: equals stay as they are written
    emergency = holding is not None and holding.action == "emergency"
    return Decision(tuple(tries), tuple(skipped), because, emergency)


def _by_price(strategy: Strategy) -> bool:
    match strategy:
        case "order":
            return False
        case "cheapest":
            return True
        case _:
            assert_never(strategy)


def _holding(standing: Standing, action: BudgetAction) -> BudgetStanding | None:
    return next((one for one in standing.budgets if one.action == action), None)


def _price_of(one: Candidate) -> tuple[bool, tuple[bool, int]]:
    return not one.free, _dearness(one.price_nanousd)


def _dearness(nanousd: int | None) -> tuple[bool, int]:
    return nanousd is None, nanousd or 0


def _in_the_way(one: Candidate, standing: Standing) -> str | None:
    """Return which budget does not let a model that costs money pass, and why; `None` where all of them do."""
    for budget in standing.budgets:
        if budget.action in _ONLY_FREE:
            return f"{budget} lets only free models pass ({budget.action})"
        room, needs = budget.room_nanousd, one.needs_nanousd
        if room is None:
            continue
        if needs is None:
            return f"its price is not known, and {budget} is hard"
        if needs > room:
            has = "less" if budget.shared else f"${trimmed_usd(room)}"
            return f"it needs ${trimmed_usd(needs)}, and {budget} has {has} now"
    return None

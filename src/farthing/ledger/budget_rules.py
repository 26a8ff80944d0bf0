"""The budgets that there are, and which of them a call belongs to.

With a hundred thousand keys that have one each, a call's budgets are found by what its own attribution says, narrowest
dimension first, and not by asking each budget.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from farthing.errors import InvalidRequest
from farthing.ledger.periods import period_at, zone_of
from farthing.types.budgets import (
    DIMENSIONS,
    EACH,
    Account,
    AccountKey,
    Budget,
    BudgetAction,
    BudgetChanges,
    Dimension,
    Scope,
    tags_of,
)
from farthing.types.calls import Attribution

_SECOND_US = 1_000_000
MAX_LIMIT_NANOUSD = 10**18
"""A thousand million dollars: nobody's budget, and a ninth of what 64 bits hold, so that no sum overflows."""
MAX_NAME_CHARS = 64
_STRENGTH: dict[BudgetAction, int] = {
    "warn": 0,
    "prefer_cheaper": 1,
    "emergency": 2,
    "local_only": 3,
    "pause": 4,
    "refuse": 5,
}
_BEGINS_ANEW = ("scope", "period", "time_zone", "reset_day")
_Anchor = tuple[Dimension | None, str]
_ONES_OWN: tuple[Dimension, ...] = ("organisation", "key_id", "session")
"""What no two organisations have in common; a session's name is its client's, made up at random."""


class RuleBook:
    """The rules as the store has them."""

    def __init__(self) -> None:
        self.counter = 0
        self._rules: dict[str, Budget] = {}
        self._by_anchor: dict[_Anchor, dict[str, Budget]] = {}
        self.elsewhere: Callable[[str | None, str | None], bool] = lambda _organisation, _team: False
        """Tells whether another organisation than this one has keys, of such a team where one is named."""

    @property
    def empty(self) -> bool:
        """Whether there is no budget at all, so that no call need be looked at."""
        return not self._by_anchor

    def get(self, budget_id: str) -> Budget | None:
        """Return a budget by its id."""
        return self._rules.get(budget_id)

    def __iter__(self) -> Iterator[Budget]:
        return iter(self._rules.values())

    def learn(self, changes: BudgetChanges, *, whole: bool = False) -> bool:
        """Take over what was changed, or where it is the `whole`, have nothing else; return whether anything was."""
        self.counter = changes.counter
        if whole:
            for budget_id in list(self._rules):
                self._drop(budget_id)
        for budget_id in changes.removed:
            self._drop(budget_id)
        for budget in changes.put:
            self._drop(budget.id)
            self._rules[budget.id] = budget
            if budget.enabled:
                self._by_anchor.setdefault(_anchor_of(budget), {})[budget.id] = budget
        return bool(whole or changes.removed or changes.put)

    def accounts_of(self, attribution: Attribution, now_us: int) -> Iterator[tuple[Budget, AccountKey, int | None]]:
        """Yield every account that a call made now belongs to, with its budget and the end of its period."""
        for anchor in _anchors_of(attribution):
            for budget in self._by_anchor.get(anchor, {}).values():
                scope = effective_scope(budget)
                start_us, end_us = period_of(budget, now_us)
                for subject in scope.subjects_of(attribution):
                    if anchor[0] == "tag" and anchor[1] == EACH and subject.tag is None:
                        continue
                    yield budget, AccountKey(budget.id, budget.version, subject, start_us), end_us

    def is_shared(self, subject: Scope, attribution: Attribution) -> bool:
        """Whether what is led for a subject may be of calls of other organisations than a call's own."""
        if any(getattr(subject, dimension) is not None for dimension in _ONES_OWN):
            return False
        return self.elsewhere(attribution.organisation, subject.team)

    def _drop(self, budget_id: str) -> None:
        budget = self._rules.pop(budget_id, None)
        if budget is None:
            return
        anchor = _anchor_of(budget)
        members = self._by_anchor.get(anchor, {})
        members.pop(budget_id, None)
        if not members:
            self._by_anchor.pop(anchor, None)


def effective_scope(budget: Budget) -> Scope:
    """Return the scope with what the period adds: one that is spent once a session has an account for each."""
    if budget.period == "session" and budget.scope.session is None:
        return msgspec.structs.replace(budget.scope, session=EACH)
    return budget.scope


def period_of(budget: Budget, now_us: int) -> tuple[int, int | None]:
    """Return when the period begins and ends; what has no period begins with the budget, in whole seconds."""
    start_us, end_us = period_at(budget.period, now_us, budget.time_zone, budget.reset_day)
    if end_us is None:
        start_us = budget.counts_from_us // _SECOND_US * _SECOND_US
    return start_us, end_us


def action_of(budget: Budget, left_nanousd: int | None, start_us: int) -> BudgetAction | None:
    """Return the strongest action whose threshold is reached; `None` where none is, or nothing is known yet.

    A pause that somebody lifted in this period holds no more.
    """
    if left_nanousd is None:
        return None
    reached = [one.action for one in budget.thresholds if left_nanousd * 100 < one.left_percent * budget.limit_nanousd]
    if budget.resumed_at_us is not None and budget.resumed_at_us >= start_us:
        reached = [action for action in reached if action != "pause"]
    return max(reached, key=_STRENGTH.__getitem__, default=None)


def resumed(budget: Budget, accounts: Iterable[Account], now_us: int) -> Budget | None:
    """Return the budget with its pause lifted, or `None` where no account of now is paused: a pause to come stays."""
    for one in accounts:
        if action_of(budget, budget.limit_nanousd - one.spent_nanousd, one.key.start_us) == "pause":
            return msgspec.structs.replace(budget, resumed_at_us=now_us)
    return None


def checked(budget: Budget) -> Budget:
    """Return the budget as it is, once everything in it is known to hold.

    Raises:
        InvalidRequest: something does not; it names the value and what is allowed.
    """
    name = budget.name
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise InvalidRequest(
            f"{name[:MAX_NAME_CHARS]!r} is no name for a budget.",
            hint=f"a name is 1 to {MAX_NAME_CHARS} printable characters without spaces around it.",
        )
    for what, amount in (("limit", budget.limit_nanousd), ("grace", budget.grace_nanousd)):
        if not 0 <= amount <= MAX_LIMIT_NANOUSD:
            raise InvalidRequest(
                f"The {what} of budget {name!r} is {amount} nanodollars.", hint="from 0 to 1e9 dollars."
            )
    last = {"week": 7, "month": 31}.get(budget.period, 1)
    if not 1 <= budget.reset_day <= last:
        raise InvalidRequest(
            f"Budget {name!r} begins anew on day {budget.reset_day} of a {budget.period}.",
            hint="a week has the days 1 (Monday) to 7, a month 1 to 31; other periods have none.",
        )
    if not all(0 < one.left_percent <= 100 for one in budget.thresholds):
        raise InvalidRequest(f"A threshold of budget {name!r} is no percentage.", hint="from 1 to 100 percent left.")
    zone_of(budget.time_zone)
    return budget


def changed(budget: Budget, now_us: int, **changes: Any) -> Budget:
    """Return the budget with changes; where they make its accounts begin anew it is the next version.

    With other thresholds a pause holds again that somebody had lifted.

    Raises:
        InvalidRequest: as `checked`.
    """
    made = checked(msgspec.structs.replace(budget, **changes))
    anew = any(getattr(made, name) != getattr(budget, name) for name in _BEGINS_ANEW)
    if anew or (made.enabled and not budget.enabled):
        made = msgspec.structs.replace(made, version=budget.version + anew, counts_from_us=now_us)
    if made.thresholds != budget.thresholds:
        made = msgspec.structs.replace(made, resumed_at_us=None)
    return made


def _anchor_of(budget: Budget) -> _Anchor:
    scope = effective_scope(budget)
    named = scope.named
    return (named[0], getattr(scope, named[0])) if named else (None, "")


def _anchors_of(attribution: Attribution) -> Iterator[_Anchor]:
    yield None, ""
    for dimension in DIMENSIONS:
        if dimension == "tag":
            tags = tags_of(attribution)
            if tags:
                yield "tag", EACH
            for tag in tags:
                if tag != EACH:  # clients choose names, and what is yielded twice would be held twice
                    yield "tag", tag
            continue
        value = getattr(attribution, dimension)
        if value:
            yield dimension, EACH
            if value != EACH:
                yield dimension, value

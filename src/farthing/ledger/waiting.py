"""Calls that wait for money, and what they lack."""

import asyncio
from collections.abc import Callable

from farthing.ledger.allotments import Allotment, Hold
from farthing.types.calls import Attribution

LOOK_AGAIN_S = 0.2
"""How often who waits asks the store again: what another process gives back announces itself to nobody here."""

Amounts = Callable[[], tuple[int, int]]
"""Returns the least that a call must hold and the most that it may cost, as far as is known now."""


class Waiter:
    """A call that waits for money."""

    __slots__ = ("_goes_on", "amounts", "asked_at", "attribution", "began", "future", "least", "most")

    def __init__(self, attribution: Attribution, amounts: Amounts, now: float, *, goes_on: Callable[[], bool]) -> None:
        self.attribution = attribution
        self.amounts = amounts
        self.least, self.most = amounts()
        self.asked_at = now
        self._goes_on: Callable[[], bool] | bool = goes_on
        self.began = now
        self.future: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()

    def goes_on(self) -> bool:
        """Whether it finishes a turn that was begun; looked at once, and only where it matters."""
        if not isinstance(self._goes_on, bool):
            self._goes_on = self._goes_on()
        return self._goes_on

    def has_grace(self, allotment: Allotment) -> bool:
        """Whether it may go beyond the limit of this one."""
        return allotment.budget.grace_nanousd > 0 and self.goes_on()

    def room_in(self, allotment: Allotment) -> int:
        """Return what of an allotment it may hold: what is beyond the limit is only for who has grace."""
        if allotment.beyond and not self.has_grace(allotment):
            return allotment.free - allotment.beyond
        return allotment.free

    def ask_again(self, now: float) -> bool:
        """Learn what the call may cost by what others did meanwhile; return whether that is less."""
        if now - self.asked_at < LOOK_AGAIN_S / 2:
            return False
        before = self.least
        self.least, self.most = self.amounts()
        self.asked_at = now
        return self.least < before


class Lacking:
    """What those who wait lack of one allotment: the `least` that helps one of them, and what `all` of them lack.

    Those who have `grace` are asked for apart, or the others would be granted what is only for these.
    """

    __slots__ = ("all", "allotment", "grace", "least")

    def __init__(self, allotment: Allotment, *, grace: bool) -> None:
        self.allotment = allotment
        self.grace = grace
        self.least = 0
        self.all = 0

    def add(self, lacks: int) -> None:
        """Add one call's."""
        if lacks:
            self.least = min(self.least, lacks) if self.least else lacks
            self.all += lacks

"""What a handler of the admin API is given: who asks for what, and the house to ask of."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from farthing.app import Farthing
from farthing.errors import Forbidden, NotThere
from farthing.ledger.under_way import UnderWay
from farthing.monitoring.exposition import Family
from farthing.server.admin.elsewhere import Elsewhere
from farthing.storage.limit_protocols import WindowStore
from farthing.storage.protocols import Store
from farthing.types.admin import Caller
from farthing.types.budgets import Budget
from farthing.types.limits import Limit
from farthing.types.tenant import Tenant

B = TypeVar("B")
Q = TypeVar("Q")


class House:
    """The gateway, as far as it is administered."""

    def __init__(
        self,
        farthing: Farthing,
        families: Callable[[], Awaitable[Iterable[Family]]],
        draining: Callable[[], bool],
    ) -> None:
        """`families` are the figures of every process; `draining` tells whether this one is about to stop."""
        self.farthing = farthing
        self.families = families
        self.draining = draining
        self.workers = workers = farthing.workers
        self.elsewhere = Elsewhere(farthing)
        self.readers = 0
        """Who listens to live events now."""
        self.under_way = UnderWay(farthing.ledger, farthing.home.journal, farthing.reading, alone=workers == 1)

    @property
    def store(self) -> Store:
        """The store in which things are changed."""
        return self.farthing.store

    async def books(self) -> Store:
        """Return the store for questions, which may take long without keeping anybody waiting."""
        return await self.farthing.books()

    async def windows(self) -> WindowStore:
        """Return what tells how much of limits is used."""
        return self.farthing.shared_windows or (await self.books()).windows

    def now_us(self) -> int:
        """Return the time."""
        return self.farthing.clock.now_us()


class Ask(Generic[B, Q]):
    """One request whose sender is known and may ask this; `body` and `query` are what the route takes."""

    __slots__ = ("_alone", "_note", "body", "caller", "house", "params", "query", "request_id")

    def __init__(
        self,
        house: House,
        caller: Caller,
        request_id: str,
        params: Mapping[str, str],
        body: B,
        query: Q,
    ) -> None:
        self.house = house
        self.caller = caller
        self.request_id = request_id
        self.params = params
        self.body = body
        self.query = query
        self._note: Noted = Noted()
        self._alone: bool | None = None

    def note(self, subject: str, *, before: Any = None, after: Any = None) -> None:
        """Say for the audit log what is changed: things as they are shown, which have no secrets."""
        self._note = Noted(subject, _plain(before), _plain(after))

    @property
    def noted(self) -> "Noted":
        """What was said for the audit log."""
        return self._note

    @property
    def setter(self) -> Tenant | None:
        """Who is said to have set a rule that the caller sets: the team that they manage; `None` is an admin."""
        return self.caller.tenant if self.caller.role == "manager" else None

    def team_for(self, organisation: str | None, team: str | None) -> tuple[str | None, str | None]:
        """Return the organisation and the team that are meant: the caller's own, where they are bound to one.

        Raises:
            Forbidden: they are others.
        """
        mine = self.caller.tenant
        if mine is None:
            return organisation, team
        for told, own in ((organisation, mine.organisation), (team, mine.team)):
            if told not in (None, own):
                raise Forbidden(f"This token is for the {mine}, and not for {told!r}.", hint="ask the admin.")
        return mine.organisation, mine.team

    async def is_alone(self) -> bool:
        """Return whether the caller's team is the only one of its name, so that what names the team is about it."""
        if self._alone is None:
            mine, store = self.caller.tenant, await self.house.books()
            self._alone = mine is None or not await store.team_elsewhere(mine)
        return self._alone

    def must_see(self, what: str, tenant: Tenant | None) -> None:
        """See to it that a thing of this team, or of the house, is the caller's business.

        Raises:
            Forbidden: it is not.
        """
        if not self.caller.sees(tenant):
            raise Forbidden(f"The {what} is not of the {self.caller.tenant}.", hint="ask the admin.")

    def must_have_set(self, rule: Budget | Limit) -> None:
        """See to it that the caller may change a rule: a manager only what a manager of the same team has set.

        Raises:
            Forbidden: an admin has set it, or somebody for another team.
        """
        if self.setter in (None, rule.set_by):
            return
        what = "budget" if isinstance(rule, Budget) else "limit"
        who = "the admin" if rule.set_by is None else "another team"
        raise Forbidden(
            f"The {what} {rule.name!r} was set by {who}, not by the {self.setter}.",
            hint=f"ask the admin, or make a tighter {what} beside it.",
        )


class Noted(msgspec.Struct, frozen=True):
    """What a handler said for the audit log."""

    subject: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def not_there(what: str, name: str) -> NotThere:
    """Return what is said of a thing that there is not."""
    told = name if len(name) <= 64 and name.isprintable() else "of that name"
    return NotThere(f"There is no {what} {told!r}.", hint=f"GET /admin/v1/{what}s lists what there is.")


def _plain(thing: Any) -> dict[str, Any] | None:
    return None if thing is None else msgspec.to_builtins(thing)

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

    __slots__ = ("_note", "body", "caller", "house", "params", "query", "request_id")

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

    def note(self, subject: str, *, before: Any = None, after: Any = None) -> None:
        """Say for the audit log what is changed: things as they are shown, which have no secrets."""
        self._note = Noted(subject, _plain(before), _plain(after))

    @property
    def noted(self) -> "Noted":
        """What was said for the audit log."""
        return self._note

    def team_for(self, team: str | None) -> str | None:
        """Return the team of a thing that is made: the caller's own, where they are bound to one.

        Raises:
            Forbidden: it is another.
        """
        mine = self.caller.team
        if mine is not None and team not in (None, mine):
            raise Forbidden(f"This token is for the team {mine!r}, and not for {team!r}.", hint="ask the admin.")
        return mine if mine is not None else team

    def must_see(self, what: str, team: str | None) -> None:
        """See to it that a thing of this team is the caller's business.

        Raises:
            Forbidden: it is not.
        """
        if not self.caller.sees(team):
            raise Forbidden(f"The {what} is not of the team {self.caller.team!r}.", hint="ask the admin.")


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

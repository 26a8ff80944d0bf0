"""Live events: calls that ended, and budgets whose state changed, as they happen.

Server-sent events of every process of the home, and of other hosts where they share a Redis. A reader that is slower
than the events misses some, and is told how many; no call ever waits for a reader.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from farthing.errors import Overloaded
from farthing.ledger.budget_rules import action_of
from farthing.server.admin.ask import Ask, House
from farthing.server.admin.resources.teams import tenant_named_in
from farthing.server.admin.routes import READ, Answer, Nothing, Route
from farthing.server.admin.shown import moment
from farthing.types.admin import Caller
from farthing.types.calls import Attempt
from farthing.types.live import CallNews, news_of
from farthing.types.money import usd_text

MAX_READERS = 32
"""Live pages that may be open at a time; each costs a look at the budgets every `LOOK_S`."""
MAX_WAITING = 1_000
"""Events that wait for a slow reader, 300 KB."""
LOOK_S = 2.0
"""How often budgets are looked at while somebody reads."""
LISTEN_S = 0.5
"""How often is looked whether the time is over, or the process about to stop."""
PING_S = 15.0
"""How long nothing is said before a comment is: proxies cut what is silent for half a minute."""
MAX_ACCOUNTS = 1_000
"""Accounts that are watched for a reader."""


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How long to listen at most; without it until the reader leaves."""

    seconds: Annotated[int, Meta(ge=1, le=86_400)] | None = None


class CallEvent(msgspec.Struct, frozen=True, kw_only=True, tag="call", tag_field="type"):
    """`event: call`: an attempt ended. A cost of `null` is unknown."""

    at: datetime
    call_id: str
    provider: str
    model: str
    key_id: str
    key_name: str
    team: str | None
    project: str | None
    outcome: str
    http_status: int | None
    input_tokens: int | None
    output_tokens: int | None
    usd: str | None
    nanousd: int | None


class BudgetEvent(msgspec.Struct, frozen=True, kw_only=True, tag="budget", tag_field="type"):
    """`event: budget`: another action holds than before, or none (`open`) again."""

    at: datetime
    budget_id: str
    name: str
    account_id: str
    state: str
    was: str
    left_nanousd: int
    left_usd: str


class MissedEvent(msgspec.Struct, frozen=True, tag="missed", tag_field="type"):
    """`event: missed`: the reader was slower than the events, and so many were dropped."""

    events: int


class _Reader:
    """One reader's queue."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._waiting: deque[bytes] = deque()
        self._missed = 0
        self.more = asyncio.Event()

    def take(self, attempts: Sequence[Attempt]) -> None:
        """Take attempts that ended, as far as they are the reader's business."""
        self.take_news([news_of(attempt) for attempt in attempts])

    def take_news(self, calls: Sequence[CallNews]) -> None:
        """Take what ended elsewhere."""
        for call in calls:
            if self._caller.sees(call.tenant):
                self.put("call", _call(call))

    def put(self, name: str, event: msgspec.Struct) -> None:
        """Queue an event; without room it is counted and dropped."""
        if len(self._waiting) >= MAX_WAITING:
            self._missed += 1
        else:
            self._waiting.append(_framed(name, event))
        self.more.set()

    def drain(self) -> bytes:
        """Return what waits."""
        self.more.clear()
        pieces = list(self._waiting)
        self._waiting.clear()
        if self._missed:
            pieces.append(_framed("missed", MissedEvent(self._missed)))
            self._missed = 0
        return b"".join(pieces)


async def events(ask: Ask[Nothing, EventQuery]) -> Answer:
    """Tell what happens, as it happens."""
    if ask.house.readers >= MAX_READERS:
        raise Overloaded(f"{MAX_READERS} readers listen already, which is the bound.", hint="close one.")
    return Answer(stream=_told(ask.house, ask.caller, ask.query.seconds))


async def _told(house: House, caller: Caller, seconds: int | None) -> AsyncGenerator[bytes, None]:
    reader = _Reader(caller)
    house.readers += 1
    unsubscribe = house.farthing.ledger.call_finished.subscribe(reader.take)
    leave_elsewhere = house.elsewhere.subscribe(reader.take_news)
    watching = asyncio.create_task(_watch_budgets(house, caller, reader), name="budget-events")
    loop = asyncio.get_running_loop()
    ends = None if seconds is None else loop.time() + seconds
    try:
        yield b": farthing\n\n"
        said = loop.time()
        while (ends is None or loop.time() < ends) and not house.draining():
            try:
                async with asyncio.timeout(LISTEN_S):
                    await reader.more.wait()
            except TimeoutError:
                if loop.time() - said < PING_S:
                    continue
            said = loop.time()
            yield reader.drain() or b": ping\n\n"
    finally:
        house.readers -= 1
        unsubscribe()
        leave_elsewhere()
        watching.cancel()
        await asyncio.wait([watching])


async def _watch_budgets(house: House, caller: Caller, reader: _Reader) -> None:
    """Tell the reader whenever another action holds of an account than before."""
    known: dict[str, str] = {}
    first = True
    while True:
        states = await _states(house, caller)
        for event in states:
            was = known.get(event.account_id, event.state if first else "open")
            if was != event.state:
                reader.put("budget", msgspec.structs.replace(event, was=was))
        known, first = {event.account_id: event.state for event in states}, False
        await asyncio.sleep(LOOK_S)


async def _states(house: House, caller: Caller) -> list[BudgetEvent]:
    store, now_us = await house.books(), house.now_us()
    rules = {rule.id: rule for rule in await store.budgets.all()}
    alone = caller.tenant is None or not await store.team_elsewhere(caller.tenant)
    found = []
    for account in (await store.budgets.accounts(at_us=now_us, now_us=now_us))[:MAX_ACCOUNTS]:
        rule = rules.get(account.key.budget_id)
        if rule is None or not caller.sees(tenant_named_in(account.key.subject, caller.tenant, alone=alone)):
            continue
        left = account.limit_nanousd - account.spent_nanousd
        state = action_of(rule, left, account.key.start_us) or "open"
        found.append(
            BudgetEvent(
                at=moment(now_us),
                budget_id=rule.id,
                name=rule.name,
                account_id=account.key.id,
                state=state,
                was=state,
                left_nanousd=left,
                left_usd=usd_text(left),
            )
        )
    return found


_UNTOLD = ("at_us", "organisation")
"""What is told otherwise, and what whoever is told knows."""


def _call(call: CallNews) -> CallEvent:
    told = {name: value for name, value in msgspec.structs.asdict(call).items() if name not in _UNTOLD}
    usd = None if call.nanousd is None else usd_text(call.nanousd)
    return CallEvent(at=moment(call.at_us), usd=usd, **told)


def _framed(name: str, event: msgspec.Struct) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(event))


ROUTES = (
    Route(
        method="GET",
        path="/events",
        name="events",
        about="Tell what happens as it happens, as server-sent events.",
        roles=READ,
        handler=events,
        query=EventQuery,
        gives=CallEvent | BudgetEvent | MissedEvent,
        streams=True,
        refusals=(503,),
    ),
)

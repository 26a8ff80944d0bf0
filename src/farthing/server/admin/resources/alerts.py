"""Alerts: what was told and to whom, what holds now, and the channels, which can be tried.

Channels and reports are the operator's, in settings.yaml; here they are shown, and never an address. What a receiver
answered may name it, so the admin alone is told.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from farthing.errors import NotThere
from farthing.monitoring.notify.key_names import with_key_names
from farthing.monitoring.notify.webhook import with_usd
from farthing.monitoring.notify.words import message_of
from farthing.server.admin.ask import Ask, not_there
from farthing.server.admin.resources.teams import tenant_in
from farthing.server.admin.routes import ADMIN, MANAGE, OVERSEE, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Name, Text, moment, time_of
from farthing.types.alerts import (
    About,
    BudgetReached,
    Condition,
    DeliveryState,
    ErrorBurst,
    Fact,
    FactKind,
    ForecastPassed,
    Told,
    UnusualSpend,
    WhyOver,
    kind_of,
)
from farthing.types.budgets import Scope
from farthing.types.report_facts import ReportMade
from farthing.types.tenant import Tenant

MOST_LOOKED_AT = 10_000
"""Of those that are kept, so many are looked at for who sees a team's alone; a quarter of a year of a busy gateway."""
_PAGE = 500


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts; `before` is the id of the last one of the page before, `dead` those that a channel never took."""

    limit: Limit = 100
    before: Text | None = None
    dead: bool = False


class DeliveryShown(msgspec.Struct, frozen=True, kw_only=True):
    """How an alert stands with a channel; `error` is what the channel said last, for the admin alone."""

    channel: str
    state: DeliveryState
    tries: int
    next_try_at: datetime | None
    delivered_at: datetime | None
    error: str | None


class AlertShown(msgspec.Struct, frozen=True, kw_only=True):
    """An alert in words and figures. `routed`: it was decided where it goes; without deliveries, to nobody."""

    id: str
    at: datetime
    kind: FactKind
    state: str
    why_over: WhyOver | None
    title: str
    text: str
    about: dict[str, Any]
    routed: bool
    deliveries: tuple[DeliveryShown, ...]


class AlertPage(msgspec.Struct, frozen=True):
    """Alerts, the youngest first; `next` is the `before` of the next page, `null` on the last one."""

    alerts: tuple[AlertShown, ...]
    next: str | None


class ConditionShown(msgspec.Struct, frozen=True, kw_only=True):
    """What holds, since when, and until when unless it is seen again."""

    name: str
    kind: FactKind
    since: datetime
    until: datetime | None
    about: dict[str, Any]


class ConditionList(msgspec.Struct, frozen=True):
    """What holds now, what changed last first."""

    conditions: tuple[ConditionShown, ...]


class ChannelShown(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, what goes there, and which reports are sent to it."""

    name: str
    kind: str
    facts: tuple[FactKind, ...]
    reports: tuple[str, ...]


class ChannelList(msgspec.Struct, frozen=True):
    """The channels of settings.yaml, in its order."""

    channels: tuple[ChannelShown, ...]


class ChannelTest(msgspec.Struct, frozen=True, kw_only=True):
    """Which channel is tried; every one where none is named."""

    channel: Name | None = None


class ChannelTried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test message."""

    channel: str
    taken: bool
    error: str | None


class ChannelsTried(msgspec.Struct, frozen=True):
    """What came of each, in the order of settings.yaml."""

    channels: tuple[ChannelTried, ...]


class Retried(msgspec.Struct, frozen=True):
    """How many deliveries will be tried again."""

    deliveries: int


async def listed(ask: Ask[Nothing, AlertQuery]) -> Answer:
    """List what was told."""
    found: list[Told] = []
    async for told in _seen(ask):
        found.append(told)
        if len(found) > ask.query.limit:
            break
    shown = await _shown(ask, found[: ask.query.limit])
    return Answer(AlertPage(shown, shown[-1].id if len(found) > ask.query.limit else None))


async def show(ask: Ask[Nothing, Nothing]) -> Answer:
    """Show an alert."""
    (shown,) = await _shown(ask, [await _alert(ask)])
    return Answer(shown)


async def conditions(ask: Ask[Nothing, Nothing]) -> Answer:
    """Tell what holds now."""
    store = await ask.house.books()
    found = [
        _condition(one)
        for one in await store.alerts.holding(MOST_LOOKED_AT)
        if not isinstance(one.about, ReportMade) and await _sees(ask, one.about)
    ]
    return Answer(ConditionList(tuple(found)))


async def channels(ask: Ask[Nothing, Nothing]) -> Answer:
    """List the channels."""
    settings = ask.house.farthing.settings.alerts
    shown = [
        ChannelShown(
            name=one.name,
            kind=one.kind,
            facts=one.facts,
            reports=tuple(report.name for report in settings.reports if one.name in report.channels),
        )
        for one in settings.channels
    ]
    return Answer(ChannelList(tuple(shown)))


async def test(ask: Ask[ChannelTest, Nothing]) -> Answer:
    """Send a test message, and wait for what comes of it."""
    farthing, wanted = ask.house.farthing, ask.body.channel
    names = [one.name for one in farthing.settings.alerts.channels if wanted in (None, one.name)]
    if wanted is not None and not names:
        raise NotThere(f"There is no channel {wanted!r}.", hint="GET /admin/v1/alerts/channels lists what there is.")
    errors = await farthing.alerting.test(names, farthing.ids.new("test"))
    told = ChannelsTried(
        tuple(
            ChannelTried(channel=name, taken=error is None, error=error)
            for name, error in zip(names, errors, strict=True)
        )
    )
    ask.note(wanted or "all channels", after=told)
    return Answer(told)


async def retry(ask: Ask[Nothing, Nothing]) -> Answer:
    """Have an alert sent again to the channels that never took it."""
    told = await _alert(ask)
    return await _again(ask, told.fact.id)


async def retry_all(ask: Ask[Nothing, Nothing]) -> Answer:
    """Have every alert sent again that a channel never took."""
    return await _again(ask, None)


async def _again(ask: Ask[Any, Any], fact_id: str | None) -> Answer:
    again = Retried(await ask.house.store.alerts.retry(fact_id, ask.house.now_us()))
    ask.note(fact_id or "all alerts", after=again)
    return Answer(again)


async def _alert(ask: Ask[Any, Any]) -> Told:
    wanted, store = ask.params["id"], await ask.house.books()
    found = await store.alerts.told(1, fact_id=wanted)
    if not found:
        raise not_there("alert", wanted)
    ask.must_see("alert", await _tenant(ask, found[0].fact.about))
    return found[0]


async def _seen(ask: Ask[Nothing, AlertQuery]) -> AsyncIterator[Told]:
    """Yield what the caller may see, the youngest first."""
    store, before = await ask.house.books(), ask.query.before
    for _ in range(MOST_LOOKED_AT // _PAGE):
        page = await store.alerts.told(_PAGE, dead_only=ask.query.dead, before=before)
        for told in page:
            if await _sees(ask, told.fact.about):
                yield told
        if len(page) < _PAGE:
            return
        before = page[-1].fact.id


async def _sees(ask: Ask[Any, Any], about: About) -> bool:
    return ask.caller.tenant is None or ask.caller.sees(await _tenant(ask, about))


async def _tenant(ask: Ask[Any, Any], about: About) -> Tenant | None:
    """Return whose an alert is: the team that it is about, or whose key; `None` is the house's."""
    match about:
        case BudgetReached() | ForecastPassed() | UnusualSpend():
            return await tenant_in(ask, about.subject)
        case ReportMade():
            return await tenant_in(ask, Scope(team=about.team))
        case ErrorBurst():
            return None


async def _shown(ask: Ask[Any, Any], found: Sequence[Told]) -> tuple[AlertShown, ...]:
    """Return alerts as they are shown, with keys by their names."""
    facts = await with_key_names(await ask.house.books(), [told.fact for told in found])
    return tuple(_worded(ask, fact, told) for fact, told in zip(facts, found, strict=True))


def _worded(ask: Ask[Any, Any], fact: Fact, told: Told) -> AlertShown:
    message = message_of(fact)
    return AlertShown(
        id=fact.id,
        at=moment(fact.at_us),
        kind=fact.kind,
        state="began" if fact.why_over is None else "over",
        why_over=fact.why_over,
        title=message.title,
        text=message.text,
        about=with_usd(fact.about),
        routed=told.routed,
        deliveries=tuple(
            DeliveryShown(
                channel=one.channel,
                state=one.state,
                tries=one.tries,
                next_try_at=time_of(one.next_try_at_us),
                delivered_at=time_of(one.delivered_at_us),
                error=one.error if ask.caller.role == "admin" else None,
            )
            for one in told.deliveries
        ),
    )


def _condition(one: Condition) -> ConditionShown:
    return ConditionShown(
        name=one.name,
        kind=kind_of(one.about),
        since=moment(one.changed_at_us),
        until=time_of(one.until_us),
        about=with_usd(one.about),
    )


ROUTES = (
    Route(
        method="GET",
        path="/alerts",
        name="alerts.list",
        about="List what was told, to whom and how that went, the youngest first.",
        roles=READ,
        handler=listed,
        query=AlertQuery,
        gives=AlertPage,
    ),
    Route(
        method="GET",
        path="/alerts/conditions",
        name="alerts.conditions",
        about="Tell what holds now: thresholds that are passed, unusual spending, limits that will be reached, errors.",
        roles=READ,
        handler=conditions,
        gives=ConditionList,
    ),
    Route(
        method="GET",
        path="/alerts/channels",
        name="alerts.channels",
        about="List the channels, without their addresses.",
        roles=OVERSEE,
        handler=channels,
        gives=ChannelList,
    ),
    Route(
        method="POST",
        path="/alerts/test",
        name="alerts.test",
        about="Send a test message to each channel or to one, and tell what came of it.",
        roles=ADMIN,
        handler=test,
        takes=ChannelTest,
        gives=ChannelsTried,
        refusals=(404,),
    ),
    Route(
        method="POST",
        path="/alerts/retry",
        name="alerts.retry_all",
        about="Have every alert sent again that a channel never took.",
        roles=ADMIN,
        handler=retry_all,
        gives=Retried,
    ),
    Route(
        method="GET",
        path="/alerts/{id}",
        name="alerts.show",
        about="Show an alert.",
        roles=READ,
        handler=show,
        gives=AlertShown,
        refusals=(404,),
    ),
    Route(
        method="POST",
        path="/alerts/{id}/retry",
        name="alerts.retry",
        about="Have an alert sent again to the channels that never took it.",
        roles=MANAGE,
        handler=retry,
        gives=Retried,
        refusals=(404,),
    ),
)

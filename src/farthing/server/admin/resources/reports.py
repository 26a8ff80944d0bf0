"""Reports: a day, a week or a month, against the time before, with what the ledger recommends."""

from typing import Annotated, Any, cast, get_args

import msgspec
from msgspec import Meta

from farthing.catalog.known_prices import KnownPrices
from farthing.errors import InvalidRequest, NotThere, Problem, WrongFields
from farthing.ledger.report_prices import report_prices
from farthing.ledger.report_records import report_as_data
from farthing.ledger.spending_report import PeriodName, period_of, spending_report
from farthing.server.admin.ask import Ask
from farthing.server.admin.resources.spend import groups_of
from farthing.server.admin.routes import READ, Answer, Nothing, Route
from farthing.server.admin.shown import Text, ZonedTime, us_of
from farthing.types.spending import SpendingBy, SpendingScope

_SCOPES: tuple[SpendingBy, ...] = (
    *("organisation", "team", "project", "key", "user", "session", "task", "tag", "branch"),
)


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The period that holds `of` (now, where nothing is said), and only what is known by all that is given.

    `by` names up to four things, with commas between, by each of which sums are told besides models and projects.
    """

    of: ZonedTime | None = None
    time_zone: Text = "UTC"
    by: Text | None = None
    local_target_percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    organisation: Text | None = None
    team: Text | None = None
    project: Text | None = None
    key: Text | None = None
    user: Text | None = None
    session: Text | None = None
    task: Text | None = None
    tag: Text | None = None
    branch: Text | None = None


async def show(ask: Ask[Nothing, ReportQuery]) -> Answer:
    """Report on a day, a week or a month."""
    name, query, now_us = ask.params["period"], ask.query, ask.house.now_us()
    if name not in get_args(PeriodName):
        raise NotThere(f"There is no report of a {name!r}.", hint=f"there are: {', '.join(get_args(PeriodName))}.")
    at_us = now_us if query.of is None else us_of(query.of)
    assert at_us is not None
    if not 0 <= at_us <= now_us:
        raise WrongFields([Problem("of", "This is not in the past.", str(query.of), "a time since 1970 that is over")])
    try:
        period = period_of(cast("PeriodName", name), at_us, now_us, query.time_zone)
    except InvalidRequest as error:
        allowed = "an IANA name, such as Europe/Berlin"
        raise WrongFields([Problem("time_zone", error.message, query.time_zone, allowed)]) from error
    farthing, store = ask.house.farthing, await ask.house.books()
    await ask.house.under_way.wait_for_store(store)
    organisation, team = ask.team_for(query.organisation, query.team)
    meant: dict[SpendingBy, str | None] = {name: getattr(query, name) for name in _SCOPES} | {
        "organisation": organisation,
        "team": team,
    }
    scope = [SpendingScope(by, value) for by in _SCOPES if (value := meant[by]) is not None]
    of_all = ask.caller.tenant is not None and await ask.is_alone()
    told = await spending_report(
        store,
        period,
        report_prices(KnownPrices(farthing.settings, farthing.prices), period, now_us),
        scope=scope,
        budgets_in=[one for one in scope if one.by != "organisation"] if of_all else scope,
        by=groups_of(query.by),
        fixed_costs=() if ask.caller.tenant is not None else farthing.settings.fixed_costs,
        local_target_percent=query.local_target_percent,
    )
    return Answer(report_as_data(told))


ROUTES = (
    Route(
        method="GET",
        path="/reports/{period}",
        name="reports.show",
        about="Report on a day, a week or a month: tokens and money, by model and project, and what to do about it.",
        roles=READ,
        handler=show,
        query=ReportQuery,
        gives=dict[str, Any],
        refusals=(404,),
    ),
)

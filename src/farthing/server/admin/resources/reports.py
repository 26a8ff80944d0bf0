"""Reports: a day, a week or a month, against the time before, with what the ledger recommends."""

from typing import Any, cast, get_args

import msgspec

from farthing.catalog.known_prices import KnownPrices
from farthing.errors import NotThere, Problem, WrongFields
from farthing.ledger.report_prices import report_prices
from farthing.ledger.report_records import report_as_data
from farthing.ledger.spending_report import BudgetUse, Period, PeriodName, period_of, spending_report
from farthing.server.admin.ask import Ask
from farthing.server.admin.routes import READ, Answer, Nothing, Route
from farthing.server.admin.shown import Text, ZonedTime, us_of
from farthing.storage.protocols import Store
from farthing.types.spending import SpendingScope

_SCOPES = ("team", "project", "key", "user", "task", "branch")


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The period that holds `of` (now, where nothing is said), and only what is known by all that is given."""

    of: ZonedTime | None = None
    team: Text | None = None
    project: Text | None = None
    key: Text | None = None
    user: Text | None = None
    task: Text | None = None
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
    period = period_of(cast("PeriodName", name), at_us, now_us)
    farthing, store = ask.house.farthing, await ask.house.books()
    await ask.house.under_way.wait_for_store(store)
    meant = {name: getattr(query, name) for name in _SCOPES} | {"team": ask.team_for(query.team)}
    told = await spending_report(
        store,
        period,
        report_prices(KnownPrices(farthing.settings, farthing.prices), period, now_us),
        scope=[SpendingScope(by, value) for by in _SCOPES if (value := meant[by]) is not None],  # type: ignore[arg-type]
        fixed_costs=() if ask.caller.team is not None else farthing.settings.fixed_costs,
        budgets=await _budgets(store, period, meant["team"]) if period.running else (),
    )
    return Answer(report_as_data(told))


async def _budgets(store: Store, period: Period, team: str | None) -> list[BudgetUse]:
    """Return how the budgets stand that begin anew with such a period; of a team, those that name it."""
    now_us = period.until_us
    rules = {rule.id: rule for rule in await store.budgets.all() if rule.period == period.name}
    accounts = await store.budgets.accounts(at_us=now_us, now_us=now_us)
    return [
        BudgetUse(rule.name, account.limit_nanousd, account.spent_nanousd, rule.period)
        for account in accounts
        if (rule := rules.get(account.key.budget_id)) is not None and team in (None, account.key.subject.team)
    ]


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

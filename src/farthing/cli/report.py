"""`farthing report`: a day, a week or a month on a page, and what the ledger recommends."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast, get_args

import click

from farthing.cli.budget import Usd
from farthing.cli.context import current_home, current_settings
from farthing.cli.number import Number
from farthing.cli.since import Since
from farthing.cli.tables import print_json

if TYPE_CHECKING:
    from farthing.ledger.spending_report import PeriodName
    from farthing.types.spending import SpendingBy, SpendingScope

_SCOPES = (
    *("project", "team", "user", "key", "task", "tag", "branch", "session", "organisation", "provider", "model"),
)
_BY = ("team", "user", "key", "session", "task", "tag", "branch", "organisation", "provider", "day")


class Scope(click.ParamType["SpendingScope"]):
    """`project=site`: only what is known by this; `project=` is what has no project."""

    name = "scope"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "SpendingScope":
        """Return the scope."""
        from farthing.types.spending import SpendingBy, SpendingScope  # noqa: PLC0415  (not for --help)

        if isinstance(value, SpendingScope):
            return value
        by, is_one, name = str(value).partition("=")
        if not is_one or by not in _SCOPES:
            self.fail(f"{value!r} is no scope; write project=site, with one of {', '.join(_SCOPES)}.", param, ctx)
        assert by in get_args(SpendingBy)
        return SpendingScope(cast("SpendingBy", by), name or None)


@click.command()
@click.argument("period", type=click.Choice(["day", "week", "month"]))
@click.option("--of", "of_us", type=Since(), help="A moment in it: 2026-11-18, 7d [now].")
@click.option("--scope", "scopes", type=Scope(), multiple=True, help="Only this: project=site, team=core.")
@click.option("--by", "groups", type=click.Choice(_BY), multiple=True, help="A table more, by this.")
@click.option("--zone", "time_zone", default="UTC", show_default=True, help="Whose days: Europe/Berlin.")
@click.option("--local-target", type=Number(1, 100), help="Advise where fewer PERCENT of tokens were free.")
@click.option("--outcome-usd", type=Usd(), default="1", show_default=True, help="Advise where a success costs more.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def report(
    period: str,
    of_us: int | None,
    scopes: "tuple[SpendingScope, ...]",
    groups: "tuple[SpendingBy, ...]",
    time_zone: str,
    local_target: int | None,
    outcome_usd: int,
    as_json: bool,  # noqa: FBT001  (click's flag)
) -> None:
    """Show a day, a week or a month: tokens and money, by model and project, and what to do about it."""
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.cli.pricing import Pricing  # noqa: PLC0415
    from farthing.cli.report_page import print_report  # noqa: PLC0415
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.report_prices import report_prices  # noqa: PLC0415
    from farthing.ledger.report_records import report_as_data  # noqa: PLC0415
    from farthing.ledger.spending_report import period_of, spending_report  # noqa: PLC0415

    home = current_home()
    settings = current_settings(home)
    now_us = SystemClock().now_us()
    if of_us is not None and of_us > now_us:
        raise click.UsageError(f"{datetime.fromtimestamp(of_us / 1e6, UTC):%Y-%m-%d} is still to come.")
    chosen = period_of(cast("PeriodName", period), now_us if of_us is None else of_us, now_us, time_zone)
    prices = report_prices(Pricing(settings, home), chosen, now_us)
    told = read_books(
        home,
        lambda books: spending_report(
            books.store,
            chosen,
            prices,
            scope=scopes,
            by=groups,
            fixed_costs=settings.fixed_costs,
            local_target_percent=local_target,
            outcome_threshold_nanousd=outcome_usd,
        ),
    )
    if as_json:
        print_json(report_as_data(told))
    else:
        print_report(told)

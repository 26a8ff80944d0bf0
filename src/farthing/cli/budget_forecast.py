"""`farthing budget forecast`: what each budget comes to, with an interval, and how good such forecasts were."""

from typing import TYPE_CHECKING, Any

import click
import msgspec

from farthing.cli.budget_show import forecast_as_data, standing_as_data
from farthing.cli.budget_standing import Standing, local, nothing_yet, pace_words, show_standings
from farthing.cli.tables import counted, usd
from farthing.types.money import rough_usd

if TYPE_CHECKING:
    from farthing.ledger.backtest import Backtest


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def forecast(name: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Foresee what budgets come to, and when they are spent; with how good such forecasts were."""
    show_standings(name, _as_data, _fields, as_json=as_json, judged=True)


def _fields(one: Standing, now_us: int) -> list[tuple[str, str | None]]:
    from farthing.ledger.forecast import INTERVAL_PERCENT, MIN_HOURS  # noqa: PLC0415  (--help must not pay for it)

    rule, account, outlook = one.rule, one.account, one.outlook
    if account is None:
        before = one.uncounted_nanousd
        return [("spent", f"{usd(before)}; counted with the next call" if before else nothing_yet(rule))]
    made = None if outlook is None else outlook.forecast
    spent = f"{usd(account.spent_nanousd)} of {usd(rule.limit_nanousd)} USD"
    if made is None:
        why = "an hour is too short to foresee" if rule.period == "hour" else f"needs {MIN_HOURS} hours to look back on"
        return [("spent", spent), ("expected", f"unknown: {why}")]
    interval = f"{INTERVAL_PERCENT} % between {rough_usd(made.low_nanousd)} and {rough_usd(made.high_nanousd)}"
    until = local(made.end_us, rule.time_zone, now_us)
    drawn = counted(made.sample, "day" if made.basis == "days" else "hour")
    backtest = None if outlook is None else outlook.backtest
    return [
        ("spent", spent),
        ("expected", f"{rough_usd(made.expected_nanousd)} by {until}; {interval}"),
        ("pace", pace_words(made, rule)),
        ("drawn from", f"{drawn} of this account"),
        ("until now", _judged(backtest, INTERVAL_PERCENT)),
    ]


def _judged(told: "Backtest | None", interval_percent: int) -> str:
    """Return in words how good such forecasts were."""
    if told is None:
        return "no period is over by which a forecast could be judged"
    held = f"{told.covered} of {told.forecasts} intervals held ({told.covered * 100 // told.forecasts} %"
    half = f"half of the forecasts were within {told.median_error_permille / 10:.0f} %"
    return f"{held}, {interval_percent} are meant); {half}"


def _as_data(one: Standing) -> dict[str, Any]:
    backtest = None if one.outlook is None else one.outlook.backtest
    told = None if backtest is None else msgspec.structs.asdict(backtest)
    return {**standing_as_data(one), "forecast": forecast_as_data(one), "backtest": told}

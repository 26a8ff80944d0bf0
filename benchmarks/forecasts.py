"""How often the interval of a forecast holds what came, and how far off the forecast is: on made-up ledgers, by seed.

    python -m benchmarks.forecasts

Each shape of ledger has 240 days; every past day, week and month is forecast at a quarter, a half and three quarters of
it with what was known then. The table stands in docs/alerts.md; a shorter run is a test.
"""

from typing import Any

from farthing.ledger.backtest import backtest
from farthing.types.budgets import Period
from tests.unit.ledger.spending_samples import BEGIN_US, DAY_US, made_up

SHAPES: dict[str, dict[str, Any]] = {
    "office hours": {},
    "round the clock": {"office": False},
    "a level that wanders": {"drift": 0.08},
    "dear days now and then": {"dear_days": 0.07},
}
PERIODS: tuple[Period, ...] = ("day", "week", "month")
DAYS = 240
SEEDS = {"day": 4, "week": 6, "month": 12}


def main() -> None:
    """Print the table."""
    print("| ledger | period | forecasts | held | median error |\n|---|---|---|---|---|")
    for shape, fields in SHAPES.items():
        for period in PERIODS:
            made = covered = 0
            errors = []
            for seed in range(SEEDS[period]):
                told = backtest(made_up(seed, DAYS, **fields), period=period, now_us=BEGIN_US + DAYS * DAY_US)
                assert told is not None, "240 days are enough to look back on"
                made, covered = made + told.forecasts, covered + told.covered
                errors.append(told.median_error_permille)
            middle = sorted(errors)[len(errors) // 2] / 10
            print(f"| {shape} | {period} | {made} | {covered * 100 // made} % | {middle:.0f} % |")


if __name__ == "__main__":
    main()

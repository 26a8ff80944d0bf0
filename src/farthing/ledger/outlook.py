"""An account and where it is going: the forecast of its period, and how good such forecasts were."""

from collections.abc import Sequence

import msgspec

from farthing.ledger.backtest import LOOKS_BACK_US, Backtest, backtest
from farthing.ledger.forecast import LOOK_BACK_DAYS, Forecast, forecast
from farthing.storage.history_protocols import HistoryStore
from farthing.types.budgets import Account, Budget, Scope
from farthing.types.history import GROUPED_BY, HOUR_US, HourTotal

HORIZON_US = 30 * 24 * HOUR_US
"""How far ahead what never begins anew is looked at."""
_LOOK_BACK_US = (LOOK_BACK_DAYS + 1) * 24 * HOUR_US
_DETAIL_US = 7 * 24 * HOUR_US
"""A session, a task or a tag may be added up from the attempts themselves, and no further back than this."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What an account comes to; either part is `None` where there is too little to look back on."""

    forecast: Forecast | None
    backtest: Backtest | None = None


async def outlook(history: HistoryStore, budget: Budget, account: Account, now_us: int) -> Outlook:
    """Return the forecast of an account, and how good those of its periods were."""
    hours = await _hours(history, account.key.subject, now_us, LOOKS_BACK_US)
    return Outlook(
        forecast=forecast_of(hours, budget, account, now_us),
        backtest=backtest(
            hours, period=budget.period, now_us=now_us, time_zone=budget.time_zone, reset_day=budget.reset_day
        ),
    )


async def recent_hours(history: HistoryStore, subject: Scope, now_us: int) -> list[HourTotal]:
    """Return the hours that a forecast looks back on."""
    return await _hours(history, subject, now_us, _LOOK_BACK_US)


def forecast_of(hours: Sequence[HourTotal], budget: Budget, account: Account, now_us: int) -> Forecast | None:
    """Return the forecast of an account; of what never begins anew, for the next thirty days.

    An hour is too short for what is known by the hour: of one there is none.
    """
    if budget.period == "hour":
        return None
    return forecast(
        hours,
        now_us=now_us,
        end_us=account.end_us or now_us + HORIZON_US,
        spent_nanousd=account.spent_nanousd,
        limit_nanousd=budget.limit_nanousd,
        time_zone=budget.time_zone,
    )


async def _hours(history: HistoryStore, subject: Scope, now_us: int, back_us: int) -> list[HourTotal]:
    if not set(subject.named) <= set(GROUPED_BY):
        back_us = min(back_us, _DETAIL_US)
    return await history.hours(subject, now_us - back_us, now_us)

"""Makes the reports that the settings ask for, each once when its period is over and its hour has come.

A report is a fact in the outbox like any alert: it is written once, whoever looks, and carried to its channels by
whoever leads. So this keeps no state of its own: what the outbox knows was told. A gateway that did not run at the hour
tells of the last period when it starts, and of none before it; a report that is new in the settings begins so, too.

A report may take seconds of a large ledger, so it is made in a task of its own, one at a time, by a store for questions
that keep no call waiting.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from farthing.catalog.known_prices import KnownPrices
from farthing.config.schema import ReportSettings
from farthing.errors import FarthingError
from farthing.ledger.periods import period_at, zone_of
from farthing.ledger.report_prices import report_prices
from farthing.ledger.spending_report import Period, SpendingReport, period_of, spending_report
from farthing.storage.alert_protocols import AlertStore
from farthing.storage.protocols import Store
from farthing.types.alerts import Sighting, first_fact_id
from farthing.types.ledger import US_PER_DAY
from farthing.types.report_facts import (
    MOST_LINES,
    ReportAdvice,
    ReportAmount,
    ReportBudget,
    ReportLine,
    ReportMade,
)
from farthing.types.spending import SpendingRow, SpendingScope

log = logging.getLogger(__name__)

AGAIN_US = 60_000_000
"""After a report could not be made, the next try."""
_REMEMBERED_US = 40 * US_PER_DAY
"""The outbox knows for so long that a report is being told, whoever looks at the same moment; longer than a month."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ScheduledReports:
    """`look` as often as you like while this process leads; `close` it before the stores."""

    def __init__(
        self, alerts: AlertStore, books: Callable[[], Awaitable[Store]], known: Callable[[], KnownPrices]
    ) -> None:
        """`books` opens the store for long questions; `known` has the settings of now, and the prices."""
        self._alerts = alerts
        self._books = books
        self._known = known
        self._told: dict[str, str] = {}
        """By report the condition that is in the outbox, so that it is asked once."""
        self._task: asyncio.Task[None] | None = None
        self._not_before_us = 0

    def look(self, now_us: int) -> None:
        """Begin to make what is due; where something is being made already, it goes on."""
        if self._task is not None or 0 <= self._not_before_us - now_us <= AGAIN_US:
            return
        for row in self._known().settings.alerts.reports:
            period = due_period(row, now_us)
            if self._told.get(row.name) != condition_of(row, period):
                self._task = asyncio.create_task(self._make(row, period, now_us), name=f"report {row.name}")
                return

    async def settle(self) -> None:
        """Wait until what is being made is made."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Make no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _make(self, row: ReportSettings, period: Period, now_us: int) -> None:
        try:
            await self._tell(row, period, now_us)
            self._told[row.name] = condition_of(row, period)
        except FarthingError as error:
            log.warning("the report %r could not be made; it is tried again: %s", row.name, error)
            self._not_before_us = now_us + AGAIN_US
        except Exception:  # reports must never end because one of them is odd
            log.exception("an error nobody expected in the report %r; it is tried again", row.name)
            self._not_before_us = now_us + AGAIN_US
        finally:
            self._task = None

    async def _tell(self, row: ReportSettings, period: Period, now_us: int) -> None:
        condition = condition_of(row, period)
        if await self._alerts.fact_ids(first_fact_id(condition, 1), 1):
            return
        known, store = self._known(), await self._books()
        if not await store.attempts_begun(0, "", period.until_us, 1):
            return  # nobody has called anything yet: there is nothing to report of
        scope = [] if row.team is None else [SpendingScope("team", row.team)]
        scope += [] if row.project is None else [SpendingScope("project", row.project)]
        told = await spending_report(
            store,
            period,
            report_prices(known, period, now_us),
            scope=scope,
            fixed_costs=() if scope else known.settings.fixed_costs,
            local_target_percent=row.local_target,
        )
        about = report_made(row, told)
        seen = Sighting(condition=condition, level=1, at_us=now_us, about=about, until_us=now_us + _REMEMBERED_US)
        await self._alerts.note([seen])


def due_period(row: ReportSettings, now_us: int) -> Period:
    """Return what is to be reported now: the last period that is over and whose report's hour has come."""
    begins_us, _ = period_at(row.period, now_us, row.time_zone)
    if now_us < _hour_us(row, begins_us):
        begins_us, _ = period_at(row.period, begins_us - 1, row.time_zone)
    return period_of(row.period, begins_us - 1, now_us, row.time_zone)


def condition_of(row: ReportSettings, period: Period) -> str:
    """Return the name under which the outbox knows a report: by its day, whatever hour or zone is set meanwhile."""
    return f"report {row.name} {row.period} {_local(period.since_us, row.time_zone).date()}"


def _hour_us(row: ReportSettings, begins_us: int) -> int:
    """Return when a report of what ended at a moment is sent; an hour that clocks skip is the one after it."""
    hour, _, minute = row.at.partition(":")
    day = _local(begins_us, row.time_zone)
    at = day.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0, fold=0)
    return (at.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def _local(at_us: int, time_zone: str) -> datetime:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone_of(time_zone))


def report_made(row: ReportSettings, told: SpendingReport) -> ReportMade:
    """Return a report as it is sent: the dearest of everything."""
    total, period = told.total, told.period
    return ReportMade(
        name=row.name,
        channels=row.channels,
        period=period.name,
        time_zone=period.time_zone,
        since_us=period.since_us,
        until_us=period.until_us,
        scope=", ".join(f"{one.by} {one.value!r}" for one in told.scope),
        team=row.team,
        calls=total.calls,
        attempts=total.attempts,
        failed_attempts=total.failed_attempts,
        unknown_cost_attempts=total.unknown_cost_attempts,
        spent_nanousd=total.known_cost_nanousd,
        before_attempts=told.before.attempts,
        before_nanousd=told.before.known_cost_nanousd,
        kinds=tuple(one for one in told.by_kind if one.tokens or one.nanousd),
        by_model=tuple(_line(":".join(part or "" for part in row.groups), row) for row in told.by_model[:MOST_LINES]),
        by_project=_projects(told),
        budgets=tuple(
            ReportBudget(**{name: getattr(one, name) for name in ReportBudget.__struct_fields__})
            for one in told.budgets[:MOST_LINES]
        ),
        fixed=tuple(ReportAmount(name=one.cost.name, nanousd=one.nanousd) for one in told.fixed),
        advice=tuple(
            ReportAdvice(
                subject=one.subject,
                advice=one.advice,
                arithmetic=tuple(ReportAmount(name=what, nanousd=nanousd) for what, nanousd in one.arithmetic),
                saves_nanousd=one.saves_nanousd,
                sample=one.sample,
                of=one.of,
            )
            for one in told.recommendations[:MOST_LINES]
        ),
    )


def _projects(told: SpendingReport) -> tuple[ReportLine, ...]:
    if not any(row.groups[0] for row in told.by_project):
        return ()
    return tuple(_line(row.groups[0] or "(no project)", row) for row in told.by_project[:MOST_LINES])


def _line(name: str, row: SpendingRow) -> ReportLine:
    return ReportLine(
        name=name,
        calls=row.calls,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        nanousd=row.known_cost_nanousd,
    )

"""Reports that are sent by themselves: when each is due, and that it is told once."""

import asyncio
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from farthing.catalog.known_prices import KnownPrices
from farthing.catalog.prices import PriceBook
from farthing.config.schema import AlertChannelSettings, AlertSettings, ReportSettings, Settings
from farthing.errors import StoreError
from farthing.ledger.scheduled_reports import AGAIN_US, ScheduledReports, condition_of, due_period
from farthing.monitoring.notify.notifier import Notifier, Route
from farthing.storage.memory import MemoryStore
from farthing.storage.protocols import Store
from farthing.types.alerts import FACT_KINDS, Fact
from farthing.types.fixed_costs import FixedCost
from farthing.types.report_facts import ReportMade
from tests.contracts.ledger_samples import NOON_US, SetClock, attempt
from tests.unit.monitoring.receivers import Receiver
from tests.unit.monitoring.test_notifier import step, webhook

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def us(*when: int, zone: ZoneInfo = BERLIN) -> int:
    return int(datetime(*when, tzinfo=zone).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def daily(**given: Any) -> ReportSettings:
    made: dict[str, Any] = {"name": "daily", "period": "day", "channels": ("ops",), "time_zone": "Europe/Berlin"}
    return ReportSettings(**(made | given))


class Schedule:
    """Reports over a store, and what they wrote into its outbox."""

    def __init__(self, *rows: ReportSettings, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.fails = False
        self.rows = rows
        self.reports = ScheduledReports(self.store.alerts, self._books, self._known)

    async def look(self, now_us: int) -> None:
        self.reports.look(now_us)
        await self.reports.settle()

    async def told(self) -> list[ReportMade]:
        return [self._about(one.fact) for one in reversed(await self.store.alerts.told(99))]

    async def _books(self) -> Store:
        if self.fails:
            raise StoreError("it is away")
        return self.store

    def _known(self) -> KnownPrices:
        alerts = AlertSettings(reports=self.rows, channels=(AlertChannelSettings(name="ops", kind="webhook"),))
        cost = FixedCost(name="power", nanousd=9 * 10**8, per="day")
        return KnownPrices(Settings(providers={}, models={}, alerts=alerts, fixed_costs=(cost,)), PriceBook())

    @staticmethod
    def _about(fact: Fact) -> ReportMade:
        assert isinstance(fact.about, ReportMade)
        return fact.about


@pytest.mark.parametrize(
    ("row", "now", "since", "until"),
    [
        (daily(), (2026, 11, 18, 8), (2026, 11, 17), (2026, 11, 18)),
        (daily(), (2026, 11, 18, 7, 59), (2026, 11, 16), (2026, 11, 17)),
        (daily(period="week"), (2026, 11, 18, 1), (2026, 11, 9), (2026, 11, 16)),
        (daily(period="week"), (2026, 11, 16, 7), (2026, 11, 2), (2026, 11, 9)),
        (daily(period="month", at="17:30"), (2026, 11, 1, 17, 30), (2026, 10, 1), (2026, 11, 1)),
        (daily(period="month", at="17:30"), (2026, 11, 1, 17, 29), (2026, 9, 1), (2026, 10, 1)),
        (daily(at="02:30"), (2026, 3, 29, 3, 30), (2026, 3, 28), (2026, 3, 29)),  # an hour that clocks skip
    ],
)
def test_a_report_is_due_at_its_hour_on_the_first_day_after(row: Any, now: Any, since: Any, until: Any) -> None:
    period = due_period(row, us(*now))
    assert (period.since_us, period.until_us, period.running) == (us(*since), us(*until), False)


async def test_a_report_is_told_once_when_its_hour_has_come_whoever_looks() -> None:
    schedule = Schedule(daily())
    await schedule.store.append(
        [attempt(1, started_at_us=us(2026, 11, 17, 9)), attempt(2, started_at_us=us(2026, 11, 18, 1))]
    )
    await schedule.look(us(2026, 11, 18, 7, 59))
    assert await schedule.told() == [], "nothing was called in the days before"
    for minute in range(3):
        await schedule.look(us(2026, 11, 18, 8, minute))
    (about,) = await schedule.told()
    assert (about.calls, about.since_us, about.until_us) == (1, us(2026, 11, 17), us(2026, 11, 18))
    await Schedule(daily(), store=schedule.store).look(us(2026, 11, 18, 9))
    await Schedule(daily(at="06:00"), store=schedule.store).look(us(2026, 11, 18, 9))
    await Schedule(daily(time_zone="UTC"), store=schedule.store).look(us(2026, 11, 18, 12))
    assert len(await schedule.told()) == 1, "another process, hour or zone makes no second report of a day"


async def test_two_that_look_at_the_same_moment_tell_once() -> None:
    store = MemoryStore()
    await store.append([attempt(1, started_at_us=us(2026, 11, 17, 9))])
    first, second = (Schedule(daily(), store=store) for _ in range(2))
    await asyncio.gather(*(one.look(us(2026, 11, 18, 8)) for one in (first, second)))
    assert len(await first.told()) == 1


async def test_after_a_stop_over_several_hours_the_last_one_is_made_up_for_once() -> None:
    schedule = Schedule(daily())
    await schedule.store.append([attempt(1, started_at_us=us(2026, 11, 1, 9))])
    await schedule.look(us(2026, 11, 2, 9))
    away = us(2026, 11, 20, 15)
    for _ in range(3):
        await schedule.look(away)
    assert [about.since_us for about in await schedule.told()] == [us(2026, 11, 1), us(2026, 11, 19)]


async def test_a_report_is_never_said_to_be_over_nor_told_again_when_it_is_old() -> None:
    schedule = Schedule(daily(period="month"))
    await schedule.store.append([attempt(1, started_at_us=us(2026, 10, 1, 9))])
    for day in range(1, 29):
        now_us = us(2026, 11, day, 9)
        await schedule.store.alerts.end_over(now_us + 60 * DAY_US)
        await schedule.look(now_us)
        await Schedule(daily(period="month"), store=schedule.store).look(now_us)
    assert [about.period for about in await schedule.told()] == ["month"]


async def test_a_quiet_day_is_told_of_too_because_silence_would_look_like_a_fault() -> None:
    schedule = Schedule(daily())
    await schedule.store.append([attempt(1, started_at_us=us(2026, 11, 1, 9))])
    await schedule.look(us(2026, 11, 20, 9))
    (about,) = await schedule.told()
    assert (about.calls, about.spent_nanousd, about.before_attempts) == (0, 0, 0)


async def test_what_cannot_be_made_is_tried_again_after_a_while_and_others_are_made() -> None:
    schedule = Schedule(daily(), daily(name="weekly", period="week"))
    await schedule.store.append([attempt(1, started_at_us=us(2026, 11, 1, 9))])
    now_us = us(2026, 11, 20, 9)
    schedule.fails = True
    await schedule.look(now_us)
    schedule.fails = False
    await schedule.look(now_us + AGAIN_US - 1)
    assert await schedule.told() == []
    for _ in range(3):
        await schedule.look(now_us + AGAIN_US + 1)
    assert sorted(about.name for about in await schedule.told()) == ["daily", "weekly"]


async def test_a_report_of_a_team_has_only_what_the_team_did_and_no_fixed_costs() -> None:
    everything, theirs = daily(), daily(name="core", team="core")
    schedule = Schedule(everything, theirs)
    at_us = us(2026, 11, 19, 9)
    made = [attempt(number, started_at_us=at_us, team=team) for number, team in ((1, "core"), (2, None))]
    await schedule.store.append(made)
    for _ in range(2):
        await schedule.look(us(2026, 11, 20, 9))
    whole, part = await schedule.told()
    assert (whole.calls, [one.name for one in whole.fixed]) == (2, ["power"])
    assert (part.calls, part.scope, part.fixed) == (1, "team 'core'", ())


async def test_one_that_is_being_made_when_the_gateway_stops_is_made_by_the_next() -> None:
    schedule = Schedule(daily())
    await schedule.store.append([attempt(1, started_at_us=us(2026, 11, 19, 9))])
    schedule.reports.look(us(2026, 11, 20, 9))
    await schedule.reports.close()
    assert await schedule.told() == []
    await Schedule(daily(), store=schedule.store).look(us(2026, 11, 20, 9))
    assert len(await schedule.told()) == 1


async def test_a_report_reaches_its_channels_once_and_no_others() -> None:
    async with Receiver() as receiver:
        clock = SetClock()
        clock.time_us = NOON_US
        schedule = Schedule(daily())
        await schedule.store.append([attempt(1, started_at_us=NOON_US - DAY_US, project="site", cost_nanousd=None)])

        async def watch(now_us: int) -> None:
            await schedule.look(now_us)

        other = Receiver()
        async with other:
            routes = {
                "ops": Route(webhook(receiver, clock), ("errors",)),
                "all": Route(webhook(other, clock), FACT_KINDS),
            }
            here = Notifier(schedule.store.alerts, clock, "a", routes, keys=schedule.store, watch=watch)
            for _ in range(4):
                await step(here)
                clock.time_us += HOUR_US
            assert other.requests == []
        (body,) = receiver.bodies()
    assert (body["kind"], body["state"]) == ("report", "began")
    assert body["title"] == "Report 'daily': Tuesday 2026-11-17 (Europe/Berlin)"
    about = body["about"]
    assert (about["spent_usd"], about["spent_nanousd"], about["unknown_cost_attempts"]) == (None, None, 1)
    assert about["by_project"][0] | {"input_tokens": 0, "output_tokens": 0} == {
        "name": "site",
        "calls": 1,
        "input_tokens": 0,
        "output_tokens": 0,
        "nanousd": None,
        "usd": None,
    }
    assert about["fixed"] == [{"name": "power", "nanousd": 900_000_000, "usd": "0.900000000"}]


def test_a_report_is_known_by_its_day() -> None:
    row = daily()
    assert condition_of(row, due_period(row, us(2026, 11, 18, 8))) == "report daily day 2026-11-17"

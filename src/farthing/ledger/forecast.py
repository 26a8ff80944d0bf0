"""How much will be spent when a period ends, and when a limit is reached: from the hours that were, with an interval.

Two hundred possible futures are put together from days that were. The rest of today goes on like the rest of such a
day, more or less than it in proportion to how today went so far; every further day is drawn from days of its kind
(weekday or weekend), recent ones more often. Each future is made of a few days only, because how busy a time will be is
as little known as how a day will be. The middle one of the futures is the forecast, and the interval leaves some out at
each side. With less than two weeks to look back on, hours are drawn instead of days.

What surprised us: a sum of medians is far too low, because spending is many quiet hours and a few dear ones; so whole
futures are made, and the median is taken of their ends.

Nothing here reads a clock or a store, and the draws come from a fixed seed: the same hours make the same forecast.
"""

from collections.abc import Sequence
from itertools import accumulate
from random import Random

import msgspec

from farthing.ledger.periods import period_at
from farthing.types.history import HOUR_US, HourTotal

FUTURES = 200
"""Enough for ends of the interval that are steady to a few percent; 4 ms for a day, 15 for a month."""
INTERVAL_PERCENT = 80
LOOK_BACK_DAYS = 56
"""Eight of each weekday; who spent what longer ago says little about tomorrow."""
MIN_DAYS = 14
"""Two of each weekday; with fewer, days of one kind cannot be told from accident."""
MIN_HOURS = 6
"""Below this nothing is forecast: an hour's work would be taken for a day's."""
TAIL = 14
"""Futures that the interval leaves out at each side, of 200: for 80 % it would be 20, but what comes is less like what
was than futures made of it are like each other; with 14 it covers 80 % (measured, see docs/alerts.md)."""
_HALF_LIFE_DAYS = 14
_FEW = 6
"""Days that one future is made of: with 8 or more the interval of a month covers too little, with 5 too much."""
_LEAST_OF_A_KIND = 4
_BLOCK_HOURS = 3
"""Hours are drawn in rows, because work comes in rows."""
_CLIP = 3
"""A day that goes three times as its like did is taken no further than that for the rest of it."""
_US_PER_DAY = 24 * HOUR_US


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What is spent at the end of a period, and when the limit is reached. Amounts are nanodollars.

    `reached_at_us` is when half of the futures have reached the limit, `None` where fewer ever do; `reached_from_us`
    and `reached_until_us` are the ends of its interval.
    """

    at_us: int
    end_us: int
    spent_nanousd: int
    expected_nanousd: int
    low_nanousd: int
    high_nanousd: int
    reached_at_us: int | None
    reached_from_us: int | None
    reached_until_us: int | None
    basis: str
    """`days` or `hours`: what was drawn from."""
    sample: int
    """How many of those there were."""


class _Day(msgspec.Struct, frozen=True):
    """A day of the zone, hour by hour; `after` is what was spent from each hour to its end."""

    start_us: int
    hours: tuple[int, ...]
    after: tuple[int, ...]
    weekend: bool

    @property
    def total(self) -> int:
        return self.after[0]


def forecast(
    hours: Sequence[HourTotal],
    *,
    now_us: int,
    end_us: int,
    spent_nanousd: int,
    limit_nanousd: int | None = None,
    time_zone: str = "UTC",
) -> Forecast | None:
    """Return what is to be expected, or `None` where there is too little to look back on.

    `hours` are those before now, in order, this one too as far as it is; hours without calls may be missing.
    """
    hours = [one for one in hours if one.hour_us < now_us and one.hour_us >= now_us - LOOK_BACK_DAYS * _US_PER_DAY]
    if not hours or now_us >= end_us:
        return None
    days = _days(hours, now_us, time_zone)
    futures = _Futures(limit_nanousd, spent_nanousd)
    if len(days) > MIN_DAYS:
        basis, sample = "days", len(days) - 1
        _from_days(futures, days, now_us, end_us, time_zone)
    else:
        plain = _plain_hours(hours, now_us)
        if len(plain) < MIN_HOURS:
            return None
        basis, sample = "hours", len(plain)
        _from_hours(futures, plain, now_us, end_us)
    return futures.told(now_us, end_us, basis, sample)


class _Futures:
    """What the futures come to, each at its end, and when each reaches the limit."""

    def __init__(self, limit_nanousd: int | None, spent_nanousd: int) -> None:
        self._spent = spent_nanousd
        self.room = None if limit_nanousd is None else limit_nanousd - spent_nanousd
        self._ends: list[int] = []
        self._reached: list[int] = []

    def add(self, more_nanousd: int, reached_at_us: int | None) -> None:
        """Add one: what it adds to what is spent, and when the limit is reached in it."""
        self._ends.append(self._spent + more_nanousd)
        if reached_at_us is not None:
            self._reached.append(reached_at_us)

    def told(self, now_us: int, end_us: int, basis: str, sample: int) -> Forecast:
        """Return what they say together."""
        ends, reached = sorted(self._ends), sorted(self._reached)

        def moment(rank: int) -> int | None:
            return reached[rank] if rank < len(reached) else None

        return Forecast(
            at_us=now_us,
            end_us=end_us,
            spent_nanousd=self._spent,
            expected_nanousd=ends[FUTURES // 2],
            low_nanousd=ends[TAIL],
            high_nanousd=ends[FUTURES - 1 - TAIL],
            reached_at_us=moment(FUTURES // 2),
            reached_from_us=moment(TAIL),
            reached_until_us=moment(FUTURES - 1 - TAIL),
            basis=basis,
            sample=sample,
        )


def _from_days(futures: _Futures, days: Sequence[_Day], now_us: int, end_us: int, time_zone: str) -> None:
    today, past = days[-1], days[:-1]
    at = min((now_us - today.start_us) // HOUR_US, 23)
    so_far = today.total
    usual = max(sorted(day.total for day in past)[len(past) // 2], 1)
    coming = _coming_days(now_us, end_us, time_zone)
    draw = Random(0)  # noqa: S311 - a fixed seed is what is wanted
    kinds = {weekend: [n for n, day in enumerate(past) if day.weekend == weekend] for weekend in (False, True)}
    pools = {weekend: _Pool(members, past) for weekend, members in kinds.items()}
    into_hour = (now_us - today.start_us) % HOUR_US
    for _ in range(FUTURES):
        for pool in pools.values():
            pool.narrow(draw)
        n = draw.choice(pools[today.weekend].few)
        like = past[n]
        rest = _rest_of(like, at, into_hour)
        theirs = like.total - sum(rest)
        # Shrunk towards a day that goes as that one did, as far as a quarter of a usual day can do it.
        num, den = so_far + usual // 4 + 1, theirs + usual // 4 + 1
        num = min(max(num, den // _CLIP), den * _CLIP)
        path: list[tuple[int, Sequence[int]]] = [(now_us, [amount * num // den for amount in rest])]
        for start_us, weekend in coming:
            path.append((start_us, past[draw.choice(pools[weekend].few)].hours))
        _walk(futures, path, end_us)


class _Pool:
    """Days of one kind. Each future knows only a few of them, because we do not know how busy the time will be."""

    def __init__(self, days: Sequence[int], past: Sequence[_Day]) -> None:
        self._days = days if len(days) >= _LEAST_OF_A_KIND else range(len(past))
        self._weights = list(accumulate(2.0 ** (-(len(past) - n) / _HALF_LIFE_DAYS) for n in self._days))
        self.few: Sequence[int] = self._days

    def narrow(self, draw: Random) -> None:
        """Choose the few that the next future is made of."""
        self.few = draw.choices(self._days, cum_weights=self._weights, k=_FEW)


def _rest_of(day: _Day, at: int, into_hour_us: int) -> list[int]:
    """Return the hours of a day from a moment on, the first only as far as it is left."""
    rest = list(day.hours[at:])
    if rest:
        rest[0] = rest[0] * (HOUR_US - into_hour_us) // HOUR_US
    return rest


def _walk(futures: _Futures, path: Sequence[tuple[int, Sequence[int]]], end_us: int) -> None:
    """Add up one future, hour by hour, to the period's end; each part begins at its own moment."""
    total, reached = 0, None
    for start_us, hours in path:
        # The first part begins inside of an hour; its hours end with the clock's.
        first_end_us = (start_us // HOUR_US + 1) * HOUR_US if start_us % HOUR_US else start_us + HOUR_US
        for number, amount in enumerate(hours):
            ends_us = first_end_us + number * HOUR_US
            begins_us = start_us if number == 0 else ends_us - HOUR_US
            if begins_us >= end_us:
                break
            if ends_us > end_us:
                amount = amount * (end_us - begins_us) // (ends_us - begins_us)  # noqa: PLW2901
                ends_us = end_us
            if reached is None and futures.room is not None and amount and total + amount >= futures.room:
                part = max(futures.room - total, 0)
                reached = begins_us + (ends_us - begins_us) * part // amount
            total += amount
    futures.add(total, reached)


def _from_hours(futures: _Futures, hours: Sequence[int], now_us: int, end_us: int) -> None:
    draw = Random(0)  # noqa: S311 - a fixed seed is what is wanted
    into_hour = now_us % HOUR_US
    count = -(-(end_us - now_us + into_hour) // HOUR_US)
    for _ in range(FUTURES):
        drawn: list[int] = []
        while len(drawn) < count:
            start = draw.randrange(len(hours))
            drawn += (hours[start : start + _BLOCK_HOURS] or hours[-1:])[: count - len(drawn)]
        drawn[0] = drawn[0] * (HOUR_US - into_hour) // HOUR_US
        _walk(futures, [(now_us, drawn)], end_us)


def _plain_hours(hours: Sequence[HourTotal], now_us: int) -> list[int]:
    """Return what whole hours spent, from the first that has any, those without calls too."""
    spent = {one.hour_us: one.spent_nanousd for one in hours}
    first, this = hours[0].hour_us, now_us // HOUR_US * HOUR_US
    return [spent.get(hour_us, 0) for hour_us in range(first, this, HOUR_US)]


def _days(hours: Sequence[HourTotal], now_us: int, time_zone: str) -> list[_Day]:
    """Return the days of the zone from the first whole one to today, which is as far as it is."""
    spent = {one.hour_us: one.spent_nanousd for one in hours}
    days: list[_Day] = []
    start_us, end_us = _day_at(hours[0].hour_us, time_zone)
    while start_us <= now_us:
        first = -(-start_us // HOUR_US) * HOUR_US
        found = tuple(spent.get(hour_us, 0) for hour_us in range(first, end_us, HOUR_US))
        after = tuple(reversed(list(accumulate(reversed(found)))))
        days.append(_Day(start_us, found, after, _is_weekend(start_us, time_zone)))
        start_us, end_us = _day_at(end_us, time_zone)
    return days[1:] if days and hours[0].hour_us > days[0].start_us else days


def _coming_days(now_us: int, end_us: int, time_zone: str) -> list[tuple[int, bool]]:
    """Return when each day begins that lies between tomorrow and the period's end, and whether it is a weekend's."""
    found = []
    _, start_us = _day_at(now_us, time_zone)
    while start_us < end_us:
        found.append((start_us, _is_weekend(start_us, time_zone)))
        _, start_us = _day_at(start_us, time_zone)
    return found


def _day_at(at_us: int, time_zone: str) -> tuple[int, int]:
    start_us, end_us = period_at("day", at_us, time_zone)
    assert end_us is not None, "a day ends"
    return start_us, end_us


def _is_weekend(start_us: int, time_zone: str) -> bool:
    week_us, _ = period_at("week", start_us, time_zone)
    return start_us - week_us > 4 * _US_PER_DAY + 12 * HOUR_US

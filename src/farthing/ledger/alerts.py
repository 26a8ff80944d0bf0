"""Looks for what is to be told, in the one process that leads: what no charge could have told of.

A threshold that a charge passes is told of where the charge is kept. Here is the rest, off every call's path: budgets
that were changed, periods that ended, spending that is unusual, providers that fail, limits that will be reached at
this pace. What is found is said to the store as a sighting; it alone knows what was told already.
"""

from collections.abc import Callable, Sequence
from functools import partial

from farthing.ledger.forecast import INTERVAL_PERCENT, Forecast
from farthing.ledger.outlook import forecast_of, recent_hours
from farthing.ledger.unusual import (
    LEAST_NANOUSD,
    LEAST_PERCENT,
    LOOK_BACK_DAYS,
    MIN_FAILED,
    WINDOW_US,
    Unusual,
    is_burst,
    unusual_hour,
)
from farthing.storage.protocols import Store
from farthing.types.alerts import ErrorBurst, ForecastPassed, Sighting, UnusualSpend
from farthing.types.budgets import Account, Budget, Scope
from farthing.types.history import GROUPED_BY, HOUR_US, GroupedBy, ProviderOutcomes
from farthing.types.offload import Offload

PERIODS_US = 5_000_000
"""How often is looked whether something is over, or was charged on another host; a message may be as late."""
ERRORS_US = 60_000_000
UNUSUAL_US = 300_000_000
FORECASTS_US = 600_000_000
"""How often each of these is looked at: a minute of failures is soon enough, and a forecast changes slowly."""
MAX_GROUPS = 50
"""Of each kind, the dearest of the last two hours; who spends much more than usual is among them."""
MAX_ACCOUNTS = 50
"""Accounts that are forecast each time, those nearest to their limits: 4 to 15 ms of a thread for each."""
MAX_UNUSUAL = 20
"""Alerts of unusual spending in one look; what they leave out is seen in the next."""
_BURST_LASTS_US = 900_000_000
"""So long after the last look that saw it a burst is over."""
_SAME_PERCENT = 20
"""Two groups whose excess is so close are the same spending, seen from two sides."""


class AlertWatch:
    """Looks at the store for what moves conditions."""

    def __init__(self, store: Store, offload: Offload, quiet_s: Callable[[], float]) -> None:
        """`quiet_s` tells how long what was over is not told again."""
        self._store = store
        self._offload = offload
        self._quiet_s = quiet_s
        self._counter = 0
        self._looked_us: dict[str, int] = {}
        self._usual: dict[str, ProviderOutcomes] = {}
        self._usual_us = 0

    async def look(self, now_us: int) -> None:
        """Note what is to be told now."""
        await self._review(now_us)
        if self._is_time("periods", PERIODS_US, now_us):
            await self._store.alerts.sweep(now_us)
            await self._store.alerts.end_over(now_us)
        if self._is_time("errors", ERRORS_US, now_us):
            await self._store.alerts.note(await self._errors(now_us))
        if self._is_time("unusual", UNUSUAL_US, now_us):
            await self._store.alerts.note(await self._unusual(now_us))
        if self._is_time("forecasts", FORECASTS_US, now_us):
            await self._store.alerts.note(await self._forecasts(now_us))

    def _is_time(self, what: str, every_us: int, now_us: int) -> bool:
        if abs(now_us - self._looked_us.get(what, 0)) < every_us:
            return False
        self._looked_us[what] = now_us
        return True

    @property
    def _quiet_us(self) -> int:
        return int(self._quiet_s() * 1_000_000)

    async def _review(self, now_us: int) -> None:
        """Compare the accounts of budgets that were changed with their lines; at a start, of all."""
        changes = await self._store.budgets.changes(self._counter)
        if changes.counter == self._counter:
            return
        for budget_id in (*changes.removed, *(budget.id for budget in changes.put)):
            await self._store.alerts.review(budget_id, now_us)
        self._counter = changes.counter

    # ---- providers that fail

    async def _errors(self, now_us: int) -> list[Sighting]:
        lately = await self._store.history.outcomes(
            now_us - WINDOW_US, least_failed=MIN_FAILED, least_percent=LEAST_PERCENT
        )
        if not lately:
            return []
        if abs(now_us - self._usual_us) >= HOUR_US:
            since_us = now_us - 7 * 24 * HOUR_US
            usual = await self._store.history.usual_outcomes(since_us, now_us // HOUR_US * HOUR_US)
            self._usual, self._usual_us = {one.provider: one for one in usual}, now_us
        return [self._burst(one, now_us) for one in lately if is_burst(one, self._usual.get(one.provider))]

    def _burst(self, lately: ProviderOutcomes, now_us: int) -> Sighting:
        usual = self._usual[lately.provider]
        about = ErrorBurst(
            provider=lately.provider,
            since_us=now_us - WINDOW_US,
            attempts=lately.attempts,
            failed=lately.failed,
            usual_ppm=usual.failed * 1_000_000 // usual.attempts,
            sample_attempts=usual.attempts,
        )
        return Sighting(
            condition=f"errors {lately.provider}",
            level=1,
            at_us=now_us,
            about=about,
            until_us=now_us + _BURST_LASTS_US,
            quiet_us=self._quiet_us,
        )

    # ---- spending that is unusual

    async def _unusual(self, now_us: int) -> list[Sighting]:
        found: list[tuple[GroupedBy, str, Unusual]] = []
        for by in GROUPED_BY:
            for value, unusual in await self._unusual_by(by, now_us):
                if not any(_same(unusual, other) for _, _, other in found):
                    found.append((by, value, unusual))
        names = {record.id: record.name for record in await self._store.keys()} if found else {}
        found.sort(key=lambda one: one[2].bound_nanousd - one[2].spent_nanousd)
        sightings = []
        for by, value, unusual in found[:MAX_UNUSUAL]:
            shown = names.get(value, value) if by == "key_id" else value
            about = UnusualSpend(
                scope=f"{by.removesuffix('_id')} {shown!r}",
                subject=Scope(**{by: value}),
                hour_us=unusual.hour_us,
                spent_nanousd=unusual.spent_nanousd,
                usual_nanousd=unusual.usual_nanousd,
                bound_nanousd=unusual.bound_nanousd,
                sample_hours=unusual.sample_hours,
            )
            sightings.append(
                Sighting(
                    condition=f"unusual {by} {value}",
                    level=1,
                    at_us=now_us,
                    about=about,
                    until_us=unusual.hour_us + 2 * HOUR_US,
                    quiet_us=self._quiet_us,
                )
            )
        return sightings

    async def _unusual_by(self, by: GroupedBy, now_us: int) -> list[tuple[str, Unusual]]:
        history = self._store.history
        lately = await history.hours_by(by, await history.dearest(by, now_us - HOUR_US, MAX_GROUPS), now_us - HOUR_US)
        dear = [name for name, hours in lately.items() if any(one.spent_nanousd >= LEAST_NANOUSD for one in hours)]
        if not dear:
            return []
        past = await history.hours_by(by, dear, now_us - (LOOK_BACK_DAYS + 1) * 24 * HOUR_US)
        judged = [(name, unusual_hour(hours, now_us)) for name, hours in past.items()]
        return [(name, unusual) for name, unusual in judged if unusual is not None]

    # ---- limits that will be reached

    async def _forecasts(self, now_us: int) -> list[Sighting]:
        rules = {rule.id: rule for rule in await self._store.budgets.all() if rule.enabled and rule.limit_nanousd > 0}
        if not rules:
            return []
        accounts = await self._store.budgets.accounts(at_us=now_us, now_us=now_us)
        spending = [
            one
            for one in accounts
            if one.key.budget_id in rules and one.end_us is not None and 0 < one.spent_nanousd < one.limit_nanousd
        ]
        spending.sort(key=lambda one: one.left_nanousd * 1_000_000 // one.limit_nanousd)
        sightings: list[Sighting] = []
        for account in spending[:MAX_ACCOUNTS]:
            rule = rules[account.key.budget_id]
            hours = await recent_hours(self._store.history, account.key.subject, now_us)
            made = await self._offload.run(partial(forecast_of, hours, rule, account, now_us))
            if made is not None:
                sightings += self._seen(rule, account, made)
        return sightings

    def _seen(self, rule: Budget, account: Account, made: Forecast) -> Sequence[Sighting]:
        """Return what a forecast says; in between, where it might go either way, it says nothing."""
        seen = partial(
            Sighting,
            condition=f"forecast {account.key.id}",
            at_us=made.at_us,
            budget_id=rule.id,
            until_us=account.end_us,
            quiet_us=self._quiet_us,
        )
        if made.reached_at_us is None:
            return [seen(level=0)] if made.expected_nanousd * 100 < rule.limit_nanousd * 95 else []
        about = ForecastPassed(
            budget_id=rule.id,
            budget=rule.name,
            account_id=account.key.id,
            scope=str(account.key.subject),
            subject=account.key.subject,
            limit_nanousd=rule.limit_nanousd,
            spent_nanousd=account.spent_nanousd,
            expected_nanousd=made.expected_nanousd,
            low_nanousd=made.low_nanousd,
            high_nanousd=made.high_nanousd,
            interval_percent=INTERVAL_PERCENT,
            reached_at_us=made.reached_at_us,
            resets_at_us=made.end_us,
            time_zone=rule.time_zone,
        )
        return [seen(level=1, about=about)]


def _same(one: Unusual, other: Unusual) -> bool:
    """Whether two groups tell of the same spending: a key's is its project's and its team's as well."""
    excess, others = one.spent_nanousd - one.usual_nanousd, other.spent_nanousd - other.usual_nanousd
    return one.hour_us == other.hour_us and abs(excess - others) * 100 <= _SAME_PERCENT * max(excess, others)

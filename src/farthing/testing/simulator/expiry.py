"""Lines that expire in the simulation: days pass between processes, and old lines go while the next ones serve.

What was posted is remembered as the store took it, so that what has expired can be judged as every other line is. At
last the journals that dead processes left are put back, as if from a copy of the disk: nothing may count twice by it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec

from farthing.errors import StoreError
from farthing.ledger.housekeeping import expires_before
from farthing.ledger.journal_reader import segments
from farthing.storage.protocols import Store
from farthing.storage.retention_protocols import RetentionStore
from farthing.testing.simulator.disk import Process, is_troubled
from farthing.testing.simulator.facts import Facts
from farthing.testing.simulator.schedule import Death, DiesAt, ExpiryPlan, Life, Schedule
from farthing.types.calls import Attempt
from farthing.types.ledger import US_PER_DAY
from farthing.types.retention import Retained, Waiting

_SLOW_S = 1.5
_FEW_DAYS = (0, 1, 3, 10)
_LEAST_KEPT_DAYS = 7
"""What the settings take at the least."""


def with_expiry(schedule: Schedule) -> Schedule:
    """Return the schedule, every fifth with days between its processes and lines that are kept for some.

    They are drawn apart, so that the others are unchanged.
    """
    random = Random(f"expiry of {schedule.seed}")
    if random.random() > 0.2:
        return schedule
    days = tuple(random.choice(_FEW_DAYS) for _ in schedule.lives)
    plan = ExpiryPlan(
        kept_days=_LEAST_KEPT_DAYS,
        days_before=(*days, random.choice((*_FEW_DAYS, 10))),
        journals_return=random.random() < 0.5,
    )
    lives = tuple(_life(random, life) for life in schedule.lives)
    return msgspec.structs.replace(schedule, expiry=plan, lives=lives)


class TroubledRetention:
    """A store's retention, with the store's troubles; see `RetentionStore`."""

    def __init__(self, retention: RetentionStore, process: Process) -> None:
        self._retention = retention
        self._process = process

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """See `RetentionStore.lead`."""
        self._check()
        return await self._retention.lead(holder, now_us=now_us, until_us=until_us)

    async def expire(self, before_us: int, limit: int, now_us: int) -> int:
        """See `RetentionStore.expire`."""
        process = self._process
        self._check()
        if is_troubled(process, "slow"):
            await asyncio.sleep(_SLOW_S)
        death = process.doomed("expire")
        if death is not None and death.at == "before_expire":
            process.die()
        gone = await self._retention.expire(before_us, min(limit, 3), now_us)
        process.note("store", f"lets {gone} expire")
        if death is not None:
            process.die()
        if is_troubled(process, "reply_lost"):
            raise StoreError("The answer of the store was lost.")
        return gone

    async def retained(self) -> Retained:
        """See `RetentionStore.retained`."""
        return await self._retention.retained()

    async def waiting(self, before_us: int) -> Waiting:
        """See `RetentionStore.waiting`."""
        return await self._retention.waiting(before_us)

    def _check(self) -> None:
        self._process.must_live()
        if is_troubled(self._process, "away"):
            raise StoreError("The store is away.")


class OldJournals:
    """Journals as dead processes left them, to be put back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copies: dict[Path, bytes] = {}

    def copy(self) -> None:
        """Remember what is there."""
        self._copies |= {path: path.read_bytes() for path in segments(self._folder)}

    def put_back(self) -> None:
        """Put back what has been posted since, and removed."""
        for path, content in self._copies.items():
            if not path.exists():
                path.write_bytes(content)


async def judge_expired(store: Store, facts: Facts, kept: Sequence[Attempt], now_us: int) -> list[Attempt]:
    """Return the lines that have expired, having noted what is lost, there twice, or gone too early.

    Whatever was posted is a line or is in the sums, once; and its sums are what all of them come to.
    """
    lines = {one.opening.attempt_id: one for one in kept}
    known = await store.known(list(facts.offered))
    posted = {attempt_id: facts.posted.get(attempt_id, facts.offered[attempt_id]) for attempt_id in sorted(known)}
    gone = [one for attempt_id, one in posted.items() if attempt_id not in lines]
    for attempt_id in sorted(facts.posted.keys() - known):
        facts.wrong(f"{attempt_id} was posted, and is neither a line nor among those that have expired")
    for attempt_id, line in lines.items():
        if posted.get(attempt_id) != line:
            facts.wrong(f"the line {attempt_id} is not what was posted")
    (total,) = await store.costs(None)
    sums = (total.attempts, total.cost_nanousd)
    if sums != (all_of_it := (len(posted), sum(one.cost_nanousd or 0 for one in posted.values()))):
        facts.wrong(f"{all_of_it} attempts and nanodollars were posted, and the sums are {sums}")
    retained = await store.retention.retained()
    if retained.expired != len(gone):
        facts.wrong(f"{len(gone)} lines are gone, and {retained.expired} are said to be")
    plan = facts.schedule.expiry
    before_us = 0 if plan is None else expires_before(plan.kept_days * US_PER_DAY, now_us)
    for one in gone:
        if one.opening.started_at_us >= before_us:
            facts.wrong(f"{one.opening.attempt_id} expired before its time")
    return gone


def _life(random: Random, life: Life) -> Life:
    if life.death is None or random.random() > 0.4:
        return life
    kinds: tuple[DiesAt, ...] = ("before_expire", "after_expire")
    return msgspec.structs.replace(life, death=Death(random.choice(kinds), life.death.after_s, random.randint(1, 2)))

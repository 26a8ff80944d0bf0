"""Budgets at work in one process: which of them a call belongs to, and money held for it before a byte leaves.

What may be spent is leased from the store, a slice of each account, and calls are admitted from those slices in memory:
two microseconds, and the sum over all processes and hosts cannot pass the limit, because the store never leases more
than is left. A call holds the most that it may cost. What it cost comes off its slice, the rest is free for the next;
the store takes the same off the lease in the transaction that posts it.

A call that does not fit waits a while for what calls under way will give back, here or in another process, before it is
refused; so nearly all of a budget can be used. What surprised us: without the wait two hundred equal calls at once used
a third of it, because each holds more than it will cost.

The story is `purse_of`, `Purse.take`, and where that returns nothing, `acquire`; `Hold.settle` ends it
(`allotments.py`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from farthing.clock import Clock
from farthing.errors import LedgerAway, StoreError
from farthing.ledger.allotments import EVERYTHING, Allotment, Hold, Purse
from farthing.ledger.budget_refusal import Lack, never_fits, refusal
from farthing.ledger.budget_rules import RuleBook
from farthing.ledger.waiting import LOOK_AGAIN_S, Amounts, Lacking, Waiter
from farthing.storage.protocols import BudgetStore
from farthing.types.budgets import Budget, LeaseAnswer, LeaseAsk
from farthing.types.calls import Attribution

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often rules, thresholds and wants of others are looked at; a changed budget holds within a second."""
LEASE_S = 4_200
"""A lease ends so long after its process was last heard of. No answer outlasts an hour (`timeouts.total_s`), so by then
whatever it had begun is over; sooner would let others spend what is still being spent."""
HEARTBEAT_S = 60.0
STEP_US = 60_000_000
"""The clock was set, or the machine slept, where it moves by so much more than the loop's time does."""
AFTER_STEP_S = 10.0
"""For so long after that others' leases are judged by the time before: by then each has said that it lives, which it
does with its next tick."""
IDLE_US = 30_000_000
"""What nobody used for so long is given back whole; the next call asks again, which takes a millisecond."""
MAX_PURSES = 4_096
"""Combinations of key, user, session and so on that are remembered; finding one again takes 20 us."""
MAX_WAITING = 4_096
"""Calls that wait for money: as many as the server has connections."""
MAX_LOOKS = 256
"""Purses whose accounts are looked at in a tick, 20 us each; the others come in the next."""
SHARE = 4
"""One process of several leases at most a quarter of what is left for each, so slices shrink near the line."""
PART = 4
"""A call whose client set no limit holds at most a quarter of what it finds, so that others find something."""


class Budgets:
    """The budgets of one process; its methods belong to one event loop's thread."""

    def __init__(
        self, store: BudgetStore, holder: str, clock: Clock, *, processes: int = 1, shared: bool = False
    ) -> None:
        """`holder` is the name to lease under, `processes` how many of this home share the store.

        Where it is one, and no other home may share the store (`shared`), everything is leased at once, and the store
        is asked no more.
        """
        self._store = store
        self._holder = holder
        self._clock = clock
        alone = processes == 1 and not shared
        self._share = 1 if alone else SHARE * max(processes, 2)  # how many hosts there are, nobody is told
        self.plenty = PART if alone else 1
        """How many times what a call may cost must be free for it to be held without thought."""
        self.rules = RuleBook()
        self._allotments: dict[str, Allotment] = {}
        self._purses: dict[Attribution, Purse | None] = {}
        self._touched: list[Purse] = []
        self._waiting: list[Waiter] = []
        self.has_waiting = False
        """Whether a call waits for money."""
        self._again = asyncio.Event()
        self._lock = asyncio.Lock()
        self._following = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard_at = self._beat_at = self._stepped_at = clock.monotonic()
        self._wanted_since_us = 0
        self._swept_us = 0
        self.beforehand: Callable[[], Awaitable[None]] | None = None
        """Is awaited before calls that wait are looked at, at most every `TICK_S`."""
        self._asked_at = float("-inf")
        self._wall_us = self._wall_offset_us()
        self._step_us = 0
        self._unsure: dict[str, Allotment] = {}
        """Those of which an answer was lost, to be looked at."""
        self._in_doubt = False
        """Whether the store did not know a budget as we do, so that all of them are to be learned anew."""
        self.fenced = False
        """Whether the store was away for so long that others may take what we hold for free."""
        self.overruns = 0
        """Calls that cost more than was held for them."""
        self.overrun_nanousd = 0
        self.refused = 0

    async def start(self) -> None:
        """Learn the rules, and follow them."""
        await self.follow_rules()
        self._tasks = [
            asyncio.create_task(self._tick_forever(), name="budgets"),
            asyncio.create_task(self._serve_waiting(), name="budgets-waiting"),
        ]

    async def close(self, *, all_posted: bool = True) -> None:
        """Give everything back, where every call is settled and posted; else the next start does, once they are."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
            self._tasks.clear()
        try:
            if all_posted:
                await self._store.release(self._holder)
        except StoreError as error:
            log.warning("What was leased of budgets could not be given back, and is with the next start: %s", error)
        self._allotments.clear()
        self._purses.clear()

    @property
    def waiting(self) -> int:
        """How many calls wait for money."""
        return len(self._waiting)

    def look_again(self) -> None:
        """Have those who wait look whether there is enough now."""
        self._again.set()

    def touch(self, purse: Purse) -> None:
        """Remember that it was used, so that the next tick looks at its accounts."""
        purse.touched = True
        self._touched.append(purse)

    def _empty_pockets(self) -> None:
        """Have every allotment know what calls took and gave back; nothing may be decided by one before."""
        for purse in self._touched:
            purse.empty()

    def note_overrun(self, by_nanousd: int) -> None:
        """Count a call that cost more than was held for it."""
        self.overruns += 1
        self.overrun_nanousd += by_nanousd

    def purse_of(self, attribution: Attribution, now_us: int) -> Purse | None:
        """Return what a call of this attribution draws on; `None` where no budget is about it."""
        if self.rules.empty:
            return None
        try:
            purse = self._purses[attribution]
        except KeyError:
            pass
        else:
            if purse is None or purse.from_us <= now_us < purse.until_us:
                return purse
        return self._new_purse(attribution, now_us)

    async def acquire(
        self, attribution: Attribution, amounts: Amounts, *, goes_on: Callable[[], bool] = lambda: False
    ) -> Hold:
        """Hold what a call may cost at most, or at least what it must; wait for what calls under way will give back.

        `amounts` is asked again while it waits, as what others cost may teach that it needs less. `goes_on` tells
        whether the call finishes a turn that was begun, for which a budget may have grace.

        Raises:
            BudgetExceeded: there is not enough, or a threshold forbids it.
            StoreError: it has to be asked for, and the store is away.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise LedgerAway("Too many calls wait for money already.", retry_after_s=1)
        waiter = Waiter(attribution, amounts, self._clock.monotonic(), goes_on=goes_on)
        self._waiting.append(waiter)
        self.has_waiting = True
        self._again.set()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                waiter.future.result().void()  # granted in the moment the client left
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self.has_waiting = bool(self._waiting)

    # ---- those who wait

    async def _serve_waiting(self) -> None:
        while True:
            if self._waiting:
                try:
                    async with asyncio.timeout(LOOK_AGAIN_S):
                        await self._again.wait()
                except TimeoutError:
                    pass
            else:
                await self._again.wait()
            self._again.clear()
            try:
                now = self._clock.monotonic()
                if self.beforehand is not None and self._waiting and now >= self._asked_at + TICK_S:
                    self._asked_at = now
                    await self.beforehand()
                await self._look_at_waiting()
            except StoreError as error:
                log.info("no more could be leased of the budgets: %s", error)
                self._fail(LedgerAway(_AWAY))
            except Exception:  # a fault of ours must not leave every call waiting for ever
                log.exception("an error nobody expected in the budgets")
                self._fail(LedgerAway("The budgets cannot be looked at."))

    def _fail(self, error: LedgerAway) -> None:
        for waiter in self._waiting:
            if not waiter.future.done():
                waiter.future.set_exception(LedgerAway(error.message, retry_after_s=1))

    async def _look_at_waiting(self) -> None:
        """Grant what there is, ask the store for the rest, and ask again for what its answer shows to be possible."""
        for last in (False, True):
            self._empty_pockets()
            waiting = [one for one in self._waiting if not one.future.done()]
            asks: dict[tuple[str, bool], Lacking] = {}
            now = self._clock.monotonic()
            for waiter in waiting:
                waiter.ask_again(now)
                self._ask_for(waiter, asks)
            if asks:
                await self._lease(list(asks.values()))
            if self._in_doubt:
                await self.follow_rules()
            self._empty_pockets()
            for waiter in [one for one in waiting if not one.future.done()]:
                self._grant_or_refuse(waiter, last=last)

    def _ask_for(self, waiter: Waiter, asks: dict[tuple[str, bool], Lacking]) -> None:
        """Add what a call lacks to what is asked for."""
        purse = self.purse_of(waiter.attribution, self._clock.now_us())
        if purse is None:
            return
        wanted = self._wanted_by(waiter, purse)
        for allotment in purse.all:
            unknown = allotment.account is None
            lacks = max(0, wanted - waiter.room_in(allotment)) if allotment.budget.policy == "hard" else 0
            if lacks or unknown:
                grace = lacks > 0 and waiter.has_grace(allotment)
                asks.setdefault((allotment.id, grace), Lacking(allotment, grace=grace)).add(lacks)

    def _grant_or_refuse(self, waiter: Waiter, *, last: bool) -> None:
        now_us = self._clock.now_us()
        purse = self.purse_of(waiter.attribution, now_us)
        if purse is None:
            waiter.future.set_result(Hold(Purse(self, ()), waiter.least, now_us))
            return
        blocked = [one for one in purse.all if one.blocked]
        if blocked:
            self._refuse(waiter, [Lack.of(one, waiter, self.rules) for one in blocked])
            return
        wanted = self._wanted_by(waiter, purse)
        free = min((waiter.room_in(one) for one in purse.hard), default=EVERYTHING)
        if not self.fenced and (wanted <= free or (last and waiter.least <= free)):
            purse.reserve(min(wanted, free), now_us)
            waiter.future.set_result(Hold(purse, min(wanted, free), now_us))
            return
        if not last:
            return
        short = [one for one in purse.hard if waiter.room_in(one) < waiter.least]
        hopeless = [one for one in short if never_fits(one, waiter.least, grace=waiter.goes_on)]
        wait_s = min((one.budget.wait_s for one in short), default=0)
        if hopeless or self._clock.monotonic() >= waiter.began + wait_s:
            self._refuse(waiter, [Lack.of(one, waiter, self.rules) for one in hopeless or short])

    def _wanted_by(self, waiter: Waiter, purse: Purse) -> int:
        """Return how much a call holds: all it may cost, or less where its client set no limit and money is scarce."""
        if waiter.least == waiter.most:
            return waiter.most
        room = min((waiter.room_in(one) + one.leasable_nanousd for one in purse.hard), default=EVERYTHING)
        return min(waiter.most, max(waiter.least, room // PART))

    def _refuse(self, waiter: Waiter, lacks: list[Lack]) -> None:
        self.refused += 1
        if not lacks:  # the store is away for too long, and others may take what we hold for free
            waiter.future.set_exception(LedgerAway(_FENCED, retry_after_s=5))
            return
        waiter.future.set_exception(refusal(lacks, self._clock.now_us()))

    # ---- the store

    async def _lease(self, lacking: Sequence[Lacking]) -> None:
        """Ask the store for what calls lack, and give back what others could use where it does not suffice."""
        alone = self._share == 1
        allotments = [one.allotment for one in lacking]
        needs = iter(lacking)
        given: set[str] = set()

        def need(allotment: Allotment) -> LeaseAsk:
            one = next(needs)
            spent_beyond = 0 if allotment.id in given else min(0, allotment.free)
            given.add(allotment.id)
            return LeaseAsk(
                key=allotment.key,
                end_us=allotment.end_us,
                give_nanousd=spent_beyond,
                need_nanousd=one.least,
                wish_nanousd=EVERYTHING if alone and one.least else one.all,
                beyond_nanousd=allotment.budget.grace_nanousd if one.grace else 0,
                share=self._share,
            )

        answers = await self._exchange(allotments, need)
        if alone:
            return
        served = {one.allotment.id for one, answer in zip(lacking, answers, strict=True) if answer.granted_nanousd}
        short = [
            one.allotment for one in lacking if one.least and one.allotment.id not in served and one.allotment.free > 0
        ]
        if short:  # pooled in the store the leftovers of several processes may make one call
            await self._give_back(short)

    async def _give_back(self, allotments: Sequence[Allotment]) -> None:
        """Give back what is free; and where calls cost more than was held, lease what they cost."""
        await self._exchange(allotments, lambda one: one.giving(one.free))

    async def look_at(self, allotments: Sequence[Allotment]) -> None:
        """Learn how they stand, and give back what is too much; raises `StoreError` where the store is away."""
        await self._exchange(allotments, lambda one: one.giving(one.surplus))

    async def _exchange(
        self, allotments: Sequence[Allotment], ask: Callable[[Allotment], LeaseAsk]
    ) -> list[LeaseAnswer]:
        if not allotments:
            return []
        async with self._lock:  # one after the other: what is given back must not be found again meanwhile
            self._empty_pockets()
            asks = [ask(one) for one in allotments]
            until_us = self._clock.now_us() + LEASE_S * 1_000_000
            try:
                answers = await self._store.exchange(self._holder, asks, now_us=self._judged_us(), until_us=until_us)
            except StoreError:
                self._unsure.update((one.id, one) for one in allotments)  # it may have been done; the next look tells
                raise
            self._heard()
            self._empty_pockets()
            for allotment, answer in zip(allotments, answers, strict=True):
                if answer.account is None:
                    allotment.free = 0
                    self._in_doubt = self._in_doubt or allotment.budget.enabled  # of one that is not it knows nothing
                else:
                    allotment.note(answer.account, answer)
        return answers

    def _judged_us(self) -> int:
        """Return the time at which others' leases are judged to have ended; a clock that was set ends none."""
        wall_us = self._wall_offset_us()
        if abs(wall_us - self._wall_us) > STEP_US:
            self._step_us, self._wall_us = wall_us - self._wall_us, wall_us
            self._stepped_at = self._clock.monotonic()
            self._beat_at = self._stepped_at - HEARTBEAT_S - 1
        recent = self._clock.monotonic() - self._stepped_at < AFTER_STEP_S
        return self._clock.now_us() - (max(0, self._step_us) if recent else 0)

    def _wall_offset_us(self) -> int:
        return self._clock.now_us() - round(self._clock.monotonic() * 1_000_000)

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()
        self.fenced = False

    # ---- the rules

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._tick()
            except StoreError as error:
                log.info("the budgets could not be looked at: %s", error)
            self.fenced = self._clock.monotonic() - self._heard_at > LEASE_S / 2
            if self.fenced:
                self._empty_pockets()

    async def _tick(self) -> None:
        self._judged_us()
        await self._beat()
        await self.follow_rules()
        await self._look_at_used()
        if self._share > 1:
            await self._heed_wants()
        if abs((now_us := self._clock.now_us()) - self._swept_us) > IDLE_US:
            self._swept_us = now_us
            await self._sweep(now_us)

    async def _beat(self) -> None:
        """Say that we live."""
        if self._clock.monotonic() - self._beat_at > HEARTBEAT_S:
            now_us = self._clock.now_us()
            await self._store.hold(self._holder, now_us=now_us, until_us=now_us + LEASE_S * 1_000_000)
            self._beat_at = self._clock.monotonic()
            self._heard()

    async def _look_at_used(self) -> None:
        """Learn how the accounts stand that calls have used since the last tick."""
        self._empty_pockets()
        purses, self._touched = self._touched[:MAX_LOOKS], self._touched[MAX_LOOKS:]
        used, self._unsure = self._unsure, {}
        for purse in purses:
            purse.touched = False
            for allotment in purse.all:
                allotment.used_us = max(allotment.used_us, purse.used_us)
                used[allotment.id] = allotment
        if used:
            await self.look_at(list(used.values()))

    async def _heed_wants(self) -> None:
        """Give back what others asked for and we have to spare."""
        since_us, self._wanted_since_us = self._wanted_since_us, self._clock.now_us() - 2_000_000
        wanted = await self._store.wanted(since_us)
        self._empty_pockets()
        ours = [self._allotments[name] for name in wanted if name in self._allotments]
        await self._give_back([one for one in ours if one.free > 0])

    async def _sweep(self, now_us: int) -> None:
        """Give back what was not used for a while, and forget accounts of which nothing is leased any more."""
        self._empty_pockets()
        idle = [one for one in self._allotments.values() if one.held == 0 and abs(now_us - one.used_us) > IDLE_US]
        answers = await self._exchange(idle, lambda one: one.giving(one.free))
        for allotment, answer in zip(idle, answers, strict=True):
            # Where something is not posted yet, the account is kept: what it is would be known to nobody else.
            if allotment.held == allotment.free == answer.yours_nanousd == 0 or answer.account is None:
                self._allotments.pop(allotment.id, None)
                self._purses.clear()

    async def follow_rules(self) -> None:
        """Take over what changed of the rules since they were looked at.

        Raises:
            StoreError: the store cannot be asked.
        """
        async with self._following:
            since = 0 if self._in_doubt else self.rules.counter
            changes = await self._store.changes(since)
            self._heard()
            self._in_doubt = False
            if not self.rules.learn(changes, whole=since == 0):
                return
            self._purses.clear()
            for allotment in list(self._allotments.values()):
                rule = self.rules.get(allotment.key.budget_id)
                if rule is None or rule.version != allotment.key.version:
                    del self._allotments[allotment.id]
                elif rule != allotment.budget:
                    await self._take_over(allotment, rule)
            self._in_doubt = False  # they were read a moment ago, whatever the store knows nothing of
            self.look_again()

    async def _take_over(self, allotment: Allotment, rule: Budget) -> None:
        """Go by a changed rule: with less to spend what is free goes back first, and is leased anew within it."""
        self._empty_pockets()
        other = rule.policy != allotment.budget.policy
        lowered = rule.limit_nanousd < allotment.budget.limit_nanousd
        allotment.budget = rule
        self._purses.clear()  # those that were made meanwhile went by the rule of before
        if other:
            allotment.based = False
            allotment.beyond = 0
            allotment.judge()
            if rule.policy == "hard":
                allotment.free = -allotment.held  # calls under way were not held in the store
        if lowered or other or not rule.enabled:
            await self._give_back([allotment])
        else:
            await self.look_at([allotment])
        allotment.judge()

    def _new_purse(self, attribution: Attribution, now_us: int) -> Purse | None:
        allotments = []
        for rule, key, end_us in self.rules.accounts_of(attribution, now_us):
            allotment = self._allotments.get(key.id)
            if allotment is None:
                allotment = self._allotments[key.id] = Allotment(rule, key, end_us)
                allotment.used_us = now_us
            allotments.append(allotment)
        purse = Purse(self, allotments) if allotments else None
        if len(self._purses) >= MAX_PURSES:
            self._purses.clear()
        self._purses[attribution] = purse
        return purse


_AWAY = "What is leased of the budgets is used up, and the ledger's database is away."
"""Clients are not told where it is."""
_FENCED = "The store was away for so long that what is leased from budgets may be others' by now."

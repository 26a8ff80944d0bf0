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
from farthing.errors import BudgetExceeded, StoreError
from farthing.ledger.allotments import EVERYTHING, Allotment, Hold, Purse
from farthing.ledger.budget_refusal import Lack, never_fits, refusal
from farthing.ledger.budget_rules import RuleBook
from farthing.storage.protocols import BudgetStore
from farthing.types.budgets import Budget, LeaseAnswer, LeaseAsk
from farthing.types.calls import Attribution

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often rules, thresholds and wants of others are looked at; a changed budget holds within a second."""
LOOK_AGAIN_S = 0.2
"""How often who waits asks the store again: what another process gives back announces itself to nobody here."""
LEASE_S = 4_200
"""A lease ends so long after its process was last heard of. No answer outlasts an hour (`timeouts.total_s`), so by then
whatever it had begun is over; sooner would let others spend what is still being spent."""
HEARTBEAT_S = 60.0
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


Amounts = Callable[[], tuple[int, int]]
"""Returns the least that a call must hold and the most that it may cost, as far as is known now."""


class _Waiter:
    """A call that waits for money."""

    __slots__ = ("amounts", "asked_at", "attribution", "began", "future", "goes_on", "least", "most")

    def __init__(self, attribution: Attribution, amounts: Amounts, now: float, *, goes_on: Callable[[], bool]) -> None:
        self.attribution = attribution
        self.amounts = amounts
        self.least, self.most = amounts()
        self.asked_at = now
        self.goes_on = goes_on
        self.began = now
        self.future: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()

    def ask_again(self, now: float) -> bool:
        """Learn what the call may cost by what others did meanwhile; return whether that is less."""
        if now - self.asked_at < LOOK_AGAIN_S / 2:
            return False
        before = self.least
        self.least, self.most = self.amounts()
        self.asked_at = now
        return self.least < before


class _Lacking:
    """What those who wait lack of one allotment: the `least` that helps one of them, and what `all` of them lack."""

    __slots__ = ("all", "allotment", "grace_nanousd", "least")

    def __init__(self, allotment: Allotment) -> None:
        self.allotment = allotment
        self.least = 0
        self.all = 0
        self.grace_nanousd = 0

    def add(self, lacks: int, goes_on: Callable[[], bool]) -> None:
        """Add one call's."""
        if lacks:
            self.least = min(self.least, lacks) if self.least else lacks
            self.all += lacks
            grace = self.allotment.budget.grace_nanousd
            if grace > self.grace_nanousd and goes_on():
                self.grace_nanousd = grace


class Budgets:
    """The budgets of one process; its methods belong to one event loop's thread."""

    def __init__(self, store: BudgetStore, holder: str, clock: Clock, *, processes: int = 1) -> None:
        """`holder` is the name to lease under, `processes` how many share the store, as far as is known.

        With one, everything is leased at once, and the store is asked no more.
        """
        self._store = store
        self._holder = holder
        self._clock = clock
        self._share = 1 if processes == 1 else SHARE * processes
        self.plenty = PART if processes == 1 else 1
        """How many times what a call may cost must be free for it to be held without thought."""
        self.rules = RuleBook()
        self._allotments: dict[str, Allotment] = {}
        self._purses: dict[Attribution, Purse | None] = {}
        self._touched: list[Purse] = []
        self._waiting: list[_Waiter] = []
        self.has_waiting = False
        """Whether a call waits for money."""
        self._again = asyncio.Event()
        self._lock = asyncio.Lock()
        self._following = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard_at = clock.monotonic()
        self._beat_at = clock.monotonic()
        self._wanted_since_us = 0
        self._swept_us = 0
        self.beforehand: Callable[[], Awaitable[None]] | None = None
        """Is awaited before calls that wait are looked at, at most every `TICK_S`."""
        self._asked_at = float("-inf")
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

    def note_overrun(self, by_nanousd: int) -> None:
        """Count a call that cost more than was held for it."""
        self.overruns += 1
        self.overrun_nanousd += by_nanousd
        log.warning("a call cost %d nanodollars more than was held for it", by_nanousd)

    def purse_of(self, attribution: Attribution, now_us: int) -> Purse | None:
        """Return what a call of this attribution draws on; `None` where no budget is about it."""
        if self.rules.empty:
            return None
        try:
            purse = self._purses[attribution]
        except KeyError:
            pass
        else:
            if purse is None or now_us < purse.until_us:
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
            raise StoreError("Too many calls wait for money already.", retry_after_s=1)
        waiter = _Waiter(attribution, amounts, self._clock.monotonic(), goes_on=goes_on)
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
                self._fail(error)
            except Exception as error:  # a fault of ours must not leave every call waiting for ever
                log.exception("an error nobody expected in the budgets")
                self._fail(StoreError(f"The budgets cannot be looked at: {error}.", retry_after_s=1))

    def _fail(self, error: StoreError) -> None:
        for waiter in self._waiting:
            if not waiter.future.done():
                waiter.future.set_exception(StoreError(error.message, hint=error.hint, retry_after_s=1))

    async def _look_at_waiting(self) -> None:
        """Grant what there is, ask the store for the rest, and ask again for what its answer shows to be possible."""
        for last in (False, True):
            waiting = [one for one in self._waiting if not one.future.done()]
            asks: dict[str, _Lacking] = {}
            now = self._clock.monotonic()
            for waiter in waiting:
                waiter.ask_again(now)
                self._ask_for(waiter, asks)
            if asks:
                await self._lease(list(asks.values()))
            for waiter in [one for one in waiting if not one.future.done()]:
                self._grant_or_refuse(waiter, last=last)

    def _ask_for(self, waiter: _Waiter, asks: dict[str, _Lacking]) -> None:
        """Add what a call lacks to what is asked for."""
        purse = self.purse_of(waiter.attribution, self._clock.now_us())
        if purse is None:
            return
        wanted = self._wanted_by(waiter, purse)
        for allotment in purse.all:
            unknown = allotment.account is None
            lacks = max(0, wanted - allotment.free) if allotment.budget.policy == "hard" else 0
            if lacks or unknown:
                lacking = asks.setdefault(allotment.id, _Lacking(allotment))
                lacking.add(lacks, waiter.goes_on)

    def _grant_or_refuse(self, waiter: _Waiter, *, last: bool) -> None:
        now_us = self._clock.now_us()
        purse = self.purse_of(waiter.attribution, now_us)
        if purse is None:
            waiter.future.set_result(Hold(Purse(self, ()), waiter.least))
            return
        blocked = [one for one in purse.all if one.blocked]
        if blocked:
            self._refuse(waiter, [Lack.of(one, waiter.least) for one in blocked])
            return
        wanted = self._wanted_by(waiter, purse)
        free = min((one.free for one in purse.hard), default=EVERYTHING)
        if not self.fenced and (wanted <= free or (last and waiter.least <= free)):
            purse.reserve(min(wanted, free), now_us)
            waiter.future.set_result(Hold(purse, min(wanted, free)))
            return
        if not last:
            return
        short = [one for one in purse.hard if one.free < waiter.least]
        hopeless = [one for one in short if never_fits(one, waiter.least, grace=waiter.goes_on)]
        wait_s = min((one.budget.wait_s for one in short), default=0)
        if hopeless or self._clock.monotonic() >= waiter.began + wait_s:
            self._refuse(waiter, [Lack.of(one, waiter.least) for one in hopeless or short])

    def _wanted_by(self, waiter: _Waiter, purse: Purse) -> int:
        """Return how much a call holds: all it may cost, or less where its client set no limit and money is scarce."""
        if waiter.least == waiter.most:
            return waiter.most
        room = min((one.free + _left_of(one) for one in purse.hard), default=EVERYTHING)
        return min(waiter.most, max(waiter.least, room // PART))

    def _refuse(self, waiter: _Waiter, lacks: list[Lack]) -> None:
        self.refused += 1
        if not lacks:  # the store is away for too long, and others may take what we hold for free
            waiter.future.set_exception(StoreError(_FENCED, retry_after_s=5))
            return
        error: BudgetExceeded = refusal(lacks, self._clock.now_us())
        waiter.future.set_exception(error)

    # ---- the store

    async def _lease(self, lacking: Sequence[_Lacking]) -> None:
        """Ask the store for what calls lack, and give back what others could use where it does not suffice."""
        alone = self._share == 1
        asks = [
            LeaseAsk(
                key=one.allotment.key,
                end_us=one.allotment.end_us,
                need_nanousd=one.least,
                wish_nanousd=EVERYTHING if alone and one.least else one.all,
                beyond_nanousd=one.grace_nanousd,
                share=self._share,
            )
            for one in lacking
        ]
        answers = await self._exchange(asks, [one.allotment for one in lacking])
        if alone:
            return
        short = [
            one.allotment
            for one, answer in zip(lacking, answers, strict=True)
            if one.least and not answer.granted_nanousd and one.allotment.free > 0
        ]
        if short:  # pooled in the store the leftovers of several processes may make one call
            await self._give_back(short)

    async def _give_back(self, allotments: Sequence[Allotment]) -> None:
        given = [(one, one.free) for one in allotments if one.free > 0]
        for allotment, amount in given:
            allotment.free -= amount  # before it is said: where the answer is lost, nobody spends it twice
        asks = [LeaseAsk(key=one.key, end_us=one.end_us, give_nanousd=amount) for one, amount in given]
        if asks:
            await self._exchange(asks, [one for one, _ in given])

    async def _exchange(self, asks: Sequence[LeaseAsk], allotments: Sequence[Allotment]) -> list[LeaseAnswer]:
        now_us = self._clock.now_us()
        async with self._lock:
            answers = await self._store.exchange(
                self._holder, asks, now_us=now_us, until_us=now_us + LEASE_S * 1_000_000
            )
            self._heard()
            for allotment, answer in zip(allotments, answers, strict=True):
                allotment.free += answer.granted_nanousd
                if answer.account is None:
                    self._forget(allotment)
                else:
                    allotment.note(answer.account, answer.yours_nanousd)
        return answers

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()
        self.fenced = False

    def _forget(self, allotment: Allotment) -> None:
        """Let go of an account whose budget is gone or has another version; the rules follow with the next look."""
        if self._allotments.get(allotment.id) is allotment:
            del self._allotments[allotment.id]
        self._purses.clear()
        self.rules.doubt(allotment.budget)

    # ---- the rules

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._tick()
            except StoreError as error:
                log.info("the budgets could not be looked at: %s", error)
            self.fenced = self._clock.monotonic() - self._heard_at > LEASE_S / 2

    async def _tick(self) -> None:
        await self.follow_rules()
        await self._look_at_used()
        if self._share > 1:
            await self._heed_wants()
        now_us = self._clock.now_us()
        if abs(now_us - self._swept_us) > IDLE_US:
            self._swept_us = now_us
            await self._sweep(now_us)
        if self._clock.monotonic() - self._beat_at > HEARTBEAT_S:
            await self._store.hold(self._holder, until_us=now_us + LEASE_S * 1_000_000)
            self._beat_at = self._clock.monotonic()
            self._heard()

    async def _look_at_used(self) -> None:
        """Learn how the accounts stand that calls have used since the last tick."""
        purses, self._touched = self._touched[:MAX_LOOKS], self._touched[MAX_LOOKS:]
        used: dict[str, Allotment] = {}
        for purse in purses:
            purse.touched = False
            for allotment in purse.all:
                allotment.used_us = max(allotment.used_us, purse.used_us)
                used[allotment.id] = allotment
        if used:
            asks = [LeaseAsk(key=one.key, end_us=one.end_us) for one in used.values()]
            await self._exchange(asks, list(used.values()))

    async def _heed_wants(self) -> None:
        """Give back what others asked for and we have to spare."""
        since_us, self._wanted_since_us = self._wanted_since_us, self._clock.now_us() - 2_000_000
        wanted = await self._store.wanted(since_us)
        ours = [self._allotments[name] for name in wanted if name in self._allotments]
        await self._give_back([one for one in ours if one.free > 0])

    async def _sweep(self, now_us: int) -> None:
        """Give back what was not used for a while, and forget accounts whose period is over."""
        idle = [one for one in self._allotments.values() if one.held == 0 and abs(now_us - one.used_us) > IDLE_US]
        for allotment in idle:
            del self._allotments[allotment.id]
        if idle:
            self._purses.clear()
            await self._give_back(idle)

    async def follow_rules(self) -> None:
        """Take over what changed of the rules since they were looked at.

        Raises:
            StoreError: the store cannot be asked.
        """
        async with self._following:
            changes = await self._store.changes(self.rules.counter)
            self._heard()
            if not self.rules.learn(changes):
                return
            self._purses.clear()
            for allotment in list(self._allotments.values()):
                rule = self.rules.get(allotment.key.budget_id)
                if rule is None or rule.version != allotment.key.version:
                    del self._allotments[allotment.id]
                elif rule is not allotment.budget:
                    await self._take_over(allotment, rule)
            self.look_again()

    async def _take_over(self, allotment: Allotment, rule: Budget) -> None:
        """Go by a changed rule: with less to spend what is free goes back first, and is leased anew within it."""
        lowered = rule.limit_nanousd < allotment.budget.limit_nanousd or rule.policy != allotment.budget.policy
        allotment.budget = rule
        if lowered or not rule.enabled:
            await self._give_back([allotment])
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


_FENCED = "The store was away for so long that what is leased from budgets may be others' by now."


def _left_of(allotment: Allotment) -> int:
    """Return what the store still had to lease when it was last asked."""
    return 0 if allotment.account is None else max(0, allotment.account.left_nanousd)

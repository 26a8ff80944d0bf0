"""Limits at work in one process: which windows a call is counted in, and whether it fits into all of them now.

What may be used is leased from the store, and calls are let in from the lease in memory; the store is told twice a
second what was used, and asked for more before it runs out. Only where a lease has run out does a call wait for the
store, together with all others that do, about a millisecond. What is used and what is leased are never more than the
limit, over all processes. Of several processes one that lacks something says so in the store, and the others give back
what they have to spare; a call waits a moment for that before it is refused, and for calls under way that hold more
tokens or money than they will use.

A call counts at the moment at which it was let in, with all that it used: what it may use before, what it did use
afterwards. A process that dies leaves its lease behind: ten seconds later that counts as used, because nobody knows how
much of it was. It is a sixteenth of the limit, or what the busiest second took.

Where the store is away, who serves alone goes on by what it knows, which is everything. Of several, each goes on with
what it had leased, as a window of its own, until what others may have used has left every window; and then with its
share of the limit. So the limit holds wherever all lost the store together, and much of it cannot be used for a window.
A window that nobody has heard of cannot be used until the store is back.
"""

import asyncio
import logging
from collections.abc import Sequence

from farthing.clock import Clock
from farthing.errors import LedgerAway, RateLimited, StoreError
from farthing.ledger.limit_rules import LimitBook
from farthing.ledger.limit_windows import LimitHold, LiveWindow, Taking, amount_text, spell
from farthing.storage.limit_protocols import LimitStore, WindowStore
from farthing.types.calls import Attribution
from farthing.types.limits import CONCURRENCY, Limit, Rate, Units, name_of_rule, name_of_window

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often the store is told what was used, and the rules are looked at; a changed limit holds within a second."""
LEASE_S = 10.0
"""How long a lease lasts after its process was heard of: short, because no money rests on it."""
MARGIN_S = 2.0
"""We take our lease to end so much sooner than the store does, which may have been slow to hear us."""
RENEW_S = 3.0
IDLE_S = 30.0
"""What nobody used for so long is given back; the next call asks again, which takes a millisecond."""
WAIT_S = 1.3
"""How long a call waits for what other processes and calls under way may give back. Others look every `TICK_S`, and
what they took in the last one they keep for one more: with 0.8 s a crowd over four processes got 92 % of a limit."""
WAIT_LOOKS = 12
"""And it looks so often at least: a process that is too busy to look in time has others that are, too."""
MAX_WAIT_S = 5.0
"""Then it is refused, however busy everybody is: twice what a crowd of 2,000 took on two busy processors."""
LOOK_AGAIN_S = 0.1
RETRY_S = 0.25
"""How often a store that is away is tried by each process; a call waits for a try of four at most."""
MAX_ASKS = 256
"""Windows in one exchange: about 10 ms of SQLite's thread."""
MAX_ROUNDS = 8
"""How often a call asks whose windows others empty while it waits for one of them; then it is refused."""
MAX_WINDOWS = 65_536
"""Windows in memory, 1 KB each. Clients choose names of users and tags; beyond it the rest of a limit shares one."""
MAX_TAKINGS = 4_096
"""Attributions whose windows are remembered; finding them again takes 10 us."""
OTHERS = "all others"


class Limits:
    """The limits of one process; its methods belong to one event loop's thread."""

    def __init__(
        self,
        rules: LimitStore,
        windows: WindowStore,
        holder: str,
        clock: Clock,
        *,
        processes: int = 1,
        shared: bool = False,
    ) -> None:
        """`processes` share the `windows` here, and where they are `shared`, others elsewhere do as well."""
        self._rules = rules
        self._store = windows
        self._holder = holder
        self._processes = processes
        self.alone = processes == 1 and not shared
        self.book = LimitBook()
        self.now_s = clock.monotonic
        self.ahead_us = clock.now_us() - int(self.now_s() * 1e6)
        """How far the store's clock is ahead of the loop's. Our own time never steps, whatever the machine's does."""
        self.touched: list[LiveWindow] = []
        self._windows: dict[str, LiveWindow] = {}
        self._takings: dict[object, Taking | None] = {}
        self._quota_windows: dict[tuple[str, str], tuple[LiveWindow, ...]] = {}
        """As many as there are credentials with quotas."""
        self._waiting: dict[str, LiveWindow] = {}
        self._round: asyncio.Event | None = None
        """Set when the store was asked for those who wait now."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._renew_at_s = self.now_s() + RENEW_S
        self._wanted_since_us = 0
        self._away_since_s: float | None = None
        self._retry_at_s = float("-inf")
        self.refused = 0
        self.passed_over = 0
        """Calls that a credential had no room for; another one may have had."""
        self.exchanges = 0
        self.failures = 0
        """Exchanges that failed."""

    @property
    def away(self) -> bool:
        """Whether calls are let in without the store; see above."""
        return self._away_since_s is not None

    @property
    def live(self) -> Sequence[LiveWindow]:
        """The windows in memory."""
        return [*self._windows.values()]

    async def start(self) -> None:
        """Learn the rules, and follow them."""
        await self.follow_rules()
        self._task = asyncio.create_task(self._run(), name="limits")

    async def close(self) -> None:
        """Tell what was used, and give the rest back."""
        self._closing = True
        while self._task is not None:
            # Not only cancelled: a client's library may take the one for a timeout of its own, and go on.
            self._task.cancel()
            ended, _ = await asyncio.wait([self._task], timeout=TICK_S)
            self._task = None if ended else self._task
        try:
            await self._exchange([*self._windows.values()], idle=True)
        except StoreError as error:
            log.warning("What was leased of limits could not be given back, and counts as used: %s", error)
        self._windows.clear()
        self._forget_takings()

    def taking_for(
        self, attribution: Attribution, provider: str, credential: str | None = None, router: str | None = None
    ) -> Taking | None:
        """Return what a call is counted in; `None` where no limit is about it."""
        plain = self.book.plain
        about: object = (attribution.key_id if plain else attribution, provider, credential, router)
        try:
            return self._takings[about]
        except KeyError:
            return self._new_taking(about, attribution, provider, credential, router)

    def full_for_us(self, provider: str, credential: str) -> int | None:
        """Return for how many microseconds the quotas of a credential let nothing in; `None` where they may now.

        What other processes hold may come back at any moment, so then they may.
        """
        about = (provider, credential)
        windows = self._quota_windows.get(about)
        if windows is None:
            windows = self._quota_windows[about] = tuple(self._window(*found) for found in self.book.quotas_of(*about))
        now_s = self.now_s()
        full = [one for one in windows if not one.others and one.surely_lacks(1, now_s)]
        if not full:
            return None
        now_us = self._now_us(now_s)
        return max(one.fits_at_us(1, now_us) for one in full) - now_us

    async def acquire(self, taking: Taking, units: Units, *, patient: bool = True) -> LimitHold:
        """Take what a call may use of every window; asks the store where what is leased does not suffice.

        Who is not `patient` does not wait for what others hold of a credential: there may be another one.

        Raises:
            RateLimited: it does not fit now, or never does.
            StoreError: nothing is known of a window, and the store is away.
        """
        for window in taking.windows:
            if units[window.unit] > window.limit:
                raise self._refusal(taking, window, units, never=True)
        began_s, rounds, looks = self.now_s(), 0, 0
        while True:
            now_s = self.now_s()
            lacking = [one for one in taking.windows if one.lacks(units[one.unit], now_s)]
            if not any(one.surely_lacks(units[one.unit], now_s) for one in lacking) and rounds < MAX_ROUNDS:
                rounds += 1
                await self._ask_for(lacking, units)
            elif (
                now_s >= began_s + (WAIT_S if looks >= WAIT_LOOKS else MAX_WAIT_S)
                or not all(one.may_get_back for one in lacking)
                or (not patient and all(one.of_credential for one in lacking))
            ):
                raise self._refused(taking, lacking, units)
            else:
                await asyncio.sleep(LOOK_AGAIN_S)
                rounds, looks = 0, looks + 1
            at_us = taking.take(units)
            if at_us is not None:
                return LimitHold(taking, units, at_us)

    # ---- rounds

    async def _ask_for(self, lacking: Sequence[LiveWindow], units: Units) -> None:
        for window in lacking:
            window.waiting.append(units[window.unit])
            self._waiting[window.id] = window
        if self._round is None:
            self._round = asyncio.Event()
            self._wake.set()
        await self._round.wait()

    async def _run(self) -> None:
        tick_at_s = self.now_s() + TICK_S
        while not self._closing:
            try:
                async with asyncio.timeout(max(0.0, tick_at_s - self.now_s())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                if self._round is not None:
                    await self._serve_waiting(self._round)
                if self.now_s() >= tick_at_s:
                    tick_at_s = self.now_s() + TICK_S
                    await self.tick()
            except StoreError as error:
                log.info("the limits' store could not be asked: %s", error)
            except Exception:  # a fault of ours must not end this task, on which every call may come to wait
                log.exception("an error nobody expected in the limits")

    async def _serve_waiting(self, asked: asyncio.Event) -> None:
        """Ask for those who wait, and let them take it before anything is given back or asked for again."""
        waiting, self._waiting, self._round = [*self._waiting.values()], {}, None
        for window in waiting:
            window.used_s = self.now_s()
        try:
            await self._exchange(waiting)
        finally:
            asked.set()
            await asyncio.sleep(0)  # the loop runs them first, because they were woken first

    async def tick(self) -> None:
        """Tell what was used, renew what is leased, give back what others want or nobody needs."""
        await self.follow_rules()
        now_s = self.now_s()
        due = {one.id: one for one in self.touched}
        self.touched = []
        for window in due.values():
            window.touched, window.used_s = False, now_s
        if not self.alone and self._windows and not self.away:
            since_us, self._wanted_since_us = self._wanted_since_us, self._now_us(now_s) - 2_000_000
            for name in await self._store.wanted(since_us):
                held = self._windows.get(name)
                if held is not None and held.lease:
                    held.wanted_until_s = now_s + 2.0
                    due[name] = held
        if now_s >= self._renew_at_s:
            self._renew_at_s = now_s + RENEW_S
            due |= {one.id: one for one in self._windows.values() if one.lease or one.in_use or one.untold}
            self._sweep(now_s)
        for name in self._waiting:
            due.pop(name, None)  # they are asked for in a moment, and their calls' needs with them
        idle = [one for one in due.values() if now_s - one.used_s > IDLE_S and not one.in_use]
        await self._exchange(idle, idle=True)
        await self._exchange([one for one in due.values() if one not in idle])

    async def _exchange(self, windows: Sequence[LiveWindow], *, idle: bool = False) -> None:
        for start in range(0, len(windows), MAX_ASKS):
            await self._exchange_some(windows[start : start + MAX_ASKS], idle=idle)

    async def _exchange_some(self, windows: Sequence[LiveWindow], *, idle: bool) -> None:
        sent_s = self.now_s()
        now_us = self._now_us(sent_s)
        if sent_s < self._retry_at_s:
            self._go_on_without(windows)
            return
        asks = [one.ask(sent_s, now_us, share=self._share(one), idle=idle) for one in windows]
        self.exchanges += 1
        try:
            said = await self._store.exchange(self._holder, asks, now_us=now_us, lease_us=int(LEASE_S * 1e6))
        except StoreError:
            self.failures += 1
            self._go_on_without(windows)
            raise
        if self._away_since_s is not None:
            log.warning("The limits' store is back after %.1f s.", self.now_s() - self._away_since_s)
            self._away_since_s = None
        self.ahead_us = said.now_us - int(sent_s * 1e6)  # at most the time that the answer took too late
        until_s = sent_s + LEASE_S - MARGIN_S
        for window, ask, answer in zip(windows, asks, said.answers, strict=True):
            window.note(ask, answer, now_s=self.now_s(), now_us=said.now_us, until_s=until_s)

    def _go_on_without(self, windows: Sequence[LiveWindow]) -> None:
        now_s = self.now_s()
        if now_s >= self._retry_at_s:
            self._retry_at_s = now_s + RETRY_S
        if self._away_since_s is None:
            self._away_since_s = now_s
            log.warning("The limits' store is away: calls are let in by what is known here.")
        for window in windows:
            window.fall_back(
                now_s, self._now_us(now_s), away_s=self._away_since_s, alone=self.alone, lease_s=LEASE_S + MARGIN_S
            )

    def _share(self, window: LiveWindow) -> int:
        return 1 if self.alone else 2 * max(self._processes, window.holders)

    def _now_us(self, now_s: float) -> int:
        return int(now_s * 1e6) + self.ahead_us

    # ---- rules and windows

    async def follow_rules(self) -> None:
        """Take over what was changed of the rules, by whichever process."""
        if self.book.learn(await self._rules.changes(self.book.counter)):
            self._forget_rules()

    def set_quotas(self, quotas: Sequence[Limit]) -> None:
        """Go by these rules as well: the quotas of credentials, each of which names one, and its provider."""
        if self.book.set_quotas(quotas):
            self._forget_rules()

    def _forget_takings(self) -> None:
        self._takings.clear()
        self._quota_windows.clear()

    def _forget_rules(self) -> None:
        self._forget_takings()
        if not self._windows:
            return
        rates = {name_of_rule(limit, rate): rate for limit in self.book for rate in limit.rates}
        for window in self._windows.values():
            rate = rates.get(window.rule)
            if rate is not None and rate != window.rate:
                window.apply(rate)

    def _new_taking(
        self, about: object, attribution: Attribution, provider: str, credential: str | None, router: str | None
    ) -> Taking | None:
        found = [
            self._window(limit, rate, subject)
            for limit, rate, subject in self.book.rates_of(attribution, provider, credential, router)
        ]
        if len(self._takings) >= MAX_TAKINGS:
            self._takings.clear()
        taking = self._takings[about] = Taking(self, found, attribution) if found else None
        return taking

    def _window(self, limit: Limit, rate: Rate, subject: str) -> LiveWindow:
        rule = name_of_rule(limit, rate)
        window_id = name_of_window(rule, subject)
        window = self._windows.get(window_id)
        if window is None and len(self._windows) >= MAX_WINDOWS and subject != OTHERS:
            return self._window(limit, rate, OTHERS)
        if window is None:
            target = limit.target
            window = self._windows[window_id] = LiveWindow(
                *(window_id, rule, limit.name, rate, subject),
                of_credential=target.credential is not None,
                of_provider=target.provider is not None,
            )
        window.used_s = self.now_s()
        return window

    def _sweep(self, now_s: float) -> None:
        """Forget windows that nobody used for so long that nothing in them counts."""
        gone = [
            one
            for one in self._windows.values()
            if now_s - one.used_s > IDLE_S + one.rate.window_s * 2 and not (one.lease or one.in_use or one.untold)
        ]
        for window in gone:
            del self._windows[window.id]
        if gone:
            self._forget_takings()

    # ---- words

    def _refused(self, taking: Taking, lacking: Sequence[LiveWindow], units: Units) -> RateLimited | LedgerAway:
        unheard = next((one for one in lacking if one.away and not one.heard), None)
        if unheard is not None:
            told = f"Nothing is known of what limit '{unheard.name}' has left: its store is away."
            return LedgerAway(told, retry_after_s=1)
        now_us = self._now_us(self.now_s())
        # Where the caller has a limit to wait for, a credential's is no news.
        about = [one for one in lacking if not one.of_credential] or lacking
        worst = max(about, key=lambda one: one.fits_at_us(units[one.unit], now_us))
        error = self._refusal(taking, worst, units)
        error.held_elsewhere = all(one.others for one in lacking)
        return error

    def _refusal(self, taking: Taking, window: LiveWindow, units: Units, *, never: bool = False) -> RateLimited:
        if window.of_credential:
            self.passed_over += 1
        else:
            self.refused += 1
        now_us = self._now_us(self.now_s())
        amount, left = units[window.unit], window.remaining
        wait_s = None if never else max(1, -(-(window.fits_at_us(amount, now_us) - now_us) // 1_000_000))
        # How the operator calls a credential is not told to clients.
        whose = "of a credential" if window.of_credential else f"({taking.words_for(window)})"
        about = f"limit '{window.name}' {whose}: {amount_text(window.unit, window.limit)}"
        about += "" if window.unit == CONCURRENCY else f" in any {_span(window.rate)}"
        if wait_s is None:
            told = f"{about}, and this call may use {amount_text(window.unit, amount)}"
            error = RateLimited(f"Refused by {told}.", hint=_TOO_LARGE if window.limit else _NOTHING)
        else:
            told = f"{about}; {amount_text(window.unit, left)} left"
            when = "as soon as one has ended" if window.unit == CONCURRENCY else f"in {spell(wait_s)}"
            may_use = "" if amount == 1 else f" may use {amount_text(window.unit, amount)} and"
            error = RateLimited(f"Refused by {told}, the call{may_use} fits {when}.", retry_after_s=wait_s)
        error.limit, error.word, error.left = window.name, window.rate.word, left
        error.of_credential, error.of_provider = window.of_credential, window.of_provider
        # What a window has left that the store was never asked about is unknown, and not 0.
        known = all(one.heard for one in taking.windows)
        lines = (line.partition(b": ") for line in (taking.headers(now_us) if known else ()))
        error.headers = tuple((name, value) for name, _, value in lines)
        return error


_TOO_LARGE = "send less at once, or ask for a shorter answer; the operator can raise the limit."
_NOTHING = "waiting does not help: the operator raises the limit, or takes it away."


def _span(rate: Rate) -> str:
    return {60: "minute", 3_600: "hour", 86_400: "day"}.get(rate.window_s, f"{rate.window_s} s")

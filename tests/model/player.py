"""Plays a schedule to the real budgets and to the model, and compares them after every step.

The real ones run on a virtual clock, over a real store that can be away, or do what it is asked and lose the answer.
After every step a tick passes, so that what processes learn by looking is known to them.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from hypothesis import note

from farthing.errors import BudgetExceeded, StoreError
from farthing.ledger.allotments import Hold
from farthing.ledger.budgets import Budgets
from farthing.storage.protocols import BudgetStore, Store
from farthing.testing.simulator.virtual_time import VirtualClock, VirtualLoop
from farthing.types.budgets import Budget, BudgetChanges, LeaseAnswer, LeaseAsk, Scope, Threshold
from farthing.types.calls import Attribution
from tests.contracts.ledger_samples import attempt
from tests.model.budget_model import Account, Call, Model, Rule, Verdict, Who
from tests.model.schedules import Step

PAUSE_S = 0.7
"""Longer than a tick, so that what is to be looked at was."""
LONG_PAUSE_S = 2.1
"""With several processes: one asks in vain, the others see that and give back, and it asks again."""


class TroubledBudgets:
    """The budgets of a store that may be away, or lose what it answers."""

    def __init__(self, real: BudgetStore) -> None:
        self.real = real
        self.trouble = "back"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def changes(self, since: int) -> BudgetChanges:
        """See `BudgetStore.changes`."""
        answer: BudgetChanges = await self._asked(self.real.changes(since))
        return answer

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """See `BudgetStore.exchange`."""
        answers: list[LeaseAnswer] = await self._asked(
            self.real.exchange(holder, asks, now_us=now_us, until_us=until_us)
        )
        return answers

    async def hold(self, holder: str, *, now_us: int, until_us: int) -> None:
        """See `BudgetStore.hold`."""
        await self._asked(self.real.hold(holder, now_us=now_us, until_us=until_us))

    async def release(self, holders: str, *, but: Collection[str] = ()) -> int:
        """See `BudgetStore.release`."""
        freed: int = await self._asked(self.real.release(holders, but=but))
        return freed

    async def wanted(self, since_us: int) -> list[str]:
        """See `BudgetStore.wanted`."""
        names: list[str] = await self._asked(self.real.wanted(since_us))
        return names

    async def _asked(self, question: Coroutine[Any, Any, Any]) -> Any:
        if self.trouble == "away":
            question.close()
            raise StoreError("The store is away.")
        answer = await question
        if self.trouble == "answers lost":
            raise StoreError("The store's answer was lost.")
        return answer


@dataclass
class House:
    """One process."""

    number: int
    budgets: Budgets
    unposted: list[tuple[Call, int | None]] = field(default_factory=list)

    @property
    def holder(self) -> str:
        return f"here:{self.number}:1"


@dataclass
class Asked:
    """A call that was asked for, and what came of it."""

    who: Who
    least: int
    most: int
    goes_on: bool
    house: House
    task: asyncio.Task[tuple[Hold, int]]
    at_us: int
    """When it was looked at before."""


class Player:
    """One schedule."""

    def __init__(self, store: Store, rules: list[Rule], now_us: int, *, processes: int = 1, wait_s: int = 0) -> None:
        self.store = store
        self.troubled = TroubledBudgets(store.budgets)
        self.clock = VirtualClock()
        self.clock.loop = asyncio.get_running_loop()  # type: ignore[assignment]
        self.clock.step_us = now_us - self.clock.now_us()
        self.processes, self.wait_s = processes, wait_s
        self.model = Model()
        self.first_rules = rules
        self.houses: list[House] = []
        self.waiting: list[Asked] = []
        self.under_way: list[tuple[Call, Hold, House]] = []
        self.began = 0
        self.met_trouble = False

    async def play(self, steps: list[Step]) -> None:
        """Play all of it, and see that nothing is left behind."""
        await self.store.open()
        for rule in self.first_rules:
            self.model.rules[rule.id] = replace(rule, counts_from_us=self.clock.now_us())
            assert await self.store.budgets.put(self.told(rule.id))
        for _ in range(self.processes):
            await self.join()
        for step in steps:
            await getattr(self, step[0])(*step[1:])
            await self.pause()
        await self.end()

    # ---- what happens

    async def call(self, house: int, who: Who, least: int, more: int, goes_on: bool) -> None:
        at = self.houses[house % len(self.houses)]
        attribution = attribution_of(who)
        task = asyncio.create_task(self.admitted(at, attribution, least, least + more, goes_on=goes_on))
        self.waiting.append(Asked(who, least, least + more, goes_on, at, task, self.clock.now_us()))

    async def admitted(
        self, at: House, attribution: Attribution, least: int, most: int, *, goes_on: bool
    ) -> tuple[Hold, int]:
        """Do as the gateway's admission does."""
        now_us = self.clock.now_us()
        purse = at.budgets.purse_of(attribution, now_us)
        times = at.budgets.plenty if least < most else 1
        if purse is not None and purse.take(most, now_us, times=times):
            return Hold(purse, most, now_us), now_us
        hold = await at.budgets.acquire(attribution, lambda: (least, most), goes_on=lambda: goes_on)
        return hold, hold.at_us

    async def settle(self, which: int, kind: str, amount: int) -> None:
        if not self.under_way:
            return
        call, hold, house = self.under_way.pop(which % len(self.under_way))
        held = call.held
        cost = {"below": min(amount, held), "at": held, "above": held + amount, "unknown": None, "void": 0}[kind]
        if kind == "void":
            hold.void()
            self.model.calls.remove(call)
            return
        hold.settle(cost)
        call.charge, call.unknown = (held, True) if cost is None else (cost, False)
        house.unposted.append((call, cost))

    async def post(self, which: int, many: int) -> None:
        """Post some, in whatever order; the ledger tries until the store takes them, so here it does at once."""
        if self.troubled.trouble == "away":
            return
        for house in self.houses:
            await self.post_of(house, many, which)

    async def die(self, which: int) -> None:
        """Kill a process: whoever comes next posts what it left and what was under way, and gives back."""
        house = self.houses[which % len(self.houses)]
        if len(self.houses) == 1 or self.troubled.trouble != "back":
            return
        self.houses.remove(house)
        house.budgets._tasks, tasks = [], house.budgets._tasks
        for task in [*tasks, *[one.task for one in self.waiting if one.house is house]]:
            task.cancel()
            await asyncio.wait([task])
        self.waiting = [one for one in self.waiting if one.house is not house]
        for call, _, _ in [one for one in self.under_way if one[2] is house]:
            call.charge, call.unknown = call.held, which % 2 == 0
            house.unposted.append((call, None if call.unknown else call.held))
        self.under_way = [one for one in self.under_way if one[2] is not house]
        await self.post_of(house, len(house.unposted), holder="")
        await self.store.budgets.release(house.holder)

    async def leave(self, which: int) -> None:
        """End a process in order: it settles, posts and gives back."""
        house = self.houses[which % len(self.houses)]
        if len(self.houses) == 1 or self.troubled.trouble != "back":
            return
        for at in reversed([at for at, one in enumerate(self.under_way) if one[2] is house]):
            await self.settle(at, "at", 0)
        for asked in [one for one in self.waiting if one.house is house]:
            asked.task.cancel()
            await asyncio.wait([asked.task])
            self.waiting.remove(asked)
        self.houses.remove(house)
        await self.post_of(house, len(house.unposted))
        await house.budgets.close()

    async def post_of(self, house: House, many: int, which: int = 0, *, holder: str | None = None) -> None:
        for _ in range(min(many, len(house.unposted))):
            call, cost = house.unposted.pop(which % len(house.unposted))
            self.began += 1
            line = attempt(
                self.began,
                started_at_us=call.started_us,
                held_nanousd=call.held,
                cost_nanousd=cost,
                cost_basis="unknown" if cost is None else "reported",
            )
            opening = msgspec.structs.replace(line.opening, attribution=attribution_of(call.who))
            line = msgspec.structs.replace(line, opening=opening)
            await self.store.append([line], house.holder if holder is None else holder)
            assert await self.store.append([line], house.holder) == 0
            call.posted = True
            if any(self.model.belongs(call, account) for account in self.accounts_beside(call)):
                for one in self.houses:
                    self.look_at_all(one)

    def accounts_beside(self, call: Call) -> list[Account]:
        """Return accounts that calls were held in, but not this one."""
        return [account for other in self.model.calls for account in other.accounts if account not in call.accounts]

    def look_at_all(self, house: House) -> None:
        """Have a process look at its accounts, as it does with the next call: one was charged that it never held."""
        for purse in house.budgets._purses.values():
            if purse is not None and not purse.touched:
                house.budgets.touch(purse)

    async def clock_(self, hours: int) -> None:
        """Have an operator set the clock, but not to before there was a budget."""
        self.clock.step_us += hours * 3_600_000_000
        earliest = max(rule.counts_from_us for rule in self.model.rules.values())
        self.clock.step_us += max(0, earliest - self.clock.now_us())

    async def limit(self, which: int, limit: int) -> None:
        await self.change(which, ("limit", limit))

    async def change(self, which: int, change: tuple[str, Any]) -> None:
        rule_id = f"b{which % len(self.model.rules)}"
        if self.troubled.trouble != "back":
            return
        name, value = change
        if name == "period" and self.model.rules[rule_id].period in ("week", "month"):
            self.model.change(rule_id, self.clock.now_us(), period=value, reset_day=1)
        else:
            self.model.change(rule_id, self.clock.now_us(), **{name: value})
        assert await self.store.budgets.put(self.told(rule_id))

    async def idle(self) -> None:
        await asyncio.sleep(31)

    async def store_(self, trouble: str) -> None:
        self.troubled.trouble = trouble
        self.met_trouble = self.met_trouble or trouble != "back"

    async def join(self) -> None:
        number = max((house.number for house in self.houses), default=0) + 1
        house = House(number, Budgets(self.troubled, f"here:{number}:1", self.clock, processes=self.processes))
        if self.troubled.trouble == "back":
            await house.budgets.start()
            self.houses.append(house)

    # ---- what must be

    async def pause(self) -> None:
        await asyncio.sleep(PAUSE_S if self.processes == 1 and not self.met_trouble else LONG_PAUSE_S)
        if self.exact:
            self.compare_admissions()
        else:
            self.see_that_nobody_passes_the_limit()
        await self.compare_accounts()

    @property
    def exact(self) -> bool:
        """Whether one process knows all there is to know."""
        return self.processes == 1 and self.troubled.trouble == "back"

    def compare_admissions(self) -> None:
        """See that of those who asked the right ones were admitted, and with the right amount."""
        for asked in list(self.waiting):
            told = self.outcome(asked)
            verdicts = self.verdicts(asked)
            kinds = {"refuse" if one.kind == "wait" and not self.wait_s else one.kind for one in verdicts}
            if any(not one.sure for one in verdicts):
                kinds.add("refuse")
            assert told in kinds, f"{asked.who} least {asked.least} most {asked.most}: {told} and not {verdicts}"
            if told != "wait":
                self.waiting.remove(asked)
            if told == "admit":
                hold, started_us = asked.task.result()
                self.note_call(asked, hold, started_us)
                if self.model.calls[-1].accounts:
                    assert hold.amount_nanousd == verdicts[0].held, f"{hold.amount_nanousd} and not {verdicts}"

    def see_that_nobody_passes_the_limit(self) -> None:
        """See that who was admitted may be, and where the store answers, that nobody waits for what is there.

        Of several processes each knows what it has leased. So who is admitted first, and with how much, is theirs.
        """
        troubled = self.troubled.trouble != "back"
        for asked in [one for one in self.waiting if one.task.done()]:
            self.waiting.remove(asked)
            error = asked.task.exception()
            if error is None:
                hold, started_us = asked.task.result()
                verdict = self.model.verdict(asked.who, started_us, asked.least, asked.most, goes_on=True)
                assert verdict.kind == "admit", f"{asked} was admitted: {verdict}"
                assert asked.least <= hold.amount_nanousd <= verdict.room, f"{hold.amount_nanousd}: {verdict}"
                self.note_call(asked, hold, started_us)
            elif isinstance(error, StoreError):
                assert troubled, error
            else:
                assert isinstance(error, BudgetExceeded), error
                verdicts = self.verdicts(asked)
                assert troubled or any(one.kind == "refuse" or not one.sure for one in verdicts), f"{error} {verdicts}"
        for asked in self.waiting:
            verdicts = self.verdicts(asked)
            assert troubled or any(one.kind != "admit" for one in verdicts), f"{asked} waits: {verdicts}"

    def verdicts(self, asked: Asked) -> list[Verdict]:
        """Return what the model says: of the moment of the hold, or where a period may have begun, before and after."""
        now_us, asked.at_us = asked.at_us, self.clock.now_us()
        moments = [now_us, asked.at_us]
        if asked.task.done() and asked.task.exception() is None:
            moments = [asked.task.result()[1]]
        return [
            self.model.verdict(asked.who, at_us, asked.least, asked.most, goes_on=asked.goes_on) for at_us in moments
        ]

    def note_call(self, asked: Asked, hold: Hold, started_us: int) -> None:
        accounts = tuple(account for _, account in self.model.accounts_of(asked.who, started_us))
        call = Call(asked.who, started_us, accounts, hold.amount_nanousd, asked.house.number)
        self.model.calls.append(call)
        self.under_way.append((call, hold, asked.house))

    def outcome(self, asked: Asked) -> str:
        if not asked.task.done():
            return "wait"
        error = asked.task.exception()
        if error is None:
            return "admit"
        assert isinstance(error, BudgetExceeded), error
        return "refuse"

    async def compare_accounts(self) -> None:
        for account in await self.store.budgets.accounts(now_us=self.clock.now_us()):
            key = account.key
            subject = tuple(sorted((name, getattr(key.subject, name)) for name in key.subject.named))
            mine = (key.budget_id, key.version, subject, key.start_us)
            assert (account.posted_nanousd, account.unknown_nanousd) == self.model.posted(mine), account
            rule = self.model.rules[key.budget_id]
            if rule.hard and rule.enabled and self.exact and not self.met_trouble:
                most = max(rule.limit + rule.grace, self.model.spent(mine) + self.model.held(mine))
                stands = account.spent_nanousd + account.leased_nanousd
                assert stands <= most + self.model.beyond(mine), f"{account} is at {stands}, not {most}"

    async def end(self) -> None:
        """Let everything come to its end: then nothing is held, and every line is charged, once."""
        self.troubled.trouble = "back"
        for asked in self.waiting:
            asked.task.cancel()
            await asyncio.wait([asked.task])
        while self.under_way:
            await self.settle(0, "at", 0)
        for house in self.houses:
            await self.post_of(house, len(house.unposted))
            await house.budgets.close()
        recomputed = await self.store.budgets.accounts_recomputed()
        for account in await self.store.budgets.accounts(now_us=self.clock.now_us()):
            assert account.leased_nanousd == 0, account
            assert recomputed[account.key.id] == (account.posted_nanousd, account.unknown_nanousd)
        await self.compare_accounts()

    # ---- in the product's words

    def told(self, rule_id: str) -> Budget:
        rule = self.model.rules[rule_id]
        return Budget(
            id=rule.id,
            name=rule.id,
            scope=Scope(**dict(rule.scope)),
            limit_nanousd=rule.limit,
            period=rule.period,  # type: ignore[arg-type]
            policy="hard" if rule.hard else "soft",
            time_zone=rule.zone,
            reset_day=rule.reset_day,
            thresholds=(Threshold(rule.blocks_below_percent, "refuse"),) if rule.blocks_below_percent else (),
            grace_nanousd=rule.grace,
            wait_s=self.wait_s,
            enabled=rule.enabled,
            version=rule.version,
            counts_from_us=rule.counts_from_us,
        )


def attribution_of(who: Who) -> Attribution:
    said: dict[str, str] = {name: value for name, value in who if name != "tag"}
    tags = [value for name, value in who if name == "tag"]
    return Attribution(**said, tags=",".join(tags) or None)


def play(make: Callable[[], Store], rules: list[Rule], steps: list[Step], now_us: int, **how: Any) -> None:
    """Play on a loop of its own."""
    note(f"{rules}\n{steps}\n{now_us} {how}")
    loop = VirtualLoop(0.0, 1e9)
    try:
        loop.run_until_complete(_played(make, rules, steps, now_us, how))
    finally:
        loop.close()


async def _played(
    make: Callable[[], Store], rules: list[Rule], steps: list[Step], now_us: int, how: dict[str, Any]
) -> None:
    store = make()
    try:
        await Player(store, rules, now_us, **how).play(steps)
    finally:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        await store.close()

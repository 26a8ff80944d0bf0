"""Budgets in the simulation: which there are, what goes wrong with their store, and whether anybody spent too much.

A bound only holds for what providers may do, so in a schedule with budgets they keep to it: no answer is longer than
the limit that was sent, and none was read as more tokens than the request has bytes. What a budget has spent is added
up here from the ledger's lines, by arithmetic of our own: an account that the store forgot to make would hide nothing.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from random import Random
from typing import Literal

import msgspec

from farthing.errors import StoreError
from farthing.storage.protocols import BudgetStore, Store
from farthing.testing.simulator.dialects import provider_of, text_of
from farthing.testing.simulator.disk import Process, is_troubled
from farthing.testing.simulator.facts import Call, Facts
from farthing.testing.simulator.rates import RATES
from farthing.testing.simulator.schedule import FREE, Ask, BudgetPlan, Client, Death, DiesAt, Life, Schedule
from farthing.testing.simulator.virtual_time import EPOCH_US
from farthing.types.budgets import Account, Budget, BudgetChanges, LeaseAnswer, LeaseAsk, Scope
from farthing.types.calls import Attempt

_SPAN_US = {"hour": 3_600_000_000, "day": 86_400_000_000}
_LONGEST_ANSWER = 16
"""Tokens: the lowest limit that the gateway sets by itself."""
_SLOW_S = 1.5


def with_budgets(schedule: Schedule) -> Schedule:
    """Return the schedule, every third with budgets; they are drawn apart, so that the others are unchanged."""
    random = Random(f"budgets of {schedule.seed}")
    if random.random() > 0.35:
        return schedule
    lives = tuple(_life(random, life) for life in schedule.lives)
    asks = [ask for life in lives for client in life.clients for ask in client.asks]
    costs = [_cost(ask) for ask in asks if provider_of(ask) != "home"] or [0]
    plans = tuple(_plan(random, costs) for _ in range(random.choice((1, 1, 2, 3))))
    return msgspec.structs.replace(schedule, budgets=plans, lives=lives)


def rules_of(schedule: Schedule) -> list[Budget]:
    """Return the budgets of a schedule."""
    scopes = {"all": Scope(), "key": Scope(key_id="*"), "task": Scope(task="*")}
    return [
        Budget(
            id=f"bud_{number}",
            name=f"budget-{number}",
            scope=scopes[plan.scope],
            limit_nanousd=plan.limit_nanousd,
            period=plan.period,
            policy="hard" if plan.hard else "soft",
            thresholds=(),
            wait_s=plan.wait_s,
            counts_from_us=EPOCH_US - _SPAN_US["day"],
        )
        for number, plan in enumerate(schedule.budgets)
    ]


class TroubledBudgets:
    """A store's budgets, with its troubles; see `BudgetStore`."""

    def __init__(self, budgets: BudgetStore, process: Process) -> None:
        self._budgets = budgets
        self._process = process

    async def all(self) -> list[Budget]:
        """See `BudgetStore.all`."""
        return await self._budgets.all()

    async def page(self, after: str, limit: int) -> list[Budget]:
        """See `BudgetStore.page`."""
        return await self._budgets.page(after, limit)

    async def found(self, name_or_id: str) -> Budget | None:
        """See `BudgetStore.found`."""
        return await self._budgets.found(name_or_id)

    async def changes(self, since: int) -> BudgetChanges:
        """See `BudgetStore.changes`."""
        self._check()
        return await self._budgets.changes(since)

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """See `BudgetStore.exchange`."""
        process = self._process
        self._check()
        if is_troubled(process, "slow"):
            await asyncio.sleep(_SLOW_S)
        death = process.doomed("exchange")
        if death is not None and death.at == "before_exchange":
            process.die()
        answers = await self._budgets.exchange(holder, asks, now_us=now_us, until_us=until_us)
        process.note("store", f"leases {sum(one.granted_nanousd for one in answers)}")
        if death is not None:
            process.die()
        if is_troubled(process, "reply_lost"):
            raise StoreError("The answer of the store was lost.")
        return answers

    async def hold(self, holder: str, *, now_us: int, until_us: int) -> None:
        """See `BudgetStore.hold`."""
        self._check()
        await self._budgets.hold(holder, now_us=now_us, until_us=until_us)

    async def release(self, holders: str, *, but: Collection[str] = ()) -> int:
        """See `BudgetStore.release`."""
        self._check()
        return await self._budgets.release(holders, but=but)

    async def wanted(self, since_us: int) -> list[str]:
        """See `BudgetStore.wanted`."""
        self._check()
        return await self._budgets.wanted(since_us)

    async def put(self, budget: Budget) -> bool:
        """See `BudgetStore.put`."""
        return await self._budgets.put(budget)

    async def remove(self, budget_id: str) -> bool:
        """See `BudgetStore.remove`."""
        return await self._budgets.remove(budget_id)

    async def accounts(self, budget_id: str | None = None, *, at_us: int | None = None, now_us: int) -> list[Account]:
        """See `BudgetStore.accounts`."""
        return await self._budgets.accounts(budget_id, at_us=at_us, now_us=now_us)

    async def accounts_recomputed(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.accounts_recomputed`."""
        return await self._budgets.accounts_recomputed()

    async def rebuild_accounts(self) -> dict[str, tuple[int, int]]:
        """See `BudgetStore.rebuild_accounts`."""
        return await self._budgets.rebuild_accounts()

    def _check(self) -> None:
        self._process.must_live()
        if is_troubled(self._process, "away"):
            raise StoreError("The store is away.")


async def judge_budgets(
    store: Store, facts: Facts, rules: Sequence[Budget], lines: Mapping[int, list[Attempt]], now_us: int
) -> None:
    """Note who spent more than there was, and what is still leased to processes that are gone."""
    for account in await store.budgets.accounts(now_us=now_us):
        if account.leased_nanousd:
            facts.wrong(f"{account.leased_nanousd} of {account.key.id} are leased to nobody")
    for rule in rules:
        for whose, spent in _spent(rule, [line for found in lines.values() for line in found]).items():
            if rule.policy == "hard" and spent > rule.limit_nanousd:
                facts.wrong(f"{rule.name} has {rule.limit_nanousd}, and {whose} spent {spent}")
    for number, call in facts.calls.items():
        for problem in _judge_refusal(call):
            facts.wrong(f"call {number} ({call.ask.operation}): {problem}")


def _spent(rule: Budget, lines: Sequence[Attempt]) -> Counter[object]:
    """Return what each account of a rule has spent: a call of unknown cost as much as was held for it."""
    spent: Counter[object] = Counter()
    for line in lines:
        opening = line.opening
        begins = opening.started_at_us // _SPAN_US[rule.period] if rule.period in _SPAN_US else 0
        task = opening.attribution.task if rule.scope.task is not None else None
        cost = line.cost_nanousd if line.cost_nanousd is not None else opening.held_nanousd
        spent[begins, task] += cost or 0
    return spent


def _judge_refusal(call: Call) -> Iterator[str]:
    """A refusal for money reaches no provider, is in the words of the client's format, and never about what is free."""
    if not call.whole or b"Refused by budget" not in call.received:
        return
    ask = call.ask
    if "home" in (provider_of(ask), *call.tries) or ask.operation in FREE:
        yield "it costs nothing, and was refused for money"
    if call.reached or any(one.reached for one in call.tries.values()):
        yield "it was refused for money, and reached the provider"
    if call.status not in (402, 429):
        yield f"it was refused for money with status {call.status}"
    body = json.loads(bytes(call.received))
    error = body.get("error")
    match ask.operation:
        case "messages":
            well = body.get("type") == "error" and set(error) >= {"type", "message"}
        case "generate" | "generate_array" | "embed_content":
            well = isinstance(error, dict) and set(error) >= {"code", "message", "status"}
        case "ollama_chat" | "ollama_generate" | "ollama_embed":
            well = isinstance(error, str)
        case _:
            well = isinstance(error, dict) and set(error) >= {"type", "message", "code"}
    if not well:
        yield f"its refusal is not in the words of its format: {body}"


def _plan(random: Random, costs: list[int]) -> BudgetPlan:
    scope: Literal["all", "key", "task"] = random.choice(("all", "all", "key", "task"))
    most = max(costs) if scope == "task" else sum(costs)
    return BudgetPlan(
        scope=scope,
        limit_nanousd=most * random.choice((0, 50, 80, 90, 110, 200)) // 100,
        period=random.choice(("total", "hour", "day")),
        hard=random.random() < 0.8,
        wait_s=random.choice((0, 2, 10)),
    )


def _cost(ask: Ask) -> int:
    read, written, _ = RATES[provider_of(ask)]
    return ask.answer.input_tokens * read + ask.answer.output_tokens * written


def _life(random: Random, life: Life) -> Life:
    crowd = random.choice((1.0, 0.01))  # money is short where many come at once
    clients = tuple(_client(random, client, crowd) for client in life.clients)
    death = life.death
    if death is not None and random.random() < 0.4:
        kinds: tuple[DiesAt, ...] = ("before_exchange", "after_exchange")
        death = Death(random.choice(kinds), death.after_s, random.randint(1, 4))
    return msgspec.structs.replace(life, clients=clients, death=death)


def _client(random: Random, client: Client, crowd: float) -> Client:
    asks = tuple(modest(random, ask) for ask in client.asks)
    return msgspec.structs.replace(client, asks=asks, begins_s=client.begins_s * crowd)


def modest(random: Random, ask: Ask) -> Ask:
    """Return a call whose answer keeps to the limits."""
    answer = ask.answer
    parts = min(2, len(answer.words))
    longest = len(text_of(0, ask.prompt_words))
    read = random.choice((longest, longest, random.randint(1, longest)))
    answer = msgspec.structs.replace(
        answer,
        words=tuple(min(2, words) for words in answer.words[:parts]),
        gaps_s=answer.gaps_s[:parts],
        usage=answer.usage if answer.usage == "missing" else "reported",
        input_tokens=read,
        output_tokens=random.choice((1, _LONGEST_ANSWER)),
        cached_tokens=min(answer.cached_tokens, read),
    )
    limit = random.choice((None, _LONGEST_ANSWER, _LONGEST_ANSWER))
    return msgspec.structs.replace(ask, answer=answer, output_limit=limit)

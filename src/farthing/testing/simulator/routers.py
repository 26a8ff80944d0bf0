"""Routers in the simulation: which there are, what their models answer, and whether each call tried them in order.

The models of a router are of providers that speak one format, each with an answer of its own. To the judge each try is
a call by itself, with what its provider, the journal and the ledger know of it; what its client got belongs to the one
that was begun last, because the client gets nothing of those before.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random

import msgspec

from farthing.config.schema import RouterSettings
from farthing.routing.router import Strategy
from farthing.testing.simulator.budgets import modest
from farthing.testing.simulator.dialects import MODELS, provider_of
from farthing.testing.simulator.facts import Call
from farthing.testing.simulator.schedule import (
    Answer,
    Ask,
    Client,
    FallBack,
    Leave,
    Life,
    Model,
    Schedule,
    Trouble,
    draw_answer,
)
from farthing.types.calls import Attempt
from farthing.types.models import ModelRef

SECOND = {"alpha": "beta", "claude": "clara", "gem": "gil", "llama": "lama"}
"""Of each provider the one that speaks the same format and is another house with other prices."""
_STRATEGIES: tuple[Strategy, ...] = ("order", "cheapest")
_FIRSTS: tuple[Model, ...] = ("priced", "unpriced")
_FAILS = (401, 429, 429, 500, 503, 504, 529)
_LINKS_S = 0.1
"""A goodbye is on its way to the gateway for so long at the most."""


def with_routers(schedule: Schedule) -> Schedule:
    """Return the schedule, every fourth with calls that name a router.

    They are drawn apart, so that the others are unchanged.
    """
    random = Random(f"routers of {schedule.seed}")
    if random.random() > 0.25:
        return schedule
    lives = tuple(_life(random, schedule, life) for life in schedule.lives)
    return msgspec.structs.replace(schedule, lives=lives, routers=True)


def routers_of(schedule: Schedule) -> dict[str, RouterSettings]:
    """Return the routers of a schedule: for each format, strategy and kind of first model; with the free one, too."""
    if not schedule.routers:
        return {}
    return {
        _name(provider, strategy, first): RouterSettings(
            models=tuple(ModelRef(name, MODELS[model]) for name, model in _models(provider, first)),
            strategy=strategy,
        )
        for provider in SECOND
        for strategy in _STRATEGIES
        for first in _FIRSTS
    }


def tries_of(call: Call, lines: Sequence[Attempt]) -> list[tuple[Call, list[Attempt]]]:
    """Return each try of a call with its lines; what the client got is with the one that was begun last."""
    if call.ask.router is None:
        return [(call, list(lines))]
    for one in call.tries.values():
        one.left, one.life_ended_in_death = call.left, call.life_ended_in_death
    if call.begun:
        call.tries[call.begun[-1]].take_clients_side(call)
    return [
        (one, [line for line in lines if line.opening.provider == provider]) for provider, one in call.tries.items()
    ]


def judge_order(call: Call, lines: Sequence[Attempt]) -> Iterator[str]:
    """Yield what is wrong with the order in which a router's models were tried."""
    if call.ask.router is None:
        return
    if call.whole and call.status == 200 and not lines:
        yield "its client has the whole answer and the ledger nothing"
    tries = sorted(lines, key=lambda one: one.opening.ordinal)
    if len({one.opening.call_id for one in tries}) > 1:
        yield "its tries are of several calls"
    if any(one.opening.model_asked != call.ask.router for one in tries):
        yield f"it asked for {call.ask.router}, and the ledger says {[one.opening.model_asked for one in tries]}"
    if [one.opening.ordinal for one in tries] != list(range(1, len(tries) + 1)):
        yield f"its tries are numbered {[one.opening.ordinal for one in tries]}"
    for before, after in pairwise(tries):
        said_no = before.outcome == "provider_error" and before.http_status == 400  # one that broke off said nothing
        if before.outcome in ("ok", "cancelled") or said_no:
            yield f"'{after.opening.provider}' was tried after one that ended as {before.outcome} {before.http_status}"
    for provider in call.begun[1:]:
        begun_s = call.tries[provider].begun_s
        if call.left_s is not None and begun_s is not None and begun_s > call.left_s + _LINKS_S:
            yield f"'{provider}' was asked {begun_s - call.left_s:.3f} s after the client had left"


def _life(random: Random, schedule: Schedule, life: Life) -> Life:
    clients = tuple(_client(random, schedule, client) for client in life.clients)
    return msgspec.structs.replace(life, clients=clients)


def _client(random: Random, schedule: Schedule, client: Client) -> Client:
    leave = client.leave
    if leave is None and random.random() < 0.2:  # while the first model is waited for, or the next one
        leave = Leave("waiting", random.uniform(0, 1), 1, random.random() < 0.5)
    return msgspec.structs.replace(client, asks=tuple(_ask(random, schedule, ask) for ask in client.asks), leave=leave)


def _ask(random: Random, schedule: Schedule, ask: Ask) -> Ask:
    if ask.model == "unknown" or random.random() < 0.25:
        return ask
    ask = msgspec.structs.replace(ask, model=random.choice(("priced", "priced", "unpriced")))
    provider, first = provider_of(ask), ask.model
    tries = tuple(
        FallBack(provider=name, model=model, answer=_answer(random, schedule, ask))
        for name, model in _models(provider, first)
    )
    return msgspec.structs.replace(ask, router=_name(provider, random.choice(_STRATEGIES), first), tries=tries)


def _answer(random: Random, schedule: Schedule, ask: Ask) -> Answer:
    troubles: tuple[Trouble, ...] = schedule.troubles
    answer = draw_answer(random, troubles, ask.operation)
    if schedule.budgets:
        answer = modest(random, msgspec.structs.replace(ask, answer=answer)).answer
    if random.random() < 0.4:
        answer = msgspec.structs.replace(answer, status=random.choice(_FAILS), body="answer")
    return answer


def _models(provider: str, first: Model) -> list[tuple[str, Model]]:
    found: list[tuple[str, Model]] = [(provider, first), (SECOND[provider], "priced")]
    return [*found, ("home", "free")] if provider == "alpha" and first == "priced" else found


def _name(provider: str, strategy: Strategy, first: Model) -> str:
    return f"{provider}-{strategy}-{first}"

"""Crowds at a router on two hosts with two workers each, whose first model fails in one of three calls.

Both hosts share one PostgreSQL. Each crowd has a budget or a limit of its own, which holds for all tries together.
Those that failed and cost nothing give back what was held for them; those of which nobody knows what they cost keep it.
"""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.script import Fault, Reply, Script
from farthing.testing.fakes.wire_format import Asked
from farthing.types.calls import Attempt
from tests.e2e.budget_load import TARIFF, TOKENS, Watch, ask
from tests.e2e.hosts import Hosts, hosts
from tests.e2e.serving import until
from tests.e2e.test_crowds_over_hosts import COST, INPUT, usd

pytestmark = pytest.mark.slow

CALLS = 240
FITS = CALLS // 4
SLOTS = 12
FAILS = 1 / 3
REFUSALS: tuple[Fault, ...] = ("server_error", "overloaded", "rate_limited", "unauthorized")
"""What nobody pays for."""
BREAKS: tuple[Fault, ...] = ("hang_up", "cut", "html")
"""What may have cost something, or has."""
LIMITS = {
    "requests_per_day": FITS,
    "input_tokens_per_day": INPUT * FITS,
    "output_tokens_per_day": TOKENS * FITS,
    "tokens_per_day": (INPUT + TOKENS) * FITS,
    "usd_per_day": usd(COST * FITS),
    "concurrency": SLOTS,
}
BUDGETS = {"equal": REFUSALS, "open": REFUSALS, "broken": BREAKS}


class Failing(Watch):
    """A provider's account whose first model fails now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._tariffs["first"] = self._tariffs["second"] = TARIFF
        self._dice = random.Random(7)
        self.faults: tuple[Fault, ...] = ()

    def plays(self, asked: Asked) -> Reply | None:
        """Count a request that begins, and have it fail if it is to; others are answered as the script says."""
        self.begins(asked)
        if asked.model != "first" or not self.faults or self._dice.random() > FAILS:
            return None
        return Reply(tokens=TOKENS, fault=self._dice.choice(self.faults), first_output_delay_s=0.05)


class Place:
    """The hosts, and their provider's account."""

    def __init__(self, running: Hosts, watch: Failing) -> None:
        self.hosts = running
        self.watch = watch

    def crowd(self, router: str, faults: tuple[Fault, ...], *, limit: int | None = TOKENS) -> Counter[int]:
        """Have so many ask a router at once, in a project of its name; return how often each status came."""
        self.watch.faults, self.watch.most = faults, 0
        bodies = [ask(number, limit=limit) | {"model": router} for number in range(CALLS)]
        seen = self.hosts.crowd(bodies, project=router)
        until(lambda: self.watch.now == 0, "a client knows before the provider does")
        return seen

    def lines(self, router: str, seen: Counter[int]) -> list[Attempt]:
        """Return the lines of a crowd, once those of all its answers are there."""
        found: list[Attempt] = []

        def are_there() -> bool:
            found[:] = self.hosts.attempts(router)
            return sum(one.outcome == "ok" for one in found) == seen[200]

        until(are_there, "the ledger has every answer")
        return found


def settings(url: str) -> str:
    names = [*BUDGETS, *LIMITS]
    lines = ["version: 1", "providers:"]
    # A provider of its own each, so that the one is never taken to be what the other is.
    lines += [f"  p-{one}: {{kind: openai-compatible, base_url: {url}, credential: env:KEY}}" for one in "ab"]
    lines += ["prices:", *(f'  - {{model: "p-{one}:*", input: 1, output: 4}}' for one in "ab"), "routers:"]
    lines += [f"  {name}: {{models: [p-a:first, p-b:second]}}" for name in ("warm", *names)]
    lines.append("budgets:")
    lines += [f"  {name}: {{usd: {usd(COST * FITS)}, period: total, project: {name}}}" for name in BUDGETS]
    lines.append("limits:")
    lines += [f"  {name}: {{router: {name}, {name}: {amount}}}" for name, amount in LIMITS.items()]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    watch = Failing()
    script = Script(tokens=(TOKENS, TOKENS), first_output_delay_s=0.05)
    fake = FakeProvider(script=script, player=watch.plays)
    fake.account = watch
    folder: Path = tmp_path_factory.mktemp("hosts")
    with in_thread(fake), hosts(folder, settings(fake.url)) as running:
        assert running.crowd([ask(number) | {"model": "warm"} for number in range(8)], project="warm") == {200: 8}
        yield Place(running, watch)
        running.first.verify()


@pytest.mark.parametrize("how", BUDGETS)
def test_a_crowd_at_a_router_spends_what_a_budget_has_and_no_more(place: Place, how: str) -> None:
    billed = place.watch.totals().nanousd
    seen = place.crowd(how, BUDGETS[how], limit=None if how == "open" else TOKENS)
    billed = place.watch.totals().nanousd - billed
    lines = place.lines(how, seen)
    # Who failed after the money was gone hears what the first model said: there is none left for the second.
    assert 402 in seen, seen
    (account,) = (one for one in place.hosts.accounts() if one.key.subject.project == how)
    assert 0.8 * FITS * COST <= account.spent_nanousd <= account.limit_nanousd == FITS * COST, (account, seen)
    assert billed <= account.spent_nanousd
    assert account.posted_nanousd == sum(one.cost_nanousd or 0 for one in lines)
    assert account.unknown_nanousd == sum(one.opening.held_nanousd or 0 for one in lines if one.cost_nanousd is None)
    if how != "broken":
        assert account.spent_nanousd == billed == seen[200] * COST
    see_that_each_try_has_a_line(lines)


@pytest.mark.parametrize("kind", LIMITS)
def test_a_crowd_at_a_router_gets_what_a_limit_has_and_no_more(place: Place, kind: str) -> None:
    seen = place.crowd(kind, REFUSALS)
    lines = place.lines(kind, seen)
    assert 429 in seen, seen
    see_that_each_try_has_a_line(lines)
    assert any(one.opening.ordinal == 2 for one in lines)
    if kind == "concurrency":
        assert seen[200] >= SLOTS
        assert place.watch.most <= SLOTS
    else:
        assert 0.8 * FITS <= seen[200] <= FITS, seen
    if kind == "requests_per_day":
        assert len({one.opening.call_id for one in lines}) <= FITS, "a call is one request, whatever was tried for it"


def see_that_each_try_has_a_line(lines: list[Attempt]) -> None:
    """The tries of each call are numbered, no two are on one model, and only the last may be well."""
    calls: dict[str, list[Attempt]] = {}
    for line in sorted(lines, key=lambda one: one.opening.ordinal):
        calls.setdefault(line.opening.call_id, []).append(line)
    assert any(tries[0].outcome != "ok" for tries in calls.values())
    for tries in calls.values():
        assert [one.opening.ordinal for one in tries] == list(range(1, len(tries) + 1))
        assert len({one.opening.model for one in tries}) == len(tries)
        assert all(one.outcome != "ok" for one in tries[:-1])

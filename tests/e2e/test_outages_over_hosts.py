"""PostgreSQL, Redis and clocks that fail under two hosts with hard budgets: spending stays within, and all is known.

The provider's own account is the judge: what it would bill is in the ledger, each call once, and never more than the
budget. What comes of calls meanwhile is what `docs/several_hosts.md` and `docs/limits.md` say.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.budget_load import Watch, ask, provider, settings
from tests.e2e.hosts import Hosts, hosts
from tests.e2e.serving import until
from tests.postgres_server import control, server
from tests.redis_server import Way, running_redis

pytestmark = pytest.mark.slow
COST = 115_000
CALLS = 500


def usd(nanousd: int) -> str:
    return f"{nanousd // 10**9}.{nanousd % 10**9:09d}"


def budget(calls: int) -> str:
    return f"budgets:\n  all: {{usd: {usd(calls * COST)}, period: total, wait_s: 3}}"


@contextmanager
def load(running: Hosts) -> Iterator[Counter[int]]:
    """Call without pause until the block ends; counts what came of it."""
    seen: Counter[int] = Counter()
    over = threading.Event()

    def calls() -> None:
        number = 0
        while not over.is_set():
            seen.update(running.crowd([ask(number + more) for more in range(16)], project="load"))
            number += 16

    thread = threading.Thread(target=calls)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(60)


def assert_all_is_known(running: Hosts, watch: Watch, answered: int) -> None:
    """Assert that the ledger has what the provider would bill, and nothing is held for anybody who does not call."""
    until(lambda: watch.now == 0, "a client knows before the provider does")
    spent = watch.totals().nanousd
    assert spent == answered * COST, "each call that was answered cost something, and no other"
    until(lambda: running.first.costs()["total"]["nanousd"] == spent, "everything is posted")
    assert running.first.costs()["total"]["calls"] == answered
    for gateway in running.gateways:
        gateway.verify()
        assert gateway.stop() == 0
    accounts = running.accounts()
    assert sum(one.posted_nanousd for one in accounts) == spent
    for one in accounts:
        assert one.posted_nanousd <= one.limit_nanousd
        assert (one.unknown_nanousd, one.leased_nanousd) == (0, 0)


def test_a_database_that_stops_under_load_costs_no_line_and_no_budget(tmp_path: Path) -> None:
    watch = Watch()
    with provider(watch=watch) as fake, hosts(tmp_path, settings(fake.url, budget(CALLS))) as running:
        with load(running) as seen:
            until(lambda: seen[200] >= 100, "the load runs")
            before = seen[200]  # a stop returns when all of it is gone, and what is leased may be used up by then
            control("stop", "-m", "immediate")
            try:
                until(lambda: seen[503] > 0, "calls go on from what is leased, and are refused when that is used up")
                assert seen[200] > before
            finally:
                control("start", "-o", f'-h "" -k {server().pgdata}')
            before = seen[200]
            until(lambda: seen[200] > before + 50, "it goes on")
            control("restart", "-m", "fast")
            until(lambda: seen[402] > 0, "the budget is used up", 60)
        assert set(seen) == {200, 402, 503}, seen
        assert seen[200] >= 0.95 * CALLS
        assert_all_is_known(running, watch, seen[200])


def test_a_redis_that_is_slow_or_gone_under_load_lets_nobody_pass_a_limit(tmp_path: Path) -> None:
    watch, fits = Watch(), 400
    more = f"{budget(CALLS)}\nlimits:\n  all: {{requests_per_day: {fits}}}"
    with running_redis() as redis, provider(watch=watch) as fake:
        way = Way(redis)
        try:
            with hosts(tmp_path, settings(fake.url, more), redis=way.url) as running:
                with load(running) as seen:
                    until(lambda: seen[200] >= 80, "the load runs")
                    way.delay_s = 0.1
                    before = seen[200]
                    until(lambda: seen[200] >= before + 20, "it is slow, and goes on")
                    way.delay_s = 1.0
                    until(lambda: seen[429] > 0, "what was leased is used up")
                    way.cut()
                    began_s = time.monotonic()
                    answer = running.first.post("/v1/chat/completions", ask(1), running.key)
                    assert answer.status in (200, 429)
                    assert time.monotonic() - began_s < 3, "nobody waits for it for long"
                    seen[answer.status] += 1
                    way.delay_s, way.gone = 0.0, False
                    until(lambda: seen[200] >= 0.95 * fits, "all of it can be used")
                    time.sleep(1)  # so long everybody asks for more
                assert set(seen) == {200, 429}, seen
                assert seen[200] <= fits
                assert_all_is_known(running, watch, seen[200])
        finally:
            way.close()


def test_a_clock_that_is_stepped_over_a_reset_gives_one_more_period_and_no_more(tmp_path: Path) -> None:
    watch, fits, step_s = Watch(), 20, 7_200  # longer than leases last, too
    clocks = [tmp_path / "clock-one", tmp_path / "clock-two"]
    to_half_past = 1_800 - int(time.time()) % 3_600  # so that no real hour ends meanwhile
    more = f"budgets:\n  hourly: {{usd: {usd(fits * COST)}, period: hour, wait_s: 1}}\n  all: {{usd: 1, period: total}}"

    def step(offsets: tuple[int, int]) -> None:
        for clock, seconds in zip(clocks, offsets, strict=True):
            clock.with_suffix(".new").write_text(str(to_half_past + seconds))
            clock.with_suffix(".new").replace(clock)

    def let_in(host: int) -> int:
        posts = [running.gateways[host].post("/v1/chat/completions", ask(number), running.key) for number in range(12)]
        assert {one.status for one in posts} <= {200, 402}
        return sum(one.status == 200 for one in posts)

    step((0, 0))
    with provider(watch=watch) as fake, hosts(tmp_path, settings(fake.url, more), clocks=clocks) as running:
        answered = let_in(0) + let_in(1)
        assert fits * 0.9 <= answered <= fits
        step((step_s, 0))
        next_hour = let_in(0)
        assert next_hour == 12, "a new hour has begun, there"
        this_hour = answered + let_in(1)
        step((0, 0))
        this_hour += let_in(0)
        assert this_hour <= fits
        step((step_s, step_s))
        next_hour += let_in(1) + let_in(0)
        assert fits * 0.9 <= next_hour <= fits
        hourly = [one for one in running.accounts() if one.limit_nanousd == fits * COST]
        assert sorted(one.spent_nanousd for one in hourly) == sorted((this_hour * COST, next_hour * COST))

"""PostgreSQL, Redis and clocks that fail under two hosts with hard budgets: what is spent stays within, and is all known.

The provider's own account is the judge: what it would bill is in the ledger, each call once, and never more than the
budget. What comes of calls meanwhile is what `docs/several_hosts.md` and `docs/limits.md` say.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.budget_load import Watch, ask, provider, settings
from tests.e2e.hosts import Hosts, hosts
from tests.e2e.serving import until
from tests.postgres_server import control, server

pytestmark = pytest.mark.slow
COST = 115_000
CALLS = 1_000


def usd(nanousd: int) -> str:
    return f"{nanousd // 10**9}.{nanousd % 10**9:09d}"


def budgets(calls: int) -> str:
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
    assert spent == answered * COST, "each call that was answered, and no other, cost something"
    until(lambda: running.first.costs()["total"]["nanousd"] == spent, "everything is posted")
    total = running.first.costs()["total"]
    assert total["calls"] == answered
    assert spent <= CALLS * COST
    until(lambda: running.budget()["spent_nanousd"] == spent, "the budget says the same")
    for gateway in running.gateways:
        gateway.verify()
        assert gateway.stop() == 0
    account = running.budget()
    assert (account["spent_nanousd"], account["unknown_nanousd"], account["held_nanousd"]) == (spent, 0, 0)


def test_a_database_that_stops_under_load_costs_no_line_and_no_budget(tmp_path: Path) -> None:
    watch = Watch()
    with provider(watch=watch) as fake, hosts(tmp_path, settings(fake.url, budgets(CALLS))) as running:
        with load(running) as seen:
            until(lambda: seen[200] >= 100, "the load runs")
            control("stop", "-m", "immediate")
            try:
                before = seen[200]
                until(lambda: seen[503] or seen[200] >= before + 300, "calls go on from what is leased, then wait", 40)
                assert seen[200] > before, "what is leased can be used"
            finally:
                control("start", "-o", f'-h "" -k {server().pgdata}')
            before = seen[200]
            until(lambda: seen[200] > before or seen[402], "it goes on")
            control("restart", "-m", "fast")
            until(lambda: seen[402] > 0, "the budget is used up", 60)
        assert set(seen) <= {200, 402, 503}, seen
        assert seen[200] >= 0.95 * CALLS
        assert_all_is_known(running, watch, seen[200])

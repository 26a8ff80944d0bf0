"""What it costs to keep a line: CPU of this process, and how long the database takes, for batches of several sizes.

    python benchmarks/appends.py [--lines 100000] [--postgres URL]

350 is what 50 ms bring at 7,000 calls a second. The lines are those of `big_ledger.py`; three budgets hold for each of
them (for all, by project, by key), as in `make bench`. Written into a database of its own and a ledger that is not
empty; with `--postgres` into that one. The CPU is that of the calling process, all threads; PostgreSQL's own is not in
it, so there the median time of a batch counts.
"""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

from big_ledger import DAY_US, FIRST_US, KEYS, InPlace, line  # type: ignore[import-not-found]  # it lies beside this file

from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import EACH, AccountKey, Budget, LeaseAsk, Scope
from farthing.types.calls import Attempt

HOLDER = "bench"
BEFORE = 20_000
"""Lines that are there before it is measured, so that the indexes are some levels deep."""
BATCHES, COUNTS = (1, 10, 350, 1_000), 350
TARGET_US = 6.0


def lines(first: int, count: int, rng: random.Random) -> list[Attempt]:
    """Return lines as calls end: not quite in the order in which they began."""
    made = [line(first + one, FIRST_US + (first + one) * 143, rng) for one in range(count)]
    return sorted(made, key=lambda one: one.opening.started_at_us + rng.randrange(5_000))


async def begin(store: Store) -> None:
    """Make three budgets, and the accounts that the lines belong to; and lines that were there before."""
    await store.open()
    scopes = {"all": Scope(), "project": Scope(project=EACH), "key": Scope(key_id=EACH)}
    for name, scope in scopes.items():
        await store.budgets.put(Budget(id=name, name=name, scope=scope, limit_nanousd=10**18, period="total"))
    subjects = [("all", Scope())]
    subjects += [("project", Scope(project=f"project-{one}")) for one in range(25)]
    subjects += [("key", Scope(key_id=f"key_{one:026d}")) for one in range(KEYS)]
    asks = [LeaseAsk(key=AccountKey(name, 1, subject, 0), end_us=None, need_nanousd=1) for name, subject in subjects]
    await store.budgets.exchange(HOLDER, asks, now_us=FIRST_US, until_us=FIRST_US + DAY_US)
    rng = random.Random(1)
    for start in range(0, BEFORE, 1_000):
        await store.append(lines(start, 1_000, rng), HOLDER)


async def measured(store: Store, first: int, count: int, batch: int) -> tuple[float, float]:
    """Return the microseconds of CPU a line, and the median seconds of a batch."""
    rng = random.Random(2)
    cpu_s, took = 0.0, []
    for start in range(first, first + count, batch):
        rows = lines(start, batch, rng)
        began, cpu = time.perf_counter(), time.process_time()
        await store.append(rows, HOLDER)
        cpu_s += time.process_time() - cpu
        took.append(time.perf_counter() - began)
    return cpu_s / count * 1e6, sorted(took)[len(took) // 2]


async def run(store: Store, count: int) -> float:
    """Print a table; return the CPU of a line in a batch of the size that counts."""
    await begin(store)
    found = {}
    print(f"{'lines a batch':>13}{'CPU a line':>14}{'median':>12}")
    for number, batch in enumerate(BATCHES):
        lines_now = min(count, 200 * batch) // batch * batch
        found[batch], median_s = await measured(store, BEFORE + number * count, lines_now, batch)
        print(f"{batch:>13}{found[batch]:>11.1f} us{median_s * 1e3:>9.1f} ms", flush=True)
    began, done = time.process_time(), 0
    while rolled := await store.roll_up(1_000):
        done += rolled
    if done:
        print(f"added to the sums by hour: {(time.process_time() - began) / done * 1e6:.1f} us of CPU a line")
    await store.close()
    return found[COUNTS]


def main() -> None:
    """Measure, and end with 1 where a line costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--postgres", metavar="URL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "farthing.db"
        store = PostgresStore(given.postgres) if given.postgres else SqliteStore(path, InPlace())
        cpu_us = asyncio.run(run(store, given.lines))
    print(f"{cpu_us:.1f} us a line in batches of {COUNTS}; the bound is {TARGET_US} us")
    raise SystemExit(cpu_us > TARGET_US)


if __name__ == "__main__":
    main()

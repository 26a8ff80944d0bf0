"""How long a batch of attempts waits for the ledger's database while a million old lines expire.

    python benchmarks/expiry.py [--lines 1000000] [--seconds 60] [--postgres URL]

An old ledger is written as rows and rolled up. Then batches of 100 attempts are appended, twenty a second, as a busy
gateway does, first alone and then while the housekeeping lets lines expire. No call waits for a batch; what is measured
is how far the database falls behind the journal. With `--postgres` the ledger is in that database, which must be empty.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from pathlib import Path

from big_ledger import DAY_US, FIRST_US, fill, line  # type: ignore[import-not-found]  # it lies beside this file

from farthing.ledger.housekeeping import Housekeeping
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore

BATCH_ROWS, BATCHES_PER_S = 100, 20
TARGET_S = 0.1
"""Half a second of calls at 2,000 a second is 1,000 rows; what waits so long is a tenth of it."""


class Later:
    """A clock that shows a time at which every line is old enough."""

    def now_us(self) -> int:
        """Return the time in microseconds since 1970 UTC."""
        return int(FIRST_US + 1_000 * DAY_US)

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()


async def appended(store: Store, seconds: float, number: int, rng: random.Random) -> list[float]:
    """Append for so long; return how many seconds each batch took."""
    took = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        rows = [line(number + one, Later().now_us(), rng) for one in range(BATCH_ROWS)]
        number += BATCH_ROWS
        asked = time.perf_counter()
        await store.append(rows)
        took.append(time.perf_counter() - asked)
        await asyncio.sleep(max(0.0, 1 / BATCHES_PER_S - (time.perf_counter() - began)))
    return sorted(took)


def told(what: str, took: list[float]) -> str:
    """Return a line with the median, the 99th percentile and the slowest."""
    shown = [took[len(took) // 2], took[len(took) * 99 // 100], took[-1]]
    return f"{what:<24}" + "".join(f"{one * 1e3:10.1f} ms" for one in shown)


async def measure(store: Store, lines: int, seconds: float) -> float:
    """Print a table; return how long of 100 batches the 99th took while lines expired."""
    rng = random.Random(2)
    while await store.roll_up(1_000):
        pass
    print(f"{'a batch of 100':<24}{'median':>13}{'99 %':>13}{'slowest':>13}")
    alone = await appended(store, seconds / 4, 10**12, rng)
    print(told("alone", alone), flush=True)
    house = Housekeeping(store, Later(), "bench", lambda: 400 * DAY_US)
    task = asyncio.create_task(house.keep())
    began = time.perf_counter()
    beside = await appended(store, seconds, 2 * 10**12, rng)
    gone = (await store.retention.retained()).expired
    took_s = time.perf_counter() - began
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    print(told("while lines expire", beside), flush=True)
    print(f"{gone:,} of {lines:,} lines expired in {took_s:.0f} s, {gone / took_s:,.0f} a second")
    return beside[len(beside) * 99 // 100]


async def run(lines: int, seconds: float, url: str | None, folder: Path) -> float:
    """Fill a ledger and measure it."""
    offloads = ThreadOffload("writes"), ThreadOffload("reads")
    path = folder / "farthing.db"
    store: SqliteStore | PostgresStore = SqliteStore(path, *offloads) if url is None else PostgresStore(url)
    await store.open()
    if url is None:
        fill(path, lines, 30)
    else:
        rng = random.Random(1)
        for start in range(0, lines, 5_000):
            page = range(start, min(start + 5_000, lines))
            await store.append([line(one, FIRST_US + one * 30 * DAY_US // lines, rng) for one in page])
    try:
        return await measure(store, lines, seconds)
    finally:
        await store.close()
        for offload in offloads:
            await offload.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--postgres", metavar="URL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        worst_s = asyncio.run(run(given.lines, given.seconds, given.postgres, Path(folder)))
    print(f"99 of 100 took at most {worst_s:.3f} s; the bound is {TARGET_S} s")
    raise SystemExit(worst_s > TARGET_S)


if __name__ == "__main__":
    main()

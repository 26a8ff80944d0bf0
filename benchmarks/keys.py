"""What keys cost where there are 100,000 of them: verifying one, starting, and one that is made or changed.

    python benchmarks/keys.py

Over SQLite in a temporary folder, as a gateway has it: a thread that writes, the loop that serves. "The loop stands
still" is the longest time between two turns of a task that asks for one each millisecond, beyond that millisecond;
beside it stands what the same task sees while nothing is done, because a busy machine takes turns away as well.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw

from farthing.auth.key_ring import KeyRing
from farthing.auth.keys import new_token
from farthing.clock import SystemClock
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import KeyRecord
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.keys import bindings_of
from farthing.storage.sqlite.sql import query
from farthing.types.identity import IdSource

KEYS = 100_000
ROUNDS = 5
PEPPER = b"p" * 32

# name, what it is, unit, keep
ROWS = (
    ("verify_us", "verifying a key", "us", 5.0),
    ("refuse_us", "refusing an unknown one", "us", 50.0),
    ("load_s", "reading all keys at the start", "s", 5.0),
    ("load_stall_ms", "the same: the loop stands still", "ms", 50.0),
    ("idle_stall_ms", "for comparison: while nothing is done", "ms", float("inf")),
    ("follow_ms", "taking over a key that another process made", "ms", 50.0),
    ("follow_stall_ms", "the same: the loop stands still", "ms", 50.0),
    ("create_ms", "making one more key", "ms", 50.0),
    ("create_unnamed_ms", "the same without a name, 100,000 having default names", "ms", 200.0),
    ("memory_mb", "memory of the keys that are known", "MB", 150.0),
)


async def measure(keys: int = KEYS) -> dict[str, float]:
    """Return every figure by its name."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "farthing.db"
        async with _store(path) as store, _store(path) as other:
            tokens = await fill(store, keys)
            tracemalloc.start()
            ring, elsewhere = key_ring(store), key_ring(other)
            await ring.refresh()
            figures["memory_mb"] = tracemalloc.get_traced_memory()[0] / 1e6
            tracemalloc.stop()
            ring = key_ring(store)
            figures["load_s"], figures["load_stall_ms"] = await _timed(ring.refresh)
            _, figures["idle_stall_ms"] = await _timed(lambda: asyncio.sleep(1))
            figures["verify_us"] = verify_us(ring, tokens)
            figures["refuse_us"] = _us(lambda: _refused(ring, [new_token(os.urandom) for _ in range(500)]), 500)
            makes, follows, stalls = [], [], []
            for number in range(ROUNDS):
                made, _ = await _timed(lambda number=number: elsewhere.create(f"made-{number}"))  # type: ignore[misc]
                makes.append(made * 1e3)
                follow, stall = await _timed(ring.refresh)
                follows.append(follow * 1e3)
                stalls.append(stall)
            figures["create_ms"] = statistics.median(makes)
            figures["follow_ms"] = statistics.median(follows)
            figures["follow_stall_ms"] = statistics.median(stalls)
            figures["create_unnamed_ms"] = (await _timed(elsewhere.create))[0] * 1e3
    return figures


def render(figures: dict[str, float]) -> str:
    """Return the rows for a table of figures, as Markdown."""
    lines = [f"With {KEYS:,} keys:", "", "| what | measured | keep |", "|---|---|---|"]
    lines += [
        f"| {what} | {figures[name]:.3g} {unit} | {'' if keep == float('inf') else f'{keep:g}'} |"
        for name, what, unit, keep in ROWS
    ]
    return "\n".join(lines)


def key_ring(store: SqliteStore) -> KeyRing:
    """Return a ring over the store, with nothing read yet."""
    clock = SystemClock()
    return KeyRing(store, PEPPER, clock=clock, ids=IdSource(clock, os.urandom), random_bytes=os.urandom)


async def fill(store: SqliteStore, keys: int) -> list[str]:
    """Keep so many keys at once, with default names; return their tokens."""
    dice = random.Random(1)
    hasher = key_ring(store).hasher
    tokens = [new_token(dice.randbytes) for _ in range(keys)]
    records = [
        KeyRecord(
            id=f"key_{number:026d}",
            name=f"my-app-{number}",
            shown=token[:9],
            digest=hasher.digest(token.encode()),
            created_at_us=number,
            team=f"team-{number % 100}",
            project=f"project-{number % 1000}",
        )
        for number, token in enumerate(tokens, 1)
    ]

    def insert(connection: apsw.Connection) -> None:
        for record in records:
            connection.execute(query("key_add"), bindings_of(record))
            connection.execute(query("change_next"))

    await store.connections.transaction(insert)
    return tokens


def verify_us(ring: KeyRing, tokens: list[str]) -> float:
    """Return the microseconds that verifying one of these takes."""
    asked = [token.encode() for token in random.Random(2).sample(tokens, min(len(tokens), 20_000))]

    def verify() -> None:
        for token in asked:
            ring.verify(token)

    return _us(verify, len(asked))


def _refused(ring: KeyRing, tokens: list[str]) -> None:
    for token in tokens:
        try:
            ring.verify(token)
        except Exception:  # noqa: BLE001 - being refused is what is measured
            continue


def _us(work: Callable[[], None], times: int) -> float:
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        rounds.append((time.perf_counter() - began) / times * 1e6)
    return min(rounds)


async def _timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return how long it takes, in seconds, and how long the loop stands still at most meanwhile, in milliseconds."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest = max(longest, now - last - 0.001)
            last = now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.005)
    began = time.perf_counter()
    await work()
    took = time.perf_counter() - began
    await asyncio.sleep(0.002)
    watching.cancel()
    await asyncio.wait([watching])
    return took, longest * 1e3


@asynccontextmanager
async def _store(path: Path) -> AsyncIterator[SqliteStore]:
    offload = ThreadOffload()
    store = SqliteStore(path, offload)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await offload.close()


if __name__ == "__main__":
    print(render(asyncio.run(measure())))

"""What two limits cost a call: found, taken, told in the head of the answer, and settled.

    python benchmarks/limits.py

Prints microseconds for each call, the best of several turns; the bound is 4 in all. The store is in memory and asked
twice a second, as in a gateway; a real one is asked on a thread of its own.
"""

import asyncio
import time

from farthing.clock import SystemClock
from farthing.ledger.limits import Limits
from farthing.storage.memory import MemoryStore
from farthing.types.budgets import Scope
from farthing.types.calls import Attribution
from farthing.types.limits import Limit, LimitTarget, Rate, Units

BOUND_US = 4.0
CALLS, TURNS = 50_000, 7
WHO = Attribution(key_id="key_1", key_name="laptop")
CALL: Units = (1, 100, 100, 200, 0, 1, 1)


async def main() -> None:
    store = MemoryStore()
    rates = (Rate("requests", 60, 10**9), Rate("tokens", 60, 10**12))
    await store.limits.put(Limit(id="lim_1", name="one", target=LimitTarget(scope=Scope(key_id="*")), rates=rates))
    limits = Limits(store.limits, store.windows, "bench", SystemClock())
    await limits.start()
    best_us = min([await turn(limits) for _ in range(TURNS)])
    await limits.close()
    print(f"two limits cost a call {best_us:.2f} us; the bound is {BOUND_US}")


async def turn(limits: Limits) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        taking = limits.taking_for(WHO, "openai", "env:KEY")
        assert taking is not None
        hold = taking.take(CALL) or await limits.acquire(taking, CALL)
        hold.headers()
        hold.settle(50, 50, 1_000)
    took_s = time.perf_counter() - began
    await asyncio.sleep(0.6)  # the store is told between the turns
    return took_s / CALLS * 1e6


if __name__ == "__main__":
    asyncio.run(main())

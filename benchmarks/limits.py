"""What two limits cost a call: found, taken, told in the head of the answer, and settled.

    python benchmarks/limits.py

Prints microseconds for each call, the best of several turns; the bound is 4 in all. Then the same where one of two
credentials is chosen, by turns, that have two quotas each; that is for homes which have several. The store is in memory
and asked twice a second, as in a gateway; a real one is asked on a thread of its own.
"""

import asyncio
import time

from farthing.clock import SystemClock
from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.gateway.accounts import Account, Accounts, Opened
from farthing.gateway.credential_limits import all_quotas, may_use_by
from farthing.ledger.limit_windows import LimitHold
from farthing.ledger.limits import Limits
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider
from farthing.storage.memory import MemoryStore
from farthing.types.budgets import Scope
from farthing.types.calls import Attribution
from farthing.types.credentials import NO_QUOTAS, Quotas
from farthing.types.limits import Limit, LimitTarget, Rate, Units
from farthing.types.secret import Secret

BOUND_US, BOUND_OF_CREDENTIALS_US = 4.0, 12.0
CALLS, TURNS = 50_000, 7
WHO = Attribution(key_id="key_1", key_name="laptop")
CALL: Units = (1, 100, 100, 200, 0, 1, 1)


async def main() -> None:
    store = MemoryStore()
    rates = (Rate("requests", 60, 10**9), Rate("tokens", 60, 10**12))
    await store.limits.put(Limit(id="lim_1", name="one", target=LimitTarget(scope=Scope(key_id="*")), rates=rates))
    limits = Limits(store.limits, store.windows, "bench", SystemClock())
    await limits.start()
    one = Accounts([account("env:KEY")])
    best_us = min([await turn(limits, one) for _ in range(TURNS)])
    print(f"two limits cost a call {best_us:.2f} us; the bound is {BOUND_US}")
    quotas = Quotas(requests_per_minute=10**9, nanousd_per_day=10**15)
    two = Accounts([account("env:KEY", quotas), account("env:OTHER", quotas)], may_use_by(limits))
    limits.set_quotas(all_quotas({"openai": two}))
    best_us = min([await turn(limits, two) for _ in range(TURNS)])
    await limits.close()
    print(f"with one of two credentials that have two quotas {best_us:.2f} us; the bound is {BOUND_OF_CREDENTIALS_US}")


def account(name: str, quotas: Quotas = NO_QUOTAS) -> Account:
    source, credential = CredentialSource("env", name), Credential(secret=Secret("sk-bench"))
    address = "http://127.0.0.1:1/v1"
    settings = ProviderSettings(name="openai", kind="openai", wire="openai_chat", base_url=address, credential=source)
    return Account(Opened(name, source, credential, quotas=quotas), create_provider(settings, credential))


async def turn(limits: Limits, accounts: Accounts) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        chosen = accounts.only or accounts.choose("m", WHO, time.time_ns() // 1_000)
        taking = limits.taking_for(WHO, "openai", chosen.opened.name)
        assert taking is not None
        at_us = taking.take(CALL)
        hold = await limits.acquire(taking, CALL) if at_us is None else LimitHold(taking, CALL, at_us)
        hold.taking.headers(hold.counted_us)
        hold.settle(50, 50, 1_000)
    took_s = time.perf_counter() - began
    await asyncio.sleep(0.6)  # the store is told between the turns
    return took_s / CALLS * 1e6


if __name__ == "__main__":
    asyncio.run(main())

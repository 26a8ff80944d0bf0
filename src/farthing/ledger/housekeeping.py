"""Keeps the ledger quick to ask: attempts are added to the sums that costs are answered from, a few at a time.

No call waits for it: a portion is a few milliseconds of the store's thread, between two is a pause, and what is not
done yet is added to every answer from the attempts themselves.
"""

import asyncio
import logging

from farthing.errors import StoreError
from farthing.storage.protocols import LedgerStore

log = logging.getLogger(__name__)

PORTION_ROWS = 1_000
"""About 10 ms of the store's thread; the ledger's own batches take 7."""
PAUSE_S = 0.1
"""Between two portions: 10,000 rows a second, as fast as calls can come; an old ledger of ten million takes 20 minutes
once, in which it is as it was before."""
LOOK_S = 30.0
"""How often is looked whether there is something to do: an answer reads what came since, which is a matter of 0.1 s."""


async def keep_house(
    store: LedgerStore, *, portion_rows: int = PORTION_ROWS, pause_s: float = PAUSE_S, look_s: float = LOOK_S
) -> None:
    """Roll up what there is, and what comes; until it is cancelled."""
    while True:
        try:
            done = await store.roll_up(portion_rows)
        except StoreError as error:  # whoever posts learns why; nothing is missing from any answer
            log.debug("what costs are answered from is not up to date: %s", error)
            done = 0
        await asyncio.sleep(pause_s if done == portion_rows else look_s)

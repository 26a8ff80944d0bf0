"""Makes the daily totals, and the accounts of budgets, again from the attempts: `farthing ledger rebuild`.

The attempts are the truth and the totals a convenience, so this loses nothing; what it changes was wrong. It is one
transaction of the store, and may run beside a gateway: a batch that comes meanwhile waits in the ledger's queue.
"""

import msgspec

from farthing.ledger.verify import compare_totals
from farthing.storage.protocols import Store
from farthing.types.ledger import Finding


class Rebuilt(msgspec.Struct, frozen=True):
    """How many totals there are now, and where they had been something else."""

    totals: int
    differed: tuple[Finding, ...]


async def rebuild(store: Store) -> Rebuilt:
    """Make the totals again, and what budgets' accounts were charged with; return what differed.

    Raises:
        StoreError: the store cannot be used; nothing was changed.
    """
    before, after = await store.rebuild_totals()
    accounts = await store.budgets.rebuild_accounts()
    differed = [
        Finding("account", name, f"had {posted} and {unknown} unknown") for name, (posted, unknown) in accounts.items()
    ]
    return Rebuilt(len(after), (*compare_totals(before, after), *differed))

"""What past calls would have cost by other prices: a report, and never a change.

A line of the ledger says what was believed when the call ended; prices that came later do not unsay it. So the two are
put beside each other, over the attempts for which both are known, and the others are counted.
"""

from collections.abc import Callable

import msgspec

from farthing.storage.protocols import LedgerStore
from farthing.types.calls import Attempt
from farthing.types.ledger import utc_day

PAGE = 500
"""Attempts read at once, about 1 MB."""

Reprice = Callable[[Attempt], int | None]
"""Returns what an attempt costs by the other prices, in nanodollars; `None` where they do not say."""

GROUPS: dict[str, Callable[[Attempt], str | None]] = {
    "model": lambda attempt: f"{attempt.opening.provider}:{attempt.opening.model}",
    "provider": lambda attempt: attempt.opening.provider,
    "key": lambda attempt: attempt.opening.attribution.key_name or attempt.opening.attribution.key_id,
    "project": lambda attempt: attempt.opening.attribution.project,
    "day": lambda attempt: utc_day(attempt.opening.started_at_us),
}


class RepricedRow(msgspec.Struct, kw_only=True):
    """One group. `ledger_nanousd` and `repriced_nanousd` are sums over the `compared` attempts, where both are known.

    `newly_priced_nanousd` is what the other prices say of attempts whose cost the ledger does not know, and `unpriced`
    how many attempts the other prices are silent about.
    """

    group: str | None
    attempts: int = 0
    compared: int = 0
    ledger_nanousd: int = 0
    repriced_nanousd: int = 0
    newly_priced: int = 0
    newly_priced_nanousd: int = 0
    unpriced: int = 0

    @property
    def difference_nanousd(self) -> int:
        """How much more the other prices say."""
        return self.repriced_nanousd - self.ledger_nanousd


class RepricedReport(msgspec.Struct, frozen=True):
    """All groups, the largest difference first, and everything together."""

    rows: tuple[RepricedRow, ...]
    total: RepricedRow


async def repriced(store: LedgerStore, reprice: Reprice, by: str, since_us: int | None = None) -> RepricedReport:
    """Return what attempts begun since then cost, and would cost; read in pages, so that no ledger is too long."""
    groups: dict[str | None, RepricedRow] = {}
    total = RepricedRow(group=None)
    after = ""
    while page := await store.attempts_after(after, PAGE):
        after = page[-1].opening.attempt_id
        for attempt in page:
            if since_us is not None and attempt.opening.started_at_us < since_us:
                continue
            name = GROUPS[by](attempt)
            row = groups.get(name)
            if row is None:
                row = groups[name] = RepricedRow(group=name)
            cost = _cost_now(attempt, reprice)
            _add(row, attempt.cost_nanousd, cost)
            _add(total, attempt.cost_nanousd, cost)
    rows = sorted(groups.values(), key=lambda row: (-abs(row.difference_nanousd), row.group is None, row.group or ""))
    return RepricedReport(tuple(rows), total)


def _cost_now(attempt: Attempt, reprice: Reprice) -> int | None:
    # What cost nothing without a price, a refusal or a count of tokens, costs nothing at any price.
    if attempt.cost_nanousd == 0 and attempt.price_id is None:
        return 0
    return reprice(attempt)


def _add(row: RepricedRow, then: int | None, now: int | None) -> None:
    row.attempts += 1
    if now is None:
        row.unpriced += 1
    elif then is None:
        row.newly_priced += 1
        row.newly_priced_nanousd += now
    else:
        row.compared += 1
        row.ledger_nanousd += then
        row.repriced_nanousd += now

"""What a month cost each project, team, branch or whoever else: every attempt is in one line, or "not attributed".

The lines add up to the ledger's own total, nanodollar by nanodollar, and that is checked before they are shown. Fixed
costs, where they are wanted, are spread by the tokens that each group had from the providers they pay for.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import msgspec

from farthing.ledger.fixed_costs import Amortised, amortised, spread
from farthing.storage.protocols import LedgerStore
from farthing.types.fixed_costs import FixedCost
from farthing.types.spending import SpendingRow, together

ChargebackBy = Literal["project", "team", "branch", "task", "key", "user", "organisation", "session", "tags"]
"""By all tags of a call together, never by each: a call of two tags would be charged twice."""
CHARGEBACK_BY: tuple[ChargebackBy, ...] = get_args(ChargebackBy)

MOST_LINES = 1_000_000
"""Groups by provider of one month; a task for every ten seconds of it would be 270,000."""


class ChargebackLine(msgspec.Struct, frozen=True):
    """One group's month; `group` is `None` for what nobody was named for. `fixed_nanousd` is its part of those."""

    group: str | None
    sums: SpendingRow
    fixed_nanousd: int


class Chargeback(msgspec.Struct, frozen=True, kw_only=True):
    """A month by group, dearest first, what nobody was named for last; `total` is the ledger's."""

    by: ChargebackBy
    since_us: int
    until_us: int
    lines: tuple[ChargebackLine, ...]
    total: SpendingRow
    fixed: tuple[Amortised, ...]


async def chargeback(
    store: LedgerStore,
    by: ChargebackBy,
    since_us: int,
    until_us: int,
    fixed_costs: Sequence[FixedCost] = (),
) -> Chargeback:
    """Return what the time cost each group. One question to the store, so that a call in between cannot part sums."""
    rows = await store.spending((by, "provider"), since_us=since_us, until_us=until_us, limit=MOST_LINES)
    groups: dict[str | None, list[SpendingRow]] = {}
    for row in rows:
        groups.setdefault(row.groups[0], []).append(row)
    fixed = amortised(fixed_costs, since_us, until_us)
    shares = _shares(fixed, groups)
    if None in shares:
        groups.setdefault(None, [])
    lines = [
        ChargebackLine(group, together(members, (group,)), shares.get(group, 0)) for group, members in groups.items()
    ]
    lines.sort(key=lambda line: (line.group is None, -line.sums.cost_nanousd, line.group or ""))
    total = together(rows)
    assert sum(line.sums.cost_nanousd for line in lines) == total.cost_nanousd, "every attempt is in one line"
    assert sum(line.fixed_nanousd for line in lines) == sum(one.nanousd for one in fixed), "and every fixed cost"
    return Chargeback(by=by, since_us=since_us, until_us=until_us, lines=tuple(lines), total=total, fixed=fixed)


def _shares(fixed: Sequence[Amortised], groups: Mapping[str | None, Sequence[SpendingRow]]) -> dict[str | None, int]:
    shares: dict[str | None, int] = {}
    for one in fixed:
        weights = {
            group: sum(
                row.input_tokens + row.output_tokens
                for row in rows
                if not one.cost.providers or row.groups[1] in one.cost.providers
            )
            for group, rows in groups.items()
        }
        for group, part in spread(one.nanousd, weights).items():
            shares[group] = shares.get(group, 0) + part
    return shares

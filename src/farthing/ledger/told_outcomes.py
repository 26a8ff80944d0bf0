"""What successes cost, by what was told of tasks and sessions.

An outcome counts in the time in which it was told. What its work has cost is what its calls cost from a period's length
before that time on: a task that began the month before is whole, one that took longer is not. Work whose cost is not
known is left out, and so is work without a call in what is reported on.
"""

from collections.abc import Sequence
from typing import get_args

from farthing.ledger.recommendations import Outcomes
from farthing.storage.protocols import Store
from farthing.types.outcomes import WorkKind, WorkOutcome
from farthing.types.spending import SpendingScope
from farthing.types.tenant import Tenant, tenant_of

MOST_TOLD = 20_000
"""Outcomes that are looked at, the youngest: 4 MB; a mean of so many is no other with more."""


async def told_outcomes(
    store: Store, since_us: int, until_us: int, *, costs_since_us: int, scope: Sequence[SpendingScope] = ()
) -> list[Outcomes]:
    """Return what is known of tasks, and of sessions, that were told of in `[since_us, until_us)`."""
    told = await store.outcomes.told(MOST_TOLD, since_us=since_us, until_us=until_us)
    found = []
    for kind in get_args(WorkKind):
        by_work = {(one.name, one.tenant): one for one in told if one.kind == kind}
        if by_work:
            found.append(await _of_kind(store, kind, by_work, costs_since_us, until_us, scope))
    return [one for one in found if one.told]


async def _of_kind(
    store: Store,
    kind: WorkKind,
    by_work: dict[tuple[str, Tenant | None], WorkOutcome],
    since_us: int,
    until_us: int,
    scope: Sequence[SpendingScope],
) -> Outcomes:
    rows = await store.spending(("organisation", "team", kind), since_us=since_us, until_us=until_us, scope=scope)
    costs: dict[str, int | None] = {}
    for row in rows:
        organisation, team, name = row.groups
        outcome = by_work.get((name or "", tenant_of(organisation, team))) or by_work.get((name or "", None))
        if outcome is not None:  # several teams' work may have the name that somebody told of for all
            before = costs.get(outcome.id, 0)
            unknown = before is None or row.unknown_cost_attempts
            costs[outcome.id] = None if unknown else (before or 0) + row.cost_nanousd
    known = {outcome_id: cost for outcome_id, cost in costs.items() if cost is not None}
    succeeded = sum(one.succeeded for one in by_work.values() if one.id in known)
    return Outcomes(f"{kind}s that were told of", len(known), succeeded, sum(known.values()))

"""The SQLite store's outcomes of tasks and sessions; whoever is of no team has the empty name for one."""

from typing import Any

import apsw
import msgspec

from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.sql import query
from farthing.types.outcomes import KEPT_US, WorkOutcome
from farthing.types.tenant import Tenant


class SqliteOutcomes:
    """See `OutcomeStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def tell(self, outcome: WorkOutcome) -> None:
        """See `OutcomeStore.tell`."""

        def tell(connection: apsw.Connection) -> None:
            connection.execute(query("outcome_tell"), _row(outcome))
            connection.execute(query("outcomes_forget"), (outcome.at_us - KEPT_US,))

        await self._connections.transaction(tell)

    async def told(
        self,
        limit: int,
        *,
        since_us: int = 0,
        until_us: int | None = None,
        before_id: str | None = None,
        tenant: Tenant | None = None,
    ) -> list[WorkOutcome]:
        """See `OutcomeStore.told`."""
        bindings = {"limit": limit, "since": since_us, "until": until_us, "before": before_id}
        whose = {"organisation": None, "team": None} if tenant is None else msgspec.structs.asdict(tenant)
        return [_outcome(row) for row in await self._connections.all("outcomes_told", bindings | whose)]


def _row(outcome: WorkOutcome) -> tuple[Any, ...]:
    tenant = outcome.tenant
    whose = ("", "") if tenant is None else (tenant.organisation, tenant.team)
    return (outcome.kind, outcome.name, *whose, outcome.id, int(outcome.succeeded), outcome.at_us, outcome.who)


def _outcome(row: Any) -> WorkOutcome:
    kind, name, organisation, team, outcome_id, succeeded, at_us, who = row
    return WorkOutcome(
        id=outcome_id,
        kind=kind,
        name=name,
        succeeded=bool(succeeded),
        at_us=at_us,
        who=who,
        tenant=Tenant(organisation, team) if team else None,
    )

"""The PostgreSQL store's outcomes of tasks and sessions; whoever is of no team has the empty name for one."""

from typing import Any

from farthing.storage.postgres.connections import Connections, Session
from farthing.types.outcomes import KEPT_US, WorkOutcome
from farthing.types.tenant import Tenant


class PostgresOutcomes:
    """See `OutcomeStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def tell(self, outcome: WorkOutcome) -> None:
        """See `OutcomeStore.tell`."""

        async def tell(session: Session) -> None:
            await session.change("outcome_tell", *_row(outcome))
            await session.change("outcomes_forget", outcome.at_us - KEPT_US)

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
        whose = (None, None) if tenant is None else (tenant.organisation, tenant.team)
        rows = await self._connections.all("outcomes_told", limit, since_us, until_us, before_id, *whose)
        return [_outcome(row) for row in rows]


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

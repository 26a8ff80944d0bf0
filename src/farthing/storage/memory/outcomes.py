"""The memory store's outcomes of tasks and sessions."""

from farthing.types.outcomes import KEPT_US, WorkOutcome
from farthing.types.tenant import Tenant


class MemoryOutcomes:
    """See `OutcomeStore`."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, Tenant | None], WorkOutcome] = {}

    async def tell(self, outcome: WorkOutcome) -> None:
        """See `OutcomeStore.tell`."""
        self._told[outcome.kind, outcome.name, outcome.tenant] = outcome
        oldest_us = outcome.at_us - KEPT_US
        self._told = {place: one for place, one in self._told.items() if one.at_us >= oldest_us}

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
        fitting = [
            one
            for one in self._told.values()
            if one.at_us >= since_us
            and (until_us is None or one.at_us < until_us)
            and (before_id is None or one.id < before_id)
            and tenant in (None, one.tenant)
        ]
        return sorted(fitting, key=lambda one: one.id, reverse=True)[:limit]

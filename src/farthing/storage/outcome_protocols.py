"""What every store can do with what was told of the outcomes of tasks and sessions."""

from typing import Protocol

from farthing.types.outcomes import WorkOutcome
from farthing.types.tenant import Tenant


class OutcomeStore(Protocol):
    """Keeps what came of tasks and sessions, each once."""

    async def tell(self, outcome: WorkOutcome) -> None:
        """Keep an outcome in the place of what was told of the same work, and forget those that are too old."""
        ...

    async def told(
        self,
        limit: int,
        *,
        since_us: int = 0,
        until_us: int | None = None,
        before_id: str | None = None,
        tenant: Tenant | None = None,
    ) -> list[WorkOutcome]:
        """Return the youngest (older than `before_id`) told in `[since_us, until_us)`, youngest first.

        With a `tenant` those that are about its calls alone.
        """
        ...

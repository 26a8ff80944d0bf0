"""What came of a piece of work, as somebody told: an answer that came to its end says nothing of that."""

from typing import Literal

import msgspec

from farthing.types.tenant import Tenant

WorkKind = Literal["task", "session"]

KEPT_US = 400 * 86_400_000_000
"""How long it is known: a year, and a month in which it is looked back at."""


class WorkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A task or a session, by the name that its calls carry, and whether it succeeded; told again, the last one counts.

    With a `tenant` it is about that team's calls alone; without one about all that have the name, but those of teams
    that were told of themselves.
    """

    id: str
    kind: WorkKind
    name: str
    succeeded: bool
    at_us: int
    who: str
    tenant: Tenant | None = None

"""Who administers the house, and what was changed: tokens with a role, and the audit log.

The admin's own token is not among the tokens here: it is in the admin link, or in the environment. Times are
microseconds since 1970 UTC.
"""

from typing import Any, Literal, get_args

import msgspec

from farthing.types.tenant import Tenant, tenant_of

Role = Literal["admin", "manager", "viewer"]
"""`admin`: everything. `manager`: sees and changes what is one team's. `viewer`: sees, and changes nothing."""
ROLES: tuple[Role, ...] = get_args(Role)


class AdminToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token for the admin API. The token itself is nowhere: `digest` is its HMAC, `shown` its first characters.

    Bound to a `team` of an `organisation`, it is good for what is that team's; a manager always is.
    """

    id: str
    name: str
    role: Role
    organisation: str | None = None
    team: str | None
    shown: str
    digest: bytes
    created_at_us: int
    expires_at_us: int | None = None
    revoked_at_us: int | None = None

    def counts(self, now_us: int) -> bool:
        """Whether it opens anything."""
        return self.revoked_at_us is None and (self.expires_at_us is None or now_us < self.expires_at_us)

    @property
    def tenant(self) -> Tenant | None:
        """The team that it is bound to."""
        return tenant_of(self.organisation, self.team)


class Caller(msgspec.Struct, frozen=True):
    """Who asks: `id` is a token's, or `admin` for whoever has the admin's own, or `cli`."""

    id: str
    name: str
    role: Role
    tenant: Tenant | None = None

    def sees(self, tenant: Tenant | None) -> bool:
        """Whether what is this team's, or with `None` the house's, is shown to them."""
        return self.tenant is None or self.tenant == tenant


ChangeOutcome = Literal["begun", "done", "refused", "failed"]
"""`begun`: the process died before it could say what came of it; the change may have been made, or not."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit log: who asked for what, and what came of it; no secret is ever in it.

    It is written before anything is changed and completed afterwards, so that no change is without a line.
    """

    id: str
    at_us: int
    who: str
    who_name: str
    role: Role
    organisation: str | None = None
    team: str | None
    request_id: str
    action: str
    subject: str | None = None
    outcome: ChangeOutcome = "begun"
    status: int | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None

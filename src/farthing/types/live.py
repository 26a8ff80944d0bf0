"""A call's end as it is told live: what anybody may know who may see the call, and none of its texts."""

import msgspec

from farthing.types.calls import Attempt, Outcome
from farthing.types.tenant import Tenant, tenant_of


class CallNews(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that ended, in whichever process. A cost of `None` is unknown."""

    at_us: int
    call_id: str
    provider: str
    model: str
    key_id: str
    key_name: str
    organisation: str | None = None
    """`None` where a process of an older version tells it, which does not say whose it is."""
    team: str | None
    project: str | None
    outcome: Outcome
    http_status: int | None
    input_tokens: int | None
    output_tokens: int | None
    nanousd: int | None

    @property
    def tenant(self) -> Tenant | None:
        """The team whose it is; `None` is the house's, or nobody knows whose."""
        return None if self.organisation is None else tenant_of(self.organisation, self.team)


def news_of(attempt: Attempt) -> CallNews:
    """Return what is told of an attempt."""
    opening, attribution = attempt.opening, attempt.opening.attribution
    return CallNews(
        at_us=attempt.ended_at_us,
        call_id=opening.call_id,
        provider=opening.provider,
        model=opening.model,
        key_id=attribution.key_id,
        key_name=attribution.key_name,
        organisation=attribution.organisation,
        team=attribution.team,
        project=attribution.project,
        outcome=attempt.outcome,
        http_status=attempt.http_status,
        input_tokens=attempt.usage.input_tokens,
        output_tokens=attempt.usage.output_tokens,
        nanousd=attempt.cost_nanousd,
    )

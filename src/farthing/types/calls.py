"""A call is what the client asked; an attempt is one try upstream, with a line of its own in the ledger.

`Opening` is what is known when an attempt begins; with `Attempt`, what is known when it has ended, it makes the line.
None of these can be part of a cycle, so the collector need not look at them (`gc=False`).
Times are microseconds since 1970 UTC, durations are microseconds, money is nanodollars. `None` means unknown.
"""

from typing import Literal

import msgspec

from farthing.types.tenant import Tenant, tenant_of
from farthing.types.usage import Usage

Outcome = Literal[
    "ok",  # the provider finished its answer and all of it was handed to the client
    "provider_error",  # the provider answered with an error, or sent one inside its answer
    "provider_cut",  # the provider's answer broke off
    "unreachable",  # no byte of the request reached the provider, or no answer came at all
    "timeout",  # the provider ran out of time
    "cancelled",  # the client left before the end
    "crashed",  # this process died while the attempt was in flight; written by recovery
]

CostBasis = Literal[
    "reported",  # usage came from the provider, the price is known
    "estimated",  # usage was estimated by us (a cut stream, a crash, an answer without usage)
    "unknown",  # no price, or no usage and nothing to estimate from: the cost is None
]


class Attribution(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, cache_hash=True):
    """For whom and for what a call was made. Tags are comma separated, without space around them."""

    key_id: str
    key_name: str = ""
    organisation: str = "default"
    team: str | None = None
    project: str | None = None
    user: str | None = None
    session: str | None = None
    conversation: str | None = None
    task: str | None = None
    parent_call_id: str | None = None
    sub_agent: str | None = None
    branch: str | None = None
    pull_request: str | None = None
    tags: str | None = None

    @property
    def tenant(self) -> Tenant | None:
        """The team whose call it is; `None` is the house's."""
        return tenant_of(self.organisation, self.team)


class Opening(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What is known when an attempt begins; journaled before the first byte goes upstream."""

    attempt_id: str
    call_id: str
    ordinal: int
    started_at_us: int
    face: str
    operation: str
    provider: str
    model_asked: str
    model: str
    streamed: bool
    input_tokens_estimate: int
    credential: str | None = None
    """Which of the provider's credentials it was made with, by name; `None` where it has none."""
    reasons: str | None = None
    """Why a router chose the model by then, a line each, below 8 KB; or the one line that the key is bound to another
    name than was asked for. `None` for every other call."""
    attribution: Attribution
    held_nanousd: int | None = None
    """The most that it may cost, held in every budget it belongs to; `None` where none of them holds."""


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a stream has produced so far; journaled at most once a second."""

    attempt_id: str
    at_us: int
    usage: Usage
    cost_nanousd: int | None
    price_id: str | None
    model_served: str | None = None


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """How an attempt ended; `opening` says what it was.

    It is `kw_only` for speed, too: msgspec takes half a microsecond for so many names where places would do.
    """

    opening: Opening
    ended_at_us: int
    outcome: Outcome
    http_status: int | None
    usage: Usage
    cost_nanousd: int | None
    cost_basis: CostBasis
    price_id: str | None
    reported_cost_nanousd: int | None = None
    model_served: str | None = None
    service_tier: str | None = None
    first_output_us: int | None = None
    upstream_request_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    losses: str | None = None
    """What its translation left out, by name, comma separated; `None` where nothing was translated or lost."""

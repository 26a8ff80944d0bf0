"""Calls: what was asked, what was tried for it, what came of it and what it cost.

What a provider says in an error may repeat a prompt, so the words of it are for the admin alone.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from farthing.errors import NotThere
from farthing.ledger.reports import call_line, expired
from farthing.server.admin.ask import Ask, not_there
from farthing.server.admin.routes import READ, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Text, moment
from farthing.storage.protocols import Store
from farthing.types.calls import Attempt, Attribution, CostBasis, Outcome
from farthing.types.money import usd_text
from farthing.types.usage import Usage

_LOOKED_THROUGH = 4_000
"""Calls looked at for a page that asks for few of them: half a second of a thread; `next` goes on behind them."""
_AT_A_TIME = 500


class CallQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls; `before` is the id of the last one of the page before."""

    limit: Limit = 100
    before: Text | None = None
    key_id: Text | None = None
    team: Text | None = None
    project: Text | None = None
    user: Text | None = None
    session: Text | None = None
    provider: Text | None = None
    model: Text | None = None
    outcome: Outcome | None = None


class CallShown(msgspec.Struct, frozen=True, kw_only=True):
    """A call; `provider`, `model` and `outcome` are the last attempt's. A cost of `null` is unknown."""

    id: str
    began_at: datetime
    ended_at: datetime
    face: str
    operation: str
    provider: str
    model_asked: str
    model: str
    streamed: bool
    key_id: str
    key_name: str
    team: str | None
    project: str | None
    user: str | None
    session: str | None
    attempts: int
    outcome: Outcome
    http_status: int | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    usd: str | None
    nanousd: int | None
    cost_basis: CostBasis


class CallPage(msgspec.Struct, frozen=True):
    """Calls, youngest first; `next` is the `before` of the next page, `null` on the last one."""

    calls: tuple[CallShown, ...]
    next: str | None


class AttemptShown(msgspec.Struct, frozen=True, kw_only=True):
    """One try upstream. `losses` names what its translation left out; `held_nanousd` was held for it in budgets."""

    id: str
    ordinal: int
    began_at: datetime
    ended_at: datetime
    provider: str
    model: str
    model_served: str | None
    outcome: Outcome
    http_status: int | None
    usage: Usage
    usd: str | None
    nanousd: int | None
    cost_basis: CostBasis
    price_id: str | None
    held_nanousd: int | None
    reported_nanousd: int | None
    service_tier: str | None
    first_output_us: int | None
    upstream_request_id: str | None
    error_code: str | None
    error_message: str | None
    losses: tuple[str, ...]


class CallDetails(msgspec.Struct, frozen=True):
    """A call with all that was tried for it, in order, and for whom it was made."""

    call: CallShown
    attribution: Attribution
    reasons: tuple[str, ...]
    attempts: tuple[AttemptShown, ...]


async def listed(ask: Ask[Nothing, CallQuery]) -> Answer:
    """List calls."""
    query, store = ask.query, await ask.house.books()
    await ask.house.under_way.wait_for_store(store)
    ask.team_for(None, query.team)
    found: list[CallShown] = []
    before, looked = query.before, 0
    while len(found) < query.limit and looked < _LOOKED_THROUGH:
        page = await store.recent(_AT_A_TIME, before)
        for attempts in page:
            before, looked = attempts[0].opening.call_id, looked + 1
            if not ask.caller.sees(attempts[0].opening.attribution.tenant):
                continue
            shown = _call(attempts)
            if _is_meant(shown, query):
                found.append(shown)
            if len(found) == query.limit:
                break
        if len(page) < _AT_A_TIME and len(found) < query.limit:
            return Answer(CallPage(tuple(found), None))
    return Answer(CallPage(tuple(found), before))


async def show(ask: Ask[Nothing, Nothing]) -> Answer:
    """Show a call with all that was tried for it."""
    store = await ask.house.books()
    attempts = await _attempts(ask, store, ask.params["id"])
    ask.must_see("call", attempts[0].opening.attribution.tenant)
    tries = tuple(_attempt(one, told=ask.caller.role == "admin") for one in attempts)
    return Answer(CallDetails(_call(attempts), attempts[0].opening.attribution, _reasons(attempts), tries))


async def _attempts(ask: Ask[Nothing, Nothing], store: Store, call_id: str) -> list[Attempt]:
    found = await store.call(call_id)
    if not found:
        await ask.house.under_way.wait_for_store(store)
        found = await store.call(call_id)
    if not found:
        if (gone := await expired(store, call_id)) is not None:
            raise NotThere(gone, hint="GET /admin/v1/spend has what they cost; a backup from before has the calls.")
        raise not_there("call", call_id)
    return found


def _is_meant(call: CallShown, query: CallQuery) -> bool:
    wanted = {
        name: getattr(query, name) for name in ("key_id", "team", "project", "user", "session", "provider", "outcome")
    }
    return query.model in (None, call.model, call.model_asked, f"{call.provider}:{call.model}") and all(
        value in (None, getattr(call, name)) for name, value in wanted.items()
    )


def _call(attempts: Sequence[Attempt]) -> CallShown:
    line, attribution = call_line(attempts), attempts[0].opening.attribution
    same = (
        "face", "operation", "provider", "model_asked", "model", "streamed", "key_id", "key_name", "project",
        "session", "attempts", "outcome", "http_status", "input_tokens", "output_tokens",
        "cache_read_input_tokens", "cache_creation_input_tokens", "cost_basis",
    )  # fmt: skip
    return CallShown(
        id=line.call_id,
        began_at=moment(line.started_at_us),
        ended_at=moment(line.ended_at_us),
        team=attribution.team,
        user=attribution.user,
        usd=_usd(line.cost_nanousd),
        nanousd=line.cost_nanousd,
        **{name: getattr(line, name) for name in same},
    )


def _attempt(attempt: Attempt, *, told: bool) -> AttemptShown:
    opening = attempt.opening
    same = (
        "model_served", "outcome", "http_status", "usage", "cost_basis", "price_id", "service_tier",
        "first_output_us", "upstream_request_id", "error_code",
    )  # fmt: skip
    return AttemptShown(
        id=opening.attempt_id,
        ordinal=opening.ordinal,
        began_at=moment(opening.started_at_us),
        ended_at=moment(attempt.ended_at_us),
        provider=opening.provider,
        model=opening.model,
        usd=_usd(attempt.cost_nanousd),
        nanousd=attempt.cost_nanousd,
        held_nanousd=opening.held_nanousd,
        reported_nanousd=attempt.reported_cost_nanousd,
        error_message=attempt.error_message if told else None,
        losses=tuple(attempt.losses.split(",")) if attempt.losses else (),
        **{name: getattr(attempt, name) for name in same},
    )


def _reasons(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """Return in words how the call came to where it went: a router's own, which tell of all its tries.

    A router has several reasons: what it is and what it chose. One alone is that the key is bound to a model.
    """
    kept = (attempts[-1].opening.reasons or "").splitlines()
    if len(kept) > 1:
        return (*kept, *(_without(one.losses) for one in attempts if one.losses))
    reasons = []
    for before, attempt in zip([None, *attempts], attempts, strict=False):
        opening = attempt.opening
        if before is None:
            reasons += kept or [f"'{opening.model_asked}' means '{opening.provider}:{opening.model}'"]
        else:
            reasons.append(f"tried again, because the attempt before ended as {before.outcome}")
        if attempt.losses:
            reasons.append(_without(attempt.losses))
    return tuple(reasons)


def _without(losses: str) -> str:
    return f"translated, without {losses.replace(',', ', ')}"


def _usd(nanousd: int | None) -> str | None:
    return None if nanousd is None else usd_text(nanousd)


ROUTES = (
    Route(
        method="GET",
        path="/calls",
        name="calls.list",
        about="List calls, youngest first.",
        roles=READ,
        handler=listed,
        query=CallQuery,
        gives=CallPage,
    ),
    Route(
        method="GET",
        path="/calls/{id}",
        name="calls.show",
        about="Show a call with all that was tried for it.",
        roles=READ,
        handler=show,
        gives=CallDetails,
        refusals=(404,),
    ),
)

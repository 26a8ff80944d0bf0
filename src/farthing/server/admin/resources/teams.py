"""Whose a rule is: the team that its scope names, or that of the key that it names."""

from typing import Any

import msgspec

from farthing.errors import InvalidRequest
from farthing.server.admin.ask import Ask
from farthing.types.budgets import EACH, Scope
from farthing.types.tenant import Tenant, tenant_of


async def tenant_in(ask: Ask[Any, Any], scope: Scope) -> Tenant | None:
    """Return the team that a scope is about, as `tenant_named_in`, or that of the key that it is about."""
    mine = ask.caller.tenant
    if scope.team not in (None, EACH):
        return tenant_named_in(scope, mine, alone=await ask.is_alone())
    if scope.key_id in (None, EACH) or mine is None:
        return None
    record = await ask.house.store.key(scope.key_id or "")
    return record.tenant if record is not None and record.id == scope.key_id else None


def tenant_named_in(scope: Scope, mine: Tenant | None, *, alone: bool) -> Tenant | None:
    """Return the team that a scope names; `None` is the house's.

    One that names a team and no organisation is about the teams of that name in all of them. So it is the caller's
    while theirs is `alone` in its name; else what is spent in it is not theirs alone to see.
    """
    if scope.team in (None, EACH) or scope.organisation == EACH:
        return None
    if scope.organisation is not None:
        return tenant_of(scope.organisation, scope.team)
    return mine if alone and mine is not None and mine.team == scope.team else None


async def is_listed(ask: Ask[Any, Any], scope: Scope, team: str | None) -> bool:
    """Return whether a rule is shown in a list of a team's, or without one in that of all that the caller sees."""
    if ask.caller.tenant is None:
        return team in (None, scope.team)
    return ask.caller.sees(await tenant_in(ask, scope))


async def scope_within(ask: Ask[Any, Any], scope: Scope) -> Scope:
    """Return a scope as it was asked for, within the caller's team.

    Raises:
        Forbidden: it is beyond it.
        InvalidRequest: it names a key that there is not.
    """
    if scope.key_id not in (None, EACH):
        record = await ask.house.store.key(scope.key_id or "")
        if record is None or record.id != scope.key_id:
            raise InvalidRequest(f"No key has the id {scope.key_id!r}.", hint="GET /admin/v1/keys lists them.")
        ask.must_see("key", record.tenant)
        if scope.team is None:
            return scope
    organisation, team = ask.team_for(scope.organisation, scope.team)
    return msgspec.structs.replace(scope, organisation=organisation, team=team)

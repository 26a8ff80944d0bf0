"""Whose a rule is: the team that its scope names, or that of the key that it names."""

from typing import Any

import msgspec

from farthing.errors import Forbidden, InvalidRequest
from farthing.server.admin.ask import Ask
from farthing.types.budgets import EACH, Scope

DEFAULT_ORGANISATION = "default"
"""Of keys that nobody said more about."""


async def team_of(ask: Ask[Any, Any], scope: Scope) -> str | None:
    """Return the team of a scope; `None` is the house's."""
    if scope.team not in (None, EACH):
        return scope.team
    if scope.key_id in (None, EACH) or ask.caller.team is None:
        return None
    record = await ask.house.store.key(scope.key_id or "")
    return record.team if record is not None and record.id == scope.key_id else None


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
        ask.must_see("key", record.team)
        if scope.team is None:
            return scope
    return msgspec.structs.replace(scope, team=ask.team_for(scope.team))


async def organisation_within(ask: Ask[Any, Any], wanted: str | None) -> str | None:
    """Return the organisation of a key that is made or changed: for who is bound to a team, that of its first key.

    Whoever manages a team could else have its calls count in no budget of its organisation, or in another one's.

    Raises:
        Forbidden: it is another.
    """
    team = ask.caller.team
    if team is None:
        return wanted
    first = await ask.house.store.keys_page(1, team=team)
    own = first[0].organisation if first else DEFAULT_ORGANISATION
    if wanted not in (None, own):
        raise Forbidden(f"The team {team!r} is of the organisation {own!r}, not of {wanted!r}.", hint="ask the admin.")
    return own

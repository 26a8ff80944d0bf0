"""Tokens for others than the admin: each with a role, shown once, good until revoked."""

from datetime import datetime
from typing import Any

import msgspec

from farthing.auth.admin_tokens import tenant_named
from farthing.server.admin.ask import Ask
from farthing.server.admin.routes import ADMIN, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Name, Text, ZonedTime, moment, time_of, us_of
from farthing.types.admin import AdminToken, Role


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be made; a manager's is for a `team`, and a viewer's may be.

    Without an `organisation` it is that of the team's keys.
    """

    name: Name
    role: Role
    organisation: Text | None = None
    team: Text | None = None
    expires_at: ZonedTime | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token; `shown` is how it begins."""

    id: str
    name: str
    role: Role
    organisation: str | None
    team: str | None
    shown: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class MadeToken(Token, frozen=True, kw_only=True):
    """A token with its secret, which is shown this once."""

    token: str


class TokenList(msgspec.Struct, frozen=True):
    """Every token, revoked ones too, oldest first."""

    tokens: tuple[Token, ...]


class Me(msgspec.Struct, frozen=True):
    """Who asks."""

    id: str
    name: str
    role: Role
    organisation: str | None
    team: str | None


async def create(ask: Ask[NewToken, Nothing]) -> Answer:
    """Make a token, and answer with it for the only time."""
    wanted = ask.body
    tenant = await tenant_named(await ask.house.books(), wanted.organisation, wanted.team)
    record, secret = await ask.house.farthing.admin_tokens.create(
        wanted.name, wanted.role, tenant=tenant, expires_at_us=us_of(wanted.expires_at)
    )
    ask.note(record.id, after=Token(**_shown(record)))
    return Answer(MadeToken(token=secret.reveal(), **_shown(record)), 201)


async def listed(ask: Ask[Nothing, Nothing]) -> Answer:
    """List the tokens."""
    found = await ask.house.farthing.admin_tokens.list()
    return Answer(TokenList(tuple(Token(**_shown(record)) for record in found)))


async def revoke(ask: Ask[Nothing, Nothing]) -> Answer:
    """Revoke a token, everywhere at once."""
    tokens = ask.house.farthing.admin_tokens
    before = await tokens.find(ask.params["id"])
    ask.note(before.id, before=Token(**_shown(before)))
    after = Token(**_shown(await tokens.revoke(before.id)))
    ask.note(before.id, before=Token(**_shown(before)), after=after)
    return Answer(after)


async def me(ask: Ask[Nothing, Nothing]) -> Answer:
    """Tell who asks."""
    caller, mine = ask.caller, ask.caller.tenant
    whose = (None, None) if mine is None else (mine.organisation, mine.team)
    return Answer(Me(caller.id, caller.name, caller.role, *whose))


def _shown(record: AdminToken) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("id", "name", "role", "organisation", "team", "shown")} | {
        "created_at": moment(record.created_at_us),
        "expires_at": time_of(record.expires_at_us),
        "revoked_at": time_of(record.revoked_at_us),
    }


ROUTES = (
    Route(
        method="GET",
        path="/me",
        name="me",
        about="Tell who asks, and as what.",
        roles=READ,
        handler=me,
        gives=Me,
    ),
    Route(
        method="POST",
        path="/tokens",
        name="tokens.create",
        about="Make a token with a role; it is shown this once.",
        roles=ADMIN,
        handler=create,
        takes=NewToken,
        gives=MadeToken,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="GET",
        path="/tokens",
        name="tokens.list",
        about="List the tokens, revoked ones too.",
        roles=ADMIN,
        handler=listed,
        gives=TokenList,
    ),
    Route(
        method="DELETE",
        path="/tokens/{id}",
        name="tokens.revoke",
        about="Revoke a token, everywhere at once.",
        roles=ADMIN,
        handler=revoke,
        gives=Token,
        refusals=(404, 409),
    ),
)

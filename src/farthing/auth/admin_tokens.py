"""Tokens for the admin API: each with a role, and for a team where it is bound to one.

A token looks like the admin's own, `fta-` and 43 letters, so that it is hidden where that is. It is looked up with
every request, by its HMAC: whoever revokes one need not wait for any process to hear of it.
"""

import base64
import hashlib
import hmac
import re

import msgspec

from farthing.auth.key_forms import MAX_TEXT_LENGTH
from farthing.clock import Clock
from farthing.errors import Conflict, InvalidRequest, NotThere
from farthing.storage.protocols import AdminStore, KeyStore
from farthing.types.admin import AdminToken, Role
from farthing.types.identity import IdSource, RandomBytes
from farthing.types.secret import Secret
from farthing.types.tenant import DEFAULT_ORGANISATION, Tenant

PREFIX = "fta-"
SHOWN_LENGTH = 10
MAX_NAME_LENGTH = 64
_FORM = re.compile(r"fta-[A-Za-z0-9_-]{43}", re.ASCII)


class AdminTokens:
    """Makes, verifies, lists and revokes them."""

    def __init__(
        self, store: AdminStore, pepper: bytes, *, clock: Clock, ids: IdSource, random_bytes: RandomBytes
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._ids = ids
        self._random_bytes = random_bytes

    async def verify(self, token: str) -> AdminToken | None:
        """Return what a token is; `None` where it is none of these, or counts no more.

        Raises:
            StoreError: the store cannot be asked.
        """
        if _FORM.fullmatch(token) is None:  # the store is not asked for what we never made
            return None
        found = await self._store.token(self._digest(token))
        return found if found is not None and found.counts(self._clock.now_us()) else None

    async def create(
        self, name: str, role: Role, *, tenant: Tenant | None = None, expires_at_us: int | None = None
    ) -> tuple[AdminToken, Secret]:
        """Make a token and return it, for the only time.

        Raises:
            InvalidRequest: the name or the team is no good, or is missing.
            Conflict: the name is taken.
        """
        organisation, team = (None, None) if tenant is None else (tenant.organisation, tenant.team)
        for what, text, most in (
            ("token", name, MAX_NAME_LENGTH),
            ("team", team, MAX_TEXT_LENGTH),
            ("organisation", organisation, MAX_TEXT_LENGTH),
        ):
            if text is not None and (not 1 <= len(text) <= most or not text.isprintable() or text != text.strip()):
                raise InvalidRequest(
                    f"{text[:MAX_NAME_LENGTH]!r} is no name of a {what}.",
                    hint=f"it is 1 to {most} printable characters without spaces around it.",
                )
        if role == "manager" and team is None:
            raise InvalidRequest("A manager manages a team.", hint='name it: --team NAME, or "team" in the API.')
        if role == "admin" and team is not None:
            raise InvalidRequest("An admin is nobody's alone.", hint="leave the team out, or choose another role.")
        token = PREFIX + base64.urlsafe_b64encode(self._random_bytes(32)).decode().rstrip("=")
        record = AdminToken(
            id=self._ids.new("tok"),
            name=name,
            role=role,
            organisation=organisation,
            team=team,
            shown=token[:SHOWN_LENGTH],
            digest=self._digest(token),
            created_at_us=self._clock.now_us(),
            expires_at_us=expires_at_us,
        )
        if not await self._store.add_token(record):
            raise Conflict(f"A token named {name!r} exists already.", hint="choose another name, or revoke that one.")
        return record, Secret(token)

    async def list(self) -> list[AdminToken]:
        """Return every token, revoked ones too, oldest first."""
        return await self._store.tokens()

    async def find(self, id_or_name: str) -> AdminToken:
        """Return a token by its id, or the one of this name that counts.

        Raises:
            NotThere: there is none.
        """
        for token in await self._store.tokens():
            if token.id == id_or_name or (token.name == id_or_name and token.revoked_at_us is None):
                return token
        told = repr(id_or_name) if not id_or_name.startswith(PREFIX) else "of that kind"
        raise NotThere(f"There is no token {told}.", hint='"farthing admin token list" shows them.')

    async def revoke(self, id_or_name: str) -> AdminToken:
        """Revoke a token, for good and everywhere at once; return it as it is now.

        Raises:
            NotThere: there is none.
            Conflict: it is revoked already.
        """
        token = await self.find(id_or_name)
        at_us = self._clock.now_us()
        if not await self._store.revoke_token(token.id, at_us):
            raise Conflict(f"The token {token.name!r} is revoked already.")
        return msgspec.structs.replace(token, revoked_at_us=at_us)

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._pepper, b"admin api token" + token.encode("ascii"), hashlib.sha256)


async def tenant_named(keys: KeyStore, organisation: str | None, team: str | None) -> Tenant | None:
    """Return the team that is meant by these; without an organisation that of its keys, which must then be of one.

    Raises:
        InvalidRequest: several organisations have a team of this name, or an organisation is named and no team.
    """
    if team is None:
        if organisation is None:
            return None
        raise InvalidRequest(
            f"The token is for the organisation {organisation!r}, and for no team of it.", hint="name the team as well."
        )
    if organisation is not None:
        return Tenant(organisation, team)
    first = await keys.keys_page(1, team=team)
    found = Tenant(first[0].organisation if first else DEFAULT_ORGANISATION, team)
    if first and await keys.team_elsewhere(found):
        raise InvalidRequest(
            f"Several organisations have a team {team!r}.",
            hint=f'name the one that is meant, such as {found.organisation!r}: --organisation, or "organisation".',
        )
    return found

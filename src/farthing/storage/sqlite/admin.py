"""The SQLite store's tokens of the admin API, and its audit log."""

from typing import Any

import msgspec

from farthing.storage.sqlite.connections import Connections
from farthing.types.admin import AdminToken, Change

_TOKEN = AdminToken.__struct_fields__
_CHANGE = Change.__struct_fields__
_AS_JSON = ("before", "after")


class SqliteAdmin:
    """See `AdminStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add_token(self, token: AdminToken) -> bool:
        """See `AdminStore.add_token`."""
        return await self._connections.change("admin_token_add", msgspec.structs.astuple(token))

    async def tokens(self) -> list[AdminToken]:
        """See `AdminStore.tokens`."""
        return await self._tokens(None)

    async def token(self, digest: bytes) -> AdminToken | None:
        """See `AdminStore.token`."""
        found = await self._tokens(digest)
        return found[0] if found else None

    async def revoke_token(self, token_id: str, at_us: int) -> bool:
        """See `AdminStore.revoke_token`."""
        return await self._connections.change("admin_token_revoke", {"id": token_id, "at": at_us})

    async def begin_change(self, change: Change) -> None:
        """See `AdminStore.begin_change`."""
        await self._connections.change("admin_change_begin", _bindings(change))

    async def end_change(self, change: Change) -> None:
        """See `AdminStore.end_change`."""
        bindings = _bindings(change)
        ended = {name: bindings[name] for name in ("id", "subject", "outcome", "status", *_AS_JSON)}
        await self._connections.change("admin_change_end", ended)

    async def changes(
        self,
        limit: int,
        before_id: str | None = None,
        *,
        who: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> list[Change]:
        """See `AdminStore.changes`."""
        bindings = {"limit": limit, "before_id": before_id, "who": who, "action": action, "subject": subject}
        return [_change_of(row) for row in await self._connections.all("admin_changes", bindings)]

    async def _tokens(self, digest: bytes | None) -> list[AdminToken]:
        rows = await self._connections.all("admin_tokens", {"digest": digest})
        return [AdminToken(**dict(zip(_TOKEN, row, strict=True))) for row in rows]


def _bindings(change: Change) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(change, name) for name in _CHANGE}
    for name in _AS_JSON:
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    return values


def _change_of(row: tuple[Any, ...]) -> Change:
    values = dict(zip(_CHANGE, row, strict=True))
    for name in _AS_JSON:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name])
    return Change(**values)

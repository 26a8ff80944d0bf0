"""The PostgreSQL store's keys.

Each change takes the next number of the counter first and holds it until the row is committed, so that whoever has read
up to a number has missed nothing, whichever host it came from.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from farthing.storage.postgres.complaints import is_taken
from farthing.storage.postgres.connections import Connections, Session
from farthing.storage.protocols import KeyRecord, OldSecret
from farthing.types.principal import FixedName
from farthing.types.tenant import Tenant

_FIELDS = KeyRecord.__struct_fields__
_LISTS: dict[str, Any] = {
    "tags": tuple[str, ...],
    "models": tuple[str, ...],
    "faces": tuple[str, ...],
    "old_secrets": tuple[OldSecret, ...],
    "fixed": tuple[FixedName, ...],
}


class PostgresKeys:
    """See `KeyStore`."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections

    async def keys(self) -> list[KeyRecord]:
        """See `KeyStore.keys`."""
        return [_record_of(row) for row in await self.connections.all("keys")]

    async def keys_page(
        self,
        limit: int,
        after_id: str = "",
        *,
        organisation: str | None = None,
        team: str | None = None,
        project: str | None = None,
    ) -> list[KeyRecord]:
        """See `KeyStore.keys_page`."""
        asked = (limit, after_id, team, project)
        if team is None:
            return [_record_of(row) for row in await self.connections.all("keys_page", *asked)]
        return [_record_of(row) for row in await self.connections.all("keys_page_of_team", *asked, organisation)]

    async def team_elsewhere(self, tenant: Tenant) -> bool:
        """See `KeyStore.team_elsewhere`."""
        (row,) = await self.connections.all("team_elsewhere", tenant.team, tenant.organisation)
        return bool(row[0])

    async def key(self, id_or_name: str) -> KeyRecord | None:
        """See `KeyStore.key`."""
        rows = await self.connections.all("key", id_or_name)
        return _record_of(rows[0]) if rows else None

    async def changed_keys(self, after: int, limit: int) -> list[KeyRecord]:
        """See `KeyStore.changed_keys`."""
        return [_record_of(row) for row in await self.connections.all("keys_changed", after, limit)]

    async def key_names(self, limit: int) -> list[str]:
        """See `KeyStore.key_names`."""
        return [row[0] for row in await self.connections.all("key_names", limit)]

    async def free_key_number(self, prefix: str) -> int:
        """See `KeyStore.free_key_number`."""
        (row,) = await self.connections.all("key_number_free", prefix)
        number: int = row[0]
        return number

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.add_key`."""
        return await self._kept("key_add", record)

    async def change_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.change_key`."""
        return await self._kept("key_change", record, record.changed)

    async def change_counter(self) -> int:
        """See `KeyStore.change_counter`."""
        (row,) = await self.connections.all("change_counter")
        counter: int = row[0]
        return counter

    async def claim_pepper(self, check: bytes) -> bool:
        """See `KeyStore.claim_pepper`."""
        return await self.connections.change("pepper_claim", check)

    async def _kept(self, statement: str, record: KeyRecord, *more: Any) -> KeyRecord | None:
        async def keep(session: Session) -> KeyRecord:
            row = await session.one("change_next")
            assert row is not None, "the tables were made with it"
            kept = msgspec.structs.replace(record, changed=row[0])
            try:
                changed = await session.change(statement, *_arguments_of(kept), *more)
            except Exception as error:
                if not is_taken(error):
                    raise
                raise _Refused from error
            if not changed:
                raise _Refused
            return kept

        try:
            return await self.connections.transaction(keep)
        except _Refused:
            return None


class _Refused(Exception):
    """A key was not kept, so that its number is taken back with the transaction."""


def _arguments_of(record: KeyRecord) -> list[Any]:
    values: dict[str, Any] = {name: getattr(record, name) for name in _FIELDS}
    for name in _LISTS:
        values[name] = msgspec.json.encode(values[name]).decode() if values[name] else None
    return list(values.values())


def _record_of(row: Sequence[Any]) -> KeyRecord:
    values = dict(zip(_FIELDS, row, strict=True))
    for name, kind in _LISTS.items():
        text = values[name]
        values[name] = () if text is None else msgspec.json.decode(text, type=kind)
    return KeyRecord(**values)

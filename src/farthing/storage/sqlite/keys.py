"""The SQLite store's keys.

Each change takes the next number of the counter, in one transaction with the row it changes, so that whoever has read
up to a number has missed nothing. Rows become records on the thread that reads them: the event loop of a gateway with
100,000 keys would stand still for half a second otherwise.
"""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from farthing.storage.protocols import KeyRecord, OldSecret
from farthing.storage.sqlite.connections import Connections, in_transaction
from farthing.storage.sqlite.sql import query
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


class SqliteKeys:
    """See `KeyStore`."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections

    async def keys(self) -> list[KeyRecord]:
        """See `KeyStore.keys`."""
        return await self._records("keys", ())

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
        bindings = {"limit": limit, "after": after_id, "organisation": organisation, "team": team, "project": project}
        return await self._records("keys_page" if team is None else "keys_page_of_team", bindings)

    async def team_elsewhere(self, tenant: Tenant) -> bool:
        """See `KeyStore.team_elsewhere`."""
        (row,) = await self.connections.all("team_elsewhere", msgspec.structs.asdict(tenant))
        return bool(row[0])

    async def key(self, id_or_name: str) -> KeyRecord | None:
        """See `KeyStore.key`."""
        found = await self._records("key", {"id_or_name": id_or_name})
        return found[0] if found else None

    async def changed_keys(self, after: int, limit: int) -> list[KeyRecord]:
        """See `KeyStore.changed_keys`."""
        return await self._records("keys_changed", {"after": after, "limit": limit})

    async def key_names(self, limit: int) -> list[str]:
        """See `KeyStore.key_names`."""
        return [row[0] for row in await self.connections.all("key_names", (limit,))]

    async def free_key_number(self, prefix: str) -> int:
        """See `KeyStore.free_key_number`."""
        (row,) = await self.connections.all("key_number_free", {"prefix": prefix})
        number: int = row[0]
        return number

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.add_key`."""
        return await self._kept("key_add", record)

    async def change_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.change_key`."""
        return await self._kept("key_change", record)

    async def change_counter(self) -> int:
        """See `KeyStore.change_counter`."""
        (row,) = await self.connections.all("change_counter", ())
        counter: int = row[0]
        return counter

    async def claim_pepper(self, _check: bytes) -> bool:
        """See `KeyStore.claim_pepper`."""
        return True

    async def _records(self, name: str, bindings: Any) -> list[KeyRecord]:
        return await self.connections.read(
            lambda connection: [record_of(row) for row in connection.execute(query(name), bindings)]
        )

    async def _kept(self, statement: str, record: KeyRecord) -> KeyRecord | None:
        bindings = bindings_of(record)

        def keep(connection: apsw.Connection) -> int | None:
            connection.execute(query(statement), bindings)
            if not connection.changes():
                return None
            counter: int = connection.execute(query("change_next")).get
            return counter

        changed = await self.connections.write(lambda connection: in_transaction(connection, keep))
        return None if changed is None else msgspec.structs.replace(record, changed=changed)


def bindings_of(record: KeyRecord) -> dict[str, Any]:
    """Return what a key's statements are given, by name."""
    values: dict[str, Any] = {name: getattr(record, name) for name in _FIELDS}
    for name in _LISTS:
        values[name] = msgspec.json.encode(values[name]).decode() if values[name] else None
    return values


def record_of(row: Sequence[Any]) -> KeyRecord:
    """Return the key in a row whose columns stand in the type's order."""
    values = dict(zip(_FIELDS, row, strict=True))
    for name, kind in _LISTS.items():
        text = values[name]
        values[name] = () if text is None else msgspec.json.decode(text, type=kind)
    return KeyRecord(**values)

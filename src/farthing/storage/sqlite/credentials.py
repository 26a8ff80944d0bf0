"""The vault's part of the SQLite store."""

from collections.abc import Sequence

import apsw
import msgspec

from farthing.storage.protocols import CredentialRecord
from farthing.storage.rows import Row
from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.sql import query
from farthing.types.credentials import Quotas


class SqliteCredentials:
    """See `CredentialStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def records(self) -> list[CredentialRecord]:
        """See `CredentialStore.records`."""
        return [_record_of(row) for row in await self._connections.all("credentials", ())]

    async def swap(self, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
        """See `CredentialStore.swap`."""
        return await self._connections.transaction(lambda connection: _swap(connection, before, after))

    async def counter(self) -> int:
        """See `CredentialStore.counter`; the keys' counter, which grows with these too."""
        (row,) = await self._connections.all("change_counter", ())
        counter: int = row[0]
        return counter


def _swap(connection: apsw.Connection, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
    kept = [_record_of(row) for row in connection.execute(query("credentials"))]
    if kept != list(before):
        return False
    connection.executemany(query("credential_remove"), [(one.id,) for one in kept if one not in after])
    connection.executemany(query("credential_add"), [_row_of(one) for one in after if one not in kept])
    return True


def _row_of(record: CredentialRecord) -> Row:
    return (*msgspec.structs.astuple(record)[:-1], msgspec.json.encode(record.quotas).decode())


def _record_of(row: Row) -> CredentialRecord:
    fields = dict(zip(CredentialRecord.__struct_fields__, row, strict=True))
    fields["enabled"] = bool(fields["enabled"])
    fields["quotas"] = msgspec.json.decode(fields["quotas"], type=Quotas)
    return CredentialRecord(**fields)

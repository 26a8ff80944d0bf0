"""The vault's part of the PostgreSQL store.

Whoever changes it holds the change counter until that is committed, so that of two who swap at once one is the second.
"""

from collections.abc import Sequence

import msgspec

from farthing.storage.postgres.connections import Connections, Session
from farthing.storage.protocols import CredentialRecord
from farthing.storage.rows import Row
from farthing.types.credentials import Quotas


class PostgresCredentials:
    """See `CredentialStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def records(self) -> list[CredentialRecord]:
        """See `CredentialStore.records`."""
        return [_record_of(row) for row in await self._connections.all("credentials")]

    async def swap(self, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
        """See `CredentialStore.swap`."""

        async def swap(session: Session) -> bool:
            await session.one("changes_lock")
            kept = [_record_of(row) for row in await session.all("credentials")]
            if kept != list(before):
                return False
            gone = [one.id for one in kept if one not in after]
            new = [one for one in after if one not in kept]
            await session.change("credential_remove", gone)
            for one in new:
                await session.change("credential_add", *_row_of(one))
            if gone or new:
                await session.change("change_next")
            return True

        return await self._connections.transaction(swap)

    async def counter(self) -> int:
        """See `CredentialStore.counter`; the keys' counter, which grows with these too."""
        (row,) = await self._connections.all("change_counter")
        counter: int = row[0]
        return counter


def _row_of(record: CredentialRecord) -> Row:
    return (*msgspec.structs.astuple(record)[:-1], msgspec.json.encode(record.quotas).decode())


def _record_of(row: Row) -> CredentialRecord:
    fields = dict(zip(CredentialRecord.__struct_fields__, row, strict=True))
    fields["quotas"] = msgspec.json.decode(fields["quotas"], type=Quotas)
    return CredentialRecord(**fields)

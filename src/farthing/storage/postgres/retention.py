"""Deletes old lines in PostgreSQL: one statement deletes them and keeps what they add up to.

Hosts post attempts at the same moment, and one that comes back with an old journal may post again what is expiring just
then. So before the first line of a time goes, it is announced that such lines may be gone, while nobody posts; and who
then posts one that is so old looks among the expired ids, and waits for whoever deletes.
"""

from farthing.storage.postgres.connections import Connections, Session
from farthing.types.retention import Retained, Waiting


class PostgresRetention:
    """See `RetentionStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """See `RetentionStore.lead`."""
        return await self._connections.change("expire_lead", holder, now_us, until_us)

    async def expire(self, before_us: int, limit: int, now_us: int) -> int:
        """See `RetentionStore.expire`."""
        if await self._connections.all("expire_any", before_us) == [(False,)]:
            return 0
        if ((await self.retained()).kept_from_us or 0) < before_us:
            await self._connections.transaction(lambda session: _announce(session, before_us))

        async def expire(session: Session) -> int:
            await session.all("retention_take")
            row = await session.one("expire", before_us, limit)
            assert row is not None, "the statement tells a number"
            count: int = row[0]
            if count:
                await session.change("expire_done", count, now_us)
            return count

        return await self._connections.transaction(expire)

    async def retained(self) -> Retained:
        """See `RetentionStore.retained`."""
        ((kept_from_us, expired, expired_at_us),) = await self._connections.all("retained")
        return Retained(kept_from_us=kept_from_us or None, expired=expired, expired_at_us=expired_at_us)

    async def waiting(self, before_us: int) -> Waiting:
        """See `RetentionStore.waiting`."""
        (row,) = await self._connections.all("expire_waiting", before_us)
        return Waiting(*row)


async def _announce(session: Session, before_us: int) -> None:
    """Nobody is posting while this is written, so whoever posts afterwards has read it."""
    await session.run("attempts_lock")
    await session.change("expire_announce", before_us)

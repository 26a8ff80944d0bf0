"""The PostgreSQL store's settings that were made through the admin API."""

import msgspec

from farthing.storage.postgres.connections import Connections, Session
from farthing.types.settings import StoredSetting


class PostgresSettings:
    """See `SettingsStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def all(self) -> list[StoredSetting]:
        """See `SettingsStore.all`."""
        rows = await self._connections.all("settings")
        return [
            StoredSetting(path=path, value=msgspec.json.decode(value), changed_at_us=at_us, changed_by=who)
            for path, value, at_us, who in rows
        ]

    async def put(self, setting: StoredSetting) -> None:
        """See `SettingsStore.put`."""
        value = msgspec.json.encode(setting.value).decode()

        async def put(session: Session) -> None:
            await session.one("change_next")
            await session.change("setting_put", setting.path, value, setting.changed_at_us, setting.changed_by)

        await self._connections.transaction(put)

    async def remove(self, path: str) -> bool:
        """See `SettingsStore.remove`."""

        async def remove(session: Session) -> bool:
            await session.one("change_next")
            return await session.change("setting_remove", path) > 0

        return await self._connections.transaction(remove)

    async def counter(self) -> int:
        """See `SettingsStore.counter`; the keys' counter, which grows with these too."""
        (row,) = await self._connections.all("change_counter")
        counter: int = row[0]
        return counter

"""The memory store's settings that were made through the admin API."""

from farthing.types.settings import StoredSetting


class MemorySettings:
    """See `SettingsStore`."""

    def __init__(self) -> None:
        self._settings: dict[str, StoredSetting] = {}
        self._changes = 0

    async def all(self) -> list[StoredSetting]:
        """See `SettingsStore.all`."""
        return sorted(self._settings.values(), key=lambda setting: setting.path)

    async def put(self, setting: StoredSetting) -> None:
        """See `SettingsStore.put`."""
        self._settings[setting.path] = setting
        self._changes += 1

    async def remove(self, path: str) -> bool:
        """See `SettingsStore.remove`."""
        if self._settings.pop(path, None) is None:
            return False
        self._changes += 1
        return True

    async def counter(self) -> int:
        """See `SettingsStore.counter`."""
        return self._changes

"""What every store can do with the settings that are made through the admin API."""

from typing import Protocol

from farthing.types.settings import StoredSetting


class SettingsStore(Protocol):
    """Keeps settings by their path; there are few, and they are read as a whole."""

    async def all(self) -> list[StoredSetting]:
        """Return every one, in order of path."""
        ...

    async def put(self, setting: StoredSetting) -> None:
        """Keep one, new or in the place of the one at its path."""
        ...

    async def remove(self, path: str) -> bool:
        """Forget one; False where there is none."""
        ...

    async def counter(self) -> int:
        """Return a number that grew with every change to them, by whichever process."""
        ...

"""The settings that hold: those of the file, with those beside them that the store has from the admin API."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from farthing.config.schema import Settings
from farthing.config.stored import Layered, with_stored
from farthing.providers.registry import known_providers
from farthing.storage.protocols import Store
from farthing.types.offload import Offload
from farthing.types.settings import StoredSetting

log = logging.getLogger(__name__)


class Layers:
    """Knows both; `file` is what settings.yaml says, `stored` what the store said when it was read last."""

    def __init__(self, file: Settings, store: Store, environment: Mapping[str, str], offload: Offload) -> None:
        self.file = file
        self.stored: list[StoredSetting] = []
        self.problems: dict[str, str] = {}
        """Why stored settings do not hold, by their path."""
        self.taking_up = asyncio.Lock()
        """Held by whoever makes other settings hold."""
        self.on_taken: Callable[[Settings], None] = lambda _: None
        """Is told of settings that hold because the store says something else."""
        self._store = store
        self._environment = environment
        self._offload = offload
        self._counter: int | None = None

    async def changed(self) -> bool:
        """Read the store where it has changed; return whether it says something else about settings.

        Raises:
            StoreError: it cannot be read; nothing was changed.
        """
        counter = await self._store.settings.counter()  # before the settings: a change in between is seen next time
        if counter == self._counter:
            return False
        stored = await self._store.settings.all()
        before, self._counter, self.stored = self.stored, counter, stored
        return stored != before

    async def together(self, file: Settings) -> Settings:
        """Return what holds with this file; what of the store does not is told in the log, once."""
        if not self.stored:
            self.problems = {}
            return file
        found = await self._offload.run(lambda: self.tried(file, self.stored))
        for path, problem in found.problems.items():
            if self.problems.get(path) != problem:
                log.warning("the setting %s made through the admin API does not hold: %s", path, problem)
        self.problems = found.problems
        return found.settings

    def tried(self, file: Settings, stored: list[StoredSetting]) -> Layered:
        """Return what would hold with these."""
        return with_stored(file, stored, known_providers(), self._environment)


async def settings_with_stored(
    file: Settings, store: Store, environment: Mapping[str, str], offload: Offload
) -> Settings:
    """Return what holds in a home whose store is open, for who is no gateway.

    Raises:
        StoreError: it cannot be read.
    """
    layers = Layers(file, store, environment, offload)
    await layers.changed()
    return await layers.together(file)

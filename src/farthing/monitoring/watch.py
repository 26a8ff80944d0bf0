"""Watches over one serving process: counts its calls, writes its log lines, follows the level that is asked for.

The level is the settings', until `farthing logs level` leaves another in the home: a small file, because a file works
on every system and needs no right but that to the home. It is looked for once a second by the thread that writes the
lines, and removed when a process starts, so that a debug level that was forgotten ends with the next start.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from farthing.config.home_files import write_whole
from farthing.config.paths import Home
from farthing.config.schema import LogSettings
from farthing.errors import StoreError
from farthing.events import News
from farthing.monitoring.access_log import AccessLog
from farthing.monitoring.logs import LogLevel, Logs, as_level
from farthing.monitoring.metrics import CallMetrics
from farthing.types.calls import Attempt
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often the level that is asked for is looked at; an operator waits so long for the first debug line."""
_MAX_BYTES = 16


class Watch:
    """Starts and ends with the server."""

    def __init__(
        self,
        calls: News[Attempt],
        *,
        log_settings: Callable[[], LogSettings],
        home: Home,
        logs: Logs,
        offload: Offload,
        keeps_level: bool = False,
    ) -> None:
        """`offload` is for log lines alone: a terminal that does not scroll must not stop the ledger.

        With `keeps_level` the level that was asked for outlives our start: we are one of several processes.
        """
        self.calls = calls
        self.metrics = CallMetrics()
        self.logs = logs
        self._log_settings = log_settings
        self._level_file = level_file(home)
        self._keeps_level = keeps_level
        self._offload = offload
        self._access = AccessLog(logs.output.put)
        self._ends: list[Callable[[], None]] = []
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, in the running loop."""
        self._ends = [self.calls.subscribe(self.metrics.add), self.calls.subscribe(self._tell)]
        self.logs.output.attach(self._offload)
        if not self._keeps_level:
            await self._offload.run(lambda: self._level_file.unlink(missing_ok=True))
        self._follower = asyncio.create_task(self._follow(), name="log-level")

    async def close(self) -> None:
        """Hand out what has gathered, and let go of the loop."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])
        for end in self._ends:
            end()
        await self.logs.output.detach()
        await self._offload.close()

    def _tell(self, attempts: Sequence[Attempt]) -> None:
        if self._log_settings().access:
            self._access.add(attempts)

    async def _follow(self) -> None:
        told: str | None = None
        while True:
            settings = self._log_settings()
            asked, trouble = None, None
            try:
                asked = await self._offload.run(lambda: read_level(self._level_file))
            except StoreError:
                return  # the process is stopping
            except OSError as error:
                trouble = error.strerror
            if trouble != told and trouble is not None:
                log.warning("the level that is asked for cannot be read from %s: %s", self._level_file, trouble)
            told = trouble
            level = asked or settings.level
            self.logs.output.form = settings.format
            if level != self.logs.level:
                self.logs.set_level(level)
                log.info("log lines are written from this level on: %s", level)
            await asyncio.sleep(LOOK_S)


def level_file(home: Home) -> Path:
    """Return where the level stands that was asked for."""
    return home.path / "log-level"


def read_level(path: Path) -> LogLevel | None:
    """Return the level that was asked for; `None` when none was, or what stands there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return as_level(file.read(_MAX_BYTES).decode("ascii", "replace").strip())
    except FileNotFoundError:
        return None


def write_level(path: Path, level: LogLevel | None) -> None:
    """Ask for a level; `None` asks for the settings' own.

    Raises:
        OSError: the home cannot be written.
    """
    if level is None:
        path.unlink(missing_ok=True)
        return
    write_whole(path, level.encode("ascii"))

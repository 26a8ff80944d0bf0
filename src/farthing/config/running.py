"""What a running gateway tells other terminals: where it listens, and whom it can call.

A command in a second terminal sees that terminal's environment and the settings as they are now, not what the gateway
started with: another `--port`, keys that were exported elsewhere. So the gateway writes that down in its home, without
any secret. The note counts only while the process that wrote it holds the home's lock; what a killed one left is not
read.
"""

import os
import tempfile
from pathlib import Path

import msgspec

from farthing.config.lock import holder
from farthing.config.paths import FILE_MODE, Home
from farthing.config.schema import ServerSettings

_MAX_BYTES = 1 << 20
"""A hundred providers make 20 KB; what is larger was not written by us."""


class RunningProvider(msgspec.Struct, frozen=True):
    """A provider as the gateway has it; `ready` says that its credential was there when the gateway started."""

    name: str
    base_url: str
    credential: str
    ready: bool


class RunningSettings(msgspec.Struct, frozen=True):
    """What a gateway made of its settings file when it looked last; `told` is what its command line decides instead."""

    looked_at_us: int = 0
    problem: str | None = None
    """Why it kept what it had before; `None` while the file holds."""
    needs_restart: tuple[str, ...] = ()
    told: dict[str, str] = {}
    started: ServerSettings | None = None
    """What the file said of the server when it started: of that, some holds until it ends."""


class Running(msgspec.Struct, frozen=True):
    """The gateway that serves a home now; `url` is how clients reach it."""

    pid: int
    host: str
    port: int
    url: str
    providers: tuple[RunningProvider, ...]
    settings: RunningSettings = RunningSettings()
    admin_token_chosen: bool = False
    """Whether its environment says what the admin token is; then no admin link counts."""

    def provider(self, name: str) -> RunningProvider | None:
        """Return what the gateway has under that name."""
        return next((provider for provider in self.providers if provider.name == name), None)


def has_looked(home: Home, running: Running) -> bool:
    """Whether the gateway has looked at the settings file as it is now; it does so within two seconds of a change."""
    try:
        changed_us = home.settings.stat().st_mtime_ns // 1_000
    except OSError:
        return True  # there is nothing to look at
    return not 0 < running.settings.looked_at_us < changed_us


def write_running(home: Home, running: Running) -> None:
    """Leave the note, whole or not at all; the caller holds the home's lock.

    Raises:
        OSError: the home cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=".running-", dir=home.path)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(running))
        draft.chmod(FILE_MODE)
        draft.replace(home.running)
    finally:
        draft.unlink(missing_ok=True)


def read_running(home: Home) -> Running | None:
    """Return what the gateway that serves this home says of itself; `None` where none does, or it cannot be read."""
    pid = holder(home.lock)
    if pid is None:
        return None
    try:
        with home.running.open("rb") as file:
            found = msgspec.json.decode(file.read(_MAX_BYTES), type=Running)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.pid == pid else None

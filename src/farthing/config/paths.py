"""Where things are kept: one folder per installation, called the home, readable by its owner only.

The folder differs per system because people look for it (and back it up) where their system keeps such things.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from farthing.errors import ConfigError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class Home(msgspec.Struct, frozen=True):
    """The home and the names inside it; nothing here touches the disk but `create`."""

    path: Path

    @property
    def settings(self) -> Path:
        """The operator's file; written once, afterwards theirs."""
        return self.path / "settings.yaml"

    @property
    def database(self) -> Path:
        """The ledger and the keys."""
        return self.path / "farthing.db"

    @property
    def journal(self) -> Path:
        """The folder of journals, one file per worker."""
        return self.path / "journal"

    @property
    def prices(self) -> Path:
        """The folder of price lists that took the place of the one that comes with Farthing."""
        return self.path / "prices"

    @property
    def pepper(self) -> Path:
        """The secret under which client keys are hashed; without it no key verifies."""
        return self.path / "pepper"

    @property
    def lock(self) -> Path:
        """Held by the process that serves this home; holds its pid."""
        return self.path / "lock"

    @property
    def running(self) -> Path:
        """Where the gateway that serves this home says at which address, and whom it calls."""
        return self.path / "running.json"

    def create(self) -> None:
        """Make the home and its journal folder where they are missing, and take others' access away.

        Raises:
            ConfigError: the folder cannot be made, or is not a folder.
        """
        try:
            for folder in (self.path, self.journal):
                folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
                if os.name == "posix" and folder.stat().st_mode & 0o077:
                    folder.chmod(DIRECTORY_MODE)
        except OSError as error:
            raise ConfigError(
                f"Cannot use {str(self.path)!r} as the home: {error.strerror or error}.",
                hint="choose another folder with --home or FARTHING_HOME.",
            ) from error


def find_home(option: str | None, environment: Mapping[str, str], *, platform: str = sys.platform) -> Home:
    """Return the home: `option` (--home), else FARTHING_HOME, else the system's own place.

    Raises:
        ConfigError: neither is given and the system tells no home directory.
    """
    chosen = option or environment.get("FARTHING_HOME")
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return Home((Path(local) if local else _user_home(environment) / "AppData" / "Local") / "Farthing")
    if platform == "darwin":
        return Home(_user_home(environment) / "Library" / "Application Support" / "Farthing")
    # The XDG specification says that a relative path there is to be ignored.
    data = environment.get("XDG_DATA_HOME", "")
    return Home((Path(data) if data.startswith("/") else _user_home(environment) / ".local" / "share") / "farthing")


def _user_home(environment: Mapping[str, str]) -> Path:
    told = environment.get("HOME") or environment.get("USERPROFILE")
    if told:
        return Path(told)
    try:
        return Path.home()
    except RuntimeError as error:
        raise ConfigError("This account has no home directory.", hint="choose a folder with --home.") from error

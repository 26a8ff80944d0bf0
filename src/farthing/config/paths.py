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


_MADE_BY_US = frozenset({"farthing.db", "farthing.db-wal", "pepper", "master.key", "settings.schema.json", "restoring"})
"""What nobody else makes. settings.yaml is not among them: it is written by hand, and other programs have one too."""


class Home(msgspec.Struct, frozen=True):
    """The home and the names inside it; nothing touches the disk but `create`, `recognise` and what they ask."""

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
    def master_key(self) -> Path:
        """The key that providers' credentials are sealed under, where neither environment nor keyring has it."""
        return self.path / "master.key"

    @property
    def lock(self) -> Path:
        """Held by the process that serves this home; holds its pid."""
        return self.path / "lock"

    @property
    def running(self) -> Path:
        """Where the gateway that serves this home says at which address, and whom it calls."""
        return self.path / "running.json"

    @property
    def limits(self) -> Path:
        """Where the gateway says what providers told it about the limits of its credentials."""
        return self.path / "limits.json"

    def recognise(self) -> None:
        """Raise unless Farthing has made something here: of any other folder an empty ledger would be made up.

        Raises:
            ConfigError: it is not there, no folder, closed to us, or none of ours.
        """
        try:
            ours = self.is_ours()
        except FileNotFoundError:
            raise ConfigError(f"There is no home at {str(self.path)!r}.", hint=_FIRST_SERVE) from None
        except NotADirectoryError:
            raise ConfigError(f"{str(self.path)!r} is no folder, so no home.", hint=_FIRST_SERVE) from None
        except OSError as error:
            from farthing.config.home_files import way_out  # noqa: PLC0415 (it needs this module)

            raise ConfigError(
                f"The home {str(self.path)!r} cannot be read: {error.strerror}.", hint=way_out(error, self.path)
            ) from error
        if not ours:
            raise ConfigError(f"{str(self.path)!r} is no home of Farthing: nothing in it is its.", hint=_FIRST_SERVE)

    def is_ours(self) -> bool:
        """Whether Farthing has made something here that only it makes.

        Raises:
            OSError: it is no folder, or closed to us.
        """
        names = os.listdir(self.path)  # noqa: PTH208 - only names are asked for
        return not _MADE_BY_US.isdisjoint(names) or any(self.journal.glob("*.journal"))

    def outlived_the_database(self) -> list[str]:
        """Return what is here and is made only beside a database: where that is missing, it was lost."""
        names = [name for name in ("pepper", "master.key", "farthing.db-wal") if (self.path / name).exists()]
        return [*names, "journal"] if any(self.journal.glob("*.journal")) else names

    def create(self) -> None:
        """Make the home and its journal folder where they are missing, and take others' access away.

        A folder that others may enter and that holds something which is not ours is left as it is: closed to them,
        `/etc` named by mistake would take the machine down.

        Raises:
            ConfigError: the folder cannot be made, is not a folder, or is somebody's who shares it.
        """
        from farthing.config.home_files import give_folder_to_owner, way_out  # noqa: PLC0415 (it needs this module)

        try:
            for folder in (self.path, self.journal):
                is_new = not folder.is_dir()
                folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
                if is_new and folder == self.journal:
                    give_folder_to_owner(folder)
                if os.name == "posix" and folder.stat().st_mode & 0o077:
                    if folder == self.path and not is_new:
                        self._refuse_shared()
                    folder.chmod(DIRECTORY_MODE)
        except OSError as error:
            raise ConfigError(
                f"Cannot use {str(self.path)!r} as the home: {error.strerror or error}.", hint=way_out(error, self.path)
            ) from error

    def _refuse_shared(self) -> None:
        """Raise where the folder holds something and nothing in it is ours, so that it is not ours to close.

        Raises:
            ConfigError: it is so.
            OSError: it cannot be read.
        """
        if self.is_ours():
            return
        others = set(os.listdir(self.path)) - _IN_EMPTY_FOLDERS  # noqa: PTH208 - only names are asked for
        if self.journal.is_dir() and not any(self.journal.iterdir()):  # what `create` makes, and nothing was put in
            others.discard(self.journal.name)
        if others:
            raise ConfigError(
                f"{str(self.path)!r} is open to other accounts and holds files that are not Farthing's, such as"
                f" {min(others)!r}; as a home it would be closed to them. Nothing was changed.",
                hint=f"name an empty or a new folder with --home; if it is meant for Farthing: chmod 700 {self.path}",
            )


_IN_EMPTY_FOLDERS = frozenset({"lost+found"})
"""What the system itself puts into a new volume."""

_FIRST_SERVE = 'the first "farthing serve" makes it; if yours is elsewhere, name it with --home or FARTHING_HOME.'


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

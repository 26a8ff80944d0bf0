"""Where the ledger is kept: in the home's own file, or in a PostgreSQL that several hosts share.

A URL of a database holds a password, and settings are copied into tickets and repositories: so it is read from the
environment or a file, as a provider's key is, and one with a password in settings.yaml is refused without repeating it.
Commands that read the ledger work while the settings are wrong, as far as that can be: what they need is this alone.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from farthing.config.paths import FILE_MODE, Home
from farthing.config.schema import StorageSettings
from farthing.errors import ConfigError
from farthing.types.identity import RandomBytes

_MAX_URL_BYTES = 4_096
"""Ten times the longest with every option."""


def database_url(storage: StorageSettings, environment: Mapping[str, str]) -> str | None:
    """Return the URL of the shared database; `None` where the ledger is a file of the home.

    Raises:
        ConfigError: the variable or the file that holds it is missing or empty.
    """
    told = storage.url
    if told is None:
        return None
    kind, _, name = told.partition(":")
    if kind == "env":
        url = environment.get(name, "").strip()
        if not url:
            raise ConfigError(
                f"The environment variable {name}, which storage.url names, is not set or empty.",
                hint="set it to the database's URL where Farthing is started.",
            )
        return url
    if kind == "file":
        try:
            with Path(name).expanduser().open("rb") as file:
                url = file.read(_MAX_URL_BYTES).decode("utf-8", "replace").strip()
        except OSError as error:
            raise ConfigError(f"{name!r}, which storage.url names, cannot be read: {error.strerror}.") from error
        if not url:
            raise ConfigError(f"{name!r}, which storage.url names, is empty.", hint="put the database's URL there.")
        return url
    return told


def database_of(home: Home, environment: Mapping[str, str]) -> str | None:
    """Return the URL of a home's shared database as its settings say; `None` where the ledger is a file of the home.

    Raises:
        ConfigError: as `database_url`; or the settings cannot be read, and there is no such file either; or there is
            one, and the settings say that the ledger is elsewhere.
    """
    if not _may_say(home.settings):
        return None
    from farthing.config.load import read_tree  # noqa: PLC0415  (a status line must not pay for it)
    from farthing.config.problems import Problems  # noqa: PLC0415
    from farthing.config.sections import read_section  # noqa: PLC0415

    problems = Problems(str(home.settings))
    try:
        root = read_tree(home.settings, problems)
        given = read_section(root.entries["storage"][1], StorageSettings, "storage", problems) if _says(root) else {}
        problems.raise_if_any()
        url = database_url(StorageSettings(**given), environment)
    except ConfigError:
        if home.database.exists():
            return None
        raise
    if url is not None:
        refuse_two_ledgers(home)
    return url


def refuse_two_ledgers(home: Home) -> None:
    """Raise where the home has a ledger of its own beside the one that its settings name.

    Raises:
        ConfigError: calls would be missing from whatever is shown.
    """
    if home.database.exists():
        raise ConfigError(
            f"storage.url names another database, and {str(home.database)!r} holds a ledger as well.",
            hint='"farthing storage migrate --to URL" brings it there, and completes a move that was interrupted.',
        )


def home_name(home: Home, random_bytes: RandomBytes) -> str:
    """Return what tells this home from others that share a database, made at the first start.

    It is in no backup: a copy of a home is another home, and what one has leased the other must not give back.

    Raises:
        ConfigError: it cannot be read or made.
    """
    path = home.path / "name"
    try:
        if not path.exists():
            draft = path.with_name(f"name.new-{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            try:
                os.write(descriptor, random_bytes(8).hex().encode())
            finally:
                os.close(descriptor)
            try:
                os.link(draft, path)
            except FileExistsError:
                pass  # another process was first; theirs counts
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{str(path)!r} cannot be used: {error}.", hint="check who owns it and the folder."
        ) from error


_COMMENTS = re.compile(rb"^[ \t]*(#.*)?\n", re.MULTILINE)
_EMPTY_SECTION = re.compile(rb"^storage:[ \t]*(#.*)?\n(?![ \t])", re.MULTILINE)


def _may_say(settings: Path) -> bool:
    """Whether the file may say anything of storage; most say nothing, and need not be understood for that."""
    try:
        text = _COMMENTS.sub(b"", settings.read_bytes() + b"\n")
    except FileNotFoundError:
        return settings.is_symlink()
    except OSError:
        return True
    return b"storage" in _EMPTY_SECTION.sub(b"", text)


def _says(root: object) -> bool:
    return "storage" in getattr(root, "entries", {})

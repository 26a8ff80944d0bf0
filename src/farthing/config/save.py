"""Put a new text in the place of settings.yaml: one writer at a time, whole or not at all, the old texts kept.

Who reads the file needs no lock: it is replaced by a rename, so there is always a whole one under its name. Who changes
it holds a lock from reading to writing, so that of two commands at once neither undoes the other. An editor knows
nothing of that lock; so the file is compared once more before it is replaced.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from farthing.config.home_files import give_to_owner, open_lock_file, way_out
from farthing.config.load import refuse_link_to_nothing
from farthing.config.lock import holder, lock_in_time
from farthing.config.problems import quoted
from farthing.config.schema import Settings
from farthing.errors import ConfigError

BACKUP_SUFFIX = ".bak"
"""What the file said before the last change stands beside it with this behind its name; before that, `.bak.2`..."""
KEEP_BACKUPS = 10
"""Ten changes back is a day's work on a file that is changed a few times a year."""

_PATIENCE_S = 5.0
"""A change takes 30 ms, most of it to read the settings twice; whoever waits longer waits for a process that hangs."""


@contextmanager
def settings_lock(path: Path, *, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Keep other commands from changing the file until the block ends.

    Raises:
        ConfigError: another one is at it for longer than `patience_s`, or nothing can be written there.
    """
    refuse_link_to_nothing(path)  # a circle could not be resolved
    path = path.resolve()
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = open_lock_file(lock)
    except OSError as error:
        raise unwritable(lock, error) from error
    try:
        if not lock_in_time(descriptor, patience_s):
            raise ConfigError(
                f"{str(path)!r} is being changed by another command.", hint="that takes moments; try again."
            )
        yield
    finally:
        os.close(descriptor)


def read_text(path: Path) -> str | None:
    """Return what the file says now, `None` where there is none; `load_settings` has bounded and checked it."""
    try:
        with path.open("rb") as file:
            return file.read().decode("utf-8")
    except FileNotFoundError:
        return None


def refuse_lost(path: Path) -> None:
    """Raise where the file is gone under a gateway: it goes on with what the file said, which a new one would undo.

    Raises:
        ConfigError: a process serves the home that the file was in.
    """
    pid = holder(path.with_name("lock"))
    if pid is None:
        return
    newest = path.with_name(path.name + BACKUP_SUFFIX)
    kept = f" {str(newest)!r} is what it said before the last change." if newest.exists() else ""
    raise ConfigError(
        f"{str(path)!r} is gone, and the running gateway (pid {pid}) goes on with what it said: a new file would take"
        " that from it. Nothing was changed.",
        hint=f"put the file back first.{kept}",
    )


def replace_text(path: Path, raw: str | None, text: str, check: Callable[[Path], Settings]) -> Settings:
    """Put `text` in the place of `raw`, which was read under the lock; return what `check` makes of the new file.

    `check` is given a draft of the file, and raises where it must not become the file. Then nothing is changed.

    Raises:
        ConfigError: the check failed, somebody else changed the file meanwhile, or it cannot be written.
    """
    path = path.resolve()  # a link stays one
    try:
        descriptor, draft_name = tempfile.mkstemp(prefix=".settings-", suffix=".yaml", dir=path.parent)
        draft = Path(draft_name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                give_to_owner(file.fileno(), path.parent)
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            after = _checked(draft, check)
            if read_text(path) != raw:
                raise ConfigError(f"{str(path)!r} was changed by somebody else meanwhile.", hint="try again.")
            if raw is not None:
                _take_after(draft, path)
                _keep(path, raw)
            draft.replace(path)
            _sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return after


def keep_version(path: Path, raw: str, version: int) -> Path:
    """Keep what a file of an older version said, under a name that no later change takes; return that name.

    Raises:
        ConfigError: it cannot be written.
    """
    path = path.resolve()
    kept = version_backup(path, version)
    if not kept.exists():
        try:
            _write_whole(kept, raw, path)
        except OSError as error:
            raise unwritable(kept, error) from error
    return kept


def version_backup(path: Path, version: int) -> Path:
    """Return where what a file of this version said is kept."""
    return path.with_name(f"{path.name}.version-{version}{BACKUP_SUFFIX}")


def unwritable(path: Path, error: OSError) -> ConfigError:
    """Return the error for a place that cannot be written."""
    return ConfigError(f"{str(path)!r} cannot be written: {error.strerror}.", hint=way_out(error, path.parent))


def _checked(draft: Path, check: Callable[[Path], Settings]) -> Settings:
    try:
        return check(draft)
    except ConfigError as error:
        raise ConfigError(f"That would make the settings wrong; nothing was changed.\n{error.message}") from error


def _take_after(draft: Path, path: Path) -> None:
    """Give the new file the mode and the owner of the old one, or whoever serves with it could not read it any more."""
    state = path.stat()
    draft.chmod(state.st_mode & 0o777)
    if os.name == "posix" and (state.st_uid, state.st_gid) != (draft.stat().st_uid, draft.stat().st_gid):
        try:
            os.chown(draft, state.st_uid, state.st_gid)
        except PermissionError:
            owner = quoted(str(state.st_uid))
            raise ConfigError(
                f"{str(path)!r} belongs to another account (uid {owner}), which could not read it afterwards.",
                hint="run this command as that account; nothing was changed.",
            ) from None


def _keep(path: Path, raw: str) -> None:
    """Keep what the file said as the newest backup; what is beyond the bound goes."""
    newest = path.with_name(path.name + BACKUP_SUFFIX)
    names = [newest, *(path.with_name(f"{newest.name}.{number}") for number in range(2, KEEP_BACKUPS + 1))]
    for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
        with suppress(FileNotFoundError):
            newer.replace(older)
    _write_whole(newest, raw, path)


def _write_whole(path: Path, text: str, like: Path) -> None:
    """Put the text at `path`, for whom the file `like` is."""
    descriptor, name = tempfile.mkstemp(prefix=".settings-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        _take_after(draft, like)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

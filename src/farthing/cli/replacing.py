"""Put what was restored in the place of what is there, which is kept aside; where names cannot be moved, by copying.

A name is moved in one step, and that is what a restore prefers. What surprised us is how often it cannot be done. In a
container `settings.yaml` is often a mount of its own: it can be written and not replaced. `prices` or `journal` may lie
on another disk. Some file systems know no second name for a file. So before a restore is decided each place is looked
at (`refuse_closed`), and afterwards whatever cannot be moved is copied. Every step says in the decided folder that it
was done, so that a restore which was killed is gone on with and not begun again.

A link at `settings.yaml` is the operator's and stays one: what it names is written. Root does that only where the link
is root's, or leads to a file of the link's owner: a service's account must not lead root to another file.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from farthing.cli.backup import DATABASE, FILES, JOURNAL, PRICES, SETTINGS, UNPACKED
from farthing.config.home_files import give_folder_to_owner, give_to_owner, way_out
from farthing.config.load import refuse_link_to_nothing
from farthing.config.paths import FILE_MODE, Home
from farthing.errors import ConfigError, StoreError
from farthing.storage.sqlite.database import RESTORING

_SIDE_FILES = ("farthing.db-wal", "farthing.db-shm")
"""They belong to the database that is moved aside; beside another one they would be poison."""

_UNMOVABLE = frozenset({errno.EXDEV, errno.EBUSY, errno.ENOTEMPTY, errno.EEXIST})
"""What a move says of another file system, of a mount, and of a folder that is there because it could not be moved."""


def refuse_closed(home: Home, restored: Collection[str], aside: Path) -> None:
    """Raise where a restore of these names could not be completed in this home; nothing was decided yet.

    `aside` is a folder of ours in the home, to try things in.

    Raises:
        ConfigError: a place cannot be written or cleared; the message says which one.
    """
    refuse_link_to_nothing(home.settings)
    for name in (*_SIDE_FILES, *FILES, PRICES, DATABASE, JOURNAL):
        place = home.path / name
        try:
            if place.is_dir():
                if name in restored and (name == JOURNAL or _is_mount(place, aside)):
                    tempfile.TemporaryFile(dir=place).close()
            elif name in restored and (_written_through(place) or _is_mount(place, aside)):
                os.close(_open_through(place))
        except OSError as error:
            raise ConfigError(
                f"{str(place)!r} cannot be written: {error.strerror}. Nothing was restored.",
                hint=way_out(error, place.parent),
            ) from error
        stays = place.is_dir() and name in (PRICES, JOURNAL)  # emptied, or left as it is
        if not stays and name not in restored and _is_mount(place, aside):
            raise ConfigError(
                f"{str(place)!r} is a mount of its own and cannot be moved, and the backup has nothing for its place."
                " Nothing was restored.",
                hint="unmount it first.",
            )


def finish_restore(home: Home) -> Path | None:
    """Put what was decided in its place; may be interrupted and begun again. Returns where the old home is kept.

    Raises:
        StoreError: a place cannot be written; what was done stays done.
    """
    try:
        return _finish(home)
    except OSError as error:
        where = f"{str(error.filename2 or error.filename)!r}: " if error.filename is not None else ""
        raise StoreError(
            f"The restore into {str(home.path)!r} cannot be completed yet: {where}{error.strerror or error}.",
            hint=f'{way_out(error, home.path).removesuffix(".")}; then "farthing restore --finish" completes it.',
        ) from error


def keep_aside(source: Path, old: Path, *, stays: bool) -> None:
    """Move to the old home's folder.

    A file that `stays` is there under two names, or twice, until the new one takes its place: were there no database
    for a moment, a command could take the home for a new one.
    """
    is_folder = source.is_dir() and not source.is_symlink()
    if is_folder and not any(source.iterdir()):
        with suppress(OSError):  # a mount stays, and holds nothing
            source.rmdir()
        return
    if not old.exists():
        old.mkdir(mode=0o700)
        give_folder_to_owner(old)
    target = _kept_name(source, old, stays=stays)
    if target is None:
        return
    if is_folder:
        _keep_folder(source, target)
    elif not (stays and source.is_file()):
        source.rename(target)
    elif _written_through(source):
        _copy_whole(source, target)
    else:
        try:
            os.link(source, target)
        except OSError:  # a mount, or a file system without second names; whatever else it is, copying tells
            _copy_whole(source, target)


def sync_folder(folder: Path) -> None:
    """Make renames in the folder last; where folders cannot be opened, the system sees to it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _finish(home: Home) -> Path | None:
    decided = home.path / RESTORING
    old = home.path / f"replaced-{(decided / 'stamp').read_text(encoding='ascii')}"
    for name in (*_SIDE_FILES, *FILES, PRICES, DATABASE):
        place, unpacked, mark = home.path / name, decided / name, decided / f"{name}.kept"
        if not mark.exists():
            if os.path.lexists(place):
                keep_aside(place, old, stays=unpacked.exists())
                if old.exists():
                    sync_folder(old)
            mark.touch(FILE_MODE)  # from here on what is in that place is ours, also if it is half written
            sync_folder(decided)
        if unpacked.is_dir():
            _put_folder(unpacked, place)
        elif unpacked.exists():
            _put(unpacked, place)
    for path in sorted((decided / JOURNAL).glob("*")):
        if not (home.journal / path.name).exists():  # the one that is there has what came after the backup, too
            _put(path, home.journal / path.name)
    over = home.path / f"{UNPACKED}over"
    decided.rename(over)
    shutil.rmtree(over)
    return old if old.exists() else None


def _kept_name(source: Path, old: Path, *, stays: bool) -> Path | None:
    """Return a free name in the old home's folder; `None` where an interrupted restore has kept this very file."""
    target, number = old / source.name, 1
    while os.path.lexists(target):
        if source.is_dir() and target.is_dir():  # half of it was copied; it is gone on with
            return target
        if stays and source.is_file() and target.is_file() and (target.samefile(source) or _are_equal(target, source)):
            return None
        number += 1
        target = old / f"{source.name}.{number}"
    return target


def _keep_folder(source: Path, target: Path) -> None:
    """Move a folder; of one that cannot be moved, the files, which is all that we make in one."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in _UNMOVABLE:
            raise
        if not target.exists():
            target.mkdir(mode=0o700)
            give_folder_to_owner(target)
        for path in sorted(source.iterdir()):
            if path.is_file():
                _copy_whole(path, target / path.name)
                path.unlink()
        sync_folder(target)


def _put_folder(source: Path, place: Path) -> None:
    try:
        source.replace(place)
    except OSError as error:
        if error.errno not in _UNMOVABLE:
            raise
        for path in sorted(source.iterdir()):
            _put(path, place / path.name)
        source.rmdir()


def _put(source: Path, place: Path) -> None:
    """Put a file in its place, which may be a link's or a mount's."""
    if not _written_through(place):
        try:
            source.replace(place)
        except OSError as error:
            if error.errno not in _UNMOVABLE:
                raise
        else:
            return
        if not os.path.lexists(place):
            _copy_whole(source, place)
            source.unlink()
            return
    with source.open("rb") as content, os.fdopen(_open_through(place), "wb") as file:
        shutil.copyfileobj(content, file)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    source.unlink()


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file to a name in another folder, whole or not at all, for that folder's owner only."""
    draft = target.with_name(f".{target.name}.part")  # no name of a journal; a later try writes over it
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), FILE_MODE)
    with source.open("rb") as content, os.fdopen(descriptor, "wb") as file:
        give_to_owner(file.fileno(), target.parent)
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
    sync_folder(target.parent)


def _open_through(place: Path) -> int:
    """Open a file to write it where it is: behind a link, or mounted.

    Raises:
        OSError: it can only be read; or we are root, and a link that is not root's leads to another account's file.
    """
    descriptor = os.open(place, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    if os.name == "posix" and os.geteuid() == 0 and place.is_symlink():
        owner = place.lstat().st_uid
        if owner not in (0, os.fstat(descriptor).st_uid):
            os.close(descriptor)
            raise PermissionError(errno.EPERM, "the link belongs to one account and the file to another", str(place))
    return descriptor


def _written_through(place: Path) -> bool:
    return place.name == SETTINGS and place.is_symlink()


def _is_mount(place: Path, aside: Path) -> bool:
    """Whether the file or folder is a mount. `os.path.ismount` knows no file that is mounted within a file system."""
    if place.is_symlink() or not place.exists():
        return False
    if place.stat().st_dev != place.parent.stat().st_dev:
        return True
    probe = aside / "probe"
    try:
        os.link(place, probe)  # across mounts it is refused before anything else is looked at
    except OSError as error:
        return error.errno == errno.EXDEV
    probe.unlink()
    return False


def _are_equal(one: Path, other: Path) -> bool:
    import filecmp  # noqa: PLC0415  (only after an interrupted restore)

    return filecmp.cmp(one, other, shallow=False)

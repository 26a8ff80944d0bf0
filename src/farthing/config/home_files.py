"""Write files into a home so that whoever it belongs to can read them.

A home often belongs to a service's account, and root runs commands on it. What root wrote there for itself alone, the
gateway could not read: the admin's page answers 401, a log level is not followed, and nobody knows why. So what root
makes in a home is given to the home's owner. What surprised us: that must be done by the open file and never by its
name. Names in that folder are the other account's to change, and root could be led to give away another file.
"""

import errno
import os
from pathlib import Path

from farthing.config.paths import FILE_MODE


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Give a file that we have just made to the owner of the folder it is in, where we are root and they are not."""
    if os.name != "posix" or os.geteuid() != 0:
        return
    owner, made = folder.stat(), os.fstat(descriptor)
    if (owner.st_uid, owner.st_gid) != (made.st_uid, made.st_gid):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def give_folder_to_owner(folder: Path) -> None:
    """Give a folder that we have just made to the owner of the folder it is in."""
    if os.name != "posix" or os.geteuid() != 0:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        give_to_owner(descriptor, folder.parent)
    finally:
        os.close(descriptor)


def open_lock_file(path: Path) -> int:
    """Open a file that is there to be locked, made where it is missing; a link to another file is not followed.

    Raises:
        OSError: it cannot be opened or made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        return os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    give_to_owner(descriptor, path.parent)
    return descriptor


def write_whole(path: Path, data: bytes) -> None:
    """Put a file with this content at `path`, whole or not at all, for the folder's owner only.

    Raises:
        OSError: the folder cannot be written; nothing was changed.
    """
    import tempfile  # noqa: PLC0415  (brings random and hashlib; most commands write nothing)

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600, and nobody's before
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(file.fileno(), path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_once(path: Path, data: bytes) -> bool:
    """Put a file with this content at `path`, whole, for the folder's owner only, unless there is one.

    Returns whether it was made: of two who try at the same moment one is first, and both find the same file.

    Raises:
        OSError: the folder cannot be written; nothing was changed.
    """
    import tempfile  # noqa: PLC0415  (brings random and hashlib; most commands write nothing)

    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.new-", dir=path.parent)  # for our eyes only
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(file.fileno(), path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def way_out(error: OSError, folder: Path) -> str:
    """Return what helps when a file in this folder cannot be opened or written."""
    match error.errno:
        case errno.EROFS:
            return "the file system can only be read; copy the home to where it can be written, or mount it so."
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full, or its quota reached: make room."
        case errno.EACCES | errno.EPERM:
            return f"it belongs to {_owner_of(folder)}; run this as that account, or name another home with --home."
        case errno.ENOTDIR | errno.EEXIST:
            return "choose another folder with --home or FARTHING_HOME."
        case _:
            return "check the folder's owner and the free space."


def _owner_of(folder: Path) -> str:
    try:
        return f"the account {folder.owner()!r}"
    except (OSError, KeyError, NotImplementedError):  # it cannot be looked at, has no name here, or this is Windows
        return "another account"

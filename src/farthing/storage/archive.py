"""A backup in one file: a compressed tar whose first member says what the others are and what they must hash to.

Reading trusts nothing: names are compared with a short list of shapes before anything is written, sizes and sums while
it is written, and an archive that is not whole, not ours, or of a later kind is an error that says so. What surprised
us: `tarfile` takes an archive that was cut between two members for a complete one, so the members are counted.
"""

import hashlib
import io
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import msgspec

from farthing.errors import StoreError

KIND = "farthing backup"
VERSION = 1
"""Of this format; a later one is refused, because what it means is not known here."""

FILE_MODE = 0o600
FOLDER_MODE = 0o700
MAX_MANIFEST_BYTES = 1 << 20
"""Each file takes 150 bytes of it, and a home has a few hundred files at most (the journal's bound is 256 segments)."""
MAX_FILES = 4_096

_MANIFEST, _SUM = "manifest.json", "manifest.sha256"
_NAMES = re.compile(r"(settings\.yaml|farthing\.db|pepper|admin|(journal|prices)/[A-Za-z0-9][A-Za-z0-9._-]{0,200})")
_PIECE = 1 << 20
_COMPRESSION = 1  # a database shrinks to a fifth; the best level gains a tenth more and takes six times as long


class ArchiveUnusable(StoreError):
    """The file is no backup, or a damaged one, or a newer Farthing's."""


class ArchivedFile(msgspec.Struct, frozen=True):
    """A file of the home: its path inside, its size, and the SHA-256 of what is in it."""

    name: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is: by which Farthing, of what time, and what is in it."""

    kind: str
    version: int
    farthing: str
    made_at_us: int
    database_version: int | None
    files: tuple[ArchivedFile, ...]


class _Head(msgspec.Struct, frozen=True):
    """What a manifest of every version has."""

    kind: str
    version: int
    farthing: str = "?"


def write_archive(
    target: Path, files: Mapping[str, Path], *, farthing: str, made_at_us: int, database_version: int | None
) -> Manifest:
    """Write these files, which nobody changes meanwhile, under these names into the new file `target`.

    Raises:
        StoreError: it cannot be written; what there is of it is the caller's to remove.
    """
    assert all(_NAMES.fullmatch(name) for name in files), list(files)
    assert len(files) <= MAX_FILES, len(files)
    listed = tuple(ArchivedFile(name, path.stat().st_size, _sum_of(path)) for name, path in files.items())
    manifest = Manifest(
        kind=KIND,
        version=VERSION,
        farthing=farthing,
        made_at_us=made_at_us,
        database_version=database_version,
        files=listed,
    )
    told = msgspec.json.encode(manifest)
    try:
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=_COMPRESSION) as tar:
                _add_bytes(tar, _MANIFEST, told)
                _add_bytes(tar, _SUM, hashlib.sha256(told).hexdigest().encode())
                for one in listed:
                    member = tarfile.TarInfo(one.name)
                    member.size, member.mode = one.size_bytes, FILE_MODE
                    with files[one.name].open("rb") as content:
                        tar.addfile(member, content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(
            f"The backup {str(target)!r} cannot be written: {error.strerror or error}.",
            hint="choose another place, or make room.",
        ) from error
    return manifest


def read_archive(archive: Path, into: Path) -> Manifest:
    """Write the files of a backup into the empty folder `into`, and on the disk; return what the backup says of itself.

    Raises:
        ArchiveUnusable: it is no backup, or damaged, or newer than this program; `into` is the caller's to remove.
        StoreError: it cannot be read, or there is no room.
    """
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r|gz") as tar:
            manifest = _read_manifest(tar, archive)
            _look_for_room(manifest, into)
            for listed in manifest.files:
                _extract(tar, listed, into, archive)
            if tar.next() is not None:
                raise _damaged(archive, "there is more in it than it lists")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _damaged(archive, str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno is None:  # gzip's own
            raise _damaged(archive, str(error)) from error
        raise StoreError(
            f"The backup {str(archive)!r} cannot be unpacked into {str(into)!r}: {error.strerror}."
        ) from error
    return manifest


def _read_manifest(tar: tarfile.TarFile, archive: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != _MANIFEST or not first.isreg() or first.size > MAX_MANIFEST_BYTES:
        raise ArchiveUnusable(f"{str(archive)!r} is no backup of Farthing.", hint='one is made by "farthing backup".')
    told = _content(tar, first).read()
    second = tar.next()
    if second is None or second.name != _SUM or second.size != hashlib.sha256().digest_size * 2:
        raise _damaged(archive, "its list has no checksum")
    if _content(tar, second).read() != hashlib.sha256(told).hexdigest().encode():
        raise _damaged(archive, "its list does not have its checksum")
    try:
        head = msgspec.json.decode(told, type=_Head)
        if head.kind == KIND and head.version > VERSION:
            raise ArchiveUnusable(
                f"The backup {str(archive)!r} is of kind {head.version}, made by Farthing {head.farthing!r}; this"
                f" program knows kinds up to {VERSION}.",
                hint="install that Farthing, or a newer one, and restore with it.",
            )
        manifest = msgspec.json.decode(told, type=Manifest)
    except msgspec.MsgspecError as error:
        raise _damaged(archive, str(error)) from error
    names = [one.name for one in manifest.files]
    if manifest.kind != KIND or len(set(names)) != len(names) or len(names) > MAX_FILES:
        raise _damaged(archive, "its list makes no sense")
    for name in names:
        if not _NAMES.fullmatch(name):
            raise _damaged(archive, f"{name!r} has no place in a home")
    return manifest


def _look_for_room(manifest: Manifest, into: Path) -> None:
    needed, free = sum(one.size_bytes for one in manifest.files), shutil.disk_usage(into).free
    if needed > free:
        raise StoreError(
            f"The backup unpacks to {needed:,} bytes, and {str(into)!r} has {free:,} left.", hint="make room."
        )


def _extract(tar: tarfile.TarFile, listed: ArchivedFile, into: Path, archive: Path) -> None:
    member = tar.next()
    if member is None or member.name != listed.name or not member.isreg() or member.size != listed.size_bytes:
        raise _damaged(archive, f"{listed.name!r} is not where it should be")
    path = into / listed.name
    path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
    content, found = _content(tar, member), hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, FILE_MODE), "wb") as file:
        while piece := content.read(_PIECE):
            found.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if found.hexdigest() != listed.sha256:
        raise _damaged(archive, f"{listed.name!r} does not have its checksum")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    assert content is not None, member.name  # it is a regular file
    return content


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), FILE_MODE
    tar.addfile(member, io.BytesIO(content))


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(archive: Path, why: str) -> ArchiveUnusable:
    return ArchiveUnusable(
        f"The backup {str(archive)!r} is damaged: {why}. Nothing was restored.", hint="take another backup."
    )

"""A backup in one file: a compressed tar whose first member says what the others are and what they must hash to.

Reading trusts nothing: names are compared with a short list of shapes before anything is written, sizes and sums while
it is written, and an archive that is not whole, not ours, or of a later kind is an error that says so. What surprised
us: `tarfile` takes an archive that was cut between two members for a complete one, so the members are counted. And it
reads a member's further headers into memory however long they are, and one behind the other by recursion, so that 7 MB
on the disk can take 3 GB; here the members are taken one by one, and no more is read of a header than ours can have.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

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
_MADE_BY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,63}", re.ASCII)
_LAST_MOMENT_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999: what comes after it is no date, and no backup's either."""
_MAX_RECORDS_BYTES = 4_096
"""A further header tells a name of up to 210 letters, or a size beyond 8 GB: a tenth of this."""
_PIECE = 1 << 20
_COMPRESSION = 1  # a database shrinks to a fifth; the best level gains a tenth more and takes six times as long


class ArchiveUnusable(StoreError):
    """The file is no backup, or a damaged one, or a newer Farthing's."""


class ArchivedFile(msgspec.Struct, frozen=True):
    """A file of the home: its path inside, its size, and the SHA-256 of what is in it."""

    name: str
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is: by which Farthing, of what time, and what is in it."""

    kind: str
    version: int
    farthing: str
    made_at_us: Annotated[int, msgspec.Meta(ge=0, le=_LAST_MOMENT_US)]
    database_version: int | None
    files: tuple[ArchivedFile, ...]


class _Head(msgspec.Struct, frozen=True):
    """What a manifest of every version has."""

    kind: str
    version: int
    farthing: str = "?"


def has_a_place(name: str) -> bool:
    """Whether an archive takes a file under this name."""
    return _NAMES.fullmatch(name) is not None


def write_archive(
    target: Path, files: Mapping[str, Path], *, farthing: str, made_at_us: int, database_version: int | None
) -> Manifest:
    """Write these files, which nobody changes meanwhile, under these names into the new file `target`.

    Raises:
        StoreError: they are too many, or it cannot be written; what there is of it is the caller's to remove.
    """
    assert all(has_a_place(name) for name in files), list(files)
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
    if len(files) > MAX_FILES or len(told) > MAX_MANIFEST_BYTES:
        raise StoreError(
            f"The home has {len(files):,} files, and a backup takes {MAX_FILES:,}.",
            hint="serve the home until its journal is posted, and move away what is not Farthing's.",
        )
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
        with archive.open("rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as tar:
            members = _Members(tar)
            manifest = _read_manifest(members, archive)
            _look_for_room(manifest, into)
            for listed in manifest.files:
                _extract(members, listed, into, archive)
            if members.next() is not None:
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


class _Members:
    """The members of a tar, in their order; each one's content is read before the next is asked for."""

    def __init__(self, tar: gzip.GzipFile) -> None:
        self._tar = tar
        self._left = 0
        self._padding = 0

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member, or `None` at the end.

        Raises:
            tarfile.TarError: what comes is no header, or has more to tell than a member of ours.
        """
        assert self._left == 0, self._left
        self._exactly(self._padding)
        told: dict[str, str] = {}
        member = self._header()
        if member is not None and member.type == tarfile.XHDTYPE:
            if member.size > _MAX_RECORDS_BYTES:
                raise tarfile.ReadError("a header in it is longer than any of a backup")
            told = dict(_records(self._exactly(member.size)))
            self._exactly(-member.size % tarfile.BLOCKSIZE)
            member = self._header()
            if member is None:
                raise tarfile.ReadError("it ends behind a header")
        if member is None:
            return None
        try:
            member.name, member.size = told.get("path", member.name), int(told.get("size", member.size))
        except ValueError as error:
            raise tarfile.ReadError("a header in it tells no size") from error
        if member.size < 0:
            raise tarfile.ReadError("a header in it tells a size below nothing")
        self._left, self._padding = member.size, -member.size % tarfile.BLOCKSIZE
        return member

    def content(self) -> Iterator[bytes]:
        """Yield the content of the member that came last.

        Raises:
            tarfile.TarError: the archive ends before it.
        """
        while self._left:
            piece = self._tar.read(min(_PIECE, self._left))
            if not piece:
                raise tarfile.ReadError("it ends in the midst of a file")
            self._left -= len(piece)
            yield piece

    def _header(self) -> tarfile.TarInfo | None:
        block = self._tar.read(tarfile.BLOCKSIZE)
        if not block.strip(b"\0"):  # a block of zeros is the end
            return None
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")

    def _exactly(self, size_bytes: int) -> bytes:
        found = self._tar.read(size_bytes)
        if len(found) < size_bytes:
            raise tarfile.ReadError("it ends in the midst of a file")
        return found


def _records(text: bytes) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of a further header: lines of `length key=value`, where the length counts all of it."""
    while text:
        length, blank, _ = text.partition(b" ")
        if not (blank and length.isdigit() and len(length) < 5 and len(length) + 1 < int(length) <= len(text)):
            raise tarfile.ReadError("a header in it makes no sense")
        key, _, value = text[len(length) + 1 : int(length)].removesuffix(b"\n").partition(b"=")
        yield key.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        text = text[int(length) :]


def _read_manifest(members: _Members, archive: Path) -> Manifest:
    first = members.next()
    if first is None or first.name != _MANIFEST or not first.isreg() or first.size > MAX_MANIFEST_BYTES:
        raise ArchiveUnusable(f"{str(archive)!r} is no backup of Farthing.", hint='one is made by "farthing backup".')
    told = b"".join(members.content())
    second = members.next()
    if second is None or second.name != _SUM or second.size != hashlib.sha256().digest_size * 2:
        raise _damaged(archive, "its list has no checksum")
    if b"".join(members.content()) != hashlib.sha256(told).hexdigest().encode():
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
    if not _MADE_BY.fullmatch(manifest.farthing):  # it is printed, and could tell a terminal things
        raise _damaged(archive, f"{manifest.farthing[:99]!r} is no Farthing's version")
    if not names:
        raise _damaged(archive, "it holds no files")
    for name in names:
        if not has_a_place(name):
            raise _damaged(archive, f"{name!r} has no place in a home")
    return manifest


def _look_for_room(manifest: Manifest, into: Path) -> None:
    needed, free = sum(one.size_bytes for one in manifest.files), shutil.disk_usage(into).free
    if needed > free:
        raise StoreError(
            f"The backup unpacks to {needed:,} bytes, and {str(into)!r} has {free:,} left.", hint="make room."
        )


def _extract(members: _Members, listed: ArchivedFile, into: Path, archive: Path) -> None:
    member = members.next()
    if member is None or member.name != listed.name or not member.isreg() or member.size != listed.size_bytes:
        raise _damaged(archive, f"{listed.name!r} is not where it should be")
    path = into / listed.name
    path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
    found = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, FILE_MODE), "wb") as file:
        for piece in members.content():
            found.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if found.hexdigest() != listed.sha256:
        raise _damaged(archive, f"{listed.name!r} does not have its checksum")


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

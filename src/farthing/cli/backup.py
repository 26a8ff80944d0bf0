"""`farthing backup` and `farthing restore`: everything that is kept, in one file and back.

A backup beside a running gateway is of one moment: the journal is copied first and the database after it, so whatever
was answered by then is in at least one of the two, and what is in both is posted once. Calls that were under way then
are in flight in the copy, and are settled from their last checkpoint when it is first served.

A restore is decided by one rename: before it the home is as it was, after it the restore is completed, if need be by
`farthing restore --finish`, and nothing opens the database until then. It stays inside the home, because a home is
often a mounted volume, or a folder whose parent belongs to somebody else. The journal of the home that is replaced
stays: it holds calls that were answered and that no backup has, and posting one twice changes nothing.

What surprised us is what lies in a journal's folder: an editor's copies, "old (copy).journal", folders. Whatever ends
like a journal is read as one, so it is taken, under a name that an archive has; the rest is left out and told.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, say
from farthing.cli.tables import moment

if TYPE_CHECKING:
    from farthing.config.paths import Home

SETTINGS, PRICES, JOURNAL, DATABASE = "settings.yaml", "prices", "journal", "farthing.db"
FILES = (SETTINGS, "pepper", "admin")
UNPACKED = ".restore-"
_JOURNAL_ENDS = ".journal"


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Copy ledger, keys, settings, prices and journal into one new file, also while a gateway serves them.

    PATH is the file, or a folder in which one with the date in its name is made. It tells who asked for what: keep it
    as private as the home. Keys of providers are not in it, not even those in files inside the home, but for what
    the vault has: sealed, and without the master key.
    """
    from farthing import __version__  # noqa: PLC0415  (--help must not pay for these)
    from farthing.cli.replacing import sync_folder  # noqa: PLC0415
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.config.storage_place import database_of  # noqa: PLC0415
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.storage.archive import write_archive  # noqa: PLC0415
    from farthing.storage.sqlite.copies import copy_database, usable_version  # noqa: PLC0415
    from farthing.storage.sqlite.database import refuse_half_restored, refuse_lost  # noqa: PLC0415

    home = current_home()
    home.recognise()
    refuse_half_restored(home.database)
    shared = database_of(home, os.environ)
    if shared is None:
        refuse_lost(home.database)
    now_us = SystemClock().now_us()
    if path.is_dir():
        path = _free_name(path, f"farthing-{stamp(now_us)}")
    if path.exists():
        raise ConfigError(f"{str(path)!r} is there already.", hint="choose another name, or name a folder.")
    left_out: list[str] = []
    with _folder(path.parent, f".{path.name}-") as aside:
        files = dict(_copied(home, aside, left_out))
        version = None
        if shared is None and home.database.exists():
            copy_database(home.database, aside / DATABASE)
            version = usable_version(aside / DATABASE)
            files[DATABASE] = aside / DATABASE
        draft = aside / "archive"
        made = write_archive(draft, files, farthing=__version__, made_at_us=now_us, database_version=version)
        size = draft.stat().st_size
        draft.replace(path)
        sync_folder(path.parent)
    click.echo(str(path))
    for name in left_out:
        say(f"left out: {name}, which is no file of Farthing's or cannot be read")
    unpacked = sum(one.size_bytes for one in made.files)
    files_told = "1 file" if len(made.files) == 1 else f"{len(made.files)} files"
    say(f"{files_told} of {unpacked:,} bytes in a backup of {size:,} bytes. Keep it where others cannot read it.")
    if shared is not None:  # in this order: what leaves the journal meanwhile is in the dump
        say("The ledger is not in it: it is in a PostgreSQL that hosts share. Take it with pg_dump, now, after this.")


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--replace", is_flag=True, help="Into a home that is not empty; what is there is kept aside in it.")
@click.option("--finish", is_flag=True, help="Complete a restore that was interrupted.")
def restore(path: Path | None, replace: bool, finish: bool) -> None:  # noqa: FBT001  (click's flags)
    """Put back what a backup holds, having looked at all of it first. No gateway may serve the home."""
    from farthing.cli.replacing import finish_restore  # noqa: PLC0415  (--help must not pay for these)
    from farthing.config.lock import HomeLock  # noqa: PLC0415
    from farthing.storage.sqlite.database import RESTORING  # noqa: PLC0415

    if (path is None) != finish:
        raise click.UsageError("Name the backup, or give --finish alone.")
    home = current_home()
    home.create()
    with HomeLock.acquire(home.lock, "recovery"):
        decided = home.path / RESTORING
        if path is not None:
            _stage(path, home, decided, replace=replace)
        elif not decided.is_dir():
            say("There is no interrupted restore.")
            return
        kept = finish_restore(home)
    if kept is not None:
        say(f"what was there is in {kept}, but for its journal, which stays; remove it when you need it no more")
    say('restored; "farthing ledger verify" proves that the books agree')


def _stage(path: Path, home: "Home", decided: Path, *, replace: bool) -> None:
    """Unpack and look at everything inside the home, then decide."""
    from farthing.cli.replacing import refuse_closed, sync_folder  # noqa: PLC0415  (--help must not pay for these)
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.storage.archive import read_archive  # noqa: PLC0415
    from farthing.storage.sqlite.copies import usable_version  # noqa: PLC0415
    from farthing.storage.sqlite.database import refuse_half_restored  # noqa: PLC0415

    refuse_half_restored(home.database)
    there = list(_kept(home))
    if there and not replace:
        raise ConfigError(
            f"The home {str(home.path)!r} is not empty: it has {', '.join(there)}.",
            hint="choose an empty one with --home, or give --replace: what is there is kept aside.",
        )
    for left in home.path.glob(f"{UNPACKED}*"):  # by a restore that was killed; we hold the lock
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    with _folder(home.path, UNPACKED) as aside:
        manifest = read_archive(path, aside)
        if (aside / DATABASE).exists():
            usable_version(aside / DATABASE)
        refuse_closed(home, {one.name.partition("/")[0] for one in manifest.files}, aside)
        told = f"restoring the backup that Farthing {manifest.farthing} made at {moment(manifest.made_at_us)} UTC"
        wrong = _wrong_settings(aside / SETTINGS, home)
        (aside / "stamp").write_text(_free_stamp(home), encoding="ascii")
        for one in (*aside.rglob("*"), aside):  # itself at last: until then nobody else can change a name in it
            _give(one, home.path)
        sync_folder(aside)
        aside.rename(decided)
        sync_folder(home.path)
    say(told)
    if wrong:
        say(f'warning: the settings in the backup are wrong; "farthing serve" will refuse them:\n{wrong}')


def _wrong_settings(unpacked: Path, home: "Home") -> str | None:
    """Return what is wrong with the settings of a backup.

    They are restored all the same: a file that was being edited when the backup was made must not keep the ledger back.
    """
    from farthing.config.load import load_settings  # noqa: PLC0415  (--help must not pay for these)
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    if not unpacked.exists():
        return None
    try:
        load_settings(unpacked, known=known_providers(), environment=os.environ, shown_as=home.settings)
    except ConfigError as error:
        return error.message
    return None


def _kept(home: "Home") -> Iterator[str]:
    """Yield what is in a home that a restore would replace; an empty journal is nothing."""
    for name in (*FILES, JOURNAL, PRICES, DATABASE):
        place = home.path / name
        if place.is_file() or (place.is_dir() and any(place.iterdir())):
            yield name


def _copied(home: "Home", aside: Path, left_out: list[str]) -> Iterator[tuple[str, Path]]:
    """Copy the home's plain files and yield them by name, and note what is left out.

    A journal file that is posted meanwhile may go.
    """
    from farthing.storage.archive import has_a_place  # noqa: PLC0415  (--help must not pay for it)

    taken: set[str] = set()
    for folder in (JOURNAL, PRICES):
        for source in sorted((home.path / folder).glob("*")):
            name = f"{folder}/{source.name}"
            if folder == JOURNAL and source.name.endswith(_JOURNAL_ENDS) and not has_a_place(name):
                name = _tame_name(source.name, taken)
            if not has_a_place(name) or not source.is_file():
                if not source.name.startswith(".") and os.path.lexists(source):  # a draft of ours is not worth a word
                    left_out.append(ascii(f"{folder}/{source.name}"))
                continue
            (aside / folder).mkdir(mode=0o700, exist_ok=True)
            if _copy(source, aside / name):
                taken.add(name)
                yield name, aside / name
    for name in FILES:
        if (home.path / name).exists():
            if _copy(home.path / name, aside / name):
                yield name, aside / name
        elif (home.path / name).is_symlink():
            left_out.append(repr(name))


def _tame_name(name: str, taken: set[str]) -> str:
    """Return a name for a journal that an archive takes: what is in it counts, and its name does not."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", name.removesuffix(_JOURNAL_ENDS))[-150:].strip("._-") or "copy"
    found, number = f"{JOURNAL}/{stem}{_JOURNAL_ENDS}", 1
    while found in taken:
        number += 1
        found = f"{JOURNAL}/{number}-{stem}{_JOURNAL_ENDS}"
    return found


def _copy(source: Path, target: Path) -> bool:
    """Copy a file of the home; return whether it was still there.

    Raises:
        StoreError: it cannot be read.
        OSError: the copy cannot be written.
    """
    from farthing.config.home_files import way_out  # noqa: PLC0415  (--help must not pay for these)
    from farthing.errors import StoreError  # noqa: PLC0415

    try:
        content = source.open("rb")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(
            f"{str(source)!r} cannot be read: {error.strerror}. No backup was made.", hint=way_out(error, source.parent)
        ) from error
    with content, target.open("xb") as file:
        shutil.copyfileobj(content, file)
    return True


@contextmanager
def _folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Give a folder for our eyes only, and remove it where it was not renamed."""
    import tempfile  # noqa: PLC0415

    from farthing.errors import StoreError  # noqa: PLC0415

    try:
        aside = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise StoreError(
            f"{str(parent)!r} cannot be written: {error.strerror}.", hint="choose another place."
        ) from error
    try:
        yield aside
    except OSError as error:
        raise StoreError(f"{str(parent)!r} cannot be written: {error.strerror or error}.", hint="make room.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _give(path: Path, home: Path) -> None:
    """Give what root unpacked to the home's owner."""
    if os.name == "posix" and os.geteuid() == 0:
        owner = home.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _free_name(folder: Path, name: str) -> Path:
    """Return a name that is free: two backups in one second are two."""
    path, number = folder / f"{name}.tar.gz", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.tar.gz"
    return path


def _free_stamp(home: "Home") -> str:
    """Return the moment for the name of the folder of what is replaced: two restores in one second have two."""
    from farthing.clock import SystemClock  # noqa: PLC0415  (--help must not pay for it)

    now = found = stamp(SystemClock().now_us())
    number = 1
    while (home.path / f"replaced-{found}").exists():
        number += 1
        found = f"{now}-{number}"
    return found


def stamp(at_us: int) -> str:
    """Return a moment in UTC as it stands in names of files."""
    from datetime import UTC, datetime  # noqa: PLC0415

    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y%m%dT%H%M%SZ}"

"""`farthing backup` and `farthing restore`: everything that is kept, in one file and back.

A backup beside a running gateway is of one moment: the journal is copied first and the database after it, so whatever
was answered by then is in at least one of the two, and what is in both is posted once. Calls that were under way then
are in flight in the copy, and are settled from their last checkpoint when it is first served.

A restore is decided by one rename: before it the home is as it was, after it the restore is completed, if need be by
`farthing restore --finish`, and nothing opens the database until then. It stays inside the home, because a home is
often a mounted volume, or a folder whose parent belongs to somebody else. The journal of the home that is replaced
stays: it holds calls that were answered and that no backup has, and posting one twice changes nothing.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, existing_home, say

if TYPE_CHECKING:
    from farthing.config.paths import Home

_FILES = ("settings.yaml", "pepper", "admin")
_PRICES, _JOURNAL = "prices", "journal"
_DATABASE = "farthing.db"
_SIDE_FILES = ("farthing.db-wal", "farthing.db-shm")
"""They belong to the database that is moved aside; beside another one they would be poison."""
_UNPACKED = ".restore-"


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Copy ledger, keys, settings, prices and journal into one new file, also while a gateway serves them.

    PATH is the file, or a folder in which one with the date in its name is made. It tells who asked for what: keep it
    as private as the home. Credentials of providers are in it only where settings.yaml holds them.
    """
    from farthing import __version__  # noqa: PLC0415  (--help must not pay for these)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.storage.archive import write_archive  # noqa: PLC0415
    from farthing.storage.sqlite.copies import copy_database, usable_version  # noqa: PLC0415
    from farthing.storage.sqlite.database import refuse_half_restored  # noqa: PLC0415

    home = existing_home()
    refuse_half_restored(home.database)
    now_us = SystemClock().now_us()
    if path.is_dir():
        path /= f"farthing-{_stamp(now_us)}.tar.gz"
    if path.exists():
        raise ConfigError(f"{str(path)!r} is there already.", hint="choose another name, or name a folder.")
    with _folder(path.parent, f".{path.name}-") as aside:
        files = dict(_copied(home, aside))
        version = None
        if home.database.exists():
            copy_database(home.database, aside / _DATABASE)
            version = usable_version(aside / _DATABASE)
            files[_DATABASE] = aside / _DATABASE
        draft = aside / "archive"
        made = write_archive(draft, files, farthing=__version__, made_at_us=now_us, database_version=version)
        size = draft.stat().st_size
        draft.replace(path)
        _sync(path.parent)
    click.echo(str(path))
    unpacked = sum(one.size_bytes for one in made.files)
    say(f"{len(made.files)} files, {unpacked:,} bytes, {size:,} in the backup. Keep it where others cannot read it.")


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--replace", is_flag=True, help="Into a home that is not empty; what is there is kept aside in it.")
@click.option("--finish", is_flag=True, help="Complete a restore that was interrupted.")
def restore(path: Path | None, replace: bool, finish: bool) -> None:  # noqa: FBT001  (click's flags)
    """Put back what a backup holds, having looked at all of it first. No gateway may serve the home."""
    from farthing.config.lock import HomeLock  # noqa: PLC0415  (--help must not pay for it)
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


def finish_restore(home: "Home") -> Path | None:
    """Put what was decided in its place; may be interrupted and begun again. Returns where the old home is kept."""
    from farthing.storage.sqlite.database import RESTORING  # noqa: PLC0415

    decided = home.path / RESTORING
    old = home.path / f"replaced-{(decided / 'stamp').read_text(encoding='ascii')}"
    # What has left the folder is in its place: that is how a later try knows what was done.
    restored = [name for name in (*_FILES, _PRICES, _DATABASE) if (decided / name).exists()]
    done = [name for name in (decided / "names").read_text(encoding="ascii").split() if name not in restored]
    for name in (*_SIDE_FILES, *_FILES, _PRICES, _DATABASE):
        if name in done:
            continue
        if name in _SIDE_FILES and _DATABASE in done:
            continue
        if (home.path / name).exists():
            _keep_aside(home.path / name, old, stays=name in restored)
        if name in restored:
            (decided / name).replace(home.path / name)
    for path in sorted((decided / _JOURNAL).glob("*")):
        if not (home.journal / path.name).exists():  # the one that is there has what came after the backup, too
            path.rename(home.journal / path.name)
    over = home.path / f"{_UNPACKED}over"
    decided.rename(over)
    shutil.rmtree(over)
    return old if old.exists() else None


def _stage(path: Path, home: "Home", decided: Path, *, replace: bool) -> None:
    """Unpack and look at everything inside the home, then decide."""
    from farthing.clock import SystemClock  # noqa: PLC0415  (--help must not pay for these)
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
    for left in home.path.glob(f"{_UNPACKED}*"):  # by a restore that was killed; we hold the lock
        shutil.rmtree(left)
    with _folder(home.path, _UNPACKED) as aside:
        manifest = read_archive(path, aside)
        if (aside / _DATABASE).exists():
            usable_version(aside / _DATABASE)
        names = {one.name.partition("/")[0] for one in manifest.files} - {_JOURNAL}
        (aside / "names").write_text(" ".join(sorted(names)), encoding="ascii")
        (aside / "stamp").write_text(_stamp(SystemClock().now_us()), encoding="ascii")
        _sync(aside)
        aside.rename(decided)
        _sync(home.path)
    say(f"restoring what Farthing {manifest.farthing} kept at {_stamp(manifest.made_at_us)}")


def _kept(home: "Home") -> Iterator[str]:
    """Yield what is in a home that a restore would replace; an empty journal is nothing."""
    for name in (*_FILES, _JOURNAL, _PRICES, _DATABASE):
        place = home.path / name
        if place.is_file() or (place.is_dir() and any(place.iterdir())):
            yield name


def _copied(home: "Home", aside: Path) -> Iterator[tuple[str, Path]]:
    """Copy the home's plain files and yield them by name; a journal file that is posted meanwhile may go."""
    for folder in (_JOURNAL, _PRICES):
        for source in sorted((home.path / folder).glob("[A-Za-z0-9]*")):
            (aside / folder).mkdir(mode=0o700, exist_ok=True)
            try:
                shutil.copyfile(source, aside / folder / source.name)
            except FileNotFoundError:
                continue
            yield f"{folder}/{source.name}", aside / folder / source.name
    for name in _FILES:
        if (home.path / name).exists():
            shutil.copyfile(home.path / name, aside / name)
            yield name, aside / name


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


def _keep_aside(source: Path, old: Path, *, stays: bool) -> None:
    """Move to the old home's folder.

    A file that `stays` gets a second name there, until the new one takes its place: were there no database for a
    moment, a command could take the home for a new one.
    """
    if source.is_dir() and not any(source.iterdir()):
        source.rmdir()
        return
    old.mkdir(mode=0o700, exist_ok=True)
    target, number = old / source.name, 1
    while target.exists():  # an interrupted restore put one there before
        if target.samefile(source):
            return
        number += 1
        target = old / f"{source.name}.{number}"
    if stays and source.is_file():
        os.link(source, target)
    else:
        source.rename(target)


def _sync(folder: Path) -> None:
    """Make renames in the folder last; where folders cannot be opened, the system sees to it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _stamp(at_us: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y%m%dT%H%M%SZ}"

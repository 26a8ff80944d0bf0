"""Where the master key is: `FARTHING_MASTER_KEY`, the system's keyring, or a file of the home for its owner only.

A new key is made in the first of these that can keep one, and only where nothing is sealed yet. What is sealed names
its key, so an old one is found wherever it is; then the file is looked at before the keyring, because asking that takes
a process. Each place holds one key, or while the key is being changed several, the newest first: whatever is sealed can
be opened at every moment, also where the process dies in between.

The variable holds a key (64 hex digits, or 32 bytes in base64), several with commas between them, or `file:/path` of a
file that does. It and that file are the operator's: they are read and never written. A phrase is refused; it could be
guessed from a stolen database.

The file is in no backup. A backup that holds the sealed credentials and the key would be a bunch of plain keys.
"""

import base64
import binascii
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from farthing.auth.sealing import KEY_BYTES, MasterKey
from farthing.auth.system_keyring import read_keyring, write_keyring
from farthing.config.home_files import open_lock_file, way_out, write_once, write_whole
from farthing.config.lock import lock_in_time
from farthing.config.paths import FILE_MODE
from farthing.errors import HomeLocked, VaultLocked
from farthing.types.identity import RandomBytes

VARIABLE = "FARTHING_MASTER_KEY"
MAX_KEYS = 8
"""Of one place: the key, and those that interrupted changes left; each change that ends takes them away."""
_MAX_BYTES = 16_384
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{43}=?", re.ASCII)
_CHANGE_WAIT_S = 10.0
"""Whoever changes the key writes two small files and one transaction; who takes longer has stopped."""


class Change(msgspec.Struct, frozen=True):
    """A change of the master key that has begun: seal everything under `key`, and then call `finish`."""

    key: MasterKey
    place: str
    finish: Callable[[], None]


class MasterKeys:
    """Finds, makes and changes the master key of one home. It blocks: call it on a thread.

    `name` tells homes apart in the keyring, which belongs to the account.
    """

    def __init__(self, file: Path, environment: Mapping[str, str], random_bytes: RandomBytes) -> None:
        self._file = file
        self._environment = environment
        self._random_bytes = random_bytes

    @property
    def name(self) -> str:
        """What the key is called in the system's keyring."""
        return str(self._file.parent)

    def find(self, key_id: str) -> MasterKey:
        """Return the key of this id.

        Raises:
            VaultLocked: it is nowhere; the message says where was looked. Or what is there cannot be used.
        """
        tried = []
        for place, read in (
            (VARIABLE, self._in_environment),
            (repr(str(self._file)), self._in_file),
            ("the system's keyring", self._in_keyring),
        ):
            keys, why_none = read()
            for key in keys:
                if key.id == key_id:
                    return key
            tried.append(f"{place} {why_none or 'holds ' + ', '.join(key.id for key in keys)}")
        raise VaultLocked(
            f"The vault is locked: credentials are sealed under the master key {key_id[:16]!r}, which is not found:"
            f" {'; '.join(tried)}.",
            hint=f"give the gateway that key: in {VARIABLE}, or put {self._file.name} back from where it is kept. If it"
            ' is lost, "farthing credentials remove --all" and add them again.',
        )

    def current(self) -> MasterKey:
        """Return the key to seal under where nothing is sealed yet; made where there is none.

        Raises:
            VaultLocked: what is there cannot be used, or none can be kept.
        """
        for read in (self._in_environment, self._in_file):
            keys, _ = read()
            if keys:
                return keys[0]
        with self.changing():  # or two who find an empty keyring would each keep a key of their own
            keys, why_none = self._in_keyring()
            if keys:
                return keys[0]
            made = MasterKey(self._random_bytes(KEY_BYTES))
            if why_none == _EMPTY:
                write_keyring(self.name, _written([made]), self._environment)
                return made
            try:
                write_once(self._file, _written([made]).encode())
            except OSError as error:
                raise self._unusable(error) from error
        keys, _ = self._in_file()  # somebody may have been first
        return keys[0]

    def begin_change(self, in_use: Sequence[MasterKey]) -> Change:
        """Begin to change the key from those `in_use`, which are kept beside the new one until the change is finished.

        Where the environment has another key first, that is the new one. Call it while `changing`. Those that earlier
        changes left, which were interrupted before anything was sealed under them, go: were they kept, there would be
        no room for the one that counts after some more of them.

        Raises:
            VaultLocked: the key is in the environment, which only the operator changes; or a place cannot be written.
        """
        given, _ = self._in_environment()
        if given and any(key.id != given[0].id for key in in_use):
            return Change(given[0], VARIABLE, lambda: None)
        if given:
            raise VaultLocked(
                f"The master key comes from {VARIABLE}, which only you can change.",
                hint=f"set it to the new key, a comma, and the old one ({VARIABLE}=NEW,OLD; 'openssl rand -hex 32'"
                " makes one), for the gateway too, and run this again; then leave the old one out.",
            )
        made = MasterKey(self._random_bytes(KEY_BYTES))
        in_file, _ = self._in_file()
        place, keys, write = repr(str(self._file)), in_file, self._write_file
        ids = {key.id for key in in_use}
        if all(key.id not in ids for key in in_file):
            place, keys, write = "the system's keyring", self._in_keyring()[0], self._write_keyring
        kept = [key for key in keys if key.id in ids]
        assert len(kept) < MAX_KEYS, "everything is sealed anew at once, so one key is in use, or two"
        write([made, *kept])
        return Change(made, place, lambda: write([made]))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep others from changing the key while the block runs.

        Raises:
            HomeLocked: somebody else has been changing it for a while.
        """
        descriptor = open_lock_file(self._file.with_suffix(".lock"))
        try:
            if not lock_in_time(descriptor, _CHANGE_WAIT_S):
                raise HomeLocked(
                    "Another process is changing the master key of this home.", hint="try again when it is done."
                )
            yield
        finally:
            os.close(descriptor)

    def _in_environment(self) -> tuple[list[MasterKey], str | None]:
        told = self._environment.get(VARIABLE, "").strip()
        if not told:
            return [], "is not set"
        if not told.startswith("file:"):
            return _parsed(told, VARIABLE), None
        path = Path(told.removeprefix("file:")).expanduser()
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise VaultLocked(
                f"{VARIABLE} names the file {str(path)!r}, which cannot be read: {error.strerror}.",
                hint="put the master key there, readable for the gateway's account.",
            ) from error
        return _parsed(text, repr(str(path))), None

    def _in_keyring(self) -> tuple[list[MasterKey], str | None]:
        answer = read_keyring(self.name, self._environment)
        if answer.unusable is not None:
            return [], f"cannot be asked ({answer.unusable})"
        return (_parsed(answer.text, "the system's keyring"), None) if answer.text else ([], _EMPTY)

    def _in_file(self) -> tuple[list[MasterKey], str | None]:
        try:
            descriptor = os.open(self._file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return [], "is not there"
        except OSError as error:
            raise self._unusable(error) from error
        try:
            with os.fdopen(descriptor, "rb") as file:
                self._check_owner(file.fileno())
                text = file.read(_MAX_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise self._unusable(error) from error
        return _parsed(text, repr(str(self._file))), None

    def _check_owner(self, descriptor: int) -> None:
        """Close the file to others, as a copy that was put back often is not; one of another account counts nothing.

        Raises:
            VaultLocked: it belongs to an account which is neither ours nor the home's.
        """
        if os.name != "posix":
            return
        found = os.fstat(descriptor)
        if found.st_uid not in (os.geteuid(), self._file.parent.stat().st_uid):
            raise VaultLocked(
                f"The master key {str(self._file)!r} belongs to another account (uid {found.st_uid}), who may have put"
                " it there.",
                hint=f"if it is yours: chown {os.geteuid()} {self._file}",
            )
        if found.st_mode & 0o077:
            os.fchmod(descriptor, FILE_MODE)

    def _write_file(self, keys: list[MasterKey]) -> None:
        try:
            write_whole(self._file, _written(keys).encode())
        except OSError as error:
            raise self._unusable(error) from error

    def _write_keyring(self, keys: list[MasterKey]) -> None:
        write_keyring(self.name, _written(keys), self._environment)

    def _unusable(self, error: OSError) -> VaultLocked:
        return VaultLocked(
            f"The master key {str(self._file)!r} cannot be used: {error.strerror or error}.",
            hint=way_out(error, self._file.parent),
        )


_EMPTY = "has none"


def _parsed(text: str, place: str) -> list[MasterKey]:
    """Return the keys in a text; raises `VaultLocked` where something else is there, and does not repeat it."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    told = [word for line in lines for word in line.replace(",", " ").split()]
    keys = [_key_of(word) for word in told]
    found = [MasterKey(key) for key in keys if key is not None]
    if not found or len(found) < len(told) or len(found) > MAX_KEYS:
        raise VaultLocked(
            f"{place} holds something that is no master key (not shown).",
            hint="a key is 64 hex digits, or 32 bytes in base64: 'openssl rand -hex 32' makes one.",
        )
    return found


def _key_of(word: str) -> bytes | None:
    if _HEX.fullmatch(word):
        return bytes.fromhex(word)
    if not _BASE64.fullmatch(word):
        return None
    try:
        key = base64.urlsafe_b64decode(word.rstrip("=").replace("+", "-").replace("/", "_") + "=")
    except binascii.Error:
        return None
    return key if len(key) == KEY_BYTES else None


def _written(keys: list[MasterKey]) -> str:
    lines = [key.reveal().hex() for key in keys]
    return "\n".join(["# Farthing's master key. In no backup: keep a copy where the backups are not.", *lines, ""])

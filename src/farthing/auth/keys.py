"""What a client key looks like, how it is hashed, and the pepper under which it is.

A key is `ft-`, 32 random bytes as 43 base62 digits, and their CRC-32 as 6 more. The checksum tells a mistyped key from
a foreign one without asking anybody, and lets secret scanners recognise real keys. Kept is HMAC-SHA256 under a pepper:
with 256 random bits there is nothing for a slow hash to defend.
"""

import os
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from farthing.config.home_files import way_out, write_once
from farthing.config.paths import FILE_MODE
from farthing.errors import StoreError
from farthing.storage.protocols import KeyStore
from farthing.types.identity import RandomBytes

PREFIX = "ft-"
TOKEN_LENGTH = 52
SHOWN_LENGTH = 9
"""Characters of a key that lists show: enough to tell keys apart, 36 of 256 bits."""

PEPPER_BYTES = 32
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_DIGITS = 43  # 62**43 > 2**256
_CHECKSUM_DIGITS = 6  # 62**6 > 2**32
_BLOCK_BYTES = 64  # SHA-256's


def new_token(random_bytes: RandomBytes) -> str:
    """Return a new key, such as `ft-` and 49 letters and digits."""
    body = _base62(int.from_bytes(random_bytes(32)), _BODY_DIGITS)
    return PREFIX + body + _checksum(body)


def is_well_formed(token: str) -> bool:
    """Whether this could be a key of ours: length, prefix and checksum are right."""
    if len(token) != TOKEN_LENGTH or not token.startswith(PREFIX) or not token.isascii():
        return False
    body = token[len(PREFIX) : len(PREFIX) + _BODY_DIGITS]
    return token[-_CHECKSUM_DIGITS:] == _checksum(body)


class Hasher:
    """HMAC-SHA256 under one pepper. The two halves are begun once and copied: 0.5 us a key, `hmac.digest` takes 1.7."""

    def __init__(self, pepper: bytes) -> None:
        key = pepper.ljust(_BLOCK_BYTES, b"\0")
        assert len(key) == _BLOCK_BYTES, "a longer pepper would have to be hashed first (RFC 2104)"
        self._inner = sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in key))

    def digest(self, token: bytes) -> bytes:
        """Return the 32 bytes that a key is known by."""
        inner = self._inner.copy()
        inner.update(token)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


async def agree_on_pepper(store: KeyStore, pepper: bytes, path: Path) -> None:
    """Raise where hosts that share the store have made their keys under another pepper than the one at `path`.

    What the store keeps of the pepper tells two apart, and nothing else.

    Raises:
        StoreError: it is so, or the store cannot be used.
    """
    if not await store.claim_pepper(Hasher(pepper).digest(b"which pepper is this")):
        raise StoreError(
            f"The keys in the shared database were made under another pepper than {str(path)!r}: none of them would"
            " verify here.",
            hint='copy the file "pepper" from the home of a host that serves already, and start again.',
        )


def load_pepper(path: Path, random_bytes: RandomBytes, keys_in_use: Callable[[], int] = lambda: 0) -> bytes:
    """Return the pepper in the file at `path`, made at the first start; two first starts agree on one.

    `keys_in_use` tells how many keys were made under one that is missing: a new one would lock them all out.

    Raises:
        StoreError: it cannot be read or made, was lost, or is no pepper.
    """
    try:
        if not path.exists():
            if (lost := keys_in_use()) and not path.exists():  # it may have been made since we looked
                raise StoreError(
                    f"The pepper {str(path)!r} is missing, and {lost} {'key was' if lost == 1 else 'keys were'} made"
                    " under it: without it no key verifies.",
                    hint=f"{_RESTORE_PEPPER}.",
                )
            write_once(path, random_bytes(PEPPER_BYTES))  # who comes second finds the first one's
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(FILE_MODE)
        pepper = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"The pepper {str(path)!r}, under which keys are hashed, cannot be used: {error.strerror}.",
            hint=way_out(error, path.parent),
        ) from error
    if len(pepper) != PEPPER_BYTES:
        raise StoreError(
            f"The pepper {str(path)!r} holds {len(pepper)} bytes, not {PEPPER_BYTES}.",
            hint=f"{_RESTORE_PEPPER} (move the file away first).",
        )
    return pepper


_RESTORE_PEPPER = (
    'put it back from a copy or a backup; without one, "farthing keys revoke --all", and then "farthing keys create"'
    " for every client"
)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, rest = divmod(number, 62)
        text = _DIGITS[rest] + text
    assert number == 0, "the number has more digits"
    return text


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_DIGITS)

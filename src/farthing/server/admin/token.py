"""The admin token: in the admin link, once; at rest only its HMAC, in a file of the home.

Whoever starts the gateway may choose it by the environment instead. Then no link counts, and the file is not looked at.
"""

import base64
import hashlib
import hmac
import logging
import os
from collections.abc import Mapping
from functools import lru_cache

from farthing.config.home_files import way_out, write_whole
from farthing.config.paths import Home
from farthing.errors import ConfigError
from farthing.types.identity import RandomBytes
from farthing.types.secret import Secret

log = logging.getLogger(__name__)

ENVIRONMENT = "FARTHING_ADMIN_TOKEN"
MIN_LENGTH = 16
"""Of a token that is chosen: as hex digits 64 random bits, which nobody tries out over HTTP."""
_FILE = "admin"


def new_admin_token(home: Home, pepper: bytes, random_bytes: RandomBytes) -> Secret:
    """Make a new token, which ends the old one's life; the caller shows it once.

    Raises:
        ConfigError: it cannot be written.
    """
    token = "fta-" + base64.urlsafe_b64encode(random_bytes(32)).decode().rstrip("=")
    path = home.path / _FILE
    try:
        write_whole(path, digest_of(token, pepper).hex().encode())
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror}; the old link still counts.",
            hint=way_out(error, home.path),
        ) from error
    return Secret(token)


def chosen_token(environment: Mapping[str, str]) -> str | None:
    """Return the token that the environment sets, `None` where it sets none.

    Raises:
        ConfigError: it can be guessed, or cannot be sent.
    """
    told = environment.get(ENVIRONMENT)
    if not told:
        return None
    if len(told) < MIN_LENGTH:
        raise ConfigError(
            f"{ENVIRONMENT} has {len(told)} characters; it could be guessed.",
            hint=f"choose one of {MIN_LENGTH} or more, such as that of 'openssl rand -hex 32', or leave it out.",
        )
    if not (told.isascii() and told.isprintable()) or " " in told:
        raise ConfigError(
            f"{ENVIRONMENT} holds a space, or a character that no header can carry.",
            hint="choose one of letters and digits, or leave it out.",
        )
    return told


def has_admin_token(home: Home) -> bool:
    """Whether a token was made before."""
    return (home.path / _FILE).exists()


def admin_digest(home: Home, pepper: bytes) -> bytes:
    """Return the digest that a token must have: of the environment's token where one is set, else of the file's."""
    told = os.environ.get(ENVIRONMENT)
    if told:
        return digest_of(told, pepper)
    try:
        return bytes.fromhex((home.path / _FILE).read_text(encoding="ascii"))
    except FileNotFoundError:
        return b""  # no token was ever made; nothing has an empty digest, so nobody gets in
    except (OSError, ValueError) as error:
        _tell(f"{home.path / _FILE} cannot be used, so no admin link counts: {error}")
        return b""


@lru_cache(maxsize=16)  # once each: it is looked for with every visit
def _tell(trouble: str) -> None:
    log.error(trouble)


def digest_of(token: str, pepper: bytes) -> bytes:
    """Return a token's digest under the pepper."""
    return hmac.digest(pepper, b"admin token" + token.encode("utf-8", "surrogateescape"), hashlib.sha256)

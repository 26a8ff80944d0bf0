"""The admin token: in the admin link, once; at rest only its HMAC, in a file of the home."""

import base64
import hashlib
import hmac
import os

from farthing.config.paths import FILE_MODE, Home
from farthing.types.identity import RandomBytes
from farthing.types.secret import Secret

ENVIRONMENT = "FARTHING_ADMIN_TOKEN"
_FILE = "admin"


def new_admin_token(home: Home, pepper: bytes, random_bytes: RandomBytes) -> Secret:
    """Make a new token, which ends the old one's life; the caller shows it once."""
    token = "fta-" + base64.urlsafe_b64encode(random_bytes(32)).decode().rstrip("=")
    path = home.path / _FILE
    written = path.with_suffix(".new")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
        file.write(digest_of(token, pepper).hex().encode())
    written.replace(path)
    return Secret(token)


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
    except (OSError, ValueError):
        return b""  # no token was ever made, or its file is damaged: nothing has an empty digest, so nobody gets in


def digest_of(token: str, pepper: bytes) -> bytes:
    """Return a token's digest under the pepper."""
    return hmac.digest(pepper, b"admin token" + token.encode("utf-8", "surrogateescape"), hashlib.sha256)

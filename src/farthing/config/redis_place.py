"""Where the Redis is that several hosts share; an address with a password is read from the environment."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from farthing.config.schema import StorageSettings
from farthing.errors import ConfigError

_SCHEMES = ("redis", "rediss", "unix")


def check_redis_place(text: str) -> None:
    """Raise where a setting does not say where a Redis is.

    Raises:
        ValueError: what is wrong, as the rest of a sentence; it never repeats a password.
    """
    kind, _, name = text.partition(":")
    if kind == "env":
        if not name.isidentifier():
            raise ValueError("names no variable; write env:NAME, such as env:REDIS_URL.")
        return
    try:
        parts = urlsplit(text)
        has_password = bool(parts.password)
    except ValueError:
        raise ValueError("is no address; write redis://host:6379/0 or env:NAME.") from None
    if has_password:
        raise ValueError("holds a password; put the address into a variable and write env:NAME.")
    if parts.scheme not in _SCHEMES or not (parts.hostname or parts.path):
        raise ValueError("is no address of a Redis; write redis://host:6379/0, rediss://..., unix:///path or env:NAME.")


def redis_url(storage: StorageSettings, environment: Mapping[str, str]) -> str | None:
    """Return the address of the shared Redis; `None` where there is none.

    Raises:
        ConfigError: the variable that holds it is missing or empty.
    """
    kind, _, name = (storage.redis or "").partition(":")
    if kind != "env":
        return storage.redis
    url = environment.get(name, "").strip()
    if not url:
        raise ConfigError(
            f"The environment variable {name}, which storage.redis names, is not set or empty.",
            hint="set it to the address of the Redis where Farthing is started.",
        )
    return url

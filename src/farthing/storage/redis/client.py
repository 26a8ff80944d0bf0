"""The client of a Redis or Valkey: one that never tries again by itself, because whoever asks goes on without it."""

from typing import Any

from farthing.errors import ConfigError, StoreError


def client_of(url: str, command_s: float, connect_s: float) -> tuple[Any, tuple[type[Exception], ...]]:
    """Return a client and the exceptions that it raises; `url` is `redis://`, `rediss://` or `unix://`.

    Raises:
        ConfigError: the client is not installed, or the URL is none.
    """
    try:
        from valkey.asyncio import Valkey  # noqa: PLC0415 - only who has a Redis needs it
        from valkey.asyncio.retry import Retry  # noqa: PLC0415
        from valkey.backoff import NoBackoff  # noqa: PLC0415
        from valkey.exceptions import ValkeyError  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "A Redis is configured, and its client is not installed.", hint='pip install "farthing[redis]"'
        ) from None
    if "@" in url.partition("://")[2].partition("/")[2]:  # a password with a bare /: half of it would be a server
        raise _unreadable()
    try:
        # No tries of its own: who asks goes on without an answer, and asks again.
        client = Valkey.from_url(
            url, socket_timeout=command_s, socket_connect_timeout=connect_s, retry=Retry(NoBackoff(), 0)
        )
    except ValueError:  # which quotes what it cannot read
        raise _unreadable() from None
    return client, (ValkeyError, OSError, TimeoutError)


def away(error: Exception) -> StoreError:
    """Return what is told of a Redis that cannot be used now."""
    return StoreError(f"Redis cannot be used: {str(error) or type(error).__name__}.", retry_after_s=1)


def _unreadable() -> ConfigError:
    """Return what is said of an address; it may hold a password, so none of it is shown."""
    return ConfigError(
        "The Redis address cannot be read (it is not shown).",
        hint="it is written redis://:PASSWORD@HOST:6379/0; in PASSWORD, @ is %40, / is %2F, # is %23.",
    )

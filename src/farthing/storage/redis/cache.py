"""A cache in Redis or Valkey: one round trip for many names. Redis itself forgets what is old, and what is too much."""

from collections.abc import Mapping, Sequence
from typing import Any

from farthing.storage.redis.client import away, client_of

COMMAND_S = 0.25
"""A call waits for it, so it is given what the windows of limits are; see there."""
CONNECT_S = 1.0
_PREFIX = b"{farthing}:cache:"


class RedisCache:
    """See `SharedCache`."""

    def __init__(self, url: str, *, prefix: bytes = _PREFIX) -> None:
        """Raise ConfigError where there is no client for it, or the URL is none."""
        self._client: Any
        self._client, self._errors = client_of(url, COMMAND_S, CONNECT_S)
        self._prefix = prefix

    async def close(self) -> None:
        """See `SharedCache.close`."""
        await self._client.aclose()

    async def get(self, names: Sequence[bytes], *, keep_s: int) -> list[bytes | None]:
        """See `SharedCache.get`."""
        if not names:
            return []
        try:
            async with self._client.pipeline(transaction=False) as asked:
                for name in names:
                    asked.getex(self._prefix + name, ex=keep_s)
                return list(await asked.execute())
        except self._errors as error:
            raise away(error) from error

    async def put(self, items: Mapping[bytes, bytes], *, keep_s: int) -> None:
        """See `SharedCache.put`."""
        if not items:
            return
        try:
            async with self._client.pipeline(transaction=False) as told:
                for name, value in items.items():
                    told.set(self._prefix + name, value, nx=True)
                    told.expire(self._prefix + name, keep_s)
                await told.execute()
        except self._errors as error:
            raise away(error) from error

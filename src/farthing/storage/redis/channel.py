"""A channel of Redis: what is published reaches who listens at that moment, and nobody else ever."""

from collections.abc import AsyncGenerator
from typing import Any

from farthing.storage.redis.client import away, client_of

COMMAND_S = 1.0
"""Nobody waits for news: a slow Redis is given more time than where a call waits."""
CONNECT_S = 1.0
NAME = "{farthing}:calls"


class RedisChannel:
    """One connection publishes, and one more listens while somebody does."""

    def __init__(self, url: str, *, name: str = NAME) -> None:
        """Raise ConfigError where there is no client for it, or the URL is none."""
        self._client: Any
        self._client, self._errors = client_of(url, COMMAND_S, CONNECT_S)
        self._name = name

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def publish(self, message: bytes) -> int:
        """Send a message; return how many listen, over whichever connection.

        Raises:
            StoreError: Redis cannot be used now.
        """
        try:
            return int(await self._client.publish(self._name, message))
        except self._errors as error:
            raise away(error) from error

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """Yield messages as they come.

        Raises:
            StoreError: Redis cannot be used any more.
        """
        heard = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            await heard.subscribe(self._name)
            while True:
                message = await heard.get_message(timeout=COMMAND_S)
                if message is not None:
                    yield message["data"]
        except self._errors as error:
            raise away(error) from error
        finally:
            await heard.aclose()

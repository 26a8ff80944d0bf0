"""Tells the hosts that share a Redis of calls that end here, while somebody on any of them watches.

No call waits for it and none fails by it: what is beyond the bound, or ends while Redis is away, is dropped and
counted. While nobody listens nothing is sent but a question a second, so that it costs a call nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from farthing.errors import StoreError
from farthing.events import News
from farthing.types.calls import Attempt
from farthing.types.live import CallNews, news_of

LOOK_S = 1.0
"""How often is asked whether somebody listens: who begins to may miss what ends on other hosts for so long."""
MAX_WAITING = 2_000
"""Calls that wait to be sent, 600 KB: what two thousand calls that are cut at once leave."""
_AGAIN_S = 1.0
"""How long a listener waits for a Redis that went away."""


class Channel(Protocol):
    """What carries messages to who listens now."""

    async def publish(self, message: bytes) -> int:
        """Send; return how many listen. Raises StoreError."""
        ...

    def listen(self) -> AsyncGenerator[bytes, None]:
        """Yield messages as they come. Raises StoreError."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class _Told(msgspec.Struct, frozen=True):
    """A message: whose calls these are, and the calls."""

    home: str
    calls: tuple[CallNews, ...]


class SharedCalls:
    """One process among those that share a channel; `home` is the name that its home has among them."""

    def __init__(self, channel: Channel, home: str) -> None:
        self._channel = channel
        self._home = home
        self._waiting: list[CallNews] = []
        self._more = asyncio.Event()
        self._listened_to = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self, news: News[Attempt]) -> None:
        """Tell of these from now on."""
        news.subscribe(self._take)
        self._task = asyncio.create_task(self._send(), name="shared-calls")

    async def close(self) -> None:
        """Tell of nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._channel.close()

    async def elsewhere(self) -> AsyncGenerator[Sequence[CallNews], None]:
        """Yield calls that ended under other homes, for ever; while the channel is away there are none."""
        decoder = msgspec.json.Decoder(_Told)
        while True:
            listening = self._channel.listen()
            try:
                async for message in listening:
                    try:
                        told = decoder.decode(message)
                    except msgspec.MsgspecError:
                        continue  # of another version of us
                    if told.home != self._home and told.calls:
                        yield told.calls
            except StoreError:
                await asyncio.sleep(_AGAIN_S)
            finally:
                await listening.aclose()

    def _take(self, attempts: Sequence[Attempt]) -> None:
        if not self._listened_to:
            return
        room = max(MAX_WAITING - len(self._waiting), 0)
        self._waiting += map(news_of, attempts[:room])
        self.dropped += max(len(attempts) - room, 0)
        self._more.set()

    async def _send(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._more.wait()
            self._more.clear()
            calls, self._waiting = tuple(self._waiting), []
            try:
                listeners = await self._channel.publish(msgspec.json.encode(_Told(self._home, calls)))
            except StoreError:
                listeners, self.dropped = 0, self.dropped + len(calls)
            self._listened_to = listeners > 0

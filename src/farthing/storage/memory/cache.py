"""A cache in memory: what one process could keep of it by itself, and what tests share between two gateways."""

from collections.abc import Mapping, Sequence

from farthing.clock import Clock

MAX_ENTRIES = 65_536
"""What is beyond pushes out the oldest."""


class MemoryCache:
    """See `SharedCache`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[bytes, tuple[bytes, int]] = {}

    async def get(self, names: Sequence[bytes], *, keep_s: int) -> list[bytes | None]:
        """See `SharedCache.get`."""
        return [self._found(name, keep_s) for name in names]

    async def put(self, items: Mapping[bytes, bytes], *, keep_s: int) -> None:
        """See `SharedCache.put`."""
        for name, value in items.items():
            if self._found(name, keep_s) is None:
                self._kept[name] = (value, self._until_us(keep_s))
        while len(self._kept) > MAX_ENTRIES:
            del self._kept[next(iter(self._kept))]

    async def close(self) -> None:
        """See `SharedCache.close`."""

    def _found(self, name: bytes, keep_s: int) -> bytes | None:
        value, until_us = self._kept.pop(name, (None, 0))
        if value is None or until_us <= self._clock.now_us():
            return None
        self._kept[name] = (value, self._until_us(keep_s))
        return value

    def _until_us(self, keep_s: int) -> int:
        return self._clock.now_us() + keep_s * 1_000_000

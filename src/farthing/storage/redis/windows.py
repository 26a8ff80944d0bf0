"""The limits' windows in Redis or Valkey, which several hosts share; one round trip and one script for an exchange.

Redis' own clock dates everything, so hosts need not agree on the time. What surprised us: scripts know numbers as
doubles and write them with 14 digits, which cuts microseconds, so every number is written out there.

A Redis that lost its data has forgotten what was used; each process tells it anew what it knows, twice a second. Give
it `appendonly yes` if a day's limits are to outlive it. Keys have one hash tag: all of them are in one slot.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from farthing.storage.redis.client import away, client_of
from farthing.types.limits import WANTED_US, Exchanged, WindowAnswer, WindowAsk, WindowUse, by_use, subject_in
from farthing.types.windows import SUB_WINDOWS

COMMAND_S = 0.25
"""A round trip is 0.3 ms on one machine and 2 ms in a data centre. A process that is busy with two thousand calls looks
at its sockets every 100 ms, and must not take that for a slow Redis."""
CONNECT_S = 1.0
"""Name, TCP and TLS in a data centre take 20 ms; this allows a lost packet."""
MAX_READ = 2_000
"""Windows that are read for people to look at, 0.2 ms each."""
_PREFIX = "{farthing}:limits"


class RedisWindows:
    """See `WindowStore`."""

    def __init__(
        self,
        url: str,
        *,
        command_s: float = COMMAND_S,
        connect_s: float = CONNECT_S,
        prefix: str = _PREFIX,
        trusts_callers_clock: bool = False,
    ) -> None:
        """`url` is `redis://`, `rediss://` or `unix://`; with a callers' clock that is trusted Redis' own is not asked.

        Raises:
            ConfigError: there is no client for it, or the URL is none.
        """
        self._client: Any
        self._client, self._errors = client_of(url, command_s, connect_s)
        self._script = self._client.register_script(_script())
        self._prefix = prefix
        self._trusts_callers_clock = trusts_callers_clock

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def exchange(self, holder: str, asks: Sequence[WindowAsk], *, now_us: int, lease_us: int) -> Exchanged:
        """See `WindowStore.exchange`."""
        if not asks:
            return Exchanged(now_us, ())
        args: list[str | int] = [holder, now_us if self._trusts_callers_clock else -1, lease_us, SUB_WINDOWS, WANTED_US]
        for ask in asks:
            args += [ask.window, ask.window_us, ask.limit, ask.keep, ask.need, ask.want, ask.spare, ask.share]
            args += [len(ask.counts), *(number for count in ask.counts for number in count)]
        keys = [f"{self._prefix}:wanted", *(f"{self._prefix}:{ask.window}" for ask in asks)]
        said = await self._asked(self._script(keys=keys, args=args))
        return Exchanged(said[0], tuple(map(_answer, said[1:])))

    async def wanted(self, since_us: int) -> list[str]:
        """See `WindowStore.wanted`."""
        found = await self._asked(self._client.zrangebyscore(f"{self._prefix}:wanted", since_us, "+inf"))
        return sorted(name.decode() for name in found)

    async def uses(self, rules: Sequence[str], *, at_most: int, now_us: int) -> list[WindowUse]:
        """See `WindowStore.uses`; of more than `MAX_READ` windows it looks at some only."""
        found: list[WindowUse] = await self._asked(self._uses({rule: [] for rule in rules}, at_most, now_us))
        return found

    async def _uses(self, found: dict[str, list[WindowUse]], at_most: int, now_us: int) -> list[WindowUse]:
        if not self._trusts_callers_clock:
            seconds, micros = await self._client.time()
            now_us = seconds * 1_000_000 + micros
        skip, read = len(self._prefix) + 1, 0
        async for key in self._client.scan_iter(match=f"{self._prefix}:*", count=1_000):
            window = key.decode()[skip:]
            rule, _ = subject_in(window)
            if rule not in found:
                continue
            use = _use(window, await self._client.hgetall(key), now_us)
            if use.used or use.held:
                found[rule].append(use)
            if (read := read + 1) >= MAX_READ:
                break
        return [use for uses in found.values() for use in sorted(uses, key=by_use)[:at_most]]

    async def _asked(self, asking: Any) -> Any:
        try:
            return await asking
        except self._errors as error:
            raise away(error) from error


@cache
def _script() -> str:
    return (files(__package__) / "exchange.lua").read_text(encoding="utf-8")


def _use(window: str, fields: dict[bytes, bytes], now_us: int) -> WindowUse:
    """Return what counts of a window's hash; see `exchange.lua` for what is in it."""
    used = held = 0
    ends_us = None
    for field, value in fields.items():
        first, _, second = value.partition(b" ")
        if field[:1] == b"u" and int(second) > now_us:
            used += int(first)
            if int(first) > 0 and not field.startswith(b"u0 "):  # what is under way ends when it does
                ends_us = max(ends_us or 0, int(second))
        elif field[:1] == b"l" and int(second) > now_us:
            held += int(first)
    return WindowUse(window=window, used=used, held=held, ends_us=ends_us)


def _answer(said: Sequence[Any]) -> WindowAnswer:
    held, used, others, wanted, holders, frees = said
    return WindowAnswer(
        held=held,
        used=used,
        others=others,
        wanted=bool(wanted),
        holders=holders,
        frees=tuple(zip(frees[::2], frees[1::2], strict=True)),
    )

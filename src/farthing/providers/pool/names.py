"""Find the addresses of a name, so that one name's jam is nobody else's.

The system's resolver blocks, for 20 s and more where a name server is silent, and cannot be called off. What surprised
us: both loops ask it on a few threads that all names share (uvloop on libuv's four), a lookup whose caller has given up
keeps its place there, and a stop waits for all of them. So a name under way is asked for once, however many want it, on
a thread of its own; and these threads are the one exception from blocking work having a single thread: waiting in line
is what they are there to prevent, and nothing depends on how they end.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any

FRESH_S = 5.0
"""How long an answer is used again: a burst of new connections asks once, and what a load balancer changes (its names
live for 60 s) is seen soon."""
MAX_UNDER_WAY = 64
"""Names that are looked up at the same time, each on its thread; settings name a dozen providers, perhaps."""
_MAX_KNOWN = 256
"""Names that are remembered; only the settings name any, and reloads may change them."""

Lookup = Callable[[str], list[Any]]
"""Blocks; returns what `socket.getaddrinfo` does, and raises what it raises."""


def ask_system(host: str) -> list[Any]:
    """Ask the system's resolver, as either loop would."""
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


class Names:
    """The addresses of names; belongs to the loop that asks."""

    __slots__ = ("_fresh_s", "_known", "_lookup", "_under_way")

    def __init__(self, lookup: Lookup = ask_system, *, fresh_s: float = FRESH_S) -> None:
        self._fresh_s = fresh_s
        self._lookup = lookup
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._under_way: dict[str, asyncio.Future[tuple[str, ...] | Exception]] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a host, best first; one that is an address already is its own.

        Raises:
            OSError: the name cannot be resolved (socket.gaierror), or too many others are being looked up.
            ValueError: the name cannot be one.
        """
        if _is_address(host):
            return (host,)
        loop = asyncio.get_running_loop()
        until_s, known = self._known.get(host, (0.0, ()))
        if loop.time() < until_s:
            return known
        under_way = self._under_way.get(host)
        if under_way is None or under_way.get_loop() is not loop:
            under_way = self._begin(host, loop)
        found = await asyncio.shield(under_way)  # whoever gives up leaves it to the others
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found

    def forget(self, host: str) -> None:
        """Ask anew next time: nobody could be reached where the name led."""
        self._known.pop(host, None)

    def _begin(self, host: str, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[tuple[str, ...] | Exception]":
        if len(self._under_way) >= MAX_UNDER_WAY:
            raise socket.gaierror(
                socket.EAI_AGAIN, f"{MAX_UNDER_WAY} other names are being looked up, which is the bound"
            )
        # Its result may be an error, and it never fails: one that nobody waited for would be complained about.
        future: asyncio.Future[tuple[str, ...] | Exception] = loop.create_future()
        thread = threading.Thread(
            target=self._ask, args=(host, loop, future), name=f"farthing-lookup-{host}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise socket.gaierror(socket.EAI_AGAIN, f"no thread to look it up on: {error}") from error
        self._under_way[host] = future
        return future

    def _ask(
        self, host: str, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[tuple[str, ...] | Exception]"
    ) -> None:
        """Block; runs on the name's own thread."""
        found: tuple[str, ...] | Exception
        try:
            found = tuple(dict.fromkeys(_text(info[4]) for info in self._lookup(host)))
            if not found:
                found = socket.gaierror(socket.EAI_NONAME, "it has no address")
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            found = error
        try:
            loop.call_soon_threadsafe(self._told, host, future, found)
        except RuntimeError:
            pass  # the loop is closed: the program stopped without waiting for this

    def _told(
        self, host: str, future: "asyncio.Future[tuple[str, ...] | Exception]", found: tuple[str, ...] | Exception
    ) -> None:
        if self._under_way.get(host) is future:
            del self._under_way[host]
        if not isinstance(found, Exception):
            self._known.pop(host, None)
            if len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[host] = (future.get_loop().time() + self._fresh_s, found)
        if not future.done():
            future.set_result(found)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _text(sockaddr: tuple[Any, ...]) -> str:
    """Return an address; one that holds on one link only names the link, which Python keeps beside it."""
    host = str(sockaddr[0])
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    return f"{host}%{scope}" if scope and "%" not in host else host

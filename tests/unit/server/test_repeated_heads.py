"""Requests whose head is the last one's again are served without being parsed, and nobody can tell.

Over real sockets: an application that remembers every head tells what it was asked, and one that remembers none is the
oracle.
"""

import asyncio
import random
import re
from collections.abc import Callable, Sequence

import pytest

from farthing.clock import SystemClock
from farthing.server.exchange import Exchange
from farthing.server.listener import Bounds, Listener
from farthing.server.protocol import HttpProtocol

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ft-1\r\n%bContent-Length: %d\r\n"
    b"x-request-id: %b\r\n\r\n"
)


def telling(told: list[bytes], *, remembers: bool) -> Callable[[Exchange], object]:
    async def tell(exchange: Exchange) -> None:
        named = b" ".join(b"%b=%b" % pair for pair in sorted(exchange.named.items()))
        listed = b" ".join(b"%b=%b" % pair for pair in exchange.headers)
        head = exchange.peer.head
        if remembers and (head is None or not head.is_repeated(exchange.headers)):
            exchange.peer.remember(exchange, b"digest", b"")
        told.append(b"|".join((exchange.method, exchange.target, exchange.query, listed, named, exchange.take_body())))
        await asyncio.sleep(0)
        exchange.respond(200, (), b"%d" % len(told))

    return tell


async def test_a_head_that_is_remembered_late_is_not_taken_for_another_one_that_never_was() -> None:
    """A key that counts again is remembered with a request that was not parsed; the one parsed last is another's."""
    ours = HEAD % (b"", 2, b"ours") + b"{}"
    theirs = ours.replace(b"Bearer ft-1", b"Bearer ft-2")
    house = House(remembers=False)
    served = house.listener.app

    async def remembering(exchange: Exchange) -> None:
        if b"ft-1" in exchange.named[b"authorization"]:
            exchange.peer.remember(exchange, b"digest", b"")
        await served(exchange)

    house.listener.app = remembering
    await house.answers([(ours, 1), (theirs, 1), (ours, 1), (theirs, 1)])
    assert house.parsed < len(house.told) == 4
    assert [b"ft-2" in told for told in house.told] == [False, True, False, True]


class House:
    """A server on a real socket, and how many reads it had parsed."""

    def __init__(self, *, remembers: bool, **bounds: int) -> None:
        self.told: list[bytes] = []
        self.listener = Listener(telling(self.told, remembers=remembers), Bounds(**bounds), SystemClock())  # type: ignore[arg-type]
        self.parsed = 0

    async def answers(self, reads: Sequence[tuple[bytes, int]]) -> bytes:
        """Send each of `reads` when so many requests as end with the one before are served; return all that came."""
        loop = asyncio.get_running_loop()
        house = self

        class Counting(HttpProtocol):
            __slots__ = ()

            def _parse(self, data: bytes) -> None:
                house.parsed += 1
                super()._parse(data)

        server = await loop.create_server(lambda: Counting(self.listener, loop), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        came = b""
        try:
            expected = 0
            for read, ending in reads:
                writer.write(read)
                expected += ending
                for _ in range(200):  # a refused one is never served
                    await asyncio.sleep(0.001)
                    if len(self.told) == expected and not self.listener.exchanges:
                        break
            writer.write_eof()
            async with asyncio.timeout(5):
                came += await reader.read()
        finally:
            writer.close()
            server.close()
            self.listener.cut()
            self.listener.close()
            await server.wait_closed()
        return re.sub(rb"date: [^\r]*\r\n", b"", came)


def some_reads(luck: random.Random) -> list[tuple[bytes, int]]:
    """Return reads as clients send them: mostly the same head, sometimes another, in halves, or several at once."""
    reads: list[tuple[bytes, int]] = []
    for _ in range(luck.randint(3, 12)):
        body = luck.randbytes(luck.choice([0, 1, 9, 10, 935, 20_000]))
        more = luck.choice([b"", b"", b"", b"x-farthing-project: p\r\n", b"Connection: keep-alive\r\n"])
        request = HEAD % (more, len(body), luck.choice([b"a", b"a", b"a", b"b"])) + body
        match luck.randint(0, 7):
            case 0:
                cut = luck.randint(1, len(request) - 1)
                reads += [(request[:cut], 0), (request[cut:], 1)]
            case 1:
                reads.append((request + request, 2))
            case 2:
                old = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") % (b"Connection: keep-alive\r\n", 2, b"a")
                reads.append((old + b"ab", 1))
            case _:
                reads.append((request, 1))
    return reads


@pytest.mark.parametrize("seed", range(40))
async def test_who_remembers_heads_serves_the_same_as_who_does_not(seed: int) -> None:
    reads = some_reads(random.Random(seed))
    remembering, plain = House(remembers=True), House(remembers=False)
    assert await remembering.answers(reads) == await plain.answers(reads)
    assert remembering.told == plain.told
    assert remembering.listener.buffered_bytes == plain.listener.buffered_bytes == 0


async def test_only_the_first_of_the_same_heads_is_parsed() -> None:
    house = House(remembers=True)
    await house.answers([(HEAD % (b"", len(body), b"a") + body, 1) for body in (b"1", b"22", b"x" * 5_000, b"")])
    assert [told.rpartition(b"|")[2] for told in house.told] == [b"1", b"22", b"x" * 5_000, b""]
    assert house.parsed == 1


async def test_bounds_hold_for_repeated_heads_too() -> None:
    house = House(remembers=True, max_body_bytes=100)
    answers = await house.answers([(HEAD % (b"", size, b"a") + b"x" * size, 1) for size in (10, 100, 101)])
    assert len(house.told) == 2
    assert b" 413 " in answers


async def test_new_bounds_are_looked_at_by_the_parser() -> None:
    house = House(remembers=True)
    first = HEAD % (b"", 2, b"a") + b"ab"

    async def tell_and_tighten(exchange: Exchange) -> None:
        exchange.peer.remember(exchange, b"digest", b"")
        house.told.append(exchange.take_body())
        exchange.respond(200, (), b"")
        house.listener.bounds = Bounds(max_headers=2)

    house.listener.app = tell_and_tighten
    answers = await house.answers([(first, 1), (first, 1)])
    assert house.told == [b"ab"]
    assert b" 431 " in answers

"""Both HTTP ends under spoiled and cut bytes: no exception, no hang, nothing left behind, no answer that was not asked.

The seed of a case is its number, which a failure names. Bytes arrive in memory, in exactly the pieces that are chosen;
what a kernel adds to that is for the tests on real sockets.
"""

import asyncio
import http.client
import io
import os
from collections.abc import Callable
from random import Random

import httptools

from farthing.clock import SystemClock
from farthing.errors import FarthingError, ProviderError
from farthing.providers.pool import Origin, Pool, PoolLimits, Timeouts
from farthing.server.exchange import Exchange
from farthing.server.listener import Bounds, Listener
from farthing.server.protocol import HttpProtocol
from tests.unit.pool.memory import MemoryConnect, MemoryTransport

CASES = round(5000 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
"""For each end; 5,000 take about a second."""

_BOUNDS = Bounds(max_header_bytes=2000, max_headers=20, max_body_bytes=5000, max_buffered_bytes=8000)
_LIMITS = PoolLimits(max_header_bytes=2000, max_headers=20)

_REQUESTS = (
    b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
    b"POST /c HTTP/1.0\r\nhost: x\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
    b"POST /d HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
    b"POST /e HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\ntrailer: 1\r\n\r\n",
    b"POST /f HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    b"POST /g HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\nhi",
    b"POST /h HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4000\r\n\r\n" + b"z" * 4000,
    b"POST /i HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /j HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
)
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;e=1\r\nhe\r\n3\r\nllo\r\n0\r\nt: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello until the end",
    b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello until the end",
    b"HTTP/1.1 429 Too Many\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello",
)
_ODD_BYTES = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"\xff",
    b"0",
    b"-1",
    b"content-length: 1\r\n",
    b"\r\n\r\n",
    b"chunked",
)


def spoiled(random: Random, samples: tuple[bytes, ...]) -> bytes:
    """Return up to four of the samples behind one another, with up to three changes."""
    data = b"".join(random.choices(samples, k=random.randint(1, 4)))
    for _ in range(random.randint(0, 3)):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.choice((0, 1, 1, 8, 200)))
        match random.randrange(4):
            case 0:
                data = data[:at] + random.choice(_ODD_BYTES) + data[to:]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:at] + data[at:to] * 3 + data[to:]
            case _:
                data = data[:at] + bytes(random.randbytes(to - at)) + data[to:]
    return data


def pieces(random: Random, data: bytes) -> list[bytes]:
    """Cut the data at random places, sometimes everywhere."""
    if random.random() < 0.1:
        return [data[i : i + 1] for i in range(len(data))]
    cuts = sorted(random.sample(range(len(data) + 1), min(len(data), random.randint(0, 5))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


# ---- the server's end


def application(random: Random, seen: list[bytes]) -> Callable[[Exchange], object]:
    async def answer(exchange: Exchange) -> None:
        seen.append(exchange.method)
        body = exchange.take_body()
        match random.randrange(5):
            case 0:
                exchange.respond(200, [b"content-type: text/plain"], body)
            case 1:
                exchange.begin(200, [b"x: y\r\nset-cookie: evil"])
                await exchange.send(b"one", more=True)
                await asyncio.sleep(0)
                await exchange.send(b"", more=False)
            case 2:
                await asyncio.sleep(0)
                exchange.hold(len(body))
                exchange.respond(204, [], b"")
            case 3:
                exchange.begin(200, [])
                await exchange.send(b"cut", more=True)
                raise FarthingError("broken in the middle")
            case _:
                await asyncio.Event().wait()

    return answer


class Answers:
    """Reads what the server wrote; any byte that is no HTTP raises."""

    def __init__(self, methods: list[bytes]) -> None:
        self.statuses: list[int] = []
        self.names: list[bytes] = []
        self._methods = methods

    def on_header(self, name: bytes, value: bytes) -> None:
        del value
        self.names.append(name)

    def read(self, data: bytes) -> None:
        while data.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            data = data[25:]
        parser = httptools.HttpResponseParser(self)
        self._parser = parser
        parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())


async def one_connection(random: Random, listener: Listener) -> MemoryTransport:
    loop = asyncio.get_running_loop()
    protocol = HttpProtocol(listener, loop)
    transport = MemoryTransport(protocol, loop)
    protocol.connection_made(transport)
    for piece in pieces(random, spoiled(random, _REQUESTS)):
        if transport.gone:
            break
        protocol.data_received(piece)
        match random.randrange(12):
            case 0:
                protocol.pause_writing()
            case 1:
                protocol.expired()
            case 2:
                protocol.resume_writing()
            case 3 | 4:
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)
    protocol.resume_writing()
    for _ in range(random.randrange(8)):
        await asyncio.sleep(0)
    transport.abort()
    return transport


async def settled(listener: Listener) -> None:
    for _ in range(50):
        if not listener.exchanges and not listener.connections:
            return
        await asyncio.sleep(0)


def test_no_request_however_spoiled_breaks_the_server_or_leaves_anything_behind() -> None:
    async def run() -> None:
        answered = 0
        for case in range(CASES):
            random = Random(f"request {case}")
            seen: list[bytes] = []
            listener = Listener(application(random, seen), _BOUNDS, SystemClock())  # type: ignore[arg-type]  # object awaited
            transport = await one_connection(random, listener)
            await settled(listener)
            where = f"case {case}: {transport.written}"
            assert (len(listener.exchanges), len(listener.connections), listener.buffered_bytes) == (0, 0, 0), where
            out = b"".join(transport.written)
            assert b"\r\nset-cookie" not in out, where
            if out and b"HEAD" not in seen and out.count(b"HTTP/1.1 ") == 1:
                answers = Answers(seen)
                answers.read(out)
                answered += len(answers.statuses)
            listener.close()
        assert answered > CASES // 10  # the cases reach the application and come back

    asyncio.run(run())


# ---- the providers' end


async def one_answer(random: Random) -> bytes | None:
    """Return the body that the pool read, `None` where it refused the answer."""
    connect = MemoryConnect()
    pool = Pool(connect=connect, limits=_LIMITS)
    data = spoiled(random, _ANSWERS)
    sending = asyncio.ensure_future(
        pool.send(Origin("http", "x", 80), b"GET / HTTP/1.1\r\n\r\n", (), Timeouts(total_s=5))
    )
    await connect.connected.wait()
    (transport,) = connect.transports
    await asyncio.sleep(0)
    for piece in pieces(random, data):
        if transport.gone:
            break
        transport.protocol.data_received(piece)
        if random.random() < 0.3:
            await asyncio.sleep(0)
    if not transport.gone:
        transport.end()
    body: bytes | None = None
    try:
        async with asyncio.timeout(5):
            answer = await sending
            if random.random() < 0.1:
                answer.cancel()
            body = await answer.read(10_000)
    except ProviderError:
        body = None
    await pool.close()
    stats = pool.stats
    assert (stats.open, stats.in_use, stats.waiting) == (0, 0, 0), f"{stats} after {data!r}"
    return body


def by_the_book(data: bytes) -> bytes | None:
    """Return the body as the standard library's client reads it; `None` where it refuses."""

    class Socket:
        def makefile(self, *_: object) -> io.BytesIO:
            return io.BytesIO(data)

    response = http.client.HTTPResponse(Socket(), method="GET")  # type: ignore[arg-type]  # all it asks of a socket
    try:
        response.begin()
        return response.read()
    except (http.client.HTTPException, ValueError):
        return None


def test_no_answer_however_spoiled_breaks_the_pool_or_keeps_a_connection() -> None:
    async def run() -> None:
        read = 0
        for case in range(CASES):
            try:
                read += await one_answer(Random(f"answer {case}")) is not None
            except Exception as error:
                raise AssertionError(f"case {case}") from error
        assert read > CASES // 10

    asyncio.run(run())


def test_whole_answers_are_read_as_the_standard_library_reads_them() -> None:
    async def run() -> None:
        for case in range(CASES // 4):
            random = Random(f"whole {case}")
            answer = random.choice(_ANSWERS[:8])

            async def serve(answer: bytes = answer, random: Random = random) -> bytes:
                connect = MemoryConnect()
                pool = Pool(connect=connect)
                sending = asyncio.ensure_future(
                    pool.send(Origin("http", "x", 80), b"GET / HTTP/1.1\r\n\r\n", (), Timeouts(total_s=5))
                )
                await connect.connected.wait()
                await asyncio.sleep(0)
                for piece in pieces(random, answer):
                    connect.transports[0].protocol.data_received(piece)
                if not connect.transports[0].gone:
                    connect.transports[0].end()
                body = await (await sending).read(10_000)
                await pool.close()
                return body

            assert await serve() == by_the_book(answer), f"case {case}: {answer!r}"

    asyncio.run(run())

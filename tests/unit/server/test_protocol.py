"""The protocol class against real sockets, with an application that answers what the test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from farthing.clock import SystemClock
from farthing.server import listener as listener_module
from farthing.server.asgi import asgi
from farthing.server.listener import AsgiApp, Bounds, Listener, Receive, Scope, Send
from farthing.server.protocol import HttpProtocol

pytestmark = pytest.mark.usefixtures("fast_sweep")


@pytest.fixture
def fast_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "SWEEP_S", 0.02)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = (await receive())["body"]
    answer = b"%b %b %b" % (scope["method"].encode(), scope["path"].encode(), body)
    headers = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Forever:
    """An application that answers nothing, and tells when it was begun and cancelled."""

    def __init__(self) -> None:
        self.began, self.cancelled = asyncio.Event(), asyncio.Event()

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@asynccontextmanager
async def serving(app: AsgiApp = echo, **bounds: Any) -> AsyncIterator[tuple[Listener, int]]:
    loop = asyncio.get_running_loop()
    listener = Listener(asgi(app), Bounds(**bounds), SystemClock())
    server = await loop.create_server(lambda: HttpProtocol(listener, loop), "127.0.0.1", 0)
    try:
        yield listener, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        listener.cut()
        listener.close()
        await server.wait_closed()
        await until(lambda: not listener.exchanges)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in callbacks that signal nobody
            await asyncio.sleep(0.005)


async def talk(port: int, *pieces: bytes, eof: bool = False) -> bytes:
    """Send pieces, then read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if eof:
            writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def error_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), msgspec.json.decode(body)["error"]["message"]


GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving() as (_, port):
        answer = await talk(port, GET, b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"GET /a ") < answer.index(b"POST /b abc") < answer.index(b"GET /last ")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as (_, port):
        answer = await talk(port, GET * 5 + LAST)
    assert answer.count(b"GET /a ") == 5
    assert answer.endswith(b"GET /last ")


async def test_a_head_that_came_in_one_read_behind_another_request_is_bounded_as_well() -> None:
    large = b"GET /large HTTP/1.1\r\nx: " + b"y" * 5000 + b"\r\n\r\n"
    async with serving(max_header_bytes=4096) as (_, port):
        answer = await talk(port, b"GET /first HTTP/1.1\r\n\r\n" + large)
    assert b"GET /first" in answer
    assert b"GET /large" not in answer
    assert b"more than 4096 bytes of headers" in answer


async def test_more_pipelined_requests_than_are_kept_are_refused_after_the_first_answer() -> None:
    async with serving() as (listener, port):
        answer = await talk(port, GET * 60)
        await until(lambda: not listener.connections)
    assert b"GET /a " in answer
    assert b"pipelined" in answer


@pytest.mark.parametrize("step", [1, 7])
async def test_a_request_may_arrive_in_pieces(step: int) -> None:
    request = b"POST /p%20q?x=1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    request += b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving() as (_, port):
        answer = await talk(port, *(request[i : i + step] for i in range(0, len(request), step)))
    assert answer.endswith(b"POST /p q abcde")


@pytest.mark.parametrize("step", [1_000, 50_000, 70_000, 1_000_000])
async def test_a_large_body_arrives_whole_and_the_request_behind_it_is_served(step: int) -> None:
    body = bytes(range(256)) * 800
    request = b"POST /big HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    request += LAST
    async with serving() as (listener, port):
        answer = await talk(port, *(request[i : i + step] for i in range(0, len(request), step)))
        await until(lambda: not listener.connections)
        assert listener.buffered_bytes == 0
    assert answer.count(b"POST /big " + body) == 1
    assert answer.endswith(b"GET /last ")


async def test_a_client_that_waits_to_be_asked_is_asked() -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
    async with serving() as (_, port):
        assert (await talk(port, head, b"ok")).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


async def test_a_head_request_gets_the_head_only() -> None:
    async with serving() as (_, port):
        answer = await talk(port, LAST.replace(b"GET", b"HEAD"))
    assert answer.endswith(b"connection: close\r\n\r\n")


async def test_an_old_client_gets_a_body_that_ends_with_the_connection() -> None:
    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    async with serving(stream) as (_, port):
        old = await talk(port, b"GET / HTTP/1.0\r\n\r\n")
        new = await talk(port, LAST)
    assert old.endswith(b"\r\n\r\nab")
    assert new.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status", "words"),
    [
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 30 + b"\r\n", 431, "more than 20 headers"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 5000, 431, "more than 4096 bytes of headers"),
        (b"GET /" + b"y" * 5000, 431, "more than 4096 bytes of headers"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 5000 + b"\r\n\r\n", 431, "more than 4096 bytes of headers"),
        (b"GET /" + b"y" * 5000 + b" HTTP/1.1\r\n\r\n", 431, "more than 4096 bytes of headers"),
        (b"POST / HTTP/1.1\r\ncontent-length: 2000\r\n\r\n", 413, "2000 bytes is over the bound of 1000"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", 400, "not HTTP/1.1"),
        (
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + (b"200\r\n" + b"z" * 512 + b"\r\n") * 2,
            413,
            "over the bound",
        ),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400, "not HTTP/1.1"),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc", 400, "not HTTP/1.1"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, "not HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00", 400, "not HTTP/1.1"),
    ],
)
async def test_what_is_over_a_bound_or_no_http_is_refused_with_the_reason(
    request_bytes: bytes, status: int, words: str
) -> None:
    async with serving(max_headers=20, max_header_bytes=4096, max_body_bytes=1000) as (listener, port):
        answer = await talk(port, request_bytes)
        await until(lambda: not listener.connections)
        assert listener.buffered_bytes == 0
    assert error_of(answer)[0] == status
    assert words in error_of(answer)[1]


async def test_a_wish_to_upgrade_is_ignored_and_answered_as_http() -> None:
    async with serving() as (_, port):
        answer = await talk(port, b"GET / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer


async def test_a_client_still_sending_its_large_body_can_read_why_it_was_refused() -> None:
    async with serving(max_body_bytes=1000) as (_, port):
        answer = await talk(port, b"POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n", *[b"z" * 50_000] * 10)
    assert error_of(answer)[0] == 413


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"GET / HTT", 408),
        (b"GET / HTTP/1.1\r\nx: y\r\n", 408),
        (b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nab", 408),
    ],
)
async def test_a_request_that_never_ends_is_refused_in_time(begun: bytes, status: int) -> None:
    async with serving(header_timeout_s=0.1, body_timeout_s=0.1) as (listener, port):
        assert error_of(await talk(port, begun))[0] == status
        await until(lambda: not listener.connections)
        assert listener.buffered_bytes == 0


async def test_silent_and_idle_connections_are_closed() -> None:
    async with serving(header_timeout_s=0.1, keep_alive_s=0.1) as (listener, port):
        assert await talk(port) == b""
        assert (await talk(port, GET)).endswith(b"GET /a ")
        await until(lambda: not listener.connections)


async def test_more_connections_than_the_bound_are_turned_away() -> None:
    async with serving(max_connections=2) as (listener, port):
        open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: len(listener.connections) == 2)
        assert error_of(await talk(port))[0] == 503
        for _, writer in open_ones:
            writer.close()
        await until(lambda: not listener.connections)
        assert (await talk(port, LAST)).endswith(b"GET /last ")


async def test_the_sum_of_all_bodies_is_bounded_and_given_back() -> None:
    held = asyncio.Event()

    async def hold(_scope: Scope, _receive: Receive, send: Send) -> None:
        await held.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    post = b"POST / HTTP/1.1\r\ncontent-length: 600\r\nconnection: close\r\n\r\n" + b"z" * 600
    async with serving(hold, max_buffered_bytes=1000) as (listener, port):
        first = asyncio.create_task(talk(port, post))
        await until(lambda: listener.buffered_bytes == 600)
        status, words = error_of(await talk(port, post))
        assert status == 503
        assert "which is the bound" in words
        held.set()
        assert (await first).startswith(b"HTTP/1.1 204")
        assert listener.buffered_bytes == 0
        assert (await talk(port, post)).startswith(b"HTTP/1.1 204")


async def test_a_client_that_leaves_cancels_its_request() -> None:
    handler = Forever()
    async with serving(handler) as (listener, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await handler.began.wait()
        writer.close()
        async with asyncio.timeout(5):
            await handler.cancelled.wait()
        await until(lambda: not listener.exchanges and not listener.connections)


async def test_a_client_that_reads_slowly_makes_the_sender_wait_and_one_that_never_reads_is_dropped() -> None:
    sent = 0

    async def flood(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"z" * 100_000, "more_body": True})
            sent += 1

    async with serving(flood, write_timeout_s=0.3) as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(GET)
        await until(lambda: sent > 0)
        await until(lambda: any(connection.paused for connection in listener.connections))
        assert sent < 1000
        await until(lambda: not listener.connections)
        assert sent < 1000
        writer.close()
        del reader


async def test_an_error_nobody_expected_is_a_500_and_the_next_connection_is_served() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/a":
            raise ZeroDivisionError
        await echo(scope, receive, send)

    async with serving(broken) as (_, port):
        assert (await talk(port, GET)).startswith(b"HTTP/1.1 500 ")
        assert (await talk(port, LAST)).endswith(b"GET /last ")


async def test_an_answer_that_breaks_off_never_ends_cleanly() -> None:
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    async with serving(broken) as (_, port):
        assert (await talk(port, GET)).endswith(b"4\r\nhalf\r\n")


async def test_draining_closes_idle_connections_and_lets_the_busy_finish() -> None:
    held = asyncio.Event()

    async def hold(scope: Scope, receive: Receive, send: Send) -> None:
        await held.wait()
        await echo(scope, receive, send)

    async with serving(hold) as (listener, port):
        idle = asyncio.create_task(talk(port))
        busy = asyncio.create_task(talk(port, GET))
        await until(lambda: len(listener.exchanges) == 1 and len(listener.connections) == 2)
        listener.drain()
        assert await idle == b""
        held.set()
        answer = await busy
        assert b"connection: close" in answer
        assert answer.endswith(b"GET /a ")


async def test_receive_tells_when_the_client_has_left() -> None:
    told: list[str] = []

    async def listens(_scope: Scope, receive: Receive, send: Send) -> None:
        told.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        told.append((await receive())["type"])

    async with serving(listens) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await until(lambda: len(told) == 2)
    assert told == ["http.request", "http.disconnect"]

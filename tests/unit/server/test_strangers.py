"""What clients without a known key can hold, and that nobody is cut for what came behind his request."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import pytest

from farthing.clock import SystemClock
from farthing.server import listener as listener_module
from farthing.server.asgi import asgi
from farthing.server.listener import STRANGERS_SHARE, Bounds, Listener, Receive, Scope, Send
from farthing.server.protocol import HttpProtocol
from tests.unit.server.test_protocol import echo, error_of, serving, talk, until

KEY = b"x-api-key: known\r\n"
MB = 1 << 20


def knows(_url: bytes, named: Mapping[bytes, bytes]) -> bool:
    return named.get(b"x-api-key") == b"known"


@asynccontextmanager
async def guarded(bounds: Bounds) -> AsyncIterator[tuple[Listener, int]]:
    loop = asyncio.get_running_loop()
    listener = Listener(asgi(echo), bounds, SystemClock(), knows=knows)
    server = await loop.create_server(lambda: HttpProtocol(listener, loop), "127.0.0.1", 0)
    try:
        yield listener, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        listener.close()
        await server.wait_closed()
        await until(lambda: not listener.connections)


def has_come(listener: Listener, count: int) -> bool:
    return listener.buffered_bytes == count


def head(length: int, more: bytes = b"") -> bytes:
    return b"POST /v1/x HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\nconnection: close\r\n\r\n" % (more, length)


async def test_unfinished_bodies_of_strangers_leave_room_for_those_with_a_key() -> None:
    async with guarded(Bounds(max_buffered_bytes=8 * MB)) as (listener, port):
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
        for _, writer in strangers:
            writer.write(head(MB) + b"s" * (MB - 1))
        answers = [asyncio.create_task(reader.read()) for reader, _ in strangers]
        await until(lambda: sum(task.done() for task in answers) >= 11)
        assert listener.strange_bytes <= 8 * MB // STRANGERS_SHARE
        for task in answers:
            if task.done():
                status, words = error_of(task.result())
                assert (status, "without a known key" in words) == (503, True)

        whole = await talk(port, head(4 * MB, KEY), *[b"k" * (MB // 4)] * 16)
        assert whole.endswith(b"k" * 1000)
        for _, writer in strangers:
            writer.close()
        await asyncio.gather(*answers)
        await until(lambda: not listener.connections)
        assert (listener.strange_bytes, listener.buffered_bytes) == (0, 0)


async def test_a_body_in_chunks_of_a_stranger_is_counted_once_and_given_back() -> None:
    async with guarded(Bounds(max_buffered_bytes=8 * MB)) as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")
        for count in range(1, 6):
            writer.write(b"2710\r\n" + b"c" * 10_000 + b"\r\n")
            await until(partial(has_come, listener, count * 10_000))
        assert 40_000 <= listener.strange_bytes <= 50_000
        writer.write(b"0\r\n\r\n")
        assert (await reader.read()).endswith(b"c" * 10_000)
        assert (listener.strange_bytes, listener.buffered_bytes) == (0, 0)
        writer.close()


async def test_tiny_headers_without_an_end_are_refused_by_their_number_and_let_go() -> None:
    async with guarded(Bounds()) as (listener, port):
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for reader, writer in pairs:
            writer.write(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 16_000)
            status, words = error_of(await reader.read())
            assert (status, words.startswith("more than 200 headers")) == (431, True)
        assert listener.strange_bytes == 0
        assert all(not connection._collected for connection in listener.connections)
        for _, writer in pairs:
            writer.close()


async def test_headers_without_an_end_count_as_a_strangers() -> None:
    async with guarded(Bounds(max_buffered_bytes=8 * MB)) as (listener, port):
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(24)]
        for _, writer in pairs:
            writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * 60_000)
        answers = [asyncio.create_task(reader.read()) for reader, _ in pairs]
        await until(lambda: sum(task.done() for task in answers) >= 24 - 8 * MB // STRANGERS_SHARE // 60_000)
        assert listener.strange_bytes <= 8 * MB // STRANGERS_SHARE
        for _, writer in pairs:
            writer.close()
        await asyncio.gather(*answers)
        await until(lambda: not listener.connections)
        assert listener.strange_bytes == 0


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 20, b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n", b"408"),
        (b"\x16\x03\x01", b"400"),
    ],
    ids=["too large", "too many", "unfinished", "no HTTP"],
)
async def test_what_comes_behind_a_request_does_not_cut_its_answer(
    monkeypatch: pytest.MonkeyPatch, behind: bytes, status: bytes
) -> None:
    monkeypatch.setattr(listener_module, "SWEEP_S", 0.02)

    async def slow(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(8 if scope["path"] == "/slow" else 0):
            await asyncio.sleep(0.1)
            await send({"type": "http.response.body", "body": b"piece %d " % number, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    async with serving(slow, body_timeout_s=0.2, keep_alive_s=0.2) as (_, port):
        answer = await talk(port, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n" + behind)
    assert answer.count(b"piece ") == 8
    assert b"end" in answer
    assert b"HTTP/1.1 " + status in answer.partition(b"end")[2]


async def test_a_client_that_reads_slowly_all_the_time_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "SWEEP_S", 0.02)
    size = 6 * MB

    async def large(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"x" * size})

    def read(port: int) -> int:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            sock.settimeout(10)
            sock.connect(("127.0.0.1", port))
            sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            got = 0
            while piece := sock.recv(131_072):
                got += len(piece)
                pause.wait(0.02)
            return got

    pause = threading.Event()
    async with serving(large, write_timeout_s=0.3) as (_, port):
        got = await asyncio.get_running_loop().run_in_executor(None, read, port)
    assert got > size


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_a_transfer_encoding_that_is_not_undone_is_refused(request_head: bytes) -> None:
    async with serving() as (_, port):
        status, words = error_of(await talk(port, request_head))
    assert (status, "transfer-encoding" in words) == (400, True)

"""Hostile clients and broken providers all at once, against the running gateway, while one honest client goes on.

Afterwards everything is as before: files, memory, processor; and each request that reached a provider has its line.
"""

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from farthing.types.calls import Attempt
from tests.e2e.support import TRACED, Gateway, running_gateway
from tests.e2e.test_soak import cpu_ticks, files_once_quiet, open_files, rss_kb
from tests.e2e.upstream import Script, Upstream, upstream, whole

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
OF_EACH = max(2, round(12 * SCALE / (4 if TRACED else 1)))
"""Clients of each kind; a dozen of each hold 200 connections. They come at once, and an honest client waits until the
gateway has turned them away: one that is traced is slower at that, and a quarter of them is a storm for it."""
SECONDS = 4.0
ANSWER = b'{"model":"m","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
EVENTS = (
    b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"some words"}}]}\n\n' * 3
    + b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    + b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}\n\ndata: [DONE]\n\n'
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SETTINGS = """
server: {{header_timeout_s: 1, body_timeout_s: 2, write_timeout_s: 2, keep_alive_s: 2, max_body_mb: 4}}
providers:
  openai: {{base_url: {broken}/v1, credential: env:KEY, hold_s: 0.2, timeouts: {{first_byte_s: 2, idle_s: 2}}}}
  honest: {{kind: openai-compatible, base_url: {honest}/v1, credential: env:KEY}}
prices:
  - {{model: "openai:m", input: 1, output: 2}}
  - {{model: "honest:m", input: 1, output: 2}}
"""

pytestmark = pytest.mark.slow

Hostile = Callable[["Target"], Awaitable[None]]


class Target:
    """Where to attack, with what key, and until when."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n".encode()
        self.until = asyncio.get_running_loop().time() + SECONDS

    @property
    def over(self) -> bool:
        return asyncio.get_running_loop().time() > self.until

    def call(self, body: bytes = b'{"model":"openai:m","stream":true}') -> bytes:
        return b"%bcontent-length: %d\r\n\r\n%b" % (self.head, len(body), body)

    @contextlib.asynccontextmanager
    async def connected(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a pair of streams
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def header_by_header(target: Target) -> None:
    async with target.connected() as (_, writer):
        writer.write(target.head)
        while not target.over and not writer.is_closing():
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.05)


async def huge_headers(target: Target) -> None:
    async with target.connected() as (reader, writer):
        writer.write(target.head + b"x: " + b"y" * (1 << 20))
        assert b" 431 " in await reader.readline()


async def many_headers(target: Target) -> None:
    async with target.connected() as (reader, writer):
        writer.write(target.head + b"x: y\r\n" * 5_000 + b"\r\n")
        assert b" 431 " in await reader.readline()


async def body_that_never_ends(target: Target) -> None:
    async with target.connected() as (_, writer):
        writer.write(target.head + b"transfer-encoding: chunked\r\n\r\n")
        while not target.over and not writer.is_closing():
            writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
            await asyncio.sleep(0.01)


async def body_that_does_not_come(target: Target) -> None:
    async with target.connected() as (reader, writer):
        writer.write(target.head + b'content-length: 1000\r\n\r\n{"model"')
        assert b" 408 " in await reader.readline()


@cache
def bombs() -> list[tuple[bytes, bytes]]:
    once = gzip.compress(b" " * (64 << 20), 9)
    return [(b"gzip", once), (b"gzip, gzip", gzip.compress(once, 9))]


async def bomb(target: Target) -> None:
    for encoding, body in bombs():
        async with target.connected() as (reader, writer):
            told = b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n%b" % (encoding, len(body), body)
            writer.write(target.head + told)
            status = (await reader.readline()).split(b" ")[1]
            assert status in (b"413", b"400", b"415"), status


async def half_closed(target: Target) -> None:
    async with target.connected() as (reader, writer):
        writer.write(target.call())
        writer.write_eof()
        await reader.read()


async def pipelined(target: Target) -> None:
    async with target.connected() as (reader, writer):
        writer.write(target.call() * 8)
        await reader.read(200_000)


async def leaves_in_the_middle(target: Target) -> None:
    while not target.over:
        async with target.connected() as (reader, writer):
            writer.write(target.call())
            await reader.read(random.randrange(1, 300))


async def never_reads(target: Target) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    with sock:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", target.port))
        await asyncio.get_running_loop().sock_sendall(sock, target.call(b'{"model":"openai:m","stream":true,"n":99}'))
        await asyncio.sleep(SECONDS)


def smuggling(target: Target) -> Iterator[bytes]:
    inner = target.call()
    yield target.head + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + inner
    yield target.head + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n" + inner
    yield target.head + b"content-length: 0\r\ncontent-length: %d\r\n\r\n%b" % (len(inner), inner)
    yield target.head + b"content-length: +0\r\n\r\n" + inner
    yield target.head + b"content-length: 0x0\r\n\r\n" + inner
    yield target.head + b"content-length : 0\r\n\r\n" + inner
    yield target.head + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + inner
    yield target.head + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner
    yield target.head + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + inner
    yield target.head + b"x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + inner
    yield target.head + b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n" + inner
    yield target.head + b"transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n" + inner
    yield target.head + b"transfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\n" + inner
    yield target.head + b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + inner
    yield target.head.replace(b"\r\n", b"\n") + b"content-length: 0\n\n" + inner
    yield target.head.replace(b"HTTP/1.1", b"HTTP/1.1\x00") + b"\r\n" + inner
    yield target.head.replace(b"/v1/chat", b"/v1/ chat") + b"content-length: 0\r\n\r\n" + inner


async def smuggles(target: Target) -> None:
    """None of these is served as two requests: the first is refused, and the connection with it."""
    for request in smuggling(target):
        async with target.connected() as (reader, writer):
            writer.write(request)
            answer = await reader.read()
            assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")), (request, answer)
            assert answer.count(b"HTTP/1.1 ") == 1, (request, answer)


ATTACKS: list[Hostile] = [
    header_by_header,
    huge_headers,
    many_headers,
    body_that_never_ends,
    body_that_does_not_come,
    bomb,
    half_closed,
    pipelined,
    leaves_in_the_middle,
    never_reads,
    smuggles,
]


def breaking() -> Script:
    """Return a provider that answers one byte more each time before it resets, never ends, sends junk, or is right."""
    whole_answer = HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENTS), EVENTS)
    turns, lock = itertools.count(), threading.Lock()

    def script(connection: socket.socket, request: bytes) -> None:
        with lock:
            turn = next(turns)
        if b'"n":99' in request:  # somebody who does not read
            for _ in range(2_000):
                connection.sendall(HEAD if _ == 0 else b"%x\r\n%b\r\n" % (len(EVENTS[:84]) * 50, EVENTS[:84] * 50))
            connection.close()
            return
        match turn % 7:
            case 0 | 1 | 2:
                connection.sendall(whole_answer[: turn % (len(whole_answer) + 1)])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            case 3:
                connection.sendall(HEAD + b"5\r\nhello\r\nzz\r\n")
            case 4:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000)
            case 5:
                connection.sendall(HEAD + b"%x\r\n%b\r\n" % (len(EVENTS[:84]), EVENTS[:84]))
                connection.recv(1)  # and no more, until the other side gives up
            case _:
                connection.sendall(whole_answer)

    return script


async def honest(gateway: Gateway, key: str, until: float) -> tuple[int, float]:
    """Return how many calls were answered, and the longest that one took."""
    body = json.dumps({"model": "honest:m", "messages": []}).encode()
    answered, longest_s = 0, 0.0
    while asyncio.get_running_loop().time() < until:
        began = time.monotonic()
        answer = await asyncio.to_thread(gateway.post, "/v1/chat/completions", body, key)
        longest_s = max(longest_s, time.monotonic() - began)
        assert (answer.status, answer.body) == (200, ANSWER)
        answered += 1
    return answered, longest_s


@contextlib.contextmanager
def storm_house(folder: Path) -> Iterator[tuple[Gateway, Upstream, Upstream]]:
    with upstream(breaking()) as broken, upstream(whole(ANSWER)) as good:
        text = SETTINGS.format(broken=broken.url, honest=good.url)
        with running_gateway(folder, text, KEY="sk-operators-secret") as gateway:
            yield gateway, broken, good


async def attack(gateway: Gateway, key: str, of_each: int) -> tuple[int, float]:
    target = Target(gateway.port, key)
    async with asyncio.TaskGroup() as everybody:
        for one in ATTACKS * of_each:
            everybody.create_task(survive(one, target))
        served = everybody.create_task(honest(gateway, key, target.until))
    return served.result()


async def survive(hostile: Hostile, target: Target) -> None:
    """Run one attacker; that the gateway hangs up on it is what it came for."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        await hostile(target)


async def all_posted(gateway: Gateway, dispatched: int) -> list[Attempt]:
    """Return the ledger's attempts once it has had the time to take all of them."""
    posted: list[Attempt] = []
    for _ in range(100):
        posted = await asyncio.to_thread(gateway.attempts)
        if len(posted) >= dispatched:
            break
        await asyncio.sleep(0.2)
    return posted


async def test_a_storm_harms_nobody_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with storm_house(tmp_path / "home") as (gateway, broken, good):
        pid, key = gateway.process.pid, await asyncio.to_thread(gateway.new_key)
        await asyncio.to_thread(gateway.calls, 1)
        files_at_rest = open_files(pid)
        bombs()
        await attack(gateway, key, 1)  # brings everything to its working size
        memory_kb = rss_kb(pid)
        answered, longest_s = await attack(gateway, key, OF_EACH)
        dispatched = len(broken.requests) + len(good.requests)
        posted = await all_posted(gateway, dispatched)
        idle_from = cpu_ticks(pid)
        await asyncio.sleep(2)
        assert cpu_ticks(pid) - idle_from <= 10
        broken.close()  # and with them the connections that the gateway keeps for the next call
        good.close()
        assert await files_once_quiet(pid, files_at_rest) <= files_at_rest
        # A client may leave before its request has left: such an attempt has a line, and reached nobody.
        unanswered = sum(one.http_status is None for one in posted)
        assert dispatched <= len(posted) <= dispatched + unanswered
        assert all(one.cost_basis == "unknown" or one.cost_nanousd is not None for one in posted)
        assert rss_kb(pid) <= memory_kb + 48 * 1024
        assert answered > 1
        assert longest_s < 4.0  # other tests may run beside it
        gateway.verify()
    assert "Traceback" not in (tmp_path / "home" / "serve.log").read_text(encoding="utf-8")

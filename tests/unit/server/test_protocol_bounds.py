"""What a hostile or hurried client does to one connection, against real sockets."""

import asyncio
import socket
import tracemalloc

import msgspec
import pytest

from farthing.clock import SystemClock
from farthing.server import listener as listener_module
from farthing.server.asgi import asgi
from farthing.server.listener import Bounds, Listener, Receive, Scope, Send
from farthing.server.protocol import HttpProtocol
from tests.unit.server.test_protocol import GET, LAST, Forever, echo, error_of, serving, talk, until

pytestmark = pytest.mark.usefixtures("fast_sweep")

CHUNKED = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"


@pytest.fixture
def fast_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "SWEEP_S", 0.02)


async def names(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the header names that the application was shown."""
    await receive()
    await asyncio.sleep(0)
    answer = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})


@pytest.mark.parametrize("step", [1, 1000])
async def test_trailers_are_not_headers(step: int) -> None:
    request = CHUNKED + b"2\r\nab\r\n0\r\nauthorization: Bearer k\r\nx-other: 1\r\n\r\n"
    async with serving(names) as (_, port):
        answer = await talk(port, *(request[i : i + step] for i in range(0, len(request), step)))
    assert b"host transfer-encoding connection" in answer
    assert b"authorization" not in answer


@pytest.mark.parametrize(
    "tail",
    [
        b"0\r\nx: " + b"y" * 900_000,
        b"0\r\n" + b"x: y\r\n" * 150_000,
        b"2;" + b"e" * 900_000,
        b"1\r\nz\r\n" * 150_000,
    ],
    ids=["one trailer", "many trailers", "a chunk's extension", "tiny chunks"],
)
async def test_a_chunked_body_that_is_mostly_framing_is_refused(tail: bytes) -> None:
    async with serving() as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CHUNKED + b"2\r\nab\r\n" + tail)
        async with asyncio.timeout(5):
            status, words = error_of(await reader.read())
        writer.close()
        await until(lambda: not listener.connections)
        assert listener.buffered_bytes == 0
    assert status == 400
    assert "bytes of chunk heads and trailers" in words


async def test_a_large_body_in_ordinary_chunks_arrives_whole() -> None:
    chunk = b"%x\r\n%b\r\n" % (60, b"z" * 60)
    async with serving() as (_, port):
        answer = await talk(port, CHUNKED, *[chunk * 1000] * 20, b"0\r\n\r\n")
    assert answer.endswith(b"POST /c " + b"z" * 1_200_000)


async def test_a_chunked_request_behind_a_chunked_request_is_not_taken_for_framing() -> None:
    one = CHUNKED.replace(b"connection: close\r\n", b"") + b"3\r\nabc\r\n0\r\n\r\n"
    large = CHUNKED + b"fde8\r\n" + b"z" * 65_000 + b"\r\n0\r\n\r\n"
    async with serving(max_header_bytes=512) as (_, port):
        answer = await talk(port, one[:-4], one[-4:] + large)
    assert answer.endswith(b"POST /c " + b"z" * 65_000)


async def test_tiny_pieces_of_a_body_cost_little_more_than_their_bytes() -> None:
    async def held(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    pieces = b"2\r\nzz\r\n" * 20_000
    async with serving(held, max_header_bytes=1 << 20) as (listener, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        tracemalloc.start()
        writer.write(CHUNKED + pieces)
        await until(lambda: listener.buffered_bytes == 40_000)
        kept = sum(
            stat.size
            for stat in tracemalloc.take_snapshot().statistics("filename")
            if stat.traceback[0].filename.endswith("server/protocol.py")
        )
        tracemalloc.stop()
        writer.close()
    assert kept < 400_000


@pytest.mark.parametrize("step", [1, 600])
async def test_a_body_in_pieces_of_all_sizes_arrives_in_order(step: int) -> None:
    body = bytes(range(256)) * 20
    sizes = [step, 700, 3, 5, 513, 1]
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        piece = body[at : at + sizes[len(pieces) % len(sizes)]]
        at += len(piece)
        pieces.append(b"%x\r\n%b\r\n" % (len(piece), piece))
    async with serving() as (_, port):
        answer = await talk(port, CHUNKED + b"".join(pieces) + b"0\r\n\r\n")
    assert answer.endswith(b"POST /c " + body)


async def test_connections_that_are_turned_away_are_closed_although_their_clients_keep_them_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("farthing.server.protocol._LINGER_S", 0.05)
    monkeypatch.setattr(listener_module, "MAX_TURNED_AWAY", 3)
    async with serving(max_connections=1) as (listener, port):
        clients = [await asyncio.open_connection("127.0.0.1", port)]
        await until(lambda: len(listener.connections) == 1)
        clients += [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        async with asyncio.timeout(5):
            told = [await read_all(reader) for reader, _ in clients[1:]]
        await until(lambda: not listener.turned_away)
        assert len(listener.connections) == 1
        for _, writer in clients[1:]:
            with pytest.raises(ConnectionError):
                await write_until_broken(writer)
        for _, writer in clients:
            writer.close()
    assert sum(b"503" in answer for answer in told) >= 3


async def test_a_turned_away_connection_is_dropped_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farthing.server.protocol._LINGER_S", 60.0)
    kept: list[Listener] = []
    async with serving(max_connections=0) as (listener, port):
        kept.append(listener)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: len(listener.turned_away) == 1)
    await until(lambda: not kept[0].turned_away)
    writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def write_until_broken(writer: asyncio.StreamWriter) -> None:
    """Write until the other side's end is noticed; a half-closed connection would take everything."""
    async with asyncio.timeout(5):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.001)


async def test_a_client_that_sends_too_much_behind_its_request_is_dropped_and_its_call_cancelled() -> None:
    handler = Forever()
    async with serving(handler) as (listener, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await handler.began.wait()
        writer.write(b"z" * 200_000)
        writer.close()
        async with asyncio.timeout(5):
            await handler.cancelled.wait()
        await until(lambda: not listener.connections and not listener.exchanges)


async def test_what_follows_a_large_body_while_it_is_served_is_answered_too() -> None:
    held = asyncio.Event()

    async def hold(scope: Scope, receive: Receive, send: Send) -> None:
        await held.wait()
        await echo(scope, receive, send)

    body = b"z" * 300_000
    post = b"POST /big HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    small = b"POST /s HTTP/1.1\r\nhost: x\r\ncontent-length: 30000\r\n\r\n" + b"s" * 30_000
    async with serving(hold) as (listener, port):
        answered = asyncio.create_task(talk(port, post + small[:20_000], small[20_000:] + GET + LAST))
        await until(lambda: len(listener.exchanges) == 1)
        held.set()
        answer = await answered
        await until(lambda: not listener.connections)
        assert listener.buffered_bytes == 0
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert answer.index(b"POST /big ") < answer.index(b"POST /s " + b"s" * 30_000) < answer.index(b"GET /a ")
    assert answer.endswith(b"GET /last ")


@pytest.mark.parametrize("size", [5, 100_000])
@pytest.mark.parametrize("step", [1_000, 1_000_000])
async def test_a_body_behind_a_wish_to_upgrade_arrives_and_the_connection_goes_on(size: int, step: int) -> None:
    body = b"h" * size
    request = b"POST /u HTTP/1.1\r\nhost: x\r\n" + UPGRADE + b"content-length: %d\r\n\r\n" % size + body
    async with serving() as (listener, port):
        both = request + LAST
        answer = await talk(port, *(both[i : i + step] for i in range(0, len(both), step)))
        await until(lambda: not listener.connections)
        assert listener.buffered_bytes == 0
    assert b"POST /u " + body in answer
    assert answer.endswith(b"GET /last ")


async def test_a_body_behind_a_wish_to_upgrade_may_come_behind_another_request() -> None:
    request = b"POST /u HTTP/1.1\r\nhost: x\r\n" + UPGRADE + b"content-length: 5\r\n\r\nhello"
    async with serving() as (_, port):
        answer = await talk(port, GET + request + LAST)
    assert answer.index(b"GET /a ") < answer.index(b"POST /u hello") < answer.index(b"GET /last ")


async def test_a_wish_to_upgrade_behind_another_request_loses_neither_answer() -> None:
    async with serving() as (_, port):
        answer = await talk(port, GET + b"GET /u HTTP/1.1\r\nhost: x\r\n" + UPGRADE + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.endswith(b"GET /u ")


async def test_a_chunked_body_behind_a_wish_to_upgrade_is_refused_with_the_reason() -> None:
    request = (
        b"POST /u HTTP/1.1\r\nhost: x\r\n" + UPGRADE + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )
    async with serving() as (_, port):
        status, words = error_of(await talk(port, request))
    assert status == 400
    assert "upgrade" in words


async def test_a_header_of_an_answer_cannot_write_further_lines() -> None:
    async def evil(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"x-a", b"1\r\nset-cookie: a=b\n\0"), (b"x\r-b", b"2"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async with serving(evil) as (_, port):
        head, _, body = (await talk(port, LAST)).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[2:] == [b"x-a: 1set-cookie: a=b", b"x-b: 2", b"content-length: 2", b"connection: close"]
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert body == b"ok"


@pytest.mark.parametrize(
    ("method", "status", "named"), [(b"GET", 204, False), (b"GET", 304, False), (b"HEAD", 200, True)]
)
async def test_only_answers_that_could_have_a_body_tell_its_length(method: bytes, status: int, named: bool) -> None:
    async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"7"), (b"x", b"y")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with serving(answers) as (_, port):
        answer = await talk(port, LAST.replace(b"GET", method))
    assert (b"content-length: 7\r\n" in answer) is named
    assert b"transfer-encoding" not in answer
    assert b"x: y\r\n" in answer
    assert answer.endswith(b"connection: close\r\n\r\n")


async def test_a_body_over_the_bound_is_refused_naming_the_setting() -> None:
    async with serving(max_body_bytes=1000) as (_, port):
        answer = await talk(port, b"POST / HTTP/1.1\r\ncontent-length: 2000\r\n\r\n")
    assert "server.max_body_mb" in msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_client_that_left_before_its_request_was_begun_leaves_nothing_behind() -> None:
    asked: list[str] = []

    async def note(scope: Scope, _receive: Receive, _send: Send) -> None:
        asked.append(scope["path"])

    async def leave_at_once() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        listener = Listener(asgi(note), Bounds(), SystemClock())
        ours, theirs = socket.socketpair()
        transport, connection = await loop.create_connection(lambda: HttpProtocol(listener, loop), sock=ours)
        transport.abort()  # the loss is told in the loop's next turn, ahead of the task that would have served this
        connection.data_received(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
        assert (len(listener.exchanges), listener.buffered_bytes) == (1, 3)
        await until(lambda: not listener.exchanges)
        listener.close()
        theirs.close()
        return listener.buffered_bytes, len(listener.connections)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(leave_at_once()) == (0, 0)
    assert not asked

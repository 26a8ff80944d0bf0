"""Proxies from the environment: which origin goes through which, and a real tunnel for it."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from farthing.errors import ConfigError, ProviderUnreachable
from farthing.providers.pool import Dialer, Origin, Pool, Proxies, Timeouts, nothing_sent
from tests.unit.pool.upstream import OK, Certificates, always, ask_whole, upstream

HTTPS = Origin("https", "api.example.com", 443)


class TestChoice:
    @pytest.mark.parametrize(
        ("environment", "origin", "proxy"),
        [
            ({}, HTTPS, None),
            ({"HTTPS_PROXY": "http://p:3128"}, HTTPS, "http://p:3128 (HTTPS_PROXY)"),
            ({"https_proxy": "p:3128", "HTTPS_PROXY": "http://other"}, HTTPS, "http://p:3128 (https_proxy)"),
            ({"ALL_PROXY": "http://p"}, HTTPS, "http://p:8080 (ALL_PROXY)"),
            ({"HTTP_PROXY": "http://p"}, HTTPS, None),
            ({"HTTP_PROXY": "http://[::1]:1"}, Origin("http", "lan.example.com", 80), "http://[::1]:1 (HTTP_PROXY)"),
            ({"HTTPS_PROXY": ""}, HTTPS, None),
            ({"ALL_PROXY": "http://p"}, Origin("http", "127.0.0.1", 11434), None),
            ({"ALL_PROXY": "http://p"}, Origin("http", "localhost", 11434), None),
            ({"ALL_PROXY": "http://p"}, Origin("http", "::1", 11434), None),
        ],
    )
    def test_each_origin_has_the_proxy_of_its_scheme(
        self, environment: dict[str, str], origin: Origin, proxy: str | None
    ) -> None:
        found = Proxies(environment).of(origin)
        assert (None if found is None else str(found)) == proxy

    @pytest.mark.parametrize(
        ("without", "host", "straight"),
        [
            ("*", "api.example.com", True),
            ("example.com", "api.example.com", True),
            (".example.com", "api.example.com", True),
            ("*.example.com", "api.example.com", True),
            ("example.com", "badexample.com", False),
            ("API.example.com", "api.Example.com.", True),
            ("other.com, api.example.com:443", "api.example.com", True),
            ("api.example.com:8443", "api.example.com", False),
            ("10.0.0.0/8", "10.1.2.3", True),
            ("10.0.0.0/8", "11.1.2.3", False),
            ("[fd00::1]:443", "fd00::1", True),
            ("fd00::/8", "fd00::1", True),
            ("", "api.example.com", False),
            (",,", "api.example.com", False),
        ],
    )
    def test_no_proxy_names_what_goes_straight(self, without: str, host: str, straight: bool) -> None:
        proxies = Proxies({"HTTPS_PROXY": "http://p", "NO_PROXY": without})
        assert (proxies.of(Origin("https", host, 443)) is None) is straight

    @pytest.mark.parametrize(
        ("value", "complaint"),
        [
            ("socks5://p:1080", "of the kind 'socks5'"),
            ("http://p:eleven", "no address"),
            ("http://", "names no host"),
        ],
    )
    def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(self, value: str, complaint: str) -> None:
        with pytest.raises(ConfigError, match=f"HTTPS_PROXY.*{complaint}"):
            Proxies({"HTTPS_PROXY": value})

    def test_a_password_is_in_no_message(self) -> None:
        proxy = Proxies({"HTTPS_PROXY": "http://me:s%40cret@p:1"}).of(HTTPS)
        assert proxy is not None
        assert base64.b64decode(proxy.authorization.removeprefix(b"Basic ")) == b"me:s@cret"
        assert "s@cret" not in str(proxy)


class RunningProxy:
    """A CONNECT proxy on loopback that dials loopback, whatever host it is asked for."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if self.answer is not None:
            writer.write(self.answer)
            writer.close()
            return
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\nproxy-agent: test\r\n\r\n")
        async with asyncio.TaskGroup() as both:
            both.create_task(_carry(reader, up_writer))
            both.create_task(_carry(up_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """Serve on loopback; leave no connection behind."""
    writers: list[asyncio.StreamWriter] = []
    tasks: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.close()
    if tasks:
        await asyncio.wait(tasks)
    for writer in writers:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def proxy(answer: bytes | None = None) -> AsyncIterator[RunningProxy]:
    running = RunningProxy(answer)
    async with serving(running.serve) as running.port:
        yield running


@asynccontextmanager
async def pool_through(variables: dict[str, str]) -> AsyncIterator[Pool]:
    pool = Pool(connect=Dialer(Proxies(variables)))
    try:
        yield pool
    finally:
        await pool.close()


async def test_tls_goes_through_the_tunnel_and_is_verified_by_the_origins_name(certificates: Certificates) -> None:
    async with upstream(always(OK), tls=certificates.context("models.example"), ca_file=certificates.ca_file) as up:
        async with proxy() as between, pool_through({"HTTPS_PROXY": f"http://me:pw@127.0.0.1:{between.port}"}) as pool:
            origin = Origin("https", "models.example", up.origin.port, certificates.ca_file)
            for _ in range(2):
                assert await ask_whole(pool, origin) == b"ok"
            stranger = Origin("https", "other.example", up.origin.port, certificates.ca_file)
            with pytest.raises(ProviderUnreachable, match="not trusted"):
                await ask_whole(pool, stranger)
        host = b"models.example:%d" % up.origin.port
        told = b"proxy-authorization: Basic " + base64.b64encode(b"me:pw")
        assert between.asked[0] == b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n\r\n" % (host, host, told)
        assert len(between.asked) == 2  # the connection was kept
        assert all(b"me:pw" not in request for request in up.requests)


async def test_plain_http_goes_through_a_tunnel_too() -> None:
    async with (
        upstream(always(OK)) as up,
        proxy() as between,
        pool_through({"HTTP_PROXY": f"http://127.0.0.1:{between.port}"}) as pool,
    ):
        assert await ask_whole(pool, Origin("http", "lan.example", up.origin.port)) == b"ok"
    assert between.asked[0].startswith(b"CONNECT lan.example:")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "other credentials"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "answered 403"),
        (b"HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n", "answered 302"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000, "over the bound"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "before it was asked"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_named_and_nothing_was_sent(answer: bytes, complaint: str) -> None:
    async with (
        proxy(answer) as between,
        pool_through({"HTTPS_PROXY": f"http://me:pw@127.0.0.1:{between.port}"}) as pool,
    ):
        with pytest.raises(ProviderUnreachable, match=complaint) as caught:
            await ask_whole(pool, HTTPS)
        assert nothing_sent(caught.value)
        assert "pw" not in str(caught.value)
        assert pool.stats.open == 0


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with proxy() as between:
        port = between.port
    async with pool_through({"HTTPS_PROXY": f"http://127.0.0.1:{port}"}) as pool:
        with pytest.raises(
            ProviderUnreachable, match=rf"proxy http://127.0.0.1:{port} \(HTTPS_PROXY\) cannot be reached"
        ):
            await ask_whole(pool, HTTPS)


async def test_a_proxy_that_never_answers_runs_into_the_connect_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with (
        serving(silent) as port,
        pool_through({"HTTPS_PROXY": f"http://127.0.0.1:{port}"}) as pool,
    ):
        with pytest.raises(Exception, match="connect timeout") as caught:
            await pool.send(HTTPS, b"GET / HTTP/1.1\r\n\r\n", (), Timeouts(connect_s=0.2))
        assert nothing_sent(caught.value)
        assert pool.stats.open == 0

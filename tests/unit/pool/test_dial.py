"""TLS is always verified, and every way not to connect says what failed and what to look at."""

import socket

import pytest

from farthing.errors import ConfigError, ProviderCut, ProviderUnreachable
from farthing.providers.pool import Dialer, Origin, Pool, nothing_sent
from tests.unit.pool.upstream import CHUNKED, OK, Certificates, Line, always, ask, ask_whole, upstream


async def test_settable_authority_is_trusted_and_the_connection_kept(pool: Pool, certificates: Certificates) -> None:
    async with upstream(always(OK), tls=certificates.context("localhost"), ca_file=certificates.ca_file) as up:
        for _ in range(3):
            assert await ask_whole(pool, up.origin) == b"ok"
        assert up.connections == 1


async def test_stranger_authority_is_refused_by_name(pool: Pool, certificates: Certificates) -> None:
    async with upstream(always(OK), tls=certificates.context("localhost"), ca_file=certificates.wrong_ca_file) as up:
        with pytest.raises(ProviderUnreachable, match=r"localhost:\d+: its certificate is not trusted") as caught:
            await ask(pool, up.origin)
        assert "ca_file" in str(caught.value)
        assert nothing_sent(caught.value)
        assert up.requests == []


async def test_certificate_of_another_host_is_refused(pool: Pool, certificates: Certificates) -> None:
    async with upstream(always(OK), tls=certificates.context("elsewhere.invalid"), ca_file=certificates.ca_file) as up:
        with pytest.raises(ProviderUnreachable, match=r"not trusted.*localhost"):
            await ask(pool, up.origin)


async def test_system_authorities_do_not_trust_a_private_one(pool: Pool, certificates: Certificates) -> None:
    async with upstream(always(OK), tls=certificates.context("localhost")) as up:
        with pytest.raises(ProviderUnreachable, match="not trusted"):
            await ask(pool, up.origin)


async def test_https_to_a_plain_port_says_so(pool: Pool, certificates: Certificates) -> None:
    async def serve(line: Line) -> None:
        await line.reader.read(100)
        await line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with upstream(serve) as up:
        origin = Origin("https", "localhost", up.origin.port, certificates.ca_file)
        with pytest.raises(ProviderUnreachable, match=r"TLS failed.*check that the port speaks https"):
            await ask(pool, origin)


async def test_cut_tls_stream_is_a_cut(pool: Pool, certificates: Certificates) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")

    async with upstream(serve, tls=certificates.context("localhost"), ca_file=certificates.ca_file) as up:
        answer = await ask(pool, up.origin)
        with pytest.raises(ProviderCut):
            await answer.read(100)


async def test_refused_connection_names_the_address(pool: Pool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ProviderUnreachable, match=rf"http://127\.0\.0\.1:{port}: the connection was refused") as at:
            await ask(pool, Origin("http", "127.0.0.1", port))
    assert nothing_sent(at.value)
    assert pool.stats.open == 0


async def test_unknown_name_says_that_it_cannot_be_resolved(pool: Pool) -> None:
    with pytest.raises(ProviderUnreachable, match=r"nowhere\.invalid:80: the name cannot be resolved"):
        await ask(pool, Origin("http", "nowhere.invalid", 80))


async def test_name_that_cannot_be_one_is_unreachable(pool: Pool) -> None:
    with pytest.raises(ProviderUnreachable, match="Cannot connect"):
        await ask(pool, Origin("http", "x" * 300 + ".invalid", 80))


def test_unreadable_authority_is_the_operators_mistake() -> None:
    with pytest.raises(ConfigError, match=r"'/nowhere\.pem'"):
        Dialer().prepare(Origin("https", "localhost", 443, "/nowhere.pem"))


async def test_unreadable_authority_leaves_no_slot_taken(pool: Pool) -> None:
    with pytest.raises(ConfigError):
        await ask(pool, Origin("https", "localhost", 443, "/nowhere.pem"))
    assert pool.stats.open == 0


async def test_connection_closed_at_once_is_unreachable_or_cut(pool: Pool) -> None:
    async def serve(line: Line) -> None:
        line.writer.transport.abort()

    async with upstream(serve) as up:
        with pytest.raises((ProviderUnreachable, ProviderCut)):
            await ask(pool, up.origin)
        assert pool.stats.open == 0


def test_addresses_print_as_a_person_would_type_them() -> None:
    assert str(Origin("http", "::1", 8000)) == "http://[::1]:8000"
    assert str(Origin("https", "api.example.com", 443)) == "https://api.example.com:443"

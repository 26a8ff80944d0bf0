"""Open connections: TCP, and TLS that is always verified.

A context takes 10-30 ms to build, because it reads the certificate authorities from disk, so there is one per CA file
and `prepare` builds it before the first request. With a CA file only that authority is trusted, not the system's. Names
are resolved by us and not by the loop: see `names.py`.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from farthing.errors import ConfigError
from farthing.providers.pool.names import Names
from farthing.providers.pool.origin import Origin
from farthing.providers.pool.proxies import NO_PROXIES, Proxies, Proxy
from farthing.providers.pool.tunnel import Tunnel, TunnelRefused

Connect = Callable[
    [Callable[[], asyncio.Protocol], Origin], Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]
]
"""Opens one connection; raises OSError. A simulator hands in its own, and the pool never touches a socket: of a
transport it uses write, writelines, get_write_buffer_size, pause_reading, resume_reading, is_closing, close, abort."""

_P = TypeVar("_P", bound=asyncio.Protocol)

_SHUTDOWN_S = 2.0
"""How long closing an idle TLS connection may wait for the peer's goodbye; it only holds a descriptor."""

_PROBE_AFTER_S = 60
"""Silence after which the kernel asks whether the peer is still there; NAT tables forget after minutes."""


class Dialer:
    """The `Connect` that uses real sockets. Holds one TLS context per CA file in the settings."""

    __slots__ = ("_contexts", "_names", "_proxies")

    def __init__(self, proxies: Proxies = NO_PROXIES, names: Names | None = None) -> None:
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._names = names or Names()
        self._proxies = proxies

    def prepare(self, origin: Origin) -> None:
        """Build the origin's TLS context if it needs one; blocks for some ms.

        Raises:
            ConfigError: the CA file cannot be read or holds no certificate.
        """
        if origin.scheme == "https" and origin.ca_file not in self._contexts:
            self._contexts[origin.ca_file] = _context(origin.ca_file)

    async def __call__(
        self, factory: Callable[[], asyncio.Protocol], origin: Origin
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """Connect; raises OSError (ssl.SSLError and socket.gaierror among them) or ConfigError."""
        self.prepare(origin)
        proxy = self._proxies.of(origin)
        if proxy is not None:
            transport, protocol = await self._through(proxy, factory, origin)
        else:
            context = self._contexts[origin.ca_file] if origin.scheme == "https" else None
            transport, protocol = await self._reach(factory, origin.host, origin.port, context)
        _probe_when_silent(transport)
        return transport, protocol

    async def _reach(
        self, factory: Callable[[], _P], host: str, port: int, context: ssl.SSLContext | None
    ) -> tuple[asyncio.Transport, _P]:
        """Try a host's addresses one after the other; raises what was wrong with the first of them."""
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if context is not None:
            tls = {"ssl": context, "server_hostname": host, "ssl_shutdown_timeout": _SHUTDOWN_S}
        wrong: OSError | None = None
        for address in await self._names.addresses(host):
            try:
                return await loop.create_connection(factory, address, port, **tls)
            except OSError as error:
                wrong = wrong or error
                if isinstance(error, ssl.SSLError):
                    break  # somebody is there, and another address is not why TLS would fail
        self._names.forget(host)
        assert wrong is not None, "a name has at least one address"
        try:
            raise wrong
        finally:
            del wrong  # it holds this frame

    async def _through(
        self, proxy: Proxy, factory: Callable[[], asyncio.Protocol], origin: Origin
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """Connect through a tunnel: plain HTTP as well, so that no proxy sees what it might keep or change."""
        loop = asyncio.get_running_loop()
        if proxy.scheme == "https":
            self._contexts[None] = self._contexts.get(None) or _context(None)
        context = self._contexts[None] if proxy.scheme == "https" else None
        try:
            tunnel_transport, tunnel = await self._reach(
                lambda: Tunnel(proxy, origin, loop), proxy.host, proxy.port, context
            )
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            raise TunnelRefused(f"the proxy {proxy} cannot be reached: {error}") from error
        try:
            await tunnel.stands()
            protocol = factory()
            if origin.scheme == "https":
                transport = await loop.start_tls(
                    tunnel_transport,
                    protocol,
                    self._contexts[origin.ca_file],
                    server_hostname=origin.host,
                    ssl_shutdown_timeout=_SHUTDOWN_S,
                )
                assert transport is not None  # only a handshake that ended early returns none, and that raises
            else:
                tunnel_transport.set_protocol(protocol)
                transport = tunnel_transport
        except BaseException:
            tunnel_transport.abort()
            raise
        protocol.connection_made(transport)  # the loop tells only the first protocol of a transport
        return transport, protocol


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The CA file '{ca_file}' cannot be used: {error}.", hint="set ca_file to a readable PEM file"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _probe_when_silent(transport: asyncio.BaseTransport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux and newer Windows; macOS names it otherwise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)

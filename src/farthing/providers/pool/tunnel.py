"""Ask a proxy for a tunnel to an origin (CONNECT, RFC 9110 9.3.6)."""

import asyncio
from typing import cast

import httptools

from farthing.providers.pool.origin import Origin
from farthing.providers.pool.proxies import Proxy

MAX_ANSWER_BYTES = 16_384
"""The most of a proxy's answer that is read before the tunnel stands; a refusal's page is not wanted."""


class TunnelRefused(OSError):
    """The proxy did not open a tunnel."""


class Tunnel(asyncio.Protocol):
    """Speaks to the proxy until the tunnel stands; then another protocol takes its transport."""

    def __init__(self, proxy: Proxy, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._origin = origin
        self._stands: asyncio.Future[None] = loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._seen_bytes = 0
        self._open = self._more = False

    async def stands(self) -> None:
        """Wait until the tunnel stands; raises `TunnelRefused`."""
        await self._stands

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        host = f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host
        target = f"{host}:{self._origin.port}".encode("idna" if not host.isascii() else "ascii")
        authorization = self._proxy.authorization
        told = b"proxy-authorization: %b\r\n" % authorization if authorization else b""
        ask = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, told)
        cast("asyncio.Transport", transport).write(ask)

    def data_received(self, data: bytes) -> None:
        """Read the proxy's answer."""
        self._seen_bytes += len(data)
        if self._seen_bytes > MAX_ANSWER_BYTES:
            self._refused(f"its answer is over the bound of {MAX_ANSWER_BYTES} bytes")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refused(f"it does not speak HTTP/1.1 ({error})")
        if self._open and self._more:
            self._refused("it sent something before it was asked")
        elif self._open and not self._stands.done():
            self._stands.set_result(None)

    def on_headers_complete(self) -> None:
        """A 2xx opens the tunnel, whatever else its head says; everything else is a refusal."""
        status = self._parser.get_status_code()
        if 200 <= status < 300:
            self._open = True
        elif status == 407:
            self._refused("it wants other credentials (407)")
        elif status >= 300:
            self._refused(f"it answered {status}")

    def on_body(self, data: bytes) -> None:  # noqa: ARG002 - the parser's signature
        """Nobody behind an open tunnel speaks before it was spoken to."""
        self._more = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy is gone."""
        self._refused(f"it closed the connection{f' ({exc})' if exc else ''}")

    def _refused(self, why: str) -> None:
        if not self._stands.done():
            self._stands.set_exception(TunnelRefused(f"the proxy {self._proxy} opened no tunnel: {why}"))

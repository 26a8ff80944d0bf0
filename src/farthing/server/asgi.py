"""Lets an ASGI application answer exchanges: the pages, which may use a framework.

The hot routes do not come this way: scope, messages and their coroutines cost 8 us a request.
"""

from typing import Any
from urllib.parse import unquote

from farthing.server.exchange import Exchange
from farthing.server.listener import Application, AsgiApp, Scope

_VERSIONS = {"version": "3.0", "spec_version": "2.3"}


def asgi(app: AsgiApp) -> Application:
    """Return `app` as what a listener takes."""

    async def answer(exchange: Exchange) -> None:
        await app(_scope(exchange), *_channels(exchange))

    return answer


def _scope(exchange: Exchange) -> Scope:
    path = exchange.target.decode("ascii", "replace")
    connection = exchange.peer
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": "1.1",
        "method": exchange.method.decode("latin-1"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": exchange.target,
        "query_string": exchange.query,
        "root_path": "",
        "scheme": connection.scheme,
        "headers": exchange.headers,
        "client": connection.client,
        "server": connection.server,
        "state": {},
        "extensions": {},
    }


def _channels(exchange: Exchange) -> tuple[Any, Any]:
    asked = False

    async def receive() -> dict[str, Any]:
        """Return the whole body at once, then nothing until the client leaves."""
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": exchange.take_body(), "more_body": False}
        await exchange.until_left()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            length = next((int(value) for name, value in message["headers"] if name == b"content-length"), None)
            lines = [b"%b: %b" % header for header in message["headers"] if header[0] != b"content-length"]
            exchange.begin(message["status"], lines, length)
        else:
            await exchange.send(message.get("body", b""), more=message.get("more_body", False))

    return receive, send

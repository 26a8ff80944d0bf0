"""The floor for this Python: our server with an application that reads the body and answers 1.2 KB at once."""

import asyncio
import sys

import uvloop

from farthing.clock import SystemClock
from farthing.server.asgi import asgi
from farthing.server.listener import Bounds, Listener, Receive, Scope, Send
from farthing.server.live import LiveServer, bind

_BODY = b"x" * 1200
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"1200")],
}


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer."""
    await receive()
    await send(_START)
    await send({"type": "http.response.body", "body": _BODY})


async def _serve(port: int) -> None:
    listener = Listener(asgi(echo), Bounds(), SystemClock())
    await LiveServer(listener, 1.0, lambda: None).serve(sockets=[bind("127.0.0.1", port)])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))

"""The floor for this Python: our server with an application that reads the body, answers 1.2 KB at once and counts."""

import asyncio
import mmap
import sys
from pathlib import Path

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


async def _serve(port: int, count: Path) -> None:
    with count.open("r+b") as file:
        answered = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")

    async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(_START)
        await send({"type": "http.response.body", "body": _BODY})
        answered[0] += 1

    listener = Listener(asgi(echo), Bounds(), SystemClock())
    await LiveServer(listener, 1.0, lambda: None).serve(sockets=[bind("127.0.0.1", port)])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))

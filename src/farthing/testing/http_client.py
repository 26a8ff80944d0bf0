"""A client as plain as can be: one request per connection, whole or streamed, able to leave in the middle.

SDKs belong to the tests; the demo and load that must leave at a chosen moment need less, and no dependency.
"""

import asyncio
from collections.abc import Mapping

import httptools
import msgspec

READ_BYTES = 64 << 10
MAX_ANSWER_BYTES = 64 << 20
"""More than any fake says; what comes beyond ends the connection."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `complete` is false where the answer broke off or the client left."""

    status: int
    body: bytes
    complete: bool

    @property
    def events(self) -> list[bytes]:
        """The events of a stream, without the blank lines between them."""
        return [event for event in self.body.split(b"\n\n") if event.strip()]


async def post(
    port: int,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    leave_after_events: int | None = None,
    timeout_s: float = 60.0,
) -> Heard:
    """Send a request to loopback and return the answer, or what there was of it when it was time to leave.

    Raises:
        OSError: nobody listens there, or the connection was reset before an answer.
        TimeoutError: the answer was not complete in time.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            head = {
                "host": f"127.0.0.1:{port}",
                "content-type": "application/json",
                "content-length": str(len(body)),
                "connection": "close",
                **headers,
            }
            lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
            writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
            await writer.drain()
            return await _hear(reader, leave_after_events)
        finally:
            writer.close()


async def _hear(reader: asyncio.StreamReader, leave_after_events: int | None) -> Heard:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    events = 0
    while not answer.complete and len(answer.body) < MAX_ANSWER_BYTES:
        try:
            data = await reader.read(READ_BYTES)
        except ConnectionError:
            break
        if not data:
            break
        parser.feed_data(data)
        if leave_after_events is not None:
            events += data.count(b"\n\n")
            if events >= leave_after_events:
                break
    status = parser.get_status_code() if answer.begun else 0
    return Heard(status=status, body=bytes(answer.body), complete=answer.complete)


class _Answer:
    def __init__(self) -> None:
        self.body = bytearray()
        self.begun = False
        self.complete = False

    def on_headers_complete(self) -> None:
        self.begun = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True

"""A provider that sends exactly the bytes a test tells it to, and keeps exactly the bytes it got."""

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Script = Callable[[socket.socket, bytes], None]
"""Answers one request on a connection: gets the socket and the whole request."""


class Upstream:
    """Serves each request with the next script, the last one for ever."""

    def __init__(self, *scripts: Script) -> None:
        self.requests: list[bytes] = []
        self.closed_early = 0
        self._scripts = deque(scripts)
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self, *scripts: Script) -> None:
        """Serve what comes from here on with these."""
        self._scripts = deque(scripts)

    def close(self) -> None:
        """Take no more, and end what is open."""
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, self._kept(connection):
            while True:
                try:
                    request = read_request(connection)
                    if not request:
                        return
                    self.requests.append(request)
                    script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
                    script(connection, request)
                except OSError:
                    self.closed_early += 1
                    return

    @contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[None]:
        self._open.add(connection)
        try:
            yield
        finally:
            self._open.discard(connection)


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def whole(body: bytes, status: str = "200 OK", **headers: str) -> Script:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    answer = f"HTTP/1.1 {status}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body

    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(answer)

    return script


def streamed(*pieces: bytes | float, end: bool = True, close: bool = False) -> Script:
    """Send pieces as chunks; a number waits that many seconds. Without `end` the body stays open, `close` cuts it."""

    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in pieces:
            if isinstance(piece, float):
                time.sleep(piece)
            else:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        if end:
            connection.sendall(b"0\r\n\r\n")
        elif close:
            connection.close()
        else:
            connection.recv(1)  # until the other side leaves

    return script


def silent(connection: socket.socket, _request: bytes) -> None:
    connection.recv(1)


def hang_up(connection: socket.socket, _request: bytes) -> None:
    connection.close()


@contextmanager
def upstream(*scripts: Script) -> Iterator[Upstream]:
    server = Upstream(*scripts)
    try:
        yield server
    finally:
        server.close()

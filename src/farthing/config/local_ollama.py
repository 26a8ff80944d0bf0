"""Finds an Ollama on this machine: where it would listen, and whether somebody answers there.

Only this machine is looked at. `OLLAMA_HOST` is where Ollama listens and where its clients look, so it may well name
another machine, or a gateway such as this one with the key in its path; neither is an Ollama of ours to take by itself.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from farthing.config.addresses import is_loopback

_USUAL = "http://127.0.0.1:11434"
_PORT = 11434
_STEP_S = 0.05
"""A server on this machine accepts and answers within a millisecond; 50 are for one whose time slice has to come."""
_STEPS = 3
"""With the connection's one 200 ms at most, and only where something listens and says nothing."""
_MAX_ANSWER_BYTES = 4096
"""Ollama's answer has 150 bytes."""


def local_address(environment: Mapping[str, str]) -> str | None:
    """Return the base address of this machine's Ollama, were there one; `None` where it is said to be elsewhere."""
    said = environment.get("OLLAMA_HOST", "").strip().strip("\"'")
    if not said:
        return _USUAL
    usual_port = _PORT if "://" not in said else 80
    try:
        parts = urlsplit(said if "://" in said else f"http://{said}")
        port = usual_port if parts.port is None else parts.port
    except ValueError:
        return None
    if parts.path.strip("/"):  # a gateway's address, with the key in it
        return _USUAL
    host = parts.hostname or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where Ollama listens, not we
    if parts.scheme != "http" or not is_loopback(host) or not port:
        return None
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Knock:
    """A question to whoever listens at an address: asked at once, heard later, so that a start need not wait."""

    def __init__(self, base_url: str) -> None:
        """Ask. Where nobody listens that is over in 0.1 ms."""
        self._socket: socket.socket | None = None
        parts = urlsplit(base_url)
        # "localhost" is not looked up: that may ask the network, and would take its time.
        host = parts.hostname if parts.hostname and parts.hostname[-1].isdigit() else "127.0.0.1"
        question = f"GET /api/version HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode()
        with suppress(OSError):
            connected = socket.create_connection((host, parts.port or 80), timeout=_STEP_S)
            self._socket = connected
            connected.sendall(question)

    def answered(self) -> bool:
        """Whether an Ollama answered; call it once. Waits 150 ms at most."""
        if self._socket is None:
            return False
        heard = b""
        with suppress(OSError), self._socket as connected:
            for _ in range(_STEPS):
                piece = connected.recv(_MAX_ANSWER_BYTES)
                heard += piece
                if not piece or b'"version"' in heard:
                    break
        status, _, rest = heard.partition(b"\r\n")
        return status.startswith(b"HTTP/1.") and b" 200" in status and b'"version"' in rest

"""What a pool is told: where to connect, how long to wait, and how much to hold."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """One place to connect to; connections are shared by requests whose origins are equal.

    `host` is a name or an address without brackets. `ca_file` is a PEM file that takes the place of the system's
    certificate authorities.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    ca_file: str | None = None

    @classmethod
    def at(cls, address: str, ca_file: str | None = None) -> "Origin":
        """Return where an http or https address leads; raises ValueError where its port is none."""
        parts = urlsplit(address)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls("https" if secure else "http", parts.hostname or "", port, ca_file)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long one request may take, in seconds; each runs out at most half a second late, never early.

    `connect_s` covers name, address and TLS. `first_byte_s` runs from the first byte written to the end of the answer's
    headers: reasoning models think for minutes, and the vendors' own SDKs wait 600 s. `idle_s` is the longest silence
    in a body, not counting the time in which we do not read because our own client is slow. `total_s` is everything.
    """

    connect_s: float = 10
    first_byte_s: float = 600
    idle_s: float = 300
    total_s: float = 3600


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a pool, each per origin.

    `max_connections`: 256 streams at once is the load one worker is tested with. `max_waiting`: four requests behind
    each connection; more would wait longer than `wait_s` anyway. `keep_alive_s`: load balancers close after 60 s, and
    the side that closes first never loses a request. `max_header_bytes` and `max_headers`: the recorded answers stay
    under 8 KB and 60 headers; eight and three times that. The same byte bound holds for what frames a body (trailers,
    chunk extensions).
    """

    max_connections: int = 256
    max_waiting: int = 1024
    wait_s: float = 30
    keep_alive_s: float = 55
    max_header_bytes: int = 65536
    max_headers: int = 200

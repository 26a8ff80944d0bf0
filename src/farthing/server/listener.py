"""What all connections of one server share: the bounds, the buffered bytes, the deadlines, the drain.

Deadlines are plain numbers on the connections and one sweep looks at all of them twice a second: a timer per request
would cost more than parsing it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.clock import Clock
from farthing.errors import FarthingError, Overloaded
from farthing.wire.conversations import Conversations

if TYPE_CHECKING:
    from farthing.server.exchange import Exchange
    from farthing.server.protocol import HttpProtocol
    from farthing.server.writing import WritingSide

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Application = Callable[["Exchange"], Awaitable[None]]
"""Answers one exchange; see `asgi` for what speaks ASGI."""
Rendered = tuple[int, list[bytes], bytes]
"""Status, lines of the head (`name: value`) and body."""
Render = Callable[[bytes, Mapping[bytes, bytes], FarthingError], Rendered]
"""Tells of an error in the shape that the client knows by whom this URL and these headers are sent, as far as known."""

Knows = Callable[[bytes, Mapping[bytes, bytes]], bool]
"""Whether a key that is known comes with this URL and these headers."""

STRANGERS_SHARE = 8
"""Of all that may be buffered, what requests may take whose key is not known: one of the largest bodies by default, so
that whoever has no key can never use up the room of those who have one."""

CUT = ("the server stops",)
"""The arguments of the cancellation that `Listener.cut` sends: it tells a handler that no client left."""

MAX_LINGERING = 64
"""Calls whose client left and whose answer is still read: a quarter of the connections that there are to a provider, so
that whoever asks and leaves, again and again, leaves enough of them to others."""
MAX_LINGERING_EACH = MAX_LINGERING // 2
"""Of those, how many may be of one key: an agent that is interrupted leaves a call for each of its sub-agents, and who
leaves on purpose takes no more than half, so that what others have left is not of unknown cost because of it."""
LINGER_S = 600
"""How long they are: as long as SDKs wait for an answer that is not streamed."""
LINGER_AT_STOP_S = 2.0
"""The same once the server stops, which somebody waits for."""

MAX_TURNED_AWAY = 64
"""Connections over the bound that are told so and given time to read it; what comes beyond is dropped unheard."""

SWEEP_S = 0.5
"""How late a deadline may fire; header and body times are seconds, so half a second is near enough."""


def render_plainly(_url: bytes, _named: Mapping[bytes, bytes], error: FarthingError) -> Rendered:
    """Return a body that the OpenAI and the Anthropic clients can both read."""
    about = {"type": "invalid_request_error", "code": error.code, "message": str(error), "param": None}
    body = msgspec.json.encode({"type": "error", "error": about})
    return error.status, [b"content-type: application/json"], body


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one server takes from its clients before it refuses. Seconds, bytes, counts."""

    max_header_bytes: int = 65_536
    max_headers: int = 200
    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    max_body_bytes: int = 32 << 20
    max_buffered_bytes: int = 256 << 20
    keep_alive_s: float = 75.0
    max_connections: int = 4096
    write_timeout_s: float = 120.0
    """A client that takes no byte for this long is gone; agents pause for minutes only between calls."""


class Listener:
    """Hands out protocols to the accept loop and keeps the books on them."""

    def __init__(
        self,
        app: Application,
        bounds: Bounds,
        clock: Clock,
        render: Render = render_plainly,
        knows: Knows = lambda _url, _named: True,
    ) -> None:
        """`render` tells of errors that come before there is an exchange to answer."""
        self.app = app
        self.render = render
        self.knows = knows
        self.bounds = bounds
        self.clock = clock
        # In order of arrival: a set's order is that of addresses, and no seed could repeat it.
        self.connections: dict[HttpProtocol, None] = {}
        self.turned_away: dict[HttpProtocol, None] = {}
        self.exchanges: dict[Exchange, None] = {}
        self.conversations = Conversations()
        self._writing: list[WritingSide] = []
        """Connections that write at the end of this turn; as many at most as there are."""
        self._lingering: dict[Exchange, asyncio.TimerHandle] = {}
        self.buffered_bytes = 0
        self.strange_bytes = 0
        self.draining = False
        self.date_line = b""
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._tell_date()

    def connected(self, connection: "HttpProtocol", loop: asyncio.AbstractEventLoop) -> bool:
        """Register a connection; False when there are too many and it must be turned away, or is dropped already."""
        taken = len(self.connections) < self.bounds.max_connections
        if taken:
            self.connections[connection] = None
        elif len(self.turned_away) < MAX_TURNED_AWAY:
            self.turned_away[connection] = None
        else:
            connection.abort()
        if self._sweep_handle is None:
            self._tell_date()  # nobody was here to tell it to
            self._sweep_handle = loop.call_later(SWEEP_S, self._sweep, loop)
        return taken

    def disconnected(self, connection: "HttpProtocol") -> None:
        """Forget a connection."""
        self.connections.pop(connection, None)
        self.turned_away.pop(connection, None)

    def later(self, connection: "WritingSide", loop: asyncio.AbstractEventLoop) -> None:
        """Have a connection write at the end of this turn of the loop."""
        if not self._writing:
            loop.call_soon(self._write_all)
        self._writing.append(connection)

    def _write_all(self) -> None:
        writing, self._writing = self._writing, []
        for connection in writing:
            connection.send_later()

    @property
    def lingering(self) -> int:
        """How many calls go on whose client left."""
        return len(self._lingering)

    def lingers(self, exchange: "Exchange") -> bool:
        """Let a call whose client left go on for a while; False where there are too many, or their bodies too large."""
        if len(self._lingering) >= MAX_LINGERING or self.buffered_bytes > self.bounds.max_buffered_bytes // 2:
            return False
        if sum(one.whose == exchange.whose for one in self._lingering) >= MAX_LINGERING_EACH:
            return False
        wait_s = LINGER_AT_STOP_S if self.draining else LINGER_S
        self._lingering[exchange] = asyncio.get_running_loop().call_later(wait_s, exchange.cancel)
        return True

    def ends(self, exchange: "Exchange") -> None:
        """Forget a call whose client left."""
        timer = self._lingering.pop(exchange, None)
        if timer is not None:
            timer.cancel()

    def overloaded(self) -> Overloaded | None:
        """Return the refusal that is due while more bytes are in memory than the bound allows."""
        bound = self.bounds.max_buffered_bytes
        if self.buffered_bytes <= bound:
            return None
        return Overloaded(
            f"{bound} bytes of request bodies are in memory, which is the bound",
            hint="try again in a moment",
            retry_after_s=1,
        )

    def too_strange(self) -> Overloaded | None:
        """Return the refusal that is due while those who have shown no key have more in memory than their share."""
        bound = self.bounds.max_buffered_bytes // STRANGERS_SHARE
        if self.strange_bytes <= bound:
            return None
        return Overloaded(
            f"{bound} bytes of unfinished requests without a known key are in memory, which is the bound",
            hint="send a key that is known here, or try again in a moment",
            retry_after_s=1,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered, and nothing on its way here."""
        return not self.exchanges and not any(connection.asking for connection in self.connections)

    def drain(self) -> None:
        """Take no new connections; idle connections close now, busy ones after their answer."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        for exchange, timer in self._lingering.items():
            timer.cancel()
            self._lingering[exchange] = asyncio.get_running_loop().call_later(LINGER_AT_STOP_S, exchange.cancel)

    def cut(self) -> None:
        """Cancel every request in flight; each handler ends its answer with an error and settles."""
        for exchange in list(self.exchanges):
            exchange.cancel(*CUT)

    def close(self) -> None:
        """Stop the sweep and drop what is still connected."""
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
            self._sweep_handle = None
        for connection in (*self.connections, *self.turned_away):
            connection.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in (*self.connections, *self.turned_away):
            if connection.deadline < now:
                connection.expired()
        self._tell_date()
        self._sweep_handle = (
            loop.call_later(SWEEP_S, self._sweep, loop) if self.connections or self.turned_away else None
        )

    def _tell_date(self) -> None:
        self.date_line = b"date: %b\r\n" % formatdate(self.clock.now_us() / 1_000_000, usegmt=True).encode()

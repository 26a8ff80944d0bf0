"""What a provider answered, read as it arrives.

An answer and its connection are two halves of one thing: the connection fills the answer and wakes its one reader. They
part when the answer is complete, so a connection can serve the next request while the last bytes are still unread.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from farthing.errors import FarthingError, ProviderError
from farthing.providers.pool import failures
from farthing.providers.pool.held import HeldBodies, read_to_end
from farthing.providers.pool.origin import Origin

if TYPE_CHECKING:
    from farthing.providers.pool.connection import Connection


Sink = Callable[[bytes], bool]
"""Takes what arrives at once and returns True; or returns False, and it waits for `next_chunk`."""


class Answer(msgspec.Struct, eq=False):
    """One answer; read it to its end or call `cancel`, or its connection stays taken until a timeout.

    `headers` are in order, names in lower case, duplicates kept; `reason` is the bytes after the status. `received_at`
    is the loop's time of the first byte, in seconds (uvloop counts in whole milliseconds). With a `sink`, what arrives
    while nothing waits unread goes there, without a task being woken for it; the end and errors still come by
    `next_chunk`.
    """

    origin: Origin
    # The connection's side of it: read these only in this folder.
    connection: "Connection | None"
    waiter: "asyncio.Future[None] | None"
    status: int = 0
    reason: bytes = b""
    headers: list[tuple[bytes, bytes]] = []
    received_at: float = 0.0
    sink: Sink | None = None
    # As are these.
    arrived: list[bytes] = []
    ended: bool = False
    error: ProviderError | None = None

    @property
    def complete(self) -> bool:
        """Whether the whole answer has been read."""
        return self.ended and not self.arrived

    async def next_chunk(self) -> bytes:
        """Return everything received since the last call, joined; b"" once the answer is complete and whole.

        Raises:
            ProviderCut: the connection ended too early, or the answer was cancelled.
            ProviderTimeout: the idle or the total time ran out.
            ProviderMisbehaved: the body's framing is wrong.
        """
        while not self.arrived:
            if self.error is not None:
                raise self.error
            if self.ended:
                return b""
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiter = waiter
            await waiter
        arrived = self.arrived
        self.arrived = []
        if self.connection is not None:
            self.connection.was_read()
        return arrived[0] if len(arrived) == 1 else b"".join(arrived)

    async def read(self, limit_bytes: int, held: HeldBodies | None = None) -> bytes:
        """Return the whole rest, counted in `held` until then; over a limit the answer is cancelled.

        Raises:
            ProviderMisbehaved: the rest is longer than `limit_bytes`, or its framing is wrong.
            Overloaded: it and what others hold are over the bound of `held`.
            ProviderCut, ProviderTimeout: as `next_chunk`.
        """
        if self.ended and self.error is None and len(self.arrived) == 1 and len(self.arrived[0]) <= limit_bytes:
            return self.arrived.pop()  # it came whole with its head, as most do: 1 us less than asking twice

        def too_large() -> FarthingError:
            return failures.misbehaved(self.origin, f"its body is over the bound of {limit_bytes} bytes")

        return await read_to_end(self, limit_bytes, held, too_large)

    def cancel(self) -> None:
        """Give the answer up: an unfinished one loses its connection at once. Doing it twice changes nothing."""
        if self.connection is not None:
            self.arrived.clear()
            self.connection.fail(failures.abandoned(self.origin))

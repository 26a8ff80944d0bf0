"""Count what unfinished bodies hold in memory together, and end the one that is too much.

Each body has a bound of its own, and a client can ask for many: twelve calls of 70 bytes once held 750 MB. A small body
is not counted, so that a jam of large ones is felt by large ones alone.
"""

from collections.abc import Callable
from typing import Protocol

from farthing.errors import FarthingError, Overloaded

MAX_HELD_BYTES = 256 << 20
"""What all bodies that are being read may have in memory together: four of the largest answers (64 MB each)."""
UNCOUNTED_BYTES = 1 << 20
"""The beginning of each body that is not counted: nearly all answers end within it, and 256 connections to a provider,
which is as many as there are, hold 256 MB so."""


class HeldBodies:
    """The count; one for all that is held by a process."""

    __slots__ = ("_bound", "bytes")

    def __init__(self, bound_bytes: int = MAX_HELD_BYTES) -> None:
        self._bound = bound_bytes
        self.bytes = 0

    def add(self, size: int) -> None:
        """Count `size` more bytes; raises `Overloaded` over the bound, and then they are not counted."""
        if self.bytes + size > self._bound:
            raise Overloaded(
                f"the answers that are being read hold {self.bytes} bytes, and {self._bound} is the bound",
                hint="ask for a stream, which is not held, or try again in a moment",
                retry_after_s=1,
            )
        self.bytes += size


class Unread(Protocol):
    """A body that comes in pieces; an empty one is its end."""

    async def next_chunk(self) -> bytes:
        """Return what came next."""
        ...

    def cancel(self) -> None:
        """Give it up."""
        ...


async def read_to_end(
    body: Unread, limit_bytes: int, held: HeldBodies | None, too_large: Callable[[], FarthingError]
) -> bytes:
    """Return all that is to come; over a limit the body is cancelled.

    Raises:
        FarthingError: what `too_large` makes, where it is longer than `limit_bytes`.
        Overloaded: it and what others hold are over the bound of `held`.
    """
    chunks: list[bytes] = []
    size = counted = 0
    try:
        while chunk := await body.next_chunk():
            size += len(chunk)
            if size > limit_bytes:
                body.cancel()
                raise too_large()
            if held is not None and size > UNCOUNTED_BYTES:
                try:
                    held.add(len(chunk))
                except Overloaded:
                    body.cancel()
                    raise
                counted += len(chunk)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    finally:
        if held is not None:
            held.bytes -= counted

"""What one connection holds of requests that are not whole, while no key that is known came with them.

Whoever has no key shares a small part of what may be buffered (`STRANGERS_SHARE`), or eight connections without one
could fill all of it for a minute, and everybody with a key would be refused. Everybody counts as a stranger until that
part is used up: only then a key is looked at, which costs 5 us, and ordinary requests pay nothing for this.
"""

from collections.abc import Mapping

from farthing.errors import FarthingError
from farthing.server.listener import Listener


class StrangeBytes:
    """The count of one connection; the listener has the sum."""

    __slots__ = ("_known", "_listener", "count")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._known: Mapping[bytes, bytes] | None = None
        self.count = 0

    def hold(self, more: int) -> FarthingError | None:
        """Count what came before anything is known of who sent it; return the refusal that is due."""
        self.count += more
        self._listener.strange_bytes += more
        return self._listener.too_strange()

    def hold_unless_known(self, url: bytes, named: Mapping[bytes, bytes], more: int) -> FarthingError | None:
        """Count a piece of a body, unless a key that we know came with these headers of it."""
        if self._known is named:
            return None
        error = self.hold(more)
        if error is not None and self._listener.knows(url, named):
            self.release()
            self._known = named
            return None
        return error

    def release(self) -> None:
        """Give back what is counted: the request is whole, or it is gone."""
        self._listener.strange_bytes -= self.count
        self.count = 0

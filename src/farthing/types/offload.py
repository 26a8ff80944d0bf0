"""Where blocking work goes."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Offload(Protocol):
    """Runs a blocking function away from the event loop, one at a time and in order.

    Production uses one thread; the simulator runs the function in place.
    """

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises. Cancelling the wait does not undo the work."""
        ...

    async def close(self) -> None:
        """Finish what was begun, then take nothing more."""
        ...

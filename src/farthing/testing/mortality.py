"""How a gateway that kills itself knows when: what its mortal parts share."""

import os
import signal
from typing import NoReturn

from farthing.testing.crash_points import CrashPoint


class Death:
    """Comes the `after`th time that the point is reached."""

    def __init__(self, point: CrashPoint | None, after: int = 1) -> None:
        self._point = point
        self._left = after

    def due(self, point: CrashPoint | None) -> bool:
        """Whether now is the time; counts."""
        if point is None or point is not self._point:
            return False
        self._left -= 1
        return self._left == 0

    def reached(self, point: CrashPoint | None) -> None:
        """Die, if now is the time."""
        if self.due(point):
            die()


def die() -> NoReturn:
    """End as `kill -9` does: nothing is flushed, no `finally` runs."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


AT_COMMITS: dict[str, tuple[CrashPoint | None, CrashPoint, CrashPoint | None]] = {
    "starting": (None, CrashPoint.RECOVERING, CrashPoint.RECOVERED),
    "serving": (CrashPoint.STORE_INSERTED, CrashPoint.STORE_COMMITTING, CrashPoint.STORE_COMMITTED),
    "closing": (None, CrashPoint.CLOSE_COMMITTING, None),
}
"""In each phase of a ledger: the points inside a store's transaction, before its commit and after."""

"""The only place that reads the time.

Everything else is handed a `Clock`, so that the whole gateway can run on a simulated one. Waiting is the event loop's
business (`loop.call_later`, `asyncio.timeout`): a simulator replaces the loop's time and this clock together.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells what time it is; never waits."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC; may step when the operator sets the clock."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back. For durations and deadlines."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        """See `Clock.now_us`."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """See `Clock.monotonic`; the same source as the asyncio loop's own time."""
        return time.monotonic()

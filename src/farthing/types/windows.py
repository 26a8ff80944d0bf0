"""A window that slides, as a ring of sub-windows; rounded so that it never admits more than its limit.

A window of a minute has sixty sub-windows of a second, and an amount counts until the whole of its sub-window has left
the window. So what was used at any two moments that are less than a window apart counts together, always; the price is
a sixtieth of the window in which an amount counts on although it has left. What surprised us: with sixty sub-windows
there are sixty-one that count, because the first and the last of them are both partly in the window.
"""

SUB_WINDOWS = 60
"""A limit is used to 60/61 at least by who asks evenly; 12 would make 92 %, and 600 ten times the rows."""


def sub_window_us(window_us: int) -> int:
    """Return how long a sub-window is, rounded up."""
    return -(-window_us // SUB_WINDOWS)


def leaves_us(sub_window: int, window_us: int) -> int:
    """Return the first moment at which what was used in a sub-window counts no more."""
    return (sub_window + 1) * sub_window_us(window_us) + window_us


class Ring:
    """What was used, by sub-window."""

    __slots__ = ("counts", "sub_us", "window_us")

    def __init__(self, window_us: int) -> None:
        self.window_us = window_us
        self.sub_us = sub_window_us(window_us)
        self.counts: dict[int, int] = {}
        """As many as the ring has sub-windows, once `forget` was called."""

    def add(self, at_us: int, amount: int) -> int:
        """Count an amount (or take one back that was counted at that time); return the sub-window that it is in."""
        sub_window = at_us // self.sub_us
        self.counts[sub_window] = self.counts.get(sub_window, 0) + amount
        return sub_window

    def forget(self, now_us: int) -> None:
        """Let go of what counts no more. What is dated later than now, by a clock that was set back, counts as now."""
        current = now_us // self.sub_us
        first = (now_us - self.window_us) // self.sub_us  # the first that has not left; see `leaves_us`
        for sub_window in [one for one in self.counts if not first <= one <= current]:
            amount = self.counts.pop(sub_window)
            if sub_window > current:
                self.counts[current] = self.counts.get(current, 0) + amount

    def used(self, now_us: int, since: int = 0) -> int:
        """Return what counts now; of it only what was used in or after the sub-window `since`."""
        self.forget(now_us)
        return sum(amount for sub_window, amount in self.counts.items() if sub_window >= since)

    def frees(self, now_us: int) -> tuple[tuple[int, int], ...]:
        """Return when how much of what counts will count no more, in order."""
        self.forget(now_us)
        return tuple((leaves_us(one, self.window_us), amount) for one, amount in sorted(self.counts.items()) if amount)

    def fits_at(self, amount: int, limit: int, now_us: int) -> int | None:
        """Return the earliest moment at which an amount fits, if nothing else is used; `None` where it never does."""
        return fits_at(amount, limit - self.used(now_us), self.frees(now_us), now_us) if amount <= limit else None


def fits_at(amount: int, left: int, frees: tuple[tuple[int, int], ...], now_us: int) -> int | None:
    """Return when so much is left, of which `left` is now and the rest as it leaves the window; `None` where never."""
    if amount <= left:
        return now_us
    for at_us, freed in frees:
        left += freed
        if amount <= left:
            return max(at_us, now_us)
    return None

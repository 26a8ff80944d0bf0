"""Ids for calls, attempts and keys, from an injected clock and an injected source of randomness.

An id sorts by its time of birth: 48 bits of milliseconds and 80 random bits, in Crockford's base32 (the layout of a
ULID), behind a prefix that says what it names (`call_01J...`).
"""

from collections.abc import Callable

from farthing.clock import Clock

_ALPHABET = b"0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS = bytes(_ALPHABET[byte & 31] for byte in range(256))
"""A digit for each byte: 256 is a multiple of 32, so all digits are as likely."""

_TIME_DIGITS, _RANDOM_DIGITS = 10, 16
_PAIRS = tuple(bytes((one, other)).decode("ascii") for one in _ALPHABET for other in _ALPHABET)
"""Two digits at once: a busy gateway spells the time in every second id."""
_DRAWN_DIGITS = 64 * _RANDOM_DIGITS
"""Asking the system for each id costs 1.5 us; for 64 at once, 0.05 each."""

RandomBytes = Callable[[int], bytes]
"""Returns that many random bytes; `os.urandom` in production, a seeded generator in the simulator."""


class IdSource:
    """Makes ids; two sources with the same clock and randomness make the same ids."""

    def __init__(self, clock: Clock, random_bytes: RandomBytes) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._drawn: list[str] = []
        self._time_ms: int | None = None
        self._quarter: int | None = None
        self._time = self._first_digits = ""

    def new(self, prefix: str) -> str:
        """Return a new id such as `call_01kagv3x7q5c2r8m4z6t9w0y1b` (26 characters after the prefix)."""
        now_ms = self._clock.now_us() // 1000
        if now_ms != self._time_ms:
            self._time_ms, self._time = now_ms, self._time_digits(now_ms)
        drawn = self._drawn or self._draw()
        return f"{prefix}_{self._time}{drawn.pop()}"

    def _time_digits(self, now_ms: int) -> str:
        quarter = now_ms >> 20  # of an hour, and what changes more rarely
        of = _PAIRS
        if quarter != self._quarter:
            self._quarter = quarter
            self._first_digits = of[quarter >> 20 & 1023] + of[quarter >> 10 & 1023] + of[quarter & 1023]
        return self._first_digits + of[now_ms >> 10 & 1023] + of[now_ms & 1023]

    def _draw(self) -> list[str]:
        digits = self._random_bytes(_DRAWN_DIGITS).translate(_DIGITS).decode("ascii")
        self._drawn = [digits[at : at + _RANDOM_DIGITS] for at in range(0, _DRAWN_DIGITS, _RANDOM_DIGITS)]
        return self._drawn


def born_by_us(beginning: str) -> int | None:
    """Return when an id that begins so was made at the latest; `None` where it is the beginning of no id.

    Of the whole id it is the millisecond, of less so much more: each letter that is missing may be the last one.
    """
    _, behind, told = beginning.partition("_")
    digits = told[:_TIME_DIGITS].encode("ascii", "replace")
    if not behind or not digits or len(told) > _TIME_DIGITS + _RANDOM_DIGITS or digits.strip(_ALPHABET):
        return None
    at_ms = 0
    for digit in digits.ljust(_TIME_DIGITS, _ALPHABET[-1:]):
        at_ms = at_ms << 5 | _ALPHABET.index(digit)
    return (at_ms + 1) * 1000 - 1

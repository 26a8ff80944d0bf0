"""How long single lines of the ledger are kept, and what became of older ones."""

import msgspec

QUARTER_US = 900_000_000
"""What is gone is summed up by this, a quarter of an hour: every time zone's hours and days begin on one."""


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """What is gone: lines that began before `kept_from_us` (`None`: none is), `expired` of them, the last time when."""

    kept_from_us: int | None = None
    expired: int = 0
    expired_at_us: int | None = None


class Waiting(msgspec.Struct, frozen=True):
    """How many attempts are old enough to expire, and when the first of them began."""

    attempts: int
    oldest_us: int | None

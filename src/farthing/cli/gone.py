"""What is said where a question reaches back to lines that have expired: their sums are in the answer, they are not."""

from farthing.cli.context import say
from farthing.types.ledger import utc_day
from farthing.types.retention import Retained


def gone_before(retained: Retained, since_us: int | None) -> int | None:
    """Return before when lines that are asked about have expired; `None` where none has."""
    kept_from_us = retained.kept_from_us
    return kept_from_us if kept_from_us is not None and (since_us or 0) < kept_from_us else None


def say_gone(retained: Retained, since_us: int | None, then: str) -> None:
    """Say that lines have expired, and what that means here, where some that are asked about have."""
    before_us = gone_before(retained, since_us)
    if before_us is not None:
        say(f"Lines before {utc_day(before_us)} are gone by retention: {then}.")

"""What every channel does: it is handed a message, and says whether it was taken."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from farthing.types.alerts import Fact
from farthing.types.posts import Reply

MAX_ERROR_CHARS = 200
"""What is kept of a complaint: enough to see whose it is."""


class Message(msgspec.Struct, frozen=True):
    """A fact in words; `id` is the same however often it is sent. A test has no fact."""

    id: str
    title: str
    text: str
    at_us: int
    fact: Fact | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What came of sending: `error` is `None` where it was taken. `wait_s`: the channel asked to be left alone."""

    error: str | None = None
    wait_s: float | None = None


TAKEN = Outcome()


class Channel(Protocol):
    """A place that messages are sent to."""

    async def send(self, message: Message) -> Outcome:
        """Send it once; never raises for what the other side does."""
        ...


def outcome_of(reply: Reply) -> Outcome:
    """Return what a status means: everything but a success is tried again."""
    if 200 <= reply.status < 300:
        return TAKEN
    told = reply.body.decode("utf-8", "replace").strip()
    words = "".join(letter if letter.isprintable() else " " for letter in told)[:MAX_ERROR_CHARS]
    return Outcome(f"status {reply.status}" + (f": {words}" if words else ""), reply.wait_s)


JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json", "user-agent": "farthing"}

"""A webhook: the fact as JSON, signed, with an id by which the receiver knows it again.

The signature is over the time of sending and the body, so that nobody who saw one can send it again later: the header
`x-farthing-signature` is `v1=` and the HMAC-SHA256, in hex, of `<x-farthing-timestamp>.<body>`.
"""

import hashlib
import hmac
from typing import Any

import msgspec

from farthing.clock import Clock
from farthing.errors import FarthingError
from farthing.monitoring.notify.channel import JSON_HEADERS, Message, Outcome, outcome_of
from farthing.monitoring.notify.words import utc
from farthing.types.money import usd_text
from farthing.types.posts import Post
from farthing.types.secret import Secret


class Webhook:
    """See `Channel`."""

    def __init__(self, url: Secret, secret: Secret | None, post: Post, clock: Clock, *, ca_file: str | None) -> None:
        self._url = url
        self._secret = secret
        self._post = post
        self._clock = clock
        self._ca_file = ca_file

    async def send(self, message: Message) -> Outcome:
        """See `Channel.send`."""
        body = msgspec.json.encode(as_data(message))
        headers = [*JSON_HEADERS.items(), ("idempotency-key", message.id), ("x-farthing-alert-id", message.id)]
        timestamp = str(self._clock.now_us() // 1_000_000)
        headers.append(("x-farthing-timestamp", timestamp))
        if self._secret is not None:
            headers.append(("x-farthing-signature", signature(self._secret, timestamp, body)))
        try:
            reply = await self._post(self._url.reveal(), headers, body, self._ca_file)
        except FarthingError as error:
            return Outcome(error.message)
        return outcome_of(reply)


def signature(secret: Secret, timestamp: str, body: bytes) -> str:
    """Return what the header says: a receiver makes it anew and compares."""
    signed = timestamp.encode("ascii") + b"." + body
    return "v1=" + hmac.new(secret.reveal().encode("utf-8"), signed, hashlib.sha256).hexdigest()


def as_data(message: Message) -> dict[str, Any]:
    """Return a message for programs."""
    told: dict[str, Any] = {"id": message.id, "at": utc(message.at_us), "title": message.title, "text": message.text}
    fact = message.fact
    if fact is None:
        return {**told, "kind": "test", "state": "began", "why_over": None, "about": {}}
    about = with_usd(fact.about)
    state = "began" if fact.why_over is None else "over"
    return {**told, "kind": fact.kind, "state": state, "why_over": fact.why_over, "about": about}


def with_usd(told: msgspec.Struct) -> dict[str, Any]:
    """Return a struct as data: beside each amount in whole nanodollars, the same as text in dollars."""
    found: dict[str, Any] = {}
    for name in told.__struct_fields__:
        value = getattr(told, name)
        if isinstance(value, msgspec.Struct):
            value = msgspec.to_builtins(value)
        elif isinstance(value, tuple):
            value = [with_usd(one) if isinstance(one, msgspec.Struct) else one for one in value]
        found[name] = value
        if name.endswith("nanousd"):
            found[name.removesuffix("nanousd") + "usd"] = None if value is None else usd_text(value)
    return found

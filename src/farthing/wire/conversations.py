"""Read the next request of a conversation without stepping over what its last one had.

An agent sends the whole conversation again with each of its turns: only the last few messages are new. Finding the
members of 112 KB takes 27 us, and to see that most of it is what was read before takes 5 (measured 2026-11). So each
connection keeps its last long body: where the next one begins as it did, up to the last few messages, and ends as it
did behind them, only what is between is read.

That is exact. The kept body was read whole, so behind its beginning a reader stands in the list of messages, after one
of them. What is between is read as the rest of such a list, behind a message that is whole, and must not end it; then
the reader stands where it stood in the kept body, and so whatever follows is read as it was. No body is kept that has a
member twice.
"""

from collections import OrderedDict

import msgspec

from farthing.errors import InvalidRequest
from farthing.wire.lenient import UNREADABLE
from farthing.wire.peek import Envelope

FROM_BYTES = 16_384
"""A shorter body is read in 4 us or less."""
MAX_BYTES = 2 << 20
"""The longest that is kept: what fills the largest contexts there are, at four bytes a token, is half a million."""
MAX_KEPT_BYTES = 16 << 20
"""Of all connections together: 140 agents with 112 KB each. Who has not asked for longest is forgotten first."""
LISTS = ("messages", "input", "contents")
"""The members that grow with a conversation, in all formats."""
_MOVING = 4
"""Messages at the end that are read each time: agents move their marks for the prompt cache among the last ones."""
MOST_COMMAS = 131_072
"""In a body that is kept, and so of its messages, which take 7 ms and 10 MB to tell apart; 2 MB of `0,` took 55 ms and
73 MB. A megabyte of prompts has one comma in 8 bytes at most."""
_MOST_MEMBERS = 64
"""Of a body that is kept, twice what any format has: a thousand small ones would take six times the bytes counted."""
_FURTHER_BYTES = 16_384
"""By so much more than twice as long what is read may get before a later body is kept in place of the first."""
_MAX_PAUSE = 64
"""Where what is kept was of no use, so many requests at most go by before another body is kept: that takes as long as
finding the members does."""

_parts = msgspec.json.Decoder(list[msgspec.Raw])
_NOTHING = memoryview(b"")


class Conversations:
    """What is kept for all connections, so that there is a bound to it; one per server."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[Conversation, int] = OrderedDict()
        self.kept_bytes = 0

    def keep(self, conversation: "Conversation", size: int) -> None:
        """Count what a connection keeps, and forget what others do where it is too much."""
        self.forget(conversation)
        self._sizes[conversation] = size
        self.kept_bytes += size
        while self.kept_bytes > MAX_KEPT_BYTES:
            next(iter(self._sizes)).forget()

    def note_use(self, conversation: "Conversation") -> None:
        """Have what was of use just now be forgotten last."""
        self._sizes.move_to_end(conversation)

    def forget(self, conversation: "Conversation") -> None:
        """Count it no more."""
        self.kept_bytes -= self._sizes.pop(conversation, 0)


class Conversation:
    """What one connection sent last."""

    __slots__ = (
        "_after",
        "_all",
        "_before",
        "_end",
        "_further",
        "_name",
        "_opens",
        "_pause",
        "_start",
        "_wait",
        "_whose",
    )

    def __init__(self, everyone: Conversations) -> None:
        self._all = everyone
        self._start = self._end = _NOTHING
        """How the kept body begins, up to one of its last messages, and ends, from where its list does."""
        self._before: dict[str, msgspec.Raw] = {}
        self._after: dict[str, msgspec.Raw] = {}
        self._name = self._whose = ""
        self._opens = self._further = 0
        self._wait = 1  # many a connection brings one request
        self._pause = 0

    def envelope(self, body: bytes, whose: str) -> Envelope:
        """Return the members of a body, whose sender's key has this id; raises `InvalidRequest` as `Envelope` does."""
        if len(body) < FROM_BYTES or len(body) > MAX_BYTES:
            return Envelope(body)
        if whose != self._whose:  # nobody shall learn from how long it takes what somebody else has sent
            self.forget()
            self._whose = whose
        members = self._members(body)
        envelope = Envelope(body, members)
        if members is None or len(body) - len(self._start) - len(self._end) > self._further:
            if self._wait:
                self._wait -= 1
            else:
                self._wait = self._pause
                self._pause = min(_MAX_PAUSE, 4 * self._pause + 3)
                self._keep(envelope)
        return envelope

    def forget(self) -> None:
        """Keep nothing any more."""
        self._start = self._end = _NOTHING
        self._before, self._after = {}, {}
        self._all.forget(self)

    def _members(self, body: bytes) -> dict[str, msgspec.Raw] | None:
        """Return the members of a body that goes on as the kept one; `None` of any other."""
        start, end = self._start, self._end
        begins, ends = len(start), len(body) - len(end)
        if not begins or begins > ends or not body.startswith(start) or not body.endswith(end):
            return None
        if begins < ends:
            try:
                # A text stands for the message before: behind a number, more digits would be part of it.
                if len(_parts.decode(b'[[""%b]]' % body[begins:ends])) != 1:
                    return None  # the list ends in there, and another begins
            except UNREADABLE:
                return None  # whoever reads all of it says where
        self._pause = 0
        self._all.note_use(self)
        whole = msgspec.Raw(memoryview(body)[self._opens : ends + 1])
        return {**self._before, self._name: whole, **self._after}

    def _keep(self, envelope: Envelope) -> None:
        """Keep a body that was read."""
        body = envelope.body
        members = envelope.members
        name = max(LISTS, key=lambda name: len(members.get(name, b"")))
        if len(members.get(name, b"")) < FROM_BYTES or len(members) > _MOST_MEMBERS or has_many_commas(body):
            return
        whole = memoryview(body)
        try:
            before, _, *behind = envelope.spliced({name: b""})
            closes = len(body) - sum(map(len, behind)) - 1
            messages = _parts.decode(whole[len(before) : closes + 1])
        except (InvalidRequest, *UNREADABLE):
            return  # a member twice, no list, or characters that only `Envelope` mends
        cut = closes
        for message in reversed(messages[1:][-_MOVING:]):
            cut = body.rindex(b",", 0, body.rindex(bytes(message), 0, cut))
        self._opens, self._name = len(before), name
        self._start, self._end = whole[:cut], whole[closes:]
        self._further = 2 * (closes - cut) + _FURTHER_BYTES
        names = list(members)
        at = names.index(name)
        self._before = {name: _copied(members[name]) for name in names[:at]}
        self._after = {name: _copied(members[name]) for name in names[at + 1 :]}
        self._all.keep(self, 2 * len(body) - len(members[name]))


def has_many_commas(body: bytes) -> bool:
    """Whether a body has more than `MOST_COMMAS`; counting those of 112 KB takes 45 us."""
    return len(body) > MOST_COMMAS and body.count(b",") > MOST_COMMAS


def _copied(raw: msgspec.Raw) -> msgspec.Raw:
    """Return a member that holds nothing else: neither the body that was kept before, nor one that was mended."""
    return msgspec.Raw(bytes(raw))

"""Where parts begin and end, for formats whose streams do not say: a part ends where one of another kind begins.

One part of a choice is open at a time. A piece for a call that is over already cannot be told to anybody who reads in
order; no provider was seen to send one, and it is refused aloud.
"""

import msgspec

from farthing.errors import ProviderMisbehaved
from farthing.types.chat import (
    Citation,
    Finished,
    FinishReason,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    Signature,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.wire.translators.assembly import begun, text_of


class Borders:
    """The parts of one choice; each method adds to `events` what it means."""

    __slots__ = ("_calls", "_choice", "_cited", "_key", "_open", "_pieces", "count", "events", "finished")

    def __init__(self, events: list[StreamEvent], choice: int = 0) -> None:
        self.events = events
        self.count = 0
        """Parts that have begun."""
        self.finished = False
        self._choice = choice
        self._open: Part | None = None
        self._key: object = None
        self._pieces: list[str] = []
        self._cited: list[Citation] = []
        self._calls: set[object] = set()

    def grow(self, part: Part, text: str, *, key: object = None, logprobs: bytes | None = None) -> None:
        """Take a piece of `part`, which is opened unless one of its kind, and of the same `key`, is open.

        `part` says what the part is; what it holds of growing text is not looked at.

        Raises:
            ProviderMisbehaved: the piece belongs to a call that is over.
        """
        is_open = self._open
        if is_open is None or type(is_open) is not type(part) or self._key != key:
            if key is not None and key in self._calls:
                raise ProviderMisbehaved("the pieces of several tool calls are mixed in the stream")
            self.end()
            self._begin(begun(part), key)
        if text or logprobs is not None:
            self._pieces.append(text)
            self.events.append(PartGrew(self.count - 1, text, self._choice, logprobs))

    def whole(self, part: Part) -> None:
        """Take a part that comes whole."""
        self.end()
        self._begin(begun(part), None)
        if text := text_of(part):
            self._pieces.append(text)
            self.events.append(PartGrew(self.count - 1, text, self._choice))
        self.end(part)

    def seal(self, signature: Signature) -> None:
        """Take the signature of the open part."""
        if isinstance(self._open, Text | Thinking | ToolCall):
            self._open = msgspec.structs.replace(self._open, signature=signature)

    def cite(self, *citations: Citation) -> None:
        """Take citations of the open text, which has them when it ends."""
        if isinstance(self._open, Text):
            self._cited.extend(citations)

    @property
    def open(self) -> Part | None:
        """The part that is open, as it began."""
        return self._open

    def end(self, whole: Part | None = None) -> None:
        """End the open part, if there is one; `whole` is what it is, where that is not the sum of its pieces."""
        part = self._open
        if part is None:
            return
        self._open, self._key = None, None
        if whole is None:
            whole = _filled(part, "".join(self._pieces), self._cited)
        self._pieces, self._cited = [], []
        self.events.append(PartEnded(self.count - 1, whole, self._choice))

    def finish(self, reason: FinishReason, stop_sequence: str | None = None) -> None:
        """End the choice; a second time changes nothing."""
        if not self.finished:
            self.end()
            self.finished = True
            self.events.append(Finished(reason, self._choice, stop_sequence))

    def _begin(self, part: Part, key: object) -> None:
        self._open, self._key = part, key
        if key is not None:
            self._calls.add(key)
        self.events.append(PartBegan(self.count, part, self._choice))
        self.count += 1


def _filled(part: Part, text: str, cited: list[Citation]) -> Part:
    match part:
        case Text() if cited:
            return msgspec.structs.replace(part, text=text, citations=(*part.citations, *cited))
        case Text() | Thinking() | Refusal():
            return msgspec.structs.replace(part, text=text)
        case ToolCall():
            return msgspec.structs.replace(part, arguments=text)
        case _:
            return part

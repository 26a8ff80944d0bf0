"""What providers seal, kept for clients that have no place for it.

Anthropic signs its thinking, Gemini its calls and OpenAI encrypts its reasoning, and each refuses or forgets a history
in which that is missing. A client of another format never sees a seal, or is given a mark in its place; when the
conversation comes back, what belongs there is found by the conversation's own content: how it began, the turn that was
answered, and the part that the seal stood on or before. So a history survives a change of provider, and the way back.
How it began is looked at because a key may have many users and agents: "continue", answered by the same call, is said
in many conversations, and what was thought in one of them is nobody's business in another.

Kept in memory, and where several processes serve one conversation in a cache that they share (`shared_seals.py`): what
is lost costs the model its old thoughts, never an answer, because writers leave out what would be refused.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import chain

import msgspec

from farthing.clock import Clock
from farthing.gateway.shared_seals import KEEP_S, Sealed, SharedSeals
from farthing.types.chat import (
    ChatRequest,
    Inline,
    Message,
    Part,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from farthing.types.providers import WireFormat
from farthing.wire.translators.marks import is_marked, marked

MAX_BYTES = 32 << 20
"""Of everything kept: about 3,000 turns of thinking with 10 KB each, in the memory of a house of 60 MB at most half."""
MAX_BYTES_PER_KEY = 4 << 20
"""One key's conversations must not push out everybody else's; an agent's longest session has 400 turns."""
_ENTRY_BYTES = 300
"""What an entry takes beside its texts."""

_Key = tuple[str, bytes]
_SIGNED = (Text, ToolCall)
_DIGEST_BYTES = 16
_END_CHARS = 1_000
"""Of each end of a text; an agent's results of 20 KB that agree in both and in length are the same file read twice."""


class Kept(msgspec.Struct, frozen=True):
    """What was sealed at one place: the thoughts before a part, and the part's own seal."""

    key_id: str
    expires_at_us: int
    size_bytes: int
    thoughts: tuple[Thinking, ...] = ()
    signature: Signature | None = None


class Signatures:
    """The seals of one process."""

    def __init__(
        self,
        clock: Clock,
        shared: SharedSeals | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        max_bytes_per_key: int = MAX_BYTES_PER_KEY,
    ) -> None:
        """With what is `shared` the seals of all processes, once `fetch` was waited for."""
        self._clock = clock
        self._shared = shared
        self._max_bytes = max_bytes
        self._max_bytes_per_key = max_bytes_per_key
        self._kept: OrderedDict[_Key, Kept] = OrderedDict()
        self._places_of: dict[str, OrderedDict[bytes, None]] = {}
        """The places of each key in the same order, so that its oldest is found without looking at everybody's."""
        self._bytes_of: dict[str, int] = {}
        self._bytes = 0

    def remember(self, key_id: str, messages: tuple[Message, ...], answer: Iterable[Part]) -> None:
        """Keep what is sealed in an answer to `messages`."""
        beginning = _beginning(messages)
        turn = _turn(messages, beginning)
        thoughts: list[Thinking] = []
        told = False
        for part in answer:
            if isinstance(part, Thinking):
                if part.signature is not None and not is_marked(part.signature.value):
                    thoughts.append(part)
                    self._keep(key_id, marked(part.signature).encode(), Kept(key_id, 0, 0, (part,)))
                    told = True
                continue
            signature = part.signature if isinstance(part, _SIGNED) else None
            seal = signature or (thoughts[0].signature if thoughts else None)
            if seal is not None:
                self._keep(key_id, _place(turn, part, seal.origin), Kept(key_id, 0, 0, tuple(thoughts), signature))
                thoughts = []
                told = True
        if told and self._shared is not None:
            self._shared.offer(key_id, _has_some(beginning), Sealed())

    async def fetch(self, key_id: str, request: ChatRequest, wire: WireFormat) -> None:
        """Have at hand what other processes have kept of a conversation, where there is a cache that they share."""
        shared = self._shared
        if shared is None:
            return
        beginning = _beginning(request.messages)
        some = _has_some(beginning)
        if (key_id, some) not in self._kept:
            if not await shared.found(key_id, (some,)):
                return  # one question where nothing of it was ever sealed
            self._keep(key_id, some, Kept(key_id, 0, 0), tell=False)
        lacking = [place for place in _places(request, beginning, wire) if (key_id, place) not in self._kept]
        for place, sealed in (await shared.found(key_id, lacking)).items() if lacking else ():
            self._keep(key_id, place, Kept(key_id, 0, 0, sealed.thoughts, sealed.signature), tell=False)

    def restored(self, key_id: str, request: ChatRequest, wire: WireFormat) -> ChatRequest:
        """Return a request with what providers of `wire` have sealed of its history, and without any marks."""
        known = key_id in self._bytes_of
        if not known and not _has_thoughts(request):
            return request
        messages: list[Message] = []
        beginning = _beginning(request.messages) if known else b""
        turn = b""
        for message in request.messages:
            if message.role == "assistant":
                if known or any(isinstance(part, Thinking) for part in message.content):
                    parts = self._restored_parts(key_id, turn, message.content, wire)
                    message = Message("assistant", parts, message.name)  # noqa: PLW2901 - the same turn, completed
            elif known:
                turn = _turn((message,), beginning) or turn
            messages.append(message)
        return msgspec.structs.replace(request, messages=tuple(messages))

    def _restored_parts(
        self, key_id: str, turn: bytes, content: tuple[Part, ...], wire: WireFormat
    ) -> tuple[Part, ...]:
        parts: list[Part] = []
        sealed = False
        """Whether thoughts that a provider of `wire` can read stand before the part already."""
        for part in content:
            if isinstance(part, Thinking):
                known = self._unmarked(key_id, part)
                sealed = sealed or (known.signature is not None and known.signature.origin == wire)
                parts.append(known)
                continue
            kept = self._find((key_id, _place(turn, part, wire)))
            if kept is not None and not sealed:
                parts += [thought for thought in kept.thoughts if _is_of(thought.signature, wire)]
            parts.append(part if kept is None else _signed(part, kept.signature, wire))
            sealed = False
        return tuple(parts)

    def _unmarked(self, key_id: str, part: Thinking) -> Thinking:
        """Return a thought with its own seal in place of a mark, or without one.

        Its text is the client's, where it has one: what stands for a seal in chat completions is the name under which a
        thought came, the same for all of a provider's, so that the thought that was kept last may be another.
        """
        if part.signature is None or not is_marked(part.signature.value):
            return part
        kept = self._find((key_id, part.signature.value.encode()))
        if kept is None:
            return msgspec.structs.replace(part, signature=None)
        (thought,) = kept.thoughts
        seal = part.signature
        if part.text == thought.text or not (part.text or seal.origin == "openai_chat"):
            return thought
        if not part.text:
            return msgspec.structs.replace(part, signature=None)  # a name that all thoughts share says not which it was
        return msgspec.structs.replace(part, signature=thought.signature)

    def _find(self, key: _Key) -> Kept | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.expires_at_us <= self._clock.now_us():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        self._places_of[key[0]].move_to_end(key[1])
        return kept

    def _keep(self, key_id: str, place: bytes, kept: Kept, *, tell: bool = True) -> None:
        """Keep what was sealed at a place; what is kept of an earlier turn that was just like this one stays.

        An agent that waits asks the same again and again. Were the last one's thoughts put back at the first one's
        place, the history would become another with each call, and the provider's prompt cache would be of no use.
        """
        kept = self._find((key_id, place)) or kept
        if tell and self._shared is not None:
            self._shared.offer(key_id, place, Sealed(kept.thoughts, kept.signature))
        size = _ENTRY_BYTES + sum(
            len(seal.value) for seal in (kept.signature, *(thought.signature for thought in kept.thoughts)) if seal
        )
        size += sum(len(thought.text) for thought in kept.thoughts)
        if size > self._max_bytes_per_key:
            return
        key = (key_id, place)
        if key in self._kept:
            self._drop(key)
        expires_at_us = self._clock.now_us() + KEEP_S * 1_000_000
        self._kept[key] = msgspec.structs.replace(kept, expires_at_us=expires_at_us, size_bytes=size)
        self._places_of.setdefault(key_id, OrderedDict())[place] = None
        self._bytes += size
        self._bytes_of[key_id] = self._bytes_of.get(key_id, 0) + size
        while self._bytes_of[key_id] > self._max_bytes_per_key:
            self._drop((key_id, next(iter(self._places_of[key_id]))))
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: _Key) -> None:
        kept = self._kept.pop(key)
        places = self._places_of[key[0]]
        del places[key[1]]
        if not places:
            del self._places_of[key[0]]
        self._bytes -= kept.size_bytes
        left = self._bytes_of[key[0]] - kept.size_bytes
        if left:
            self._bytes_of[key[0]] = left
        else:
            del self._bytes_of[key[0]]
        assert min(self._bytes, left) >= 0, "more was dropped than was kept"


def _has_some(beginning: bytes) -> bytes:
    """Return the name under which it is kept that something of a conversation was sealed at all."""
    return b"some of " + beginning


def _places(request: ChatRequest, beginning: bytes, wire: WireFormat) -> Iterator[bytes]:
    """Yield where something may have been sealed in a conversation, as `Signatures.restored` looks for it."""
    turn = b""
    for message in request.messages:
        if message.role != "assistant":
            turn = _turn((message,), beginning) or turn
            continue
        for part in message.content:
            if not isinstance(part, Thinking):
                yield _place(turn, part, wire)
            elif part.signature is not None and is_marked(part.signature.value):
                yield part.signature.value.encode()


def _has_thoughts(request: ChatRequest) -> bool:
    for message in request.messages:
        if message.role == "assistant":
            for part in message.content:
                if type(part) is Thinking:
                    return True
    return False


def _signed(part: Part, signature: Signature | None, wire: WireFormat) -> Part:
    """Return a part with its seal, where the client gave none and providers of `wire` can read it."""
    if isinstance(part, Text | ToolCall) and part.signature is None and _is_of(signature, wire):
        return msgspec.structs.replace(part, signature=signature)
    return part


def _is_of(signature: Signature | None, wire: WireFormat) -> bool:
    return signature is not None and signature.origin == wire


def _beginning(messages: tuple[Message, ...]) -> bytes:
    """Return what tells a conversation from others: what was said first in it.

    Clients keep that as it is, for the sake of the provider's prompt cache; the system's words change more often.
    """
    for message in messages:
        if message.role != "system":
            return _digest(chain.from_iterable(_words(part) for part in message.content))
    return b""


def _turn(messages: tuple[Message, ...], beginning: bytes) -> bytes:
    """Return what tells the turn that an answer belongs to: the last words that were not the assistant's own."""
    for message in reversed(messages):
        if message.role in ("user", "tool"):
            return _digest((beginning, *chain.from_iterable(_words(part) for part in message.content)))
    return b""


def _place(turn: bytes, part: Part, wire: WireFormat) -> bytes:
    """Return what tells a place in a conversation: the turn, and the part itself, without seals and marks.

    And the format of those who can read the seal: two providers may say the same to the same question.
    """
    return _digest((turn, wire.encode(), type(part).__name__.encode(), *_words(part)))


def _words(part: Part) -> Iterable[bytes]:
    match part:
        case Text() | Refusal():
            yield _ends(part.text.strip())
        case ToolCall():
            # Neither its id, which some clients make up anew, nor how its arguments are spaced.
            yield _ends(part.name)
            yield _ends("".join(part.arguments.split()))
        case ToolResult():
            for piece in part.content:
                yield from _words(piece)
        case Thinking():
            pass
        case _:
            source = getattr(part, "source", None)
            yield source.data[:256].encode() if isinstance(source, Inline) else type(part).__name__.encode()


def _ends(text: str) -> bytes:
    """Return what tells a text from others in one conversation, without reading all of a large one."""
    ends = text if len(text) <= 2 * _END_CHARS else f"{len(text)} {text[:_END_CHARS]}{text[-_END_CHARS:]}"
    return ends.encode("utf-8", "surrogatepass")


def _digest(pieces: Iterable[bytes]) -> bytes:
    found = blake2b(digest_size=_DIGEST_BYTES)
    for piece in pieces:
        found.update(len(piece).to_bytes(8, "big"))
        found.update(piece)
    return found.digest()

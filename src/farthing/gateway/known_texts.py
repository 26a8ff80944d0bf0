"""How many tokens a request has at most, by what others that share its text were reported to have.

A provider counts the same text the same way, to a token or two. So a request that repeats one has its tokens; and one
that goes on from it, or says another thing in a message, has at most those, one for every byte that is new, and what a
template adds: each message is counted by itself, and within a text what stands between two spaces. That bounds an
agent's next turn, and every call of a crowd of equal ones, as no count of bytes alone does, and no text passes it: what
was never counted is held byte by byte. Of 1,426 pairs of recorded requests none had more (`test_recorded_bounds.py`).

Two requests are compared as a provider reads them, member by member and message by message, and only where all that
decides what is counted is the same in both; what merely looks alike as bytes may be read as something else.
"""

from collections import OrderedDict

import msgspec

from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.wire.conversations import LISTS, has_many_commas
from farthing.wire.lenient import UNREADABLE
from farthing.wire.peek import Envelope

ENVELOPE_TOKENS = 64
"""What a provider's own template may add to a request without tools. It is held beside new bytes, too: of them it may
say more, and at both their ends a word may be cut in another place."""
TOOLS_TOKENS = 700
"""What it may add to one with tools; Anthropic documents 313 to 530 (2026-11)."""
VARIES = 64
"""Of so many tokens of the same text a token more may be told another time; of 58 one was (OpenAI, 2026)."""
NEARLY, A_PART = 48, 16
"""So many bytes, a name or a number, or such a part of a request may be new without a look for what is nearer still:
that takes 1 ms where 32 agents' requests of 112 KB are known."""
MAX_TEXTS = 32
"""Requests kept of a model in a format, of as many agents: each one's next turn takes the place of its last."""
MAX_MODELS = 1_024
"""Models and formats, as in `token_estimate.py`."""
MAX_KEPT_BYTES = 8 << 20
"""Of all together, 70 agents with 112 KB each; what was not looked at for longest goes first."""
MAX_BYTES = 1 << 20
"""The longest that is kept."""
MAX_PARTS = 2_048
"""Messages of one, and other members: longer conversations are cut or told anew long before."""
PART_BYTES = 200
"""What keeping track of one takes."""
_COUNT_NOTHING = frozenset(
    {
        *("model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"),
    }
)
"""Members of which nothing is read by a model, however they differ."""
_TOOLS = frozenset({"tools", "functions"})
_MAY_LEAVE_OUT = frozenset(
    {"context_management", "truncation", "transforms", "truncate_prompt_tokens", "plugins", "truncate"}
)
"""Members by which a provider leaves some of the text out: then a shorter request may have more of it counted."""
_NOT_ALWAYS_COUNTED = (
    *(b'"signature"', b"redacted_thinking", b"encrypted_content", b"reasoning_content", b"reasoning_details"),
    *(b"thoughtSignature", b"thought_signature", b'"document"'),
)
"""What stands in messages with thoughts of turns before, which count or do not by what follows them, and in those with
documents, of which a template says hundreds of tokens more."""

_parts = msgspec.json.Decoder(list[msgspec.Raw])
_message = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Text(msgspec.Struct, gc=False, eq=False):
    """A request's text: the messages, and all other members that may count."""

    parts: list[msgspec.Raw]
    others: dict[str, msgspec.Raw]
    size: int
    tokens: int = 0

    @property
    def has_tools(self) -> bool:
        return not _TOOLS.isdisjoint(self.others)


class KnownTexts:
    """Keeps requests that were reported; one per process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[ModelRef, WireFormat], list[_Text]] = OrderedDict()
        self.kept_bytes = 0

    def note(self, ref: ModelRef, wire: WireFormat, envelope: Envelope, tokens: int) -> None:
        """Keep a request of which so many tokens were reported; where it is known already, the most counts."""
        text = _text_of(envelope, MAX_BYTES)
        if text is None or tokens <= 0:
            return
        kept = self._kept.setdefault((ref, wire), [])
        self._kept.move_to_end((ref, wire))
        for at, known in enumerate(kept):
            if known.others == text.others and known.parts == text.parts[: len(known.parts)]:
                same = len(known.parts) == len(text.parts)
                text.tokens = known.tokens if same else 0
                self.kept_bytes -= kept.pop(at).size  # it is the same, or this one's last turn
                break
        text.tokens = max(text.tokens, tokens)
        kept.append(text)
        self.kept_bytes += text.size
        if len(kept) > MAX_TEXTS:
            self.kept_bytes -= kept.pop(0).size
        while self.kept_bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_MODELS:
            first, texts = next(iter(self._kept.items()))
            self.kept_bytes -= texts.pop(0).size
            if not texts:
                del self._kept[first]

    def most_tokens(self, ref: ModelRef, wire: WireFormat, envelope: Envelope) -> int | None:
        """Return how many tokens a request has at most; `None` where none that is known shares its text."""
        kept = self._kept.get((ref, wire))
        text = None if kept is None else _text_of(envelope, len(envelope.body))
        if kept is None or text is None:
            return None
        may_go_on = not any(mark in envelope.body for mark in _NOT_ALWAYS_COUNTED)
        most: int | None = None
        for known in reversed(kept):
            if known.others != text.others:
                continue
            if known.parts == text.parts:
                return known.tokens + 1 + known.tokens // VARIES
            if may_go_on and (most is None or known.tokens < most):
                new = _new_bytes(known.parts, text.parts)
                tokens = known.tokens + new + (TOOLS_TOKENS if text.has_tools else ENVELOPE_TOKENS)
                most = tokens if most is None else min(most, tokens)
                if new <= NEARLY or new * A_PART <= text.size:
                    break
        return most


def _text_of(envelope: Envelope, most_bytes: int) -> _Text | None:
    """Return the text of a request; `None` of one that is too long, or of which it is not known what counts."""
    members, body = envelope.members, envelope.body
    if len(body) > most_bytes or envelope.added_bytes or not _MAY_LEAVE_OUT.isdisjoint(members):
        return None
    if len(members) > MAX_PARTS or has_many_commas(body):
        return None
    others = {name: raw for name, raw in members.items() if name not in _COUNT_NOTHING}
    parts: list[msgspec.Raw] = []
    name = next((name for name in LISTS if name in others), None)
    if name is not None and bytes(memoryview(others[name])[:1]) == b"[":
        try:
            parts = _parts.decode(others.pop(name))
        except UNREADABLE:  # characters that only `Envelope` mends
            return None
    size = len(body) + PART_BYTES * (len(parts) + len(others))
    return _Text(parts, others, size) if len(parts) <= MAX_PARTS else None


def _new_bytes(known: list[msgspec.Raw], parts: list[msgspec.Raw]) -> int:
    """Return how many bytes of `parts` are not in the `known` ones that stand in their places."""
    same = 0
    for one, other in zip(known, parts, strict=False):
        if one != other:
            break
        same += 1
    new = parts[same:]
    if not new:
        return 0
    repeated = _repeated_bytes(known[same], new[0]) if same < len(known) else 0
    return sum(map(len, new)) - repeated


def _repeated_bytes(known: msgspec.Raw, message: msgspec.Raw) -> int:
    """Return how many bytes of a message's text stand in another's as well, before and behind what differs.

    The two must be alike in all but this text, and it is cut at spaces only.
    """
    try:
        before, now = _message.decode(known), _message.decode(message)
    except UNREADABLE:
        return 0
    if before.keys() != now.keys() or any(raw != before[name] for name, raw in now.items() if name != "content"):
        return 0
    if bytes(known).count(b'"content"') != 1 or b"\\u" in bytes(known):
        return 0  # it may stand twice, and readers disagree about which one counts
    old, new = bytes(before.get("content", b"")), bytes(now.get("content", b""))
    if old[:1] != b'"' or new[:1] != b'"':
        return 0
    begins = _common_bytes(old, new)
    ends = _common_bytes(old[: begins - 1 : -1], new[: begins - 1 : -1])
    first = new.rfind(b" ", 0, begins)
    last = new.find(b" ", len(new) - ends) if ends else -1
    return max(first, 0) + (len(new) - last if last >= 0 else 0)


def _common_bytes(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts begin with in common, by halves: each is compared once."""
    view, same, most = memoryview(other), 0, min(len(one), len(other))
    while same < most:
        half = (same + most + 1) // 2
        if one.startswith(view[same:half], same):
            same = half
        else:
            most = half - 1
    return same

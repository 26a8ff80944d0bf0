"""Read a few members of a JSON request without decoding the rest, and change them without touching another byte.

A provider's prompt cache, a signature or an unknown field survives only if the client's bytes do. Decoding the top
level into raw slices costs 26 us for a 112 KB body and under 1 us for a small one (measured 2026-11, msgspec 0.22);
loading and dumping the large one costs over 100.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from farthing.errors import InvalidRequest
from farthing.wire.lenient import UNREADABLE, with_whole_characters
from farthing.wire.meter import ABSENT

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()
_SPACE = b" \t\r\n"
_SPACES = re.compile(rb"[ \t\r\n]*+")  # there may be millions
MAX_MODEL_CHARS = 512
"""The longest in any price list has 94; names end in headers, tables and memory."""
MAX_MEMBERS = 1_000
"""Members of a request: the format with the most (responses) documents about 30."""
MAX_SPARE_BYTES = 1 << 20
"""Of a body with many colons, what may stand in members that are nobody's large ones; 1 MB is at most 150,000 members,
which take 100 ms to refuse. 2.5 million took 1.6 s."""
MAX_DIGITS = 18
"""Of a whole number that is read: more than any count of tokens."""
MAX_VALUE_BYTES = 1 << 20
"""The largest member that is decoded: metadata and options have a few hundred bytes, and 1 MB of `[]` takes 20 ms."""


T = TypeVar("T")


def _read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Read a body; if it must be with lone surrogates replaced, which keeps every length. The body goes on as it is."""
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        mended = with_whole_characters(body)
        if mended != body:
            try:
                return decoder.decode(mended)
            except UNREADABLE:
                pass
        raise InvalidRequest(f"the body is not a JSON object: {error}", hint="send one JSON object, in UTF-8") from None


_SHORT_NAME = 40
"""Characters of a name that is remembered; the formats' longest has 22."""


@lru_cache(maxsize=256)  # the formats have some hundred members
def _spaced(name: str) -> bytes:
    """Return a member's name as Python's `json` writes it."""
    return b'"%b": ' % name.encode()


class _Large(msgspec.Struct, gc=False):
    """The members that may be large, in any format: nothing is made of what is in them, nor of what is not here."""

    contents: msgspec.Raw = ABSENT
    context: msgspec.Raw = ABSENT
    documents: msgspec.Raw = ABSENT
    format: msgspec.Raw = ABSENT
    functions: msgspec.Raw = ABSENT
    generateContentRequest: msgspec.Raw = ABSENT  # noqa: N815 - the wire's names, here and below
    generationConfig: msgspec.Raw = ABSENT  # noqa: N815
    images: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    instructions: msgspec.Raw = ABSENT
    messages: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    prediction: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    requests: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT
    suffix: msgspec.Raw = ABSENT
    system: msgspec.Raw = ABSENT
    systemInstruction: msgspec.Raw = ABSENT  # noqa: N815
    system_instruction: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT


_large = msgspec.json.Decoder(_Large)


def _refuse_crowd(body: bytes) -> None:
    """Refuse a body of too many members before each becomes an object of ours.

    Every member has a colon, so nearly all bodies are let through by counting those; of the others it is looked how
    much stands outside of the members that may be large.
    """
    if body.count(b":") <= MAX_SPARE_BYTES // 8:
        return
    spare = len(body) - sum(map(len, msgspec.structs.astuple(_read(_large, body))))
    if spare > MAX_SPARE_BYTES:
        raise _crowd(f"{spare} bytes of them outside of the members that are known to be large")


def _crowd(what: str) -> InvalidRequest:
    return InvalidRequest(f"the body has too many members: {what}", hint=f"send at most {MAX_MEMBERS}")


def is_model_name(name: str) -> bool:
    """Whether it can be the name of a model: printable, of some length and not of too much."""
    return 0 < len(name) <= MAX_MODEL_CHARS and name.isprintable()


class Envelope:
    """The top-level members of a JSON object, each still as the client wrote it."""

    __slots__ = ("_once", "added_bytes", "body", "members", "named", "tokens")

    def __init__(self, body: bytes, members: dict[str, msgspec.Raw] | None = None) -> None:
        """Read the top level of `body`, unless its `members` are known, and that each of them stands in it once.

        Raises:
            InvalidRequest: it is not a JSON object, or has absurdly many members.
        """
        self.body = body
        self.tokens = 0
        """How many it was estimated to have for the model that it is for; 0 where nobody has looked."""
        self.named = ""
        """The model that it names, once `model` was asked and where it does."""
        self.added_bytes = 0
        """By how much longer it is sent, where a translation puts back what the client has no place for."""
        self._once = members is not None
        if members is None:
            if len(body) > MAX_SPARE_BYTES:
                _refuse_crowd(body)
            members = _read(_members, body)
            if len(members) > MAX_MEMBERS:
                raise _crowd(f"{len(members)}")
        self.members: Final[Mapping[str, msgspec.Raw]] = members
        """All of them, in order."""

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def has_any(self, names: frozenset[str]) -> bool:
        """Whether at least one of `names` is there."""
        return not names.isdisjoint(self.members)

    def has_none(self, names: frozenset[str]) -> bool:
        """Whether none of `names` is there."""
        return names.isdisjoint(self.members)

    def raw(self, name: str) -> bytes | None:
        """Return a member as the client wrote it; `None` where it is absent."""
        found = self.members.get(name)
        return None if found is None else bytes(found)

    def whole(self, name: str) -> int | None:
        """Return a member that is a whole number above 0; `None` where it is absent or something else."""
        raw = self.members.get(name)
        if raw is None or len(raw) > MAX_DIGITS:
            return None
        try:
            number = int(bytes(raw))
        except ValueError:
            return None
        return number if number > 0 else None

    def text(self, name: str) -> str | None:
        """Return a member that is a string; `None` where it is absent or something else."""
        raw = self.members.get(name)
        if raw is None:
            return None
        try:
            return _text.decode(raw)
        except UNREADABLE:
            return None

    def value(self, name: str) -> Any:
        """Return a member decoded; `None` where it is absent, cannot be decoded, or is over `MAX_VALUE_BYTES`."""
        raw = self.members.get(name)
        if raw is None or len(raw) > MAX_VALUE_BYTES:
            return None
        try:
            return _any.decode(raw)
        except UNREADABLE:
            return None

    def flag(self, name: str, *, absent: bool = False) -> bool:
        """Return a member that is `true` or `false`; absent and null are `absent`.

        Raises:
            InvalidRequest: it is anything else; some providers would take `1` or `"true"` for true, and others not.
        """
        raw = self.members.get(name)
        value = b"null" if raw is None else bytes(raw)
        if value == b"null":
            return absent
        if value == b"false":
            return False
        if value == b"true":
            return True
        raise InvalidRequest(f'"{name}" is {value[:40].decode("utf-8", "replace")}', hint="send true or false")

    def model(self) -> str | None:
        """Return the model that the client asks for; `None` where the member is absent, null or empty."""
        try:
            name = _text.decode(self.members.get("model", b"null"))
        except UNREADABLE:
            name = ""
        if not name:
            if self.raw("model") in (None, b"null", b'""'):
                return None
            raise InvalidRequest('"model" is missing or no text', hint='send "model": "provider:model" or an alias')
        if not is_model_name(name):
            raise InvalidRequest(
                f'"model" is no name of a model: {name[:60]!r}',
                hint=f"a name has at most {MAX_MODEL_CHARS} characters, all of them printable",
            )
        self.named = name
        return name

    def refuse_twice(self) -> None:
        """Raise where a member stands twice or its name is written with escapes: readers disagree about which counts.

        A body without spaces has four bytes for each member beside its name and value, and nothing can hide in there,
        which is seen in half a microsecond; one with a space behind each colon and comma is compared at the places
        where its members must stand. Of any other each member is looked for.
        """
        if self._once:
            return
        members = self.members
        spare = len(self.body) - sum(map(len, members)) - sum(map(len, members.values()))
        if spare != 4 * len(members) + 1 and not (spare == 6 * len(members) and self._is_spaced()):
            self.spliced({})

    def _is_spaced(self) -> bool:
        """Whether the body is its members as Python's `json` writes them, one behind the other."""
        found, at = self.body.startswith, 1
        for name, raw in self.members.items():
            key = _spaced(name) if len(name) <= _SHORT_NAME else b'"%b": ' % name.encode()
            if not found(key, at):
                return False
            at += len(key) + len(raw) + 2
        return at == len(self.body) + 1

    def spliced(self, changes: Mapping[str, bytes]) -> list[bytes]:
        """Return the body in pieces with some members' values replaced; members it lacks are added at the end.

        Only the values named change; every other byte stays where it is. Raises `InvalidRequest` where a member
        stands twice or its name is written with escapes: then readers may disagree about which one counts.
        """
        body, copied, position = self.body, 0, self.body.index(b"{") + 1
        pieces: list[bytes] = []
        missing = dict(changes)
        for name, raw in self.members.items():
            key = b'"%b"' % name.encode()
            position = body.find(b'"', position)
            if not body.startswith(key, position):
                raise InvalidRequest(
                    "the body has a member twice, or one written with escapes,"
                    f' near byte {position} (at "{name[:60]}")',
                    hint="send each member once, with its plain name",
                )
            start = body.index(b":", position + len(key)) + 1
            if body[start] in _SPACE:
                start += 1
                if body[start] in _SPACE and (more := _SPACES.match(body, start)) is not None:
                    start = more.end()
            end = start + len(raw)
            if name in missing:
                pieces += (body[copied:start], missing.pop(name))
                copied = end
            position = end
        end = body.rindex(b"}")
        if body[position:end].strip(_SPACE):
            raise InvalidRequest("the body has a member twice", hint="send each member once")
        pieces.append(body[copied:end])
        for name, value in missing.items():
            pieces.append(b'%b"%b":%b' % (b"," if self.members else b"", name.encode(), value))
        pieces.append(body[end:])
        return pieces

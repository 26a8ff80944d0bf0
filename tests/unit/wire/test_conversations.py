"""A body is read as one that nothing is remembered for, whatever its connection sent before."""

import json
import os
import random
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from farthing.errors import InvalidRequest
from farthing.wire import conversations
from farthing.wire.conversations import FROM_BYTES, MAX_BYTES, MAX_KEPT_BYTES, Conversation, Conversations
from farthing.wire.peek import Envelope

SEEDS = round(400 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
LISTS = ("messages", "input", "contents")


def turns(count: int, size: int = 4_000) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[n % 2], "content": f'{n} said "{"x" * size}"\n'} for n in range(count)]


def body(messages: list[Any], name: str = "messages", **more: Any) -> bytes:
    return json.dumps({"model": "m", name: messages, "stream": True, "tools": [{"name": "t" * 2_000}], **more}).encode()


def told(read: Callable[[], Envelope]) -> object:
    """Everything that can be seen of what was read, or the refusal."""
    try:
        envelope = read()
        members = [(name, bytes(raw)) for name, raw in envelope.members.items()]
    except InvalidRequest as error:
        return str(error)
    try:
        spliced: object = envelope.spliced({"model": b'"other"', "new": b"1"})
        envelope.refuse_twice()
    except InvalidRequest as error:
        spliced = str(error)
    return envelope.body, members, spliced, envelope.raw("messages"), envelope.value("input")


def primed(first: bytes, everyone: Conversations | None = None) -> Conversation:
    conversation = Conversation(Conversations() if everyone is None else everyone)
    for _ in range(2):
        conversation.envelope(first, "key")
    return conversation


def is_known(conversation: Conversation, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a body's members are found without reading all of it."""
    known: list[bool] = []

    class Noting(Envelope):
        def __init__(self, body: bytes, members: dict[str, msgspec.Raw] | None = None) -> None:
            known.append(members is not None)
            super().__init__(body, members)

    with monkeypatch.context() as patch:
        patch.setattr(conversations, "Envelope", Noting)
        conversation.envelope(sent, "key")
    return known == [True]


@pytest.mark.parametrize("name", LISTS)
def test_the_next_turns_of_a_conversation_are_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = primed(body(turns(10), name))
    for count in (11, 12, 14):
        sent = body(turns(count), name)
        assert is_known(conversation, sent, monkeypatch)
        assert told(partial(conversation.envelope, sent, "key")) == told(partial(Envelope, sent))


def test_marks_may_move_among_the_last_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    first, then = turns(10), turns(12)
    first[-1]["cache_control"] = first[-3]["cache_control"] = {"type": "ephemeral"}
    then[-1]["cache_control"] = {"type": "ephemeral"}
    assert is_known(primed(body(first)), body(then), monkeypatch)


def test_few_messages_are_enough_where_they_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (1, 2, 4):
        assert is_known(primed(body(turns(count, 20_000))), body(turns(count + 2, 20_000)), monkeypatch)


def test_what_comes_once_is_not_kept() -> None:
    everyone = Conversations()
    Conversation(everyone).envelope(body(turns(10)), "key")
    assert everyone.kept_bytes == 0


def test_another_body_is_kept_where_the_first_is_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = primed(body(turns(10)))
    other = body([{"content": "else"}, *turns(10)])
    assert not is_known(conversation, other, monkeypatch)  # and kept
    assert is_known(conversation, other, monkeypatch)


def test_a_conversation_that_grows_is_kept_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, read, came = primed(body(turns(10))), 0, 0
    decode = conversations._parts.decode
    for count in range(11, 200):
        sent = body(turns(count))
        with monkeypatch.context() as patch:
            sizes: list[int] = []
            decoder = type("_", (), {"decode": lambda _, data, sizes=sizes: sizes.append(len(data)) or decode(data)})()
            patch.setattr(conversations, "_parts", decoder)
            conversation.envelope(sent, "key")
        read += sum(sizes)
        came += len(sent)
    assert read < came // 4


def test_unlike_bodies_are_kept_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, kept = Conversation(Conversations()), []
    monkeypatch.setattr(Conversation, "_keep", lambda _, envelope: kept.append(envelope))
    for number in range(1_000):
        conversation.envelope(body([{"content": number}, *turns(5)]), "key")
    assert 6 < len(kept) < 25


def test_nobody_is_known_by_what_another_key_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = primed(body(turns(10)))
    conversation.envelope(body(turns(10)), "another key")
    assert not is_known(conversation, body(turns(10)), monkeypatch)


def test_what_is_kept_has_a_bound_and_goes_with_its_connection() -> None:
    everyone = Conversations()
    long = body(turns(100, 10_000))
    all_of_them = [primed(long, everyone) for _ in range(3 * MAX_KEPT_BYTES // len(long))]
    assert MAX_KEPT_BYTES - len(long) < everyone.kept_bytes <= MAX_KEPT_BYTES
    for one in all_of_them:
        one.forget()
    assert everyone.kept_bytes == 0


def test_what_is_too_short_or_too_long_is_not_kept() -> None:
    everyone = Conversations()
    primed(body(turns(1, FROM_BYTES // 2)), everyone)
    primed(body(turns(300, MAX_BYTES // 250)), everyone)
    assert everyone.kept_bytes == 0


HOSTILE = (
    b'], "model": "dear", "messages": [1',
    b"]], [[1",
    b"], [1",
    b'}], "x": [{',
    b', {"a": 1}',
    b", ",
    b" ",
    b',"\\ud800"',
    b', "\xff"',
    b"\x00",
    b', {"a": {"b": [[[]]]}}, 7, null',
    b", [" * 3_000,
)


@pytest.mark.parametrize("between", HOSTILE)
@pytest.mark.parametrize("spaced", [True, False])
def test_no_text_ends_the_list_unseen(between: bytes, spaced: bool) -> None:
    first = body(turns(10))
    if not spaced:
        first = json.dumps(json.loads(first), separators=(",", ":")).encode()
    conversation, list_ends = primed(first), first.rindex(b"]", 0, first.index(b'"stream"'))
    sent = first[:list_ends] + between + first[list_ends:]
    assert told(partial(conversation.envelope, sent, "key")) == told(partial(Envelope, sent))


@pytest.mark.parametrize("between", [b".5", b"e5", b"E-3 ", b".5, 1", b"5", b"{}", b'"x"', b" , 1 ", b""])
@pytest.mark.parametrize("last", [[{"a": 1}], [{"a": 1}, 2], [1.5] * 9, ["text"] * 5, []])
def test_nothing_goes_on_from_within_a_message(between: bytes, last: list[Any]) -> None:
    """Where the kept beginning ends anything may follow, not only a comma."""
    conversation = primed(body([*turns(1, 20_000), *last]))
    sent = bytes(conversation._start) + between + bytes(conversation._end)
    assert len(sent) > FROM_BYTES
    assert told(partial(conversation.envelope, sent, "key")) == told(partial(Envelope, sent))


def test_what_is_kept_holds_no_body_that_was_kept_before() -> None:
    tools = ["t" * 300_000]
    conversation = Conversation(Conversations())
    tracemalloc.start()
    try:
        for count in (10, 10, 60, 200):
            conversation.envelope(body(turns(count), tools=tools), "key")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(body(turns(200), tools=tools)) < kept < conversation._all.kept_bytes + 50_000


def test_what_weighs_far_more_than_it_has_bytes_is_not_kept() -> None:
    everyone = Conversations()
    primed(b'{"messages":[' + b"0," * 900_000 + b"0]}", everyone)
    many: dict[str, Any] = dict.fromkeys(map(str, range(900)), 1)
    primed(body(turns(10), **many), everyone)
    assert everyone.kept_bytes == 0


def mutated(sent: bytes, rng: random.Random) -> bytes:
    """A body that another may become: a turn more or less, a member more, twice or elsewhere, or broken anywhere."""
    kind = rng.randrange(8)
    if kind < 4:
        value = json.loads(sent)
        name = next(name for name in LISTS if isinstance(value.get(name), list) and value[name])
        if kind == 0:
            value[name] += turns(rng.randrange(1, 4), rng.choice((3, 300, 9_000)))
        elif kind == 1:
            del value[name][rng.randrange(len(value[name])) :]
        elif kind == 2:
            value[rng.choice(["model", "metadata", "zeta", *LISTS])] = rng.choice([1, "é", [1, {"messages": []}], {}])
        else:
            value = dict(sorted(value.items(), key=lambda _: rng.random()))
        separators, indent = rng.choice([((",", ":"), None), ((", ", ": "), None), ((" ,\n", " : "), 1)])
        return json.dumps(value, separators=separators, indent=indent, ensure_ascii=rng.random() < 0.5).encode(
            errors="surrogatepass"
        )
    at = rng.randrange(len(sent)) if kind < 6 else max(0, len(sent) - rng.randrange(1, 9_000))
    piece = rng.choice([b"", b" ", b'"', b"[", b"]", b"{", b"}", b",", b"\\", b".5", b"\xed\xa0\x80", *HOSTILE[:10]])
    return sent[:at] + piece + sent[at + rng.randrange(2) :]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_any_row_of_bodies_is_read_as_by_who_remembers_nothing(seed: int) -> None:
    rng = random.Random(seed)
    conversation = Conversation(Conversations())
    good = body(turns(rng.randrange(1, 12), rng.choice((2_000, 9_000))), rng.choice(LISTS))
    for _ in range(12):
        sent = mutated(good, rng) if rng.random() < 0.7 else good
        expected = told(partial(Envelope, sent))
        assert told(partial(conversation.envelope, sent, "key")) == expected
        try:
            value = json.loads(sent)
        except ValueError:
            continue
        if rng.random() < 0.7 and any(isinstance(value.get(name), list) and value[name] for name in LISTS):
            good = sent

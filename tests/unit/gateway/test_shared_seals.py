"""Seals that several processes share: what one kept another finds, and nobody else can read it."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from farthing.clock import SystemClock
from farthing.errors import StoreError
from farthing.gateway.shared_seals import MAX_WAITING, SharedSeals
from farthing.gateway.signatures import Signatures
from farthing.storage.memory.cache import MemoryCache
from farthing.types.chat import Message, Text, Thinking, ToolCall
from farthing.wire.translators.marks import marked
from tests.unit.gateway.test_signatures import ASK, CALL, SEAL, THOUGHT, history, restored

PEPPER = b"p" * 32


class Noting(MemoryCache):
    """Counts what is asked, and is away where that is said."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.asked: list[int] = []
        self.away = False

    async def get(self, names: Sequence[bytes], *, keep_s: int) -> list[bytes | None]:
        self.asked.append(len(names))
        if self.away:
            raise StoreError("away")
        return await super().get(names, keep_s=keep_s)

    async def put(self, items: Mapping[bytes, bytes], *, keep_s: int) -> None:
        if self.away:
            raise StoreError("away")
        await super().put(items, keep_s=keep_s)


def process(cache: MemoryCache, pepper: bytes = PEPPER) -> tuple[Signatures, SharedSeals]:
    shared = SharedSeals(cache, pepper)
    shared.start()
    return Signatures(SystemClock(), shared), shared


async def told() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_thought_that_came_to_one_process_is_put_back_by_another() -> None:
    cache = Noting()
    (one, _), (two, _) = process(cache), process(cache)
    one.remember("k", (ASK,), (THOUGHT, CALL))
    await told()
    request = history(CALL)
    assert restored(two, request) == (CALL,)
    await two.fetch("k", request, "anthropic_messages")
    assert restored(two, request) == (THOUGHT, CALL)
    before = len(cache.asked)
    await two.fetch("k", request, "anthropic_messages")
    assert len(cache.asked) == before, "what is at hand is not asked for again"


async def test_a_mark_is_taken_back_by_another_process() -> None:
    cache = Noting()
    (one, _), (two, _) = process(cache), process(cache)
    one.remember("k", (ASK,), (THOUGHT, CALL))
    await told()
    request = history(
        msgspec.structs.replace(THOUGHT, signature=msgspec.structs.replace(SEAL, value=marked(SEAL))), CALL
    )
    await two.fetch("k", request, "anthropic_messages")
    assert restored(two, request) == (THOUGHT, CALL)


async def test_a_conversation_in_which_nothing_was_sealed_costs_one_question() -> None:
    cache = Noting()
    one, _ = process(cache)
    one.remember("k", (ASK,), (Text("sunny"), CALL))
    await told()
    await one.fetch("k", history(*[Text(f"{n}") for n in range(50)], CALL), "anthropic_messages")
    assert cache.asked == [1]


async def test_no_other_key_other_conversation_or_other_house_finds_it() -> None:
    cache = Noting()
    (one, _), (two, _), (other, _) = process(cache), process(cache), process(cache, b"q" * 32)
    one.remember("k", (ASK,), (THOUGHT, CALL))
    await told()
    for signatures, key in ((two, "l"), (other, "k")):
        await signatures.fetch(key, history(CALL), "anthropic_messages")
        assert restored(signatures, history(CALL), key) == (CALL,)
    elsewhere = msgspec.structs.replace(
        history(CALL), messages=(Message("user", (Text("something else?"),)), *history(CALL).messages)
    )
    await two.fetch("k", elsewhere, "anthropic_messages")
    assert two.restored("k", elsewhere, "anthropic_messages") == elsewhere


async def test_nothing_of_it_can_be_read_in_the_cache_and_what_was_changed_there_is_not_believed() -> None:
    cache = Noting()
    (one, _), (two, _) = process(cache), process(cache)
    one.remember("k", (ASK,), (Thinking("a secret thought", SEAL), CALL))
    await told()
    assert len(cache._kept) == 3  # the call's place, the mark, and that there is something
    everything = b"".join(name + value for name, (value, _) in cache._kept.items())
    assert b"secret" not in everything
    assert SEAL.value.encode() not in everything
    for name, (value, until) in cache._kept.items():
        cache._kept[name] = (value[:-1] + bytes([value[-1] ^ 1]), until)
    await two.fetch("k", history(CALL), "anthropic_messages")
    assert restored(two, history(CALL)) == (CALL,)


async def test_the_first_of_two_turns_that_were_alike_stays_for_all() -> None:
    cache = Noting()
    (one, _), (two, _), (three, _) = process(cache), process(cache), process(cache)
    one.remember("k", (ASK,), (THOUGHT, CALL))
    await told()
    two.remember("k", (ASK,), (Thinking("another", msgspec.structs.replace(SEAL, value="Zm9v")), CALL))
    await told()
    await three.fetch("k", history(CALL), "anthropic_messages")
    assert restored(three, history(CALL)) == (THOUGHT, CALL)


async def test_while_the_cache_is_away_calls_go_on_without_it_and_ask_once_a_second() -> None:
    cache = Noting()
    (one, told_by), (two, _) = process(cache), process(cache)
    cache.away = True
    one.remember("k", (ASK,), (THOUGHT, CALL))
    await told()
    assert told_by.dropped == 3
    assert restored(one, history(CALL)) == (THOUGHT, CALL), "its own are at hand"
    for _ in range(10):
        await two.fetch("k", history(CALL), "anthropic_messages")
    assert cache.asked == [1]
    assert restored(two, history(CALL)) == (CALL,)


async def test_what_waits_to_be_told_has_a_bound() -> None:
    shared = SharedSeals(Noting(), PEPPER)  # that nobody started
    one = Signatures(SystemClock(), shared)
    for number in range(MAX_WAITING):
        one.remember("k", (ASK,), (THOUGHT, ToolCall("toolu_1", "weather", f'{{"n": {number}}}')))
    assert len(shared._waiting) == MAX_WAITING
    assert shared.dropped == 2 * MAX_WAITING

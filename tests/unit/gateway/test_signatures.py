"""Seals of providers, kept for clients that cannot keep them."""

import time

import msgspec

from farthing.gateway.shared_seals import KEEP_S
from farthing.gateway.signatures import Signatures
from farthing.types.chat import ChatRequest, Message, Part, Signature, Text, Thinking, ToolCall, ToolResult
from farthing.types.providers import WireFormat
from farthing.wire.translators.marks import marked


class SetClock:
    def __init__(self) -> None:
        self.us = 0

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1_000_000


ASK = Message("user", (Text("what is the weather?"),))
SEAL = Signature("anthropic_messages", "EqQBCgIYAhIM")
THOUGHT = Thinking("I should look", SEAL)
CALL = ToolCall("toolu_1", "weather", '{"city": "Bern"}')


def history(*content: Part, then: Message | None = None) -> ChatRequest:
    last = then or Message("tool", (ToolResult("toolu_1", (Text("sunny"),)),))
    return ChatRequest(origin="openai_chat", model="m", messages=(ASK, Message("assistant", content), last))


def restored(kept: Signatures, request: ChatRequest, key: str = "k", wire: WireFormat = "anthropic_messages") -> object:
    return kept.restored(key, request, wire).messages[1].content


def test_a_thought_comes_back_before_the_call_that_it_led_to() -> None:
    kept = Signatures(SetClock())
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    assert restored(kept, history(CALL)) == (THOUGHT, CALL)


def test_a_call_is_known_by_what_it_is_not_by_its_id_or_spaces() -> None:
    kept = Signatures(SetClock())
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    other = ToolCall("call_0", "weather", '{"city":"Bern"}')
    assert restored(kept, history(other)) == (THOUGHT, other)


def test_a_seal_on_a_call_comes_back_onto_it() -> None:
    kept = Signatures(SetClock())
    seal = Signature("gemini", "CuYB")
    kept.remember("k", (ASK,), (ToolCall("1", "weather", "{}", signature=seal),))
    bare = ToolCall("1", "weather", "{}")
    assert restored(kept, history(bare), wire="gemini") == (ToolCall("1", "weather", "{}", signature=seal),)
    assert restored(kept, history(bare), wire="anthropic_messages") == (bare,)


def test_no_other_key_and_no_other_turn_gets_it() -> None:
    kept = Signatures(SetClock())
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    kept.remember("other", (ASK,), (Text("x"),))
    assert restored(kept, history(CALL), key="other") == (CALL,)
    asked_else = ChatRequest(
        origin="openai_chat", model="m", messages=(Message("user", (Text("else?"),)), Message("assistant", (CALL,)))
    )
    assert kept.restored("k", asked_else, "anthropic_messages").messages[1].content == (CALL,)


def test_another_conversation_that_says_the_same_gets_nothing_of_it() -> None:
    """One key may have many users: what was thought for one of them is not put into the history of another."""
    kept = Signatures(SetClock())
    go_on = Message("user", (Text("continue"),))
    alice, bob = (Message("user", (Text(name),)) for name in ("Alice's salaries", "Bob's own"))
    kept.remember("k", (alice, Message("assistant", (Text("ok?"),)), go_on), (THOUGHT, CALL))
    own = Thinking("for Bob", Signature("anthropic_messages", "EqBOB"))
    asked = (bob, Message("assistant", (Text("ok?"),)), go_on)
    history_of_bob = ChatRequest(origin="openai_chat", model="m", messages=(*asked, Message("assistant", (CALL,))))
    assert kept.restored("k", history_of_bob, "anthropic_messages").messages[-1].content == (CALL,)
    kept.remember("k", asked, (own, CALL))
    assert kept.restored("k", history_of_bob, "anthropic_messages").messages[-1].content == (own, CALL)


def test_a_key_at_its_bound_is_not_slower_for_what_others_have() -> None:
    kept = Signatures(SetClock(), max_bytes_per_key=400_000)
    for key in range(40):
        for at in range(1_200):
            kept.remember(f"key {key}", (ASK,), (ToolCall("1", "f", f'{{"a":{at}}}', signature=SEAL),))
    began = time.perf_counter()
    kept.remember("key 39", (ASK,), [ToolCall("1", "f", f'{{"b":{at}}}', signature=SEAL) for at in range(500)])
    assert time.perf_counter() - began < 0.5  # 10 ms; looking through everybody's took over a second
    assert kept.restored("key 0", history(Text("x")), "anthropic_messages").messages[1].content == (Text("x"),)


def test_a_thought_that_the_client_kept_itself_is_not_put_there_twice() -> None:
    kept = Signatures(SetClock())
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    assert restored(kept, history(THOUGHT, CALL)) == (THOUGHT, CALL)


def test_a_mark_is_taken_back_for_what_it_stood_for() -> None:
    kept = Signatures(SetClock())
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    mark = Thinking("I should look", Signature("anthropic_messages", marked(SEAL)))
    assert restored(kept, history(mark, CALL)) == (THOUGHT, CALL)


def test_a_mark_that_nobody_knows_leaves_a_thought_without_seal() -> None:
    mark = Thinking("I should look", Signature("gemini", marked(Signature("gemini", "x"))))
    assert restored(Signatures(SetClock()), history(mark, CALL)) == (Thinking("I should look"), CALL)


def test_what_is_kept_expires() -> None:
    clock = SetClock()
    kept = Signatures(clock)
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    clock.us = KEEP_S * 1_000_000
    assert restored(kept, history(CALL)) == (CALL,)


def test_one_key_cannot_push_out_another() -> None:
    kept = Signatures(SetClock(), max_bytes=100_000, max_bytes_per_key=5_000)
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    for at in range(200):
        kept.remember("greedy", (ASK,), (Thinking(f"{at}", SEAL), Text(f"answer {at}")))
    assert restored(kept, history(CALL)) == (THOUGHT, CALL)
    newest = history(Text("answer 199"))
    assert restored(kept, newest, key="greedy") == (Thinking("199", SEAL), Text("answer 199"))
    assert restored(kept, history(Text("answer 0")), key="greedy") == (Text("answer 0"),)


def test_everything_together_is_bounded_and_the_oldest_goes() -> None:
    kept = Signatures(SetClock(), max_bytes=20_000, max_bytes_per_key=5_000)
    for at in range(100):
        kept.remember(f"key {at}", (ASK,), (THOUGHT, CALL))
    assert restored(kept, history(CALL), key="key 0") == (CALL,)
    assert restored(kept, history(CALL), key="key 99") == (THOUGHT, CALL)


def test_a_seal_larger_than_the_bound_is_not_kept() -> None:
    kept = Signatures(SetClock(), max_bytes=20_000, max_bytes_per_key=5_000)
    kept.remember("k", (ASK,), (Thinking("t", Signature("gemini", "x" * 6_000)), CALL))
    assert restored(kept, history(CALL)) == (CALL,)


def test_a_thought_whose_seal_is_the_same_for_all_keeps_its_own_words() -> None:
    """In chat completions the name under which thoughts come stands for a seal, and so all of them have one mark."""
    kept, name = Signatures(SetClock()), Signature("openai_chat", "reasoning_content")
    kept.remember("k", (ASK,), (Thinking("the first", name), CALL))
    kept.remember("k", (ASK,), (Thinking("the second", name), Text("Sunny.")))
    mark = Signature("openai_chat", marked(name))
    found = restored(kept, history(Thinking("the first", mark), CALL), wire="openai_chat")
    assert found == (Thinking("the first", name), CALL)


def test_a_turn_just_like_an_earlier_one_leaves_the_earlier_ones_thoughts_in_place() -> None:
    kept = Signatures(SetClock())
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    kept.remember("k", (ASK,), (Thinking("I should look again", Signature("anthropic_messages", "EqZZ")), CALL))
    assert restored(kept, history(CALL)) == (THOUGHT, CALL)


def test_two_providers_that_answer_alike_each_get_their_own_seal_back() -> None:
    kept, google = Signatures(SetClock()), Signature("gemini", "CuYB")
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    kept.remember("k", (ASK,), (msgspec.structs.replace(CALL, signature=google),))
    assert restored(kept, history(CALL)) == (THOUGHT, CALL)
    assert restored(kept, history(CALL), wire="gemini") == (msgspec.structs.replace(CALL, signature=google),)


def test_where_nothing_may_be_kept_marks_are_taken_out_all_the_same() -> None:
    kept = Signatures(SetClock(), max_bytes=0, max_bytes_per_key=0)
    kept.remember("k", (ASK,), (THOUGHT, CALL))
    mark = Thinking("I should look", Signature("anthropic_messages", marked(SEAL)))
    assert restored(kept, history(mark, CALL)) == (Thinking("I should look"), CALL)
    assert restored(kept, history(CALL)) == (CALL,)

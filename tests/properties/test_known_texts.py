"""What is held for a text that is like one that was reported is never less than what any tokenizer makes of it.

The tokenizer here is as unkind as one can be: it cuts a message's texts into words as all do, and makes of each word as
many tokens as it likes, from one to one for each byte, but always the same of the same word.
"""

import hashlib
import json
import os
import random
import re
from typing import Any

import pytest

from farthing.gateway.known_texts import (
    ENVELOPE_TOKENS,
    MAX_KEPT_BYTES,
    MAX_TEXTS,
    NEARLY,
    PART_BYTES,
    VARIES,
    KnownTexts,
)
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.wire.peek import Envelope

SEEDS = round(300 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
REF = ModelRef("openai", "m")
WORD = re.compile(r" ?\S+|\s+")
OF_A_MESSAGE = 4
"""Tokens of the template for each."""


def tokens_of_text(text: str) -> int:
    def of_word(word: str) -> int:
        size = len(word.encode())
        return 1 + hashlib.blake2b(word.encode(), digest_size=4).digest()[0] % size

    return sum(map(of_word, WORD.findall(text)))


def tokens_of(value: Any) -> int:
    if isinstance(value, str):
        return tokens_of_text(value)
    if isinstance(value, list):
        return sum(map(tokens_of, value))
    return sum(map(tokens_of, value.values())) if isinstance(value, dict) else 1


def counted(body: bytes) -> int:
    """Return what this provider reads of a request: its messages, its system prompt and its tools."""
    asked = json.loads(body)
    read = sum(OF_A_MESSAGE + tokens_of(message) for message in asked["messages"])
    return int(read + tokens_of(asked.get("system", "")) + tokens_of(asked.get("tools", [])))


def request(messages: list[Any], **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, **more}).encode()


def said(text: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}


def known(*bodies: bytes, wire: WireFormat = "openai_chat") -> KnownTexts:
    texts = KnownTexts()
    for body in bodies:
        texts.note(REF, wire, Envelope(body), counted(body))
    return texts


def most(texts: KnownTexts, body: bytes, wire: WireFormat = "openai_chat") -> int | None:
    return texts.most_tokens(REF, wire, Envelope(body))


def again(body: bytes) -> int:
    """Return what is known of a request that was counted."""
    return counted(body) + 1 + counted(body) // VARIES


HELLO = request([said("you are terse", "system"), said("say hello to everybody here")], max_tokens=9)


def test_the_same_text_has_the_same_tokens_whatever_its_limit() -> None:
    texts = known(HELLO)
    assert most(texts, HELLO) == again(HELLO)
    assert most(texts, HELLO.replace(b'"max_tokens": 9', b'"max_tokens": 12, "stream": true')) == again(HELLO)


def test_a_turn_more_has_a_token_more_for_each_of_its_bytes() -> None:
    more = [said("hello, all of you", "assistant"), said("and once more")]
    then = json.loads(HELLO)["messages"] + more
    new = sum(len(json.dumps(message)) for message in more)
    assert most(known(HELLO), request(then)) == counted(HELLO) + new + ENVELOPE_TOKENS


def test_numbered_calls_are_near_enough_to_be_held_for_as_one() -> None:
    crowd = [request([said(f"call {number:04d} of many, each of them equal")]) for number in range(50)]
    texts = known(crowd[0])
    found = [most(texts, body) for body in crowd[1:]]
    assert all(tokens is not None and tokens <= counted(crowd[0]) + NEARLY + ENVELOPE_TOKENS for tokens in found)


def test_of_many_that_are_alike_the_nearest_counts() -> None:
    bodies = [request([said(f"{number} " * 50), said("one " * number)]) for number in range(1, 9)]
    then = request([said("5 " * 50), said("one " * 5), said("more")])
    assert most(known(*bodies), then) == counted(bodies[4]) + len(json.dumps(said("more"))) + ENVELOPE_TOKENS


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (request([said("hi")], tools=[{"name": "a"}]), request([said("hi")], tools=[{"name": "b"}])),
        (request([said("hi")], system="be kind"), request([said("hi")], system="be terse")),
        (request([said("hi")]), request([said("hi")], tools=[{"name": "a"}])),
        (request([said("hi")], truncation="auto"), request([said("hi")], truncation="auto")),
        (request([said("hi")], context_management={}), request([said("hi")], context_management={})),
        (request([said("hi")], seen=["long " * 50]), request(["long " * 50], seen=[said("hi")])),
    ],
)
def test_nothing_is_known_where_more_differs_than_what_is_said(first: bytes, then: bytes) -> None:
    assert most(known(first), then) is None


LONG = "long and dense " * 40


@pytest.mark.parametrize(
    ("first", "then"),
    [
        # a text that one reader overlooks, in places where the next request has it read
        (b'{"role": "user", "content": "%b", "content": "hi"}', b'{"role": "user", "content": "%b you"}'),
        (b'{"role": "user", "content": "", "content": "%b"}', b'{"role": "user", "content": "%b you"}'),
        (b'{"role": "user", "content": "", "c\\u006fntent": "%b"}', b'{"role": "user", "content": "%b you"}'),
        (b'{"role": "user", "note": "%b", "content": "a"}', b'{"role": "user", "content": "%b", "note": "a"}'),
        (b'{"role": "none", "content": "%b a"}', b'{"role": "user", "content": "%b b"}'),
        (b'{"role": "user", "content": [{"x": "%b"}]}', b'{"role": "user", "content": [{"text": "%b"}]}'),
    ],
)
def test_what_was_overlooked_once_is_new(first: bytes, then: bytes) -> None:
    overlooked, read = (b'{"messages": [%b]}' % (one % LONG.encode()) for one in (first, then))
    texts = KnownTexts()
    texts.note(REF, "openai_chat", Envelope(overlooked), 3)
    found = most(texts, read)
    assert found is None or found >= len(LONG)


def test_thoughts_count_by_what_follows_them_so_nothing_goes_on_from_them() -> None:
    thought = said([{"type": "thinking", "thinking": "hm " * 90, "signature": "x"}], "assistant")
    first = [said("hi"), thought]
    texts = known(request(first))
    assert most(texts, request([*first, said("go on")])) is None
    assert most(texts, request(first)) == again(request(first))


def test_models_and_formats_are_apart_and_the_most_that_was_reported_counts() -> None:
    texts = known(HELLO)
    assert texts.most_tokens(ModelRef("openai", "other"), "openai_chat", Envelope(HELLO)) is None
    assert most(texts, HELLO, "anthropic_messages") is None
    for reported in (900, 3):
        texts.note(REF, "openai_chat", Envelope(HELLO), reported)
    assert most(texts, HELLO) == 900 + 1 + 900 // VARIES


def test_what_is_kept_has_a_bound() -> None:
    texts = KnownTexts()
    long = [request([said(f"{number}" + "x" * 200_000)]) for number in range(60)]
    for number, body in enumerate(long):
        texts.note(ModelRef("openai", f"m{number}"), "openai_chat", Envelope(body), 9)
    assert MAX_KEPT_BYTES - 300_000 < texts.kept_bytes <= MAX_KEPT_BYTES
    assert texts.most_tokens(ModelRef("openai", "m0"), "openai_chat", Envelope(long[0])) is None
    short = [request([said(f"{number}")]) for number in range(3 * MAX_TEXTS)]
    few = known(*short)
    assert few.kept_bytes == sum(len(body) + PART_BYTES for body in short[-MAX_TEXTS:])
    assert known(b'{"messages": [%b0]}' % (b"0," * 300_000)).kept_bytes == 0


def grown(messages: list[Any], dice: random.Random) -> list[Any]:
    """A request that may follow: turns more or fewer, words changed within one, a mark moved, another order."""
    messages = json.loads(json.dumps(messages))
    kind, at = dice.randrange(6), dice.randrange(len(messages))
    words = [
        dice.choice(["a", "the", "qxvz", "naïve", "12345", "\n", "x" * 40, '"', "\\", "🚀", "ende"]) for _ in range(20)
    ]
    text = dice.choice(["", " ", "  "]).join(words[: dice.randrange(1, 20)])
    match kind:
        case 0:
            messages += [said(text, "assistant"), said(text)][: dice.randrange(1, 3)]
        case 1:
            del messages[max(1, at) :]
        case 2 if isinstance(messages[at]["content"], str):
            old = messages[at]["content"]
            cut, end = sorted((dice.randrange(len(old) + 1), dice.randrange(len(old) + 1)))
            messages[at]["content"] = old[:cut] + text[: dice.randrange(9)] + old[end:]
        case 3:
            messages[at]["content"] = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
        case 4:
            messages[at]["role"] = dice.choice(["user", "assistant", "tool"])
        case _:
            messages.insert(at, said(text))
    return messages


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_request_has_more_tokens_than_are_known(seed: int) -> None:
    dice = random.Random(seed)
    texts, all_of_them = KnownTexts(), [[said("to begin with: " + "some words " * dice.randrange(1, 40))]]
    for _ in range(40):
        messages = grown(dice.choice(all_of_them), dice)
        body = request(messages, max_tokens=dice.randrange(1, 99))
        found = most(texts, body)
        assert found is None or found >= counted(body), (found, counted(body), body)
        if dice.random() < 0.7:
            texts.note(REF, "openai_chat", Envelope(body), counted(body))
            all_of_them.append(messages)

"""What a provider gets in a long session always begins with what it got before, so that its prompt cache keeps paying.

Sessions of the official SDKs, with thoughts and tools, translated and passed through. A cache of our own, over hashes
of the sent prompts' pieces and with a lifetime, counts hits beside the fakes' own.
"""

import hashlib
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from farthing.testing.fakes.script import Reply, ToolCall
from tests.e2e.foreign import sessions
from tests.e2e.foreign.house import KINDS, House, open_house
from tests.e2e.serving import until

pytestmark = pytest.mark.slow

TURNS = max(10, round(100 * float(os.environ.get("FARTHING_CI_SCALE", "1"))))
LIFETIME_S = 300.0
SESSIONS = {
    "openai_chat": sessions.chat,
    "openai_responses": sessions.responses,
    "anthropic_messages": sessions.claude,
    "gemini": sessions.google,
    "ollama": sessions.local,
}
LONG = [
    ("openai_chat", "claude"),
    ("openai_chat", "local"),
    ("openai_responses", "claude"),
    ("anthropic_messages", "google"),
    ("anthropic_messages", "deepseek"),
    ("gemini", "claude"),
    ("gemini", "openai"),
    ("ollama", "google"),
]
SHORT = [
    ("openai_chat", "google"),
    ("openai_responses", "google"),
    ("openai_responses", "mistral"),
    ("anthropic_messages", "openai"),
    ("anthropic_messages", "local"),
    ("gemini", "mistral"),
    ("ollama", "claude"),
    ("ollama", "deepseek"),
]
"""Pairs whose sessions are a quarter as long."""
TRANSLATED = [(*pair, TURNS) for pair in LONG] + [(*pair, max(10, TURNS // 4)) for pair in SHORT]
PASSED_THROUGH = [
    ("openai_chat", "deepseek"),
    ("openai_responses", "openai"),
    ("anthropic_messages", "claude"),
    ("gemini", "google"),
    ("ollama", "local"),
]
CONVERSATION = {
    "openai_chat": "messages",
    "openai_responses": "input",
    "anthropic_messages": "messages",
    "gemini": "contents",
    "ollama": "messages",
}
"""The member that grows."""
BEFORE = ("tools", "system", "systemInstruction", "instructions")
"""What stands before the conversation in every provider's prompt, in that order."""
CACHES_BY_ITSELF = {"mistral", "deepseek", "openai", "google"}

MARKS = ("anthropic_messages", "claude")
"""The client that marks what is to be cached, and the provider that wants it marked."""


class PrefixCache:
    """A provider's prompt cache, over the bytes of tools, system and each turn."""

    def __init__(self, member: str) -> None:
        self._member = member
        self._until_s: dict[bytes, float] = {}

    def hit(self, body: bytes) -> int:
        """Return how many turns of a prompt were read before, and remember all of it."""
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        chain = hashlib.sha256()
        for name in BEFORE:
            chain.update(bytes(members.get(name, b"")) + b"\n")
        found, now_s = 0, time.monotonic()
        for at, turn in enumerate(msgspec.json.decode(members[self._member], type=list[msgspec.Raw]), 1):
            chain.update(bytes(turn) + b"\n")
            if self._until_s.get(chain.digest(), -1.0) > now_s:
                found = at
            self._until_s[chain.digest()] = now_s + LIFETIME_S
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("prefixes") / "home") as found:
        yield found
        found.check_ledger()


def replies() -> Iterator[Reply]:
    """Text, with and without thoughts, and every fifth time a call or two."""
    for number in itertools.count():
        thought = (number % 3) * 7
        if number % 5 == 1:
            thought = thought or 7  # who is told to think does so before a call; Anthropic refuses a call without
            calls = [ToolCall("weather", f'{{"city":"Zürich {number}","days":[{number},2]}}')]
            calls += [ToolCall("weather", '{"city":"Bern"}')] if number % 2 else []
            yield Reply(text="Let me look." if number % 4 else "", tools=tuple(calls), reasoning_tokens=thought)
        else:
            yield Reply(text=f'Answer {number}: é ☃ "so".', tools=(), reasoning_tokens=thought)


def hold(house: House, face: str, provider: str, turns: int) -> tuple[list[bytes], list[bytes]]:
    """Hold a session; return the bodies that the client sent, and those that the provider got; all but one hit."""
    fake = house.fakes[provider]
    fake.next(*itertools.islice(replies(), turns * 2))
    before = len(fake.account.lines)
    ours: list[bytes] = []
    try:
        with ExitStack() as stack:
            turn = SESSIONS[face](stack, house.url, house.key, house.model(provider))
            for number in range(turns):
                ours += turn(f"And on day {number}?")
                if len(ours) >= turns:
                    break
    finally:
        fake.replies.clear()
    theirs = house.bodies(provider)[-len(ours) :]
    until(lambda: len(fake.account.lines) - before >= len(ours), "the fake's account is behind its answers")
    lines = fake.account.lines[before:]
    assert len(lines) == len(ours) == len(theirs)
    if provider in CACHES_BY_ITSELF or (face, provider) == MARKS:
        reads = [line.usage.cache_read_input_tokens for line in lines]
        assert all(reads[1:]), reads
        assert reads[1:] == sorted(reads[1:])
    return ours, theirs


@pytest.mark.parametrize(("face", "provider", "turns"), TRANSLATED)
def test_a_translated_session_only_ever_grows_at_its_end(house: House, face: str, provider: str, turns: int) -> None:
    _, sent = hold(house, face, provider, turns)
    check_growth(sent, CONVERSATION[KINDS[provider].wire], may_change={"options"} if provider == "local" else set())
    if provider == "local":  # another size of context makes Ollama load the model anew, and forget all it had read
        sizes = [msgspec.json.decode(body)["options"]["num_ctx"] for body in sent]
        assert sizes == sorted(sizes)
        assert len(set(sizes)) <= 5, sorted(set(sizes))


@pytest.mark.parametrize(("face", "provider"), PASSED_THROUGH)
def test_a_passed_through_session_is_the_clients_own_bytes(house: House, face: str, provider: str) -> None:
    ours, theirs = hold(house, face, provider, TURNS)
    asked, served = house.model(provider).encode(), KINDS[provider].model.encode()
    for mine, got in zip(ours, theirs, strict=True):
        assert got == mine.replace(b'"%b"' % asked, b'"%b"' % served, 1)
    check_growth(theirs, CONVERSATION[face], may_change=set())


@pytest.mark.parametrize("provider", ["claude", "google"])
def test_a_turn_that_is_like_an_earlier_one_changes_nothing_before_it(house: House, provider: str) -> None:
    """An agent that waits asks the same again and again: the thoughts that are put back must not move about."""
    call = ToolCall("weather", '{"city":"Bern"}')
    waits = Reply(text="", tools=(call,), reasoning_tokens=9)
    house.next(provider, *[waits] * 7, Reply(text="Warm.", tools=(), reasoning_tokens=9))
    with ExitStack() as stack:
        ours = sessions.chat(stack, house.url, house.key, house.model(provider))("Is it warm yet?")
    assert len(ours) == 8
    check_growth(house.bodies(provider)[-8:], CONVERSATION[KINDS[provider].wire], may_change=set())


def check_growth(sent: list[bytes], member: str, *, may_change: set[str]) -> None:
    cache = PrefixCache(member)
    hits = [cache.hit(body) for body in sent]
    assert hits[0] == 0
    for number, (before, after) in enumerate(itertools.pairwise(sent)):
        old, new = raw_members(before), raw_members(after)
        assert list(old) == list(new), number
        same = set(old) - {member} - may_change
        assert {name: old[name] for name in same} == {name: new[name] for name in same}, number
        kept = old[member].rstrip()[:-1].rstrip()  # without the bracket that ends the list
        assert new[member].startswith(kept), difference(kept, new[member])
        until = before.index(old[member]) + len(kept)
        assert not may_change or list(old).index("options") > list(old).index(member)
        assert after[:until] == before[:until], number
        assert hits[number + 1] >= len(msgspec.json.decode(old[member])), number


def raw_members(body: bytes) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def difference(old: bytes, new: bytes) -> Any:
    """Return where two conversations part, for people to read."""
    at = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return at, old[max(0, at - 200) : at + 200], new[max(0, at - 200) : at + 200]

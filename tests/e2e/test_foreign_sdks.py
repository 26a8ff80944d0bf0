"""The official SDKs, each over providers that speak other formats: what they make of an answer is what was said.

Text, thoughts, calls with their arguments, the finish, and usage in the client's own terms are compared with what the
fake provider said and counted; at the end the ledger is compared with the providers' accounts, line for line.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.foreign import anthropic_clients, google_clients, ollama_clients, openai_clients
from tests.e2e.foreign.house import KINDS, REPLIES, Ask, House, Told, open_house

Caller = Callable[[str, str, Ask], Told]
CALLERS: dict[str, tuple[str, Caller]] = {
    "chat whole": ("openai_chat", openai_clients.chat_whole),
    "chat streamed": ("openai_chat", openai_clients.chat_streamed),
    "chat async whole": ("openai_chat", openai_clients.chat_async_whole),
    "chat async streamed": ("openai_chat", openai_clients.chat_async_streamed),
    "responses whole": ("openai_responses", openai_clients.responses_whole),
    "responses streamed": ("openai_responses", openai_clients.responses_streamed),
    "responses async streamed": ("openai_responses", openai_clients.responses_async_streamed),
    "anthropic whole": ("anthropic_messages", anthropic_clients.whole),
    "anthropic streamed": ("anthropic_messages", anthropic_clients.streamed),
    "anthropic async whole": ("anthropic_messages", anthropic_clients.async_whole),
    "anthropic async streamed": ("anthropic_messages", anthropic_clients.async_streamed),
    "google whole": ("gemini", google_clients.whole),
    "google streamed": ("gemini", google_clients.streamed),
    "google async whole": ("gemini", google_clients.async_whole),
    "google async streamed": ("gemini", google_clients.async_streamed),
    "ollama whole": ("ollama", ollama_clients.whole),
    "ollama streamed": ("ollama", ollama_clients.streamed),
    "ollama async streamed": ("ollama", ollama_clients.async_streamed),
}
"""Each way to ask, and the format that it asks in."""
SPEAKS_BOTH = {("openai_responses", "deepseek"), ("openai_chat", "openai")}
"""Providers that are known to speak the client's format beside their own."""
COUNT_NO_THOUGHTS = ("mistral", "local")
"""Providers that do not tell how much of an answer was thought."""
CASES = [
    pytest.param(how, provider, situation, id=f"{how}-{provider}-{situation}".replace(" ", "_"))
    for how, (wire, _) in CALLERS.items()
    for provider, kind in KINDS.items()
    if kind.wire != wire and (wire, provider) not in SPEAKS_BOTH
    for situation in REPLIES
    if "async" not in how or situation in ("tools", "thinking")
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("foreign") / "home") as found:
        yield found
        found.check_ledger()


@pytest.mark.parametrize(("how", "provider", "situation"), CASES)
def test_an_sdk_reads_what_a_provider_of_another_format_said(
    house: House, how: str, provider: str, situation: str
) -> None:
    house.next(provider, REPLIES[situation])
    told = CALLERS[how][1](house.url, house.key, Ask(house.model(provider), situation))
    said = house.said(provider)
    assert seen(told) == expected(said, told, counts_thoughts=provider not in COUNT_NO_THOUGHTS)
    assert len(set(told.call_ids)) == len(told.call_ids)
    assert all(told.call_ids)


def seen(told: Told) -> dict[str, Any]:
    found = dataclasses.asdict(told)
    del found["call_ids"]
    return found


def expected(said: Told, told: Told, *, counts_thoughts: bool) -> dict[str, Any]:
    """Return what was said, without what the client's format has no word for."""
    found = seen(said)
    if not counts_thoughts:
        found["reasoning"] = 0
    for name in ("cached", "reasoning"):
        if getattr(told, name) is None:
            found[name] = None
    return found

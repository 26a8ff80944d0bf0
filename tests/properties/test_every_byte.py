"""A budget whose calls hold every byte is never passed: whatever texts are sent, at whatever moment, and however dense.

What a call costs at most is said here a second time and apart: a token for each byte of its body and for what is around
it, and an answer as long as its limit.
"""

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.catalog.capabilities import most_input_tokens, most_output_tokens
from farthing.catalog.prices import PriceBook
from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.errors import BudgetExceeded
from farthing.gateway.admission import Admission, Admitted
from farthing.gateway.bounds import ROUNDS, SMALL_IMAGE_TOKENS, Bounds
from farthing.gateway.call import Request
from farthing.gateway.chosen import Chosen
from farthing.gateway.known_texts import ENVELOPE_TOKENS
from farthing.gateway.lineup import Lineup
from farthing.gateway.own_tools import MAX_READ_BYTES, are_the_clients
from farthing.ledger.budgets import Budgets
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider
from farthing.storage.memory import MemoryStore
from farthing.testing.simulator.virtual_time import VirtualClock, VirtualLoop
from farthing.types.budgets import Budget, BudgetHolds, Scope
from farthing.types.calls import Attribution
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet
from farthing.types.secret import Secret
from farthing.types.usage import Usage
from farthing.wire.peek import Envelope
from tests.contracts.ledger_samples import NOON_US, attempt

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
WHO = Attribution(key_id="key_1", team="a")
REF = ModelRef("openai", "gpt-4o-mini")
PRICES = PriceBook()


def sheet() -> PriceSheet:
    found = PRICES.find("openai", "openai", REF.model, NOON_US)
    assert found is not None
    return found


SHEET = sheet()
RATES = SHEET.bands[0].rates
INPUT, OUTPUT = RATES.input or 0, RATES.output or 0
PROVIDER = create_provider(
    ProviderSettings(
        name="openai",
        kind="openai",
        wire="openai_chat",
        base_url="http://127.0.0.1:1/v1",
        credential=CredentialSource("env", "K"),
    ),
    Credential(secret=Secret("sk-1")),
)
TEXTS = ("words that all tokenizers know ", "qzxvkjwq", "0123456789", "\u1e9e\U0001f680", "a")
LIMIT = 20
Step = tuple[str, int, int, float]
"""`call`, or `open` without a limit, which text, how long; or `settle`, which, and at which share of its most."""
_NANO = 10**9


@dataclass
class Call:
    body: bytes
    admitted: Admitted
    limit: int

    @property
    def most(self) -> int:
        tokens = len(self.body) + ENVELOPE_TOKENS
        return (tokens * INPUT + self.limit * OUTPUT) // _NANO


@dataclass
class House:
    """One process with budgets, and what a provider was told to bill."""

    limit: int
    holds: BudgetHolds
    others: tuple[Budget, ...] = ()
    under_way: list[Call] = field(default_factory=list)
    posted: int = 0
    served: int = 0
    refused: int = 0

    async def open(self) -> None:
        store, clock = MemoryStore(), VirtualClock()
        clock.loop = asyncio.get_running_loop()  # type: ignore[assignment]
        clock.step_us = NOON_US - clock.now_us()
        plain = Budget(id="bud_1", name="one", scope=Scope(), limit_nanousd=self.limit, period="total", thresholds=())
        await store.budgets.put(msgspec.structs.replace(plain, holds=self.holds, counts_from_us=NOON_US))
        for rule in self.others:
            await store.budgets.put(rule)
        self.budgets = Budgets(store.budgets, "here:1:1", clock)
        await self.budgets.start()
        self.admission = Admission(self.budgets, clock, store)

    async def play(self, steps: list[Step]) -> None:
        await self.open()
        asked: list[asyncio.Task[None]] = []
        for what, kind, size, share in steps:
            if what != "settle":
                asked.append(asyncio.create_task(self.call(kind, size, limited=what == "call")))
            elif self.under_way:
                self.settle(self.under_way.pop(kind % len(self.under_way)), share)
            await asyncio.sleep(0.3)
        while self.under_way or not all(task.done() for task in asked):
            for call in list(self.under_way):
                self.under_way.remove(call)
                self.settle(call, 1)
            await asyncio.sleep(0.3)
        for task in asked:
            task.result()
        await self.budgets.close()

    async def call(self, kind: int, size: int, *, limited: bool) -> None:
        text = (TEXTS[kind % len(TEXTS)] * size)[:size]
        body = {"model": REF.model, "messages": [{"role": "user", "content": text}]}
        envelope = Envelope(json.dumps(body | {"max_tokens": LIMIT} if limited else body).encode())
        chosen = chosen_for(envelope)
        admitted = self.admission.at_once(chosen)
        try:
            if isinstance(admitted, PriceSheet):
                admitted = await self.admission.admit(chosen, admitted, lambda: False)
        except BudgetExceeded:
            self.refused += 1
            return
        assert admitted is not None
        given = LIMIT if limited else admitted.output_limit
        self.under_way.append(Call(envelope.body, admitted, most_output_tokens(REF.model) if given is None else given))
        self.served += 1
        self.look()

    def settle(self, call: Call, share: float) -> None:
        """End a call that cost so much of the most that it could."""
        read = round(share * (len(call.body) + ENVELOPE_TOKENS))
        written = round(share * call.limit)
        cost = (read * INPUT + written * OUTPUT) // _NANO
        if self.holds == "every_byte":
            assert cost <= call.admitted.amount_nanousd
        usage = Usage(input_tokens=read, output_tokens=written)
        call.admitted.end(attempt(1, cost_nanousd=cost, usage=usage))
        self.posted += cost
        self.look()

    def look(self) -> None:
        held = sum(call.admitted.amount_nanousd for call in self.under_way)
        if self.holds == "every_byte":
            assert self.posted + held <= self.limit
            assert all(call.most <= call.admitted.amount_nanousd for call in self.under_way)


def chosen_for(envelope: Envelope) -> Chosen:
    """Return a call as far as its money is concerned."""
    request = SimpleNamespace(wire="openai_chat", operation="chat.completions")
    lineup = SimpleNamespace(attempts=SimpleNamespace(prices=PRICES))
    of_no_matter: Any = None
    return Chosen(
        request=cast("Request", request),
        lineup=cast("Lineup", lineup),
        provider=PROVIDER,
        account=of_no_matter,
        ref=REF,
        asked=REF.model,
        envelope=envelope,
        streamed=False,
        call_id="call_1",
        attribution=WHO,
        family="o200k",
        ordinals=count(1),
    )


def play(house: House, steps: list[Step]) -> House:
    loop = VirtualLoop(start_s=0, limit_s=10_000)
    try:
        loop.run_until_complete(house.play(steps))
    finally:
        loop.close()
    return house


def most_of(size: int) -> int:
    """Return what a call of so many bytes costs at most."""
    return (size * INPUT + LIMIT * OUTPUT) // _NANO


step = st.tuples(
    st.sampled_from(("call", "call", "open", "settle")),
    st.integers(0, 20),
    st.sampled_from((40, 60, 400, 4_000)),
    st.sampled_from((0.0, 0.1, 0.25, 1.0)),
)


@settings(
    max_examples=max(10, round(200 * SCALE)), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(st.sampled_from((1, 4, 20, 40, 4_000)), st.lists(step, max_size=60))
def test_no_schedule_passes_a_budget_of_every_byte(calls: int, steps: list[Step]) -> None:
    house = play(House(calls * most_of(300), "every_byte"), steps)
    assert house.budgets.overruns == 0


def cheap_then(kind: int) -> list[Step]:
    """Words that all tokenizers know, and then a text of which each byte is a token."""
    cheap: list[Step] = [("call", 0, 4_000, 0), ("settle", 0, 0, 0.25)]
    return [*cheap * 8, *[("call", kind, 4_000, 0.0)] * 5, *[("settle", 0, 0, 1.0)] * 5]


@pytest.mark.parametrize("holds", ["estimate", "every_byte"])
@pytest.mark.parametrize("kind", range(1, len(TEXTS)))
def test_dense_texts_after_cheap_ones_pass_no_budget(holds: BudgetHolds, kind: int) -> None:
    house = play(House(5 * most_of(4_000), holds), cheap_then(kind))
    assert house.posted <= house.limit
    assert house.budgets.overruns == 0


UNRELIABLE = cheap_then(0)
"""A provider that counts the same text four times as high from one day to the next."""


@pytest.mark.parametrize(("holds", "passes"), [("estimate", True), ("every_byte", False)])
def test_a_provider_that_counts_anew_passes_a_budget_once_and_none_of_every_byte(
    holds: BudgetHolds, passes: bool
) -> None:
    house = play(House(5 * most_of(4_000), holds), UNRELIABLE)
    assert (house.posted > house.limit) is passes
    assert (house.budgets.overruns > 0) is passes


def test_one_budget_of_every_byte_has_a_call_hold_them_in_its_other_budgets_and_no_other_call() -> None:
    team = Budget(
        id="bud_2", name="team", scope=Scope(team="a"), limit_nanousd=10**9, period="total", holds="every_byte"
    )
    for others, sure in (((), False), ((team,), True), ((msgspec.structs.replace(team, policy="soft"),), False)):
        house = play(House(5 * most_of(4_000), "estimate", others), UNRELIABLE)
        assert (house.posted <= house.limit) is sure


@pytest.mark.parametrize("many", [1, 500], ids=["short", "long"])
def test_a_lost_call_of_every_byte_counts_each_of_its_pictures_however_long_it_is(many: int) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/1.png"}}
    content = [{"type": "text", "text": "what is this?"}, *[picture] * many]
    body = {"model": REF.model, "max_tokens": LIMIT, "messages": [{"role": "user", "content": content}]}
    chosen = chosen_for(Envelope(json.dumps(body).encode()))
    house = House(10**15, "every_byte")

    async def held() -> int:
        await house.open()
        house.budgets.purse_of(WHO, NOON_US)
        sheet = house.admission.at_once(chosen)
        assert isinstance(sheet, PriceSheet), "the accounts are asked for with the first call"
        first = await house.admission.admit(chosen, sheet, lambda: False)
        at_once = house.admission.at_once(chosen)
        assert first is not None
        assert isinstance(at_once, Admitted)
        assert first.held_nanousd == at_once.held_nanousd
        for one in (first, at_once):
            one.void()
        await house.budgets.close()
        return at_once.held_nanousd

    loop = VirtualLoop(start_s=0, limit_s=10_000)
    try:
        read = min(many * SMALL_IMAGE_TOKENS, most_input_tokens(REF.model))
        assert loop.run_until_complete(held()) >= (read * INPUT + LIMIT * OUTPUT) // _NANO
    finally:
        loop.close()


def test_tools_of_the_client_are_told_from_those_of_the_provider() -> None:
    function: dict[str, Any] = {"type": "function", "function": {"name": "search_files", "parameters": {}}}
    own: list[list[dict[str, Any]]] = [
        [function],
        [{"name": "WebSearch", "input_schema": {"type": "object"}}],
        [{"type": "custom", "name": "code_review", "input_schema": {}}],
        [{"functionDeclarations": [{"name": "maps"}]}],
    ]
    theirs: list[Any] = [
        [function, {"type": "web_search"}],
        [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}],
        [{"googleSearch": {}}, {"functionDeclarations": []}],
        [{"name": "odd"}],
        {"type": "function"},
        [[]],
        [{}],
        [{"type": ["function"]}],
        [{"type": {}}],
    ]
    for tools in own:
        assert are_the_clients(json.dumps(tools).encode()), tools
    for tools in theirs:
        assert not are_the_clients(json.dumps(tools).encode()), tools
    for text in (b'[{"type":"web_search","type":"function"}]', b'[{"Type":"mcp","type":"function"}]', b"[", b"\xff"):
        assert not are_the_clients(text)
    assert are_the_clients(None)
    assert are_the_clients(json.dumps([function] * 5_000).encode())


def test_tools_that_are_too_large_to_be_read_are_taken_for_the_providers_in_no_time() -> None:
    function = json.dumps({"type": "function", "function": {"name": "f", "parameters": {}}}).encode()
    tools = b"[" + b",".join([function] * (MAX_READ_BYTES // len(function) + 1)) + b"]"
    began = time.process_time()
    assert not are_the_clients(tools)
    assert not are_the_clients(b"[" + b"[]," * (10 << 20) + b"[]]")
    assert time.process_time() - began < 0.5, "as much took over four seconds, in which nobody else was served"


def test_of_every_byte_a_search_is_held_for_in_all_its_rounds_and_a_function_called_so_is_not() -> None:
    def least(tools: list[dict[str, Any]], *, every_byte: bool) -> int:
        body = {"model": REF.model, "max_tokens": 1, "messages": [], "tools": tools}
        envelope = Envelope(json.dumps(body).encode())
        found = Bounds().bound(envelope, "openai_chat", "chat.completions", REF, SHEET, every_byte=every_byte)
        return found.least_nanousd

    function = [{"type": "function", "function": {"name": "search_files", "parameters": {}}}]
    search = [{"type": "web_search"}]
    assert least(function, every_byte=True) < least(function, every_byte=False) // 50
    assert least(search, every_byte=True) > ROUNDS * (least(search, every_byte=False) - SEARCHED)


SEARCHED = 10 * (RATES.web_search or 0) // 10**9

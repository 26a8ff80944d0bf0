"""No legal answer costs more than the bound of its request, whatever the request, the model and its prices.

Legal is an answer that keeps to the limit that was sent, and that read no more tokens than the request has bytes; a
picture may be read as more than its bytes are, and what the request only points at is as long as the model can read.
"""

import json
import os
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from farthing.catalog.capabilities import most_input_tokens
from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price_nanousd
from farthing.gateway.bounds import Bound, Bounds
from farthing.providers.protocol import Operation
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.peek import Envelope

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
TRIES = max(1, round(6 * SCALE))
"""Requests for each sheet; there are 1,500, and a request takes 60 us."""
NOW_US = 1_795_000_000_000_000
OPERATIONS: dict[WireFormat, Operation] = {
    "openai_chat": "chat.completions",
    "openai_responses": "responses",
    "openai_completions": "completions",
    "anthropic_messages": "messages",
    "gemini": "generate_content",
}
PICTURE = "iVBORw0KGgoAAAANSUhEUg=="
EXTRAS: dict[WireFormat, dict[str, dict[str, Any]]] = {
    "openai_chat": {
        "image": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        "audio": {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        "file": {"type": "file", "file": {"file_id": "file-1"}},
    },
    "openai_responses": {
        "image": {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"},
        "file": {"type": "input_file", "file_url": "https://example.com/long.pdf"},
    },
    "anthropic_messages": {
        "image": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        "file": {"type": "document", "source": {"type": "url", "url": "https://example.com/long.pdf"}},
    },
    "gemini": {
        "image": {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
        "audio": {"inlineData": {"mimeType": "audio/wav", "data": PICTURE}},
        "file": {"fileData": {"fileUri": "https://example.com/long"}},
    },
}
PICTURE_TOKENS = 4_800
SEARCH_TOOLS: dict[WireFormat, dict[str, Any]] = {
    "openai_responses": {"type": "web_search"},
    "anthropic_messages": {"type": "web_search_20250305", "name": "web_search"},
    "gemini": {"googleSearch": {}},
}


class Asked:
    """A random request, and what may be in its answer."""

    def __init__(self, dice: random.Random) -> None:
        self.wire: WireFormat = dice.choice(list(OPERATIONS))
        kinds = EXTRAS.get(self.wire, {})
        self.extras = [kind for kind in kinds if dice.random() < 0.2]
        self.searches = self.wire in SEARCH_TOOLS and dice.random() < 0.2
        self.tools = self.searches or dice.random() < 0.2
        self.marked = self.wire == "anthropic_messages" and dice.random() < 0.4
        self.choices = dice.choice([1, 1, 1, 2, 300]) if self.wire in ("openai_chat", "gemini") else 1
        self.limit = dice.choice([1, 7, 100, 4_096])
        self.tier = dice.random() < 0.2
        text = "".join(dice.choice("a é🚀\n") for _ in range(dice.choice([1, 50, 3_000])))
        self.body = json.dumps(
            self.body_of(text, [kinds[one] for one in self.extras]), ensure_ascii=dice.random() < 0.5
        )

    def body_of(self, text: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": "m"}
        said: Any = text
        if parts or self.marked:
            word: dict[str, Any] = {"text": text} if self.wire == "gemini" else {"type": "text", "text": text}
            said = [word | ({"cache_control": {"type": "ephemeral", "ttl": "1h"}} if self.marked else {}), *parts]
        if self.wire == "gemini":
            body["contents"] = [{"parts": said if isinstance(said, list) else [{"text": text}]}]
            body["generationConfig"] = {"maxOutputTokens": self.limit, "candidateCount": self.choices}
        elif self.wire == "openai_completions":
            body |= {"prompt": text, "max_tokens": self.limit}
        elif self.wire == "openai_responses":
            body |= {"input": text if not parts else [{"role": "user", "content": parts}]}
            body["max_output_tokens"] = self.limit
        else:
            body |= {"messages": [{"role": "user", "content": said}], "max_tokens": self.limit}
            if self.choices > 1:
                body["n"] = self.choices
        if self.tools:
            body["tools"] = [SEARCH_TOOLS[self.wire] if self.searches else {"name": "look", "parameters": {}}]
        if self.tier:
            body["serviceTier" if self.wire == "gemini" else "service_tier"] = "priority"
        return body

    def most_read(self, model: str) -> int:
        """How many tokens a legal answer has read at most."""
        room = most_input_tokens(model)
        if self.searches or "file" in self.extras:
            return room
        tokens = len(self.body.encode()) + (530 if self.tools else 8) + PICTURE_TOKENS * self.extras.count("image")
        return min(tokens, room)

    def answer(self, dice: random.Random, model: str, sheet: PriceSheet) -> Usage:
        """Return a legal usage; often one at the very bound."""
        read, written = self.most_read(model), self.limit * self.choices
        if dice.random() < 0.3:
            read, written = dice.randint(0, read), dice.randint(0, written)
        parts = sorted(dice.randint(0, read) for _ in range(4))
        stored = parts[1] - parts[0] if self.marked or not only_what_is_marked(sheet) else 0
        return Usage(
            input_tokens=read,
            output_tokens=written,
            cache_read_input_tokens=parts[0],
            cache_creation_1h_input_tokens=stored if self.marked else 0,
            cache_creation_5m_input_tokens=0 if self.marked else stored,
            input_audio_tokens=parts[2] - parts[1] if "audio" in self.extras else 0,
            input_image_tokens=parts[3] - parts[2] if "image" in self.extras else 0,
            reasoning_output_tokens=dice.choice([0, written // 2, written]),
            web_search_requests=dice.randint(0, 6) if self.searches else 0,
        )


def only_what_is_marked(sheet: PriceSheet) -> bool:
    """Whether prices are like Anthropic's, where nothing is cached that is not marked."""
    return any((band.rates.cache_write_1h or 0) > (band.rates.cache_write_5m or 0) for band in sheet.bands)


@cache
def sheets() -> list[tuple[ModelRef, PriceSheet]]:
    return list(_sheets())


def _sheets() -> Iterator[tuple[ModelRef, PriceSheet]]:
    book = PriceBook()
    for key in book.providers():
        for name in book.names(key):
            sheet = book.find(key, key, name, NOW_US)
            if sheet is not None and not sheet.free:
                yield ModelRef(key, name), sheet


def bound(bounds: Bounds, asked: Asked, ref: ModelRef, sheet: PriceSheet) -> Bound:
    return bounds.bound(Envelope(asked.body.encode()), asked.wire, OPERATIONS[asked.wire], ref, sheet)


def cost(asked: Asked, usage: Usage, sheet: PriceSheet, dice: random.Random) -> int | None:
    tier = dice.choice([None, *sheet.service_tiers]) if asked.tier else None
    return price_nanousd(usage, sheet, service_tier=tier)


def test_there_are_sheets() -> None:
    assert len(sheets()) > 1_000


def test_no_legal_answer_costs_more_than_the_bound_of_its_request() -> None:
    dice = random.Random(1)
    for ref, sheet in sheets():
        for _ in range(TRIES):
            asked = Asked(dice)
            usage = asked.answer(dice, ref.model, sheet)
            most = bound(Bounds(), asked, ref, sheet)
            costs = cost(asked, usage, sheet, dice)
            assert costs is None or costs <= most.least_nanousd <= most.most_nanousd, f"{ref} {asked.body} {usage}"


def test_what_equal_calls_were_reported_to_have_bounds_the_next_one_even_where_the_cache_has_gone() -> None:
    dice = random.Random(2)
    for ref, sheet in sheets():
        bounds, asked = Bounds(), Asked(dice)
        usage = asked.answer(dice, ref.model, sheet)
        for _ in range(dice.randint(1, 4)):
            cached = Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_input_tokens=usage.input_tokens or 0,
            )
            envelope = Envelope(asked.body.encode())
            bounds.learn(ref, asked.wire, envelope, bound(bounds, asked, ref, sheet), cached)
        costs = cost(asked, usage, sheet, dice)
        least = bound(bounds, asked, ref, sheet).least_nanousd
        assert costs is None or costs <= least, f"{ref} {asked.body} {usage} {costs} {least}"


TRICKS: dict[str, tuple[WireFormat, str]] = {
    "a limit under two names": ("openai_chat", '{"max_completion_tokens": 1, "max_tokens": 9000, "messages": []}'),
    "more choices than one provider allows": ("openai_chat", '{"n": 5000, "max_tokens": 2, "messages": []}'),
    "a picture whose name is hidden": (
        "openai_chat",
        '{"max_tokens": 1, "messages": [{"content": [{"type": "image\\u005furl", "image\\u005furl": {"url": "x"}}]}]}',
    ),
    "an address with space before its colon": (
        "anthropic_messages",
        '{"max_tokens": 1, "messages": [{"content": [{"type": "document", "source": {"type" : "url", "url": "x"}}]}]}',
    ),
    "a search in camel case": (
        "gemini",
        '{"generationConfig": {"maxOutputTokens": 1}, "tools": [{"googleSearch": {}}]}',
    ),
    "a prompt that is stored at the provider": ("openai_responses", '{"max_output_tokens": 1, "prompt": {"id": "p"}}'),
    "a reference to an item": (
        "openai_responses",
        '{"max_output_tokens": 1, "input": [{"type": "item_reference", "id": "i"}]}',
    ),
    "servers of tools": ("anthropic_messages", '{"max_tokens": 1, "mcp_servers": [{"url": "x"}], "messages": []}'),
    "fast mode": ("anthropic_messages", '{"max_tokens": 9000, "speed": "fast", "messages": []}'),
    "a small picture that is large": (
        "anthropic_messages",
        '{"max_tokens": 1, "messages": [{"content": [{"type":"image","source":{"type":"base64","data":"x"}}]}]}',
    ),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_nobody_makes_a_call_look_cheaper_than_it_is(trick: str) -> None:
    wire, body = TRICKS[trick]
    ref = ModelRef("anthropic", "claude-opus-4-6")
    sheet = PriceBook().find("anthropic", "anthropic", ref.model, NOW_US)
    assert sheet is not None
    found = Bounds().bound(Envelope(body.encode()), wire, OPERATIONS[wire], ref, sheet)
    plain = 700 * 5_000 + 2 * 25_000  # a request of that size, and an answer of two tokens
    assert found.least_nanousd > 4 * plain, found

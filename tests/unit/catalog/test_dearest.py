"""What is held for a call is held by the dearest price that it may end by."""

import random
from datetime import UTC, datetime

from farthing.catalog.dearest import HORIZON_US
from farthing.catalog.prices import PriceBook
from farthing.gateway.bounds import Bounds
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet
from farthing.wire.peek import Envelope

BODY = b'{"model":"m","max_tokens":1000,"messages":[{"role":"user","content":"hi"}]}'
REF = ModelRef("deepseek", "deepseek-v4-pro")
DAY_US = 86_400 * 1_000_000


def at(hour: int, minute: int) -> int:
    return int(datetime(2026, 11, 20, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000


def held(sheet: PriceSheet | None) -> int:
    assert sheet is not None
    return Bounds().bound(Envelope(BODY), "openai_chat", "chat.completions", REF, sheet).least_nanousd


def test_a_call_that_may_end_in_dear_hours_is_held_for_by_their_price() -> None:
    book = PriceBook()
    cheap = held(book.find("deepseek", "deepseek", REF.model, at(0, 30)))
    dear = held(book.find("deepseek", "deepseek", REF.model, at(1, 30)))
    assert dear > 1.9 * cheap
    found = [held(book.find_dearest("deepseek", "deepseek", REF.model, at(*t))) for t in [(23, 0), (0, 30), (3, 59)]]
    assert found == [cheap, dear, dear]


def test_whenever_a_call_begins_and_ends_its_price_is_no_higher_than_what_was_held_by() -> None:
    book, dice = PriceBook(), random.Random(1)
    for price_key in book.providers():
        for name in dice.sample(book.names(price_key), min(2, len(book.names(price_key)))):
            for _ in range(3):
                began = at(0, 0) + dice.randrange(-2 * DAY_US, 2 * DAY_US)
                ends = [began + dice.randrange(HORIZON_US) for _ in range(3)] + [began, began + HORIZON_US]
                most = book.find_dearest(price_key, price_key, name, began)
                for ended in ends:
                    sheet = book.find(price_key, price_key, name, ended)
                    assert (sheet is None) == (most is None)
                    assert sheet is None or held(sheet) <= held(most), f"{price_key} {name} {began} {ended}"


def test_a_model_of_one_price_is_held_for_by_its_sheet() -> None:
    book = PriceBook()
    assert book.find_dearest("openai", "openai", "gpt-5", at(12, 0)) == book.find(
        "openai", "openai", "gpt-5", at(12, 0)
    )

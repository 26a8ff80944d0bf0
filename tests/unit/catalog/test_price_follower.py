"""A price list that is put into the home is taken up by a running gateway, and a broken one is not."""

import json
import logging
from pathlib import Path

import pytest

from farthing.catalog.price_follower import PriceFollower
from farthing.catalog.price_lists import undo, use
from farthing.catalog.prices import PriceBook, price_book
from farthing.catalog.refresh import read_candidate
from farthing.storage.offload import ThreadOffload

NOW_US = 1_790_000_000_000_000


def put(folder: Path, price: int) -> None:
    model = {"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": price, "output_mtok": 1}}
    data = json.dumps([{"id": "openai", "models": [model]}]).encode()
    candidate = read_candidate(data, source="test", day="2026-11-21", now_us=NOW_US)
    use(folder, candidate.kind, candidate.kept, candidate.data)


def price_of(book: PriceBook) -> str | None:
    sheet = book.find("openai", "openai", "m", NOW_US)
    return None if sheet is None else sheet.id


async def test_a_new_list_is_taken_up_and_an_undone_one_is_given_back(tmp_path: Path) -> None:
    offload = ThreadOffload()
    follower = PriceFollower(tmp_path, offload)
    book = price_book((), tmp_path)
    assert price_of(book) is None
    assert not await follower.look(book)

    put(tmp_path, 5)
    assert price_of(book) is None
    assert await follower.look(book)
    first = price_of(book)
    assert first is not None
    assert book.names("openai") == ("m",)
    assert not await follower.look(book)

    put(tmp_path, 7)
    assert await follower.look(book)
    assert price_of(book) not in (first, None)
    for expected in (first, None):
        undo(tmp_path)
        assert await follower.look(book)
        assert price_of(book) == expected
    await offload.close()


async def test_a_broken_list_is_said_once_and_the_one_in_use_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    offload = ThreadOffload()
    put(tmp_path, 5)
    follower = PriceFollower(tmp_path, offload)
    book = price_book((), tmp_path)
    before = price_of(book)
    (tmp_path / "state.json").write_text("no state", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert not await follower.look(book)
    assert [record.getMessage().startswith("the price list in use stays: ") for record in caplog.records] == [True]
    assert price_of(book) == before is not None
    await offload.close()

"""Verify must be able to fail: each test breaks something and sees it found."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farthing.ledger.journal import Journal
from farthing.ledger.verify import GRACE_US, MAX_FINDINGS, verify
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt
from farthing.types.ledger import Finding
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import NOON_US, InPlace, attempt, full_attempt, opening


class Books:
    """A database and a journal with five attempts in each, and means to break them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = SqliteStore(folder / "farthing.db", InPlace())
        self.journal = Journal(folder, "boot")

    def sql(self, statement: str) -> None:
        assert self.store.connections.writer is not None
        self.store.connections.writer.execute(statement)

    async def verify(self, *, live: bool = False, now_us: int = NOON_US + 60_000_000) -> list[Finding]:
        return await verify(self.store, self.folder, InPlace(), now_us=now_us, live=live, reprice=known_price)


def known_price(one: Attempt) -> int | None:
    return None if one.price_id != "openai/gpt-5-mini" else 1_000 + int(one.opening.attempt_id[4:])


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    books = Books(tmp_path)
    await books.store.open()
    attempts = [attempt(number) for number in range(4)] + [full_attempt(4)]
    await books.store.append(attempts)
    for one in attempts:
        books.journal.end(one, books.journal.begin(one.opening))
    yield books
    await books.store.close()


def kinds(found: list[Finding]) -> list[tuple[str, str]]:
    return sorted({(one.kind, one.subject) for one in found})


async def test_sound_books_agree(books: Books) -> None:
    assert await books.verify() == []


async def test_what_is_being_checked_is_told_while_it_lasts(books: Books) -> None:
    told: list[str] = []
    assert await verify(books.store, books.folder, InPlace(), now_us=NOON_US, tell=told.append) == []
    count = len(await books.store.attempts_after("", 99))
    assert told == [
        "the store itself, and its sums by hour",
        f"single attempts, {count} so far",
        "totals and accounts",
        "the journal",
    ]


async def test_a_changed_cost_is_found_three_times_over(books: Books) -> None:
    books.sql("UPDATE attempts SET cost_nanousd = cost_nanousd + 1 WHERE attempt_id = 'att_000001'")
    found = await books.verify()
    assert kinds(found) == [
        ("cost_not_reproducible", "att_000001"),
        ("disagrees_with_journal", "att_000001"),
        ("totals", "2026-11-18 key_1 openai gpt-5-mini"),
    ]
    assert "costs 1002 nanodollars, its usage at 'openai/gpt-5-mini' comes to 1001" in [one.message for one in found]
    assert "cost_nanousd is 4006, the attempts add up to 4007" in [one.message for one in found]


async def test_a_lost_attempt_is_found(books: Books) -> None:
    books.sql("DELETE FROM attempts WHERE attempt_id = 'att_000002'")
    assert [kind for kind, _ in kinds(await books.verify())] == ["totals", "unposted"]


async def test_a_lost_total_and_an_invented_one_are_found(books: Books) -> None:
    books.sql("UPDATE daily_totals SET model = 'other' WHERE key_id = 'key_1'")
    assert [one.message for one in await books.verify()] == ["attempts have no total", "the total has no attempts"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("cost_basis = 'unknown'", "cost_and_basis"),
        ("cost_nanousd = NULL", "cost_and_basis"),
        ("cost_nanousd = -5", "negative"),
        ("output_tokens = -5", "negative"),
        ("cache_read_input_tokens = 101", "usage_parts"),
        ("reasoning_output_tokens = 21", "usage_parts"),
        ("cost_nanousd = 7", "cost_not_reproducible"),
    ],
)
async def test_a_line_that_cannot_be_is_found(books: Books, change: str, kind: str) -> None:
    books.sql(f"UPDATE attempts SET {change} WHERE attempt_id = 'att_000001'")
    assert (kind, "att_000001") in kinds(await books.verify())


async def test_the_same_try_twice_is_found(books: Books) -> None:
    await books.store.append([attempt(9, call=1)])
    assert [one for one in kinds(await books.verify()) if one[0] == "duplicate"] == [("duplicate", "call_000001")]


async def test_an_end_that_stands_twice_in_the_journal_is_found(books: Books) -> None:
    segment = books.journal.begin(opening(1))
    books.journal.end(attempt(1), segment)
    assert kinds(await books.verify()) == [("duplicate", "att_000001")]


async def test_a_damaged_journal_is_found(books: Books) -> None:
    with (books.folder / "boot-000001.journal").open("ab") as file:
        file.write(b"damage\n")
    assert kinds(await books.verify()) == [("damaged_journal", "boot-000001.journal:11")]


async def test_an_end_that_is_not_posted_is_found_unless_it_is_young_and_the_server_lives(books: Books) -> None:
    late = attempt(7)
    books.journal.end(late, books.journal.begin(late.opening))
    unposted = [("unposted", "att_000007")]
    assert kinds(await books.verify(now_us=late.ended_at_us)) == unposted
    assert kinds(await books.verify(live=True, now_us=late.ended_at_us + GRACE_US)) == []
    assert kinds(await books.verify(live=True, now_us=late.ended_at_us + GRACE_US + 1)) == unposted


async def test_an_attempt_without_an_end_is_found_unless_the_server_lives(books: Books) -> None:
    books.journal.begin(opening(8))
    assert kinds(await books.verify(live=True)) == []
    assert kinds(await books.verify()) == [("unposted", "att_000008")]


async def test_an_attempt_that_was_posted_without_an_end_in_the_journal_is_fine(books: Books) -> None:
    books.journal.begin(opening(8))
    await books.store.append([attempt(8)])
    assert await books.verify() == []


async def test_a_corrupt_database_is_found(books: Books) -> None:
    await books.store.close()  # everything is in the main file now
    database = books.folder / "farthing.db"
    content = database.read_bytes()
    assert content.count(b"call_000003") == 2  # the table's and the index's
    database.write_bytes(content.replace(b"call_000003", b"call_000009", 1))
    await books.store.open()
    assert ("damaged_store", "store") in kinds(await books.verify())


async def test_findings_are_bounded(books: Books) -> None:
    bad = [
        attempt(n, usage=Usage(input_tokens=1, output_tokens=1, cache_read_input_tokens=2)) for n in range(100, 1400)
    ]
    await books.store.append(bad)
    assert len(await books.verify()) == MAX_FINDINGS


async def test_an_end_in_the_journal_whose_line_has_expired_is_fine(books: Books) -> None:
    await books.store.roll_up(100)
    assert await books.store.retention.expire(NOON_US + 3, 100, NOON_US) == 3
    assert await books.verify() == []
    books.sql("DELETE FROM expired_sums WHERE id = 1")
    assert ("totals", "2026-11-18 key_1 openai gpt-5-mini") in kinds(await books.verify())

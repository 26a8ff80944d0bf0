"""Exports hold what the ledger holds, in a form that other programs take and spreadsheets do not run."""

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from farthing.ledger.exports import pages
from farthing.ledger.exports.pages import (
    attempt_columns,
    attempts_between,
    exported_attempt,
    exported_sum,
    sum_columns,
    sums_between,
)
from farthing.ledger.exports.writers import ExportFormat, csv_cell, write_records
from farthing.ledger.reports import Record
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt, full_attempt


class CountingStore(MemoryStore):
    """Remembers how much was asked for at once."""

    largest_page = 0

    async def attempts_begun(self, after_us: int, after_id: str, until_us: int, limit: int) -> list[Attempt]:
        page = await super().attempts_begun(after_us, after_id, until_us, limit)
        self.largest_page = max(self.largest_page, len(page))
        return page


async def exported(store: MemoryStore, form: ExportFormat, since: int | None = None, until: int | None = None) -> str:
    async def records() -> AsyncIterator[Record]:
        async for one in attempts_between(store, since, until):
            yield exported_attempt(one)

    file = io.StringIO(newline="")
    await write_records(records(), attempt_columns(), form, file)
    return file.getvalue()


@pytest.fixture
async def store() -> CountingStore:
    store = CountingStore()
    await store.append(
        [
            attempt(1, project='=HYPERLINK("http://x","y")', session="-1+2"),
            attempt(2, project='quoted "text", with\r\nlines', cost_nanousd=None, cost_basis="unknown"),
            full_attempt(3),
            attempt(4, started_at_us=NOON_US + DAY_US, cost_nanousd=12_345_678_900),
        ]
    )
    return store


async def test_every_form_holds_the_same(store: CountingStore) -> None:
    read = csv.DictReader(io.StringIO(await exported(store, "csv"), newline=""), strict=True)
    rows = list(read)
    whole = json.loads(await exported(store, "json"))
    lines = [json.loads(line) for line in (await exported(store, "jsonl")).splitlines()]
    assert whole == lines
    assert list(rows[0]) == attempt_columns()
    assert all(set(line) == set(attempt_columns()) for line in lines)
    for row, line in zip(rows, lines, strict=True):
        assert row["attempt_id"] == line["attempt_id"]
        assert row["usd"] == (line["usd"] or "")
        assert row["nanousd"] == ("" if line["nanousd"] is None else str(line["nanousd"]))


async def test_money_is_exact_text_and_a_whole_number_and_unknown_is_null(store: CountingStore) -> None:
    lines = json.loads(await exported(store, "json"))
    assert [(line["usd"], line["nanousd"]) for line in lines][:2] == [("0.000001001", 1_001), (None, None)]
    assert Decimal(lines[-1]["usd"]) * 10**9 == lines[-1]["nanousd"] == 12_345_678_900


async def test_csv_has_crlf_and_quotes_and_no_formula(store: CountingStore) -> None:
    text = await exported(store, "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert text.split("\r\n")[0] == ",".join(attempt_columns())
    assert rows[0]["project"] == '\'=HYPERLINK("http://x","y")'
    assert rows[0]["session"] == "'-1+2"
    assert rows[1]["project"] == 'quoted "text", with\r\nlines'


@pytest.mark.parametrize("text", ["=1", "+x", "-x", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_run_is_marked_as_text(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-0.000000001", "site", "", None, 5, -5, "a=b"])
def test_what_is_no_formula_stays(value: str | int | None) -> None:
    assert csv_cell(value) == value


async def test_a_time_includes_its_beginning_and_not_its_end(store: CountingStore) -> None:
    lines = (await exported(store, "jsonl", NOON_US + 2, NOON_US + DAY_US)).splitlines()
    assert [json.loads(line)["attempt_id"] for line in lines] == ["att_000002", "att_000003"]


async def test_no_more_than_a_page_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", 10)
    store = CountingStore()
    await store.append([attempt(number, started_at_us=NOON_US + number // 7) for number in range(95)])
    lines = (await exported(store, "jsonl")).splitlines()
    assert len({json.loads(line)["attempt_id"] for line in lines}) == 95
    assert store.largest_page == 10


async def test_sums_of_days_add_up_to_what_the_ledger_has(store: CountingStore) -> None:
    rows = [row async for row in sums_between(store, None, None, NOON_US, NOON_US + DAY_US)]
    records = [exported_sum(row) for row in rows]
    assert sum(row.cost_nanousd for row in rows) == (await store.costs(None))[0].cost_nanousd
    assert all(list(record) == sum_columns() for record in records)
    assert [record["day"] for record in records] == ["2026-11-18"] * 3 + ["2026-11-19"]
    assert {record["usd"] for record in records if record["project"] and "quoted" in str(record["project"])} == {None}


async def test_nothing_is_still_a_whole_document() -> None:
    assert json.loads(await exported(MemoryStore(), "json")) == []
    assert (await exported(MemoryStore(), "csv")).count("\r\n") == 1

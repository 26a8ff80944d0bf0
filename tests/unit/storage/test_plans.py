"""What the admin API asks of large tables is answered from an index, a page at a time, however deep the page lies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.database import open_database, shipped_migrations
from farthing.storage.sqlite.spending import spending_statement
from farthing.storage.sqlite.sql import query
from farthing.types.budgets import Scope
from farthing.types.history import HOUR_US
from farthing.types.spending import SpendingScope
from tests.contracts.ledger_samples import InPlace

AFTER: dict[str, Any] = {"limit": 100, "after": "key_1", "organisation": None, "team": "core", "project": None}
FILTERS = dict.fromkeys(("who", "action", "subject"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_database(tmp_path / "farthing.db", shipped_migrations())
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("name", "bindings", "index"),
    [
        ("key", {"id_or_name": "key_1"}, "keys_by_name (name=?)"),
        ("keys_page", {**AFTER, "team": None}, "(id>?)"),
        ("keys_page_of_team", AFTER, "keys_by_team (team=? AND id>?)"),
        ("recent", {"limit": 100, "before": "call_1"}, "attempts_by_call (call_id<?)"),
        ("admin_changes", {"limit": 100, "before_id": "chg_1", **FILTERS}, "(id<?)"),
    ],
)
def test_no_page_reads_more_than_itself(
    database: apsw.Connection, name: str, bindings: dict[str, Any], index: str
) -> None:
    plan = [str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {query(name)}", bindings)]
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN") and "youngest" not in step], plan


def test_lines_of_a_time_are_found_by_their_beginning(database: apsw.Connection) -> None:
    scope = (SpendingScope("outcome", "ok"),)
    statement, bindings = spending_statement(("provider", "model"), scope, 1, 2, 10)
    plan = [str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", bindings)]
    assert any("attempts_by_start (started_at_us>? AND started_at_us<?)" in step for step in plan), plan


def test_tries_after_the_first_are_found_by_an_index_of_their_own(database: apsw.Connection) -> None:
    day = 86_400_000_000
    statement, bindings = spending_statement(("model",), (), day, 9 * day, 10)
    plan = [str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", bindings)]
    assert any("attempts_again (started_at_us>? AND started_at_us<?)" in step for step in plan), plan


def test_who_failed_is_found_and_counted_in_an_index_and_nothing_is_sorted(database: apsw.Connection) -> None:
    bindings = {"since": 1, "clients": "[400]", "least": 10}
    statement = f"EXPLAIN QUERY PLAN {query('outcomes_failed')}"
    plan = [str(row[3]) for row in database.execute(statement, bindings)]
    found = [step for step in plan if "attempts" in step]
    assert len(found) == 3, plan
    assert all("USING COVERING INDEX attempts_failed" in step for step in found), plan
    assert "SEARCH attempts USING COVERING INDEX attempts_failed (provider=? AND started_at_us>?)" in found, plan
    assert "SEARCH attempts USING COVERING INDEX attempts_failed (provider>?)" in found, plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan
    counted = {"since": 1, "provider": "openai", "most": 51}
    plan = [str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {query('outcomes_counted')}", counted)]
    assert "SEARCH attempts USING INDEX attempts_by_start (started_at_us>?)" in plan, plan


async def test_hours_of_weeks_read_only_lines_that_are_not_rolled_up(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    connection = store.connections.writer
    assert connection is not None
    asked: list[tuple[str, Any]] = []

    def trace(_: apsw.Cursor, statement: str, bindings: Any) -> bool:
        asked.append((statement, bindings))
        return True

    connection.exec_trace = trace
    await store.history.hours(Scope(), 0, HOUR_US)
    await store.history.hours(Scope(session="s"), 0, HOUR_US)
    await store.history.hours(Scope(task="t", tag="x", team="core"), 0, HOUR_US)
    await store.history.hours_by("key_id", ["key_1"], 0)
    await store.history.dearest("key_id", 0, 9)
    await store.history.usual_outcomes(0, HOUR_US)
    connection.exec_trace = None
    assert len(asked) == 6
    for statement, bindings in asked:
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", bindings)]
        lines = [step for step in plan if step.startswith("SEARCH attempts")]
        assert lines == ["SEARCH attempts USING INTEGER PRIMARY KEY (rowid>?)"], plan
    await store.close()

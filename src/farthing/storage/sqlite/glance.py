"""A glance at the ledger for a status line: a few sums, read in a millisecond, beside whoever is writing.

Nothing is opened for writing, migrated or waited for: what ended within the last second may be missing, and the next
glance has it. Both queries follow the index of starts, so that an old ledger is no slower than a young one.
"""

from pathlib import Path
from typing import Any

import apsw
import msgspec

from farthing.storage.sqlite.database import open_reader, store_error
from farthing.storage.sqlite.sql import query
from farthing.types.budgets import Budget, scarcest
from farthing.types.ledger import Glance, Spent


def glance(path: Path, today_us: int, session: str | None, session_since_us: int, now_us: int) -> Glance:
    """Return the sums of a database that is there, and what is left at `now_us`.

    Raises:
        StoreError: it cannot be read.
    """
    connection = open_reader(path)
    try:
        today = _spent(connection, {"since": today_us, "session": None})
        told = {"since": session_since_us, "session": session}
        row = connection.execute(query("last_model"), told).fetchone()
        model = None if row is None else str(row[0])
        rules: list[Any] = connection.execute(
            query("budgets_at_a_glance"), {"now": now_us, "session": session}
        ).fetchall()
        left = scarcest((msgspec.json.decode(rule, type=Budget), spent) for rule, spent in rules)
        return Glance(today, None if session is None else _spent(connection, told), model, left)
    except apsw.Error as error:
        raise store_error(path, error) from error
    finally:
        connection.close()


def _spent(connection: apsw.Connection, told: dict[str, Any]) -> Spent:
    (row,) = connection.execute(query("spent"), told).fetchall()
    sums: Any = row
    return Spent(*sums)

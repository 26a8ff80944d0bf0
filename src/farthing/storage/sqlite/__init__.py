"""The store in one file: SQLite through apsw, which brings its own SQLite.

`database.py` opens, migrates and backs up; `store.py` answers. The SQL stands in `queries/*.sql`, one statement a file,
and the tables in `migrations/NNNN_*.sql`, which only ever grow.
"""

from farthing.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]

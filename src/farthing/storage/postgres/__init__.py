"""The store that several hosts share: PostgreSQL through asyncpg, which is imported when a store is opened.

`connections.py` keeps the pool, `complaints.py` turns what the server says into ours, `database.py` makes and migrates
the tables, `store.py` answers. The SQL stands in `queries/*.sql`, one statement a file, and the tables in
`migrations/NNNN_*.sql`, which only ever grow.
"""

from farthing.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]

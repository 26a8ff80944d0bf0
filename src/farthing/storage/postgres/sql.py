"""The named queries of `queries/`, read once when they are first asked."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """Return the statement in `queries/<name>.sql`."""
    return (files(__package__) / "queries" / f"{name}.sql").read_text(encoding="utf-8")

"""The named queries of `queries/`, read once when a store is opened."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """Return the statement in `queries/<name>.sql`."""
    return (files(__package__) / "queries" / f"{name}.sql").read_text(encoding="utf-8")

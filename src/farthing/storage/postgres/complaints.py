"""PostgreSQL's complaints, and those of the way to it, as ours: who must act, and how."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from farthing.errors import StoreError
from farthing.storage.postgres.address import Address
from farthing.storage.protocols import RowsRefused

_ABOUT_ROWS = ("22", "23", "54")
"""Classes of SQLSTATE: a value that is none, one that breaks a rule, one that is too large."""

_HINTS = {
    "28": "check user and password in storage.url, and who may connect (pg_hba.conf).",
    "3D000": "make the database first: createdb NAME.",
    "3F000": "make the schema that storage.url names, or name another.",
    "42501": "give the user the right: it must own the schema's tables.",
    "42P01": "the tables are gone. Put them back from a backup of the database.",
    "25006": "this server only reads, as a standby does: name the primary in storage.url.",
    "53100": "the server's disk is full: make room.",
    "53300": "the server takes no more connections: raise its max_connections, or run fewer workers.",
    "57P03": "the server is starting or stopping; calls wait in the journal until it is there.",
    "57014": "the statement took too long, or waited for another's lock; it is tried again.",
    "40": "another host was at the same rows; it is tried again.",
}
"""By SQLSTATE, the whole before its class. https://www.postgresql.org/docs/current/errcodes-appendix.html"""

_AWAY = "see that the server runs and can be reached from here; calls go on meanwhile and wait in the journal."


@contextmanager
def complaints(address: Address) -> Iterator[None]:
    """Raise what the server, or the way to it, complains of as a `StoreError`; whatever else is raised stays itself."""
    try:
        yield
    except StoreError:
        raise
    except TimeoutError as error:
        raise StoreError(f"The ledger's database {address} does not answer in time.", hint=_AWAY) from error
    except OSError as error:  # TLS, too
        raise StoreError(f"The ledger's database {address} cannot be reached: {_words(error)}.", hint=_AWAY) from error
    except Exception as error:
        if not _is_of_the_driver(error):
            raise
        raise StoreError(
            f"The ledger's database {address} cannot be used: {_words(error)}.", hint=_way_out(_state(error))
        ) from error


def _way_out(state: str) -> str | None:
    hint = _HINTS.get(state) or _HINTS.get(state[:2])
    return _AWAY if hint is None and (state.startswith("57P") or state[:2] in ("", "08")) else hint


def _is_of_the_driver(error: Exception) -> bool:
    import asyncpg  # noqa: PLC0415  (it is there, or nothing would have been asked)

    return isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError)


def rows_refused(address: Address, error: Exception) -> RowsRefused | None:
    """Return that these rows will never be taken, where this is what the complaint says."""
    is_about_rows = isinstance(error, OverflowError | UnicodeError | TypeError) or _is_about_a_value(error)
    if not is_about_rows:
        return None
    message = f"The ledger's database {address} refuses these attempts: {_words(error)}."
    return RowsRefused(message, hint="they are set aside in the journal's folder.")


def is_taken(error: Exception) -> bool:
    """Whether another row has what may stand once."""
    return _state(error) == "23505"


def is_about_the_connection(error: Exception) -> bool:
    """Whether the connection broke, so that another one may serve."""
    import asyncpg  # noqa: PLC0415  (as above)

    if isinstance(error, asyncpg.PostgresConnectionError | ConnectionError):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return "connection is closed" in str(error)
    return _state(error).startswith("57P")  # the server is going down, and says goodbye


def _is_about_a_value(error: Exception) -> bool:
    import asyncpg  # noqa: PLC0415  (as above)

    if isinstance(error, asyncpg.PostgresError):
        return _state(error).startswith(_ABOUT_ROWS)
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


def _state(error: BaseException) -> str:
    state: Any = getattr(error, "sqlstate", None)
    return str(state or "")


def _words(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:300]

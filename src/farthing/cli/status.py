"""`farthing status`: one line for a status line or a prompt, in under 100 ms and never with an error.

What stands there runs before every prompt, so whatever is wrong becomes a short word and status 0. Claude Code's status
line writes JSON with its `session_id` to the command; whoever else calls it may leave a pipe open that nobody writes
to, so that is waited for a moment only.
"""

import os
import select
import sys
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

import click

from farthing.cli.context import current_home

if TYPE_CHECKING:
    from farthing.types.ledger import Glance, Spent

_WAIT_S = 0.05
_MOST_BYTES = 1 << 18
"""Claude Code writes about 2 KB."""
_SESSION_DAYS = 7
"""How far back a session is looked for: as long as a key of `farthing run` lives."""
_US_PER_DAY = 86_400_000_000
_SHOWN = Decimal("0.0001")


@click.command()
@click.option("--session", help="Also what this session spent [Claude Code's, told on stdin].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, exact.")
def status(session: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Print one line: spent today (by this machine's clock), left of a budget, in this session, the model called last.

    For a status line: it always ends with 0, and says in a word what is missing. A sum that leaves out calls of unknown
    cost ends with "+?". The budget is the scarcest of those about all calls or the session, once it was called in.
    """
    from farthing.errors import FarthingError  # noqa: PLC0415  (--help must not pay for it)

    try:
        asked = session or _told_session()
        found = _look(asked)
        word = None if found is not None else "no calls yet"
    except (FarthingError, OSError) as error:
        found, asked, word = None, session, _word(error)
    if as_json:
        from farthing.cli.tables import print_json  # noqa: PLC0415

        print_json(_as_data(found, asked, word))
    else:
        click.echo(f"farthing: {word}" if found is None else _line(found))


def _look(session: str | None) -> "Glance | None":
    from farthing.clock import SystemClock  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.storage_place import database_of  # noqa: PLC0415
    from farthing.storage.sqlite.database import refuse_lost  # noqa: PLC0415
    from farthing.storage.sqlite.glance import glance  # noqa: PLC0415

    home = current_home()
    home.recognise()
    now_us = SystemClock().now_us()
    since_us = now_us - _SESSION_DAYS * _US_PER_DAY
    if (url := database_of(home, os.environ)) is not None:
        return _look_over_there(url, session, since_us, now_us)
    if not home.database.exists():
        refuse_lost(home.database)
        return None
    return glance(home.database, _midnight_us(now_us), session, since_us, now_us)


def _look_over_there(url: str, session: str | None, since_us: int, now_us: int) -> "Glance":
    """Look into a database that hosts share; a connection to it takes as long as the network does."""
    import asyncio  # noqa: PLC0415  (only for those who have one)

    from farthing.storage.postgres import PostgresStore  # noqa: PLC0415

    async def look() -> "Glance":
        store = PostgresStore(url, upgrades=False, makes=False)
        try:
            await store.open()
            return await store.glance(_midnight_us(now_us), session, since_us, now_us)
        finally:
            await store.close()

    return asyncio.run(look())


def _midnight_us(now_us: int) -> int:
    """Return when today began, where this machine is."""
    here = datetime.fromtimestamp(now_us / 1_000_000, UTC).astimezone()
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).astimezone()
    return int(midnight.timestamp()) * 1_000_000


def _told_session() -> str | None:
    """Return the session that Claude Code tells on stdin; `None` where nobody tells anything."""
    if sys.stdin is None or sys.stdin.isatty() or sys.platform == "win32":  # select waits for sockets only there
        return None
    data = b""
    descriptor = sys.stdin.fileno()
    while len(data) < _MOST_BYTES and select.select([descriptor], [], [], _WAIT_S)[0]:
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            break
        data += piece
    if not data.strip():
        return None
    import msgspec  # noqa: PLC0415  (most prompts tell nothing)

    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    session = told.get("session_id") if isinstance(told, dict) else None
    return session if isinstance(session, str) and session else None


def _line(found: "Glance") -> str:
    from farthing.cli.tables import printable  # noqa: PLC0415

    parts = [f"{_amount(found.today)} USD today"]
    if found.budget is not None:
        parts.append(f"{_rounded(max(found.budget.left_nanousd, 0))} left of {printable(found.budget.name)}")
    if found.session is not None and found.session.attempts:
        parts.append(f"{_amount(found.session)} session")
    if found.last_model is not None:
        parts.append(printable(found.last_model))
    return " | ".join(parts)


def _amount(spent: "Spent") -> str:
    return _rounded(spent.cost_nanousd) + ("+?" if spent.unknown_cost_attempts else "")


def _rounded(nanousd: int) -> str:
    from farthing.cli.tables import trimmed  # noqa: PLC0415

    return trimmed(str((Decimal(nanousd) / 1_000_000_000).quantize(_SHOWN, ROUND_HALF_EVEN)))


def _word(error: Exception) -> str:
    from farthing.errors import ConfigError  # noqa: PLC0415

    return "no home" if isinstance(error, ConfigError) else "ledger unreadable"


def _as_data(found: "Glance | None", session: str | None, word: str | None) -> dict[str, Any]:
    if found is None:
        return {"today": None, "budget": None, "session": None, "model": None, "problem": word}
    told = None if found.session is None else {"id": session, **_spent_as_data(found.session)}
    today, budget = _spent_as_data(found.today), _budget_as_data(found)
    return {"today": today, "budget": budget, "session": told, "model": found.last_model, "problem": None}


def _budget_as_data(found: "Glance") -> dict[str, Any] | None:
    from farthing.types.money import usd_text  # noqa: PLC0415

    if (budget := found.budget) is None:
        return None
    return {
        "name": budget.name,
        "left_usd": usd_text(budget.left_nanousd),
        "left_nanousd": budget.left_nanousd,
        "limit_nanousd": budget.limit_nanousd,
    }


def _spent_as_data(spent: "Spent") -> dict[str, Any]:
    from farthing.types.money import usd_text  # noqa: PLC0415

    return {
        "usd": usd_text(spent.cost_nanousd),
        "nanousd": spent.cost_nanousd,
        "attempts": spent.attempts,
        "unknown_cost_attempts": spent.unknown_cost_attempts,
    }

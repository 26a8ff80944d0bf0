"""Limits and their windows in SQLite: rules as JSON; what is used and leased as rows, a few for each window in use.

An exchange is one transaction that takes the writer's place at its beginning, so two processes that ask at the same
moment see each other's leases. A row of what was used carries the moment at which it counts no more; whoever comes next
removes it, whichever window it is of.
"""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.sql import query
from farthing.types.limits import (
    WANTED_US,
    Exchanged,
    Limit,
    LimitChanges,
    WindowAnswer,
    WindowAsk,
    WindowUse,
    bounds_of_windows,
    grant_of,
)
from farthing.types.windows import SUB_WINDOWS, leaves_us, sub_window_us

_rule = msgspec.json.Decoder(Limit)


class SqliteLimits:
    """See `LimitStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def all(self) -> list[Limit]:
        """See `LimitStore.all`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("limits", ())]

    async def page(self, after: str, limit: int) -> list[Limit]:
        """See `LimitStore.page`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("limits_page", (after, limit))]

    async def found(self, name_or_id: str) -> Limit | None:
        """See `LimitStore.found`."""
        rows = await self._connections.all("limit_found", {"wanted": name_or_id})
        return _rule.decode(rows[0][0]) if rows else None

    async def put(self, limit: Limit) -> bool:
        """See `LimitStore.put`."""
        bindings = {"id": limit.id, "name": limit.name, "rule": msgspec.json.encode(limit).decode()}

        def put(connection: apsw.Connection) -> bool:
            connection.execute(query("limit_change_count"))
            connection.execute(query("limit_put"), bindings)
            return connection.changes() > 0

        return await self._connections.transaction(put)

    async def remove(self, limit_id: str) -> bool:
        """See `LimitStore.remove`."""

        def remove(connection: apsw.Connection) -> bool:
            connection.execute(query("limit_change_count"))
            connection.execute(query("limit_remove"), (limit_id,))
            return connection.changes() > 0

        return await self._connections.transaction(remove)

    async def changes(self, since: int) -> LimitChanges:
        """See `LimitStore.changes`."""

        def changes(connection: apsw.Connection) -> LimitChanges:
            counter: Any = connection.execute(query("limit_change_counter")).get
            if counter == since:
                return LimitChanges(counter=counter)
            rows: list[Any] = connection.execute(query("limits_changed"), (since,)).fetchall()
            put = tuple(_rule.decode(rule) for _, rule in rows if rule is not None)
            return LimitChanges(counter=counter, put=put, removed=tuple(name for name, rule in rows if rule is None))

        return await self._connections.read(changes)


class SqliteWindows:
    """See `WindowStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def exchange(self, holder: str, asks: Sequence[WindowAsk], *, now_us: int, lease_us: int) -> Exchanged:
        """See `WindowStore.exchange`."""

        def exchange(connection: apsw.Connection) -> Exchanged:
            _end_leases(connection, holder, now_us)
            until_us = now_us + lease_us
            return Exchanged(now_us, tuple(_exchanged(connection, holder, ask, now_us, until_us) for ask in asks))

        return await self._connections.transaction(exchange)

    async def wanted(self, since_us: int) -> list[str]:
        """See `WindowStore.wanted`."""
        return [row[0] for row in await self._connections.all("windows_wanted", (since_us,))]

    async def uses(self, rules: Sequence[str], *, at_most: int, now_us: int) -> list[WindowUse]:
        """See `WindowStore.uses`."""

        def uses(connection: apsw.Connection) -> list[WindowUse]:
            found: list[WindowUse] = []
            for rule in rules:
                first, last = bounds_of_windows(rule)
                bindings = {"first": first, "last": last, "now": now_us, "at_most": at_most}
                rows: Any = connection.execute(query("windows_used"), bindings)
                found += [WindowUse(window=name, used=used, held=held, ends_us=end) for name, used, held, end in rows]
            return found

        return await self._connections.read(uses)


def _end_leases(connection: apsw.Connection, holder: str, now_us: int) -> None:
    ended = {"now": now_us, "holder": holder}
    connection.execute(query("window_leases_bury"), ended | {"parts": SUB_WINDOWS})
    connection.execute(query("window_leases_end"), ended)
    connection.execute(query("window_counts_end"), (now_us,))
    connection.execute(query("window_wants_end"), (now_us - WANTED_US,))


def _exchanged(connection: apsw.Connection, holder: str, ask: WindowAsk, now_us: int, until_us: int) -> WindowAnswer:
    window, slides = ask.window, ask.window_us > 0
    for sub_window, amount in ask.counts:
        leaves = leaves_us(sub_window, ask.window_us) if slides else until_us
        bindings = {"window": window, "holder": holder, "sub_window": sub_window, "amount": amount, "leaves": leaves}
        if leaves > now_us:
            connection.execute(query("window_count_put"), bindings)
    if slides:
        latest = leaves_us(now_us // sub_window_us(ask.window_us), ask.window_us)
        connection.execute(query("window_counts_clamp"), {"window": window, "latest": latest})
    frees: Any = connection.execute(query("window_used"), (window,)).fetchall()
    used = sum(amount for _, amount in frees)
    about = {"window": window, "holder": holder}
    leased: Any = connection.execute(query("window_leased"), about | {"since": now_us - WANTED_US}).fetchone()
    others, holders, wanted = leased
    granted = grant_of(ask, used, others)
    held = ask.keep + granted
    lease = about | {"window_us": ask.window_us, "amount": held, "until": until_us}
    connection.execute(query("window_lease_put"), lease)
    assert granted == 0 or used + others + held <= ask.limit, f"{window!r} is leased beyond its limit"
    short = granted < max(ask.need, ask.want)
    if short:
        connection.execute(query("window_wanted_put"), about | {"now": now_us})
    return WindowAnswer(
        held=held,
        used=used,
        others=others,
        wanted=bool(wanted),
        holders=holders + 1,
        frees=tuple((at, amount) for at, amount in frees if amount) if short and slides else (),
    )

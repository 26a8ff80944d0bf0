"""Limits and their windows in PostgreSQL; see `storage/sqlite/limits.py` for the idea.

Hosts that ask about the same windows wait for each other, in an order that is everybody's, and then go by the server's
clock, so that theirs need not agree. What surprised us: a statement's snapshot is older than the locks that it waits
for, so locking is a statement of its own.
"""

from collections.abc import Sequence

import msgspec

from farthing.storage.postgres.connections import Connections, Session
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


class PostgresLimits:
    """See `LimitStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def all(self) -> list[Limit]:
        """See `LimitStore.all`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("limits")]

    async def page(self, after: str, limit: int) -> list[Limit]:
        """See `LimitStore.page`."""
        return [_rule.decode(row[0]) for row in await self._connections.all("limits_page", after, limit)]

    async def found(self, name_or_id: str) -> Limit | None:
        """See `LimitStore.found`."""
        rows = await self._connections.all("limit_found", name_or_id)
        return _rule.decode(rows[0][0]) if rows else None

    async def put(self, limit: Limit) -> bool:
        """See `LimitStore.put`."""

        async def put(session: Session) -> bool:
            await session.change("limit_change_count")
            return await session.change("limit_put", limit.id, limit.name, msgspec.json.encode(limit).decode()) > 0

        return await self._connections.transaction(put)

    async def remove(self, limit_id: str) -> bool:
        """See `LimitStore.remove`."""

        async def remove(session: Session) -> bool:
            await session.change("limit_change_count")
            return await session.change("limit_remove", limit_id) > 0

        return await self._connections.transaction(remove)

    async def changes(self, since: int) -> LimitChanges:
        """See `LimitStore.changes`."""

        async def changes(session: Session) -> LimitChanges:
            row = await session.one("limit_change_counter")
            assert row is not None, "the tables were made with it"
            counter: int = row[0]
            if counter == since:
                return LimitChanges(counter=counter)
            # What is changed after the counter was read may be among these, and will be told again: that is no harm.
            rows = await session.all("limits_changed", since)
            put = tuple(_rule.decode(rule) for _, rule in rows if rule is not None)
            return LimitChanges(counter=counter, put=put, removed=tuple(name for name, rule in rows if rule is None))

        return await self._connections.read(changes)


class PostgresWindows:
    """See `WindowStore`; with a callers' clock that is trusted the server's own is not asked."""

    def __init__(self, connections: Connections, *, trusts_callers_clock: bool = False) -> None:
        self._connections = connections
        self._trusts_callers_clock = trusts_callers_clock

    async def exchange(self, holder: str, asks: Sequence[WindowAsk], *, now_us: int, lease_us: int) -> Exchanged:
        """See `WindowStore.exchange`."""
        names = [ask.window for ask in asks]

        async def exchange(session: Session) -> Exchanged:
            await session.all("windows_lock", names)
            at_us = await self._time(session, now_us)
            await session.change("window_leases_end", names, at_us, holder, SUB_WINDOWS)
            await session.change("window_counts_end", names, at_us)
            await session.change("window_counts_sweep", at_us)
            await session.change("window_wants_end", at_us - WANTED_US)
            until_us = at_us + lease_us
            return Exchanged(at_us, tuple([await _exchanged(session, holder, ask, at_us, until_us) for ask in asks]))

        return await self._connections.transaction(exchange)

    async def wanted(self, since_us: int) -> list[str]:
        """See `WindowStore.wanted`."""
        return [row[0] for row in await self._connections.all("windows_wanted", since_us)]

    async def uses(self, rules: Sequence[str], *, at_most: int, now_us: int) -> list[WindowUse]:
        """See `WindowStore.uses`."""

        async def uses(session: Session) -> list[WindowUse]:
            at_us = await self._time(session, now_us)
            found: list[WindowUse] = []
            for rule in rules:
                rows = await session.all("windows_used", *bounds_of_windows(rule), at_us, at_most)
                found += [WindowUse(window=name, used=used, held=held, ends_us=end) for name, used, held, end in rows]
            return found

        return await self._connections.read(uses)

    async def _time(self, session: Session, callers_us: int) -> int:
        if self._trusts_callers_clock:
            return callers_us
        row = await session.one("now_us")
        assert row is not None, "it asks for no table"
        return int(row[0])


async def _exchanged(session: Session, holder: str, ask: WindowAsk, now_us: int, until_us: int) -> WindowAnswer:
    window, slides = ask.window, ask.window_us > 0
    latest_us = leaves_us(now_us // sub_window_us(ask.window_us), ask.window_us) if slides else until_us
    told = [(sub, amount, leaves_us(sub, ask.window_us) if slides else until_us) for sub, amount in ask.counts]
    told = [one for one in told if one[2] > now_us]
    if told:
        columns = (list(column) for column in zip(*told, strict=True))
        await session.change("window_counts_put", window, holder, *columns, latest_us)
    if slides:
        await session.change("window_counts_clamp", window, latest_us)
    frees = [(int(at_us), int(amount)) for at_us, amount in await session.all("window_used", window)]
    used = sum(amount for _, amount in frees)
    leased = await session.one("window_leased", window, holder, now_us - WANTED_US)
    assert leased is not None, "it adds up, and a sum has a row"
    others, holders, wanted = leased
    granted = grant_of(ask, used, others)
    held = ask.keep + granted
    await session.change("window_lease_put", window, holder, ask.window_us, held, until_us)
    assert granted == 0 or used + others + held <= ask.limit, f"{window!r} is leased beyond its limit"
    short = granted < max(ask.need, ask.want)
    if short:
        await session.change("window_wanted_put", window, now_us, holder)
    return WindowAnswer(
        held=held,
        used=used,
        others=others,
        wanted=wanted,
        holders=holders + 1,
        frees=tuple(one for one in frees if one[1]) if short and slides else (),
    )

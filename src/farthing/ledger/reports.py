"""What the ledger knows, made ready to be shown: rows, records for JSON and CSV, amounts as exact text.

Whoever displays it decides on widths and colours, and on nothing else.
"""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from farthing.errors import InvalidRequest
from farthing.storage.protocols import LedgerStore, Store
from farthing.types.calls import Attempt, CostBasis
from farthing.types.identity import born_by_us
from farthing.types.ledger import EVERYTHING, US_PER_DAY, CallLine, CostsBy, CostsFilter, CostsRow
from farthing.types.money import usd_text

MAX_CANDIDATES = 5  # as many ids as a message about an ambiguous prefix can name and still be read

Record = dict[str, str | int | bool | None]


class CostsReport(msgspec.Struct, frozen=True):
    """Costs by group, and over everything (calls are not the groups' sum: one call may try two models).

    `shortened` where there are more groups than were asked for.
    """

    by: CostsBy
    since_us: int | None
    until_us: int | None
    only: CostsFilter
    rows: list[CostsRow]
    total: CostsRow
    shortened: bool = False


async def costs_report(
    store: LedgerStore,
    by: CostsBy,
    since_us: int | None = None,
    until_us: int | None = None,
    only: CostsFilter = EVERYTHING,
    limit: int | None = None,
) -> CostsReport:
    """Return what was spent from then until before then, on what is meant, by group, at most so many of them."""
    most = None if limit is None else limit + 1
    (total,), rows = await asyncio.gather(
        store.costs(None, since_us, until_us, only), store.costs(by, since_us, until_us, only, most)
    )
    shortened = limit is not None and len(rows) > limit
    return CostsReport(by, since_us, until_us, only, rows[:limit], total, shortened)


def costs_record(row: CostsRow, by: CostsBy) -> Record:
    """Return a row for JSON or CSV: the group under its own name, each amount in nanodollars and in exact dollars."""
    record: Record = {by: row.group}
    for name in CostsRow.__struct_fields__[1:]:
        value: int = getattr(row, name)
        record[name] = value
        if name.endswith("_nanousd"):
            record[name.removesuffix("_nanousd") + "_usd"] = usd_text(value)
    return record


async def call_lines(store: LedgerStore, limit: int, before_call_id: str | None = None) -> list[CallLine]:
    """Return the youngest calls, youngest first; the last one's id is the next page's `before_call_id`."""
    return [call_line(attempts) for attempts in await store.recent(limit, before_call_id)]


def call_line(attempts: Sequence[Attempt]) -> CallLine:
    """Return one call's line from its attempts in order of trying; there is at least one."""
    first, last = attempts[0].opening, attempts[-1].opening
    usages = [attempt.usage for attempt in attempts]
    costs = [attempt.cost_nanousd for attempt in attempts]
    known_costs = [cost for cost in costs if cost is not None]
    return CallLine(
        call_id=first.call_id,
        started_at_us=first.started_at_us,
        ended_at_us=attempts[-1].ended_at_us,
        face=first.face,
        operation=first.operation,
        provider=last.provider,
        model_asked=first.model_asked,
        model=last.model,
        streamed=first.streamed,
        key_id=first.attribution.key_id,
        key_name=first.attribution.key_name,
        project=first.attribution.project,
        session=first.attribution.session,
        attempts=len(attempts),
        outcome=attempts[-1].outcome,
        http_status=attempts[-1].http_status,
        input_tokens=_sum_of_known([usage.input_tokens for usage in usages]),
        output_tokens=_sum_of_known([usage.output_tokens for usage in usages]),
        cache_read_input_tokens=sum(usage.cache_read_input_tokens for usage in usages),
        cache_creation_input_tokens=sum(usage.cache_creation_input_tokens for usage in usages),
        cost_nanousd=sum(known_costs) if len(known_costs) == len(costs) else None,
        cost_basis=_weakest_basis(attempts),
        first_output_us=attempts[-1].first_output_us,
    )


def call_record(line: CallLine) -> Record:
    """Return a call's line for JSON or CSV."""
    record: Record = msgspec.structs.asdict(line)
    record["cost_usd"] = None if line.cost_nanousd is None else usd_text(line.cost_nanousd)
    return record


def attempt_record(attempt: Attempt) -> Record:
    """Return everything known of an attempt, flat, for `farthing calls show`."""
    record: Record = msgspec.structs.asdict(attempt.opening)
    del record["attribution"]
    record |= msgspec.structs.asdict(attempt.opening.attribution)
    record |= {name: value for name, value in msgspec.structs.asdict(attempt).items() if name not in _NESTED}
    record |= msgspec.structs.asdict(attempt.usage)
    record["flags"] = ",".join(attempt.usage.flags)
    record["cost_usd"] = None if attempt.cost_nanousd is None else usd_text(attempt.cost_nanousd)
    return record


_NESTED = ("opening", "usage")


async def find_call(store: Store, call_or_attempt_id: str) -> list[Attempt]:
    """Return the attempts of the call with this id, or with an attempt of this id; the beginning of an id will do.

    Raises:
        InvalidRequest: no call, or several, match; or it has expired.
    """
    # Ids are ASCII; bytes of a command line that are no text no database takes.
    may_be_one = call_or_attempt_id != "" and call_or_attempt_id.isascii()
    exact = await store.call(call_or_attempt_id) if may_be_one else []
    if exact:
        return exact
    found = await store.call_ids(call_or_attempt_id, MAX_CANDIDATES + 1) if may_be_one else []
    if len(found) == 1:
        return await store.call(found[0])
    if not found:
        if (gone := await expired(store, call_or_attempt_id)) is not None:
            raise InvalidRequest(
                gone, hint='what they cost is in the sums ("farthing costs"), the calls in backups from before.'
            )
        raise InvalidRequest(
            f"No call or attempt has an id that begins with {call_or_attempt_id!r}.",
            hint='"farthing calls" lists the latest ones.',
        )
    more = " and more" if len(found) > MAX_CANDIDATES else ""
    raise InvalidRequest(
        f"Several calls' ids begin with {call_or_attempt_id!r}: {', '.join(found[:MAX_CANDIDATES])}{more}.",
        hint="write more of the id.",
    )


async def expired(store: Store, call_or_attempt_id: str) -> str | None:
    """Return what is said of an id whose call would have expired; `None` where it would be there.

    An id tells when it was made, and what began before a time may be gone (`retention.calls`).
    """
    kept_from_us = (await store.retention.retained()).kept_from_us
    born_us = born_by_us(call_or_attempt_id)
    if kept_from_us is None or born_us is None or born_us >= kept_from_us:
        return None
    born, kept = (_FIRST_DAY + timedelta(days=at_us // US_PER_DAY) for at_us in (born_us, kept_from_us))
    told = f"{call_or_attempt_id!r} is of {born}, and calls from then have expired"
    return f"{told}: single ones are kept since {kept} (retention.calls)."


_FIRST_DAY = date(1970, 1, 1)


def _sum_of_known(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _weakest_basis(attempts: Sequence[Attempt]) -> CostBasis:
    bases = {attempt.cost_basis for attempt in attempts}
    return "unknown" if "unknown" in bases else "estimated" if "estimated" in bases else "reported"

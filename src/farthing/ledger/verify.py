"""Proves that the ledger agrees with itself, or says where it does not: `farthing ledger verify`.

It reads everything again and trusts nothing that the writing side asserted: each line by itself, the lines against
the daily totals, the journal against the lines. It changes nothing.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from farthing.ledger.journal_reader import Damage, Ended, InFlight, read, segments
from farthing.ledger.recovery import POST_ROWS
from farthing.ledger.refused import NAME as REFUSED_NAME
from farthing.ledger.refused import Refused, read_refused
from farthing.storage.protocols import BudgetStore, LedgerStore
from farthing.types.calls import Attempt
from farthing.types.ledger import DailyTotal, Finding
from farthing.types.offload import Offload
from farthing.types.usage import Usage

Reprice = Callable[[Attempt], int | None]
"""Returns what the attempt should cost in nanodollars, `None` where that cannot be said any more."""

Told = Callable[[str], None]
"""Hears what is being checked, for each page of lines anew: who shows it decides how often."""

MAX_FINDINGS = 1_000
"""Enough to see what kind of trouble it is; the command says that there may be more."""

GRACE_US = 2_000_000
"""A living ledger posts within 20 ms and a commit; an end older than two seconds should be there."""

_PAGE_ROWS = 1_000


async def verify(
    store: LedgerStore,
    journal_folder: Path,
    offload: Offload,
    *,
    now_us: int,
    live: bool = False,
    reprice: Reprice | None = None,
    budgets: BudgetStore | None = None,
    tell: Told = lambda _: None,
) -> list[Finding]:
    """Return what is wrong, at most MAX_FINDINGS; empty when all agrees. `live`: a server writes at the same time.

    Raises:
        StoreError: the store cannot be read at all.
    """
    tell("the store itself, and its sums by hour")
    found: list[Finding] = [Finding("damaged_store", "store", text) for text in await store.damage()]
    found += await _check_attempts(store, reprice, tell)
    tell("totals and accounts")
    for call_id, ordinal, times in await store.repeated_tries(MAX_FINDINGS):
        found.append(Finding("duplicate", call_id, f"try {ordinal} stands in the ledger {times} times"))
    found += await _check_totals(store, live=live)
    if budgets is not None:
        found += await _check_accounts(budgets, now_us, live=live)
    tell("the journal")
    refused = await offload.run(lambda: read_refused(journal_folder))
    found += await _check_refused(store, list(refused.values()))
    found += await _check_journal(store, journal_folder, offload, now_us if live else None, refused)
    return found[:MAX_FINDINGS]


async def _check_attempts(store: LedgerStore, reprice: Reprice | None, tell: Told) -> list[Finding]:
    found: list[Finding] = []
    last_id, read_so_far = "", 0
    while len(found) < MAX_FINDINGS and (page := await store.attempts_after(last_id, _PAGE_ROWS)):
        last_id, read_so_far = page[-1].opening.attempt_id, read_so_far + len(page)
        tell(f"single attempts, {read_so_far:,} so far")
        for attempt in page:
            found += check_attempt(attempt, reprice)
    return found


def check_attempt(attempt: Attempt, reprice: Reprice | None = None) -> Iterator[Finding]:
    """Yield what is wrong with one line, looked at alone."""
    attempt_id, cost, usage = attempt.opening.attempt_id, attempt.cost_nanousd, attempt.usage
    if (cost is None) != (attempt.cost_basis == "unknown"):
        yield Finding("cost_and_basis", attempt_id, f"costs {cost} nanodollars, and that is {attempt.cost_basis!r}")
    numbers = (cost, attempt.reported_cost_nanousd, *msgspec.structs.astuple(usage)[:-1])
    if min(filter(None, numbers), default=0) < 0:  # all at once, for of ten million lines hardly any is
        for name, value in zip(_NUMBERS, numbers, strict=True):
            if value is not None and value < 0:
                yield Finding("negative", attempt_id, f"{name} is {value}")
    cached = usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    if usage.input_tokens is not None and cached > usage.input_tokens and not _CACHE_FLAGS.intersection(usage.flags):
        yield Finding("usage_parts", attempt_id, f"{cached} cached of {usage.input_tokens} input tokens")
    reasoning, output = usage.reasoning_output_tokens, usage.output_tokens
    if output is not None and reasoning > output and "reasoning_exceeds_output" not in usage.flags:
        yield Finding("usage_parts", attempt_id, f"{reasoning} reasoning of {output} output tokens")
    if cost and attempt.price_id is None:  # what was refused, or only counted tokens, costs nothing without a price
        yield Finding("cost_not_reproducible", attempt_id, f"costs {cost} nanodollars, and has no price")
    if reprice is not None and cost is not None and attempt.price_id is not None:
        again = reprice(attempt)
        if again is not None and again != cost:
            message = f"costs {cost} nanodollars, its usage at {attempt.price_id!r} comes to {again}"
            yield Finding("cost_not_reproducible", attempt_id, message)


_NUMBERS = ("cost_nanousd", "reported_cost_nanousd", *Usage.__struct_fields__[:-1])
assert Usage.__struct_fields__[-1] == "flags"
_CACHE_FLAGS = frozenset({"cache_exceeds_input", "cache_classes_overlap"})


async def _check_totals(store: LedgerStore, *, live: bool) -> list[Finding]:
    """Compare kept totals with recomputed ones; beside a living server, only what disagrees three times running."""
    found = compare_totals(await store.daily_totals(), await store.daily_totals_recomputed())
    for _ in range(2 if live and found else 0):  # a batch may have come in between the two questions
        again = compare_totals(await store.daily_totals(), await store.daily_totals_recomputed())
        found = [one for one in again if any(one.subject == before.subject for before in found)]
    return found


def compare_totals(kept: Sequence[DailyTotal], recomputed: Sequence[DailyTotal]) -> list[Finding]:
    """Return where kept totals are not what the attempts add up to."""
    kept_by_group = {_group(total): total for total in kept}
    recomputed_by_group = {_group(total): total for total in recomputed}
    found: list[Finding] = []
    for group in sorted(kept_by_group.keys() | recomputed_by_group.keys()):
        total, again = kept_by_group.get(group), recomputed_by_group.get(group)
        if total is None or again is None:
            which = "attempts have no total" if total is None else "the total has no attempts"
            found.append(Finding("totals", " ".join(group), which))
            continue
        apart = [
            f"{name} is {getattr(total, name)}, the attempts add up to {getattr(again, name)}"
            for name in DailyTotal.__struct_fields__
            if getattr(total, name) != getattr(again, name)
        ]
        if apart:
            found.append(Finding("totals", " ".join(group), "; ".join(apart)))
    return found


async def _check_accounts(budgets: BudgetStore, now_us: int, *, live: bool) -> list[Finding]:
    """Compare budgets' accounts with what their attempts add up to; beside a living server as `_check_totals`."""
    found = await _compare_accounts(budgets, now_us)
    for _ in range(2 if live and found else 0):
        again = await _compare_accounts(budgets, now_us)
        found = [one for one in again if any(one.subject == before.subject for before in found)]
    return found


async def _compare_accounts(budgets: BudgetStore, now_us: int) -> list[Finding]:
    rules = {budget.id: budget for budget in await budgets.all()}
    recomputed = await budgets.accounts_recomputed()
    found = []
    for account in await budgets.accounts(now_us=now_us):
        rule, account_id = rules.get(account.key.budget_id), account.key.id
        kept, again = (account.posted_nanousd, account.unknown_nanousd), recomputed.get(account_id)
        if rule is None:
            continue
        if again is not None and kept != again:
            message = f"{rule.name}: charged with {kept[0]} and {kept[1]} unknown, its attempts add up to {again[0]}"
            found.append(Finding("account", account_id, f"{message} and {again[1]}"))
    return found


def _group(total: DailyTotal) -> tuple[str, str, str, str]:
    return total.day, total.key_id, total.provider, total.model


async def _check_refused(store: LedgerStore, refused: Sequence[Refused]) -> list[Finding]:
    posted = await store.known([one.attempt_id for one in refused])
    return [
        Finding("unposted", one.attempt_id, f"set aside in {REFUSED_NAME}: {one.reason}")
        for one in refused
        if one.attempt_id not in posted
    ]


async def _check_journal(
    store: LedgerStore, folder: Path, offload: Offload, live_now_us: int | None, refused: Collection[str]
) -> list[Finding]:
    reader = read(await offload.run(lambda: segments(folder)))
    found: list[Finding] = []
    seen: set[str] = set()
    while len(found) < MAX_FINDINGS and (page := await offload.run(lambda: list(islice(reader, POST_ROWS)))):
        found += [Finding("damaged_journal", one.place, one.reason) for one in page if isinstance(one, Damage)]
        if live_now_us is None:
            begun = [one.opening.attempt_id for one in page if isinstance(one, InFlight)]
            posted = await store.known(begun)  # posted without an end: the journal could not be written just then
            found += [
                Finding("unposted", attempt_id, "begun and never ended: its process died")
                for attempt_id in begun
                if attempt_id not in posted
            ]
        ends = [one.attempt for one in page if isinstance(one, Ended)]
        stored = await _stored(store, ends)
        expired = await store.known([one.opening.attempt_id for one in ends if one.opening.attempt_id not in stored])
        ended = _check_ends([one for one in ends if one.opening.attempt_id not in expired], stored, seen, live_now_us)
        found += [one for one in ended if one.kind != "unposted" or one.subject not in refused]  # it is told already
    return found


async def _stored(store: LedgerStore, ends: Sequence[Attempt]) -> dict[str, Attempt]:
    kept = await store.attempts_of([end.opening.attempt_id for end in ends])
    return {attempt.opening.attempt_id: attempt for attempt in kept}


def _check_ends(
    ends: Sequence[Attempt], stored: dict[str, Attempt], seen: set[str], live_now_us: int | None
) -> Iterator[Finding]:
    for end in ends:
        attempt_id = end.opening.attempt_id
        if attempt_id in seen:
            yield Finding("duplicate", attempt_id, "ended twice in the journal")
        seen.add(attempt_id)
        kept = stored.get(attempt_id)
        if kept is None:
            if live_now_us is None or live_now_us - end.ended_at_us > GRACE_US:
                yield Finding("unposted", attempt_id, "ended in the journal, but the store does not have it")
        elif kept != end:
            apart = [name for name in Attempt.__struct_fields__ if getattr(kept, name) != getattr(end, name)]
            yield Finding("disagrees_with_journal", attempt_id, f"journal and store differ in {', '.join(apart)}")

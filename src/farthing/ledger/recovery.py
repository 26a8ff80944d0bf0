"""Posts what dead processes left in their journals, and tells whether a living one's store has caught up.

Everything here may be interrupted and begun again: appending an attempt twice changes nothing, and a journal file is
removed only when the store has all of it. A file that cannot be read, or not be removed, is told of and stops nothing.
What surprised us: a crash inside the recovery of a crash is the likeliest
crash of all, because whoever's machine died once tries again at once.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from farthing.ledger.bounds import bounded
from farthing.ledger.journal_reader import Damage, Ended, InFlight, boot_of, read, segments
from farthing.ledger.refused import Refused, post, read_refused
from farthing.storage.protocols import BudgetStore, LedgerStore
from farthing.types.calls import Attempt, Opening
from farthing.types.offload import Offload
from farthing.types.usage import Usage

THIS_HOME = "here"
"""What stands in holders' names for the home whose database it is; hosts that share one have names of their own."""

PriceAtCrash = Callable[[Opening, Usage], tuple[int | None, str | None]]
"""Returns cost in nanodollars and price id of such an attempt; `None` where no price is known."""

POST_ROWS = 500
"""Attempts read and posted at a time: 1 MB of memory, and the commit's fixed cost is spread thin enough."""

CATCH_UP_TIMEOUT_S = 2.0
"""A living ledger flushes within 20 ms and one commit; whoever waits longer than this waits for a broken disk."""

_CATCH_UP_POLL_S = 0.02
_US_PER_S = 1_000_000
_DIED = "Farthing died while this attempt was in flight; "
_KNOWN_TO_HERE = "usage is estimated from its last checkpoint."
_NOTHING_KNOWN = "what was written until then is not known."
_GIVE_FOLDER = "give the journal's folder back to the account that Farthing runs as"
_CHECKPOINT_US = 1_000_000  # a checkpoint comes at least a second after the one before, or after the beginning


class Recovered(msgspec.Struct, frozen=True):
    """What a recovery did. Files with damage stay where they are, for a person to look at.

    `waiting` are attempts without an end whose process has left a file that cannot be read now: it may stand there.
    `stuck` are files that are posted and could not be removed; whoever comes next reads them again, to no effect.
    """

    ended: int = 0
    crashed: int = 0
    removed: tuple[Path, ...] = ()
    damage: tuple[Damage, ...] = ()
    refused: tuple[Refused, ...] = ()
    waiting: int = 0
    stuck: tuple[Damage, ...] = ()


def holder_name(home: str, pid: int | None = None, began_us: int | None = None) -> str:
    """Return what a process's leases stand under, or what the names of all begin with that are meant."""
    return f"{home}:" + ("" if pid is None else f"{pid}:" + ("" if began_us is None else str(began_us)))


def no_price(_opening: Opening, _usage: Usage) -> tuple[int | None, str | None]:
    """Know no price: a crashed attempt's cost is what its last checkpoint said."""
    return None, None


async def recover(
    store: LedgerStore,
    folder: Path,
    offload: Offload,
    *,
    now_us: int,
    price_at_crash: PriceAtCrash = no_price,
    pid: int | None = None,
    budgets: BudgetStore | None = None,
    home: str = THIS_HOME,
) -> Recovered:
    """Post every end in the folder that the store has not, and every attempt without an end as `crashed`.

    Only for who holds the home's lock: to a living process's attempts it would do the same. With a `pid`, only what
    that process left, beside others which live; only for who has seen it end, before another can have its number.
    Then what the dead had leased of `budgets` is given back, unless something of theirs cannot be read yet.

    Raises:
        StoreError: the store cannot be used; nothing was removed.
    """
    paths = await offload.run(lambda: segments(folder, pid))
    reader = read(paths)
    ended = crashed = waiting = 0
    damage: list[Damage] = []
    refused: list[Refused] = []
    while found := await _next(reader, offload):
        damage += [one for one in found if isinstance(one, Damage)]
        new, refused_here = await post(store, _ends(found), folder, offload)
        ended, refused = ended + new, refused + refused_here
        # All damage was found before the first of these comes. What is posted once is never changed, so an attempt
        # whose end may stand in a file that cannot be read now is left for when it can, or is gone.
        in_flight = [one for one in found if isinstance(one, InFlight)]
        unread = {boot_of(one.path) for one in damage if one.line == 0}
        dead = [one for one in in_flight if one.path is None or boot_of(one.path) not in unread]
        waiting += len(in_flight) - len(dead)
        crashes = [bounded(crashed_attempt(one, price_at_crash, now_us)) for one in dead]
        new, refused_here = await post(store, crashes, folder, offload)
        crashed, refused = crashed + new, refused + refused_here
    damaged = {one.path for one in damage}
    unread = {boot_of(one.path) for one in damage if one.line == 0}
    posted = [path for path in paths if path not in damaged and boot_of(path) not in unread]
    if budgets is not None and not waiting:
        await budgets.release(holder_name(home, pid))
    stuck = await offload.run(lambda: remove(posted))
    left = {one.path for one in stuck}
    return Recovered(
        ended=ended,
        crashed=crashed,
        removed=tuple(path for path in posted if path not in left),
        damage=tuple(damage),
        refused=tuple(refused),
        waiting=waiting,
        stuck=tuple(stuck),
    )


async def post_ends(
    store: LedgerStore, paths: Sequence[Path], folder: Path, offload: Offload, holder: str = ""
) -> tuple[list[Damage], list[Refused]]:
    """Post the ends in these files that the store has not; attempts still in flight are left alone."""
    reader = read(paths)
    damage: list[Damage] = []
    refused: list[Refused] = []
    while found := await _next(reader, offload):
        damage += [one for one in found if isinstance(one, Damage)]
        _, refused_here = await post(store, _ends(found), folder, offload, holder)
        refused += refused_here
    return damage, refused


async def wait_for_store(
    store: LedgerStore, folder: Path, offload: Offload, *, timeout_s: float = CATCH_UP_TIMEOUT_S
) -> int:
    """Wait until the store has every attempt whose end stands in the journal now; return how many are missing still.

    For reading commands beside a living server. It reads the journal once: what ends later is not waited for.
    """
    ended_ids = await offload.run(lambda: _ended_ids(folder))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        ended_ids -= await store.known(ended_ids)
        if not ended_ids or loop.time() >= deadline:
            return len(ended_ids)
        await asyncio.sleep(_CATCH_UP_POLL_S)


def crashed_attempt(found: InFlight, price_at_crash: PriceAtCrash, now_us: int) -> Attempt:
    """Return the line of an attempt whose process died: what it had produced, plus a second's production.

    A checkpoint is at most about a second old when the process dies, so a second at the rate so far is the most that
    can have been produced unseen. A stream without a checkpoint was younger than that: its input was read, and nothing
    is known to have been written. Of an answer that is no stream nothing is known before its end, however long it took:
    the provider may have written all of it, so output and cost are unknown, and not 0.

    The age is by the clock, but never less than the checkpoints say: a clock that was stepped back in the middle would
    make a rate of ten minutes' production in no time, and a bill of it.
    """
    opening, progress = found.opening, found.progress
    if progress is None:
        output_tokens = 0 if opening.streamed else None
        usage = Usage(input_tokens=opening.input_tokens_estimate, output_tokens=output_tokens)
        ended_at_us = opening.started_at_us
    else:
        written = progress.usage.output_tokens or 0
        age_us = max(progress.at_us - opening.started_at_us, max(found.checkpoints, 1) * _CHECKPOINT_US)
        read_tokens = progress.usage.input_tokens
        usage = msgspec.structs.replace(
            progress.usage,
            input_tokens=opening.input_tokens_estimate if read_tokens is None else read_tokens,
            output_tokens=written - (-written * _US_PER_S // age_us),  # rounded up
        )
        ended_at_us = min(progress.at_us + _US_PER_S, max(now_us, progress.at_us))
    cost, price_id = price_at_crash(opening, usage)
    if cost is None and progress is not None:
        cost, price_id = progress.cost_nanousd, progress.price_id
    return Attempt(
        opening=opening,
        ended_at_us=ended_at_us,
        outcome="crashed",
        http_status=None,
        usage=usage,
        cost_nanousd=cost,
        cost_basis="unknown" if cost is None else "estimated",
        price_id=price_id,
        model_served=progress.model_served if progress else None,
        error_code="crashed",
        error_message=_DIED + (_KNOWN_TO_HERE if usage.output_tokens is not None else _NOTHING_KNOWN),
    )


def remove(paths: Sequence[Path]) -> list[Damage]:
    """Remove journal files whose attempts the store has; return which cannot be, which harms nobody.

    One that is gone already is fine.
    """
    stuck: list[Damage] = []
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            why = f"is posted, and cannot be removed: {error.strerror or error}; {_GIVE_FOLDER}"
            stuck.append(Damage(path, 0, why))
    return stuck


async def _next(reader: Iterator[Ended | Damage | InFlight], offload: Offload) -> list[Ended | Damage | InFlight]:
    return await offload.run(lambda: list(islice(reader, POST_ROWS)))


def _ends(found: Sequence[Ended | Damage | InFlight]) -> list[Attempt]:
    """Return the ends among these, within the bounds: an earlier version may have written what it should not have."""
    return [bounded(one.attempt) for one in found if isinstance(one, Ended)]


def _ended_ids(folder: Path) -> set[str]:
    """Return the ids of attempts that ended and that the store may be expected to have."""
    ended = {one.attempt.opening.attempt_id for one in read(segments(folder)) if isinstance(one, Ended)}
    return ended - read_refused(folder).keys()

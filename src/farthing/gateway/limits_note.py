"""What providers told a gateway of the limits of its credentials, left in the home for `farthing credentials list`.

Each worker hears what its own calls were told. It reads the note, puts what it knows better over that, and writes it
anew; where two do so at once, one of them is heard a few seconds later. What it reads there of other workers it goes
by: a credential that one of them was told to let rest, or whose limit is used up, rests in all a few seconds later, and
until then each finds out by a call that another credential serves. Nothing else depends on the note, and no secret is
in it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec

from farthing.clock import Clock
from farthing.config.home_files import write_whole
from farthing.gateway.accounts import MAX_REST_S, Accounts, Rest
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

WRITE_S = 2.0
"""How often it is written, at most, and only where there is something new: people look at it, nothing else."""
MAX_TOLD = 1_000
"""Ten credentials with ten models and six limits each are 600; beyond it the oldest are left out."""
_MAX_BYTES = 1 << 20
_KEEP_US = 86_400_000_000
"""The longest limits are those of a day."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One limit of a credential for a model, or with `status` a rest that a refusal brought; "" is every model."""

    provider: str
    credential: str | None
    model: str
    kind: str
    at_us: int
    limit: int | None = None
    remaining: int | None = None
    resets_at_us: int | None = None
    status: int | None = None


async def keep_note(
    path: Path,
    accounts: Callable[[], Mapping[str, Accounts]],
    clock: Clock,
    offload: Offload,
    *,
    shared: bool,
) -> None:
    """Write what the accounts of this process are told, and where others have a part in it, go by what those are."""
    noted: Mapping[tuple[str, str, str, str], Told] = {}
    while True:
        await asyncio.sleep(WRITE_S)
        now_us = clock.now_us()
        if shared:
            read = await offload.run(partial(read_note, path, now_us))
            overhear(accounts(), read, now_us)
            noted = {_name(one): one for one in read}
        told = told_by(accounts(), now_us)
        if all(_name(one) in noted and noted[_name(one)].at_us >= one.at_us for one in told):
            continue
        try:
            await offload.run(partial(write_note, path, told, now_us))
        except OSError as error:
            log.info("%s cannot be written: %s", path, error)  # it is for people, and only told
        noted = {_name(one): one for one in told}


def overhear(accounts: Mapping[str, Accounts], told: Iterable[Told], now_us: int) -> None:
    """Let credentials rest that others were told to let rest, or whose limits they saw used up."""
    named = {(provider, one.opened.name): one for provider, several in accounts.items() for one in several.all}
    for one in told:
        account = named.get((one.provider, one.credential))
        if account is None or one.resets_at_us is None or (one.status is None and one.remaining != 0):
            continue
        until_us = min(one.resets_at_us, one.at_us + MAX_REST_S * 1_000_000)
        account.overhear(one.model, Rest(until_us, one.status or 429, one.at_us, overheard=True), now_us)


def told_by(accounts: Mapping[str, Accounts], now_us: int) -> list[Told]:
    """Return all that these credentials have been told, and that still says something."""
    return [told for provider, several in accounts.items() for told in _of_provider(provider, several, now_us)]


def write_note(path: Path, told: list[Told], now_us: int) -> None:
    """Put this over what the note says; raises `OSError`."""
    merged = {_name(one): one for one in read_note(path, now_us)}
    for one in told:
        before = merged.get(_name(one))
        if before is None or before.at_us <= one.at_us:
            merged[_name(one)] = one
    newest = sorted(merged.values(), key=lambda one: one.at_us)[-MAX_TOLD:]
    write_whole(path, msgspec.json.encode(newest))


def read_note(path: Path, now_us: int) -> list[Told]:
    """Return what the note says that is not a day old, in order of provider; nothing where there is none to read."""
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(_MAX_BYTES), type=list[Told])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []
    kept = [one for one in found if now_us - one.at_us < _KEEP_US and not _is_over(one, now_us)]
    return sorted(kept, key=_name)


def _of_provider(provider: str, several: Accounts, now_us: int) -> Iterator[Told]:
    for account in several.all:
        name = account.opened.name
        for model, (_, at_us) in account.heard.items():
            for one in account.limits(model):
                yield Told(provider, name, model, one.kind, at_us, one.limit, one.remaining, one.resets_at_us)
        for model, rest in account.rests.items():
            if rest.until_us > now_us and not rest.overheard:
                yield Told(provider, name, model, "rest", rest.at_us, resets_at_us=rest.until_us, status=rest.status)


def _name(told: Told) -> tuple[str, str, str, str]:
    return told.provider, told.credential or "", told.model, told.kind


def _is_over(told: Told, now_us: int) -> bool:
    return told.status is not None and (told.resets_at_us or 0) <= now_us

"""What calls under way hold, and whether the store has all that ended: for whoever reports beside running calls.

One process knows its own from memory. What others of the home have under way stands in their journals, which all may
read. The order matters: the store is asked for what was spent first, and then who is under way. So nothing is ever
told as spent and as held at the same time; what ends in between is missing for a moment.
"""

from collections.abc import Iterable
from pathlib import Path

from farthing.ledger.journal_reader import InFlight, read, segments
from farthing.ledger.ledger import Ledger
from farthing.ledger.recovery import CATCH_UP_TIMEOUT_S, wait_for_store
from farthing.storage.protocols import LedgerStore
from farthing.types.budgets import Account
from farthing.types.calls import Opening
from farthing.types.offload import Offload


class UnderWay:
    """Asks the ledger of this process and, where it is not `alone`, the journals of the others."""

    def __init__(self, ledger: Ledger, journal_folder: Path, offload: Offload, *, alone: bool) -> None:
        self._ledger = ledger
        self._folder = journal_folder
        self._offload = offload
        self._alone = alone

    async def wait_for_store(self, store: LedgerStore) -> int:
        """Wait until the store has what has ended by now, wherever; return how many attempts are missing still."""
        if self._alone:
            return await self._ledger.posted(CATCH_UP_TIMEOUT_S)
        return await wait_for_store(store, self._folder, self._offload)

    async def openings(self) -> list[Opening]:
        """Return the attempts that have begun and not ended, of every process."""
        if self._alone:
            return self._ledger.under_way
        return await self._offload.run(lambda: _in_journals(self._folder))


def held_for_key(openings: Iterable[Opening], key_id: str) -> int:
    """Return what is held for calls with a key, nanodollars."""
    return sum(one.held_nanousd or 0 for one in openings if one.attribution.key_id == key_id)


def held_in(openings: Iterable[Opening], account: Account) -> int:
    """Return what calls under way hold of an account, nanodollars."""
    key, end_us = account.key, account.end_us
    return sum(
        one.held_nanousd
        for one in openings
        if one.held_nanousd
        and one.started_at_us >= key.start_us
        and (end_us is None or one.started_at_us < end_us)
        and key.subject.subjects_of(one.attribution)
    )


def _in_journals(folder: Path) -> list[Opening]:
    return [found.opening for found in read(segments(folder)) if isinstance(found, InFlight)]

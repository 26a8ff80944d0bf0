"""The disk and the store with their troubles: what a process leaves behind when it dies is what they really took.

`Process` is what dies: from then on nothing that its code still does reaches anything, as the kernel would have it.
"""

import asyncio
import os
from collections.abc import Collection, Sequence
from errno import EIO, ENOSPC
from pathlib import Path
from typing import Any

import msgspec

from farthing.errors import StoreError
from farthing.ledger.journal import SystemFiles
from farthing.storage.protocols import BudgetStore, CredentialStore, KeyRecord, RowsRefused, Store
from farthing.storage.retention_protocols import RetentionStore
from farthing.testing.simulator.facts import Call, Checkpoint, Facts
from farthing.testing.simulator.links import Link
from farthing.testing.simulator.schedule import Death, Life
from farthing.testing.simulator.virtual_time import VirtualLoop
from farthing.types.calls import Attempt

_SLOW_S = 1.5
"""How long a slow store takes for a batch or a question."""


class ProcessDied(SystemExit):
    """The process is gone. A SystemExit, because that alone is what the event loop lets pass at once."""


class Process:
    """One process of the gateway: its time of birth, whether it lives, and where it is to die."""

    def __init__(self, loop: VirtualLoop, life: Life, facts: Facts, born_s: float) -> None:
        self.loop = loop
        self.life = life
        self.facts = facts
        self.born_s = born_s
        self.alive = True
        self.links: list[Link] = []
        self._counts = {"write": 0, "append": 0, "exchange": 0, "expire": 0}

    @property
    def age_s(self) -> float:
        """Seconds since it began."""
        return self.loop.time() - self.born_s

    def note(self, who: str, what: str) -> None:
        """Write a line of the trace."""
        self.facts.trace.append((self.loop.time(), who, what))

    def die(self) -> None:
        """End here and now."""
        self.alive = False
        self.facts.deaths += 1
        self.note("process", "dies")
        for link in self.links:
            link.writes = False
        self.loop.end_with(ProcessDied())
        raise ProcessDied

    def must_live(self) -> None:
        """Whatever a dead process still tries does not happen."""
        if not self.alive:
            raise ProcessDied

    def doomed(self, what: str) -> Death | None:
        """Count a write, an append, an exchange or an expiry; return the death that is due at it."""
        self._counts[what] += 1
        death = self.life.death
        return death if death and death.at.endswith(what) and death.count == self._counts[what] else None


class Files(SystemFiles):
    """The journal's files: the system's own, between faults. Reads what is written, to know what will be found."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._rests: dict[int, bytes] = {}

    @property
    def open_files(self) -> int:
        """Descriptors that were not given back."""
        return len(self._rests)

    def open(self, path: Path) -> int:
        """See `farthing.ledger.journal.Files`."""
        self._process.must_live()
        if self._troubled("no_new_file"):
            raise OSError(ENOSPC, "No space left on device")
        descriptor = super().open(path)
        self._rests[descriptor] = b""
        self._process.note("journal", f"opens segment {path.stem.rpartition('-')[2]}")
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:  # type: ignore[override]  # there it is os.write itself
        """See `farthing.ledger.journal.Files`."""
        process = self._process
        process.must_live()
        death = process.doomed("write")
        if death is not None and death.at == "before_write":
            process.die()
        if death is not None and death.at == "in_write":
            os.write(descriptor, data[: len(data) // 2])
            process.die()
        if self._troubled("full"):
            self._learn(data, taken=False)
            raise OSError(ENOSPC, "No space left on device")
        if self._troubled("torn") or self._troubled("torn_for_good"):
            self._learn(data, taken=False)
            return os.write(descriptor, data[: len(data) // 3])
        written = os.write(descriptor, data)
        self._learn(data, taken=True)
        if death is not None:
            process.die()
        return written

    def truncate(self, descriptor: int, length: int) -> None:
        """See `farthing.ledger.journal.Files`."""
        self._process.must_live()
        if self._troubled("torn_for_good"):
            raise OSError(EIO, "Input/output error")
        os.ftruncate(descriptor, length)

    def close(self, descriptor: int) -> None:
        """See `farthing.ledger.journal.Files`."""
        del self._rests[descriptor]
        os.close(descriptor)

    def give_back(self) -> None:
        """Close what a dead process had open."""
        for descriptor in list(self._rests):
            self.close(descriptor)

    def _troubled(self, kind: str) -> bool:
        age_s = self._process.age_s
        return any(
            fault.kind == kind and fault.from_s <= age_s < fault.until_s for fault in self._process.life.journal_faults
        )

    def _learn(self, data: bytes, *, taken: bool) -> None:
        """Take down what a line says of a call."""
        if data.isspace():
            return
        process, facts = self._process, self._process.facts
        ((kind, said),) = msgspec.json.decode(data).items()
        opening = said if kind == "begin" else said.get("opening", {})
        attempt_id: str = opening.get("attempt_id") or said["attempt_id"]
        process.note("journal", f"{kind} {attempt_id[-6:]}{'' if taken else ' is not taken'}")
        if kind == "begin" and taken:
            asked = facts.calls[int(opening["attribution"]["task"])]
            call = asked.at(opening["provider"])
            asked.begun.append(opening["provider"])
            call.begun_s = process.loop.time()
            if attempt_id not in call.attempt_ids:
                call.attempt_ids.append(attempt_id)
            call.input_estimate = opening["input_tokens_estimate"]
            facts.by_attempt[attempt_id] = call
        elif kind != "begin":
            _learn_more(facts.by_attempt[attempt_id], kind, said, process.loop.time(), taken=taken)


def _learn_more(call: Call, kind: str, said: dict[str, Any], at_s: float, *, taken: bool) -> None:
    if kind == "checkpoint" and taken:
        call.checkpoints.append(Checkpoint(at_s, said["usage"].get("output_tokens"), call.delivered))
    call.journal_troubled = call.journal_troubled or not taken
    if kind in ("end", "ended"):
        call.ended_in_journal += taken
        call.end_refused = call.end_refused or not taken


def is_troubled(process: Process, kind: str) -> bool:
    """Whether the store has this trouble now."""
    age_s = process.age_s
    return any(fault.kind == kind and fault.from_s <= age_s < fault.until_s for fault in process.life.store_faults)


class TroubledStore:
    """A store with its troubles, in front of a real one that outlives processes; see `storage/protocols.py`."""

    def __init__(self, store: Store, process: Process, budgets: BudgetStore, retention: RetentionStore) -> None:
        self._store = store
        self._process = process
        self.budgets = budgets
        self.retention = retention

    @property
    def credentials(self) -> CredentialStore:
        """Without troubles of its own: a simulated house has no vault."""
        return self._store.credentials

    async def open(self) -> None:
        """See `Store.open`."""
        self._check()
        await self._store.open()

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """See `LedgerStore.append`."""
        process = self._process
        self._check()
        await self._dawdle()
        death = process.doomed("append")
        if death is not None and death.at == "before_append":
            process.die()
        if self._troubled("refuses"):
            self._refuse(attempts)
        process.facts.offered |= {one.opening.attempt_id: one for one in attempts}
        new = await self._store.append(attempts, holder)
        for one in attempts:
            process.facts.posted.setdefault(one.opening.attempt_id, one)
        process.note("store", f"takes {len(attempts)}, {new} new")
        if death is not None:
            process.die()
        if self._troubled("reply_lost"):
            raise StoreError("The answer of the store was lost.")
        return new

    async def intact(self) -> bool:
        """See `LedgerStore.intact`."""
        self._check()
        return await self._store.intact()

    async def known(self, attempt_ids: Collection[str]) -> set[str]:
        """See `LedgerStore.known`."""
        self._check()
        return await self._store.known(attempt_ids)

    async def changed_keys(self, after: int, limit: int) -> list[KeyRecord]:
        """See `KeyStore.changed_keys`."""
        self._check()
        return await self._store.changed_keys(after, limit)

    async def change_counter(self) -> int:
        """See `KeyStore.change_counter`."""
        self._check()
        await self._dawdle()
        return await self._store.change_counter()

    def __getattr__(self, name: str) -> Any:
        """Do the rest as the store does it: nobody asks for that while it serves."""
        return getattr(self._store, name)

    def _troubled(self, kind: str) -> bool:
        return is_troubled(self._process, kind)

    def _check(self) -> None:
        self._process.must_live()
        if self._troubled("away"):
            raise StoreError("The store is away.")

    async def _dawdle(self) -> None:
        if self._troubled("slow"):
            await asyncio.sleep(_SLOW_S)

    def _refuse(self, attempts: Sequence[Attempt]) -> None:
        """Refuse what belongs to every third call, for good."""
        bad = [one for one in attempts if int(one.opening.attribution.task or 0) % 3 == 0]
        if bad:
            self._process.facts.refused_by_store.update(one.opening.attempt_id for one in bad)
            raise RowsRefused("These rows cannot be kept.")

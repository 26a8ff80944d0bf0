"""Gateways with one fault each: a simulator that does not find them proves nothing about the one without."""

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from farthing.gateway import attempts
from farthing.gateway.attempts import NOTHING, LiveAttempt
from farthing.gateway.metered_stream import MeteredStream
from farthing.ledger import Ledger, recovery
from farthing.ledger.journal_reader import InFlight
from farthing.providers.pool import Answer
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Attempt, Opening

Sabotage = Callable[[pytest.MonkeyPatch], None]


def _nothing(*_: object) -> None:
    """Stand where something should be done."""


def loses_a_settle(patch: pytest.MonkeyPatch) -> None:
    """Every tenth attempt is settled for the caller and for nobody else."""
    settle, count = Ledger.settle, itertools.count(1)

    def lossy(self: Ledger, attempt: Attempt) -> None:
        if next(count) % 10 == 0:
            self._in_flight.pop(attempt.opening.attempt_id)
        else:
            settle(self, attempt)

    patch.setattr(Ledger, "settle", lossy)


def doubles_a_settle(patch: pytest.MonkeyPatch) -> None:
    """Every tenth attempt is posted a second time, under another id."""
    settle, count = Ledger.settle, itertools.count(1)

    def doubling(self: Ledger, attempt: Attempt) -> None:
        settle(self, attempt)
        if next(count) % 10 == 0:
            opening = msgspec.structs.replace(attempt.opening, attempt_id=attempt.opening.attempt_id + "again")
            self.begin(opening)
            settle(self, msgspec.structs.replace(attempt, opening=opening))

    patch.setattr(Ledger, "settle", doubling)


def bills_a_cut_stream_as_nothing(patch: pytest.MonkeyPatch) -> None:
    """A stream that broke off costs nothing, as if it had been refused."""

    def broken(self: LiveAttempt, outcome: str, reading: object, code: str, message: str) -> Attempt:
        del code, message
        return self._settle(outcome, NOTHING, "reported", reading)  # type: ignore[arg-type]

    patch.setattr(LiveAttempt, "settle_broken", broken)


def forgets_checkpoints(patch: pytest.MonkeyPatch) -> None:
    """Nothing of a stream is written down before its end."""
    patch.setattr(LiveAttempt, "checkpoint", _nothing)


def ends_a_cut_stream_cleanly(patch: pytest.MonkeyPatch) -> None:
    """The client is not told that the provider's answer broke off."""
    broke_off = MeteredStream._broke_off

    def quietly(self: MeteredStream, error: object) -> bytes:
        broke_off(self, error)  # type: ignore[arg-type]
        return b""

    patch.setattr(MeteredStream, "_broke_off", quietly)


def keeps_the_connection_of_a_cancelled_answer(patch: pytest.MonkeyPatch) -> None:
    """An answer that nobody reads any more goes on."""
    patch.setattr(Answer, "cancel", _nothing)


def settles_after_the_answer(patch: pytest.MonkeyPatch) -> None:
    """The client gets its last bytes half a second before the ledger does."""
    settle = Ledger.settle

    def late(self: Ledger, attempt: Attempt) -> None:
        assert self._loop is not None
        self._loop.call_later(0.5, settle, self, attempt)

    patch.setattr(Ledger, "settle", late)


def posts_twice_when_an_answer_of_the_store_is_lost(patch: pytest.MonkeyPatch) -> None:
    """The store adds to its totals what it has already."""
    append = MemoryStore.append

    async def forgetful(self: MemoryStore, attempts: list[Attempt], holder: str = "") -> int:
        again = [one for one in attempts if one.opening.attempt_id in self._attempts]
        for attempt in again:
            del self._attempts[attempt.opening.attempt_id]
        return await append(self, attempts, holder)

    patch.setattr(MemoryStore, "append", forgetful)


def sends_before_it_writes(patch: pytest.MonkeyPatch) -> None:
    """The provider has the request before the journal knows of it."""
    begin = Ledger.begin

    def late(self: Ledger, opening: Opening) -> None:
        assert self._loop is not None
        self._loop.call_later(5.0, begin, self, opening)

    patch.setattr(Ledger, "begin", late)


def believes_a_proxy_as_if_it_were_the_provider(patch: pytest.MonkeyPatch) -> None:
    """What a machine in between says of a request whose fate it does not know is booked as 0."""
    patch.setattr(attempts, "FATE_UNKNOWN", frozenset())


def takes_a_crashed_answer_for_unwritten(patch: pytest.MonkeyPatch) -> None:
    """An answer that is no stream and that a crash cut is booked as if nothing of it had been written."""
    crashed_attempt = recovery.crashed_attempt

    def as_a_stream(found: InFlight, *others: Any) -> Attempt:
        opening = msgspec.structs.replace(found.opening, streamed=True)
        made = crashed_attempt(msgspec.structs.replace(found, opening=opening), *others)
        return msgspec.structs.replace(made, opening=found.opening)

    patch.setattr(recovery, "crashed_attempt", as_a_stream)


FAULTS: dict[Sabotage, int] = {
    loses_a_settle: 10,
    doubles_a_settle: 10,
    bills_a_cut_stream_as_nothing: 10,
    forgets_checkpoints: 100,
    ends_a_cut_stream_cleanly: 40,
    keeps_the_connection_of_a_cancelled_answer: 40,
    settles_after_the_answer: 40,
    posts_twice_when_an_answer_of_the_store_is_lost: 10,
    sends_before_it_writes: 10,
    believes_a_proxy_as_if_it_were_the_provider: 40,
    takes_a_crashed_answer_for_unwritten: 40,
}
"""Within how many seeds each must be found."""

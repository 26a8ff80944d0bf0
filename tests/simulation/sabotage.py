"""Gateways with one fault each: a simulator that does not find them proves nothing about the one without."""

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import pytest

from farthing.catalog.prices import PriceBook
from farthing.catalog.snapshot import Prices, Step, bands_of
from farthing.gateway import attempts, routed
from farthing.gateway.admission import Admitted
from farthing.gateway.attempts import NOTHING, LiveAttempt
from farthing.gateway.bounds import Bound, Bounds
from farthing.gateway.chosen import Chosen
from farthing.gateway.metered_stream import MeteredStream
from farthing.gateway.routed import RoutedCall
from farthing.ledger import Ledger, budgets, housekeeping, recovery
from farthing.ledger.allotments import Purse
from farthing.ledger.journal_reader import InFlight
from farthing.providers.pool import Answer
from farthing.server.faces.anthropic import AnthropicFace
from farthing.server.faces.openai import OpenAIFace
from farthing.storage.memory import MemoryStore
from farthing.storage.memory import budgets as memory_budgets
from farthing.storage.memory.budgets import MemoryBudgets
from farthing.storage.memory.retention import MemoryRetention
from farthing.types.budgets import Account
from farthing.types.calls import Attempt, Opening
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet

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


def gives_a_hold_back_twice(patch: pytest.MonkeyPatch) -> None:
    """What a call did not spend is free two times over."""
    give_back = Purse.give_back

    def twice(self: Purse, amount: int, charge: int) -> None:
        give_back(self, amount, charge)
        for allotment in self.hard:
            allotment.free += amount

    patch.setattr(Purse, "give_back", twice)


def takes_an_unknown_cost_for_nothing(patch: pytest.MonkeyPatch) -> None:
    """A call of which nobody tells what it cost leaves its budget as it was."""
    end = Admitted.end

    def free(self: Admitted, attempt: Attempt) -> None:
        end(self, msgspec.structs.replace(attempt, cost_nanousd=attempt.cost_nanousd or 0))

    patch.setattr(Admitted, "end", free)
    patch.setattr(memory_budgets, "charge_of", lambda cost, _held: (cost or 0, 0))


def charges_nobody(patch: pytest.MonkeyPatch) -> None:
    """Attempts are kept, and their budgets' accounts stay as they were."""
    patch.setattr(MemoryBudgets, "charge", _nothing)


def charges_twice(patch: pytest.MonkeyPatch) -> None:
    """Every attempt is charged two times."""
    charge = MemoryBudgets.charge

    def doubling(self: MemoryBudgets, attempts: Any, holder: str) -> None:
        attempts = list(attempts)
        charge(self, attempts, holder)
        charge(self, attempts, holder)

    patch.setattr(MemoryBudgets, "charge", doubling)


def never_takes_back_what_was_leased(patch: pytest.MonkeyPatch) -> None:
    """Processes end, and what they had leased stays with them."""

    async def keep(*_: object, **__: object) -> int:
        return 0

    patch.setattr(MemoryBudgets, "release", keep)


def holds_nothing(patch: pytest.MonkeyPatch) -> None:
    """Calls under way take nothing from what there is for others."""

    def taken(self: Purse, amount: int, now_us: int, *, times: int = 1) -> bool:
        if any(one.free - one.floor < amount * times for one in self.hard):
            return False
        nothing(self, amount, now_us)
        return True

    def nothing(self: Purse, amount: int, now_us: int) -> None:
        del now_us
        for allotment in self.all:
            allotment.held += amount

    def give_back(self: Purse, amount: int, charge: int) -> None:
        for allotment in self.all:
            allotment.held -= amount
            allotment.free -= charge
            allotment.spent += charge

    patch.setattr(Purse, "take", taken)
    patch.setattr(Purse, "reserve", nothing)
    patch.setattr(Purse, "give_back", give_back)


def holds_half(patch: pytest.MonkeyPatch) -> None:
    """Calls are bounded by half of what they may cost."""
    bound = Bounds.bound

    def half(self: Bounds, *asked: Any) -> Bound:
        made = bound(self, *asked)
        return msgspec.structs.replace(
            made, least_nanousd=made.least_nanousd // 50, most_nanousd=made.most_nanousd // 400
        )

    patch.setattr(Bounds, "bound", half)


def spends_the_limit_again_and_again(patch: pytest.MonkeyPatch) -> None:
    """All of the limit is left, whatever was spent and leased of it."""
    patch.setattr(Account, "left_nanousd", property(lambda self: self.limit_nanousd))
    patch.setattr(budgets, "never_fits", lambda *_, **__: False)


def refuses_in_one_format_for_all(patch: pytest.MonkeyPatch) -> None:
    """Refusals for money are in the words of one format, whoever asked."""
    patch.setattr(AnthropicFace, "render", lambda _self, error: OpenAIFace().render(error))


def refuses_what_is_free(patch: pytest.MonkeyPatch) -> None:
    """Models that cost nothing are held for as if they did."""
    find = PriceBook.find

    def priced(self: PriceBook, *asked: Any, **more: Any) -> PriceSheet | None:
        sheet = find(self, *asked, **more)
        if sheet is None or not sheet.free:
            return sheet
        return msgspec.structs.replace(DEAR, id="dear")

    patch.setattr(PriceBook, "find", priced)


def loses_the_sums_of_what_expires(patch: pytest.MonkeyPatch) -> None:
    """One line of those that expire goes without leaving its sums."""
    expire = MemoryRetention.expire

    async def forgetful(self: MemoryRetention, before_us: int, limit: int, now_us: int) -> int:
        gone = await expire(self, before_us, limit, now_us)
        if gone:
            self.gone.popitem()
        return gone

    patch.setattr(MemoryRetention, "expire", forgetful)


def keeps_again_what_has_expired(patch: pytest.MonkeyPatch) -> None:
    """The store forgets which lines have expired, and takes them for new when a journal comes back."""
    append = MemoryStore.append

    async def twice(self: MemoryStore, attempts: Sequence[Attempt], holder: str = "") -> int:
        gone, self.retention.gone = self.retention.gone, {}
        try:
            return await append(self, attempts, holder)
        finally:
            self.retention.gone = gone

    async def unknown(self: MemoryStore, attempt_ids: Collection[str]) -> set[str]:
        return self._attempts.keys() & set(attempt_ids)

    patch.setattr(MemoryStore, "append", twice)
    patch.setattr(MemoryStore, "known", unknown)


def expires_too_early(patch: pytest.MonkeyPatch) -> None:
    """A day is taken for a week."""
    early = housekeeping.expires_before
    patch.setattr(housekeeping, "expires_before", lambda kept_us, now_us: early(kept_us // 7, now_us))


def tries_another_model_whatever_the_answer(patch: pytest.MonkeyPatch) -> None:
    """A router goes on after every answer, good or bad."""
    patch.setattr(routed, "_worth_another", lambda _status: True)


def tries_another_model_for_nobody(patch: pytest.MonkeyPatch) -> None:
    """A router goes on when its client has left."""
    patch.setattr(RoutedCall, "_see_that_somebody_waits", _nothing)


def takes_all_tries_of_a_router_for_one(patch: pytest.MonkeyPatch) -> None:
    """Each model that a router tries is written down under the same number."""
    patch.setattr(routed, "count", itertools.repeat)


def forgets_a_routers_name(patch: pytest.MonkeyPatch) -> None:
    """The ledger says of a router's tries that the model was asked for."""
    chosen = RoutedCall._chosen

    def direct(self: RoutedCall, ref: ModelRef) -> Chosen:
        return msgspec.structs.replace(chosen(self, ref), asked=str(ref), router=None)

    patch.setattr(RoutedCall, "_chosen", direct)


DEAR = PriceSheet(id="dear", bands=bands_of(Prices(input=(Step(0, 10**16),), output=(Step(0, 10**16),))))

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
    gives_a_hold_back_twice: 120,
    takes_an_unknown_cost_for_nothing: 120,
    charges_nobody: 40,
    charges_twice: 40,
    never_takes_back_what_was_leased: 40,
    holds_nothing: 40,
    holds_half: 40,
    spends_the_limit_again_and_again: 40,
    refuses_in_one_format_for_all: 40,
    refuses_what_is_free: 40,
    loses_the_sums_of_what_expires: 40,
    keeps_again_what_has_expired: 120,
    expires_too_early: 40,
    tries_another_model_whatever_the_answer: 40,
    tries_another_model_for_nobody: 120,
    takes_all_tries_of_a_router_for_one: 40,
    forgets_a_routers_name: 40,
}
"""Within how many seeds each must be found."""

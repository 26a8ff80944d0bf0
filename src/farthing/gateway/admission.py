"""Whether a call may be paid for: what it may cost at most is held in every budget that it belongs to.

Where there is plenty that is a few comparisons in memory. Where there is not, the request is looked at more closely,
the store is asked for more, and the call may wait for what calls under way will give back (`ledger/budgets.py`).
A client that set no limit to its answer gets one where money is scarce, so that the provider keeps to what is held.

Models that cost nothing pass always; a model without a price passes where no hard budget is about the call.
"""

from collections.abc import Callable

import msgspec

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price_nanousd
from farthing.clock import Clock
from farthing.errors import UnpricedModel
from farthing.gateway.bounds import COSTS_NOTHING, LOOKED_AT_BYTES, Bound, Bounds
from farthing.ledger.allotments import Hold, Purse
from farthing.ledger.budgets import Budgets
from farthing.providers.protocol import Operation, Provider
from farthing.types.calls import Attempt, Attribution
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.peek import Envelope

LEARN_ALWAYS, LEARN_SELDOM = 64, 8
"""Of the first calls of a model each teaches, afterwards every eighth: pricing its reading alone costs 2 us."""


class Admitted:
    """A call that may be sent: what is held for it, until it is settled or given up."""

    __slots__ = ("_admission", "_bound", "_hold", "_ref", "_sheet", "begun", "output_limit")

    def __init__(self, admission: "Admission", hold: Hold, bound: Bound, ref: ModelRef, sheet: PriceSheet) -> None:
        self._admission = admission
        self._hold = hold
        self._bound = bound
        self._ref = ref
        self._sheet = sheet
        self.begun = False
        """Whether an attempt was begun with it, which settles it."""
        self.output_limit: int | None = None
        """How many tokens the provider must be told to write at most, where the client did not say."""
        if not bound.limited and hold.amount_nanousd < bound.most_nanousd:
            tokens = bound.tokens_for(hold.amount_nanousd)
            if tokens < bound.most_output_tokens:
                self.output_limit = tokens

    @property
    def held_nanousd(self) -> int:
        """What the attempt counts as where nobody tells what it cost; of what is held, that is all or a part."""
        return min(self._hold.amount_nanousd, self._bound.unknown_nanousd)

    def settle(self, attempt: Attempt) -> None:
        """Give back what the attempt did not cost, and learn from what it did."""
        cost = attempt.cost_nanousd
        self._hold.settle(self.held_nanousd if cost is None else cost)
        if attempt.cost_basis == "reported" and attempt.usage.output_tokens is not None:
            self._admission.learn(self._ref, self._bound, self._sheet, attempt)

    def give_up(self) -> None:
        """Give all of it back: nothing was sent."""
        self._hold.void()


class Admission:
    """Admits calls to their budgets; one per process, over all reloads."""

    def __init__(self, budgets: Budgets, clock: Clock) -> None:
        self.budgets = budgets
        self.bounds = Bounds()
        self._clock = clock
        self._learned = 0

    async def admit(
        self,
        *,
        attribution: Attribution,
        envelope: Envelope,
        wire: WireFormat,
        operation: Operation,
        ref: ModelRef,
        provider: Provider,
        prices: PriceBook,
        goes_on: Callable[[], bool],
    ) -> Admitted | None:
        """Hold what a call may cost; `None` where no budget is about it or it costs nothing.

        Raises:
            BudgetExceeded: a budget has not enough for it.
            UnpricedModel: nobody knows what it may cost, and a hard budget is about it.
            StoreError: more has to be leased, and the store is away.
        """
        now_us = self._clock.now_us()
        purse = self.budgets.purse_of(attribution, now_us)
        if purse is None or operation in COSTS_NOTHING:
            return None
        sheet = prices.find(provider.name, provider.known.price_key, ref.model, now_us, free=provider.free)
        if sheet is None:
            _refuse_unpriced(purse, ref)
            return None
        if sheet.free:
            return None
        thorough = len(envelope.body) <= LOOKED_AT_BYTES
        bound = self.bounds.bound(envelope, wire, operation, ref, sheet, thorough=thorough)
        hold = purse.take(bound.least_nanousd, bound.most_nanousd, now_us)
        if hold is None and not thorough:
            bound = self.bounds.bound(envelope, wire, operation, ref, sheet)
            hold = purse.take(bound.least_nanousd, bound.most_nanousd, now_us)
        if hold is None:

            def amounts() -> tuple[int, int]:
                nonlocal bound
                bound = self.bounds.bound(envelope, wire, operation, ref, sheet)
                return bound.least_nanousd, bound.most_nanousd

            hold = await self.budgets.acquire(attribution, amounts, goes_on=goes_on)
        return Admitted(self, hold, bound, ref, sheet)

    def estimate(
        self, envelope: Envelope, wire: WireFormat, operation: Operation, ref: ModelRef, sheet: PriceSheet
    ) -> Bound:
        """Return what a call may cost."""
        return self.bounds.bound(envelope, wire, operation, ref, sheet)

    def learn(self, ref: ModelRef, bound: Bound, sheet: PriceSheet, attempt: Attempt) -> None:
        """Learn from what a call was reported to have read and written."""
        self._learned += 1
        if self._learned > LEARN_ALWAYS and self._learned % LEARN_SELDOM:
            return
        usage = attempt.usage
        written = usage.output_tokens or 0
        reading = price_nanousd(_read_alone(usage), sheet, service_tier=attempt.service_tier)
        if reading is not None:
            self.bounds.learn(ref, bound, reading, written)


def _refuse_unpriced(purse: Purse, ref: ModelRef) -> None:
    if purse.hard:
        names = ", ".join(f"'{one.budget.name}'" for one in purse.hard)
        raise UnpricedModel(
            f"no price is known for '{ref}', and the call belongs to a hard budget ({names})",
            hint=f'the operator adds a row to "prices:" in settings.yaml: {{model: "{ref}", input: 1, output: 2}}',
        )


def _read_alone(usage: Usage) -> Usage:
    return msgspec.structs.replace(
        usage, output_tokens=0, reasoning_output_tokens=0, output_audio_tokens=0, output_image_tokens=0
    )

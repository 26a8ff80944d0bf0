"""Counts a call in its limits before a byte leaves, once its budgets have admitted it.

What a request may read is estimated, and what it may write is what its client allows; what it may cost is what budgets
would hold for it. All of that is corrected when the call has ended. A client that
sets no limit to its answer is counted with `USUAL_ANSWER_TOKENS`; what the answer has beyond that counts from its end.
"""

from typing import ClassVar

from farthing.catalog.token_estimate import estimate_request_tokens
from farthing.errors import UnpricedModel
from farthing.gateway.admission import Admission, Admitted
from farthing.gateway.answer_limits import answer_limit
from farthing.gateway.bounds import COSTS_NOTHING
from farthing.gateway.chosen import Chosen
from farthing.ledger.limit_windows import LimitHold, LiveWindow, Taking
from farthing.ledger.limits import Limits
from farthing.providers.protocol import ONLY_READ
from farthing.types.calls import Attempt
from farthing.types.limits import Units

USUAL_ANSWER_TOKENS = 4_096
"""Nine in ten answers of agents in our traces are shorter; where a limit is smaller, as much of it as is left."""
LOOKED_AT_BYTES = 1_024
"""A request up to this size is estimated by its size alone; looking at it costs 5 us."""
PLENTY = 8
"""Where so many tokens are left for each byte of a request, as for thirty of its size, its size says enough, too."""
MARGIN_PERCENT = 25
"""What is added to an estimate: its median error is 6 %, and one in twenty is off by more than this."""


class Counted(LimitHold, eq=False):
    """A call that may be sent, and that no budget is about: what is held for it in limits."""

    every_byte: ClassVar[bool] = False
    held_nanousd: ClassVar[None] = None
    at_us: ClassVar[None] = None
    output_limit: ClassVar[None] = None
    begun: bool = False
    """Whether an attempt was begun with it, which settles it."""

    @property
    def counted(self) -> LimitHold:
        """See `Admitted.counted`."""
        return self

    def end(self, attempt: Attempt) -> None:
        """Count what the attempt used and cost in the place of what it might have."""
        usage = attempt.usage
        self.settle(usage.input_tokens, usage.output_tokens, attempt.cost_nanousd)


Entry = Admitted | Counted
"""What is held for a call, in budgets, in limits, or in both."""


class Limiting:
    """Counts calls in their limits; one per process, over all reloads."""

    def __init__(self, limits: Limits, admission: Admission) -> None:
        """`admission` knows what a call may cost."""
        self._limits = limits
        self._admission = admission

    @property
    def idle(self) -> bool:
        """Whether there is no limit at all."""
        return self._limits.book.empty

    async def count(
        self, chosen: Chosen, admitted: Admitted | None, *, again: bool, patient: bool = True
    ) -> Entry | None:
        """Count a call that its budgets have admitted; return what is held for it in both.

        `again` says that it is another try of a call that was counted: that is no further request, but of a credential.
        Who is not `patient` has another credential, and does not wait for this one.

        Raises:
            RateLimited: a limit is reached.
            UnpricedModel: a limit counts money, and nobody knows what the call may cost.
            StoreError: more has to be leased, and the store is away. What budgets hold is then still held.
        """
        taking = self.taking_for(chosen)
        if taking is None:
            return admitted
        units = self._units(chosen, taking, admitted, requests=0 if again else 1)
        at_us = taking.take(units)
        if at_us is None:
            at_us = (await self._limits.acquire(taking, units, patient=patient)).counted_us
        return _entry(taking, units, at_us, admitted)

    def taking_for(self, chosen: Chosen) -> Taking | None:
        """Return what a call is counted in; `None` where no limit is about it."""
        credential = chosen.account.opened.name
        return self._limits.taking_for(chosen.attribution, chosen.ref.provider, credential, chosen.router)

    def at_once(self, taking: Taking, chosen: Chosen, admitted: Admitted | None, *, again: bool) -> Entry | None:
        """Count a call where there is room for it in what is leased; otherwise `None`, and `count` tells."""
        try:
            units = self._units(chosen, taking, admitted, requests=0 if again else 1)
        except UnpricedModel:
            return None  # another credential may be without a limit that counts money
        at_us = taking.take(units)
        return None if at_us is None else _entry(taking, units, at_us, admitted)

    def _units(self, chosen: Chosen, taking: Taking, admitted: Admitted | None, *, requests: int) -> Units:
        read = written = nanousd = 0
        if chosen.request.operation not in COSTS_NOTHING:
            if taking.counts_tokens:
                read = _input_tokens(chosen, taking)
                written = _output_tokens(chosen, admitted, taking, read)
            if taking.counts_money is not None:
                nanousd = self._nanousd(chosen, admitted, taking.counts_money)
        return requests, read, written, read + written, nanousd, 1, 1

    def _nanousd(self, chosen: Chosen, admitted: Admitted | None, counts: LiveWindow) -> int:
        if admitted is not None:
            return admitted.held_nanousd
        provider, ref, prices = chosen.provider, chosen.ref, chosen.lineup.attempts.prices
        now_us = self._admission.now_us()
        sheet = prices.find_dearest(provider.name, provider.known.price_key, ref.model, now_us, free=provider.free)
        if sheet is None:
            unpriced = UnpricedModel.of(ref, f", and limit '{counts.name}' counts what calls cost")
            unpriced.of_credential = counts.of_credential
            raise unpriced
        if sheet.free:
            return 0
        request = chosen.request
        bound = self._admission.estimate(chosen.envelope, request.wire, request.operation, ref, sheet)
        return bound.least_nanousd


def _entry(taking: Taking, units: Units, counted_us: int, admitted: Admitted | None) -> Entry:
    if admitted is None:
        return Counted(taking, units, counted_us)
    admitted.counted = LimitHold(taking, units, counted_us)
    return admitted


def _input_tokens(chosen: Chosen, taking: Taking) -> int:
    """Return what a request may read; never more tokens than it has bytes."""
    body, ref = chosen.envelope.body, chosen.ref
    if len(body) <= LOOKED_AT_BYTES or taking.has_plenty(len(body) * PLENTY):
        return estimate_request_tokens(len(body), chosen.family)
    learned = chosen.lineup.attempts.ratios.correction(ref.provider, ref.model)
    tokens = chosen.estimated_tokens() * learned
    return min(len(body), round(tokens) * (100 + MARGIN_PERCENT) // 100)


def _output_tokens(chosen: Chosen, admitted: Admitted | None, taking: Taking, read: int) -> int:
    """Return what an answer may have: what the client or its budget allows, or what is usual and would fit."""
    if chosen.request.operation in ONLY_READ:
        return 0
    limit = answer_limit(chosen.envelope, chosen.request.wire) if admitted is None else admitted.most_output_tokens
    return min(USUAL_ANSWER_TOKENS, taking.room_for_answer(read)) if limit is None else limit

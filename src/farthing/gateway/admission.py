"""Whether a call may be paid for: what it may cost at most is held in every budget that it belongs to.

Where there is plenty that is a few comparisons in memory. Where there is not, the request is looked at more closely,
the store is asked for more, and the call may wait for what calls under way will give back (`ledger/budgets.py`).
A client that set no limit to its answer gets one where money is scarce, so that the provider keeps to what is held.

Models that cost nothing pass always; a model without a price passes where no hard budget is about the call.
"""

import logging
from collections.abc import Callable

import msgspec

from farthing.clock import Clock
from farthing.errors import InvalidRequest, UnpricedModel
from farthing.gateway.answer_limits import answer_limit, refuse_settings_twice, unheeded_limit
from farthing.gateway.bounds import COSTS_NOTHING, Bound, Bounds
from farthing.gateway.chosen import Chosen
from farthing.gateway.shapes import FURTHER_MODELS, Shape, shape_of
from farthing.ledger.allotments import Purse
from farthing.ledger.budget_rules import RuleBook
from farthing.ledger.budgets import Budgets
from farthing.ledger.limit_windows import LimitHold
from farthing.providers.protocol import Operation
from farthing.storage.protocols import LedgerStore
from farthing.types.budgets import called
from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.models import ModelRef
from farthing.types.money import trimmed_usd
from farthing.types.prices import PriceSheet
from farthing.types.providers import WireFormat
from farthing.wire.peek import Envelope

log = logging.getLogger(__name__)

_TOLD_BUDGETS = 3
"""Budgets that a line of the log names; a call may belong to dozens."""
HEARD = 64
"""The latest calls that are looked at then: 1 ms of the store's thread."""


class Admitted(msgspec.Struct, eq=False):
    """A call that may be sent: what is held for it, until it is settled or given up, once."""

    purse: Purse | None
    amount_nanousd: int
    held_nanousd: int
    """What the attempt counts as where nobody tells what it cost; of what is held, that is all or a part."""
    at_us: int
    """When it was held. The attempt begins then: its cost is charged to the period that it begins in."""
    most_output_tokens: int | None
    """How many the answer may have, of all choices: what the client asked for or `output_limit`; `None`: any."""
    output_limit: int | None
    """How many tokens the provider must be told to write at most, where the client did not say so that it heeds."""
    every_byte: bool
    """Whether nothing of it may be guessed: where nobody tells what was used, it counts as what was held."""
    _admission: "Admission"
    _chosen: Chosen
    _sheet: PriceSheet
    begun: bool = False
    """Whether an attempt was begun with it, which settles it."""
    counted: LimitHold | None = None
    """What is held for it in limits as well."""

    def end(self, attempt: Attempt) -> None:
        """Give back what the attempt did not cost, and learn from what it did."""
        purse, self.purse = self.purse, None
        assert purse is not None, "a hold is settled once"
        cost = attempt.cost_nanousd
        purse.give_back(self.amount_nanousd, self.held_nanousd if cost is None else cost)
        if cost is not None and cost > self.amount_nanousd and purse.hard:
            _tell_overrun(attempt.opening, cost - self.amount_nanousd, purse)
        counted = self.counted
        if counted is not None:
            usage = attempt.usage
            counted.settle(usage.input_tokens, usage.output_tokens, cost)
        if attempt.cost_basis == "reported" and (
            self._admission.bounds.may_learn(self._chosen.ref, len(self._chosen.envelope.body))
            or (cost is not None and cost > self.amount_nanousd)
        ):
            self._admission.note_reported(self._chosen, self._sheet, attempt)

    def void(self) -> None:
        """Give all of it back: nothing was sent."""
        purse, self.purse = self.purse, None
        assert purse is not None, "a hold is settled once"
        purse.give_back(self.amount_nanousd, 0)
        if self.counted is not None:
            self.counted.void()


class Admission:
    """Admits calls to their budgets; one per process, over all reloads."""

    def __init__(self, budgets: Budgets, clock: Clock, store: LedgerStore) -> None:
        """`store` tells what answers other processes got, which this one may have to judge by."""
        self._store = store
        self.budgets = budgets
        budgets.beforehand = self._hear
        self.bounds = Bounds()
        self._clock = clock

    def at_once(self, chosen: Chosen) -> Admitted | PriceSheet | None:
        """Hold what a call may cost, at a glance.

        Returns `None` where nothing need be held, and the price to ask `admit` with where it must be looked at closely.

        Raises:
            UnpricedModel: nobody knows what it may cost, and a hard budget is about it.
            InvalidRequest: it can be read in several ways that differ in what they cost, and likewise.
        """
        now_us = self._clock.now_us()
        budgets = self.budgets
        purse = budgets.purse_of(chosen.attribution, now_us)
        if purse is None:
            return None
        request, provider, ref = chosen.request, chosen.provider, chosen.ref
        if request.operation in COSTS_NOTHING:
            return None
        prices = chosen.lineup.attempts.prices
        sheet = prices.find_dearest(provider.name, provider.known.price_key, ref.model, now_us, free=provider.free)
        if sheet is None:
            _refuse_unpriced(purse, ref, chosen.attribution, budgets.rules)
            return None
        if sheet.free:
            return None
        envelope, wire = chosen.envelope, request.wire
        shape = shape_of(envelope, wire)
        if purse.hard:
            _refuse_ambiguous(envelope, wire, shape, purse, chosen.attribution, budgets.rules)
        if purse.every_byte and (not shape.at_a_glance or ref.model.endswith(":online")):
            return sheet
        most, unknown, tokens = self.bounds.at_most(envelope, wire, request.operation, ref, sheet, shape)
        if purse.every_byte:  # what a glance says of a lost call knows neither the pictures of a long one nor its marks
            unknown = min(most, self._bound(chosen, sheet, every_byte=True).unknown_nanousd)
        if purse.take(most, now_us, times=budgets.plenty):
            told = _unheeded(chosen, purse, tokens)
            return Admitted(purse, most, unknown, now_us, tokens, told, purse.every_byte, self, chosen, sheet)
        return sheet

    def holds_every_byte(self, chosen: Chosen) -> bool:
        """Whether a call must hold a token for every byte that is sent."""
        purse = self.budgets.purse_of(chosen.attribution, self._clock.now_us())
        return purse is not None and purse.every_byte

    async def admit(self, chosen: Chosen, sheet: PriceSheet, goes_on: Callable[[], bool]) -> Admitted | None:
        """Hold what a call may cost, having looked at it closely; wait for money; `None` where none is needed any more.

        Raises:
            BudgetExceeded: a budget has not enough for it.
            StoreError: more has to be leased, and the store is away.
        """
        now_us = self._clock.now_us()
        purse = self.budgets.purse_of(chosen.attribution, now_us)
        if purse is None:
            return None
        bound = self._bound(chosen, sheet, every_byte=purse.every_byte)
        if purse.take(bound.most_nanousd, now_us, times=self.budgets.plenty):
            return self._admitted(purse, bound.most_nanousd, bound, now_us, chosen, sheet)

        def amounts() -> tuple[int, int]:
            nonlocal bound
            purse = self.budgets.purse_of(chosen.attribution, self._clock.now_us())
            bound = self._bound(chosen, sheet, every_byte=purse is not None and purse.every_byte)
            return bound.least_nanousd, bound.most_nanousd

        hold = await self.budgets.acquire(chosen.attribution, amounts, goes_on=goes_on)
        assert hold.purse is not None, "it was granted a moment ago"
        admitted = self._admitted(hold.purse, hold.amount_nanousd, bound, hold.at_us, chosen, sheet)
        if not bound.limited and hold.amount_nanousd < bound.most_nanousd:
            tokens = bound.tokens_for(hold.amount_nanousd)
            if tokens < bound.most_output_tokens:
                admitted.output_limit = admitted.most_output_tokens = tokens
        return admitted

    def _admitted(
        self, purse: Purse, amount_nanousd: int, bound: Bound, at_us: int, chosen: Chosen, sheet: PriceSheet
    ) -> Admitted:
        unknown = min(amount_nanousd, bound.unknown_nanousd)
        tokens = answer_limit(chosen.envelope, chosen.request.wire)
        told = _unheeded(chosen, purse, tokens)
        return Admitted(purse, amount_nanousd, unknown, at_us, tokens, told, purse.every_byte, self, chosen, sheet)

    def now_us(self) -> int:
        """Return what time it is, by the clock that prices are found by."""
        return self._clock.now_us()

    def estimate(
        self,
        envelope: Envelope,
        wire: WireFormat,
        operation: Operation,
        ref: ModelRef,
        sheet: PriceSheet,
        *,
        every_byte: bool = False,
    ) -> Bound:
        """Return what a call may cost; see `Bounds.bound`."""
        return self.bounds.bound(envelope, wire, operation, ref, sheet, every_byte=every_byte)

    async def _hear(self) -> None:
        """Learn how long answers were lately, from the ledger: while calls wait, twice a second."""
        self.bounds.hear(
            (ModelRef(one.opening.provider, one.opening.model), one.usage.output_tokens)
            for tries in await self._store.recent(HEARD)
            for one in tries
            if one.outcome == "ok" and one.usage.output_tokens
        )

    def note_reported(self, chosen: Chosen, sheet: PriceSheet, attempt: Attempt) -> None:
        """Learn from what a call was reported to have read and written, where it may teach something."""
        if attempt.usage.output_tokens is not None:
            bound = self._bound(chosen, sheet)
            self.bounds.learn(chosen.ref, chosen.request.wire, chosen.envelope, bound, attempt.usage)

    def _bound(self, chosen: Chosen, sheet: PriceSheet, *, every_byte: bool = False) -> Bound:
        ask, request = chosen.envelope, chosen.request
        return self.bounds.bound(ask, request.wire, request.operation, chosen.ref, sheet, every_byte=every_byte)


def _unheeded(chosen: Chosen, purse: Purse, tokens: int | None) -> int | None:
    """Return the limit of a chat that its provider may pass over, where there is one and money hangs on it."""
    if tokens is None or not purse.hard or chosen.request.wire != "openai_chat":
        return None
    return unheeded_limit(chosen.envelope, chosen.provider, chosen.ref.model)


def _refuse_ambiguous(
    envelope: Envelope, wire: WireFormat, shape: Shape, purse: Purse, attribution: Attribution, rules: RuleBook
) -> None:
    """Refuse what could be read as a dearer call than the one that is held for."""
    if shape.further_models:
        named = ", ".join(f'"{name}"' for name in sorted(FURTHER_MODELS) if name in envelope)
        raise InvalidRequest(
            f"{named} could have another model answer, whose price is not held, and the call belongs to a hard budget"
            f" ({_named(purse, attribution, rules)}).",
            hint='send "model" alone.',
        )
    envelope.refuse_twice()
    if wire == "gemini":
        refuse_settings_twice(envelope)
    elif shape.otherwise is not None:
        plain = shape.otherwise.casefold()
        raise InvalidRequest(
            f"{shape.otherwise!r} is '{plain}' written otherwise, which some servers read as it, and the call belongs"
            " to a hard budget.",
            hint=f"send '{plain}'.",
        )


def _tell_overrun(opening: Opening, by_nanousd: int, purse: Purse) -> None:
    names = [repr(one.budget.name) for one in purse.hard]
    more = f" and {len(names) - _TOLD_BUDGETS} more" if len(names) > _TOLD_BUDGETS else ""
    log.warning(
        "the call %s on %s:%s cost $%s more than was held for it in %s %s",
        *(opening.call_id, opening.provider, opening.model, trimmed_usd(by_nanousd)),
        *("the budget" if len(names) == 1 else "the budgets", ", ".join(names[:_TOLD_BUDGETS]) + more),
    )


def _refuse_unpriced(purse: Purse, ref: ModelRef, attribution: Attribution, rules: RuleBook) -> None:
    if purse.hard:
        names = _named(purse, attribution, rules)
        raise UnpricedModel.of(ref, f", and the call belongs to a hard budget ({names})")


def _named(purse: Purse, attribution: Attribution, rules: RuleBook) -> str:
    """Return the hard budgets of a call as its client is told of them."""
    return ", ".join(
        called(one.budget.name, shared=rules.is_shared(one.key.subject, attribution)) for one in purse.hard
    )

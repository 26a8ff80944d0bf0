"""One call that names a router: its models are tried in the order that routing decides, until one of them answers.

Each try is a call on that model in all: held in budgets, counted in limits, with a line of its own in the ledger. The
next model is tried where one cannot serve the call (no money for it, no credential, a format that cannot carry it), or
where its provider failed before anything was handed out. What is the request's own fault is answered at once: a
provider's 400 would be the next one's, too. What surprised us: a client may leave while a provider is waited for, and
then the next one must not be asked at all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from farthing.catalog.pricing import price_nanousd
from farthing.catalog.token_estimate import TokenFamily, estimate_request_tokens, family_of
from farthing.errors import (
    BudgetExceeded,
    CredentialMissing,
    FarthingError,
    InvalidRequest,
    NotServed,
    ProviderError,
    RateLimited,
    UnpricedModel,
    in_public,
)
from farthing.gateway.accounts import MOVES_ON
from farthing.gateway.admission import Admission
from farthing.gateway.answer_limits import answer_limit
from farthing.gateway.attribution import attribute
from farthing.gateway.bounds import COSTS_NOTHING
from farthing.gateway.call import Reply, Request
from farthing.gateway.chosen import Chosen
from farthing.gateway.explanations import by_binding, one_reason
from farthing.gateway.lineup import Lineup
from farthing.gateway.money_words import goes_on
from farthing.gateway.permission import not_allowed, of_router
from farthing.gateway.unpriced import refuse_unpriced
from farthing.ledger.standing import standing_of
from farthing.routing.router import Candidate, Decision, decide
from farthing.types.models import ModelRef
from farthing.types.routing import NO_BUDGETS, Standing
from farthing.types.usage import Usage
from farthing.wire.peek import Envelope

Ask = Callable[[Chosen], Awaitable[Reply | None]]
"""Has a model answer; `None` where a reload fell into a wait, and nothing was sent."""

_WORTH_ANOTHER = MOVES_ON | {404, 408, 425, 499}
"""Beside every 5xx: the provider did not serve, or a machine in between does not know; none of it is the client's
fault, who never named the model."""
_COMPARED_ANSWER_TOKENS = 1_024
"""How long an answer is taken to be where models are compared, the same for all: a quarter of what nine in ten stay
below (`limiting.py`). Only how much reading weighs beside writing depends on it."""


class RoutedCall:
    """A call on its way through a router; `asked` is what its client named, `name` the router."""

    def __init__(
        self,
        request: Request,
        lineup: Lineup,
        envelope: Envelope,
        name: str,
        asked: str,
        *,
        streamed: bool,
        call_id: str,
    ) -> None:
        self._request = request
        self._lineup = lineup
        self._envelope = envelope
        self._name = name
        self._asked = asked
        self._streamed = streamed
        self._call_id = call_id
        self._attribution = attribute(request.principal, request.headers.named, envelope)
        self._ordinals = count(1)
        self._why = [*by_binding(asked, request.principal.rules)]
        self._usages: dict[TokenFamily, Usage] = {}
        self._failed: Candidate | None = None
        """The model that was tried last."""
        self._said: Reply | FarthingError | None = None
        """What came of that."""
        self._refused: list[FarthingError] = []
        """Why others were not tried."""
        self._unfit: int | None = None
        """The least that one of those needed of a budget, in nanodollars."""

    async def reply(self, admission: Admission, ask: Ask) -> Reply | None:
        """Return the first answer; `None` where a reload fell into a wait before anything was sent.

        Raises:
            FarthingError: no model answered: what the last one came to, or why none could be tried.
        """
        decision = await self._decide(admission)
        nearest = decision.nearest
        # Where no model fits its budgets now, one of them waits for money as any call does, and is refused as one.
        tries = decision.tries or (() if nearest is None else (nearest,))
        for candidate in tries:
            if self._failed is not None and not decision.may_follow(self._failed, candidate):
                self._note(candidate, "not tried, because it is dearer")
                continue
            if self._too_dear(candidate):
                continue
            reply = await self._try(candidate, ask)
            if reply is None and self._said is None:
                return None
            if reply is None:
                break
            if not isinstance(reply, FarthingError) and not _worth_another(reply.status):
                return reply
        return self._outcome()

    async def _decide(self, admission: Admission) -> Decision:
        request, lineup = self._request, self._lineup
        router, catalog = lineup.routers[self._name], lineup.catalog
        rules, wire = request.principal.rules, request.wire
        refs = of_router(rules, self._name, router.models, lambda name: catalog.resolve(name, wire))
        if not refs:
            assert rules is not None, "only a key's list leaves all of them out"
            raise not_allowed(self._asked, rules)
        now_us = lineup.attempts.clock.now_us()
        standing = await standing_of(
            admission.budgets, self._attribution, now_us, lambda: goes_on(self._envelope, wire)
        )
        if standing is NO_BUDGETS and router.strategy == "order":
            decision = Decision(tuple(map(Candidate, refs)))  # nobody asks what they would cost
        else:
            candidates = [self._priced(ref, admission, standing, now_us) for ref in refs]
            decision = decide(router.strategy, candidates, standing)
        self._why.append(f"'{self._name}' is a router ({router.strategy})")
        self._why += decision.because
        if len(refs) < len(router.models):
            self._why.append(f"{len(router.models) - len(refs)} of its models are not for this key")
        for one in decision.skipped:
            self._note(one.candidate, one.why)
        return decision

    def _priced(self, ref: ModelRef, admission: Admission, standing: Standing, now_us: int) -> Candidate:
        provider, prices = self._lineup.providers[ref.provider], self._lineup.attempts.prices
        request, envelope, key = self._request, self._envelope, provider.known.price_key
        dearest = prices.find_dearest(provider.name, key, ref.model, now_us, free=provider.free)
        if request.operation in COSTS_NOTHING or (dearest is not None and dearest.free):
            return Candidate(ref, price_nanousd=0, needs_nanousd=0, free=True)
        sheet = prices.find(provider.name, key, ref.model, now_us, free=provider.free)
        if dearest is None or sheet is None:
            return Candidate(ref)
        price = price_nanousd(self._compared_usage(family_of(key or provider.known.kind, ref.model)), sheet)
        if all(one.room_nanousd is None for one in standing.budgets):
            return Candidate(ref, price_nanousd=price)  # no hard budget asks what would have to be held
        bound = admission.estimate(
            *(envelope, request.wire, request.operation, ref, dearest), every_byte=standing.every_byte
        )
        return Candidate(ref, price_nanousd=price, needs_nanousd=bound.least_nanousd)

    def _compared_usage(self, family: TokenFamily) -> Usage:
        """Return what the call is taken to use where models are compared; a tokenizer's count is made once."""
        usage = self._usages.get(family)
        if usage is None:
            limit = answer_limit(self._envelope, self._request.wire)
            written = _COMPARED_ANSWER_TOKENS if limit is None else min(limit, _COMPARED_ANSWER_TOKENS)
            read = estimate_request_tokens(self._envelope.body, family)
            usage = self._usages[family] = Usage(input_tokens=read, output_tokens=written)
        return usage

    async def _try(self, candidate: Candidate, ask: Ask) -> Reply | FarthingError | None:
        try:
            reply = await ask(self._chosen(candidate.ref))
        except FarthingError as error:
            # A limit of the caller's own refuses every model; but what a provider said before is an answer.
            limited = isinstance(error, RateLimited) and self._said is not None
            if not limited and not _passes_on(error):
                raise
            self._note(candidate, in_public(error).message)
            if error.call_id is not None:  # there is a line of it
                self._failed, self._said = candidate, error
            else:
                self._refused.append(error)
                if isinstance(error, BudgetExceeded):
                    self._unfit = candidate.needs_nanousd
            self._see_that_somebody_waits()
            return error
        if reply is not None and _worth_another(reply.status):
            self._note(candidate, f"answered {reply.status}")
            self._failed, self._said = candidate, reply
        return reply

    def _chosen(self, ref: ModelRef) -> Chosen:
        lineup, provider = self._lineup, self._lineup.providers[ref.provider]
        now_us = lineup.attempts.clock.now_us()
        accounts = lineup.accounts[ref.provider]
        account = accounts.only or accounts.choose(ref.model, self._attribution, now_us)
        if lineup.refuse_unpriced:
            refuse_unpriced(lineup, account.provider, ref)
        self._envelope.tokens = 0  # another tokenizer counts others
        return Chosen(
            self._request,
            lineup,
            account.provider,
            account,
            ref,
            self._asked,
            self._envelope,
            self._streamed,
            self._call_id,
            self._attribution,
            family_of(provider.known.price_key or provider.known.kind, ref.model),
            self._ordinals,
            router=self._name,
            follows=self._said is not None,
            why=(*self._why, f"'{ref}' is chosen"),
        )

    def _too_dear(self, candidate: Candidate) -> bool:
        """Whether one that needs no more did not fit its budgets a moment ago, so that this one need not wait, too."""
        if self._unfit is None or candidate.needs_nanousd is None or candidate.needs_nanousd < self._unfit:
            return False
        self._note(candidate, "not tried, because one that needs no more did not fit its budget")
        return True

    def _see_that_somebody_waits(self) -> None:
        client = self._request.client
        client.end_stay()
        if client.left:
            raise asyncio.CancelledError

    def _outcome(self) -> Reply | None:
        """Return or raise what the client is told where no model answered."""
        if isinstance(self._said, FarthingError):
            raise self._said
        if self._said is None and self._refused:
            raise next((one for one in self._refused if isinstance(one, BudgetExceeded)), self._refused[0])
        return self._said

    def _note(self, candidate: Candidate, why: str) -> None:
        self._why.append(one_reason(f"'{candidate.ref}': {why}"))


def _worth_another(status: int) -> bool:
    return status >= 500 or status in _WORTH_ANOTHER


def _passes_on(error: FarthingError) -> bool:
    """Whether another model may serve a call that this one did not."""
    match error:
        case ProviderError() | BudgetExceeded() | UnpricedModel() | CredentialMissing():
            return True
        case InvalidRequest() | NotServed():  # what this provider's format cannot carry, or its budget cannot hold
            return True
        case RateLimited():
            return error.of_provider or error.of_credential
        case _:
            return False

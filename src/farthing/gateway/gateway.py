"""One call, from what a face received to what it sends back.

The story: read the envelope, choose the model, refuse what may not be, write the beginning to the journal, send the
client's bytes with at most two splices, and meter what comes back. Where client and provider speak the same format
nothing is decoded that need not be; where they do not, request and answer are translated (`translation.py`).
"""

from itertools import count
from typing import TYPE_CHECKING

import msgspec

from farthing.catalog.token_estimate import family_of
from farthing.errors import (
    BudgetExceeded,
    CallerError,
    CredentialsSpent,
    FarthingError,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
)
from farthing.gateway.accounts import MOVES_ON, Account
from farthing.gateway.admission import Admission, Admitted
from farthing.gateway.answers import AskedFor, reply_to
from farthing.gateway.attribution import attribute
from farthing.gateway.beginning import begin
from farthing.gateway.bounds import COSTS_NOTHING
from farthing.gateway.call import Reply, Request, for_who_is_there
from farthing.gateway.chosen import Chosen, Sent, in_other_format
from farthing.gateway.credential_limits import count_with_any
from farthing.gateway.discretion import make_discreet
from farthing.gateway.encodings import decode_request
from farthing.gateway.explanations import WHY, by_binding, reasons
from farthing.gateway.limiting import Entry, Limiting
from farthing.gateway.lineup import Lineup
from farthing.gateway.money_words import goes_on, with_alternatives
from farthing.gateway.permission import Allowed, choosable, not_allowed, of_router, refuse_further_models
from farthing.gateway.translated import Translated
from farthing.gateway.unanswered import settle_without_answer
from farthing.gateway.unpriced import refuse_unpriced
from farthing.providers.pool import Answer, HeldBodies
from farthing.types.calls import Attribution
from farthing.types.identity import IdSource
from farthing.types.marks import MARK_IN_BODY, MARKED_FORMATS
from farthing.types.models import ListedModel, ModelRef
from farthing.types.prices import PriceSheet
from farthing.types.principal import KeyRules, Principal
from farthing.types.providers import WireFormat
from farthing.wire.conversations import FROM_BYTES
from farthing.wire.gemini_requests import renamed
from farthing.wire.peek import Envelope

if TYPE_CHECKING:
    from farthing.gateway.foreign import Foreign
    from farthing.gateway.shared_seals import SharedSeals

UNNAMED = "default"
"""What the ledger calls the model of a request that names none; what served it is in the answer."""
OURS = "farthing"
"""Whose a router is in a list of models."""
_NO_SUCH_PATH = frozenset({404, 405, 501})
MAX_LACKING = 1_024
"""Models of which it is remembered that they cannot be had in a format; servers that take any name could be sent more.
Beyond it each such call is asked twice."""
_USAGE_ON_REQUEST: frozenset[WireFormat] = frozenset({"openai_chat", "openai_completions"})
"""Formats whose streams tell usage where `stream_options` asks for it."""


class Gateway:
    """Serves calls; one per process."""

    def __init__(
        self,
        lineup: Lineup,
        ids: IdSource,
        admission: Admission,
        limiting: Limiting,
        *,
        alone: bool = True,
        seals: "SharedSeals | None" = None,
    ) -> None:
        """`alone` says that no other process serves the same clients; `seals` are what those that do share."""
        self._admission = admission
        self._limiting = limiting
        self.alone = alone
        """Whether every call of a conversation comes here; see `Foreign`."""
        self.lineup = lineup
        """Replaced whole by a reload; see `Lineup`."""
        self._ids = ids
        self._seals = seals
        self._held = HeldBodies()
        self._translates: Foreign | None = None

    async def call(self, request: Request) -> Reply:
        """Serve one call.

        Raises:
            FarthingError: the call was refused, or failed before anything could be handed out. The face renders it.
        """
        body = self._plain_body(request) if b"content-encoding" in request.headers.named else request.body
        if len(body) < FROM_BYTES:
            envelope = Envelope(body)
        else:
            envelope = request.client.conversation.envelope(body, request.principal.key_id)
        asked = envelope.model() if request.model is None else request.model
        rules = request.principal.rules
        why: tuple[str, ...] = ()
        if rules is not None and rules.about_models:
            refuse_further_models(envelope, rules)
            named = rules.bound_model or asked
            if named is not None and named in self.lineup.routers:
                return await self._by_router(request, envelope, named, asked or named)
            asked, ref = await self._by_rules(rules, asked, request.wire)
            why = by_binding(asked, rules, ref)
        elif asked is None:
            asked, ref = UNNAMED, self._only_provider(request.wire)
        elif (found := self._found(asked, request.wire)) is not None:
            ref = found
        elif asked in self.lineup.routers:
            return await self._by_router(request, envelope, asked, asked)
        else:
            ref = await self._resolve(asked, request.wire)
        # Nothing is awaited from here until the pool counts the request, so a pool that a reload takes away is seen to
        # be in use by every call that was going to use it.
        lineup = self.lineup
        attribution = attribute(request.principal, request.headers.named, envelope)
        account = lineup.accounts[ref.provider].only or _account(lineup, ref, attribution)
        provider = account.provider
        if lineup.refuse_unpriced:
            refuse_unpriced(lineup, provider, ref)
        streamed = request.streamed
        if streamed is None:
            streamed = envelope.flag("stream", absent=request.streams_by_default)
        call_id = self._ids.new("call")
        family = family_of(provider.known.price_key or provider.known.kind, ref.model)
        chosen = Chosen(
            request,
            lineup,
            provider,
            account,
            ref,
            asked,
            envelope,
            streamed,
            call_id,
            attribution,
            family,
            count(1),
            why=why,
        )
        reply = await self._ask_any(chosen)
        return await self.call(request) if reply is None else reply

    async def _by_router(self, request: Request, envelope: Envelope, name: str, asked: str) -> Reply:
        """Serve a call that names a router: one of its models answers; see `RoutedCall`."""
        from farthing.gateway.routed import RoutedCall  # noqa: PLC0415 - most gateways have no router

        lineup = self.lineup
        streamed = request.streamed
        if streamed is None:
            streamed = envelope.flag("stream", absent=request.streams_by_default)
        call = RoutedCall(request, lineup, envelope, name, asked, streamed=streamed, call_id=self._ids.new("call"))
        reply = await call.reply(self._admission, self._ask_any)
        return await self.call(request) if reply is None else reply

    async def _ask_any(self, chosen: Chosen) -> Reply | None:
        """Ask a model, with as many of its provider's credentials as it takes; `None` as in `_ask`."""
        tried: list[Account] = []
        reply = await self._ask(chosen, tried)
        if (
            reply is None
            or reply.status not in MOVES_ON
            or chosen.lineup.accounts[chosen.ref.provider].only is not None
        ):
            return reply
        return await self._ask_others(chosen, tried, reply)

    async def _ask(self, chosen: Chosen, tried: list[Account]) -> Reply | None:
        """Make a try where there is money for it and its limits let it in; `None` where a reload fell into a wait.

        Then the pools of the lineup may be closed. The credential that it was made with joins those that were `tried`.
        """
        foreign = chosen.is_foreign
        if foreign and self._seals is not None:
            await self._foreign().fetch_seals(chosen.request, chosen.envelope.body, chosen.provider, chosen.asked)
        if foreign and self._admission.holds_every_byte(chosen):
            chosen.note_sent(self._translation(chosen))
        admitted = self._admission.at_once(chosen)
        if isinstance(admitted, PriceSheet):
            admitted = await self._admitted(chosen, admitted)
        entered: Entry | None = admitted
        try:
            limiting = self._limiting
            if (taking := limiting.taking_for(chosen)) is not None:
                entered = limiting.at_once(taking, chosen, admitted, again=bool(tried) or chosen.follows)
                if entered is None:
                    entered = admitted
                    chosen, entered = await self._counted(chosen, admitted, tried)
            if self.lineup is not chosen.lineup:
                return None
            tried.append(chosen.account)
            if entered is not None and entered.output_limit is not None:
                chosen = chosen.limited(entered.output_limit)
            if foreign:
                return await self._in_other_format(chosen, entered)
            return await self._serve(chosen, self._as_it_is(chosen), None, entered)
        finally:
            if entered is not None and not entered.begun:
                entered.void()

    async def _ask_others(self, chosen: Chosen, tried: list[Account], reply: Reply) -> Reply:
        """Ask again with other credentials, after a refusal that may be about the one that was used."""
        ref, clock = chosen.ref, chosen.lineup.attempts.clock
        accounts = chosen.lineup.accounts[ref.provider]
        forbidden = tried[-1:] if reply.status == 403 else []
        while reply.status in MOVES_ON:
            other = accounts.another(ref.model, chosen.attribution, clock.now_us(), tried)
            if other is None or self.lineup is not chosen.lineup:
                return reply
            try:
                answered = await self._ask(chosen.by(other), tried)
            except (BudgetExceeded, RateLimited, CredentialsSpent):
                answered = None  # what the provider said is an answer, and costs nothing more
            if answered is None:
                return reply
            reply = answered
            if reply.status == 403:
                forbidden.append(tried[-1])
        if reply.status < 400:
            for account in forbidden:
                accounts.proven(account, ref.model, clock.now_us())
        return reply

    async def _serve(
        self,
        chosen: Chosen,
        sent: Sent,
        translation: Translated | None,
        entered: Entry | None,
    ) -> Reply:
        """Make one try, and read its answer."""
        request, lineup, provider, ref = chosen.request, chosen.lineup, chosen.provider, chosen.ref
        told = sent.told
        if WHY in request.headers.named:
            told += (reasons(chosen.asked, ref, request.wire, sent.wire, chosen.why),)
        if entered is not None and entered.counted is not None:
            counted = entered.counted
            told = (*told, *counted.taking.headers(counted.counted_us))
        attempt = begin(chosen, sent.losses, entered)
        asked_for = AskedFor(
            wire=sent.wire,
            operation=sent.operation,
            translation=translation,
            told=told,
            provider=provider,
            account=chosen.account,
            accounts=lineup.accounts[ref.provider],
            attempt=attempt,
            streamed=chosen.streamed,
            strip_usage=sent.strip_usage,
            held=self._held,
            client=request.client,
        )
        try:
            # Once the request is with a provider that costs money, its answer is waited for even though the client
            # leaves: nobody else tells what it cost. One that is free is left at once, and stops working.
            stay = None if provider.free or request.operation in COSTS_NOTHING else request.client.stay
            try:
                answer = await lineup.pools[provider.name].send(
                    provider.origin, sent.head, sent.pieces, provider.timeouts, stay
                )
            except BaseException as error:
                settle_without_answer(attempt, error)
                raise
            if answer.status in _NO_SUCH_PATH and translation is None and request.wire in provider.known.guessed:
                return await self._otherwise(chosen, answer, asked_for)
            reply = await reply_to(answer, asked_for)
        except FarthingError as error:
            error.call_id = chosen.call_id
            make_discreet(provider, error)
            raise
        if reply.stream is not None and entered is not None and entered.every_byte:
            return reply  # who leaves it does so unheard: its end alone tells what it cost
        return for_who_is_there(reply, request.client)

    async def _in_other_format(self, chosen: Chosen, entered: Entry | None) -> Reply:
        """Ask a provider in a format of its own, or answer here where that will do."""
        return await self._asked_so(chosen, self._translation(chosen), entered)

    async def _admitted(self, chosen: Chosen, sheet: PriceSheet) -> Admitted | None:
        """Hold what the call may cost in its budgets, which has to be asked for or waited for."""
        request = chosen.request
        try:
            return await self._admission.admit(chosen, sheet, lambda: goes_on(chosen.envelope, request.wire))
        except BudgetExceeded as error:
            raise with_alternatives(error, chosen.envelope, request, chosen.lineup, self._admission) from None

    async def _counted(
        self, chosen: Chosen, admitted: Admitted | None, tried: list[Account]
    ) -> tuple[Chosen, Entry | None]:
        """Count the call in its limits; where its credential has no room, with another one of those not `tried` yet."""
        lineup = chosen.lineup
        accounts, now_us = lineup.accounts[chosen.ref.provider], lineup.attempts.clock.now_us
        return await count_with_any(self._limiting, accounts, chosen, admitted, tried=tried, now_us=now_us)

    def _translation(self, chosen: Chosen) -> Translated | Reply:
        return self._foreign().translated(
            chosen.request,
            chosen.lineup,
            chosen.provider,
            chosen.ref,
            body=chosen.envelope.body,
            asked=chosen.asked,
            call_id=chosen.call_id,
            streamed=chosen.streamed,
        )

    async def _asked_so(self, chosen: Chosen, found: Translated | Reply, entered: Entry | None) -> Reply:
        if isinstance(found, Reply):
            return found
        return await self._serve(chosen, in_other_format(found, chosen), found, entered)

    async def _otherwise(self, chosen: Chosen, answer: Answer, asked_for: AskedFor) -> Reply:
        """Ask once more in the provider's home format: a server of an unknown make turned out not to have this one.

        Where it speaks of the model, or that format could not carry the request, its own words are handed out: then it
        is the model that is not there, or a response to go on from, and not the path.
        """
        refused = for_who_is_there(await reply_to(answer, asked_for), chosen.request.client)
        if chosen.ref.model.encode("utf-8", "replace") in refused.body:
            return refused
        try:
            found = self._translation(chosen)
        except CallerError:
            return refused
        chosen.note_sent(found)
        admitted = self._admission.at_once(chosen)  # what the first try held was given back with it
        if isinstance(admitted, PriceSheet):
            admitted = await self._admitted(chosen, admitted)
        entered: Entry | None = admitted
        try:
            if not self._limiting.idle:
                chosen, entered = await self._counted(chosen, admitted, [chosen.account])
            if entered is not None and entered.output_limit is not None:
                chosen = chosen.limited(entered.output_limit)
                found = self._translation(chosen)
            reply = await self._asked_so(chosen, found, entered)
        finally:
            if entered is not None and not entered.begun:
                entered.void()
        lacking = chosen.lineup.lacking
        if reply.status < 400 and len(lacking) < MAX_LACKING:
            lacking.add((chosen.ref, chosen.request.wire))
        return reply

    async def models(self, wire: WireFormat, principal: Principal) -> list[ListedModel]:
        """Return the models that a client may ask for, all of them, under the names that mean them in its format."""
        await self.lineup.live_models.refresh()
        rules, catalog = principal.rules, self.lineup.catalog
        if rules is not None and rules.bound_model is not None:
            return [await self.model(rules.bound_model, wire, principal)]
        routers = [self._listed(name) for name in self.lineup.routers if self._of_router(rules, name, wire)]
        return routers + choosable(rules, catalog.listing(wire), lambda name: catalog.resolve(name, wire))

    async def model(self, asked: str, wire: WireFormat, principal: Principal) -> ListedModel:
        """Return the model that a client of this format means by a name.

        Raises:
            ModelNotFound: there is none.
            ModelNotAllowed: its key may use others.
        """
        rules = principal.rules
        named = asked if rules is None else rules.bound_model or asked
        if named in self.lineup.routers:
            if rules is not None and not self._of_router(rules, named, wire):
                raise not_allowed(asked, rules)
            return self._listed(named)
        if rules is not None and rules.about_models:
            return ListedModel(*await self._by_rules(rules, asked, wire))
        return ListedModel(asked, await self._resolve(asked, wire))

    def _of_router(self, rules: KeyRules | None, name: str, wire: WireFormat) -> list[ModelRef]:
        catalog = self.lineup.catalog
        return of_router(rules, name, self.lineup.routers[name].models, lambda named: catalog.resolve(named, wire))

    def _listed(self, router: str) -> ListedModel:
        return ListedModel(router, ModelRef(OURS, router))

    # ---- before the provider

    def _foreign(self) -> "Foreign":
        """Return what translates; imported for the first call that needs it."""
        if self._translates is None:
            from farthing.gateway.foreign import Foreign  # noqa: PLC0415 - most gateways only pass through

            self._translates = Foreign(self._ids, self.lineup.attempts.clock, alone=self.alone, shared=self._seals)
        return self._translates

    async def _by_rules(self, rules: KeyRules, asked: str | None, wire: WireFormat) -> tuple[str, ModelRef]:
        """Return what the call of a key with rules about models asks for, and what it means.

        Raises:
            ModelNotAllowed: the key may use others; also for a name that means none, whose refusal would tell names.
        """
        if rules.bound_model is not None:
            try:
                return asked or rules.bound_model, await self._resolve(rules.bound_model, wire)
            except (ModelNotFound, InvalidRequest) as error:
                raise ModelNotFound(
                    f"This key is bound to '{rules.bound_model}', which cannot be had now.",
                    hint='the operator binds it to another: "farthing keys edit NAME --bind MODEL".',
                ) from error
        try:
            ref = self._only_provider(wire) if asked is None else await self._resolve(asked, wire)
        except (ModelNotFound, InvalidRequest):
            raise not_allowed(asked or UNNAMED, rules) from None
        asked, catalog = asked or UNNAMED, self.lineup.catalog
        if asked not in rules.models:
            allowed = Allowed(rules, lambda name: catalog.resolve(name, wire))
            if not allowed.allows(asked, ref):
                raise not_allowed(asked, rules)
        return asked, ref

    def _found(self, asked: str, wire: WireFormat) -> ModelRef | None:
        """Return what a name means where that is known and not to be asked for; else `None`, and `_resolve` tells."""
        lineup = self.lineup
        found = lineup.catalog.known(asked, wire)
        return found if found is not None and lineup.providers[found.provider].known.speaks(wire) else None

    async def _resolve(self, asked: str, wire: WireFormat) -> ModelRef:
        # A local server's models are known to nobody but itself; one that the price list gives to a provider of another
        # format may be its as well.
        lineup = self.lineup
        try:
            found = lineup.catalog.resolve(asked, wire)
        except ModelNotFound:
            if not await lineup.live_models.refresh():
                raise
        else:
            if lineup.providers[found.provider].known.speaks(wire) or lineup.live_models.fresh:
                return found
            await lineup.live_models.refresh()
        if self.lineup is not lineup:  # a reload fell into the wait; it happens once a second at most
            return await self._resolve(asked, wire)
        return lineup.catalog.resolve(asked, wire)

    def _only_provider(self, wire: WireFormat) -> ModelRef:
        """Return where a request goes that names no model, as llama.cpp's clients send it: a server with one model."""
        speaking = [name for name, provider in self.lineup.providers.items() if provider.known.speaks(wire)]
        if len(speaking) == 1:
            return ModelRef(speaking[0], UNNAMED)
        which = (
            f"several providers could be meant: {', '.join(speaking)}" if speaking else "no provider serves this path"
        )
        raise InvalidRequest(
            f'"model" is missing or empty, and {which}', hint='send "model": "provider:model" or an alias'
        )

    def _plain_body(self, request: Request) -> bytes:
        body = decode_request(request.body, request.headers.named[b"content-encoding"], self.lineup.max_body_bytes)
        request.client.hold(len(body))
        return body

    def _as_it_is(self, chosen: Chosen) -> Sent:
        """Return what is sent to a provider of the client's own format: its bytes, less what only we understand."""
        request, envelope = chosen.request, chosen.envelope
        if request.wire in MARKED_FORMATS and MARK_IN_BODY in envelope.body:
            envelope = Envelope(self._foreign().without_marks(request.wire, envelope.body))
        pieces, strip_usage = self._splice(envelope, chosen)
        operation = request.operation
        size = sum(map(len, pieces))
        head = chosen.provider.request_head(operation, request.query, request.headers.lines, size, chosen.ref.model)
        return Sent(request.wire, operation, head, pieces, strip_usage)

    def _splice(self, envelope: Envelope, chosen: Chosen) -> tuple[list[bytes], bool]:
        """Return the body to send, in pieces, and whether a usage chunk will come that the client did not ask for."""
        request, ref, provider, streamed = chosen.request, chosen.ref, chosen.provider, chosen.streamed
        changes: dict[str, bytes] = {}
        named = envelope.named or envelope.text("model")
        if request.model is None and ref.model != named and (named or chosen.asked is not UNNAMED):
            changes["model"] = msgspec.json.encode(ref.model)
        if request.wire == "gemini" and request.model is not None and request.model != ref.model:
            changes |= renamed(envelope.body, request.model, ref.model)
        strip_usage = False
        if streamed and provider.asks_for_usage and request.wire in _USAGE_ON_REQUEST:
            options = envelope.value("stream_options") if "stream_options" in envelope else None
            if not (isinstance(options, dict) and options.get("include_usage") is True):
                strip_usage = True
                wanted = {**options, "include_usage": True} if isinstance(options, dict) else {"include_usage": True}
                changes["stream_options"] = msgspec.json.encode(wanted)
        return (envelope.spliced(changes) if changes else [envelope.body]), strip_usage


def _account(lineup: Lineup, ref: ModelRef, attribution: Attribution) -> Account:
    """Choose among several credentials; raises where none is free."""
    return lineup.accounts[ref.provider].choose(ref.model, attribution, lineup.attempts.clock.now_us())

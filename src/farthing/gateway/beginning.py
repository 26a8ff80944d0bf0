"""Begins one try upstream: in the journal before a byte leaves, with what is held for it."""

from farthing.catalog.token_estimate import estimate_request_tokens
from farthing.gateway.attempts import LiveAttempt
from farthing.gateway.chosen import Chosen
from farthing.gateway.limiting import Entry
from farthing.types.calls import Opening


def begin(chosen: Chosen, losses: str | None, entered: Entry | None) -> LiveAttempt:
    """Write the beginning of an attempt to the journal; raises `JournalUnwritable`, and then nothing was begun.

    What is held for it in budgets and limits, `entered`, is settled with it. `losses` is what its translation left out.
    """
    request, ref, call_id, streamed = chosen.request, chosen.ref, chosen.call_id, chosen.streamed
    attempts = chosen.lineup.attempts
    if streamed:  # only a stream may be cut with something to bill, so only for it is the body looked at
        estimate = chosen.estimated_tokens()
        told = round(estimate * attempts.ratios.correction(ref.provider, ref.model))
    else:
        estimate = told = estimate_request_tokens(len(chosen.envelope.body), chosen.family)
    ordinal = next(chosen.ordinals)
    # An attempt begins when its money was held, so that it is charged to that period.
    held_us = None if entered is None else entered.at_us
    opening = Opening(
        attempt_id=f"att{call_id[4:]}-{ordinal}",  # the call's own id and the number of the try
        call_id=call_id,
        ordinal=ordinal,
        started_at_us=attempts.clock.now_us() if held_us is None else held_us,
        face=request.face,
        operation=request.operation,
        provider=ref.provider,
        model_asked=chosen.asked if chosen.router is None else chosen.router,
        model=ref.model,
        streamed=streamed,
        input_tokens_estimate=told,
        credential=chosen.account.opened.name,
        reasons="\n".join(chosen.why) if chosen.why else None,
        attribution=chosen.attribution,
        held_nanousd=None if entered is None else entered.held_nanousd,
    )
    attempts.ledger.begin(opening)
    if entered is not None:
        entered.begun = True
    return LiveAttempt(attempts, opening, chosen.provider, chosen.family, estimate, losses, entered)

"""What a call that is refused for money is told to do instead, and whether it finishes a turn that was begun."""

from collections.abc import Sequence

import msgspec

from farthing.errors import BudgetExceeded
from farthing.gateway.admission import Admission
from farthing.gateway.call import Request
from farthing.gateway.lineup import Lineup
from farthing.gateway.permission import choosable
from farthing.ledger.budget_refusal import Lack
from farthing.types.models import ModelRef
from farthing.types.money import trimmed_usd
from farthing.types.providers import WireFormat
from farthing.wire.lenient import UNREADABLE
from farthing.wire.peek import Envelope

TOLD = 3
"""Alternatives that are named; one reads no more in a terminal."""
MAX_PRICED = 2_000
"""Models that are priced for it, 10 us each: the list of the largest provider has 1,100."""


def with_alternatives(
    error: BudgetExceeded, envelope: Envelope, request: Request, lineup: Lineup, admission: Admission
) -> BudgetExceeded:
    """Return the refusal with models that would fit, with what the call may cost on each; free ones first.

    Those of a provider without a credential are left out: whoever asked for one would get the next refusal.
    """
    lacks = [lack for lack in error.lacks if isinstance(lack, Lack)]
    room = min((0 if lack.action is not None else lack.room_nanousd for lack in lacks), default=0)
    every_byte = any(lack.budget.holds == "every_byte" for lack in lacks)
    reachable = {name for name, accounts in lineup.accounts.items() if accounts.any_there}
    found: dict[ModelRef, tuple[bool, int, str]] = {}
    now_us = lineup.attempts.clock.now_us()
    wire, catalog = request.wire, lineup.catalog
    listing = choosable(request.principal.rules, catalog.listing(wire), lambda name: catalog.resolve(name, wire))
    for listed in [one for one in listing if one.ref.provider in reachable][:MAX_PRICED]:
        cost = _cost_on(listed.ref, envelope, request, lineup, admission, now_us, every_byte=every_byte)
        if cost is not None and (cost == 0 or cost <= room):
            found.setdefault(listed.ref, (catalog.names_itself(listed.ref), cost, listed.id))  # an alias comes first
    free = [name for _, cost, name in found.values() if cost == 0][:2]
    # The operator's own choice first; then the dearest, which is the nearest to what was asked for.
    priced = sorted((one for one in found.values() if one[1]), key=lambda one: (not one[0], -one[1], one[2]))[
        : TOLD - len(free)
    ]
    told = [f"{name} (free)" for name in free]
    told += [f"{name} (at most ${trimmed_usd(cost)})" for _, cost, name in priced]
    way_out = _way_out(lacks)
    if told:
        error.hint = f"these would fit: {', '.join(told)}; or {way_out}"
    else:
        error.hint = f"no configured model would fit; {way_out}, or adds a free model"
    return error


def _way_out(lacks: Sequence[Lack]) -> str:
    paused = next((lack for lack in lacks if lack.action == "pause"), None)
    if paused is not None:
        name = "NAME" if paused.shared else paused.budget.name
        return f'the operator has it go on ("farthing budget resume {name}")'
    raises = "the operator raises the budget"
    if any(lack.held_by_others for lack in lacks):
        return f"ask again when those calls have ended, or {raises}"
    return raises


def _cost_on(
    ref: ModelRef,
    envelope: Envelope,
    request: Request,
    lineup: Lineup,
    admission: Admission,
    now_us: int,
    *,
    every_byte: bool,
) -> int | None:
    provider = lineup.providers[ref.provider]
    prices = lineup.attempts.prices
    sheet = prices.find_dearest(provider.name, provider.known.price_key, ref.model, now_us, free=provider.free)
    if sheet is None:
        return None
    if sheet.free:
        return 0
    bound = admission.estimate(envelope, request.wire, request.operation, ref, sheet, every_byte=every_byte)
    if bound.output_rate == 0 and bound.most_output_tokens:
        return None  # it makes vectors, speech or nothing, and no answer
    return bound.least_nanousd or None


def goes_on(envelope: Envelope, wire: WireFormat) -> bool:
    """Whether a request goes on from a tool's result, in the middle of a turn."""
    raw = envelope.raw({"gemini": "contents", "openai_responses": "input"}.get(wire, "messages"))
    if raw is None:
        return False
    try:
        last = msgspec.json.decode(raw, type=list[msgspec.Raw])[-1:]
        item = msgspec.json.decode(last[0]) if last else None
    except UNREADABLE:
        return False
    if not isinstance(item, dict):
        return False
    if item.get("role") == "tool" or item.get("type") in ("function_call_output", "custom_tool_call_output"):
        return True
    parts = item.get("parts") or item.get("content")
    if not isinstance(parts, list):
        return False
    return any(
        isinstance(part, dict) and (part.get("type") == "tool_result" or "functionResponse" in part) for part in parts
    )

"""`farthing estimate`: what a request may cost, before anybody is asked.

The tokens are estimated as the gateway estimates them, which hits the median within a few percent, and what the request
may cost at most is the bound that the gateway holds in budgets. What an answer will be long cannot be known: beside the
most, the command tells what answers of that model were long in this ledger.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click
import msgspec

from farthing.cli.context import current_home, say
from farthing.cli.number import Number
from farthing.cli.tables import Column, counted, grouped, print_json, print_table, usd
from farthing.errors import InvalidRequest, ModelNotFound
from farthing.types.models import ModelRef
from farthing.types.money import trimmed_usd
from farthing.types.prices import PriceSheet
from farthing.types.providers import WireFormat

if TYPE_CHECKING:
    from farthing.wire.peek import Envelope

MAX_BYTES = 32 << 20
"""What the gateway itself takes, by default."""
LOOKED_AT = 5_000
"""The latest attempts in which answers of the model are looked for; more would not move a median."""
_FEWEST = 5
"""Answers from which a median is told."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What one model may cost for a request, in nanodollars; `None` is unknown."""

    model: str
    input_tokens: int
    input_nanousd: int | None
    output_tokens: int | None
    """What its answers were long, in the middle; or what --output-tokens says."""
    likely_nanousd: int | None
    most_output_tokens: int
    most_nanousd: int | None
    answers: int


@click.command()
@click.argument("request", type=click.Path(dir_okay=False), default="-")
@click.option("--model", "models", multiple=True, help="In place of the request's own; again for each to compare.")
@click.option("--output-tokens", type=Number(1, 10_000_000), help="How long the answer is taken to be.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def estimate(request: str, models: tuple[str, ...], output_tokens: int | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Say what a REQUEST may cost: the JSON that a client sends, in a file or on standard input."""
    from farthing.cli.pricing import pricing_of  # noqa: PLC0415  (not for --help)

    envelope = _read(request)
    home = current_home()
    pricing = pricing_of(home)
    own = envelope.text("model")
    named = models or ((own,) if own else ())
    if not named:
        raise InvalidRequest('The request names no "model".', hint="name one with --model.")
    refs = [*dict.fromkeys(ref for name in named for ref in _meant(pricing, name))]
    lengths = _answers(refs) if output_tokens is None else {}
    rows = [_estimated(envelope, pricing, ref, output_tokens, lengths.get(ref, [])) for ref in refs]
    if as_json:
        print_json([_as_data(row) for row in rows])
        return
    columns = [Column("MODEL", "left"), Column("INPUT"), Column("TO READ"), Column("ANSWER"), Column("LIKELY USD")]
    columns += [Column("LONGEST"), Column("AT MOST USD")]
    print_table(
        columns,
        [
            [
                row.model,
                f"~{grouped(row.input_tokens)}",
                usd(row.input_nanousd),
                "unknown" if row.output_tokens is None else f"~{grouped(row.output_tokens)}",
                usd(row.likely_nanousd),
                grouped(row.most_output_tokens),
                usd(row.most_nanousd),
            ]
            for row in rows
        ],
    )
    told = [f"{row.model}: {counted(row.answers, 'answer')}" for row in rows if row.answers]
    if told:
        say(f"Likely is for the median length of answers in this ledger ({', '.join(told)}).")
    elif output_tokens is None:
        say("No answers of these models are in this ledger yet: --output-tokens says how long one is taken to be.")


def _read(request: str) -> "Envelope":
    from farthing.wire.peek import Envelope  # noqa: PLC0415  (not for --help)

    if request == "-":
        body = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        try:
            with Path(request).open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise InvalidRequest(
                f"{request!r} cannot be read: {error.strerror or error}.",
                hint='name a file that holds the JSON of a request, or "-" for standard input.',
            ) from error
    if len(body) > MAX_BYTES:
        raise InvalidRequest(f"The request is larger than {MAX_BYTES >> 20} MB.")
    return Envelope(body)


def _meant(pricing: Any, name: str) -> Sequence[ModelRef]:
    """Return the models that a name stands for: a router's are several."""
    router = pricing.settings.routers.get(name)
    return (_resolved(pricing, name),) if router is None else router.models


def _resolved(pricing: Any, name: str) -> ModelRef:
    """Return what the gateway would take a name for, as far as the settings and the price list tell."""
    from farthing.gateway.catalogs import catalog_of  # noqa: PLC0415  (the whole gateway)

    catalog = catalog_of(pricing.settings, pricing.book)
    try:
        return catalog.resolve(name, "openai_chat")
    except ModelNotFound:
        provider, colon, model = name.partition(":")
        if colon and pricing.sheet(provider, model, _now_us()) is not None:
            return ModelRef(provider, model)
        raise


def _estimated(
    envelope: "Envelope", pricing: Any, ref: ModelRef, output_tokens: int | None, lengths: list[int]
) -> Estimate:
    from farthing.catalog.pricing import price_nanousd  # noqa: PLC0415
    from farthing.catalog.token_estimate import estimate_request_tokens, family_of  # noqa: PLC0415
    from farthing.gateway.bounds import Bounds  # noqa: PLC0415
    from farthing.types.usage import Usage  # noqa: PLC0415

    sheet: PriceSheet | None = pricing.sheet(ref.provider, ref.model, _now_us())
    tokens = estimate_request_tokens(envelope.body, family_of(ref.provider, ref.model))
    length = output_tokens or (round(median(lengths)) if len(lengths) >= _FEWEST else None)
    wire = _wire_of(envelope)
    known = sheet or PriceSheet(id="unknown", bands=())
    bound = Bounds().bound(envelope, wire, "chat.completions", ref, sheet) if sheet is not None else None
    if length is not None and bound is not None:
        length = min(length, bound.most_output_tokens)
    reading = Usage(input_tokens=tokens, output_tokens=0)
    likely = Usage(input_tokens=tokens, output_tokens=length)
    return Estimate(
        model=str(ref),
        input_tokens=tokens,
        input_nanousd=None if sheet is None else price_nanousd(reading, known),
        output_tokens=length,
        likely_nanousd=None if sheet is None or length is None else price_nanousd(likely, known),
        most_output_tokens=0 if bound is None else bound.most_output_tokens,
        most_nanousd=None if bound is None else bound.unknown_nanousd,
        answers=len(lengths) if len(lengths) >= _FEWEST else 0,
    )


def _wire_of(envelope: "Envelope") -> WireFormat:
    """Return the format in which a limit to the answer is looked for."""
    if "contents" in envelope:
        return "gemini"
    if "input" in envelope:
        return "openai_responses"
    return "openai_completions" if "prompt" in envelope else "openai_chat"


def _answers(refs: list[ModelRef]) -> dict[ModelRef, list[int]]:
    """Return how long the latest answers of these models were."""
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database)
    from farthing.config.storage_place import database_of  # noqa: PLC0415

    home = current_home()
    if database_of(home, os.environ) is None and not home.database.exists():
        return {}
    calls = read_books(home, lambda books: books.store.recent(LOOKED_AT))
    found: dict[ModelRef, list[int]] = {ref: [] for ref in refs}
    for attempts in calls:
        for attempt in attempts:
            ref = ModelRef(attempt.opening.provider, attempt.opening.model)
            if ref in found and attempt.outcome == "ok" and attempt.usage.output_tokens:
                found[ref].append(attempt.usage.output_tokens)
    return found


def _as_data(row: Estimate) -> dict[str, Any]:
    money = {
        name.replace("_nanousd", "_usd"): None if value is None else trimmed_usd(value)
        for name in ("input_nanousd", "likely_nanousd", "most_nanousd")
        for value in [getattr(row, name)]
    }
    return msgspec.structs.asdict(row) | money


def _now_us() -> int:
    from farthing.clock import SystemClock  # noqa: PLC0415

    return SystemClock().now_us()

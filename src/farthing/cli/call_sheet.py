"""One call in full: who asked for what, what was tried, what it used, and how the cost comes about."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import click

from farthing.cli.tables import Column, grouped, moment, print_fields, print_table, trimmed, usd, wrapped
from farthing.ledger.reports import call_line
from farthing.types.calls import Attempt
from farthing.types.prices import Cost

Explain = Callable[[Attempt], Cost | None]
"""Returns an attempt's cost line by line, `None` where the price it was made with is not known any more."""

_ATTRIBUTION = (
    *("organisation", "team", "project", "user", "session", "conversation", "task", "parent_call_id", "sub_agent"),
    *("branch", "pull_request", "tags"),
)
_BASES = {
    "reported": "from the usage that the provider reported",
    "estimated": "estimated, because the answer was cut or came without usage",
    "unknown": "because no price or no usage is known",
}
PER = {1: "each", 1_000: "per 1,000", 1_000_000: "per million", 3_600: "per hour"}
_PICO_DIGITS = 12
_ROOM = 80
"""Columns of a reason; the names of the fields stand before it, and a page has 100."""


def print_call(attempts: Sequence[Attempt], explain: Explain) -> None:
    """Print what the client asked, then each attempt with its usage and its cost."""
    line, first = call_line(attempts), attempts[0].opening
    who = first.attribution
    print_fields(
        [
            ("call", line.call_id),
            (
                "asked for",
                f"{first.model_asked} ({first.face} {first.operation}{', stream' if first.streamed else ''})",
            ),
            *_reasons(attempts[-1].opening.reasons),
            ("began", f"{moment(first.started_at_us)} UTC"),
            ("cost", f"{usd(line.cost_nanousd)} USD"),
            ("key", f"{who.key_name} ({who.key_id})" if who.key_name else who.key_id),
            *((name.replace("_", " "), getattr(who, name)) for name in _ATTRIBUTION),
        ]
    )
    for attempt in attempts:
        click.echo()
        click.echo(f"attempt {attempt.opening.ordinal}  {attempt.opening.attempt_id}")
        print_fields([*_story(attempt), *_usage(attempt), *_cost(attempt)], indent="  ")
        _print_price(attempt, explain(attempt))


def lines_as_data(cost: Cost | None) -> list[dict[str, Any]] | None:
    """Return what a cost is made of for programs, `None` where it cannot be explained."""
    if cost is None:
        return None
    return [
        {"what": line.what, "quantity": line.quantity, "picodollars": line.price.picodollars, "per": line.price.per}
        for line in cost.lines
    ]


def _reasons(reasons: str | None) -> list[tuple[str, str | None]]:
    """Return why it went where it did, a reason a line, each broken where a page ends."""
    title = "went where it did"
    lines = [line for reason in (reasons or "").splitlines() for line in wrapped(reason, _ROOM, "  ")]
    return [(title if number == 0 else "", line) for number, line in enumerate(lines)]


def _story(attempt: Attempt) -> list[tuple[str, str | None]]:
    opening = attempt.opening
    served = attempt.model_served if attempt.model_served not in {None, opening.model} else None
    first = attempt.first_output_us
    return [
        ("model", f"{opening.provider}:{opening.model}" + (f", served by {served}" if served else "")),
        ("outcome", attempt.outcome + (f" (status {attempt.http_status})" if attempt.http_status is not None else "")),
        ("error", " ".join(filter(None, (attempt.error_code, attempt.error_message))) or None),
        (
            "took",
            _duration(attempt.ended_at_us - opening.started_at_us)
            + (f", first output after {_duration(first)}" if first is not None else ""),
        ),
        ("service tier", attempt.service_tier),
        ("lost in translation", attempt.losses and attempt.losses.replace(",", ", ")),
        ("credential", opening.credential),
        ("provider's id", attempt.upstream_request_id),
    ]


def _usage(attempt: Attempt) -> list[tuple[str, str | None]]:
    usage = attempt.usage
    return [
        ("input", _tokens(usage.input_tokens)),
        ("  cache read", _part(usage.cache_read_input_tokens)),
        ("  cache written, 5 min", _part(usage.cache_creation_5m_input_tokens)),
        ("  cache written, 1 h", _part(usage.cache_creation_1h_input_tokens)),
        ("  audio", _part(usage.input_audio_tokens)),
        ("  images", _part(usage.input_image_tokens)),
        ("output", _tokens(usage.output_tokens)),
        ("  reasoning", _part(usage.reasoning_output_tokens)),
        ("  audio", _part(usage.output_audio_tokens)),
        ("  images", _part(usage.output_image_tokens)),
        ("web searches", _part(usage.web_search_requests)),
        ("remarkable", ", ".join(usage.flags).replace("_", " ") or None),
    ]


def unpriced(attempt: Attempt) -> bool:
    """Whether it is a price that is missing, which the operator can give; usage nobody can make up."""
    return attempt.cost_nanousd is None and attempt.usage.known


def _basis(attempt: Attempt) -> str:
    """Say how the cost is known."""
    if attempt.cost_nanousd == 0 and attempt.outcome == "unreachable":
        return "because nothing reached the provider"
    if attempt.cost_nanousd == 0 and attempt.outcome == "provider_error" and (attempt.http_status or 0) >= 400:
        return f"because the provider refused the call ({attempt.http_status})"
    if unpriced(attempt):
        return "because no price is known for what it used"
    return _BASES[attempt.cost_basis]


def _cost(attempt: Attempt) -> list[tuple[str, str | None]]:
    reported = attempt.reported_cost_nanousd
    return [
        ("cost", f"{usd(attempt.cost_nanousd)} USD, {_basis(attempt)}"),
        ("provider says", None if reported is None else f"{usd(reported)} USD"),
        ("price", attempt.price_id),
    ]


def _print_price(attempt: Attempt, cost: Cost | None) -> None:
    if attempt.price_id is None:
        return
    if cost is None:
        click.echo("  (that price has changed since, so its lines cannot be shown)")
        return
    if cost.lines:
        click.echo()
        print_lines(cost, indent="  ")


def print_lines(cost: Cost, *, indent: str = "") -> None:
    """Print what a cost is made of: each quantity, its price, and what both make."""
    rows = []
    for line in cost.lines:
        price = Decimal(line.price.picodollars).scaleb(-_PICO_DIGITS)
        amount = price * line.quantity / line.price.per
        rows.append(
            (
                indent + line.what.replace("_", " "),
                grouped(line.quantity),
                trimmed(f"{price:f}"),
                PER[line.price.per],
                trimmed(f"{amount:f}"),
            )
        )
    columns = [
        Column(f"{indent}WHAT", "left"),
        Column("QUANTITY"),
        Column("USD", "point"),
        Column("", "left"),
        Column("MAKES USD", "point"),
    ]
    print_table(columns, rows)


def _tokens(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,} tokens"


def _part(count: int) -> str | None:
    return f"{count:,}" if count else None


def _duration(duration_us: int) -> str:
    return f"{duration_us // 1000:,} ms" if duration_us < 10_000_000 else f"{duration_us // 1_000_000:,} s"

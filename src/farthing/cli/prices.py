"""`farthing prices`: what models cost and why, and the price list itself.

Nothing is read from anywhere unless it is asked for here, and nothing that was read is used before its differences were
shown. Past calls keep the cost they were booked with: `reprice` is a report.
"""

from typing import TYPE_CHECKING, Any

import click

from farthing.cli.call_advice import GIVE_A_PRICE
from farthing.cli.context import current_home, current_settings, say
from farthing.cli.number import Number
from farthing.cli.since import Since
from farthing.cli.tables import counted, grouped, print_json, usd
from farthing.errors import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from farthing.catalog.price_diff import PriceDiff
    from farthing.catalog.price_lists import PriceLists
    from farthing.catalog.refresh import Candidate
    from farthing.config.paths import Home
    from farthing.config.schema import Settings
    from farthing.types.prices import Cost
    from farthing.types.usage import Usage

_MOST_SHOWN = 10_000
_FROM = (
    "FILE, https address, or 'openrouter' for what the configured OpenRouter lists [prices_source in settings.yaml]."
)


@click.group()
def prices() -> None:
    """What models cost and why; refresh the list, compare, price calls anew."""


@prices.command()
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(model: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Show today's price of a MODEL or of those that a pattern fits ('openai:gpt-5*'); alone, which list is used."""
    from farthing.catalog.corrections import correction_of  # noqa: PLC0415  (not for --help)
    from farthing.catalog.price_search import find_sheets  # noqa: PLC0415
    from farthing.cli.price_tables import print_sheet, print_sheets, sheet_as_data  # noqa: PLC0415
    from farthing.cli.pricing import Pricing  # noqa: PLC0415

    home = current_home()
    if model is None:
        _show_lists(home, as_json=as_json)
        return
    settings = _settings_to_read(home)
    if settings is None:
        from farthing.config.schema import Settings  # noqa: PLC0415

        settings = Settings(providers={}, models={})
    found = find_sheets(Pricing(settings, home), model, _now_us())
    if as_json:
        print_json([sheet_as_data(one.provider, one.model, one.sheet) for one in found])
    elif len(found) == 1:
        (one,) = found
        print_sheet(f"{one.provider}:{one.model}", one.sheet, correction_of(one.sheet.id))
    elif found:
        print_sheets([(f"{one.provider}:{one.model}", one.sheet) for one in found])
        say("USD per million tokens; '>' marks prices of longer contexts. Name one model to see all of its prices.")
    if not found:
        raise InvalidRequest(
            f"No price is known of {model!r}.",
            hint=f"'farthing prices show \"*NAME*\"' looks for a part of a name. {GIVE_A_PRICE}",
        )


@prices.command()
@click.argument("call_id", metavar="[CALL_ID]", required=False)
@click.option("--provider", help="Explain a price without a call: the provider,")
@click.option("--model", help="the model,")
@click.option("--usage", help="and what was used: input_tokens=1200,output_tokens=80,cache_read_input_tokens=1000.")
@click.option("--tier", help="The service tier: batch, flex, priority, fast.")
@click.option("--at", "at_us", type=Since(), help="The moment at which the call ended [now].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    call_id: str | None,
    provider: str | None,
    model: str | None,
    usage: str | None,
    tier: str | None,
    at_us: int | None,
    as_json: bool,  # noqa: FBT001  (click's flag)
) -> None:
    """Show how a cost comes about: each quantity, its price, where that is from and why it is this one."""
    from farthing.cli.pricing import pricing_of  # noqa: PLC0415

    home = current_home()
    pricing = pricing_of(home)
    if call_id is not None and not (provider or model or usage):
        _explain_call(home, pricing.explain, call_id, as_json=as_json)
        return
    if not (provider and model and usage) or call_id is not None:
        raise click.UsageError("Name a call's ID, or --provider, --model and --usage.")
    from farthing.catalog.pricing import price  # noqa: PLC0415

    sheet = pricing.sheet(provider, model, _now_us() if at_us is None else at_us)
    if sheet is None:
        raise InvalidRequest(
            f"No price is known of {model!r} at {provider!r}.", hint='"farthing prices show" looks for names.'
        )
    _print_cost(price(_usage(usage), sheet, service_tier=tier), as_json=as_json)


@prices.command()
@click.option("--from", "source", metavar="SOURCE", help=_FROM)
@click.option("--yes", is_flag=True, help="Use it without asking.")
@click.option("--undo", is_flag=True, help="Go back to the list that was used before.")
@click.option("--limit", type=Number(1, _MOST_SHOWN), default=40, show_default=True, help="Models to show.")
@click.pass_context
def refresh(ctx: click.Context, source: str | None, yes: bool, undo: bool, limit: int) -> None:  # noqa: FBT001  (flags)
    """Read a newer price list, show what it changes, and use it from then on. Never happens by itself."""
    from farthing.catalog.price_lists import use  # noqa: PLC0415  (not for --help)
    from farthing.cli.price_tables import print_diff  # noqa: PLC0415

    home = current_home()
    if undo:
        _undo(home)
        return
    candidate, diff, before = _compared(home, source)
    _say_what_was_read(candidate)
    if before == candidate.kept.id or diff.empty:
        say("It says what is used already; nothing was changed.")
        return
    print_diff(diff, limit)
    if not yes and not _agreed():
        say("Nothing was changed. --yes uses the list.")
        ctx.exit(1)
    home.create()
    use(home.prices, candidate.kind, candidate.kept, candidate.data)
    say(f"{candidate.kept.id} is used from now on. 'farthing prices refresh --undo' goes back.")


@prices.command()
@click.option("--from", "source", metavar="SOURCE", help=_FROM)
@click.option("--limit", type=Number(1, _MOST_SHOWN), default=40, show_default=True, help="Models to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(source: str | None, limit: int, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Show what a newer price list would change: models that come and go, old and new prices. Changes nothing."""
    from farthing.cli.price_tables import diff_as_data, print_diff  # noqa: PLC0415  (not for --help)

    candidate, found, before = _compared(current_home(), source)
    if as_json:
        print_json({"old": before, "new": candidate.kept.id, **diff_as_data(found)})
        return
    _say_what_was_read(candidate)
    print_diff(found, limit)
    if found.empty:
        say("It says what is used already.")


@prices.command()
@click.option("--since", type=Since(), help="Only from then on: 2026-11-01, 7d, 24h, today (UTC).")
@click.option(
    "--by",
    type=click.Choice(["model", "provider", "key", "project", "day"]),
    default="model",
    show_default=True,
    help="Make groups.",
)
@click.option("--as-of", type=click.Choice(["call", "now"]), default="call", show_default=True, help="Prices of when.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reprice(since: int | None, by: str, as_of: str, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Show what past calls would cost by the list of today: as of the time of the call, or as if made now.

    Nothing is changed: the ledger keeps what was booked.
    """
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.cli.price_tables import print_repriced, repriced_as_data  # noqa: PLC0415
    from farthing.cli.pricing import pricing_of  # noqa: PLC0415
    from farthing.ledger.repricing import repriced  # noqa: PLC0415

    home = current_home()
    pricing = pricing_of(home)
    now_us = _now_us()
    again = pricing.by_todays_lists if as_of == "call" else lambda attempt: pricing.by_prices_at(attempt, now_us)
    report = read_books(home, lambda books: repriced(books.store, again, by, since))
    if as_json:
        rows = [repriced_as_data(by, row) for row in report.rows]
        everything = {name: value for name, value in repriced_as_data(by, report.total).items() if name != by}
        print_json({"by": by, "since_us": since, "as_of": as_of, "groups": rows, "total": everything})
        return
    print_repriced(by, report)
    total = report.total
    say(f"Compared are {grouped(total.compared)} of {grouped(total.attempts)} attempts, where both costs are known.")
    if total.newly_priced:
        told = (
            f"{grouped(total.newly_priced)} of unknown cost in the ledger would cost {usd(total.newly_priced_nanousd)}"
        )
        say(f"{told} USD.")
    if total.unpriced:
        say(f"{grouped(total.unpriced)} could not be priced: no price, or no usage, is known of them.")


def _settings_to_read(home: "Home") -> "Settings | None":
    """Return the settings; where they are wrong, say so: the list can be read without them."""
    from farthing.cli.books import settings_that_hold  # noqa: PLC0415  (opens the database; not for --help)

    try:
        return settings_that_hold(home)[0]
    except ConfigError:
        say(
            'warning: the settings are wrong ("farthing config check"): no rows of your own, and no names of providers.'
        )
        return None


def _show_lists(home: "Home", *, as_json: bool) -> None:
    from farthing.catalog.price_lists import open_price_lists  # noqa: PLC0415
    from farthing.catalog.snapshot import bundled_snapshot  # noqa: PLC0415
    from farthing.cli.tables import print_fields  # noqa: PLC0415

    lists = open_price_lists(home.prices)
    index = lists.prices.index
    settings = _settings_to_read(home)
    fields = [
        ("list", index.id),
        ("of", index.date),
        ("source", index.source),
        ("providers", str(len(index.providers))),
        ("comes with Farthing", bundled_snapshot().index.id if lists.used.prices else None),
        ("openrouter", lists.openrouter.index.id if lists.openrouter else None),
        ("rows of your own", str(len(settings.prices)) if settings is not None else None),
    ]
    if as_json:
        print_json({name.replace(" ", "_"): value for name, value in fields})
    else:
        print_fields(fields)


def _explain_call(home: "Home", explain_attempt: Any, call_id: str, *, as_json: bool) -> None:
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.cli.price_tables import explained_as_data  # noqa: PLC0415
    from farthing.ledger.reports import find_call  # noqa: PLC0415

    attempts = read_books(home, lambda books: find_call(books.store, call_id))
    costs = [(attempt, explain_attempt(attempt)) for attempt in attempts]
    if as_json:
        print_json(
            [
                {"attempt_id": one.opening.attempt_id, "price": explained_as_data(cost) if cost else None}
                for one, cost in costs
            ]
        )
        return
    for attempt, cost in costs:
        click.echo(f"attempt  {attempt.opening.attempt_id}")
        if cost is not None:
            _print_cost(cost, as_json=False)
        elif attempt.price_id is None:
            told = "no price is known" if attempt.cost_nanousd is None else "it used nothing"
            click.echo(f"cost     {usd(attempt.cost_nanousd)}: {told}")
        else:
            click.echo(f"price    {attempt.price_id}")
            click.echo(f"cost     {usd(attempt.cost_nanousd)} USD; that price has changed since, so its lines are gone")


def _print_cost(cost: "Cost", *, as_json: bool) -> None:
    from farthing.catalog.corrections import correction_of  # noqa: PLC0415
    from farthing.cli.call_sheet import print_lines  # noqa: PLC0415
    from farthing.cli.price_tables import explained_as_data, print_explained  # noqa: PLC0415

    if as_json:
        print_json(explained_as_data(cost))
        return
    print_explained(cost, correction_of(cost.price_id))
    if cost.lines:
        click.echo()
        print_lines(cost)


def _usage(text: str) -> "Usage":
    import msgspec  # noqa: PLC0415

    from farthing.types.usage import Usage  # noqa: PLC0415

    try:
        if text.lstrip().startswith("{"):
            return msgspec.convert(msgspec.json.decode(text), Usage)
        pairs = [pair.partition("=") for pair in text.split(",")]
        unknown = [name.strip() for name, _, _ in pairs if name.strip() not in Usage.__struct_fields__[:-1]]
        if unknown:
            raise click.BadParameter(f"{unknown[0]!r} is no count; known: {', '.join(Usage.__struct_fields__[:-1])}.")
        return msgspec.convert({name.strip(): int(count) for name, _, count in pairs}, Usage)
    except (msgspec.MsgspecError, ValueError) as error:
        raise click.BadParameter(f"{text!r} is no usage: {error}.") from None


def _compared(home: "Home", source: str | None) -> "tuple[Candidate, PriceDiff, str]":
    """Read a list; return it with what it changes, and the id of the one it would replace."""
    from farthing.catalog.price_diff import all_models, compare, openrouter_models  # noqa: PLC0415
    from farthing.catalog.price_lists import open_price_lists  # noqa: PLC0415

    lists: PriceLists = open_price_lists(home.prices)
    candidate = _read(home, source)
    if candidate.kind == "prices":
        new, old = all_models(candidate.snapshot), all_models(lists.prices)
        return candidate, compare(old, new), lists.prices.index.id
    # OpenRouter's own list lies over the other one, so what it does not name keeps the price it has.
    listed = [model for _, model in all_models(candidate.snapshot)]
    own = [model for _, model in all_models(lists.openrouter)] if lists.openrouter else []
    before = openrouter_models((*([lists.openrouter] if lists.openrouter else []), lists.prices), {*listed, *own})
    after = openrouter_models((candidate.snapshot, lists.prices), {*listed, *own})
    return candidate, compare(before, after), lists.openrouter.index.id if lists.openrouter else lists.prices.index.id


def _read(home: "Home", source: str | None) -> "Candidate":
    from farthing.catalog.refresh import read_candidate, read_openrouter, read_source  # noqa: PLC0415
    from farthing.cli.providers import credential_in_use, held_here  # noqa: PLC0415
    from farthing.providers.registry import create_provider  # noqa: PLC0415

    settings = current_settings(home)
    if source == "openrouter":
        provider = next((one for one in settings.providers.values() if one.price_key == "openrouter"), None)
        if provider is None:
            raise ConfigError("No provider of the kind 'openrouter' is configured.", hint="--from FILE reads its list.")
        credential = credential_in_use(provider, held_here(home)).credential
        data, told = read_openrouter(create_provider(provider, credential)), f"{provider.base_url}/models"
    else:
        told = source or settings.prices_source
        say(f"Reading {told} ...")
        data = read_source(told)
    now_us = _now_us()
    from farthing.types.ledger import utc_day  # noqa: PLC0415

    return read_candidate(data, source=told, day=utc_day(now_us), now_us=now_us)


def _say_what_was_read(candidate: "Candidate") -> None:
    compiled = candidate.compiled
    providers, models = counted(len(compiled.providers), "provider"), counted(compiled.models, "model")
    say(f"{candidate.kept.id}: {providers}, {models}.")
    if compiled.rounded:
        say(f"Rounded to a picodollar: {counted(len(compiled.rounded), 'price')}.")
    for what, times in sorted(compiled.left_out.items()):
        say(f"Not priced, {counted(times, 'time')}: {what}.")


def _undo(home: "Home") -> None:
    from farthing.catalog.price_lists import undo  # noqa: PLC0415
    from farthing.catalog.snapshot import bundled_snapshot  # noqa: PLC0415

    given_up, now = undo(home.prices)
    bundled = bundled_snapshot().index.id
    for kind, old, new, otherwise in (
        ("prices", given_up.prices, now.prices, bundled),
        ("openrouter", given_up.openrouter, now.openrouter, "none of its own"),
    ):
        if old != new:
            before, after = (one.id if one else otherwise for one in (old, new))
            say(f"{kind}: {after} is used from now on, and no longer {before}.")


def _agreed() -> bool:
    import sys  # noqa: PLC0415

    return sys.stdin.isatty() and click.confirm("Use this list from now on?", err=True)


def _now_us() -> int:
    from farthing.clock import SystemClock  # noqa: PLC0415

    return SystemClock().now_us()

"""`farthing reconcile`: the ledger against a provider's own export, with a capture rate and the largest differences."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from farthing.cli.context import current_home, current_settings, say
from farthing.cli.number import Number
from farthing.cli.tables import Column, counted, grouped, print_json, print_table, usd
from farthing.errors import ConfigError

if TYPE_CHECKING:
    from farthing.config.paths import Home
    from farthing.ledger.reconciliation.compare import Difference, Reconciliation, Side
    from farthing.ledger.reconciliation.formats import ExportOf

_KINDS = {"openai": "openai", "anthropic": "anthropic", "openrouter": "openrouter", "google": "gemini"}
"""Which kind of configured provider an export is of."""

_WHY = {
    "around_the_gateway": "calls around the gateway",
    "not_in_the_export": "not in the export (yet, or by that name)",
    "unknown_price": "calls that we know no price of",
    "another_price": "the same tokens, another price",
    "estimated_usage": "answers that were cut, estimated",
    "time_zone": "the day beside it differs the other way: time zone",
    "other": "no figure says why",
}
_TITLES = {
    "usd": "USD",
    "requests": "requests",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "cache_read_tokens": "cache reads",
}


class Columns(click.ParamType["dict[str, str]"]):
    """`day=Date,model=Model,usd=Amount`: which column holds what."""

    name = "columns"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        """Return the columns by what they hold."""
        from farthing.ledger.reconciliation.formats import GENERIC_COLUMNS  # noqa: PLC0415  (not for --help)

        if isinstance(value, dict):
            return value
        pairs = [pair.partition("=") for pair in str(value).split(",")]
        found = {name.strip(): column.strip() for name, is_one, column in pairs if is_one}
        wrong = [name for name in found if name not in GENERIC_COLUMNS]
        if wrong or len(found) < len(pairs) or "day" not in found or not {*found} - {"day", "model"}:
            names = ", ".join(GENERIC_COLUMNS)
            self.fail(f"{value!r}: write day=COLUMN and at least one figure; names are {names}.", param, ctx)
        return found


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--provider",
    type=click.Choice(["openai", "anthropic", "openrouter", "google", "generic"]),
    required=True,
    help="Whose export it is.",
)
@click.option("--name", "names", multiple=True, help="Our name of the provider [every one of that kind].")
@click.option("--columns", type=Columns(), help="generic: day=Date,model=Model,usd=Amount,requests=...,input=...")
@click.option("--limit", type=Number(1, 10_000), default=20, show_default=True, help="Differences to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(
    file: Path,
    provider: str,
    names: tuple[str, ...],
    columns: dict[str, str] | None,
    limit: int,
    as_json: bool,  # noqa: FBT001  (click's flag)
) -> None:
    """Compare the ledger with a provider's export FILE, day by day (UTC) and model by model."""
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.ledger.reconciliation.compare import add_up, compare  # noqa: PLC0415
    from farthing.ledger.reconciliation.formats import generic_reader  # noqa: PLC0415
    from farthing.ledger.reconciliation.readers import billed_lines  # noqa: PLC0415
    from farthing.types.spending import SpendingRow, SpendingScope  # noqa: PLC0415

    if (provider == "generic") != (columns is not None):
        raise click.UsageError("--columns belongs to --provider generic, which needs it.")
    home = current_home()
    ours = names or _configured(home, provider)
    reader = generic_reader(columns) if columns else None
    theirs = add_up(billed_lines(file, cast("ExportOf", provider), reader))
    since_us, until_us = _bounds([day for day, _ in theirs])

    async def rows(books: Any) -> list[SpendingRow]:
        found: list[SpendingRow] = []
        for name in ours:
            scope = [SpendingScope("provider", name)]
            if name in names and not await books.store.spending(("provider",), scope=scope):
                _refuse_unknown(home, name)
            found += await books.store.spending(
                ("day", "model_served"), since_us=since_us, until_us=until_us, scope=scope
            )
        return found

    told = compare(theirs, read_books(home, rows))
    if as_json:
        print_json(_as_data(told, ours, limit))
    else:
        print_reconciliation(told, limit)
        say(f"Compared with {', '.join(ours)} in the ledger, by UTC day.")


def print_reconciliation(told: "Reconciliation", limit: int) -> None:
    """Print the capture rates and the largest differences."""
    days = told.first_day if told.first_day == told.last_day else f"{told.first_day} to {told.last_day}"
    agree = f"{grouped(told.agreeing)} of {counted(told.cells, 'day by model', 'days by models')} agree"
    click.echo(click.style(f"{days}: {agree}", bold=True))
    columns = [Column("FIGURE", "left"), Column("THEIRS", "point"), Column("OURS", "point"), Column("CAPTURED")]
    rows = [
        (
            _TITLES[one.measure],
            _figure(one.measure, one.theirs),
            _figure(one.measure, one.ours),
            _percent(one.captured, one.theirs),
        )
        for one in told.captures
    ]
    print_table(columns, rows)
    if told.differences:
        click.echo("\n" + click.style("Differences (ours against theirs), the largest first", bold=True))
        for one in told.differences[:limit]:
            _print_difference(one)
        if len(told.differences) > limit:
            click.echo(f"and {grouped(len(told.differences) - limit)} more; --limit shows them")


def _print_difference(one: "Difference") -> None:
    click.echo(f"{one.day}  {one.model or 'all models'}")
    for measure, title in _TITLES.items():
        theirs, ours = getattr(one.theirs, measure), getattr(one.ours, measure)
        if theirs is not None and ours is None:
            click.echo(f"    {title:<13}  unknown against {_figure(measure, theirs)}")
        elif theirs is not None and theirs != ours:
            sign = "+" if ours > theirs else "-"
            more = f"{sign}{_figure(measure, abs(ours - theirs))}"
            click.echo(f"    {title:<13}  {_figure(measure, ours)} against {_figure(measure, theirs)} ({more})")
    click.echo(f"    likely: {'; '.join(_WHY[reason] for reason in one.reasons)}")


def _figure(measure: str, value: int) -> str:
    return usd(value) if measure == "usd" else grouped(value)


def _percent(part: int, whole: int) -> str:
    if whole <= 0:
        return "-"
    hundredths = part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def _as_data(told: "Reconciliation", names: Sequence[str], limit: int) -> dict[str, Any]:
    return {
        "providers": list(names),
        "first_day": told.first_day,
        "last_day": told.last_day,
        "days_by_models": told.cells,
        "agreeing": told.agreeing,
        "captured": {
            one.measure: {
                **_money_or_count(one.measure, theirs=one.theirs, ours=one.ours, captured=one.captured),
                "percent": _percent(one.captured, one.theirs).removesuffix(" %") if one.theirs > 0 else None,
            }
            for one in told.captures
        },
        "differences": [
            {
                "day": one.day,
                "model": one.model,
                "theirs": _side(one.theirs),
                "ours": _side(one.ours),
                "reasons": list(one.reasons),
            }
            for one in told.differences[:limit]
        ],
        "more_differences": max(0, len(told.differences) - limit),
    }


def _money_or_count(measure: str, **figures: int) -> dict[str, Any]:
    from farthing.types.money import usd_text  # noqa: PLC0415  (not for --help)

    if measure != "usd":
        return dict(figures)
    texts = {f"{name}_usd": usd_text(value) for name, value in figures.items()}
    return texts | {f"{name}_nanousd": value for name, value in figures.items()}


def _side(side: "Side") -> dict[str, Any]:
    from farthing.types.money import usd_text  # noqa: PLC0415  (not for --help)

    told: dict[str, Any] = {name: getattr(side, name) for name in side.__struct_fields__ if name != "usd"}
    return {"usd": None if side.usd is None else usd_text(side.usd), "nanousd": side.usd, **told}


def _refuse_unknown(home: "Home", name: str) -> None:
    """Refuse a name that was never called and is not in the settings: nothing would be compared with everything.

    Raises:
        ConfigError: it is none of ours.
    """
    known = current_settings(home).providers
    if name not in known:
        told = f"Unknown provider {name!r}: the settings have {', '.join(known) or 'none'}"
        raise ConfigError(f"{told}, and the ledger no call to it.", hint="--name is our name of the provider.")


def _configured(home: "Home", provider: str) -> tuple[str, ...]:
    """Return our names of providers of that kind; the kind's own name where settings name none."""
    if provider == "generic":
        raise click.UsageError("--provider generic needs --name: our name of the provider.")
    kind = _KINDS[provider]
    try:
        settings = current_settings(home)
    except ConfigError:
        say(f'warning: the settings are wrong ("farthing config check"); taking {kind!r} for its name.')
        return (kind,)
    named: Mapping[str, Any] = settings.providers
    return tuple(name for name, one in named.items() if one.kind == kind) or (kind,)


def _bounds(days: Sequence[str]) -> tuple[int, int]:
    """Return where the first day begins and the last ends, microseconds since 1970."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (min(days), max(days)))
    return (first - epoch) // timedelta(microseconds=1), (last + timedelta(days=1) - epoch) // timedelta(microseconds=1)

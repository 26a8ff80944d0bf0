"""A spending report as a page for people."""

from collections.abc import Sequence
from datetime import datetime

import click

from farthing.cli.tables import Column, counted, folded, grouped, print_fields, print_table, rule_title, usd
from farthing.ledger.budget_use import BudgetUse
from farthing.ledger.periods import zone_of
from farthing.ledger.recommendations import Recommendation
from farthing.ledger.spending_report import Period, SpendingReport
from farthing.types.spending import SpendingRow

MOST_ROWS = 10
"""Rows of a table on the page; --json has them all."""
_LEAST = "<0.1 %"


def print_report(told: SpendingReport) -> None:
    """Print the page; a part that has nothing to say is left out."""
    total = told.total
    scope = ", ".join(f"{one.by} {one.value if one.value is not None else '(none)'}" for one in told.scope)
    click.echo(click.style(_title(told.period) + (f"; only {scope}" if scope else ""), bold=True))
    if not total.attempts:
        click.echo("Nothing was called in that time.")
        _print_beside(told)
        return
    print_fields(_overview(told), indent="  ")
    _heading("What it went into")
    _print_kinds(told)
    _heading("By model")
    _print_groups("MODEL", [(_model(row), row) for row in told.by_model])
    if len(told.by_project) > 1 or told.by_project[0].groups[0] is not None:
        _heading("By project")
        _print_groups("PROJECT", [(row.groups[0] or "(no project)", row) for row in told.by_project])
    for group in told.groups:
        name = group.by.replace("_", " ")
        _heading(f"By {name}")
        _print_groups(name.upper(), [(row.groups[0] or f"(no {name})", row) for row in group.rows])
        if group.by == "tag" and sum(row.attempts for row in group.rows) > told.total.attempts:
            click.echo("a call with several tags stands under each of them")
    _print_beside(told)
    _heading("Recommendations")
    for one in told.recommendations:
        _print_advice(one)
    if not told.recommendations:
        click.echo("  None that the ledger has enough calls for.")


def _overview(told: SpendingReport) -> list[tuple[str, str | None]]:
    total, tokens = told.total, told.total.input_tokens + told.total.output_tokens
    failed = f", {grouped(total.failed_attempts)} failed" if total.failed_attempts else ""
    tries = f" ({grouped(total.attempts)} attempts{failed})" if total.attempts != total.calls or failed else ""
    unknown = counted(total.unknown_cost_attempts, "attempt")
    return [
        ("spent", f"{usd(total.known_cost_nanousd)} USD{_against(told)}"),
        ("beside it", f"{usd(sum(one.nanousd for one in told.fixed))} USD of fixed costs" if told.fixed else None),
        ("unknown cost", f"{unknown}, in no sum" if total.unknown_cost_attempts else None),
        ("calls", grouped(total.calls) + tries),
        ("tokens", f"{grouped(total.input_tokens)} read, {grouped(total.output_tokens)} written"),
        ("from cache", f"{_percent(total.cache_read_input_tokens, total.input_tokens)} of what was read"),
        ("free", f"{_percent(total.free_tokens, tokens)} of tokens, {grouped(total.free_attempts)} attempts"),
    ]


def _against(told: SpendingReport) -> str:
    """Return how the sum compares with the period before, or with as much of it as of this one has gone by."""
    then = told.before.known_cost_nanousd
    name = f"the {told.period.name} before"
    name += " up to the same point" if told.period.running else ""
    if not told.before.attempts:
        return f"; nothing in {name}"
    now = told.total.known_cost_nanousd
    if then is None or now is None:
        return f"; {usd(then)} in {name}"
    change = f", {'+' if now >= then else '-'}{_percent(abs(now - then), then)}" if then else ""
    return f"; {usd(then)} in {name}{change}"


def _print_kinds(told: SpendingReport) -> None:
    total = told.total
    rows = [
        (
            one.name,
            "" if one.tokens is None else grouped(one.tokens),
            "-" if one.nanousd is None else usd(one.nanousd),
        )
        for one in told.by_kind
    ]
    tokens = grouped(total.input_tokens + total.output_tokens)
    columns = [Column("KIND", "left"), Column("TOKENS"), Column("USD", "point")]
    print_table(columns, rows, total=("total", tokens, usd(total.known_cost_nanousd)))


def _print_groups(title: str, groups: Sequence[tuple[str, SpendingRow]]) -> None:
    unknown = any(row.unknown_cost_attempts for _, row in groups)
    columns = [Column(title, "left"), Column("CALLS"), Column("INPUT"), Column("OUTPUT"), Column("CACHED")]
    columns += [Column("USD", "point"), *([Column("UNKNOWN")] if unknown else [])]
    rows = [
        (
            name,
            grouped(row.calls),
            grouped(row.input_tokens),
            grouped(row.output_tokens),
            _percent(row.cache_read_input_tokens, row.input_tokens),
            usd(row.known_cost_nanousd),
            *([grouped(row.unknown_cost_attempts) if row.unknown_cost_attempts else ""] if unknown else []),
        )
        for name, row in groups[:MOST_ROWS]
    ]
    print_table(columns, rows)
    if len(groups) > MOST_ROWS:
        click.echo(f"and {grouped(len(groups) - MOST_ROWS)} more, which cost less")


def _print_beside(told: SpendingReport) -> None:
    """Print what stands beside what calls cost: fixed costs of the time so far, and budgets."""
    if told.fixed:
        _heading("Fixed costs in that time, whatever was called")
        rows = [(one.cost.name, f"{usd(one.cost.nanousd)} a {one.cost.per}", usd(one.nanousd)) for one in told.fixed]
        columns = [Column("NAME", "left"), Column("PAID"), Column("USD", "point")]
        print_table(columns, rows, total=("total", "", usd(sum(one.nanousd for one in told.fixed))))
    if told.budgets:
        _heading("Budgets")
        _print_budgets(told.budgets)


def _print_budgets(uses: Sequence[BudgetUse]) -> None:
    """Print how much of each was used; over several periods, how full the fullest of them was."""
    several = any(use.periods > 1 for use in uses)
    columns = [Column("BUDGET", "left"), Column("PERIOD", "left"), Column("USED")]
    columns += [Column("FULLEST")] if several else []
    columns += [Column("SPENT", "point"), Column("LIMIT", "point")]
    rows = []
    for use in uses[:MOST_ROWS]:
        full = "" if use.periods == 1 or use.fullest_permille is None else _percent(use.fullest_permille, 1000)
        if use.fullest_permille == 0 and use.spent_nanousd and full:
            full = _LEAST
        cells = [rule_title(use.name, use.subject), use.period if use.periods == 1 else f"{use.periods} x {use.period}"]
        cells += [_percent(use.spent_nanousd, use.limit_nanousd), *([full] if several else [])]
        rows.append([*cells, usd(use.spent_nanousd), usd(use.limit_nanousd)])
    print_table(columns, rows)
    if len(uses) > MOST_ROWS:
        click.echo(f"and {grouped(len(uses) - MOST_ROWS)} more, which are less full")


def _print_advice(one: Recommendation) -> None:
    lines = folded(f"{one.subject}: {one.advice}.", indent=4)
    click.echo("  * " + "\n    ".join(lines))
    amounts = [usd(nanousd).partition(".") for _, nanousd in one.arithmetic]
    before, after = (max(len(amount[place]) for amount in amounts) for place in (0, 2))
    for (what, _), (whole, _, decimals) in zip(one.arithmetic, amounts, strict=True):
        click.echo(f"      {whole:>{before}}.{decimals:<{after}}  {what}")
    saves = "" if one.saves_nanousd is None else f"saves at most {usd(one.saves_nanousd)} USD; "
    click.echo(f"    {saves}from {grouped(one.sample)} {one.of}")


def _heading(text: str) -> None:
    click.echo("\n" + click.style(text, bold=True))


def _title(period: Period) -> str:
    zone = zone_of(period.time_zone)
    begins = datetime.fromtimestamp(period.since_us // 1_000_000, zone)
    name = begins.strftime("%Y-%m" if period.name == "month" else "%Y-%m-%d")
    if period.name == "week":
        name = f"the week from {name}"
    until = datetime.fromtimestamp(period.until_us // 1_000_000, zone).strftime("%Y-%m-%d %H:%M")
    return f"Report of {name}" + (
        f", so far (until {until} {period.time_zone})" if period.running else f" ({period.time_zone})"
    )


def _model(row: SpendingRow) -> str:
    return ":".join(part or "" for part in row.groups)


def _percent(part: int, whole: int) -> str:
    """Return a share as text, `-` of nothing; what is something is not shown as 0."""
    if whole <= 0:
        return "-"
    tenths = part * 1000 // whole
    return _LEAST if part and not tenths else f"{tenths // 10:,}.{tenths % 10} %"

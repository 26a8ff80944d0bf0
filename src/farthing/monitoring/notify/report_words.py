"""A report in words, line by line: what has no fixed width, so that it reads well in a chat and in a mail.

Amounts are to three digits and at most to the cent, but what was spent is exact. Chats cut what is long (Slack after
3,000 letters), so what matters most stands first, and each part is short.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from farthing.types.money import rough_usd, trimmed_usd
from farthing.types.report_facts import ReportAdvice, ReportBudget, ReportLine, ReportMade

_SHOWN = 5
"""Lines of each part; who wants more of it opens the page."""


def report_words(about: ReportMade) -> tuple[str, str]:
    """Return a title, and the report."""
    of = f", only {about.scope}" if about.scope else ""
    title = f"Report {about.name!r}: {_period(about)}{of}"
    return title, "\n".join(line for part in _parts(about) for line in part)


def _parts(about: ReportMade) -> Iterator[list[str]]:
    yield [f"Spent {_exact(about.spent_nanousd)}{_against(about)}."]
    if about.unknown_cost_attempts:
        yield [f"{_counted(about.unknown_cost_attempts, 'attempt')} of unknown cost, in no sum."]
    failed = f", {about.failed_attempts:,} failed" if about.failed_attempts else ""
    yield [f"{_counted(about.calls, 'call')}, {_counted(about.attempts, 'attempt')}{failed}."]
    if about.kinds:
        yield ["", "What it went into", *_kinds(about)]
    yield from (
        ["", title, *_lines(rows)]
        for title, rows in (("By model", about.by_model), ("By project", about.by_project))
        if rows
    )
    if about.budgets:
        yield ["", "Budgets", *(_budget(one) for one in about.budgets[:_SHOWN])]
    if about.fixed:
        yield ["", "Paid whatever was called", *(f"- {_plain(one.name)}: {_usd(one.nanousd)}" for one in about.fixed)]
    if about.advice:
        yield ["", "Recommendations", *(_advice(one) for one in about.advice[:_SHOWN])]


def _period(about: ReportMade) -> str:
    since = datetime.fromtimestamp(about.since_us // 1_000_000, ZoneInfo(about.time_zone))
    form = {"day": "%A %Y-%m-%d", "week": "the week from %Y-%m-%d", "month": "%B %Y"}[about.period]
    return f"{since:{form}} ({about.time_zone})"


def _against(about: ReportMade) -> str:
    before, now = about.before_nanousd, about.spent_nanousd
    if not about.before_attempts:
        return f"; nothing was called in the {about.period} before"
    told = f"; {_usd(before)} in the {about.period} before"
    if not before or now is None:
        return told
    return f"{told} ({'+' if now >= before else '-'}{_percent(abs(now - before), before)})"


def _kinds(about: ReportMade) -> Iterator[str]:
    for one in about.kinds:
        told = ["in what is not split" if one.nanousd is None else _usd(one.nanousd)]
        told += [] if one.tokens is None else [_counted(one.tokens, "token")]
        yield f"- {one.name}: {', '.join(told)}"


def _lines(rows: Sequence[ReportLine]) -> Iterator[str]:
    for one in rows[:_SHOWN]:
        tokens = f"{one.input_tokens:,} tokens in, {one.output_tokens:,} out"
        yield f"- {_plain(one.name)}: {_usd(one.nanousd)}, {_counted(one.calls, 'call')}, {tokens}"


def _budget(one: ReportBudget) -> str:
    whose = "" if one.subject == "all calls" else f" ({_plain(one.subject)})"
    told = f"- {_plain(one.name)}{whose}: {_percent(one.spent_nanousd, one.limit_nanousd)} used,"
    told += f" {_usd(one.spent_nanousd)} of {_usd(one.limit_nanousd)}"
    if one.periods == 1:
        return f"{told} for the {one.period}" if one.period != "total" else told
    fullest = "" if one.fullest_permille is None else f", the fullest {_percent(one.fullest_permille, 1000)}"
    return f"{told} in {one.periods} {one.period}s{fullest}"


def _advice(one: ReportAdvice) -> str:
    sums = "; ".join(f"{amount.name} {_usd(amount.nanousd)}" for amount in one.arithmetic)
    saves = "" if one.saves_nanousd is None else f"saves at most {_usd(one.saves_nanousd)}; "
    return f"- {_plain(one.subject)}: {_plain(one.advice)} ({_plain(sums)}; {saves}from {one.sample:,} {one.of})"


def _exact(nanousd: int | None) -> str:
    return "an unknown amount" if nanousd is None else f"${trimmed_usd(nanousd)}"


def _usd(nanousd: int | None) -> str:
    return "unknown" if nanousd is None else f"${rough_usd(nanousd)}"


def _percent(part: int, whole: int) -> str:
    if whole <= 0:
        return "all" if part else "nothing"
    tenths = part * 1000 // whole
    return f"{tenths // 10:,}.{tenths % 10} %"


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """Return a name that a client chose, on one line whatever is in it."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)

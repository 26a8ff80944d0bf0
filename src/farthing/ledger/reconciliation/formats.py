"""What providers' exports look like: one reader for each, chosen by what a file holds.

Where each shape was seen (read 2026-11):
- OpenAI: developers.openai.com/api/reference, organization/costs and organization/usage; the dashboard's CSV files
  `cost_*.csv` and `completions_usage_*.csv` have the same fields as columns, amounts with thirty decimals.
- Anthropic: platform.claude.com/docs/en/api/admin, cost_report (amounts in cents, as text) and usage_report/messages;
  the console's CSV files of cost (`usage_date_utc`, models as people call them) and of tokens (`model_version`).
- OpenRouter: openrouter.ai/docs, GET /activity; the activity page's two CSV files, one line a generation and one a day.
- Google: Cloud Billing's cost table, a CSV under lines about the invoice. Gemini's models stand in the SKU's name.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any, Literal

from farthing.errors import ExportUnreadable
from farthing.ledger.reconciliation.lines import BilledLine, amount, count, day_of, one_day, usd_only

ExportOf = Literal["openai", "anthropic", "openrouter", "google", "generic"]

Row = Mapping[str, Any]
RowReader = Callable[[Row, str], Iterator[BilledLine]]
"""Reads one row, or one result of JSON with its bucket's times; the text is where it stands, for messages."""

MOST_COLUMNS_TOLD = 12
"""Columns of a file that a message names: a screen's line."""


def row_reader(provider: ExportOf, fields: Sequence[str], where: str) -> RowReader:
    """Return what reads rows with these fields.

    Raises:
        ExportUnreadable: no export of that provider that we know has them.
    """
    there = set(fields)
    for needed, reader in _READERS[provider]:
        if needed <= there:
            return reader
    known = "; ".join(", ".join(sorted(needed)) for needed, _ in _READERS[provider])
    has = ", ".join(list(fields)[:MOST_COLUMNS_TOLD])
    raise ExportUnreadable(
        f"{where}: no export of {provider} that is known has these columns: {has}.",
        hint=f"it needs one of: {known}. --provider generic --columns reads any CSV.",
    )


def generic_reader(columns: Mapping[str, str]) -> RowReader:
    """Return what reads rows by the operator's own table: `day`, `model`, `usd`, `requests`, ... -> the column."""

    def read(row: Row, where: str) -> Iterator[BilledLine]:
        for column in columns.values():  # or an amount that stands under another name would be taken for unknown
            if column not in row:
                known = ", ".join(list(row)[:MOST_COLUMNS_TOLD])
                raise ExportUnreadable(f"{where}: there is no column {column!r}.", hint=f"there are: {known}.")

        def cell(name: str) -> Any:
            return row[columns[name]] if name in columns else None

        yield BilledLine(
            day=day_of(cell("day"), columns["day"], where),
            model=cell("model") or None,
            usd=amount(cell("usd"), "usd", where),
            requests=count(cell("requests"), "requests", where),
            input_tokens=count(cell("input"), "input", where),
            output_tokens=count(cell("output"), "output", where),
            cache_read_tokens=count(cell("cache_read"), "cache_read", where),
        )

    return read


GENERIC_COLUMNS = ("day", "model", "usd", "requests", "input", "output", "cache_read")


def _openai_usage(row: Row, where: str) -> Iterator[BilledLine]:
    day = _bucket(row, where)
    if row.get("num_model_requests") not in (None, ""):  # an empty bucket is a row of its times alone
        yield BilledLine(
            day=day,
            model=row.get("model") or None,
            requests=count(row["num_model_requests"], "num_model_requests", where),
            input_tokens=count(row.get("input_tokens"), "input_tokens", where),
            output_tokens=count(row.get("output_tokens"), "output_tokens", where),
            cache_read_tokens=count(row.get("input_cached_tokens"), "input_cached_tokens", where),
        )


def _openai_cost(row: Row, where: str) -> Iterator[BilledLine]:
    """A line item is a model and a kind, `gpt-5-nano, input`; without one it is the whole day."""
    told = row.get("amount")
    nested = (
        told
        if isinstance(told, Mapping)
        else {"value": row.get("amount_value"), "currency": row.get("amount_currency")}
    )
    usd_only(nested.get("currency"), where)
    usd = amount(nested.get("value"), "amount", where)
    if usd is not None:
        item = row.get("line_item") or None
        yield BilledLine(day=_bucket(row, where), model=item and str(item).partition(",")[0], usd=usd)


def _bucket(row: Row, where: str) -> str:
    begins = count(row.get("start_time"), "start_time", where)
    ends = count(row.get("end_time"), "end_time", where)
    if begins is None or ends is None:
        raise ExportUnreadable(f"{where}: a bucket without start_time and end_time.")
    return one_day(begins, ends, where)


_ANTHROPIC_INPUT = ("uncached_input_tokens", "cache_read_input_tokens")


def _anthropic_usage(row: Row, where: str) -> Iterator[BilledLine]:
    written = row.get("cache_creation") or {}
    parts = [count(row.get(name), name, where) for name in _ANTHROPIC_INPUT]
    parts += [count(value, name, where) for name, value in written.items()]
    yield BilledLine(
        day=day_of(row.get("starting_at"), "starting_at", where),
        model=row.get("model") or None,
        input_tokens=sum(part or 0 for part in parts),
        output_tokens=count(row.get("output_tokens"), "output_tokens", where),
        cache_read_tokens=parts[1],
    )


def _anthropic_cost(row: Row, where: str) -> Iterator[BilledLine]:
    """Amounts are in the lowest unit: `123.45` is 1.2345 dollars."""
    usd_only(row.get("currency"), where)
    cents = amount(row.get("amount"), "amount", where)
    if cents is not None:
        yield BilledLine(
            day=day_of(row.get("starting_at"), "starting_at", where), model=row.get("model") or None, usd=cents / 100
        )


_CONSOLE_INPUT = (
    *("usage_input_tokens_no_cache", "usage_input_tokens_cache_read", "usage_input_tokens_cache_write"),
    *("usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"),
)


def _console_usage(row: Row, where: str) -> Iterator[BilledLine]:
    parts = [count(row.get(name), name, where) for name in _CONSOLE_INPUT]
    yield BilledLine(
        day=day_of(row["usage_date_utc"], "usage_date_utc", where),
        model=row["model_version"] or None,
        input_tokens=sum(part or 0 for part in parts),
        output_tokens=count(row["usage_output_tokens"], "usage_output_tokens", where),
        cache_read_tokens=parts[1],
    )


def _console_cost(row: Row, where: str) -> Iterator[BilledLine]:
    yield BilledLine(
        day=day_of(row["usage_date_utc"], "usage_date_utc", where),
        model=row["model"] or None,
        usd=amount(row["cost_usd"], "cost_usd", where),
    )


def _openrouter_generation(row: Row, where: str) -> Iterator[BilledLine]:
    yield BilledLine(
        day=day_of(row["created_at"], "created_at", where),
        model=row["model_permaslug"] or None,
        usd=amount(row["cost_total"], "cost_total", where),
        requests=1,
        input_tokens=count(row.get("tokens_prompt"), "tokens_prompt", where),
        output_tokens=count(row.get("tokens_completion"), "tokens_completion", where),
        cache_read_tokens=count(row.get("tokens_cached"), "tokens_cached", where),
    )


def _openrouter_activity(row: Row, where: str) -> Iterator[BilledLine]:
    """What a key of one's own at the maker cost (BYOK) is billed there, and not counted here."""
    yield BilledLine(
        day=day_of(row["date"], "date", where),
        model=row.get("model_permaslug") or row.get("model") or None,
        usd=amount(row["usage"], "usage", where),
        requests=count(row.get("requests"), "requests", where),
        input_tokens=count(row.get("prompt_tokens"), "prompt_tokens", where),
        output_tokens=count(row.get("completion_tokens"), "completion_tokens", where),
    )


def _openrouter_days(row: Row, where: str) -> Iterator[BilledLine]:
    names = {"date": "Date", "model": "Slug", "usage": "Usage", "requests": "Requests"}
    names |= {"prompt_tokens": "Prompt Tokens", "completion_tokens": "Completion Tokens"}
    yield from _openrouter_activity({ours: row.get(theirs) for ours, theirs in names.items()}, where)


_GEMINI = re.compile(r"\b(gemini[ -][0-9.]+(?:[ -](?:pro|flash|ultra|nano))?(?:[ -]lite)?)\b", re.IGNORECASE)


def _google_cost(row: Row, where: str) -> Iterator[BilledLine]:
    """A row of a day; taxes and what is not Gemini's (other services of the same account) are left out."""
    sku = str(row["SKU description"] or "")
    found = _GEMINI.search(sku)
    if found is None:
        return
    begins = day_of(row["Usage start date"], "Usage start date", where)
    ends = day_of(row.get("Usage end date") or begins, "Usage end date", where)
    if (date.fromisoformat(ends) - date.fromisoformat(begins)).days > 1:
        raise ExportUnreadable(
            f"{where}: a row is longer than a day.", hint="group the cost table by day, and export it again."
        )
    kind = sku.lower()
    tokens = count(row.get("Usage amount"), "Usage amount", where) if "token count" in kind else None
    reads = tokens is not None and "output token" not in kind
    yield BilledLine(
        day=begins,
        model=found[1],
        usd=_google_usd(row, where),
        input_tokens=tokens if reads else None,
        output_tokens=None if reads else tokens,
    )


def _google_usd(row: Row, where: str) -> Fraction | None:
    exact = [name for name in row if name and name.lower() == "unrounded cost ($)"]
    return amount(row[exact[0]] if exact else row["Cost ($)"], "cost", where)


_READERS: Mapping[ExportOf, Sequence[tuple[frozenset[str], RowReader]]] = {
    "openai": (
        (frozenset({"start_time", "end_time", "num_model_requests"}), _openai_usage),
        (frozenset({"start_time", "end_time", "amount_value"}), _openai_cost),
        (frozenset({"start_time", "end_time", "amount"}), _openai_cost),
    ),
    "anthropic": (
        (frozenset({"starting_at", "uncached_input_tokens", "output_tokens"}), _anthropic_usage),
        (frozenset({"starting_at", "amount"}), _anthropic_cost),
        (frozenset({"usage_date_utc", "model_version", "usage_output_tokens"}), _console_usage),
        (frozenset({"usage_date_utc", "model", "cost_usd"}), _console_cost),
    ),
    "openrouter": (
        (frozenset({"created_at", "cost_total", "model_permaslug"}), _openrouter_generation),
        (frozenset({"date", "usage"}), _openrouter_activity),
        (frozenset({"Date", "Slug", "Usage"}), _openrouter_days),
    ),
    "google": ((frozenset({"Usage start date", "SKU description", "Cost ($)"}), _google_cost),),
    "generic": (),
}

"""Opens a provider's export: CSV row by row, JSON page by page, and tells the line where something is wrong.

CSV is streamed, so its length does not matter. JSON is read whole and bounded: the APIs hand out a month of days by
model in 100 KB. Several pages may stand in one file, one after the other, as `cat page*.json` makes them.
"""

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from farthing.errors import ExportUnreadable
from farthing.ledger.reconciliation.formats import ExportOf, RowReader, row_reader
from farthing.ledger.reconciliation.lines import BilledLine

MAX_JSON_BYTES = 64 << 20
"""A year by the minute is 50 MB; CSV has no bound."""
MAX_PREAMBLE_LINES = 50
"""Lines about the invoice that may stand above a CSV's header; Google writes ten."""


def billed_lines(path: Path, provider: ExportOf, generic: RowReader | None = None) -> Iterator[BilledLine]:
    """Yield what the file bills, in its order; `generic` reads the rows where the provider is.

    Raises:
        ExportUnreadable: it cannot be opened, is no such export, or a line of it is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.read(1024).lstrip()
            file.seek(0)
            if start.startswith(("{", "[")) and generic is None:
                yield from _of_json(file, path.name, provider)
            else:
                yield from _of_csv(file, path.name, provider, generic)
    except OSError as error:
        raise ExportUnreadable(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ExportUnreadable(
            f"{path.name}: it is not UTF-8 text.", hint="save it as CSV in UTF-8, or as JSON."
        ) from error


def _of_csv(file: TextIO, name: str, provider: ExportOf, reader: RowReader | None) -> Iterator[BilledLine]:
    rows = csv.reader(file, strict=True)
    try:
        header, reader = _header(rows, name, provider, reader)
        for cells in rows:
            if not any(cells):
                continue
            where = f"{name}:{rows.line_num}"
            if len(cells) != len(header):
                raise ExportUnreadable(f"{where}: {len(cells)} cells under {len(header)} columns; was it cut?")
            yield from reader(dict(zip(header, cells, strict=True)), where)
    except csv.Error as error:
        raise ExportUnreadable(f"{name}:{rows.line_num}: no CSV: {error}.") from error


def _header(rows: Any, name: str, provider: ExportOf, reader: RowReader | None) -> tuple[list[str], RowReader]:
    """Return the columns and what reads the rows; Google's stand below lines about the invoice."""
    first: list[str] = []
    for cells in rows:
        header = [cell.strip() for cell in cells]
        if provider == "google" and "SKU description" not in header:
            _refuse_foreign(header, f"{name}:{rows.line_num}")
            if rows.line_num < MAX_PREAMBLE_LINES:
                first = first or header
                continue
            header = first
        if any(header):
            return header, reader or row_reader(provider, header, f"{name}:{rows.line_num}")
    raise ExportUnreadable(f"{name}: it holds no table.")


def _refuse_foreign(cells: list[str], where: str) -> None:
    if len(cells) > 1 and cells[0] == "Currency" and cells[1] != "USD":
        raise ExportUnreadable(f"{where}: the currency is {cells[1]!r}; amounts must be in USD.")


def _of_json(file: TextIO, name: str, provider: ExportOf) -> Iterator[BilledLine]:
    text = file.read(MAX_JSON_BYTES + 1)
    if len(text) > MAX_JSON_BYTES:
        raise ExportUnreadable(f"{name}: JSON over {MAX_JSON_BYTES >> 20} MB.", hint="export fewer days, or CSV.")
    pages = (_rows_of(page, f"{name}: {at}") for page, at in _pages(text, name))
    for row, where in chain.from_iterable(pages):
        yield from row_reader(provider, list(row), where)(row, where)


def _pages(text: str, name: str) -> Iterator[tuple[Any, str]]:
    decoder = json.JSONDecoder(parse_float=Decimal)
    at = number = 0
    while at < len(text):
        try:
            found, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            line = getattr(error, "lineno", 1)
            raise ExportUnreadable(f"{name}:{line}: no JSON; was it cut?") from error
        for page in found if isinstance(found, list) else [found]:
            yield page, f"page {number + 1}"
            number += 1
        at = end
        while at < len(text) and text[at].isspace():
            at += 1


def _rows_of(page: Any, where: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield results with the times of their buckets, or the plain rows of OpenRouter's activity."""
    data = page.get("data") if isinstance(page, dict) else None
    if not isinstance(data, list):
        error = page.get("error") if isinstance(page, dict) else None
        told = f" it says {str(error)[:100]!r}" if error else ""
        raise ExportUnreadable(f"{where} has no list 'data';{told or ' is it an answer of the usage or costs API?'}")
    for number, one in enumerate(data):
        if not isinstance(one, dict):
            raise ExportUnreadable(f"{where}: data[{number}] is no object.")
        results = one.get("results")
        if results is None:
            yield one, f"{where}, data[{number}]"
            continue
        times = {key: value for key, value in one.items() if key != "results"}
        for place, result in enumerate(results):
            if not isinstance(result, dict):
                raise ExportUnreadable(f"{where}: data[{number}].results[{place}] is no object.")
            yield {**times, **result}, f"{where}, data[{number}].results[{place}]"

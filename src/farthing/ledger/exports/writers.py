"""Writes records as CSV, JSON or lines of JSON, one at a time.

CSV is RFC 4180: CRLF, quotes where they are needed, an empty cell for what is unknown. Clients choose names of projects
and sessions, and a spreadsheet runs a cell that begins with `=`, `+`, `-` or `@`; such a text gets an apostrophe before
it, which spreadsheets take for "this is text". JSON has it as it is.
"""

import csv
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Literal, TextIO

from farthing.ledger.reports import Record

ExportFormat = Literal["csv", "json", "jsonl"]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def write_records(
    records: AsyncIterator[Record], columns: Sequence[str], form: ExportFormat, file: TextIO
) -> int:
    """Write every record; return how many. `file` translates no line ends (`newline=""`)."""
    if form == "csv":
        return await _write_csv(records, columns, file)
    count = 0
    if form == "json":
        file.write("[")
    async for record in records:
        if form == "json":
            file.write(",\n" if count else "\n")
        file.write(json.dumps(record, ensure_ascii=False))
        if form == "jsonl":
            file.write("\n")
        count += 1
    if form == "json":
        file.write("\n]\n")
    return count


def csv_cell(value: str | int | None) -> str | int | None:
    """Return what a cell may hold: a text that a spreadsheet would run is marked as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_BEGINS_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


async def _write_csv(records: AsyncIterator[Record], columns: Sequence[str], file: TextIO) -> int:
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(columns)
    count = 0
    async for record in records:
        writer.writerow([csv_cell(record[name]) for name in columns])
        count += 1
    return count

"""Tables for terminals: aligned, exact, and never cut.

A name that does not fit stands on a line of its own above its numbers, and columns of words that say so are folded
where room is scarce; a table with such columns ends within 100 columns in a pipe, too. Text that clients chose
(session, project, model) may hold escape sequences, so what cannot be printed is shown as `?`: a table must not be able
to move a cursor.
Rich would do the layout, but costs 60 ms to import and cuts what does not fit.
"""

import io
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import click
import msgspec

Align = Literal["left", "right", "point"]
_GAP = "  "
_QUOTED = re.compile(r'"[^"]*"')
_NO_BREAK = "\0"
"""Stands for a space that no line may end at; a text that is printed holds none of its own."""
_LEAST_NAME = 6
_FAIR_NAME = 18
"""Letters that names have before other columns are folded; most are shorter."""
WIDEST = 100
"""Columns of what is folded where no screen says how many there may be: what a page of documentation has."""
_LEAST_TEXT = 20


class Column(msgspec.Struct, frozen=True):
    """`point` aligns decimals at their point, `right` whole numbers, `left` words.

    `least` is how narrow the column may become, its cells folded, where room is scarce; `None`: they stay whole.
    """

    title: str
    align: Align = "right"
    least: int | None = None


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    total: Sequence[str] | None = None,
    width: int | None = None,
) -> None:
    """Print rows under their titles, and below a rule the total; the first column may be long.

    `width` is the screen's, in columns; what is not a screen has none.
    """
    every = [*rows, total] if total is not None else [*rows]
    cells = [[printable(cell) for cell in row] for row in every]
    for index, column in enumerate(columns):
        if column.align == "point":
            _align_points(cells, index)
    widths = _natural(columns, cells)
    room = _room(columns, width)
    if room is not None:
        widths = _squeezed(columns, cells, widths, room)
    lines = [_row(row, columns, widths, room) for row in cells]
    head = _line([column.title for column in columns], columns, widths)
    click.echo(click.style(head, bold=True))
    for line in lines[: len(rows)]:
        click.echo(line)
    if total is not None:
        click.echo("-" * (sum(widths) + len(_GAP) * (len(widths) - 1)))
        click.echo(lines[-1])


def fits(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None = None) -> bool:
    """Whether a table of these rows, folded where it may be, has room; without columns that fold a pipe has all."""
    room = _room(columns, width)
    if room is None:
        return True
    widths = _natural(columns, rows)
    if any(column.least is not None for column in columns):
        widths[0] = min(widths[0], max(_FAIR_NAME, _width(columns[0].title)))  # a longer one stands above
    for i, column in enumerate(columns):
        if column.least is not None:
            widths[i] = _least(column, widths[i])
    return sum(widths) + len(_GAP) * (len(widths) - 1) <= room


def print_fields(fields: Sequence[tuple[str, str | None]], *, indent: str = "") -> None:
    """Print `name  value` lines, leaving out what is not known."""
    shown = [(name, printable(value)) for name, value in fields if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{indent}{name:<{width}}{_GAP}{value}")


def print_json(data: Any) -> None:
    """Print one JSON document, indented; text outside ASCII stays as it is."""
    import json  # noqa: PLC0415  (--help must not pay for it)

    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_csv(rows: Sequence[Mapping[str, Any]], header: Sequence[str]) -> None:
    """Print a header and the rows, as RFC 4180 has it but with plain line ends; `None` is an empty cell."""
    import csv  # noqa: PLC0415  (--help must not pay for it)

    from farthing.ledger.exports.writers import csv_cell  # noqa: PLC0415

    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    click.echo(text.getvalue(), nl=False)


def printable(text: str) -> str:
    """Return the text with every letter that is not printable replaced by `?`."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def grouped(number: int | None) -> str:
    """Return a count with thousands separated, `-` where there is none."""
    return "-" if number is None else f"{number:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 provider`, `2,330 models`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def rule_title(name: str, calls: str) -> str:
    """Return the name of a budget or a limit and whose calls it is about, where not all: `core (team 'core')`."""
    return name if calls == "all calls" else f"{name} ({calls})"


def usd(nanousd: int | None) -> str:
    """Return dollars, exact, without the zeros that say nothing but at least two decimals, or `unknown`."""
    if nanousd is None:
        return "unknown"
    from farthing.types.money import usd_text  # noqa: PLC0415  (--help must not pay for it)

    return trimmed(usd_text(nanousd))


def trimmed(amount: str) -> str:
    """Return a decimal amount with thousands separated and two decimals or as many as it needs."""
    whole, _, decimals = amount.partition(".")
    return f"{int(whole):,}.{decimals.rstrip('0'):0<2}"


def moment(at_us: int) -> str:
    """Return a moment in UTC, to the second."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def folded(text: str, *, indent: int) -> list[str]:
    """Return the lines of a text that begins behind `indent` columns, broken between words where the screen ends."""
    width = screen_width()
    room = None if width is None else max(width - indent, _LEAST_TEXT)
    return [text] if room is None else wrapped(text, room)


def wrapped(text: str, room: int, indent: str = "") -> list[str]:
    """Return the lines of a text, those after the first indented; what stands in quotes to be typed stays whole."""
    if _width(text) <= room:
        return [text]
    import textwrap  # noqa: PLC0415  (--help must not pay for it)

    kept = _QUOTED.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    lines = textwrap.wrap(kept, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]


def screen_width() -> int | None:
    """Return how many columns the screen has; a pipe has none, there a name stays beside its numbers, however long."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _room(columns: Sequence[Column], width: int | None) -> int | None:
    return width or screen_width() or (WIDEST if any(column.least is not None for column in columns) else None)


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(_width(text) for text in (column.title, *(row[i] for row in rows))) for i, column in enumerate(columns)]


def _least(column: Column, wide: int) -> int:
    """Return how narrow a column may become that is as wide now."""
    return min(wide, max(column.least or 0, _width(column.title)))


def _squeezed(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], natural: Sequence[int], room: int
) -> list[int]:
    """Return widths that fit: first long names give way, then what may be folded, the widest first, then any name."""
    widths = [min(wide, room) if column.least else wide for column, wide in zip(columns, natural, strict=True)]
    gaps, title = len(_GAP) * (len(widths) - 1), _width(columns[0].title)
    foldable = [i for i, column in enumerate(columns) if column.least is not None]
    if not columns[0].least:
        widths[0] = min(widths[0], max(room - sum(widths[1:]) - gaps, _FAIR_NAME, title))
        if foldable and sum(widths) + gaps > room:
            widths[0] = max(title, *(wide for row in cells if (wide := _width(row[0])) <= widths[0]), 0)
    while sum(widths) + gaps > room:  # each is at most as wide as the room, so this ends soon
        yielding = [i for i in foldable if widths[i] > _least(columns[i], widths[i])]
        if not yielding:
            break
        widths[max(yielding, key=lambda i: widths[i])] -= 1
    widths[0] = min(widths[0], max(room - sum(widths[1:]) - gaps, _LEAST_NAME, title))
    return widths


def _row(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], room: int | None) -> str:
    """Return a row, in as many lines as its longest cell; a name that is too long, or a word of it, stands above."""
    stacks = [
        _folded_cell(cell, width) if column.least is not None else [cell]
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    above: list[str] = []
    if max(map(_width, cells[0].split(" "))) > widths[0] or (columns[0].least is None and _width(cells[0]) > widths[0]):
        above, stacks[0] = [cells[0]] if room is None else wrapped(cells[0], room), []
    height = max(1, *map(len, stacks))
    lines = [[stack[i] if i < len(stack) else "" for stack in stacks] for i in range(height)]
    return "\n".join([*above, *(_line(line, columns, widths) for line in lines)])


def _folded_cell(text: str, room: int) -> list[str]:
    """Return the lines of a cell, broken between words; a word that is wider than the column is broken, too."""
    lines: list[str] = []
    line = ""
    for word in text.split(" ") if _width(text) > room else [text]:
        if line and _width(line) + 1 + _width(word) <= room:
            line += " " + word
            continue
        if line:
            lines.append(line)
        line = word
        while _width(line) > room:
            end = next(i for i in range(len(line), 0, -1) if i == 1 or _width(line[:i]) <= room)
            lines.append(line[:end])
            line = line[end:]
    return [*lines, line]


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts: list[str] = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        missing = " " * (width - _width(cell))
        parts.append(cell + missing if column.align == "left" else missing + cell)
    return _GAP.join(parts).rstrip()


def _align_points(cells: list[list[str]], index: int) -> None:
    decimals = [len(row[index].partition(".")[2]) if "." in row[index] else -1 for row in cells]
    most = max(decimals, default=0)
    for row, has in zip(cells, decimals, strict=True):
        if has >= 0:
            row[index] += " " * (most - has)


def _width(text: str) -> int:
    """How many columns the text takes on a screen: East Asian wide letters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )

"""Reads `alerts.reports:`, what is sent to channels every day, week or month."""

import re
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from farthing.config.problems import Problems, listed, nearest, quoted
from farthing.config.schema import ReportSettings
from farthing.config.sections import as_table, as_text, described, is_setting_name, read_section
from farthing.config.yaml_tree import Listing, Node, Table

_HOUR = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_MOST = 32
"""As many as channels; each is a question over the whole ledger's month at worst."""
_PLAIN = ("period", "at", "time_zone", "team", "project", "local_target")


def read_reports(told: tuple[int, Node], channels: Sequence[str], problems: Problems) -> tuple[ReportSettings, ...]:
    """Return the reports in the order of the file; `channels` are the names that there are."""
    line, node = told
    table = as_table(node, "alerts.reports", problems)
    if len(table) > _MOST:
        problems.error(line, "alerts.reports", f"has {len(table)} reports; at most {_MOST}.")
    found = []
    for name, (at, entry) in table.items():
        path = f"alerts.reports.{name}"
        if not is_setting_name(name):
            problems.error(at, path, f"{quoted(name)} is not a name; letters, digits and . _ : / @ + - inside.")
        elif not isinstance(entry, Table):
            example = "{period: week, channels: [ops]}"
            problems.error(at, path, f"must be a mapping, such as {example}, not {described(entry)}.")
        else:
            report = _read_report(name, entry, path, channels, problems)
            found += [] if report is None else [report]
    return tuple(found)


def _read_report(
    name: str, entry: Table, path: str, channels: Sequence[str], problems: Problems
) -> ReportSettings | None:
    given: dict[str, Any] = read_section(entry, ReportSettings, path, problems, fields=_PLAIN, also=("channels",))
    missing = [key for key in ("period", "channels") if key not in entry.entries]
    if missing:
        problems.error(entry.line, path, f"a report needs period and channels; missing: {listed(missing)}.")
    if "at" in given and not _HOUR.fullmatch(given["at"]):
        problems.error(entry.entries["at"][0], f"{path}.at", f"{quoted(given['at'])} is no hour; as 08:00 or 17:30.")
    if "time_zone" in given and not _is_zone(given["time_zone"]):
        told = f"{quoted(given['time_zone'])} is no time zone this machine knows; an IANA name, as Europe/Berlin."
        problems.error(entry.entries["time_zone"][0], f"{path}.time_zone", told)
    if "channels" in entry.entries:
        given["channels"] = _read_channels(entry.entries["channels"][1], f"{path}.channels", channels, problems)
    return ReportSettings(name=name, **given) if "period" in given else None


def _read_channels(node: Node, path: str, channels: Sequence[str], problems: Problems) -> tuple[str, ...]:
    items = node.items if isinstance(node, Listing) else (node,)
    if not items:
        problems.error(node.line, path, "is empty; name the channels that it is sent to.")
    names = []
    for item in items:
        name = as_text(item, path, problems)
        if name is not None and name not in channels:
            known = f"{nearest(name, channels)}; there are: {listed(sorted(channels)) or 'none'}"
            problems.error(item.line, path, f"{quoted(name)} is no channel{known}.")
        elif name is not None:
            names.append(name)
    return tuple(dict.fromkeys(names))


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True

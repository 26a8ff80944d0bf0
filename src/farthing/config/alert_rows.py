"""Reads `alerts:`: each channel by its kind, with what only that kind needs."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from farthing.config.addresses import is_host, is_loopback
from farthing.config.credentials import credential_warning, parse_credential
from farthing.config.problems import Problems, listed, quoted
from farthing.config.report_rows import read_reports
from farthing.config.schema import AlertChannelSettings, AlertSettings, CredentialSource
from farthing.config.sections import as_choice, as_table, as_text, described, read_section
from farthing.config.yaml_tree import Listing, Node, Table
from farthing.types.alerts import FACT_KINDS

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_ADDRESS = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
_MOST = 32
"""Channels and addresses of one: each is a connection, and every alert goes to all that want it."""
_ONLY_EMAIL = ("host", "port", "security", "user", "password", "sender", "to")
_SECRETS = ("url", "secret", "password")
_LISTS = ("facts", "to")
_PLAIN = ("kind", "ca_file", "host", "port", "security", "user", "sender")
_KINDS: tuple[str, ...] = get_args(AlertChannelSettings.__annotations__["kind"])


def read_alerts(node: Node, environment: Mapping[str, str], problems: Problems) -> AlertSettings:
    """Return what is told of and where."""
    given: dict[str, Any] = read_section(
        node, AlertSettings, "alerts", problems, fields=("quiet_s",), also=("channels", "reports")
    )
    entries = node.entries if isinstance(node, Table) else {}
    channels = []
    if "channels" in entries:
        table = as_table(entries["channels"][1], "alerts.channels", problems)
        if len(table) > _MOST:
            problems.error(entries["channels"][0], "alerts.channels", f"has {len(table)} channels; at most {_MOST}.")
        for name, (line, entry) in table.items():
            path = f"alerts.channels.{name}"
            if not _NAME.fullmatch(name):
                problems.error(line, path, f"{quoted(name)} is not a name; small letters, digits, '.', '_' and '-'.")
            elif not isinstance(entry, Table):
                problems.error(
                    line, path, f"must be a mapping, such as {{kind: webhook, url: env:NAME}}, not {described(entry)}."
                )
            else:
                channel = _read_channel(name, entry, path, environment, problems)
                channels += [] if channel is None else [channel]
    if "reports" in entries:
        given["reports"] = read_reports(entries["reports"], [one.name for one in channels], problems)
    return AlertSettings(channels=tuple(channels), **given)


def _read_channel(
    name: str, entry: Table, path: str, environment: Mapping[str, str], problems: Problems
) -> AlertChannelSettings | None:
    also = (*_SECRETS, *_LISTS)
    given: dict[str, Any] = read_section(entry, AlertChannelSettings, path, problems, fields=_PLAIN, also=also)
    for key in _SECRETS:
        if key in entry.entries:
            source = _source(entry.entries[key][1], f"{path}.{key}", environment, problems)
            if source is not None:
                given[key] = source
    for key in _LISTS:
        if key in entry.entries:
            given[key] = _texts(entry.entries[key][1], f"{path}.{key}", problems, FACT_KINDS if key == "facts" else ())
    if "kind" not in entry.entries:
        problems.error(entry.line, path, f"a channel needs kind: one of {listed(_KINDS)}.")
    if "kind" not in given:
        return None
    channel = AlertChannelSettings(name=name, **given)
    _check_kind(channel, entry, path, problems)
    return channel


def _check_kind(channel: AlertChannelSettings, entry: Table, path: str, problems: Problems) -> None:
    """Note what a kind needs and lacks, or has and cannot use."""
    if channel.kind == "email":
        _check_email(channel, entry, path, problems)
        unfit = ["url", "secret"]
    else:
        if "url" not in entry.entries:
            problems.error(entry.line, path, f"the kind {channel.kind} needs url: env:NAME or url: file:/path.")
        unfit = [*_ONLY_EMAIL, *(["secret"] if channel.kind != "webhook" else [])]
        unfit += ["ca_file"] if channel.kind == "apprise" else []
    for key in unfit:
        if key in entry.entries:
            problems.error(entry.entries[key][0], f"{path}.{key}", f"is not for the kind {channel.kind}.")


def _check_email(channel: AlertChannelSettings, entry: Table, path: str, problems: Problems) -> None:
    missing = [key for key in ("host", "sender", "to") if key not in entry.entries]
    if missing:
        problems.error(entry.line, path, f"the kind email needs host, sender and to; missing: {listed(missing)}.")
    if channel.host is not None and not is_host(channel.host):
        problems.error(entry.entries["host"][0], f"{path}.host", f"{quoted(channel.host)} is no address or host name.")
    elif channel.host is not None and channel.security == "none" and not is_loopback(channel.host):
        told = "everybody on the way could read it; write starttls or tls, none is for this machine."
        problems.error(entry.entries["security"][0], f"{path}.security", told)
    for key, addresses in (("sender", (channel.sender,)), ("to", channel.to)):
        for address in addresses:
            if address is not None and not _ADDRESS.fullmatch(address):
                problems.error(
                    entry.entries[key][0], f"{path}.{key}", f"{quoted(address)} is no address; as ops@example.com."
                )
    if (channel.user is None) != (channel.password.kind == "none"):
        problems.error(entry.line, path, "user and password go together; write both or neither.")


_PLACES = ("env:", "file:", "vault:")
_NOT_HERE = (
    "a secret is not written into this file (not shown here), and an address that can be written to is one; put it into"
    " an environment variable and write env:NAME, or into a file and write file:/path."
)


def _source(node: Node, path: str, environment: Mapping[str, str], problems: Problems) -> CredentialSource | None:
    text = as_text(node, path, problems)
    if text is None:
        return None
    try:
        source = parse_credential(text)
    except ValueError as error:
        problems.error(node.line, path, str(error) if text.startswith(_PLACES) else _NOT_HERE)
        return None
    if source.kind not in ("env", "file"):  # channels are read where no vault is open, and one needs what it names
        problems.error(node.line, path, f"{quoted(text)} is for providers' keys; write env:NAME or file:/path.")
        return None
    warning = credential_warning(source, environment)
    if warning:
        problems.warning(node.line, path, warning.replace("calls to this provider will be refused", "alerts wait"))
    return source


def _texts(node: Node, path: str, problems: Problems, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list of texts; one text alone is a list of one."""
    items = node.items if isinstance(node, Listing) else (node,)
    if not items or len(items) > _MOST:
        problems.error(node.line, path, f"has {len(items)} entries; from 1 up to {_MOST}.")
    texts = []
    for item in items:
        text = as_choice(item, choices, path, problems) if choices else as_text(item, path, problems)
        texts += [] if text is None else [text]
    return tuple(dict.fromkeys(texts))

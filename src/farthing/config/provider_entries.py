"""Reads `providers:`; a known provider needs no more than its name, one of your own a kind and an address."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from farthing.config.addresses import checked_url, is_loopback, is_plain_beyond_loopback
from farthing.config.credential_rows import read_shares
from farthing.config.credentials import credential_warning, parse_credential
from farthing.config.local_ollama import local_address
from farthing.config.problems import Problems, listed, nearest, quoted
from farthing.config.schema import (
    CredentialShare,
    CredentialSource,
    OpenRouterAttribution,
    ProviderSettings,
    Timeouts,
)
from farthing.config.sections import as_table, as_text, read_section
from farthing.config.yaml_tree import Node, Table
from farthing.types.providers import KnownProvider

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_OWN_KIND = "openai-compatible"
_PLAIN_FIELDS = ("kind", "base_url", "free", "ca_file", "max_connections", "stream_usage", "hold_s", "api_version")
_ONLY_FOR = {"api_version": "azure", "attribution": "openrouter"}
_HEADER_TEXT = re.compile(r"[!-~]([ -~]{0,126}[!-~])?", re.ASCII)


class _Entry(msgspec.Struct, frozen=True):
    """One provider while it is read: where it stands, and what the file says so far."""

    name: str
    line: int
    table: Mapping[str, tuple[int, Node]]
    given: dict[str, Any]

    @property
    def path(self) -> str:
        return f"providers.{self.name}"

    def line_of(self, key: str) -> int:
        return self.table[key][0] if key in self.table else self.line


def read_providers(
    section: tuple[int, Node] | None,
    known: Mapping[str, KnownProvider],
    environment: Mapping[str, str],
    problems: Problems,
) -> dict[str, ProviderSettings]:
    """Return the providers by name; without any in the file, the known ones whose credential is in the environment."""
    table = as_table(section[1], "providers", problems) if section is not None else {}
    if not table:
        return _from_environment(known, environment, problems)
    providers: dict[str, ProviderSettings] = {}
    for name, (line, node) in table.items():
        path = f"providers.{name}"
        if not _NAME.fullmatch(name):
            problems.error(line, path, f"{quoted(name)} is not a name; small letters, digits, '.', '_' and '-'.")
            continue
        given = read_section(
            node,
            ProviderSettings,
            path,
            problems,
            fields=_PLAIN_FIELDS,
            also=("credential", "credentials", "timeouts", "attribution"),
        )
        entry = _Entry(name, line, node.entries if isinstance(node, Table) else {}, given)
        provider = _read_provider(entry, known, environment, problems)
        if provider is not None:
            providers[name] = provider
    return providers


def local_providers(known: Mapping[str, KnownProvider], environment: Mapping[str, str]) -> dict[str, ProviderSettings]:
    """Return the providers that may be found on this machine, by name; nobody is asked whether they are there."""
    kind, address = known.get("ollama"), local_address(environment)
    if kind is None or address is None:
        return {}
    return {kind.kind: _with_defaults(kind.kind, kind, {"base_url": address}, CredentialSource("none"))}


def _from_environment(
    known: Mapping[str, KnownProvider], environment: Mapping[str, str], problems: Problems
) -> dict[str, ProviderSettings]:
    found = {
        name: _with_defaults(name, kind, {"base_url": kind.base_url}, CredentialSource("env", variable))
        for name, kind in known.items()
        if (variable := kind.variable(environment)) and kind.base_url and environment.get(variable, "").strip()
    }
    for name, provider in found.items():
        for warning in (credential_warning(provider.credential, environment), _choice(known[name], environment)):
            if warning:
                problems.warning(None, f"provider {name}", warning)
    return found


def _choice(kind: KnownProvider, environment: Mapping[str, str]) -> str | None:
    """Return a sentence where a kind has two variables and both are set, each to another key."""
    first, second = kind.credential_env_first, kind.credential_env
    if not (first and second and environment.get(second, "").strip()):
        return None
    if environment.get(first, "").strip() in ("", environment[second].strip()):
        return None
    return f"{first} and {second} are both set; {first} is used, as its own clients do."


def _read_provider(
    entry: _Entry, known: Mapping[str, KnownProvider], environment: Mapping[str, str], problems: Problems
) -> ProviderSettings | None:
    kind = _kind_of(entry, known, problems)
    given = dict(entry.given)
    if "timeouts" in entry.table:
        path = f"{entry.path}.timeouts"
        given["timeouts"] = Timeouts(**read_section(entry.table["timeouts"][1], Timeouts, path, problems))
    credential = _credential_of(entry, kind, environment, problems)
    if "credentials" in entry.table:
        given["credentials"] = _credentials_of(entry, environment, problems)
        if given["credentials"]:
            credential = given["credentials"][0].source
    base_url = _base_url_of(entry, kind, problems)
    _check_ca_file(entry, base_url, problems)
    for field, only in _ONLY_FOR.items():
        if kind is not None and field in entry.table and kind.kind != only:
            problems.error(entry.line_of(field), f"{entry.path}.{field}", f"is only for the kind {quoted(only)}.")
    if "api_version" in entry.given and not _HEADER_TEXT.fullmatch(entry.given["api_version"]):
        path = f"{entry.path}.api_version"
        problems.error(entry.line_of("api_version"), path, f"{quoted(entry.given['api_version'])} is not a version.")
    if "attribution" in entry.table:
        given["attribution"] = _attribution_of(entry, problems)
    given["vault_first"] = not {"credential", "credentials"} & entry.table.keys()
    if kind is None or base_url is None or credential is None:
        return None
    given["base_url"] = base_url
    return _with_defaults(entry.name, kind, given, credential)


def _with_defaults(
    name: str, kind: KnownProvider, given: dict[str, Any], credential: CredentialSource
) -> ProviderSettings:
    # Who asks for no credential has nobody to bill; who asks for one may well charge, unless it is on this machine.
    unbilled = credential.kind == "none" or is_loopback(urlsplit(given["base_url"]).hostname or "")
    said = {"stream_usage": kind.stream_usage, "free": kind.free and unbilled, **given, "kind": kind.kind}
    said.setdefault("vault_first", True)
    return ProviderSettings(name=name, wire=kind.wire, price_key=kind.price_key, credential=credential, **said)


def _kind_of(entry: _Entry, known: Mapping[str, KnownProvider], problems: Problems) -> KnownProvider | None:
    kinds = listed(sorted(known))
    if "kind" in entry.given:
        kind: str = entry.given["kind"]
        if kind not in known:
            problems.error(
                entry.line_of("kind"),
                f"{entry.path}.kind",
                f"{quoted(kind)} is not a kind of provider{nearest(kind, known)}; known: {kinds}.",
            )
    else:
        kind = entry.name
        if kind not in known and "kind" not in entry.table:
            problems.error(
                entry.line,
                entry.path,
                f"{quoted(kind)} is not a known provider{nearest(kind, known)}; known: {kinds}."
                f" For a server of your own add kind: {_OWN_KIND}.",
            )
    return known.get(kind)


def _base_url_of(entry: _Entry, kind: KnownProvider | None, problems: Problems) -> str | None:
    path = f"{entry.path}.base_url"
    if "base_url" not in entry.given:
        if kind is None or "base_url" in entry.table:
            return None
        if kind.base_url is None:
            problems.error(
                entry.line,
                entry.path,
                f"the kind {quoted(kind.kind)} needs a base_url, such as http://127.0.0.1:8000/v1.",
            )
        return kind.base_url
    try:
        url = checked_url(entry.given["base_url"])
    except ValueError as error:
        problems.error(entry.line_of("base_url"), path, str(error))
        return None
    if is_plain_beyond_loopback(url):
        problems.warning(
            entry.line_of("base_url"),
            path,
            f"{quoted(url)} is not encrypted: credential and text can be read on the way.",
        )
    return url


def _credential_of(
    entry: _Entry, kind: KnownProvider | None, environment: Mapping[str, str], problems: Problems
) -> CredentialSource | None:
    path = f"{entry.path}.credential"
    line = entry.line_of("credential")
    if "credential" in entry.table:
        text = as_text(entry.table["credential"][1], path, problems)
        if text is None:
            return None
        try:
            source = parse_credential(text)
        except ValueError as error:
            problems.error(line, path, str(error))
            return None
    elif kind is None:
        return None
    elif "credentials" in entry.table:
        return CredentialSource("none")  # the list says it
    elif (variable := kind.variable(environment)) is None:
        return CredentialSource("none")
    else:
        source = CredentialSource("env", variable)
        if choice := _choice(kind, environment):
            problems.warning(entry.line, path, choice)
        if "base_url" in entry.given and kind.base_url is not None:
            problems.warning(
                entry.line,
                path,
                f"nothing is said, so the vault's key, else the one in {variable}, is sent to the base_url given here;"
                f" write credential: env:{variable} if that is meant.",
            )
    warning = credential_warning(source, environment)
    if warning:
        problems.warning(line, path, warning)
    return source


def _credentials_of(entry: _Entry, environment: Mapping[str, str], problems: Problems) -> tuple[CredentialShare, ...]:
    path, (line, node) = f"{entry.path}.credentials", entry.table["credentials"]
    if "credential" in entry.table:
        problems.error(line, path, "stands beside credential; write one of the two.")
        return ()
    shares = read_shares(node, path, problems)
    for index, share in enumerate(shares):
        if warning := credential_warning(share.source, environment):
            problems.warning(line, f"{path}[{index}]", warning)
    return shares


def _attribution_of(entry: _Entry, problems: Problems) -> OpenRouterAttribution:
    path, node = f"{entry.path}.attribution", entry.table["attribution"][1]
    given = read_section(node, OpenRouterAttribution, path, problems)
    lines = {key: line for key, (line, _) in node.entries.items()} if isinstance(node, Table) else {}
    if "url" in given:
        try:
            checked_url(given["url"])
        except ValueError as error:
            problems.error(lines["url"], f"{path}.url", str(error))
    if "title" in given and not _HEADER_TEXT.fullmatch(given["title"]):
        problems.error(lines["title"], f"{path}.title", f"{quoted(given['title'])} must be ASCII, up to 128 letters.")
    return OpenRouterAttribution(**given)


def _check_ca_file(entry: _Entry, base_url: str | None, problems: Problems) -> None:
    if "ca_file" not in entry.given:
        return
    path, line = f"{entry.path}.ca_file", entry.line_of("ca_file")
    file: str = entry.given["ca_file"]
    if not Path(file).is_absolute():
        problems.error(line, path, f"{quoted(file)} is not a whole path, such as /etc/ssl/lab.pem.")
    elif not Path(file).is_file():
        problems.error(line, path, f"{quoted(file)} is no file that can be read.")
    elif base_url is not None and base_url.startswith("http:"):
        problems.warning(line, path, "is never used: the base_url begins with http://.")

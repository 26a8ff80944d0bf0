"""settings.yaml, the environment and what is known of providers become one checked `Settings`.

All mistakes of a file are told at once. Names are resolved here, so that a reader of `Settings` meets no dangling one:
an alias stands for a model of a configured provider, once, never for another alias.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from farthing.config.addresses import check_list_source, check_storage_url, checked_url, is_host, is_loopback
from farthing.config.alert_rows import read_alerts
from farthing.config.budget_rows import read_budgets
from farthing.config.fixed_cost_rows import read_fixed_costs
from farthing.config.limit_rows import read_limits
from farthing.config.migrate import MIGRATIONS, Migration, migrated, newest_version, version_of
from farthing.config.model_rows import read_models
from farthing.config.price_rows import read_prices
from farthing.config.problems import Problems, quoted
from farthing.config.provider_entries import local_providers, read_providers
from farthing.config.redis_place import check_redis_place
from farthing.config.router_rows import read_routers
from farthing.config.schema import (
    LEAST_KEPT_DAYS,
    MOST_KEPT_DAYS,
    AlertSettings,
    LimitSettings,
    LogSettings,
    LossAction,
    RetentionSettings,
    RouterSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    TranslationSettings,
)
from farthing.config.sections import as_choice, read_section
from farthing.config.yaml_tree import MAX_BYTES, Scalar, Table, read_yaml
from farthing.errors import ConfigError
from farthing.types.features import Feature
from farthing.types.fixed_costs import FixedCost
from farthing.types.prices import PriceOverride
from farthing.types.providers import KnownProvider
from farthing.types.settings import Said

_DAYS = re.compile(r"[1-9][0-9]{0,5}d", re.ASCII)


PARTS = (
    *("server", "log", "storage", "retention", "translation"),
    *("providers", "models", "routers", "prices", "limits", "budgets", "alerts", "fixed_costs"),
)
"""What of the file is a part of its own."""


def load_settings(
    path: Path,
    *,
    known: Mapping[str, KnownProvider],
    environment: Mapping[str, str],
    migrations: Sequence[Migration] = MIGRATIONS,
    shown_as: Path | None = None,
) -> Settings:
    """Return what the file at `path` says; a file that is not there says nothing, and defaults hold.

    Without a provider in the file, every known one whose credential is in the environment is configured. A file of an
    older version is read as what `migrations` make of it. `shown_as` is the file's name in messages, for a draft.

    Raises:
        ConfigError: with one line for each mistake: file, line, path, value and what is allowed.
    """
    problems = Problems(str(shown_as or path))
    root = read_tree(path, problems, migrations)
    rooms = ("version", *PARTS)
    given = read_section(root, Settings, "", problems, fields=("prices_source", "unpriced", "find_local"), also=rooms)
    if "prices_source" in given:
        try:
            check_list_source(given["prices_source"])
        except ValueError as error:
            problems.error(root.entries["prices_source"][0], "prices_source", str(error))
    server = _read_server(root, problems)
    log = _read_plain(root, "log", LogSettings, problems)
    storage = _read_storage(root, problems)
    retention = _read_retention(root, problems)
    translation = _read_translation(root, problems)
    providers = read_providers(root.entries.get("providers"), known, environment, problems)
    # A provider that is named and wrong is told once, not again by everything that refers to it.
    section = root.entries["providers"][1] if "providers" in root.entries else None
    names_some = isinstance(section, Table) and bool(section.entries)
    named = [*section.entries] if isinstance(section, Table) and section.entries else [*providers]
    # What may be found can be gone at the next start, so nothing in the file may refer to it: `named` leaves it out.
    local = {} if names_some or given.get("find_local") is False else local_providers(known, environment)
    models = read_models(root.entries["models"][1], named, known, problems) if "models" in root.entries else {}
    routers: dict[str, RouterSettings] = {}
    if "routers" in root.entries:
        aliases = _names_in(root, "models")
        routers = read_routers(root.entries["routers"][1], named, models, known, problems, aliases=aliases)
    prices: tuple[PriceOverride, ...] = ()
    if "prices" in root.entries:
        prices = read_prices(root.entries["prices"][1], named, known, problems)
    limits: tuple[LimitSettings, ...] = ()
    if "limits" in root.entries:
        limits = read_limits(root.entries["limits"][1], named, problems, routers=_names_in(root, "routers"))
    alerts = read_alerts(root.entries["alerts"][1], environment, problems) if "alerts" in root.entries else None
    budgets = read_budgets(root.entries["budgets"][1], problems) if "budgets" in root.entries else ()
    fixed_costs: tuple[FixedCost, ...] = ()
    if "fixed_costs" in root.entries:
        fixed_costs = read_fixed_costs(root.entries["fixed_costs"][1], named, known, problems)
    problems.raise_if_any()
    return Settings(
        version=newest_version(migrations),
        server=server,
        log=LogSettings(**log),
        storage=storage,
        retention=retention,
        translation=translation,
        providers=providers,
        providers_named=names_some,
        local=local,
        models=models,
        routers=routers,
        prices=prices,
        limits=limits,
        budgets=budgets,
        alerts=alerts or AlertSettings(),
        fixed_costs=fixed_costs,
        warnings=problems.warnings,
        said=_said(root),
        **given,
    )


def _names_in(root: Table, section: str) -> Collection[str]:
    """Return the names in a section, also of what is wrong there."""
    node = root.entries[section][1] if section in root.entries else None
    return node.entries.keys() if isinstance(node, Table) else ()


def _said(root: Table) -> Said:
    """Return where the file names what could be made through the admin API as well."""
    lines: dict[str, int] = {}
    for section, (line, node) in root.entries.items():
        if isinstance(node, Scalar):
            lines[section] = line
        elif isinstance(node, Table):
            lines |= {f"{section}.{name}": at for name, (at, _) in node.entries.items()}
        elif section == "prices":
            for row in node.items:
                model = row.entries["model"][1] if isinstance(row, Table) and "model" in row.entries else None
                if isinstance(model, Scalar):
                    lines[f"prices.{model.text}"] = row.line
    return Said(lines)


def exposed(host: str) -> str:
    """Return what to know before listening on an address that other machines reach."""
    return (
        f"{host} is reached from the network: a Farthing key is all that protects the gateway, and keys travel there"
        " unencrypted; put a proxy with TLS before it and set behind_proxy: true, or listen on 127.0.0.1."
    )


def read_tree(path: Path, problems: Problems, migrations: Sequence[Migration] = MIGRATIONS) -> Table:
    """Return the file as a tree, in the newest version; what is wrong with it as a whole is noted.

    Raises:
        ConfigError: there is no tree: the file cannot be read, is no YAML, or is of a version that we do not know.
    """
    text = read_bounded(path, problems)
    root = read_yaml(text, problems) if text is not None else None
    if root is None:
        problems.raise_if_any()  # no tree: whatever else could be said would only repeat this
        if text is not None:
            problems.warning(1, "version", "is not there, nor anything else, so every default holds; was it cut?")
        return Table(1, {})
    version = version_of(root, path, problems, migrations)
    if version is None or version < newest_version(migrations):
        problems.raise_if_any()  # in another version settings may be called otherwise, so nothing more can be said
    if text is not None and version is not None and version < newest_version(migrations):
        problems.version = newest_version(migrations)
        root = read_yaml(migrated(text, version, migrations).text, problems)
    if not isinstance(root, Table):
        if root is not None:
            problems.error(root.line, "", f"the file must be a mapping that begins with version: {version}.")
        problems.raise_if_any()
        return Table(1, {})
    return root


def read_bounded(path: Path, problems: Problems) -> str | None:
    """Return what the file says, without a byte order mark; `None` where there is none.

    Raises:
        ConfigError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        refuse_link_to_nothing(path)
        return None
    except OSError as error:
        refuse_link_to_nothing(path)
        raise ConfigError(
            f"{str(path)!r} cannot be read: {error.strerror}.", hint="check who owns it and its mode."
        ) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{str(path)!r} is larger than {MAX_BYTES >> 20} MB; is it the settings file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.error(line, "", f"byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8.")
        problems.raise_if_any()
        raise


def refuse_link_to_nothing(path: Path) -> None:
    """Have a link that leads nowhere told: whoever made it means what it names, and not the defaults.

    Raises:
        ConfigError: it is one; a disk that is not mounted yet, or a circle.
    """
    if not path.is_symlink():
        return
    try:
        path.stat()
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} is a link to {str(path.readlink())!r}, which cannot be read: {error.strerror}.",
            hint="mount or make what it names, or remove the link; nothing was changed.",
        ) from error


def _read_plain(root: Table, name: str, struct: type[msgspec.Struct], problems: Problems) -> dict[str, Any]:
    """Return what a section says that has nothing to check but its fields."""
    if name not in root.entries:
        return {}
    return read_section(root.entries[name][1], struct, name, problems)


def _read_storage(root: Table, problems: Problems) -> StorageSettings:
    given = _read_plain(root, "storage", StorageSettings, problems)
    if "url" in given:
        try:
            check_storage_url(given["url"])
        except ValueError as error:
            node = root.entries["storage"][1]
            line = node.entries["url"][0] if isinstance(node, Table) else node.line
            problems.error(line, "storage.url", str(error))
    if "redis" in given:
        try:
            check_redis_place(given["redis"])
        except ValueError as error:
            node = root.entries["storage"][1]
            line = node.entries["redis"][0] if isinstance(node, Table) else node.line
            problems.error(line, "storage.redis", str(error))
    return StorageSettings(**given)


def _read_retention(root: Table, problems: Problems) -> RetentionSettings:
    given = _read_plain(root, "retention", RetentionSettings, problems)
    told = given.get("calls")
    if told is not None and not (_DAYS.fullmatch(told) and LEAST_KEPT_DAYS <= int(told[:-1]) <= MOST_KEPT_DAYS):
        node = root.entries["retention"][1]
        line = node.entries["calls"][0] if isinstance(node, Table) else node.line
        problems.error(
            line,
            "retention.calls",
            f"{quoted(told)} is not allowed; write days, from {LEAST_KEPT_DAYS}d to {MOST_KEPT_DAYS}d, or leave it out"
            " to keep calls for ever.",
        )
        return RetentionSettings()
    return RetentionSettings(**given)


def _read_translation(root: Table, problems: Problems) -> TranslationSettings:
    """Return what is to happen to losses: of two kinds, and of single features by their names beside those."""
    if "translation" not in root.entries:
        return TranslationSettings()
    node = root.entries["translation"][1]
    labels = [feature.label for feature in Feature]
    given = read_section(node, TranslationSettings, "translation", problems, fields=("meaning", "rest"), also=labels)
    features: dict[str, LossAction] = {}
    for name, (_, value) in node.entries.items() if isinstance(node, Table) else ():
        action = as_choice(value, get_args(LossAction), f"translation.{name}", problems) if name in labels else None
        if action is not None:
            features[name] = action
    return TranslationSettings(**given, features=features)


def _read_server(root: Table, problems: Problems) -> ServerSettings:
    if "server" not in root.entries:
        return ServerSettings()
    node = root.entries["server"][1]
    given = read_section(node, ServerSettings, "server", problems)
    lines = {key: line for key, (line, _) in node.entries.items()} if isinstance(node, Table) else {}
    if "public_url" in given:
        try:
            given["public_url"] = checked_url(given["public_url"])
        except ValueError as error:
            problems.error(lines["public_url"], "server.public_url", str(error))
    server = ServerSettings(**given)
    if not is_host(server.host):
        problems.error(lines["host"], "server.host", f"{quoted(server.host)} is no address or host name.")
    elif not is_loopback(server.host) and not server.behind_proxy:
        problems.warning(
            lines["host"],
            "server.host",
            exposed(server.host),
        )
    return server

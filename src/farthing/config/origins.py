"""Every setting with its value and where that comes from: a line of the file, the environment, a default, an option."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from farthing.config.credential_rows import NANO_PREFIX
from farthing.config.schema import (
    LIMIT_TARGET,
    AlertChannelSettings,
    BudgetSettings,
    CredentialShare,
    LimitSettings,
    ProviderSettings,
    ReportSettings,
    Settings,
)
from farthing.config.stored import PLACE
from farthing.config.yaml_tree import Listing, Node, Scalar, Table
from farthing.types.money import trimmed_usd
from farthing.types.providers import KnownProvider
from farthing.types.settings import StoredSetting

_SECTIONS = ("server", "log", "storage", "retention")
_PLAIN = ("prices_source", "unpriced", "find_local")
_NOT_SAID = ("name", "wire", "price_key", "vault_first")
"""Fields of a provider that follow from its name and kind, and cannot be set."""
_GROUPS = ("timeouts", "attribution")


class Shown(msgspec.Struct, frozen=True):
    """One setting; `value` is as it would be written in the file, `plain` the same for programs."""

    path: str
    value: str
    origin: str
    plain: str | int | float | bool


class Origins:
    """Tells where values come from; `root` is the file as a tree, `file` its name in what is told."""

    def __init__(
        self,
        root: Table,
        file: str,
        known: Mapping[str, KnownProvider],
        told: Mapping[str, Shown],
        stored: Sequence[StoredSetting] = (),
    ) -> None:
        """`told` are settings that a command line decides, by their path; `stored` are those of the admin API."""
        self._stored = stored
        self._root = root
        self._known = known
        self._told = told
        self._lines = {path: f"{file}:{line}" for path, line in _lines(root, "")}

    def of(self, settings: Settings) -> Iterator[Shown]:
        """Yield every setting that has a value, in the order of the reference."""
        yield self._shown("version", settings.version)
        for section in _SECTIONS:
            yield from self._of_struct(section, getattr(settings, section))
        yield self._shown("translation.meaning", settings.translation.meaning)
        yield self._shown("translation.rest", settings.translation.rest)
        for name, action in settings.translation.features.items():
            yield self._shown(f"translation.{name}", action)
        for name, provider in settings.providers.items():
            yield from self._of_provider(f"providers.{name}", provider)
        for alias, ref in settings.models.items():
            yield self._shown(f"models.{alias}", f"{ref.provider}:{ref.model}")
        for name, router in settings.routers.items():
            yield self._shown(f"routers.{name}.models", ", ".join(map(str, router.models)))
            yield self._shown(f"routers.{name}.strategy", router.strategy)
        for limit in settings.limits:
            yield from self._of_limit(limit)
        yield self._shown("alerts.quiet_s", settings.alerts.quiet_s)
        for report in settings.alerts.reports:
            yield from self._of_report(report)
        for channel in settings.alerts.channels:
            yield from self._of_channel(channel)
        for budget in settings.budgets:
            yield from self._of_budget(budget)
        yield from self._of_rows("prices")
        for one in self._stored:
            if one.path.startswith("prices.") and isinstance(one.value, dict):
                for field, amount in one.value.items():
                    yield self._shown(f"{one.path}.{field}", amount)
        yield from self._of_rows("fixed_costs")
        for name in _PLAIN:
            yield self._shown(name, getattr(settings, name))

    def _of_struct(self, path: str, struct: msgspec.Struct, default: str = "default") -> Iterator[Shown]:
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if value is not None:
                yield self._shown(f"{path}.{name}", value, default)

    def _of_provider(self, path: str, provider: ProviderSettings) -> Iterator[Shown]:
        kind = f"default of the kind {provider.kind}"
        here = self._lines.get(path)
        known = self._known[provider.kind]
        if here is None:  # the file does not name it: its key is set, or it answers on this machine
            kind = "found on this machine" if provider.credential.kind == "none" else kind
        for name in provider.__struct_fields__:
            value = getattr(provider, name)
            if name in _NOT_SAID or value is None:
                continue
            if name == "credentials":
                yield from self._of_shares(f"{path}.credentials", value)
            elif name == "credential" and provider.credentials:
                continue
            elif name in _GROUPS:
                yield from self._of_struct(f"{path}.{name}", value)
            elif name == "kind":
                yield self._shown(f"{path}.kind", value, f"{here} (its name)" if here else kind)
            elif name == "credential" and here is None and provider.credential.kind == "env":
                yield self._shown(f"{path}.credential", value, f"environment {provider.credential.name}")
            else:
                of_kind = name in ("base_url", "credential", "stream_usage") or (name == "free" and known.free)
                yield self._shown(f"{path}.{name}", value, kind if of_kind else "default")

    def _of_shares(self, path: str, shares: Sequence[CredentialShare]) -> Iterator[Shown]:
        for index, share in enumerate(shares):
            yield self._shown(f"{path}[{index}].source", share.source)
            if share.weight is not None:
                yield self._shown(f"{path}[{index}].weight", share.weight)
            for name, amount in msgspec.structs.asdict(share.quotas).items():
                if amount is not None and name.startswith(NANO_PREFIX):
                    yield self._shown(f"{path}[{index}].{name.removeprefix('nano')}", trimmed_usd(amount))
                elif amount is not None:
                    yield self._shown(f"{path}[{index}].{name}", amount)

    def _of_limit(self, limit: LimitSettings) -> Iterator[Shown]:
        path = f"limits.{limit.name}"
        for name in LIMIT_TARGET:
            if (value := getattr(limit, name)) is not None:
                yield self._shown(f"{path}.{name}", value)
        for rate in limit.rates:
            value = trimmed_usd(rate.amount) if rate.unit == "nanousd" else rate.amount
            yield self._shown(f"{path}.{rate.word}", value)

    def _of_channel(self, channel: AlertChannelSettings) -> Iterator[Shown]:
        path = f"alerts.channels.{channel.name}"
        for name in channel.__struct_fields__:
            value = getattr(channel, name)
            of_email = name in ("host", "port", "security", "user", "password", "sender", "to")
            if name == "name" or value is None or (of_email and channel.kind != "email"):
                continue
            yield self._shown(f"{path}.{name}", ", ".join(value) if isinstance(value, tuple) else value)

    def _of_report(self, report: ReportSettings) -> Iterator[Shown]:
        for name in report.__struct_fields__:
            value = getattr(report, name)
            if name != "name" and value is not None:
                shown = ", ".join(value) if isinstance(value, tuple) else value
                yield self._shown(f"alerts.reports.{report.name}.{name}", shown)

    def _of_budget(self, budget: BudgetSettings) -> Iterator[Shown]:
        path = f"budgets.{budget.name}"
        for name in budget.__struct_fields__:
            value = getattr(budget, name)
            if name in ("name", "origin") or value is None:
                continue
            if name in ("usd", "grace_usd"):
                value = trimmed_usd(value)
            if name == "at":
                value = ", ".join(f"{percent}: {action}" for percent, action in value.items()) or "none"
            yield self._shown(f"{path}.{name}", value)

    def _of_rows(self, name: str) -> Iterator[Shown]:
        section = self._root.entries[name][1] if name in self._root.entries else None
        for index, row in enumerate(section.items if isinstance(section, Listing) else ()):
            for field, (_, node) in row.entries.items() if isinstance(row, Table) else ():
                if isinstance(node, Scalar):
                    yield self._shown(f"{name}[{index}].{field}", node.text)
                elif isinstance(node, Listing):
                    texts = [item.text for item in node.items if isinstance(item, Scalar)]
                    yield self._shown(f"{name}[{index}].{field}", ", ".join(texts))

    def _shown(self, path: str, value: object, default: str = "default") -> Shown:
        if path in self._told:
            return self._told[path]
        plain = value if isinstance(value, bool | int | float) else str(value)
        origin = self._lines.get(path) or self._of_store(path) or default
        return Shown(path, _written(value), origin, plain)

    def _of_store(self, path: str) -> str | None:
        for one in self._stored:
            if path == one.path or path.startswith(f"{one.path}."):
                return f"{PLACE} ({one.changed_by})"
        return None


def _lines(node: Node, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, Table):
        for key, (line, value) in node.entries.items():
            below = f"{path}.{key}" if path else key
            yield below, line
            yield from _lines(value, below)
    elif isinstance(node, Listing):
        for index, item in enumerate(node.items):
            yield f"{path}[{index}]", item.line
            yield from _lines(item, f"{path}[{index}]")


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)

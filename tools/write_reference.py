"""Write docs/settings.md and docs/commands.md from the code: the schema with its docstrings, and the commands' help.

    python tools/write_reference.py            writes the pages
    python tools/write_reference.py --check    says whether the committed pages are what the code says

Defaults, bounds and explanations stand once, in `config/schema.py`; a test runs the check.
"""

import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import msgspec

from farthing.cli import root
from farthing.config.changes import AT_START_ONLY
from farthing.config.json_schema import field_notes, rate_schema
from farthing.config.limit_rows import MAX_AMOUNT
from farthing.config.save import KEEP_BACKUPS
from farthing.config.schema import (
    LIMIT_TARGET,
    MAX_ROUTER_MODELS,
    AlertChannelSettings,
    AlertSettings,
    BudgetSettings,
    LimitSettings,
    LogSettings,
    OpenRouterAttribution,
    ProviderSettings,
    ReportSettings,
    RetentionSettings,
    RouterSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    Timeouts,
    TranslationSettings,
)
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers
from farthing.types.limits import RATE_WORDS

DOCS = Path(__file__).resolve().parent.parent / "docs"
_MADE = "<!-- Made by tools/write_reference.py from the code. Change it there. -->\n"
_NOT_SET_BY_HAND = {
    *("local", "name", "wire", "price_key", "providers_named", "said", "vault_first", "warnings", "rates", "origin"),
}


def settings_page() -> str:
    """Return docs/settings.md."""
    parts = [
        "# settings.yaml\n",
        _MADE,
        "Written with comments at the first start into the home; `farthing config check` reads it and says what is",
        "wrong, line by line. Durations are seconds, money is USD.\n",
        "## Changing it\n",
        "Edit the file, or let a command do it: `farthing config set server.max_body_mb 64`, `farthing config unset",
        "PATH`, `farthing providers add NAME`. A command reads the result as `serve` would before it saves it, leaves",
        f"every other byte as it was, and keeps the last {KEEP_BACKUPS} texts beside the file (`settings.yaml.bak`,",
        "`.bak.2` and on). `farthing config show --origin` says what holds and where each value comes from. A budget,",
        "a limit and a channel are made whole: `farthing config set budgets.daily '{usd: 20, period: day}'`.\n",
        "What is set through the [admin API](admin-api.md) never touches the file: it is kept in the store, and holds",
        "where the file does not name the same thing.\n",
        "A running gateway looks at the file twice a second, and reads it at once on SIGHUP. What it says holds from",
        "the next call on; a call in flight ends with the provider, the price and the credential it began with. A",
        "file that is wrong changes nothing: the log, `farthing doctor` and `farthing config check` say why. The same",
        "goes for a file that is gone, empty, or without the `version:` that it had. One that was cut in place, to a",
        "beginning of what it said, may be half written: it is taken up if it stays so for ten seconds, or on SIGHUP.",
        "What is lost with a change (a provider that was named, a price of your own, `unpriced: refuse`) is logged as",
        "a warning. Providers whose address stays keep their connections.\n",
        "- Credentials in files are read again with the settings, so after changing one send SIGHUP. A variable of the",
        "  environment cannot be changed under a running process; that needs a restart.",
        f"- {_listed([f'`server.{name}`' for name in AT_START_ONLY])} hold from the start to the end of a process.",
        "- SIGHUP because its terminal was closed ends a gateway that was started there without `nohup`, in order.\n",
        "`version` is the version of the file's schema. A newer Farthing reads an older file, and at its start writes",
        "it anew once, comments kept; the old one stays as `settings.yaml.version-N.bak`. An older Farthing refuses a",
        "newer file and names that one. Editors that speak the YAML language server's protocol find the JSON Schema",
        "through the file's first line; `farthing config schema` prints it.\n",
        "## The file\n",
        _table(
            Settings,
            {
                "version": "a version that this Farthing knows",
                "server": "see below",
                "log": "see below",
                "storage": "see below",
                "retention": "see below",
                "translation": "see below",
                "providers": "see below",
                "models": "alias: `provider:model`",
                "routers": "see below",
                "prices": "see below",
                "limits": "see below",
                "alerts": "see below",
                "budgets": "see below",
                "fixed_costs": "see below",
                "prices_source": "an https address or a path",
            },
        ),
        "\n## server\n",
        _table(ServerSettings, {"host": "an address or a name", "public_url": "an http or https address"}),
        "\n## log\n",
        _table(LogSettings, {}),
        "\n## storage\n",
        "They count from the next start. See [several hosts](several_hosts.md), [limits](limits.md#several-hosts).\n",
        _table(
            StorageSettings,
            {
                "url": "`env:NAME`, `file:/path`, or `postgresql://USER@HOST/NAME`",
                "redis": "`redis://host:6379/0`, `rediss://...`, `unix:///path` or `env:NAME`",
            },
        ),
        "\n## retention\n",
        "What calls cost stays for ever, by whom, for what and on which model; see [the ledger](ledger.md).\n",
        _table(RetentionSettings, {"calls": "days: `7d` to `36500d`"}),
        "\n## translation\n",
        _table(TranslationSettings, {"features": "the names in [losses.md](losses.md)"}),
        "\n## providers\n",
        "Each has a name of your choice; a known provider under its own name needs only a credential. While none is",
        "named, every known one whose key is in the environment is used.\n",
        _table(
            ProviderSettings,
            {
                "kind": "a known kind, see below",
                "base_url": "an http or https address",
                "credential": "`env:NAME`, `file:/path`, `vault`, `vault:NAME` or `none`",
                "credentials": "see below",
                "ca_file": "a whole path",
                "api_version": "such as `2024-10-21`",
                "timeouts": "see below",
                "attribution": "see below",
            },
        ),
        "\n### Known kinds\n",
        _kinds(),
        "\n### credentials\n",
        "Several credentials of one provider, in the place of `credential`: each a source as there, or a mapping with",
        "`source`, `weight` (1 to 1,000) and quotas: `requests_per_`, `tokens_per_` or `usd_per_` with `minute`,",
        "`hour` or `day` behind it. See [credentials](credentials.md).\n",
        "\n### timeouts\n",
        _table(Timeouts, {}),
        "\n### attribution\n",
        _table(OpenRouterAttribution, {"title": "a text", "url": "an http or https address"}),
        "\n## routers\n",
        "Each has a name of your choice, which is no other name of a model, and needs `models`. See",
        "[routers](routers.md).\n",
        _table(
            RouterSettings,
            {"models": f"1 to {MAX_ROUTER_MODELS} models, each as `provider:model` or a name from `models`, once"},
        ),
        "\n## limits\n",
        "Each has a name of your choice, and needs at least one of the amounts. An amount of a minute, an hour or a",
        "day holds for any time of that length, not only for those that begin on the clock.\n",
        _table(LimitSettings, dict.fromkeys(LIMIT_TARGET, "a name, or `*`")),
        _rates(),
        "\n## budgets\n",
        "Each has a name of your choice, and needs `usd` and `period`.\n",
        _table(
            BudgetSettings,
            {
                "usd": "dollars, at most nine decimals",
                "grace_usd": "dollars, at most nine decimals",
                "time_zone": "an IANA name",
                "at": "percent left: `warn`, `prefer_cheaper`, `emergency`, `local_only`, `pause`, `refuse`; or `none`",
            }
            | dict.fromkeys(
                ("organisation", "team", "project", "key", "user", "session", "task", "tag"), "a name, or `*`"
            ),
        ),
        "\n## alerts\n",
        _table(AlertSettings, {"channels": "see below", "reports": "see below"}),
        "\n### channels\n",
        "Each has a name of your choice, and needs `kind`; see [alerts](alerts.md).\n",
        _table(
            AlertChannelSettings,
            {
                "facts": "of `threshold`, `unusual`, `forecast`, `errors`",
                "url": "`env:NAME` or `file:/path`",
                "secret": "`env:NAME`, `file:/path` or `none`",
                "password": "`env:NAME`, `file:/path` or `none`",
                "ca_file": "a whole path",
                "host": "an address or a name",
                "user": "a text",
                "sender": "an address",
                "to": "addresses",
            },
        ),
        "\n### reports\n",
        "Each has a name of your choice, and needs `period` and `channels`; see [alerts](alerts.md).\n",
        _table(
            ReportSettings,
            {
                "channels": "names of channels",
                "at": "hour and minute, `08:00`",
                "time_zone": "an IANA name",
                "team": "a name",
                "project": "a name",
            },
        ),
        "\n## prices\n",
        "Rows win over the built-in list, the first that fits counts. `model` is `provider:model`, where `*` stands",
        "for any text. Per million tokens: `input`, `output`, `cache_read`, `cache_write_5m`, `cache_write_1h`,",
        "`input_audio`, `output_audio`, `input_image`, `output_image`, `reasoning`; for each one: `request`,",
        "`web_search`. What a row does not name costs what `input` or `output` costs. See [prices](prices.md).\n",
        "```yaml",
        "prices:",
        '  - {model: "lab:*", input: 0, output: 0}',
        '  - {model: "claude:mock-claude", input: 300, output: 1500, cache_read: 30, cache_write_5m: 375}',
        "```",
        "\n## fixed_costs\n",
        "Each row has a `name`, `usd`, and `per: month` or `per: day` (calendar, UTC); `providers` are those whose",
        "calls it pays for, all where it names none. See [exports and reports](exports.md).\n",
        "```yaml",
        "fixed_costs:",
        "  - {name: GPU power, usd: 0.90, per: day, providers: [lab]}",
        "```",
    ]
    return "\n".join(parts) + "\n"


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def commands_page() -> str:
    """Return docs/commands.md."""
    parts = ["# Commands\n", _MADE]
    context = click.Context(root, info_name="farthing")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        parts += _help_of(command, click.Context(command, info_name=f"farthing {name}", terminal_width=100), level=2)
    return "\n".join(parts)


def _help_of(command: click.Command, context: click.Context, level: int) -> list[str]:
    title = context.info_name or ""
    parts = [f"{'#' * level} {title}\n", "```text", command.get_help(context), "```\n"]
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            parts += _help_of(below, click.Context(below, info_name=f"{title} {name}", terminal_width=100), level + 1)
    return parts


def _table(kind: type[msgspec.Struct], allowed: dict[str, str]) -> str:
    notes = field_notes(kind)
    hints = get_type_hints(kind, include_extras=True)
    rows = ["| setting | default | allowed | what |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(kind):
        if field.name in _NOT_SET_BY_HAND:
            continue
        told = allowed.get(field.name) or _allowed(hints[field.name])
        rows.append(f"| `{field.name}` | {_default(field)} | {told} | {notes.get(field.name, '')} |")
    return "\n".join(rows)


_NONE = "-"


def _default(field: Any) -> str:
    if field.default is msgspec.NODEFAULT or isinstance(field.default, msgspec.Struct | tuple):
        return _NONE
    value = field.default
    if value is None:
        return _NONE
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"


def _allowed(hint: Any) -> str:
    bounds = next((part for part in getattr(hint, "__metadata__", ()) if isinstance(part, msgspec.Meta)), None)
    if bounds is not None:
        low = f"over {bounds.gt}" if bounds.gt is not None else f"{bounds.ge}"
        return f"{low} to {bounds.le:,}"
    choices = get_args(hint)
    if choices and all(isinstance(choice, str) for choice in choices):
        return " or ".join(f"`{choice}`" for choice in choices)
    return {bool: "`true` or `false`"}.get(hint, "")


def _rates() -> str:
    rows = ["\n| at most | allowed | what |", "|---|---|---|"]
    for word in RATE_WORDS:
        told = rate_schema(word)
        allowed = "dollars, at most nine decimals" if "string" in told["type"] else f"0 to {MAX_AMOUNT:,}"
        rows.append(f"| `{word}` | {allowed} | {told['description']} |")
    return "\n".join(rows)


def _kinds() -> str:
    rows = ["| kind | speaks | base_url | credential |", "|---|---|---|---|"]
    for kind, known in sorted(known_providers().items()):
        base, key = (
            known.base_url or "to be given",
            " or ".join(f"`env:{name}`" for name in (known.credential_env_first, known.credential_env) if name)
            or "`none`",
        )
        rows.append(f"| `{kind}` | {known.wire} | {base} | {key} |")
    return "\n".join(rows)


def main() -> None:
    """Write or check the pages."""
    pages = {"settings.md": settings_page(), "commands.md": commands_page()}
    for name, text in pages.items():
        path = DOCS / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise ConfigError(f"docs/{name} is not what the code says", hint="run python tools/write_reference.py")


if __name__ == "__main__":
    main()

"""`farthing providers`: whom Farthing calls, whether they answer, and how settings.yaml comes to name them.

What surprised us: as soon as the file names one provider, those that were found by their key in the environment are not
used any more. So whoever adds the first is told which ones that leaves out.
"""

import asyncio
import os
from typing import TYPE_CHECKING, cast

import click

from farthing.cli.complete import provider_kinds, provider_names
from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import Column, fits, grouped, print_fields, print_json, print_table
from farthing.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from farthing.auth.vault import Held
    from farthing.config.paths import Home
    from farthing.config.running import Running
    from farthing.config.schema import ProviderSettings, Settings
    from farthing.gateway.accounts import Opened
    from farthing.gateway.provider_check import ProviderCheck
    from farthing.types.providers import KnownProvider

_SHORT = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "openai_completions": "completions",
    "openai_embeddings": "embeddings",
    "anthropic_messages": "messages",
}
_WHO = {"operator": "yours to mend", "provider": "the provider's to mend", "nobody": ""}


@click.group()
def providers() -> None:
    """See, test, add and remove the providers that Farthing calls."""


@providers.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_providers(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """List the configured providers: address, credential, what they speak, and how often they were called today (UTC).

    A provider that is named by nobody is there because its key is in the environment of this terminal; where a gateway
    runs, what it found in its own is told below.
    """
    from farthing.cli.books import settings_that_hold  # noqa: PLC0415  (opens the database; not for --help)

    home = current_home()
    _tell_missing(home)
    running = _running(home)
    try:
        settings, _ = settings_that_hold(home)
    except ConfigError as error:
        if as_json or running is None:
            raise
        _print_theirs(running, error)
        return
    found = _usable(settings)
    if not found and (running is None or not running.providers):
        say('No provider: "farthing providers add NAME" names one, or set a key such as OPENAI_API_KEY.')
        if not as_json:
            return
    calls = _calls_today()
    held = held_here(home)
    rows = [_as_data(provider, calls.get(name, 0), running, held) for name, provider in found.items()]
    if as_json:
        print_json(rows)
    elif rows:
        _print_list(rows)
    for line in differences(found, running, home, held, named=settings.providers_named):
        say(line)


def _print_theirs(running: "Running", error: ConfigError) -> None:
    """Print whom the running gateway calls, where the settings say nothing that could be read."""
    columns = [Column("NAME", "left"), Column("CREDENTIAL", "left"), Column("ADDRESS", "left")]
    rows = [(one.name, one.credential + ("" if one.ready else " (missing)"), one.base_url) for one in running.providers]
    print_table(columns, rows)
    say(f"These are what the running gateway (pid {running.pid}) calls; the settings cannot be read:")
    say(error.message)


def _print_list(rows: "Sequence[Mapping[str, object]]") -> None:
    columns = [Column("NAME", "left"), Column("KIND", "left"), Column("CREDENTIAL", "left")]
    columns += [Column("TODAY"), Column("SPEAKS", "left", 12), Column("ADDRESS", "left")]
    cells = [
        [
            str(row["name"]),
            str(row["kind"]),
            _credential_told(row),
            grouped(int(str(row["calls_today"]))),
            ", ".join(_SHORT.get(name, name) for name in cast("list[str]", row["speaks"])),
            str(row["base_url"]),
        ]
        for row in rows
    ]
    if fits(columns, cells):
        print_table(columns, cells)
        return
    for cell in cells:
        click.echo(click.style(cell[0], bold=True))
        titles = [column.title.lower() for column in columns[1:]]
        print_fields(list(zip(titles, cell[1:], strict=True)), indent="  ")


def differences(
    found: "Mapping[str, ProviderSettings]",
    running: "Running | None",
    home: "Home",
    held: "Sequence[Held]" = (),
    *,
    named: bool,
) -> "Iterator[str]":
    """Yield where the running gateway has other providers than this terminal shows; it read its own when it started.

    `named` says that those which were found here are named by the settings file, which it follows.
    """
    from farthing.config.running import has_looked  # noqa: PLC0415  (--help must not pay for it)

    if running is None:
        return
    gateway = f"The running gateway (pid {running.pid})"
    if not has_looked(home, running):
        yield f"{gateway} has not taken up the last change of the settings yet; it does within two seconds."
        return
    for theirs in running.providers:
        if theirs.name not in found:
            yield f"{gateway} also has {theirs.name} ({theirs.credential}), unknown here."
    for name, ours in found.items():
        there = running.provider(name)
        use = credential_in_use(ours, held)
        here = use.credential.missing is None
        if there is None and named and running.settings.problem is not None:
            yield f'{gateway} does not have {name}: it did not take the settings up ("farthing config check").'
        elif there is None:
            yield f"{gateway} does not have {name}: start it again to use it."
        elif use.source.kind == "vault":
            pass  # the gateway follows the vault by itself
        elif there.ready and not here:
            yield f"{gateway} has the credential of {name}; this terminal lacks it."
        elif here and not there.ready and ours.credential.kind == "file":
            yield f"{gateway} could not read {ours.credential.name!r} for {name}; SIGHUP has it read again."
        elif here and not there.ready:
            yield f"{gateway} did not find the credential of {name}: start it again where it is set."


@providers.command()
@click.argument("name", required=False, shell_complete=provider_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(ctx: click.Context, name: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Ask a provider, or all of them, for their models; say who must act where that fails. Ends with 1 then.

    That costs nothing. Some providers show their list to anybody: there it proves the address, not the credential.
    """
    home = current_home()
    _tell_missing(home)
    settings = current_settings(home)
    usable, running = _usable(settings), _running(home)
    chosen = usable if name is None else {name: _named(usable, name)}
    held = held_here(home)
    if not chosen:
        say('No provider: "farthing providers add NAME" names one, or set a key such as OPENAI_API_KEY.')
        for line in differences(usable, running, home, held, named=settings.providers_named):
            say(line)
    checks = asyncio.run(_check(chosen, held))
    if as_json:
        print_json([_check_as_data(check) for check in checks])
    elif checks:
        columns = [Column("PROVIDER", "left"), Column("", "left"), Column("MS"), Column("MODELS")]
        print_table(
            columns,
            [
                [check.name, "ok" if check.ok else "failed", grouped(check.latency_ms), grouped(check.models)]
                for check in checks
            ],
        )
        for check in checks:
            if not check.ok:
                say(f"{check.name}: {check.reason} ({_WHO[check.who]})")
                say(f"  -> {check.hint}")
        elsewhere = [check.name for check in checks if not check.ok and _only_there(running, check.name, chosen, held)]
        if elsewhere:
            say(
                f"The running gateway has what this terminal lacks for {', '.join(elsewhere)}: its calls may well work."
            )
    if not all(check.ok for check in checks):
        ctx.exit(1)


@providers.command()
@click.argument("name", shell_complete=provider_kinds)
@click.option(
    "--kind",
    shell_complete=provider_kinds,
    help='Its kind, where NAME is none: "openai-compatible" for a server of your own.',
)
@click.option("--base-url", metavar="URL", help="Where it is, where that is not known.")
@click.option("--credential", metavar="SOURCE", help="env:NAME, file:/path or none; never the key itself.")
@click.option("--free", is_flag=True, help="Its calls cost nothing: a local model, or a flat rate.")
def add(name: str, kind: str | None, base_url: str | None, credential: str | None, free: bool) -> None:  # noqa: FBT001  (click's flag)
    """Name a provider in settings.yaml. The rest of the file stays as it is; what it said is kept beside it (.bak)."""
    from farthing.cli.config_audit import written_down  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.splice import add_provider  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    home, known = current_home(), known_providers()
    before, running = current_settings(home), _running(home)
    _check_place(name, kind, base_url, known)
    if kind is None and name not in known and base_url is not None:
        kind = "openai-compatible"
    row = known.get(kind or name)
    if credential is None and base_url is None and row is not None and row.credential_env is not None:
        credential = f"env:{row.variable(os.environ)}"
    told = {"kind": kind, "base_url": base_url, "credential": credential, "free": "true" if free else None}
    fields = {key: value for key, value in told.items() if value is not None}
    is_new = not home.path.exists()
    home.create()
    after = written_down(home, lambda: add_provider(home.settings, name, fields, known=known, environment=os.environ))
    _warn_anew(before, after)
    tell_left_out(before, after, running)
    say(f"Added {name!r} to {home.settings}; a running server takes it up within two seconds.")
    _tell_where_its_key_is_read(after.providers[name], running)
    if is_new:
        say(f"The home {home.path} was made for it.")
    say(f'Try it: "farthing providers test {name}".')


def tell_left_out(before: "Settings", after: "Settings", running: "Running | None") -> None:
    """Say whom the file leaves out by naming somebody: as this terminal sees it, and as the running gateway does."""
    if before.providers_named or not after.providers_named:
        return
    theirs = {provider.name for provider in running.providers} if running is not None else set()
    left_out = (before.providers.keys() | theirs) - after.providers.keys()
    if left_out:
        say(
            "warning: from now on only what the file names is used; these were found by their key in the environment,"
            f" or on this machine, and are left out, unless you add them too: {', '.join(sorted(left_out))}."
        )


def _tell_where_its_key_is_read(provider: "ProviderSettings", running: "Running | None") -> None:
    """Say whose environment counts: that of a gateway that runs was made when it was started."""
    if running is None or provider.credential.kind != "env":
        return
    source = str(provider.credential)
    if any(theirs.credential == source and theirs.ready for theirs in running.providers):
        return
    say(
        f"The running gateway (pid {running.pid}) reads {provider.credential.name} in its own environment, not in this"
        " terminal's; if it was not set there, start the gateway again where it is."
    )


@providers.command()
@click.argument("name", shell_complete=provider_names)
def remove(name: str) -> None:
    """Take a provider out of settings.yaml. The rest of the file stays as it is; what it said is kept beside it."""
    from farthing.cli.config_audit import written_down  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.splice import remove_provider  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    home = current_home()
    before = current_settings(home)
    after = written_down(
        home, lambda: remove_provider(home.settings, name, known=known_providers(), environment=os.environ)
    )
    found = after.providers.keys() - before.providers.keys()
    if found or name in after.providers:
        now = ", ".join(sorted(after.providers))
        say(f"warning: the file names no provider any more, so every one whose key is set is used: {now}.")
    say(f"Removed {name!r} from {home.settings}; a running server lets go of it within two seconds.")


def _tell_missing(home: "Home") -> None:
    """Say where there is no home: the environment's providers are shown all the same, but nobody's settings."""
    if not home.path.exists():
        say(f'There is no home at {str(home.path)!r} yet ("farthing serve" makes it); this is the environment alone.')


def _check_place(name: str, kind: str | None, base_url: str | None, known: "Mapping[str, KnownProvider]") -> None:
    """Refuse what cannot become a provider, with the option that is missing; the rest is checked with the file.

    Raises:
        ConfigError: nobody knows where it is.
    """
    from farthing.config.problems import nearest  # noqa: PLC0415  (--help must not pay for it)

    row = known.get(kind or name)
    if base_url is not None or (row is not None and row.base_url is not None):
        return
    if row is not None:
        message = f"The kind {row.kind!r} has no address of its own; it needs --base-url."
    elif kind is None:
        message = f"{name!r} is none of the providers that Farthing knows{nearest(name, known)}."
    else:
        return  # the file's reader lists the kinds
    told_kind = f" --kind {kind}" if kind is not None else ""
    place = "https://NAME.openai.azure.com/openai/v1" if row is not None and row.kind == "azure" else _OWN_SERVER
    hint = f'"farthing providers add {name}{told_kind} --base-url {place}" adds it by its address.'
    if row is None:
        hint += f" Known by name: {', '.join(sorted(kind for kind, one in known.items() if one.base_url))}."
    raise ConfigError(message, hint=hint)


_OWN_SERVER = "http://127.0.0.1:8000/v1"


def _warn_anew(before: "Settings", after: "Settings") -> None:
    known = {warning.partition(": ")[2] for warning in before.warnings}
    for warning in after.warnings:
        if warning.partition(": ")[2] not in known:
            say(f"warning: {warning}")


def _calls_today() -> dict[str, int]:
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.reports import costs_report  # noqa: PLC0415
    from farthing.types.ledger import US_PER_DAY  # noqa: PLC0415

    now_us = SystemClock().now_us()
    midnight_us = now_us - now_us % US_PER_DAY
    home = current_home()
    if not home.path.exists() or not home.is_ours():  # nothing was served from it yet
        return {}
    report = read_books(home, lambda books: costs_report(books.store, "provider", midnight_us))
    return {row.group: row.calls for row in report.rows if row.group is not None}


def _running(home: "Home") -> "Running | None":
    from farthing.config.running import read_running  # noqa: PLC0415  (--help must not pay for it)

    return read_running(home)


def _only_there(
    running: "Running | None", name: str, chosen: "Mapping[str, ProviderSettings]", held: "Sequence[Held]"
) -> bool:
    """Whether the running gateway has a credential that this terminal does not have."""
    there = running.provider(name) if running is not None else None
    return there is not None and there.ready and missing_credential(chosen[name], held) is not None


def _as_data(
    provider: "ProviderSettings", calls_today: int, running: "Running | None", held: "Sequence[Held]"
) -> "dict[str, object]":
    use = credential_in_use(provider, held)
    there = running.provider(provider.name) if running is not None else None
    return {
        "name": provider.name,
        "kind": provider.kind,
        "base_url": provider.base_url,
        "credential": str(use.source),
        "credential_present": use.credential.missing is None,
        "credential_in_gateway": None if running is None else there is not None and there.ready,
        "free": provider.free,
        "speaks": _formats(provider),
        "calls_today": calls_today,
    }


def _credential_told(row: "Mapping[str, object]") -> str:
    return str(row["credential"]) + ("" if row["credential_present"] else " (missing)")


def _formats(provider: "ProviderSettings") -> list[str]:
    from farthing.providers.registry import known_providers  # noqa: PLC0415  (--help must not pay for it)

    known = known_providers()[provider.kind]
    return [known.wire, *known.also]


def missing_credential(provider: "ProviderSettings", held: "Sequence[Held]" = ()) -> str | None:
    """Return why a provider has no credential now; `None` where it has one, or needs none. `held` is the vault's."""
    return credential_in_use(provider, held).credential.missing


def credential_in_use(provider: "ProviderSettings", held: "Sequence[Held]" = ()) -> "Opened":
    """Return the first of a provider's credentials that is there; the first, where none is."""
    from farthing.gateway.accounts import opened  # noqa: PLC0415  (--help must not pay for it)

    several = opened(provider, held, os.environ)
    return next((one for one in several if one.credential.missing is None), several[0])


def held_here(home: "Home") -> "Sequence[Held]":
    """Return what the vault of a home has; nothing where its database is not one, which is told elsewhere."""
    from farthing.cli.books import held_in  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.errors import StoreError  # noqa: PLC0415

    try:
        return held_in(home)
    except (StoreError, ConfigError):
        return ()


def _usable(settings: "Settings") -> "dict[str, ProviderSettings]":
    """Return the providers that `serve` would use if it started now: an Ollama that answers here among them."""
    from farthing.config.local_ollama import Knock  # noqa: PLC0415  (--help must not pay for it)

    local = {name: one for name, one in settings.local.items() if Knock(one.base_url).answered()}
    return {**settings.providers, **local}


def _named(usable: "dict[str, ProviderSettings]", name: str) -> "ProviderSettings":
    from farthing.config.problems import listed, nearest  # noqa: PLC0415  (--help must not pay for it)

    if name not in usable:
        raise ConfigError(
            f"Unknown provider {name!r}{nearest(name, usable)}; configured: {listed(sorted(usable))}.",
            hint='run "farthing providers list".',
        )
    return usable[name]


async def _check(chosen: "Mapping[str, ProviderSettings]", held: "Sequence[Held]") -> "list[ProviderCheck]":
    import msgspec  # noqa: PLC0415  (--help must not pay for these)

    from farthing.cli.provider_advice import advised  # noqa: PLC0415
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.gateway.provider_check import check_provider  # noqa: PLC0415
    from farthing.providers.pool import Dialer, Proxies  # noqa: PLC0415
    from farthing.providers.registry import create_provider  # noqa: PLC0415

    connect, clock = Dialer(Proxies(os.environ)), SystemClock()

    async def check(settings: "ProviderSettings") -> "ProviderCheck":
        use = credential_in_use(settings, held)
        settings = msgspec.structs.replace(settings, credential=use.source)
        found = await check_provider(create_provider(settings, use.credential), connect, clock)
        return await advised(found, settings, use.credential, connect, clock)

    return list(await asyncio.gather(*(check(provider) for provider in chosen.values())))


def _check_as_data(check: "ProviderCheck") -> "dict[str, str | int | bool | None]":
    return {field: getattr(check, field) for field in check.__struct_fields__}

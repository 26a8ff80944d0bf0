"""`farthing credentials`: keys of providers in the vault of the home, instead of in the environment or in files.

A secret comes from standard input, or from a prompt that shows nothing; never from the command line, which every other
account can see and every shell remembers. It is never printed again, but for a few letters that tell keys apart.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from farthing.cli.complete import credential_names, provider_kinds
from farthing.cli.context import current_home, current_settings, say
from farthing.cli.number import Number
from farthing.cli.tables import Column, counted, grouped, moment, print_fields, print_json, print_table, usd

if TYPE_CHECKING:
    from farthing.auth.vault import Held
    from farthing.config.paths import Home
    from farthing.gateway.limits_note import Told
    from farthing.gateway.provider_check import ProviderCheck
    from farthing.storage.protocols import CredentialRecord
    from farthing.types.credentials import Quotas
    from farthing.types.secret import Secret

F = TypeVar("F", bound=Callable[..., Any])

_MAX_SECRET = 16_384
_SHOWN_OF = 24
"""A secret of which some letters are shown has at least so many; vendors' keys have 32 and more."""


@click.group()
def credentials() -> None:
    """Keys of providers, sealed in the vault: add, list, test, rotate, remove."""
    from farthing.cli.start_up import no_core_dumps  # noqa: PLC0415  (--help must not pay for it)

    no_core_dumps()


def _quota_options(command: F) -> F:
    """Add the options that quotas are given by."""
    amounts = Number(1, 1_000_000_000_000)
    command = click.option("--concurrency", type=amounts, help="Calls that it may have under way at once.")(command)
    for span, words in (("day", "a day"), ("hour", "an hour"), ("minute", "a minute")):
        command = click.option(f"--usd-per-{span}", metavar="USD", help=f"Money that it may cost {words}.")(command)
        for what in ("tokens", "requests"):
            told = f"{what.capitalize()} that it may take {words}."
            command = click.option(f"--{what}-per-{span}", type=amounts, help=told)(command)
    return command


@credentials.command()
@click.argument("provider", shell_complete=provider_kinds)
@click.option("--name", help="What it is called; left out, the provider's name and a number.")
@click.option("--weight", type=Number(1, 1_000), default=1, help="How much it takes beside others of the provider [1].")
@_quota_options
def add(provider: str, name: str | None, weight: int, **quotas: Any) -> None:
    """Seal a key of PROVIDER in the vault. It is read from standard input, or asked for without being shown."""
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)

    home = current_home()
    told = _quotas_of(quotas)
    where = _where_it_is_used(home, provider)
    secret = _read_secret(f"Key of {provider}")
    record = with_vault(
        home,
        lambda vault: vault.add(provider, secret, name=name, weight=weight, quotas=told),
        make=True,
    )
    say(f"The credential {record.name!r} of {provider} is in the vault; a running server uses it within a second.")
    if where:
        say(where)
    if home.master_key.exists():
        say(f"It is sealed under {home.master_key}, which is in no backup: keep a copy of that where backups are not.")
        _tell_other_hosts(home)


@credentials.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_credentials(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """List the vault's credentials, and what their providers told the running server of their limits."""
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.gateway.limits_note import read_note  # noqa: PLC0415

    home = current_home()
    records = with_vault(home, lambda vault: vault.records(), read_only=True)
    now_us = SystemClock().now_us()
    told = read_note(home.limits, now_us)
    if as_json:
        print_json({"credentials": [_as_data(one) for one in records], "limits": [_told_as_data(one) for one in told]})
        return
    if records:
        _print_records(records)
    else:
        say('The vault is empty; "farthing credentials add PROVIDER" puts a key into it.')
    if told:
        click.echo()
        _print_told(told, now_us)


@credentials.command()
@click.argument("name", shell_complete=credential_names)
def show(name: str) -> None:
    """Show what is kept with a credential, and as much of its secret as tells it from others."""
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)

    record, secret = with_vault(current_home(), lambda vault: vault.secret(name))
    print_fields(
        [
            ("name", record.name),
            ("id", record.id),
            ("provider", record.provider),
            ("secret", masked(secret.reveal())),
            ("state", _state(record)),
            ("weight", str(record.weight)),
            *((quota, text) for quota, text in _quota_lines(record.quotas)),
            ("made", f"{moment(record.created_at_us)} UTC"),
            ("new secret", f"{moment(record.rotated_at_us)} UTC" if record.rotated_at_us else None),
            ("master key", record.key_id),
        ]
    )


@credentials.command(name="set")
@click.argument("name", shell_complete=credential_names)
@click.option("--weight", type=Number(1, 1_000), help="How much it takes beside others of the provider.")
@click.option("--no-quotas", is_flag=True, help="Take away every quota that is not given here.")
@_quota_options
def set_(name: str, weight: int | None, no_quotas: bool, **quotas: Any) -> None:  # noqa: FBT001  (click's flag)
    """Change what stands beside a secret. Quotas that are not named stay."""
    import msgspec  # noqa: PLC0415  (--help must not pay for these)

    from farthing.auth.vault import Vault  # noqa: PLC0415
    from farthing.cli.books import with_vault  # noqa: PLC0415
    from farthing.types.credentials import NO_QUOTAS  # noqa: PLC0415

    told = {field: value for field, value in msgspec.structs.asdict(_quotas_of(quotas)).items() if value is not None}
    if weight is None and not told and not no_quotas:
        raise click.UsageError("Nothing to change: give --weight, a quota, or --no-quotas.")

    async def changed(vault: Vault) -> "CredentialRecord":
        before = NO_QUOTAS if no_quotas else (await vault.record(name)).quotas
        return await vault.change(name, weight=weight, quotas=msgspec.structs.replace(before, **told))

    record = with_vault(current_home(), changed)
    shown = [f"{quota} {text}" for quota, text in _quota_lines(record.quotas)]
    say(f"{record.name!r}: {', '.join([f'weight {record.weight}', *shown])}.")


@credentials.command()
@click.argument("name", shell_complete=credential_names)
def rotate(name: str) -> None:
    """Put a new secret in the place of the old one. Calls in flight end with the old, the next have the new."""
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)

    home = current_home()
    before = with_vault(home, lambda vault: vault.record(name))
    secret = _read_secret(f"New key for {before.name}")
    record = with_vault(home, lambda vault: vault.rotate(before.id, secret))
    say(f"{record.name!r} has a new secret; a running server uses it within a second.")


@credentials.command()
@click.argument("name", shell_complete=credential_names)
def enable(name: str) -> None:
    """Use a credential again."""
    _switch(name, enabled=True)


@credentials.command()
@click.argument("name", shell_complete=credential_names)
def disable(name: str) -> None:
    """Use a credential no more, until it is enabled; a running server stops within a second."""
    _switch(name, enabled=False)


@credentials.command()
@click.argument("name", required=False, shell_complete=credential_names)
@click.option("--all", "every", is_flag=True, help="All of them: where the master key is lost.")
def remove(name: str | None, every: bool) -> None:  # noqa: FBT001  (click's flag)
    """Forget a credential. Backups made before still have it, sealed."""
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)

    if (name is None) != every:
        raise click.UsageError("Name the credential, or give --all alone.")
    gone = with_vault(current_home(), lambda vault: vault.remove(name))
    for record in gone:
        say(f"Removed {record.name!r} of {record.provider}.")
    if not gone:
        say("The vault was empty.")


@credentials.command(name="rotate-master")
def rotate_master() -> None:
    """Make a new master key and seal every credential under it, all at once."""
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)

    home = current_home()
    number, place = with_vault(home, lambda vault: vault.change_master_key())
    say(f"{counted(number, 'credential')} sealed under a new master key, kept in {place}.")
    say("Backups made before are opened by the old one alone: keep that with them.")
    _tell_other_hosts(home)


def _tell_other_hosts(home: "Home") -> None:
    """Where a database is shared, say that its other hosts cannot open what this one sealed."""
    from farthing.config.storage_place import database_of  # noqa: PLC0415  (not for --help)

    if database_of(home, os.environ) is not None:
        say(
            "Other hosts of the database need that master key, too: without it their next start finds the vault locked."
        )


@credentials.command()
@click.argument("name", required=False, shell_complete=credential_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(ctx: click.Context, name: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Ask the provider for its models with each credential, or with one. Costs nothing. Ends with 1 if one fails."""
    from farthing.cli.books import held_in, with_vault  # noqa: PLC0415  (opens the database; not for --help)

    home = current_home()
    home.recognise()
    held = held_in(home)
    if name is not None:
        wanted = with_vault(home, lambda vault: vault.record(name))
        held = [one for one in held if one.record.id == wanted.id]
        if not held:
            say(f"{wanted.name!r} is disabled; it is not asked with.")
    checks = asyncio.run(_check(home, held))
    if as_json:
        print_json([{"credential": told, **{field: getattr(one, field) for field in _CHECKED}} for told, one in checks])
    elif checks:
        columns = [Column("CREDENTIAL", "left"), Column("PROVIDER", "left"), Column("", "left"), Column("MODELS")]
        rows = [[told, one.name, "ok" if one.ok else "failed", grouped(one.models)] for told, one in checks]
        print_table(columns, rows)
        for told, one in checks:
            if not one.ok:
                say(f"{told}: {one.reason}")
                say(f"  -> {one.hint}")
    else:
        say('Nothing to test; "farthing credentials list" shows what there is.')
    if not all(one.ok for _, one in checks):
        ctx.exit(1)


_CHECKED = ("name", "ok", "latency_ms", "http_status", "models", "reason", "hint")


async def _check(home: "Home", held: "list[Held]") -> "list[tuple[str, ProviderCheck]]":
    import msgspec  # noqa: PLC0415  (--help must not pay for these)

    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.gateway.provider_check import ProviderCheck, check_provider  # noqa: PLC0415
    from farthing.providers.pool import Dialer, Proxies  # noqa: PLC0415
    from farthing.providers.protocol import Credential  # noqa: PLC0415
    from farthing.providers.registry import create_provider  # noqa: PLC0415

    settings, connect = current_settings(home), Dialer(Proxies(os.environ))

    async def check(one: "Held") -> "tuple[str, ProviderCheck]":
        name, told = one.record.provider, one.record.name
        provider = settings.providers.get(name) or settings.local.get(name)
        if provider is None or one.problem is not None:
            reason = one.problem or f"no provider {name!r} is configured"
            hint = f'"farthing providers add {name} --credential vault" names it' if provider is None else "see above"
            return told, ProviderCheck(name=name, ok=False, who="operator", reason=reason, hint=hint)
        built = create_provider(provider, Credential(secret=one.secret))
        return told, msgspec.structs.replace(await check_provider(built, connect, SystemClock()), name=name)

    return list(await asyncio.gather(*(check(one) for one in held)))


def masked(secret: str) -> str:
    """Return as much of a secret as tells it from others: the ends of a long one, nothing of a short one."""
    return f"{secret[:4]}...{secret[-4:]}" if len(secret) >= _SHOWN_OF else "***"


def _switch(name: str, *, enabled: bool) -> None:
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)

    record = with_vault(current_home(), lambda vault: vault.change(name, enabled=enabled))
    say(f"{record.name!r} is {_state(record)}.")


def _read_secret(prompt: str) -> "Secret":
    """Return a secret from standard input, or from a prompt where that is a terminal."""
    from farthing.types.secret import Secret  # noqa: PLC0415  (--help must not pay for it)

    if sys.stdin.isatty():
        return Secret(click.prompt(prompt, hide_input=True, err=True).strip())
    return Secret(sys.stdin.read(_MAX_SECRET + 2).strip())


def _quotas_of(told: dict[str, Any]) -> "Quotas":
    from farthing.config.credential_rows import nanousd  # noqa: PLC0415  (--help must not pay for these)
    from farthing.types.credentials import Quotas  # noqa: PLC0415

    found: dict[str, int] = {}
    for name, value in told.items():
        if value is None:
            continue
        amount = nanousd(value) if name.startswith("usd_") else value
        if amount is None:
            raise click.UsageError(f"--{name.replace('_', '-')} is an amount of dollars above 0, such as 2.50.")
        found[f"nano{name}" if name.startswith("usd_") else name] = amount
    return Quotas(**found)


def _where_it_is_used(home: "Home", provider: str) -> str | None:
    """Return what must be said of the settings before a credential of this provider is used.

    Raises:
        ConfigError: nobody would ever call such a provider.
    """
    from farthing.config.problems import listed, nearest  # noqa: PLC0415  (--help must not pay for these)
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    settings, known = current_settings(home), known_providers()
    found = settings.providers.get(provider) or settings.local.get(provider)
    if found is None and provider not in known:
        names = sorted({*known, *settings.providers})
        raise ConfigError(
            f"Unknown provider {provider[:64]!r}{nearest(provider, names)}; known: {listed(names)}.",
            hint='for a server of your own, "farthing providers add NAME --base-url URL --credential vault" first.',
        )
    if found is None:
        return f'{provider} is not configured yet: "farthing providers add {provider} --credential vault" names it.'
    sources = [share.source for share in found.credentials] or [found.credential]
    if found.vault_first or any(source.kind == "vault" for source in sources):
        return None
    return (
        f"settings.yaml has {provider} call with {', '.join(map(str, sources))}, and not with the vault's:"
        f' "farthing config set providers.{provider}.credential vault" changes that.'
    )


def _state(record: "CredentialRecord") -> str:
    return "enabled" if record.enabled else "disabled"


def _quota_lines(quotas: "Quotas") -> list[tuple[str, str]]:
    import msgspec  # noqa: PLC0415  (--help must not pay for it)

    lines = []
    for name, amount in msgspec.structs.asdict(quotas).items():
        if amount is not None:
            money = name.startswith("nano")
            lines.append((name.removeprefix("nano").replace("_", " "), usd(amount) if money else grouped(amount)))
    return lines


def _print_records(records: "list[CredentialRecord]") -> None:
    columns = [Column("NAME", "left"), Column("PROVIDER", "left"), Column("STATE", "left"), Column("WEIGHT")]
    columns += [Column("MADE", "left"), Column("NEW SECRET", "left")]
    quotas = any(_quota_lines(record.quotas) for record in records)
    columns += [Column("QUOTAS", "left")] if quotas else []
    rows = []
    for one in records:
        row = [one.name, one.provider, _state(one), grouped(one.weight), moment(one.created_at_us)[:10]]
        row += [moment(one.rotated_at_us)[:10] if one.rotated_at_us else "-"]
        row += [", ".join(f"{text} {name}" for name, text in _quota_lines(one.quotas))] if quotas else []
        rows.append(row)
    print_table(columns, rows)


def _print_told(told: "list[Told]", now_us: int) -> None:
    columns = [Column("WHAT PROVIDERS TOLD", "left"), Column("MODEL", "left"), Column("OF", "left"), Column("LEFT")]
    columns += [Column("LIMIT"), Column("RENEWED", "left")]
    rows = [
        [
            f"{one.provider} {one.credential or ''}".strip(),
            one.model or "every",
            f"rests after {one.status}" if one.status else one.kind,
            grouped(one.remaining),
            grouped(one.limit),
            "-" if one.resets_at_us is None or one.resets_at_us <= now_us else f"{moment(one.resets_at_us)} UTC",
        ]
        for one in told
    ]
    print_table(columns, rows)


def _as_data(record: "CredentialRecord") -> dict[str, Any]:
    """Return a record for programs: everything but what is sealed."""
    import msgspec  # noqa: PLC0415  (--help must not pay for it)

    fields = {name: getattr(record, name) for name in record.__struct_fields__ if name not in _SEALED}
    return {**fields, "quotas": msgspec.to_builtins(record.quotas)}


_SEALED = ("ciphertext", "nonce", "quotas")


def _told_as_data(told: "Told") -> dict[str, Any]:
    return {name: getattr(told, name) for name in told.__struct_fields__}

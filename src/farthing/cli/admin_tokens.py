"""`farthing admin token`: tokens of the admin API for others than the admin, each with a role."""

import os
from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, say
from farthing.cli.tables import Column, fits, moment, print_json, print_table
from farthing.types.admin import ROLES, AdminToken, Role

if TYPE_CHECKING:
    from farthing.auth.admin_tokens import AdminTokens
    from farthing.storage.protocols import Store


@click.group()
def token() -> None:
    """Give others a part of the admin's rights: to see everything, or to manage a team."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What it may do.")
@click.option("--team", help="The team that it is for; a manager's must say one.")
@click.option("--organisation", help="Whose team that is; without it that of the team's keys.")
@click.option("--json", "as_json", is_flag=True, help='Print {"id", "name", "role", "organisation", "team", "token"}.')
def create(name: str, role: Role, team: str | None, organisation: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Make a token and print it: on stdout, this once.

    An admin may do everything, a manager sees and changes what is the team's, a viewer sees everything, or what is the
    team's, and changes nothing.
    """
    from farthing.auth.admin_tokens import tenant_named  # noqa: PLC0415  (not for --help)
    from farthing.cli.books import change_store, home_pepper  # noqa: PLC0415  (opens the database; not for --help)

    home = current_home()
    home.recognise()
    pepper = home_pepper(home)

    async def make(store: "Store") -> "tuple[AdminToken, str]":
        tenant = await tenant_named(store, organisation, team)
        record, secret = await _tokens(store, pepper).create(name, role, tenant=tenant)
        return record, secret.reveal()

    record, secret = change_store(home, make)
    if as_json:
        told = {field: getattr(record, field) for field in ("id", "name", "role", "organisation", "team")}
        print_json(told | {"token": secret})
        return
    click.echo(secret)
    say(f"The token {record.name!r} ({record.id}), {_whose(record)}. Keep it: it is not shown again.")


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_tokens(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """List tokens, revoked ones too, oldest first. The tokens themselves are not kept."""
    from farthing.cli.books import read_store  # noqa: PLC0415  (opens the database; not for --help)

    records = read_store(current_home(), lambda store: store.admin.tokens())
    if as_json:
        fields = [field for field in AdminToken.__struct_fields__ if field != "digest"]
        print_json([{field: getattr(record, field) for field in fields} for record in records])
        return
    if not records:
        say('No tokens yet; "farthing admin token create NAME --role viewer" makes one.')
        return
    columns = [Column(name, "left") for name in ("NAME", "TOKEN", "ID", "ROLE", "TEAM", "MADE", "REVOKED")]
    rows = [
        [
            record.name,
            f"{record.shown}...",
            record.id,
            record.role,
            "" if record.tenant is None else str(record.tenant).removeprefix("team "),
            moment(record.created_at_us)[:10],
            "" if record.revoked_at_us is None else moment(record.revoked_at_us)[:10],
        ]
        for record in records
    ]
    if not fits(columns, rows):  # the name does as well
        columns, rows = columns[:2] + columns[3:], [row[:2] + row[3:] for row in rows]
    print_table(columns, rows)


@token.command()
@click.argument("token", metavar="ID_OR_NAME")
def revoke(token: str) -> None:
    """Make a token invalid, for good and at once."""
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)

    async def end(store: "Store") -> AdminToken:
        return await _tokens(store, b"").revoke(token)

    record = change_store(current_home(), end)
    say(f"Revoked the token {record.name!r} ({record.id}).")


def _tokens(store: "Store", pepper: bytes) -> "AdminTokens":
    from farthing.auth.admin_tokens import AdminTokens  # noqa: PLC0415  (not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.types.identity import IdSource  # noqa: PLC0415

    clock = SystemClock()
    return AdminTokens(store.admin, pepper, clock=clock, ids=IdSource(clock, os.urandom), random_bytes=os.urandom)


def _whose(record: AdminToken) -> str:
    return f"a {record.role}'s" + (f" of the {record.tenant}" if record.tenant else "")

"""`farthing admin`: a new link to the admin's page."""

import os

import click

from farthing.cli.context import current_home, current_settings


@click.group()
def admin() -> None:
    """The admin's page in a browser."""


@admin.command()
def link() -> None:
    """Print a new admin link; it ends the old one's life, and logs out who came by it."""
    from farthing.auth.keys import load_pepper  # noqa: PLC0415 (--help must not pay for it)
    from farthing.server.admin.token import new_admin_token  # noqa: PLC0415

    home = current_home()
    home.create()
    server = current_settings(home).server
    token = new_admin_token(home, load_pepper(home.pepper, os.urandom), os.urandom)
    url = server.public_url or f"http://{server.host}:{server.port}"
    click.echo(f"{url}/admin/login?token={token.reveal()}")

"""`farthing admin`: a new link to the admin's page, and tokens of the admin API for others."""

import os

import click

from farthing.cli.admin_tokens import token
from farthing.cli.context import current_home, current_settings, say


@click.group()
def admin() -> None:
    """The admin's page in a browser, and who else administers."""


admin.add_command(token)


@admin.command()
@click.option("--port", type=click.IntRange(1, 65_535), help="Where it listens, where that cannot be found out.")
def link(port: int | None) -> None:
    """Print a new admin link; it ends the old one's life, and logs out who came by it.

    The link leads to the gateway that serves this home now, else to where the settings say that it will listen.
    """
    from farthing.cli.books import home_pepper  # noqa: PLC0415 (--help must not pay for it)
    from farthing.cli.config_audit import written_down  # noqa: PLC0415
    from farthing.config.reach import reachable_host, url_of  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.server.admin.token import ENVIRONMENT, new_admin_token  # noqa: PLC0415

    home = current_home()
    home.recognise()
    running = read_running(home)
    if port is None and running is not None:
        url = running.url
    else:
        server = current_settings(home).server
        url = server.public_url or url_of(reachable_host(server.host), port or server.port)
    if running is not None and running.admin_token_chosen:
        raise ConfigError(
            f"The gateway (pid {running.pid}) was started with {ENVIRONMENT}: it takes that token, and no link.",
            hint=f"open {url}/admin/login?token=... with that token, or start it again without {ENVIRONMENT}.",
        )
    made = written_down(home, lambda: new_admin_token(home, home_pepper(home), os.urandom), subject="admin")
    click.echo(f"{url}/admin/login?token={made.reveal()}")
    if running is None:
        say('No gateway serves this home now: the link works once "farthing serve" runs.')
        if os.environ.get(ENVIRONMENT):
            say(f"warning: {ENVIRONMENT} is set; a gateway that is started with it takes that token and not this link.")

"""`farthing routers`: the names that stand for several models. They are made in settings.yaml, or by the admin API."""

import click

from farthing.cli.context import current_home, say
from farthing.cli.tables import Column, print_json, print_table


@click.group()
def routers() -> None:
    """Show the names that stand for several models.

    "farthing config set routers.NAME '{models: [openai:gpt-5-mini, ollama:qwen3:8b], strategy: cheapest}'" makes one,
    and "farthing config unset routers.NAME" takes it out.
    """


@routers.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_routers(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """List the routers, of settings.yaml and of the admin API: their models, and which is tried first."""
    from farthing.cli.books import settings_that_hold  # noqa: PLC0415  (opens the database; not for --help)

    settings, stored = settings_that_hold(current_home())
    of_api = {one.path: one.changed_by for one in stored}
    rows = []
    for name, router in settings.routers.items():
        who = of_api.get(f"routers.{name}")
        origin = f"settings.yaml:{settings.said.lines[f'routers.{name}']}" if who is None else f"admin-api ({who})"
        rows.append((name, router.strategy, [str(ref) for ref in router.models], origin))
    if as_json:
        told = ("id", "strategy", "models", "origin")
        print_json([dict(zip(told, row, strict=True)) for row in rows])
        return
    if not rows:
        say("No routers yet; \"farthing config set routers.NAME '{models: [provider:model, ...]}'\" makes one.")
        return
    columns = [Column("ROUTER", "left"), Column("STRATEGY", "left"), Column("MODELS", "left"), Column("FROM", "left")]
    print_table(columns, [(name, strategy, ", ".join(models), origin) for name, strategy, models, origin in rows])

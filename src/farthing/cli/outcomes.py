"""`farthing outcomes`: what came of tasks and sessions, so that reports tell what a success costs."""

import os

import click

from farthing.cli.context import current_home, say
from farthing.cli.number import Number
from farthing.cli.tables import Column, moment, print_json, print_table
from farthing.errors import InvalidRequest
from farthing.types.outcomes import WorkKind, WorkOutcome
from farthing.types.tenant import tenant_of


@click.group()
def outcomes() -> None:
    """Tell whether a task or a session came to something; reports tell what a success costs."""


@outcomes.command()
@click.argument("result", type=click.Choice(["success", "failure"]))
@click.option("--task", help="The task, by the name that its calls carry.")
@click.option("--session", help="The session, by the name that its calls carry.")
@click.option("--team", help="Only that team's calls are meant.")
@click.option("--organisation", help="Whose team that is.")
def tell(result: str, task: str | None, session: str | None, team: str | None, organisation: str | None) -> None:
    """Tell what came of a task or a session. Told again, the last one counts."""
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.types.identity import IdSource  # noqa: PLC0415

    kind: WorkKind = "session" if task is None else "task"
    name = session if task is None else task
    if not name or (task is not None and session is not None):
        raise InvalidRequest("One of a task and a session is meant.", hint="give --task NAME or --session NAME.")
    if organisation is not None and team is None:
        raise InvalidRequest(f"No team of {organisation!r} is named.", hint="give --team NAME as well.")
    clock = SystemClock()
    made = WorkOutcome(
        id=IdSource(clock, os.urandom).new("out"),
        kind=kind,
        name=name,
        succeeded=result == "success",
        at_us=clock.now_us(),
        who="cli",
        tenant=tenant_of(organisation, team),
    )
    change_store(current_home(), lambda store: store.outcomes.tell(made))
    say(f"The {kind} {name!r} is told of as a {result}.")


@outcomes.command(name="list")
@click.option("--limit", type=Number(1, 10_000), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_outcomes(limit: int, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """List what was told, youngest first."""
    from farthing.cli.books import read_store  # noqa: PLC0415  (opens the database; not for --help)

    found = read_store(current_home(), lambda store: store.outcomes.told(limit))
    if as_json:
        print_json([_as_data(one) for one in found])
        return
    if not found:
        say('Nothing was told yet; "farthing outcomes tell success --task NAME" does.')
        return
    columns = [Column(name, "left") for name in ("TOLD (UTC)", "WHAT", "NAME", "RESULT", "WHOSE")]
    print_table(
        columns,
        [
            [moment(one.at_us), one.kind, one.name, _result(one), "" if one.tenant is None else str(one.tenant)]
            for one in found
        ],
    )


def _as_data(outcome: WorkOutcome) -> dict[str, str | None]:
    tenant = outcome.tenant
    return {
        "id": outcome.id,
        "at": moment(outcome.at_us),
        "kind": outcome.kind,
        "name": outcome.name,
        "result": _result(outcome),
        "organisation": None if tenant is None else tenant.organisation,
        "team": None if tenant is None else tenant.team,
        "who": outcome.who,
    }


def _result(outcome: WorkOutcome) -> str:
    return "success" if outcome.succeeded else "failure"

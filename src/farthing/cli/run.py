"""`farthing run`: start an agent on the gateway, with a key of its own that ends with it.

Nothing of the user's is written: an agent is told everything by variables and arguments, and what must be a file is in
a private folder that goes with it. The key stands for the session in the ledger. It is revoked when the agent has
ended; where we are killed first, it ends by itself.
"""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from farthing.cli.complete import agent_names
from farthing.cli.context import existing_home, say

if TYPE_CHECKING:
    from farthing.cli.agents.protocol import Agent, Start
    from farthing.cli.git_facts import Facts
    from farthing.config.paths import Home
    from farthing.storage.protocols import KeyRecord

LIFETIME_S = 7 * 86_400
"""How long a key counts whose `run` was killed; the longest session of an agent that is left open over a weekend."""

_MASKED = "ft-..."
_SHORT = 6


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", shell_complete=agent_names)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--model", metavar="PROVIDER:MODEL", help="The model to use, an alias too; else what the agent asks for.")
@click.option("--project", help="What the calls are for [the git repository's folder].")
@click.option("--session", help="The session's name in the ledger [the key's name].")
@click.option("--task", help="The task that the calls are for.")
@click.option("--keep", multiple=True, metavar="VARIABLE", help="A provider's key to leave to the agent.")
@click.option("--dry-run", is_flag=True, help="Print what would be set, and start nothing.")
@click.pass_context
def run(
    ctx: click.Context,
    command: str,
    arguments: tuple[str, ...],
    model: str | None,
    project: str | None,
    session: str | None,
    task: str | None,
    keep: tuple[str, ...],
    dry_run: bool,  # noqa: FBT001  (click's flag)
) -> None:
    """Start COMMAND (claude, codex, gemini, aider, opencode or any other) on the running gateway.

    It gets a key of its own, which ends with it; what it spends is a session of its own in the ledger. Options stand
    before COMMAND, what follows it is the agent's.
    """
    from farthing.cli.agent_environment import past_proxies, taken_out, without_providers  # noqa: PLC0415
    from farthing.cli.agents import agent_for  # noqa: PLC0415
    from farthing.cli.agents.protocol import Asked  # noqa: PLC0415
    from farthing.cli.child import ending_in_order  # noqa: PLC0415
    from farthing.cli.git_facts import facts_of  # noqa: PLC0415
    from farthing.cli.model_check import refuse_unknown  # noqa: PLC0415
    from farthing.cli.serving_now import ready_gateway  # noqa: PLC0415

    home = existing_home()
    agent = agent_for(command)
    program = _program(command)
    gateway = ready_gateway(home)
    here = _here()
    clean = without_providers(os.environ, keep)

    def asked(key: str, folder: Path) -> Asked:
        return Asked(
            url=gateway.url,
            key=key,
            arguments=arguments,
            environment=clean,
            user_home=Path.home(),
            here=here,
            folder=folder,
            model=model,
            models=gateway.models(key) if agent.lists_models and key != _MASKED else (),
        )

    around = past_proxies(clean, gateway.host)
    facts = facts_of(here, os.environ)
    if dry_run:
        start = agent.start(asked(_MASKED, Path("(a private folder)")))
        _print_plan(program, start, around, taken_out(os.environ, keep))
        return
    with ending_in_order() as nothing_ends_us:
        record, key = _make_key(home, agent, facts, project=project, session=session, task=task)
        try:
            refuse_unknown(gateway, key, model)
            with _private_folder() as folder:
                start = agent.start(asked(key, folder))
                _lay_out(folder, start)
                status = _start(program, start, {**clean, **around, **start.variables})
        finally:
            nothing_ends_us()
            _revoke(home, record)
    _say_spent(home, record)
    ctx.exit(status)


def _here() -> Path:
    from farthing.errors import ConfigError  # noqa: PLC0415  (--help must not pay for it)

    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError("The folder that this was started in is gone.", hint="go to another.") from error


def _program(command: str) -> str:
    from farthing.errors import ConfigError  # noqa: PLC0415  (--help must not pay for it)

    found = shutil.which(command)
    if found is None and PurePath(command).name != command:
        what = "may not be executed" if Path(command).is_file() else "is no program"
        raise ConfigError(f"{command!r} {what}.", hint="give the path of a program, or its name alone.")
    if found is None:
        raise ConfigError(f"There is no program {command!r} on the PATH.", hint="install it, or give its whole path.")
    return found


def _make_key(
    home: "Home", agent: "Agent", facts: "Facts", *, project: str | None, session: str | None, task: str | None
) -> "tuple[KeyRecord, str]":
    from farthing.cli.books import make_key  # noqa: PLC0415  (opens the database; not for --help)

    name = f"run-{agent.name[:40]}-{os.urandom(_SHORT // 2).hex()}"
    record, secret = make_key(
        home,
        lambda ring: ring.create(
            name,
            project=project or facts.project,
            session=session or name,
            task=task,
            branch=facts.branch,
            pull_request=facts.pull_request,
            lifetime_s=LIFETIME_S,
        ),
    )
    return record, secret.reveal()


@contextmanager
def _private_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="farthing-run-"))  # for this account only
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # links in it are removed, not followed


def _lay_out(folder: Path, start: "Start") -> None:
    for name, content in start.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)
    for name, target in start.links.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target.absolute(), target_is_directory=target.is_dir())


def _start(program: str, start: "Start", environment: Mapping[str, str]) -> int:
    from farthing.cli.child import run_child  # noqa: PLC0415  (--help must not pay for it)
    from farthing.errors import ConfigError  # noqa: PLC0415

    sys.stdout.flush()
    try:
        return run_child([program, *start.arguments], environment)
    except OSError as error:
        raise ConfigError(f"{program!r} cannot be started: {error.strerror or error}.") from error


def _revoke(home: "Home", record: "KeyRecord") -> None:
    from farthing.cli.books import change_keys  # noqa: PLC0415
    from farthing.errors import FarthingError, InvalidRequest  # noqa: PLC0415

    try:
        change_keys(home, lambda ring: ring.revoke(record.id))
    except InvalidRequest:
        pass  # somebody else revoked it while the agent ran
    except FarthingError as error:
        say(f"warning: the key {record.name!r} is not revoked: {error.message}")
        say(f'It ends by itself within {LIFETIME_S // 86_400} days; "farthing keys revoke {record.name}" ends it now.')


def _say_spent(home: "Home", record: "KeyRecord") -> None:
    """Say what the session cost; the agent's own end counts, so nothing here may change the status."""
    from farthing.cli.books import read_books  # noqa: PLC0415
    from farthing.cli.costs import remarks  # noqa: PLC0415
    from farthing.cli.records import nothing_known  # noqa: PLC0415
    from farthing.cli.tables import counted, usd  # noqa: PLC0415
    from farthing.errors import FarthingError  # noqa: PLC0415

    try:
        rows = read_books(home, lambda books: books.store.costs("key", record.created_at_us))
    except FarthingError as error:
        say(f"warning: what it cost cannot be read: {error.message}")
        return
    row = next((row for row in rows if row.group == record.name), None)
    if row is None:
        say(f"The session {record.session!r} made no call.")
        return
    cost = "of unknown cost" if nothing_known(row) else f"{usd(row.cost_nanousd)} USD"
    say(f"The session {record.session!r}: {counted(row.calls, 'call')}, {cost}.")
    for line in remarks(row):
        say(line)


def _print_plan(program: str, start: "Start", around: Mapping[str, str], taken: list[str]) -> None:
    for name, value in sorted({**around, **start.variables}.items()):
        click.echo(f"set    {name}={value}")
    for name in taken:
        if name not in start.variables:
            click.echo(f"unset  {name}")
    for name in start.files:
        click.echo(f"write  {Path('(a private folder)') / name}")
    click.echo(f"start  {shlex.join([program, *start.arguments])}")

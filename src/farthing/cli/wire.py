"""`farthing wire` and `farthing unwire`: let an agent's own settings name the gateway, and put them back.

`run` needs none of this and is what we advise; wiring is for whoever starts agents from an editor. What is needed to
put everything back is written into the home first, with the old files whole, so that a crash between two files loses
nothing: a file that was not changed yet is found to be as before.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from farthing.cli.agents import known_agents
from farthing.cli.context import existing_home, say
from farthing.cli.settings_edits import Changed, plan, put_back, write

if TYPE_CHECKING:
    from farthing.cli.agents.protocol import Agent, Asked
    from farthing.config.paths import Home

_agent_names = click.Choice(sorted(known_agents()))


class Wired(msgspec.Struct, frozen=True):
    """What the home remembers of a wired agent."""

    agent: str
    key_id: str
    key_name: str
    files: tuple[Changed, ...]


@click.command()
@click.argument("agent", type=_agent_names)
@click.option("--model", metavar="PROVIDER:MODEL", help="The model to name in its settings; else they keep theirs.")
@click.option("--project", help="What its calls are for.")
def wire(agent: str, model: str | None, project: str | None) -> None:
    """Change AGENT's own settings so that it calls the gateway, with a key that stays.

    What the files said before is kept in the home; 'farthing unwire AGENT' puts them back, byte for byte.
    """
    from farthing.errors import ConfigError  # noqa: PLC0415

    home = existing_home()
    note = _note(home, agent)
    if note.exists():
        raise ConfigError(f"{agent} is wired already.", hint=f'"farthing unwire {agent}" puts its settings back.')
    chosen = known_agents()[agent]
    record, key = _make_key(home, agent, project)
    try:
        planned = [(Path(c.path), c, data) for c, data in map(plan, chosen.edits(_asked(home, chosen, key, model)))]
        _remember(note, Wired(agent, record[0], record[1], tuple(changed for _, changed, _ in planned)))
    except BaseException:
        _revoke(home, record[0])
        raise
    for path, changed, data in planned:
        write(path, data)
        say(f"{'changed' if changed.before is not None else 'made'} {path}")
        if changed.before is not None and os.name == "posix" and path.stat().st_mode & 0o077:
            say(f"warning: other accounts of this machine can read {path}, and the key in it: chmod 600 {path}")
    say(f'{agent} calls the gateway now, with the key {record[1]!r}. "farthing unwire {agent}" puts everything back.')


@click.command()
@click.argument("agent", type=_agent_names)
def unwire(agent: str) -> None:
    """Put AGENT's settings back as they were before 'farthing wire', and revoke its key.

    Where a file was changed since, only what Farthing put in is taken out.
    """
    from farthing.errors import ConfigError, StoreError  # noqa: PLC0415

    home = existing_home()
    note = _note(home, agent)
    if not note.exists():
        raise ConfigError(f"{agent} is not wired by this home.", hint=f'"farthing wire {agent}" does it.')
    wired = _read(note)
    told = {"restored": "put back", "removed": "removed", "taken out": "took our part out of", "nothing": "left"}
    for changed in wired.files:
        say(f"{told[put_back(changed)]} {changed.path}")
    try:
        _revoke(home, wired.key_id)
    except StoreError as error:
        say(f'warning: the key is not revoked: {error.message} "farthing keys revoke {wired.key_name}" does it.')
    note.unlink()
    say(f"{agent} is as it was before; the key {wired.key_name!r} is revoked.")


def _asked(home: "Home", agent: "Agent", key: str, model: str | None) -> "Asked":
    from farthing.cli.agents.protocol import Asked  # noqa: PLC0415
    from farthing.cli.context import current_settings  # noqa: PLC0415
    from farthing.cli.serving_now import Address  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415

    running = read_running(home)
    server = running or current_settings(home).server
    address = Address(server.host, server.port)
    if running is None:
        say(f'No gateway serves this home now: it is wired to {address.url}, where "farthing serve" will listen.')
    return Asked(
        url=address.url,
        key=key,
        environment=os.environ,
        user_home=Path.home(),
        here=Path.cwd(),
        folder=home.path,
        model=model,
        models=address.models(key) if agent.lists_models and running is not None else (),
    )


def _make_key(home: "Home", agent: str, project: str | None) -> tuple[tuple[str, str], str]:
    from farthing.cli.books import make_key  # noqa: PLC0415  (opens the database; not for --help)

    name = f"wire-{agent}-{os.urandom(3).hex()}"
    record, secret = make_key(home, lambda ring: ring.create(name, project=project))
    return (record.id, record.name), secret.reveal()


def _revoke(home: "Home", key_id: str) -> None:
    from farthing.cli.books import change_keys  # noqa: PLC0415
    from farthing.errors import InvalidRequest  # noqa: PLC0415

    try:
        change_keys(home, lambda ring: ring.revoke(key_id))
    except InvalidRequest:
        pass  # somebody revoked it before


def _note(home: "Home", agent: str) -> Path:
    return home.path / "wired" / f"{agent}.json"


def _remember(note: Path, wired: Wired) -> None:
    from farthing.config.home_files import give_folder_to_owner, write_whole  # noqa: PLC0415

    if not note.parent.is_dir():
        note.parent.mkdir(mode=0o700)
        give_folder_to_owner(note.parent)
    write_whole(note, msgspec.json.encode(wired))


def _read(note: Path) -> Wired:
    from farthing.errors import ConfigError  # noqa: PLC0415

    try:
        return msgspec.json.decode(note.read_bytes(), type=Wired)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{str(note)!r} is damaged: {error}.", hint="take farthing's part out of the agent's settings by hand."
        ) from error

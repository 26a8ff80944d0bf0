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
    from farthing.errors import ConfigError

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
        raise _already(agent)
    chosen = known_agents()[agent]
    record, key = _make_key(home, agent, project)
    try:
        asked = _asked(home, chosen, key, model)
        planned = [(Path(c.path), c, data) for c, data in map(plan, chosen.edits(asked))]
        wired = Wired(agent, record[0], record[1], tuple(changed for _, changed, _ in planned))
        _remember(note, wired)
    except ConfigError as error:
        _revoke(home, record[0])
        raise _without_key(error, key, agent) from error
    except OSError as error:
        _revoke(home, record[0])
        raise ConfigError(
            f"{str(error.filename)!r} cannot be used: {error.strerror or error}. Nothing was changed.",
            hint="let this account read and write there.",
        ) from error
    except BaseException:
        _revoke(home, record[0])
        raise
    for path, _, data in planned:
        try:
            write(path, data)
        except OSError as error:
            raise ConfigError(
                f"{str(path)!r} cannot be written: {error.strerror or error}.", hint=_undone(home, note, wired)
            ) from error
    for path, changed, _ in planned:
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
    mine = False
    for changed in wired.files:
        try:
            done = put_back(changed)
        except OSError as error:
            raise ConfigError(
                f"{changed.path!r} cannot be put back: {error.strerror or error}.",
                hint=f'let this account write there; then "farthing unwire {agent}" again. What it said before is in'
                f" {str(note)!r}.",
            ) from error
        gone = done == "nothing" and changed.before is not None and not Path(changed.path).exists()
        mine = mine or gone or done == "taken out"
        say(f"{'gone already:' if gone else _DONE[done]} {changed.path}")
    try:
        _revoke(home, wired.key_id)
        revoked = f"the key {wired.key_name!r} is revoked"
    except StoreError as error:
        say(f'warning: the key is not revoked: {error.message} "farthing keys revoke {wired.key_name}" does it.')
        revoked = "its key is still valid"
    note.unlink()
    say(f"{agent} is {'not wired any more, and what you changed stays' if mine else 'as it was before'}; {revoked}.")


_DONE = {"restored": "put back", "removed": "removed", "taken out": "took our part out of", "nothing": "as before:"}


def _undone(home: "Home", note: Path, wired: Wired) -> str:
    """Take back a wiring that failed in the middle; return what is to be done then."""
    from farthing.errors import FarthingError  # noqa: PLC0415

    try:
        for changed in wired.files:
            put_back(changed)
        _revoke(home, wired.key_id)
        note.unlink()
    except (OSError, FarthingError):
        return f'let this account write there, and take back what was done: "farthing unwire {wired.agent}".'
    return "all is as it was before; let this account write there."


def _without_key(error: "ConfigError", key: str, agent: str) -> "ConfigError":
    """Return an error whose hint names no key: the one that was made for it is revoked."""
    from farthing.errors import ConfigError  # noqa: PLC0415

    if error.hint is None or key not in error.hint:
        return error
    made = f'ft-... being what "farthing keys create {agent}" prints'
    return ConfigError(error.message, hint=error.hint.replace(key, "ft-...").rstrip() + f"\n{made}")


def _asked(home: "Home", agent: "Agent", key: str, model: str | None) -> "Asked":
    from farthing.cli.agents.protocol import Asked  # noqa: PLC0415
    from farthing.cli.context import current_settings  # noqa: PLC0415
    from farthing.cli.model_check import refuse_unknown  # noqa: PLC0415
    from farthing.cli.serving_now import Address  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415

    running = read_running(home)
    server = running or current_settings(home).server
    address = Address(server.host, server.port)
    if running is None:
        say(f'No gateway serves this home now: it is wired to {address.url}, where "farthing serve" will listen.')
    else:
        refuse_unknown(address, key, model)
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


def _already(agent: str) -> "ConfigError":
    from farthing.errors import ConfigError  # noqa: PLC0415

    return ConfigError(
        f"{agent} is wired already.",
        hint=f'"farthing unwire {agent}" puts its settings back; then it can be again.',
    )


def _remember(note: Path, wired: Wired) -> None:
    """Write the note, unless another `wire` was quicker: the settings as they were before would be lost with its."""
    from farthing.config.home_files import give_folder_to_owner, write_whole  # noqa: PLC0415

    if not note.parent.is_dir():
        note.parent.mkdir(mode=0o700, exist_ok=True)
        give_folder_to_owner(note.parent)
    draft = note.with_name(f".{note.name}-{wired.key_id}")
    write_whole(draft, msgspec.json.encode(wired))
    try:
        os.link(draft, note)  # which fails where there is one, as a replacement would not
    except FileExistsError as error:
        raise _already(wired.agent) from error
    except OSError:
        draft.replace(note)  # a file system without links
    finally:
        draft.unlink(missing_ok=True)


def _read(note: Path) -> Wired:
    from farthing.errors import ConfigError  # noqa: PLC0415

    try:
        return msgspec.json.decode(note.read_bytes(), type=Wired)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{str(note)!r} is damaged: {error}.", hint="take farthing's part out of the agent's settings by hand."
        ) from error

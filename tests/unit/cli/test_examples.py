"""Every command's help ends with examples, and every example is a command line that makes sense."""

import shlex
from pathlib import Path

import click
import pytest

from farthing.cli import root
from farthing.cli.examples import EXAMPLES


def commands(group: click.Group, context: click.Context) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {below}": one for below, one in commands(command, context).items()}
    return found


COMMANDS = commands(root, click.Context(root))


def parse(line: str) -> list[str]:
    """Read a line as the command line would, without running it; return the names of the commands in it."""
    program, *arguments = shlex.split(line.partition(" >")[0])
    assert program == "farthing"
    names: list[str] = []
    command: click.Command = root
    parent: click.Context | None = None
    while True:
        context = command.make_context("farthing", arguments, parent=parent)
        rest = [*context._protected_args, *context.args]
        if not isinstance(command, click.Group) or not rest:
            assert not rest
            return names
        name, below, arguments = command.resolve_command(context, rest)
        assert name is not None
        assert below is not None
        names.append(name)
        command, parent = below, context


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_in_its_help(name: str) -> None:
    context = click.Context(COMMANDS[name], info_name=f"farthing {name}")
    told = COMMANDS[name].get_help(context)
    assert "Examples:\n" in told
    assert f"farthing {name}" in told.partition("Examples:")[2]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name in COMMANDS or name == "farthing"])
def test_every_example_is_a_command_line_that_makes_sense(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "farthing-2026-11-21.tar.gz").touch()  # a backup must be there to be put back
    for line in EXAMPLES[name]:
        called = " ".join(parse(line))
        assert name == "farthing" or called.startswith(name), line


def test_an_example_that_makes_no_sense_would_be_found() -> None:
    for line in ("farthing costs --bye model", "farthing keys rename", "farthing calls --limit many"):
        with pytest.raises(click.UsageError):
            parse(line)

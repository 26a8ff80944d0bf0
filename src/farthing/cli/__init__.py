"""The command line: what people type. Data goes to stdout, talk to stderr, and both make sense without colour.

Commands are imported when they are used, and their one-line help stands in `_COMMANDS`, so that `farthing --help` costs
no more than importing click. A command raises `FarthingError` and nothing else on purpose; it is printed here, with its
hint, and ends the process with 1 (2 is for a command line that makes no sense).
"""

import errno
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from farthing import __version__
from farthing.cli.context import HOME_KEY, as_typed, say
from farthing.cli.examples import epilog
from farthing.errors import FarthingError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS = {
    "serve": ("farthing.cli.serve:serve", "Start the gateway."),
    "run": ("farthing.cli.run:run", "Start a coding agent on the gateway, with a key of its own."),
    "wire": ("farthing.cli.wire:wire", "Let a coding agent's own settings name the gateway."),
    "unwire": ("farthing.cli.wire:unwire", "Put an agent's settings back as they were."),
    "status": ("farthing.cli.status:status", "One line for a status line: spent today, left, in this session."),
    "costs": ("farthing.cli.costs:costs", "What was spent, on what, by whom."),
    "budget": ("farthing.cli.budget:budget", "What may be spent: set it, see what is left."),
    "routers": ("farthing.cli.routers:routers", "Names that stand for several models, of which one answers."),
    "limits": ("farthing.cli.limits:limits", "How much may be asked for in a minute, hour or day."),
    "report": ("farthing.cli.report:report", "A day, a week or a month: tokens, money, what to do about it."),
    "outcomes": ("farthing.cli.outcomes:outcomes", "What came of tasks and sessions, so that a success has a cost."),
    "chargeback": ("farthing.cli.chargeback:chargeback", "What a month cost each project, team, branch or task."),
    "export": ("farthing.cli.export:export", "Attempts and costs for other programs: CSV, JSON, FOCUS."),
    "reconcile": ("farthing.cli.reconcile:reconcile", "Compare the ledger with a provider's own figures."),
    "estimate": ("farthing.cli.estimate:estimate", "What a request may cost, before it is sent."),
    "prices": ("farthing.cli.prices:prices", "What models cost and why; refresh the list, price calls anew."),
    "calls": ("farthing.cli.calls:calls", "The latest calls; 'calls show ID' explains one."),
    "providers": ("farthing.cli.providers:providers", "Whom Farthing calls: list, test, add, remove."),
    "credentials": ("farthing.cli.credentials:credentials", "Keys of providers, sealed in the vault."),
    "keys": ("farthing.cli.keys:keys", "Keys that clients use: create, list, change, rotate, end."),
    "alerts": ("farthing.cli.alerts:alerts", "What was told, to whom; try channels."),
    "ledger": ("farthing.cli.ledger:ledger", "Prove that the books agree; make the totals again."),
    "storage": ("farthing.cli.storage:storage", "Where things are kept; move them to a PostgreSQL, or back."),
    "backup": ("farthing.cli.backup:backup", "Copy everything that is kept into one file, also while it is in use."),
    "restore": ("farthing.cli.backup:restore", "Put back what a backup holds."),
    "admin": ("farthing.cli.admin:admin", "A new link to the admin's page; tokens of the admin API."),
    "doctor": ("farthing.cli.doctor:doctor", "What is found, what is missing, what to do."),
    "config": ("farthing.cli.config:config", "Read the settings and say what is wrong with them."),
    "logs": ("farthing.cli.logs:logs", "From which level on the running gateway writes log lines."),
    "completion": ("farthing.cli.completion:completion", "Make bash, zsh or fish complete these commands."),
}

_OPTIONS = {"help": "farthing --help", "version": "farthing --version"}
"""What other programs have as commands."""


_OF_A_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
"""What the system says of a file that is another account's, or of a disk: nothing that a traceback would explain."""


def main() -> NoReturn:
    """Run the command line of this process; does not return."""
    root.main(prog_name="farthing")
    raise AssertionError("click ends the process")


class LazyGroup(click.Group):
    """Imports a command when it is called for, gives it `--home`, and prints our errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people meet them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = cast("click.Command", getattr(import_module(module), name))
        _add_home(command)
        _add_examples(command, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return the names that begin so, without importing any."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 (--help must not pay for it)

        named = [
            CompletionItem(name, help=text) for name, (_, text) in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a name that is none, say which was probably meant."""
        name = args[0]
        if name in _COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = _OPTIONS.get(name)
        if meant is None:
            from difflib import get_close_matches  # noqa: PLC0415 (--help must not pay for it)

            near = get_close_matches(name, _COMMANDS, n=1)
            meant = near[0] if near else None
        told = f" Did you mean {meant!r}?" if meant else ' "farthing --help" lists them.'
        raise click.UsageError(as_typed(f"No such command {name!r}.{told}"), ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; our own errors become a message, a hint and status 1."""
        if os.environ.get("NO_COLOR"):  # no-color.org: any text but an empty one means it
            ctx.color = False
        try:
            return super().invoke(ctx)
        except FarthingError as error:
            say(f"farthing: {error.message}")
            if error.hint:
                say(f"hint: {error.hint}")
            ctx.exit(1)
        except OSError as error:
            if error.errno not in _OF_A_PLACE or error.filename is None:
                raise
            from farthing.config.home_files import way_out  # noqa: PLC0415 (--help must not pay for it)

            place = Path(os.fsdecode(error.filename))
            say(f"farthing: {str(place)!r} cannot be used: {error.strerror}.")
            say(f"hint: {way_out(error, place.parent)}")
            ctx.exit(1)


def _remember_home(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value:
        ctx.meta[HOME_KEY] = value


def _home_option() -> click.Option:
    return click.Option(
        ["--home"],
        metavar="FOLDER",
        help="Where settings, ledger and keys are kept [or FARTHING_HOME].",
        expose_value=False,
        callback=_remember_home,
    )


def _add_home(command: click.Command) -> None:
    """Let `--home` stand behind the command as well: people write it where they think of it."""
    if any(parameter.name == "home" for parameter in command.params):
        return
    command.params.append(_home_option())
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _add_home(below)


def _add_examples(command: click.Command, name: str) -> None:
    """Let a command's help end with examples, unless it brings its own."""
    if command.epilog is None:
        command.epilog = epilog(name)
    if isinstance(command, click.Group):
        for below_name, below in command.commands.items():
            _add_examples(below, f"{name} {below_name}")
            if below.short_help is None and below.help:
                # click would cut the sentence where the screen ends; what is said to be short it wraps.
                below.short_help = _first_sentence(below.help)


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    first, end, _ = paragraph.partition(". ")
    return first + end.rstrip()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message=f"farthing %(version)s (Python {sys.version.split()[0]})")
def root() -> None:
    """Spend the least that gets the job done, and be able to prove it.

    Farthing is a gateway between your LLM clients and every model they use: it counts every token, prices it exactly,
    and shows where the money went.
    """


root.params.append(_home_option())
root.epilog = epilog("farthing")

"""`farthing completion`: what makes a shell complete our commands, options and values.

click writes the scripts; each asks `farthing` itself what could come next, which takes as long as `--help` does, and
for the names of providers, keys and settings 0.1 s more.
"""

from typing import Literal, cast

import click

Shell = Literal["bash", "zsh", "fish"]
_VARIABLE = "_FARTHING_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete farthing's commands, and names of providers, keys and settings.

    The examples add it to what the shell reads when it starts; a new terminal has it then.
    """
    click.echo(script(cast("Shell", shell)))


def script(shell: Shell) -> str:
    """Return a shell's script."""
    from click.shell_completion import FishComplete, ZshComplete  # noqa: PLC0415 (--help must not pay for it)

    root = click.get_current_context().find_root().command
    match shell:
        case "bash":
            return _bash(root)
        case "zsh":
            return ZshComplete(root, {}, "farthing", _VARIABLE).source()
        case "fish":
            return FishComplete(root, {}, "farthing", _VARIABLE).source()


def _bash(root: click.Command) -> str:
    """Return bash's script without click's question for bash's version: this command may run where no bash is."""
    from click.shell_completion import BashComplete  # noqa: PLC0415 (--help must not pay for it)

    asked = BashComplete(root, {}, "farthing", _VARIABLE)
    return asked.source_template % asked.source_vars()

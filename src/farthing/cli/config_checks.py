"""For `farthing doctor`: whether the running gateway goes by the settings file as it is."""

from collections.abc import Iterator

from farthing.cli.checks import Found
from farthing.config.running import Running


def check_taken_up(running: Running | None, told_already: str | None) -> Iterator[Found]:
    """Yield what a running gateway did not take up of the file when it looked at it last.

    What is wrong with the file is not said again where it was `told_already`.
    """
    if running is None:
        return
    gateway = f"the running gateway (pid {running.pid})"
    if running.settings.problem is not None:
        told = f"{gateway} did not take them up and goes on with those before"
        if running.settings.problem != told_already:
            told += f": {running.settings.problem}"
        yield Found("problem", "settings", told, "mend the file; it is taken up within two seconds")
    for waiting in running.settings.needs_restart:
        yield Found("warning", "settings", f"{gateway}: {waiting}", "start it again when that suits")

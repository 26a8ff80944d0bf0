"""Which coding agents we know, and how each is pointed at the gateway. A file with an `AGENT` here is an agent.

The folder answers what an agent must be told, in its own words; who makes keys, starts processes and writes files is
`run.py` and `wire.py` above. What surprised us stands in each agent's file: every one has a way of its own to look past
the environment it is given.
"""

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import PurePath

from farthing.cli.agents.protocol import Agent

_NOT_AGENTS = {"protocol", "other"}


@cache
def known_agents() -> dict[str, Agent]:
    """Return every agent by its name."""
    names = sorted(entry.name for entry in pkgutil.iter_modules(__path__) if entry.name not in _NOT_AGENTS)
    agents: list[Agent] = [import_module(f"{__name__}.{name}").AGENT for name in names]
    return {agent.name: agent for agent in agents}


def agent_for(command: str) -> Agent:
    """Return the agent that a command or a path to one means; what is none of ours gets every variable there is."""
    from farthing.cli.agents.other import Other  # noqa: PLC0415 (it needs this package)

    name = PurePath(command).name
    for ending in (".exe", ".cmd", ".bat", ".ps1"):
        name = name.removesuffix(ending)
    by_program = {agent.program: agent for agent in known_agents().values()}
    return known_agents().get(name) or by_program.get(name) or Other(name)

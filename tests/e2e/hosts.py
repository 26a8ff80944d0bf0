"""Two hosts with homes of their own and two workers each, that share one PostgreSQL, with a Redis or without."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.budget_load import calls_at_once
from tests.e2e.serving import serving
from tests.e2e.support import Gateway
from tests.postgres_server import new_schema


class Hosts:
    """What runs, and a key that each of them knows."""

    def __init__(self, gateways: Sequence[Gateway], key: str) -> None:
        self.gateways = gateways
        self.key = key

    @property
    def first(self) -> Gateway:
        """Where commands are given; what they change counts everywhere."""
        return self.gateways[0]

    @property
    def second(self) -> Gateway:
        """The other."""
        return self.gateways[1]

    def budget(self) -> dict[str, Any]:
        """Return how the one account of the one budget stands."""
        (found,) = json.loads(self.first.farthing("budget", "list", "--json").stdout)
        (account,) = found["accounts"]
        return dict(account)

    def crowd(self, bodies: Sequence[dict[str, Any]], *, project: str) -> Counter[int]:
        """Make these calls for a project, half of them at each host; return how often each status came."""
        headers = {"x-farthing-project": project}

        async def calls() -> Counter[int]:
            parts = [list(bodies[number :: len(self.gateways)]) for number in range(len(self.gateways))]
            each = [
                calls_at_once(gateway.port, self.key, part, headers)
                for gateway, part in zip(self.gateways, parts, strict=True)
            ]
            return sum(await asyncio.gather(*each), Counter())

        return asyncio.run(calls())


@contextmanager
def hosts(folder: Path, settings: str, *, redis: str | None = None, workers: int = 2) -> Iterator[Hosts]:
    """Serve with both until the block ends. `settings` are without `storage`."""
    url = folder / "database.url"
    url.write_text(new_schema() + "\n")
    url.chmod(0o600)
    shared = f"redis: '{redis}', " if redis else ""
    text = f"{settings}\nstorage: {{{shared}url: 'file:{url}'}}\n"
    with ExitStack() as stack:
        one, two = folder / "one", folder / "two"
        first = stack.enter_context(serving(one, text, "--workers", str(workers)))
        two.mkdir(mode=0o700)
        shutil.copy(one / "pepper", two / "pepper")
        second = stack.enter_context(serving(two, text, "--workers", str(workers)))
        yield Hosts((first, second), first.new_key())

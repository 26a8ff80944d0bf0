"""Two hosts with homes of their own and two workers each, that share one PostgreSQL, with a Redis or without."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from farthing.storage.postgres import PostgresStore
from farthing.types.budgets import Account
from farthing.types.calls import Attempt
from tests.e2e.budget_load import calls_at_once
from tests.e2e.serving import serving
from tests.e2e.support import Gateway
from tests.postgres_server import new_schema

T = TypeVar("T")
_MOST_LINES = 20_000
"""Four times what the largest crowd of a test leaves behind."""


class Hosts:
    """What runs, and a key that each of them knows."""

    def __init__(self, gateways: Sequence[Gateway], key: str, url: str) -> None:
        self.gateways = gateways
        self.key = key
        self._url = url

    @property
    def first(self) -> Gateway:
        """Where commands are given; what they change counts everywhere."""
        return self.gateways[0]

    @property
    def second(self) -> Gateway:
        """The other."""
        return self.gateways[1]

    def accounts(self) -> list[Account]:
        """Return how every account of every budget stands, also those of periods that are over."""
        return self._from_store(lambda store: store.budgets.accounts(now_us=0))

    def attempts(self, project: str) -> list[Attempt]:
        """Return every line of a project in the ledger."""
        lines = self._from_store(lambda store: store.attempts_after("", _MOST_LINES))
        assert len(lines) < _MOST_LINES
        return [one for one in lines if one.opening.attribution.project == project]

    def _from_store(self, ask: Callable[[PostgresStore], Awaitable[list[T]]]) -> list[T]:
        async def look() -> list[T]:
            store = PostgresStore(self._url, makes=False)
            await store.open()
            try:
                return await ask(store)
            finally:
                await store.close()

        return asyncio.run(look())

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
def hosts(
    folder: Path, settings: str, *, redis: str | None = None, workers: int = 2, clocks: Sequence[Path] = ()
) -> Iterator[Hosts]:
    """Serve with both until the block ends. `settings` are without `storage`.

    `clocks` are files with the seconds by which the hosts' clocks are wrong; for hosts of one worker.
    """
    url = new_schema()
    file = folder / "database.url"
    file.write_text(url + "\n")
    file.chmod(0o600)
    shared = f"redis: '{redis}', " if redis else ""
    text = f"{settings}\nstorage: {{{shared}url: 'file:{file}'}}\n"
    programs: list[tuple[str, ...]] = [
        ("farthing.testing.mortal_gateway", "--clock", str(clock), "--") for clock in clocks
    ]
    one, two = programs or [("farthing",)] * 2
    more = () if clocks else ("--workers", str(workers))
    with ExitStack() as stack:
        first = stack.enter_context(serving(folder / "one", text, *more, program=one))
        (folder / "two").mkdir(mode=0o700)
        shutil.copy(folder / "one" / "pepper", folder / "two" / "pepper")
        second = stack.enter_context(serving(folder / "two", text, *more, program=two))
        yield Hosts((first, second), first.new_key(), url)

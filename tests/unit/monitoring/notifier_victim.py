"""A process that tells of one fact and is killed at a point: `python notifier_victim.py HOME URL POINT`."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from farthing.monitoring.notify.channel import Message, Outcome
from farthing.monitoring.notify.notifier import Notifier, Route
from farthing.monitoring.notify.webhook import Webhook
from farthing.providers.pool import Pool, Poster
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.alerts import FACT_KINDS
from farthing.types.secret import Secret
from tests.contracts.ledger_samples import SetClock
from tests.unit.monitoring.test_notifier import cross_a_line


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class Dying:
    """A webhook whose process dies before or after it has sent."""

    def __init__(self, channel: Webhook, point: str) -> None:
        self._channel = channel
        self._point = point

    async def send(self, message: Message) -> Outcome:
        if self._point == "before-send":
            die()
        outcome = await self._channel.send(message)
        if self._point == "sent":
            die()
        return outcome


async def main(home: Path, url: str, point: str) -> None:
    clock = SetClock()
    store = SqliteStore(home / "farthing.db", ThreadOffload())
    await store.open()
    await cross_a_line(store)
    webhook = Webhook(Secret(url), None, Poster(Pool()), clock, ca_file=None)
    here = Notifier(store.alerts, clock, "a", {"ops": Route(Dying(webhook, point), FACT_KINDS)}, keys=store)
    await here.tick()
    await here.settle()
    die()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))

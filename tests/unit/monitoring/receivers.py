"""A server that takes alerts as a webhook's receiver does: it keeps what came, and answers as it is told to."""

from typing import Any, Self

from farthing.monitoring.notify.channel import Message
from farthing.providers.pool import Pool, Poster
from farthing.testing.fakes.http_server import Exchange, HttpServer, Request
from tests.contracts.ledger_samples import NOON_US

MESSAGE = Message("alert_0123", "Budget 'one': nothing is left", "$1.00 of $1.00 is spent.", NOON_US)


class Receiver:
    """Listens on loopback; `statuses` are answered one after the other, and then 200."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self._server = HttpServer(self._answer)
        self._port = 0
        self._pool = Pool()
        self.post = Poster(self._pool)

    async def __aenter__(self) -> Self:
        self._port = await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()
        await self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hooks/a?token=t0k3n"

    def ids(self) -> list[str]:
        """Return the ids of what came, in order."""
        return [request.headers["x-farthing-alert-id"] for request in self.requests]

    def bodies(self) -> list[Any]:
        return [request.json() for request in self.requests]

    async def _answer(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            exchange.hang_up()
        else:
            await exchange.answer(status, b"what a receiver says", self.headers)

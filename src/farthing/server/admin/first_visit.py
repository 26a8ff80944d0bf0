"""An application that is made when somebody first asks for it: what it needs is loaded then, and not at the start.

The admin API's types take 50 ms and 3 MB, which a gateway that nobody administers over HTTP need not spend.
"""

from collections.abc import Callable

from farthing.server.listener import AsgiApp, Receive, Scope, Send


class AtFirstVisit:
    """Makes an application with the first request, and hands on every one."""

    def __init__(self, make: Callable[[], AsgiApp]) -> None:
        self._make = make
        self._app: AsgiApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)

"""`/metrics`: the figures of the gateway for Prometheus, for whoever has the admin's token.

What was spent on which models is nobody else's business, and a request from this machine is not from its owner: so
there is no open door on loopback either. The token goes into `authorization: credentials_file:` of a scrape's
configuration. It is not asked of a cookie, so no page elsewhere can make a browser read this.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable

from farthing.errors import FarthingError, InvalidKey
from farthing.monitoring.exposition import CONTENT_TYPE, Family, exposition
from farthing.server.admin.token import digest_of
from farthing.server.faces.openai import OpenAIFace
from farthing.server.listener import Receive, Scope, Send

_HEADERS = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store")]
_face = OpenAIFace()


class MetricsPage:
    """Answers a scrape; 0.4 ms of the loop with the most series there can be."""

    def __init__(
        self, *, families: Callable[[], Awaitable[Iterable[Family]]], token_digest: Callable[[], bytes], pepper: bytes
    ) -> None:
        """`token_digest` tells what the admin's token must hash to, now."""
        self._families = families
        self._token_digest = token_digest
        self._pepper = pepper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        del receive
        status, headers, body = 200, _HEADERS, b""
        if self._may(scope):
            body = exposition(await self._families())
        else:
            error: FarthingError = InvalidKey(
                "the figures need the admin's token",
                hint='send "Authorization: Bearer fta-..."; "farthing admin link" prints a link that holds a new one',
            )
            status, headers, body = _face.render(error)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})

    def _may(self, scope: Scope) -> bool:
        told = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = told.partition(b" ")
        digest = digest_of(token.strip().decode("utf-8", "surrogateescape"), self._pepper)
        return scheme.lower() == b"bearer" and hmac.compare_digest(digest, self._token_digest())

"""What is not a face: health, readiness, figures, and the admin's page."""

from collections.abc import Callable

import msgspec

from farthing.errors import FarthingError, RouteNotFound
from farthing.server.admin.page import ADMIN_PAGES, AdminPage
from farthing.server.faces.openai import OpenAIFace
from farthing.server.listener import AsgiApp, Receive, Scope, Send

ReadyCheck = Callable[[], dict[str, bool]]
"""Names what must hold before calls are taken, and whether it does."""

_face = OpenAIFace()
_FACES = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/MODEL:generateContent",
    "ollama": "/api/chat",
}
_JSON = (b"content-type", b"application/json")


class Pages:
    """Public are `/health` (the process answers) and `/ready` (it can take calls); the rest asks for the admin."""

    def __init__(self, ready: ReadyCheck, admin: AdminPage, api: AsgiApp, metrics: AsgiApp) -> None:
        self._ready = ready
        self._admin = admin
        self._api = api
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path, method = scope["path"], scope["method"]
        if path in ADMIN_PAGES:
            await self._admin(scope, receive, send)
        elif path.startswith("/admin/"):
            await self._api(scope, receive, send)
        elif method not in ("GET", "HEAD"):
            await self._not_here(path, send)
        elif path == "/health":
            await _send_json(200, {"status": "ok"}, send)
        elif path == "/metrics":
            await self._metrics(scope, receive, send)
        elif path == "/ready":
            checks = self._ready()
            ready = all(checks.values())
            await _send_json(200 if ready else 503, {"status": "ready" if ready else "not ready", **checks}, send)
        elif path == "/":
            await _send_json(200, {"name": "farthing", "faces": _FACES, "admin": "/admin", "metrics": "/metrics"}, send)
        else:
            await self._not_here(path, send)

    async def _not_here(self, path: str, send: Send) -> None:
        error: FarthingError = RouteNotFound(f"there is nothing at {path}", hint="see / for what there is")
        status, headers, body = _face.render(error)
        await _send(status, headers, body, send)


async def _send_json(status: int, content: object, send: Send) -> None:
    await _send(status, [_JSON, (b"cache-control", b"no-store")], msgspec.json.encode(content), send)


async def _send(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
